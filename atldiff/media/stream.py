"""Frames + speech -> a video that can be watched while it is made: one encoding, pieces and whole file."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from atldiff.config import FRAME_RATE
from atldiff.media.audio import Speech
from atldiff.media.pictures import Pictures
from atldiff.media.video import _CODECS, _SoundTrack, full_disk_told

PIECE_SECONDS = 3  # players stutter on shorter ones
_LIVE = f"f=hls:hls_time={PIECE_SECONDS}:hls_list_size=0:hls_flags=temp_file"
_WHOLE = "movflags=+faststart+use_metadata_tags"


def broadcast(
    path: Path,
    frames: Iterable[np.ndarray],
    speech: Speech,
    metadata: dict[str, str] | None = None,
    live: bool = False,
) -> Iterator[list[Path]]:
    """Encodes one frame a step, in constant memory; the file at `path` is whole when the steps end.

    With `live` the same encoding also goes into MPEG-TS pieces beside the file, which play one after
    another on one clock, without a gap in picture or sound.

    Args:
        path: .mp4, .webm or .mov in a folder of its own, which the caller removes.
        frames, speech, metadata: as `video.write_video` takes them.
        live: also write pieces; of an .mp4 only.

    Yields:
        The pieces (.ts, about 3 s each) that this frame completed; after the last frame, all the rest.

    Raises:
        InputError: the disk is full.
    """
    assert not live or path.suffix == ".mp4", path
    frames, told, playlist = iter(frames), set(), path.with_name("live.m3u8")
    first = next(frames)

    def fresh() -> list[Path]:
        if not live or not playlist.exists():
            return []
        named = [line for line in playlist.read_text().splitlines() if not line.startswith("#")]
        pieces = [path.with_name(name) for name in named if name not in told]
        told.update(named)
        return pieces

    with full_disk_told(), _open(path, live) as container:
        container.metadata.update({key: str(value) for key, value in (metadata or {}).items()})
        for _ in _encode(container, path.suffix, chain([first], frames), first.shape, speech):
            yield fresh()
    yield fresh()


def piece_seconds(piece: Path) -> float:
    """How long a finished piece plays, by the playlist beside it."""
    lines = piece.with_name("live.m3u8").read_text().splitlines()
    return float(lines[lines.index(piece.name) - 1].removeprefix("#EXTINF:").rstrip(","))


def _open(path: Path, live: bool) -> av.container.OutputContainer:
    if not live:
        options = {} if path.suffix == ".webm" else dict([_WHOLE.split("=")])
        return av.open(str(path), "w", options=options)
    # The tee muxer reads "\" as an escape and "|" as the end of a name.
    playlist, whole = (
        str(p).replace("\\", "\\\\").replace("'", "\\'").replace("|", "\\|")
        for p in (path.with_name("live.m3u8"), path)
    )
    return av.open(f"[{_LIVE}]{playlist}|[f=mp4:{_WHOLE}]{whole}", "w", format="tee")


def _encode(container, suffix: str, frames, shape: tuple, speech: Speech) -> Iterator[int]:
    """As `video._encode`, with a step after each frame and a key frame at the beginning of each piece."""
    codec, pixels, options, sound_codec = _CODECS[suffix]
    if codec == "libx264":
        every = str(PIECE_SECONDS * FRAME_RATE)
        options = {**options, "g": every, "keyint_min": every, "sc_threshold": "0"}
    rate, height, width = Fraction(FRAME_RATE), shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
    video = container.add_stream(codec, rate=rate, options=options)
    video.width, video.height = width, height
    video.pix_fmt = pixels if shape[2] == 4 or suffix == ".mov" else "yuv420p"
    video.codec_context.time_base = 1 / rate
    video.color_range, video.colorspace = ColorRange.MPEG, Colorspace.ITU709
    video.color_primaries, video.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    sound = _SoundTrack(container, sound_codec, speech)
    pictures = Pictures(video)
    for index, frame in enumerate(frames):
        assert frame.shape == shape, f"frame {index} is {frame.shape}, the first was {shape}"
        sound.write_until((index + 1) / rate)
        container.mux(video.encode(pictures.convert(frame, index)))
        yield index
    container.mux(video.encode(None))
    sound.write_until(None)
