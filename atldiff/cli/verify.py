"""The command `verify`: is a file ours?"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from atldiff.errors import InputError

ABOUT = """Say whether files are ours and unchanged, from credentials, watermark and tags. Exit status:
0 = all ours and unchanged; 1 = a mark alone, changed, or signed by an unknown key; 2 = nothing of ours."""


def add_verify(commands, make_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the command to the others."""
    parser = make_command(commands, "verify", _verify, ABOUT)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a video, or any other file")
    parser.add_argument("--json", action="store_true", help="print a line of JSON a file")
    parser.add_argument(
        "--trust", type=Path, metavar="PEM", help="certificates whose signatures count as ours, too"
    )


def _verify(args: argparse.Namespace) -> int:
    """Prints a line a file; returns the worst status."""
    from atldiff.provenance.verify import NOTHING, verify

    trusted, status = _read_certificates(args.trust), 0
    for path in args.files:
        try:
            verdict = verify(path, trusted)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            status = NOTHING
            continue
        status = max(status, verdict.status)
        named = {"file": str(path)} | verdict.to_dict()
        print(json.dumps(named) if args.json else f"{path}: {verdict.sentence}")
    return status


def _read_certificates(path: Path | None) -> tuple[bytes, ...]:
    """The PEM text of the option --trust.

    Raises:
        InputError: the file cannot be read, or holds no certificate.
    """
    if path is None:
        return ()
    remedy = "Name a file of PEM certificates"
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"The certificates {path} cannot be read", remedy) from error
    if b"-----BEGIN CERTIFICATE-----" not in text:
        raise InputError(f"There is no certificate in {path}", remedy)
    return (text,)
