"""Weights from the Hugging Face hub."""

from pathlib import Path

from atldiff.errors import InputError


def from_hub(name: str) -> Path:
    """The folder of a hub repository's files, fetched where they are not in its cache.

    Raises:
        InputError: there is none of that name, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        problem = f"The weights {name!r} are no folder here and could not be fetched from the hub"
        raise InputError(problem, "Check name and connection, or leave them out for the starter") from error
