"""A copy of a video in the making that plays while it grows: fragmented MP4."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import av

# Each fragment holds 0.25 s and is written at once. The head waits for the first one, so that its edit list
# says how much later than its decoding the first picture is shown.
_OPTIONS = {
    "movflags": "delay_moov+default_base_moof",
    "frag_duration": "250000",
    "flush_packets": "1",
}


class Fragments:
    """Writes the packets of a video's encoders to a second file. Close it at the end.

    Args:
        path: of the file; it appears with the first picture.
        streams: the encoders' streams, the picture's first.
    """

    def __init__(self, path: Path, streams: Sequence[av.VideoStream | av.AudioStream]) -> None:
        self._path, self._streams, self._waiting = path, streams, list[av.Packet]()
        self._container: av.container.OutputContainer | None = None

    def mux(self, packets: Iterable[av.Packet]) -> None:
        """Writes packets that were written to the video before. Sound waits for the first picture."""
        self._waiting += packets
        if self._container is None:
            if not any(packet.stream is self._streams[0] for packet in self._waiting):
                return
            self._container = av.open(str(self._path), "w", format="mp4", options=_OPTIONS)
            copies = [self._container.add_stream_from_template(stream) for stream in self._streams]
            self._copies = dict(zip((stream.index for stream in self._streams), copies, strict=True))
        for packet in self._waiting:
            packet.stream = self._copies[packet.stream.index]
            self._container.mux(packet)
        self._waiting.clear()

    def close(self) -> None:
        """Writes the last fragment."""
        if self._container is not None:
            self._container.close()
