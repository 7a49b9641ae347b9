"""Trained weights to the Hugging Face Hub, where somebody asks for it by name."""

from pathlib import Path

from atldiff.errors import InputError


def reserve(name: str) -> None:
    """Makes the private repository `name` unless it is there: what would fail after days fails at once.

    Raises:
        InputError: no network, nobody is logged in, or the name is not theirs.
    """
    _ask(name, lambda api: api.create_repo(name, private=True, exist_ok=True))


def push(folder: Path, name: str) -> str:
    """Uploads the files of a folder to the repository `name`; returns where they are.

    Raises:
        InputError: as `reserve`.
    """
    return str(_ask(name, lambda api: api.upload_folder(repo_id=name, folder_path=folder)))


def _ask(name: str, request):  # noqa: ANN202 - what the hub answers
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # of the client that this version of it speaks through

    try:
        return request(HfApi())
    except (OSError, ValueError, HTTPError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        remedy = "Go online, log in with `hf auth login`, name USER/NAME, and give the same command again"
        raise InputError(f"The Hub's repository {name} cannot be written ({reason})", remedy) from error
