"""Uploads trained weights to the Hugging Face Hub; only on request."""

from pathlib import Path

from atldiff.errors import InputError


def reserve(name: str) -> None:
    """Creates the private repository `name` if it does not exist, so that a mistake shows before training.

    Raises:
        InputError: no network, nobody is logged in, or the name belongs to somebody else.
    """
    _call_hub(name, lambda api: api.create_repo(name, private=True, exist_ok=True))


def push(folder: Path, name: str) -> str:
    """Uploads the files of a folder to the repository `name`; returns their address.

    Raises:
        InputError: as `reserve`.
    """
    return str(_call_hub(name, lambda api: api.upload_folder(repo_id=name, folder_path=folder)))


def _call_hub(name: str, request):  # noqa: ANN202 - the hub's answer
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # httpx's or requests', by version

    try:
        return request(HfApi())
    except (OSError, ValueError, HTTPError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        remedy = "Go online, log in with `hf auth login`, name USER/NAME, and give the same command again"
        raise InputError(f"The Hub's repository {name} cannot be written ({reason})", remedy) from error
