"""Reads a server's command line and environment, before anything is loaded."""

import argparse
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from atldiff.errors import InputError

MAX_WORKERS = 999


@contextmanager
def without_stubs() -> Iterator[None]:
    """Keeps gradio, imported inside, from writing its classes' signatures for editors: 2/5 of its time.

    At each import gradio parses the source of every component and compares it with a file beside it.
    It leaves out a class without a source file.
    """
    whole = inspect.getfile

    def getfile(object: Any) -> str:
        if isinstance(object, type) and object.__module__.startswith("gradio."):
            raise OSError("not asked for")
        return whole(object)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = whole


def read_launch_options() -> dict[str, Any]:
    """Reads the command line of `app.py` and the logins.

    Returns:
        Keywords of gradio's `launch`; gradio's environment variables replace a None.

    Raises:
        InputError: see `read_logins`.
    """
    parser = argparse.ArgumentParser(description="Serves the page, its API and its MCP tools.")
    parser.add_argument("--host", help="address to serve at; 0.0.0.0 = every one of this machine")
    parser.add_argument("--port", type=int, help="port; the first free one from 7860 if left out")
    parser.add_argument("--share", action="store_true", help="also make a public link by gradio's relay")
    args = parser.parse_args()
    return {
        "server_name": args.host,
        "server_port": args.port,
        "share": args.share or None,
        "auth": read_logins(),
    }


def read_logins() -> list[tuple[str, str]] | None:
    """Reads the logins of the environment's ATLDIFF_AUTH, "name:password,name:password".

    Spaces around an entry and empty entries do not count.

    Returns:
        (name, password) of each; None if the variable is not set, and everybody may use the page.

    Raises:
        InputError: an entry is no login, or there is none. The message repeats no password.
    """
    text = os.environ.get("ATLDIFF_AUTH")
    if text is None:
        return None
    remedy = "Write name:password,name:password, or unset it to let everybody in"
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    logins = [(name.strip(), password) for name, _, password in (entry.partition(":") for entry in entries)]
    for number, login in enumerate(logins, start=1):
        if not all(login):
            raise InputError(f"Entry {number} of ATLDIFF_AUTH is not name:password", remedy)
    if not logins:
        raise InputError("ATLDIFF_AUTH is set but names nobody", remedy)
    if len({name for name, _ in logins}) < len(logins):
        raise InputError("ATLDIFF_AUTH names somebody twice", "Give each name one password")
    return logins


def read_replicas() -> int:
    """Reads the number of workers in the environment's ATLDIFF_REPLICAS; 0 if it is not set.

    Raises:
        InputError: the value is no whole number from 0 to 999.
    """
    text = os.environ.get("ATLDIFF_REPLICAS", "0")
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(MAX_WORKERS))):
        raise InputError(
            f"ATLDIFF_REPLICAS cannot be {text[:40]!r}", f"Give a whole number from 0 to {MAX_WORKERS}"
        )
    return int(digits)


def read_places() -> int:
    """Reads the number of live visits at the same time from the environment's ATLDIFF_LIVE.

    Returns:
        The number, 1 if it is not set.

    Raises:
        InputError: the value is no whole number from 0 to 99, or ATLDIFF_TURN is wrong.
    """
    text = os.environ.get("ATLDIFF_LIVE", "1").strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 3):
        raise InputError(f"ATLDIFF_LIVE cannot be {text[:40]!r}", "Give a whole number from 0 to 99")
    read_relays()
    return int(text)


def read_relays() -> list[dict[str, str]]:
    """Reads the relays of the environment's ATLDIFF_TURN, "url|user|password,...", in the page's form.

    Raises:
        InputError: an entry is no address of a STUN or TURN server.
    """
    servers = []
    for entry in filter(None, (part.strip() for part in os.environ.get("ATLDIFF_TURN", "").split(","))):
        url, user, password = (*entry.split("|"), "", "")[:3]
        if not url.startswith(("stun:", "turn:", "turns:")):
            raise InputError("ATLDIFF_TURN holds no address of a relay", "Write turn:host:port|user|password")
        servers.append({"urls": url, "username": user, "credential": password} if user else {"urls": url})
    return servers


def stop(error: InputError) -> NoReturn:
    """Ends the process with the error's sentence and status 2, as the command line does."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
