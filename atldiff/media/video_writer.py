"""Frames + speech -> video file (PyAV)."""

import errno
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, cast
from uuid import uuid4

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.media.codecs import FILES, codecs
from atldiff.media.fragments import Fragments
from atldiff.media.sound import resample
from atldiff.media.yuv import Pictures
from atldiff.memory import map_to_disk, release_pages
from atldiff.provenance.credentials import sign_video
from atldiff.provenance.origin import Origin
from atldiff.provenance.watermark import Watermark
from atldiff.system import atomic_write

# The tags of every video: a machine made it.
MARK = {
    "comment": "AI-generated: one photo animated by ATL-Diff. The person shown did not say this.",
    "description": "AI-generated",
}
MIN_RATE, MAX_RATE = 0.1, 1000.0  # frames a second
_MAX_DENOMINATOR = 1001  # of NTSC's 30000/1001 frames a second
_SOUND_RATES = {"aac": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000), "libopus": (48000,)}


def _log(sentence: str) -> None:
    logging.getLogger("atldiff").warning(sentence)


class Sound(Protocol):
    """A video's sound: a `Speech`, or a recording that goes on while the video is written."""

    @property
    def sound(self) -> Any:
        """(m, channels) float32, 1 or 2 channels."""

    @property
    def sound_rate(self) -> int:
        """Samples a second of `sound`."""

    @property
    def fingerprint(self) -> str:
        """SHA-256, see `Speech`."""


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    speech: Sound | None,
    fps: float = FRAME_RATE,
    metadata: dict[str, str] | None = None,
    origin: Origin | None = None,
) -> Path:
    """Writes frames and sound to a video file, in constant memory.

    Sound and picture begin at 0 and neither is cut. A repeated row or column makes an odd side even.
    The file appears when it is complete; a failure leaves nothing behind. It is signed, and pictures of 256
    pixels or more carry the watermark. A .webm's credentials are a file beside it, *.c2pa.

    Args:
        path: .mp4 (H.264 + AAC), .webm (VP9 + Opus) or .mov (ProRes 4444 + AAC).
        frames: (H, W, 3) uint8 RGB, or (H, W, 4) with alpha for .webm and .mov; all have one size.
        speech: the sound; None = a mute video.
        fps: frames a second, 0.1 to 1000; NTSC's rates are exact.
        metadata: tags such as {"title": "..."}. The tags of `MARK` are always there, and come first.
        origin: what the video was made from, for its credentials; None = that of the frames, if they know it.

    Returns:
        The path.

    Raises:
        InputError: the path cannot be written or has another ending; the frame rate is out of range; there is
            no frame; an .mp4 has alpha; the disk is full.
    """
    for _ in encode_video(path, frames, speech, fps, metadata, origin):
        pass
    return Path(path)


def encode_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    speech: Sound | None,
    fps: float = FRAME_RATE,
    metadata: dict[str, str] | None = None,
    origin: Origin | None = None,
    warn: Callable[[str], None] = _log,
    live: Path | None = None,
) -> Iterator[np.ndarray]:
    """Does the work of `write_video` step by step, and yields each marked frame after encoding.

    The file appears after the last step. A generator that is closed before leaves nothing behind. `warn` gets
    a sentence if the video cannot be signed. `live` is a second file that plays while it grows, not signed.
    """
    path, rate = Path(path), _exact_rate(fps)
    made_from = origin or cast(Origin, getattr(frames, "origin", Origin()))
    suffix = path.suffix.lower()
    part = path.with_name(f".{uuid4().hex[:16]}{suffix}")  # short: the video's name may be as long as allowed
    _create_part(path, part)
    with atomic_write(path, part):
        frames = iter(frames)
        first = next(frames, None)
        if first is None:
            raise InputError("There are no frames to write", "Use a longer recording")
        if first.shape[2] == 4 and suffix == ".mp4":
            raise InputError("An .mp4 video cannot be transparent", "Name the video .webm or .mov")
        options = {} if suffix == ".webm" else {"movflags": "+faststart+use_metadata_tags"}
        with report_full_disk(), av.open(str(part), "w", options=options) as container:
            tag_video(container, metadata or {})
            mark = Watermark(first)
            marked = map(mark.apply, chain([first], frames))
            yield from encode_streams(container, suffix, marked, first.shape, speech, rate, live)
        if speech is not None:
            made_from = replace(made_from, recording=made_from.recording or speech.fingerprint)
        if note := sign_video(part, path, made_from, mark.applies):
            warn(note)


@contextmanager
def report_full_disk() -> Iterator[None]:
    """Turns the encoder's error for a full disk into an InputError."""
    try:
        yield
    except av.FFmpegError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise InputError("The disk is full", "Make room, or write the video elsewhere") from error


