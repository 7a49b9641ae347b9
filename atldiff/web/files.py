"""Files that come with a call: a data URL, an address, or what was uploaded before."""

import base64
import binascii
import mimetypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from atldiff.errors import InputError
from atldiff.web.request import MAX_UPLOAD, MAX_UPLOAD_BYTES

WEB = ("http://", "https://")
_REMEDY = (
    'Give it as {"url": "data:image/jpeg;base64,..."}, with a public http(s) address as the url, '
    "or upload it first"
)


def file_source(value: Any, name: str, folder: str | Path) -> str | None:
    """Where the file of a call is: on this disk, or on the web.

    Args:
        value: text, or an object with a "path" or a "url", as gradio's clients send it.
        name: the argument's, for the messages.
        folder: of the files that were uploaded; a data URL is written there. Nothing outside it is read.

    Returns:
        A path inside the folder, an http(s) address, or None for no file (None or "").

    Raises:
        InputError: the value names no file, another file of this machine, or one of more than MAX_UPLOAD.
    """
    if value is None or value == "":
        return None
    path, url = (value.get("path"), value.get("url")) if isinstance(value, Mapping) else (None, value)
    source = path or url
    if not isinstance(source, str):
        raise InputError(f"{name} is no file", _REMEDY)
    if source.startswith("data:"):
        return str(_written(source, name, Path(folder)))
    if source.startswith(WEB):
        return source
    if source is not path:
        raise InputError(f"{name} is text and no file", _REMEDY)
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder)):
        raise InputError(f"{name} names a file that was not uploaded here", _REMEDY)
    if not os.path.isfile(path):
        raise InputError(f"The file of {name} is no longer on this server", "Upload it again")
    return path


def check_size(path: str, name: str) -> str:
    """The path of a file that is not larger than a server takes.

    Raises:
        InputError: it is.
    """
    if os.path.getsize(path) > MAX_UPLOAD_BYTES:
        raise _too_large(name)
    return path


def _written(url: str, name: str, folder: Path) -> Path:
    """The content of a data URL as a file in a folder of its own."""
    head, _, text = url.partition(",")
    kind, *marks = head.removeprefix("data:").split(";")
    if len(text) * 3 // 4 > MAX_UPLOAD_BYTES + 2:
        raise _too_large(name)
    try:
        content = base64.b64decode(text, validate=True) if "base64" in marks else b""
    except (binascii.Error, ValueError):
        content = b""
    if not content:
        raise InputError(f"The data URL of {name} is not base64", _REMEDY)
    path = folder / uuid4().hex / f"{name}{mimetypes.guess_extension(kind) or '.bin'}"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def _too_large(name: str) -> InputError:
    limit = MAX_UPLOAD.removesuffix("mb")
    return InputError(f"The file of {name} is larger than {limit} MB", "Choose a smaller file")
