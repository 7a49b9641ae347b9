"""Frames + sound -> an address on the network, while both go on (RTMP)."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import av
import numpy as np

from atldiff.errors import InputError
from atldiff.media.video_writer import Sound, encode_streams, tag_video
from atldiff.provenance.watermark import Watermark

SCHEMES = "rtmp", "rtmps"
PATIENCE = 10.0  # seconds without progress
_SENDER = Path(__file__).with_name("sender.py")


def check_address(address: str) -> None:
    """Checks an address.

    Raises:
        InputError: it is none that a video can be sent to.
    """
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES or not parts.hostname or not parts.path.strip("/"):
        remedy = "Write rtmp://host/application/key, as the service tells it"
        raise InputError(f"No video can be sent to {_public(address)}", remedy)


def broadcast(address: str, frames: Iterator[np.ndarray], sound: Sound) -> None:
    """Sends frames and sound to an address, marked as every video, until the frames end.

    Args:
        address: rtmp://... or rtmps://...
        frames: (H, W, 3) uint8 RGB; all have one size.
        sound: as much of it as belongs to the frames so far.

    Raises:
        InputError: the address is none, cannot be reached, or no longer answers; there is no frame.
    """
    check_address(address)
    first = next(frames, None)
    if first is None:
        raise InputError("There are no frames to send", "Speak longer")
    marked, sender = map(Watermark(first).apply, chain([first], frames)), _Sender(address)
    try:
        with av.open(sender, "w", format="flv", options={"flush_packets": "1"}) as container:
            tag_video(container, {})
            for _ in encode_streams(container, ".flv", marked, first.shape, sound):
                pass
    finally:  # if the sender has ended, `close` tells why; what was raised is the broken pipe
        if (reason := sender.close()) is not None:
            remedy = "Check address and key, and that the service expects a video now"
            raise InputError(f"The connection to {_public(address)} failed ({reason})", remedy)


class _Sender:
    """The file that `sender.py` reads; the program is ended when it takes nothing for PATIENCE seconds."""

    def __init__(self, address: str) -> None:
        command = [sys.executable, str(_SENDER), address]
        self._program = subprocess.Popen(  # in a session of its own, where Ctrl-C does not reach it
            command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        self._since: float | None = None  # when the write that waits began
        threading.Thread(target=self._watch, daemon=True).start()

    def write(self, data: bytes) -> int:
        """Gives data to the program."""
        assert self._program.stdin is not None
        self._since = time.monotonic()
        self._program.stdin.write(data)
        self._program.stdin.flush()
        self._since = None
        return len(data)

    def close(self) -> str | None:
        """Waits until all is sent; tells why it could not be, or None."""
        try:
            _, errors = self._program.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._program.kill()
            _, errors = self._program.communicate()
        if self._program.returncode == 0:
            return None
        lines = errors.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it does not answer"

    def _watch(self) -> None:
        while self._program.poll() is None:
            time.sleep(0.2)
            since = self._since
            if since is not None and time.monotonic() > since + PATIENCE:
                self._program.kill()


def _public(address: str) -> str:
    """An address without user, path and key, which are secret."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname}" if parts.hostname else address[:40]