def _exact_rate(fps: float) -> Fraction:
    """Converts frames a second to the encoder's fraction.

    Raises:
        InputError: the rate is not a number from MIN_RATE to MAX_RATE.
    """
    if not MIN_RATE <= fps <= MAX_RATE:
        remedy = f"Choose {MIN_RATE:g} to {MAX_RATE:g}, such as {FRAME_RATE}"
        raise InputError(f"A video cannot have {float(fps):g} frames a second", remedy)
    return Fraction(fps).limit_denominator(_MAX_DENOMINATOR)


def tag_video(container: av.container.OutputContainer, metadata: dict[str, str]) -> None:
    """Writes `MARK` and further tags; a text for a tag of `MARK` follows it."""
    tags = dict(MARK)
    for key, value in metadata.items():
        mark = MARK.get(key.lower())
        if mark is None:
            tags[key] = str(value)
        elif str(value) != mark:
            tags[key.lower()] = f"{mark} {value}"
    container.metadata.update(tags)


def _create_part(path: Path, part: Path) -> None:
    """Creates the empty file `part`; raises InputError if no video can be written at `path`."""
    if path.suffix.lower() not in FILES:
        raise InputError(f"A video cannot be named {path.name!r}", f"End its name in {', '.join(FILES)}")
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder", "Give the name of a file in it")
        part.touch()
    except FileNotFoundError as error:
        raise InputError(f"The folder {path.parent} does not exist", "Create it first") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"The name {path.name[:40]}... is too long", "Choose a shorter one") from error
        raise InputError(f"Nothing can be written in {path.parent}", "Choose another folder") from error


def encode_streams(
    container: av.container.OutputContainer,
    suffix: str,
    frames: Iterable[np.ndarray],
    shape: tuple[int, ...],
    speech: Sound | None,
    rate: Fraction = Fraction(FRAME_RATE),
    live: Path | None = None,
) -> Iterator[np.ndarray]:
    """Encodes each frame, after the sound up to its end, and yields it.

    Args:
        container: open for writing.
        suffix: chooses the codecs: .mp4, .webm, .mov or .flv.
        frames: (H, W, 3 or 4) uint8, all of `shape`, marked.
        speech: the sound; None = a mute video.
        rate: frames a second.
        live: a second file that plays while it grows.
    """
    codec, pixels, options, sound_codec = codecs(suffix)
    height, width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
    video = container.add_stream(codec, rate=rate, options=options)
    video.width, video.height = width, height
    video.pix_fmt = pixels if shape[2] == 4 or suffix == ".mov" else "yuv420p"
    video.codec_context.time_base = 1 / rate
    video.color_range, video.colorspace = ColorRange.MPEG, Colorspace.ITU709
    video.color_primaries, video.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    sound = None if speech is None else _SoundTrack(container, sound_codec, speech)
    with ExitStack() as stack:
        fragments = None
        if live is not None:
            tracks = [video] if sound is None else [video, sound.stream]
            fragments = stack.enter_context(closing(Fragments(live, tracks)))

        def mux(packets: list[av.Packet]) -> None:
            container.mux(packets)
            if fragments is not None:
                fragments.mux(packets)

        pictures = Pictures(video)
        for index, frame in enumerate(frames):
            assert frame.shape == shape, f"frame {index} is {frame.shape}, the first was {shape}"
            if sound:
                mux(sound.encode_until((index + 1) / rate))
            mux(video.encode(pictures.convert(frame, index)))
            yield frame
        mux(video.encode(None))
        if sound:
            mux(sound.encode_until(None))


class _SoundTrack:
    """Encodes sound in step with the pictures."""

    def __init__(self, container, codec: str, speech: Sound) -> None:
        rates = _SOUND_RATES[codec]
        rate = min((r for r in rates if r >= speech.sound_rate), default=max(rates))
        same = rate == speech.sound_rate
        self._sound = speech.sound if same else map_to_disk(resample(speech.sound, speech.sound_rate, rate))
        self._layout = "mono" if self._sound.shape[1] == 1 else "stereo"
        self._written, self._rate = 0, rate
        self.stream = container.add_stream(codec, rate=rate, layout=self._layout)
        self.stream.bit_rate = 128_000 * self._sound.shape[1]

    def encode_until(self, seconds: Fraction | None) -> list[av.Packet]:
        """Encodes the sound up to a time; None = to its end, and closes the track."""
        packets = list[av.Packet]()
        end = len(self._sound) if seconds is None else min(len(self._sound), int(seconds * self._rate))
        for start in range(self._written, end, self._rate):
            block = self._sound[start : min(start + self._rate, end)]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T), "fltp", self._layout)
            frame.sample_rate, frame.pts, frame.time_base = self._rate, start, Fraction(1, self._rate)
            packets += self.stream.encode(frame)
            release_pages(self._sound)
        self._written = end
        return packets + self.stream.encode(None) if seconds is None else packets
