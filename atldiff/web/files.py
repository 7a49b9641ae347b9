"""The files of a call: a data URL, an address, or an uploaded file."""

import base64
import binascii
import mimetypes
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import anyio

from atldiff.errors import InputError
from atldiff.web.api import EXAMPLE_FILES
from atldiff.web.jobs.request import MAX_UPLOAD, MAX_UPLOAD_BYTES
from atldiff.web.public import EXAMPLES

WEB = ("http://", "https://")
T = TypeVar("T")
_THREADS = anyio.CapacityLimiter(4)
_REMEDY = (
    'Give it as {"url": "data:image/jpeg;base64,..."}, with a public http(s) address as the url, '
    "or upload it first"
)


async def run_in_thread(function: Callable[..., T], *values: Any) -> T:
    """Runs a short function in a thread, so that the event loop continues.

    These threads are apart from the usual ones, which may all wait for videos.
    """
    return await anyio.to_thread.run_sync(function, *values, limiter=_THREADS)


def locate_file(value: Any, name: str, folder: str | Path) -> str | None:
    """Locates the file of a call: on this disk, or on the web.

    Args:
        value: text, or an object with a "path" or a "url", as gradio's clients send it.
        name: name of the argument, for the messages.
        folder: folder of uploaded files. A data URL is written there; no file outside it is read.

    Returns:
        A path inside the folder, an http(s) address, or None if the value is None or "".

    Raises:
        InputError: the value is no file, names another file of this machine, or is larger than MAX_UPLOAD.
    """
    if value is None or value == "":
        return None
    path, url = (value.get("path"), value.get("url")) if isinstance(value, Mapping) else (None, value)
    source = path or url
    if not isinstance(source, str):
        raise InputError(f"{name} is no file", _REMEDY)
    if source.startswith("data:"):
        return str(_write_data_url(source, name, Path(folder)))
    if source.startswith(WEB):
        return source
    if source is not path:
        raise not_a_file_error(name)
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder)):
        raise InputError(f"{name} names a file that was not uploaded here", _REMEDY)
    if not os.path.isfile(path):
        raise InputError(f"The file of {name} is no longer on this server", "Upload it again")
    return path


def example_at(address: str) -> Path | None:
    """The example file that an address of this page names; None for every other address or path.

    The description of the API names such addresses. The server reads the file, since it may not download
    from itself.
    """
    _, folder, name = urlsplit(address).path.rpartition("examples/")
    own = address.startswith(WEB) and folder + name in EXAMPLE_FILES.values()
    return EXAMPLES / name if own else None


def check_size(path: str, name: str) -> str:
    """Checks the size of a file; returns its path.

    Raises:
        InputError: the file is larger than MAX_UPLOAD.
    """
    if os.path.getsize(path) > MAX_UPLOAD_BYTES:
        raise _too_large_error(name)
    return path


def not_a_file_error(name: str) -> InputError:
    """The error for text that is neither a data URL nor an address."""
    return InputError(f"{name} is neither a data URL nor an http(s) address", _REMEDY)


def decode_data_url(url: str, name: str) -> bytes:
    """Decodes a data URL in base64.

    Raises:
        InputError: the URL is not base64, is empty, or holds more than MAX_UPLOAD.
    """
    head, _, text = url.partition(",")
    if len(text) * 3 // 4 > MAX_UPLOAD_BYTES + 2:
        raise _too_large_error(name)
    try:
        content = base64.b64decode(text, validate=True) if head.endswith(";base64") else b""
    except (binascii.Error, ValueError):
        content = b""
    if not content:
        raise InputError(f"The data URL of {name} is not base64", _REMEDY)
    return content


def _write_data_url(url: str, name: str, folder: Path) -> Path:
    """Writes the content of a data URL to a file in a folder of its own; returns the path."""
    content, kind = decode_data_url(url, name), url.removeprefix("data:").partition(";")[0]
    path = folder / uuid4().hex / f"{name}{mimetypes.guess_extension(kind) or '.bin'}"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def _too_large_error(name: str) -> InputError:
    limit = MAX_UPLOAD.removesuffix("mb")
    return InputError(f"The file of {name} is larger than {limit} MB", "Choose a smaller file")
