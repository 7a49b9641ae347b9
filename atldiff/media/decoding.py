"""Any sound or video file -> its sound (PyAV, and libsndfile for kinds that FFmpeg does not read)."""

import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile

from atldiff.config import SAMPLE_RATE
from atldiff.errors import InputError, TooLong
from atldiff.media.sound import (
    append_block,
    is_silent,
    limit_to_full_scale,
    mix_to_mono,
    normalise_level,
    resample,
)
from atldiff.media.speech_presence import contains_speech

MAX_SECONDS = 600.0
PTS_SLACK = 0.05  # seconds; timestamps jitter, a larger step is a real gap or overlap
MAX_PADDING = 4096  # samples; codecs work in blocks of up to half of this
MAX_GAP = 60.0  # seconds; a longer step is a clock that was reset, not silence
# Self-contained files only: a playlist (hls, concat, sdp) would open other files or addresses.
CONTAINERS = (
    "wav,w64,mp3,mov,matroska,flac,ogg,aac,aiff,caf,au,amr,ac3,eac3,asf,avi,flv,mpegts,mpeg,wv,tta,ape"
)

REMEDY = "Use a recording such as WAV, MP3, M4A, FLAC or OGG, or a video with sound"


class UnknownMedia(InputError):
    """The file is broken, or of a kind that FFmpeg does not read."""


def open_media(path: Path, what: str) -> av.container.InputContainer:
    """Opens a self-contained sound or video file.

    Args:
        what: "recording" or "video", for the message.

    Raises:
        InputError: missing, a folder, empty, or not to be read.
        UnknownMedia: broken, or not such a file.
    """
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"The {what} {path} {problem}", f"Check the path of the {what}")
    if path.stat().st_size == 0:
        raise InputError(f"The {what} {path.name} is empty (0 bytes)", "Save or upload it again")
    try:
        return av.open(
            str(path.absolute()), options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
        )
    except PermissionError as error:
        raise InputError(f"The {what} {path} may not be read", "Change its permissions") from error
    except (av.FFmpegError, UnicodeError, ValueError) as error:
        remedy = "Use another video" if what == "video" else REMEDY
        raise UnknownMedia(f"The {what} {path.name} is broken or not a {what}", remedy) from error


def read_sound(
    path: Path, what: str, origin: float | None = None, max_seconds: float = MAX_SECONDS
) -> tuple[np.ndarray, int] | None:
    """Decodes the first sound track of a file in which somebody speaks, else the first that is not silent.

    The length that a file declares is often a guess from its bit rate: what is decoded counts.

    Args:
        what: "recording" or "video", for the messages.
        origin: the moment of the file's clock, in seconds, that becomes sample 0: earlier sound is cut
            off, silence is put before sound that begins later. None: where the file begins.

    Returns:
        (m, 1 or 2) float32 in [-1, 1] and its rate, (0, 1) if nothing can be decoded; None: no track.

    Raises:
        InputError: longer than max_seconds; no more than this is decoded.
    """
    with open_media(path, what) as container:
        tracks = len(container.streams.audio)
        best = _read_track(container, 0, origin, max_seconds) if tracks else None
    rank = _rank(*best) if best and tracks > 1 else 0
    for index in range(1, tracks):
        if rank == _SPOKEN:
            break
        with open_media(path, what) as container:
            track = _read_track(container, index, origin, max_seconds)
        if _rank(*track) > rank:
            best, rank = track, _rank(*track)
    return best and (limit_to_full_scale(best[0]), best[1])


def read_other_sound(path: Path, max_seconds: float = MAX_SECONDS) -> tuple[np.ndarray, int] | None:
    """Decodes a kind that FFmpeg does not read (NIST SPHERE, VOC, ...); None if libsndfile cannot either.

    Raises:
        InputError: longer than max_seconds.
    """
    with path.open("rb", buffering=0) as file:
        first = file.read(3)
        if first == b"ID3" or (first[:1] == b"\xff" and first[1:2] >= b"\xe0"):
            return None  # libsndfile's MPEG reader writes to the standard error
        file.seek(0)
        try:  # a descriptor: of a name libsndfile trusts the ending
            with soundfile.SoundFile(os.dup(file.fileno()), closefd=True) as sound:
                if sound.frames > (max_seconds + 0.1) * sound.samplerate:
                    raise too_long_error(max_seconds)
                return limit_to_full_scale(sound.read(dtype="float32", always_2d=True)), sound.samplerate
        except soundfile.SoundFileError:
            return None


def too_long_error(max_seconds: float) -> TooLong:
    """What is said of a recording that is longer than the limit."""
    return TooLong(f"The recording is longer than {max_seconds:g} s", "Cut it, or raise the limit")


_SILENT, _AUDIBLE, _SPOKEN = 0, 1, 2


def _rank(sound: np.ndarray, rate: int) -> int:
    """How good a track is to be animated."""
    if is_silent(sound, rate):
        return _SILENT
    samples = normalise_level(resample(mix_to_mono(sound), rate, SAMPLE_RATE), SAMPLE_RATE)
    return _SPOKEN if contains_speech(samples) else _AUDIBLE


def _read_track(container, index: int, origin: float | None, max_seconds: float) -> tuple[np.ndarray, int]:
    """Decodes one sound track, see `read_sound`."""
    stream = container.streams.audio[index]
    if stream.codec_context is None:  # a codec that FFmpeg does not know, as of an iPhone's second track
        return np.empty((0, 1), np.float32), SAMPLE_RATE
    rate = stream.rate or SAMPLE_RATE
    seconds = min(max(0, container.duration or 0) / av.time_base, max_seconds, MAX_SECONDS)
    sound, written = np.empty((round((seconds + 1) * rate), 1 if stream.channels == 1 else 2), np.float32), 0
    for time, block in _decode_frames(container, stream, rate):
        origin = _start_of(container, time) if origin is None else origin
        gap = round((time - origin) * rate) - written
        if (written == 0 or abs(gap) > PTS_SLACK * rate) and abs(gap) < MAX_GAP * rate:
            block = block[-gap:] if gap < 0 else np.pad(block, ((gap, 0), (0, 0)))
        sound = append_block(sound, written, block)
        written += len(block)
        if written > (max_seconds + 0.1) * rate:
            raise too_long_error(max_seconds)
    if "mov" in container.format.name and stream.duration and written:
        # The codec's last block is filled up with silence; this container knows the true length.
        stop = float(((stream.start_time or 0) + stream.duration) * stream.time_base) - (origin or 0)
        written = round(stop * rate) if 0 < written - round(stop * rate) <= MAX_PADDING else written
    return sound[:written], rate


def _decode_frames(container, stream, rate: int) -> Iterator[tuple[float, np.ndarray]]:
    """(seconds on the container's clock, (n, 1 or 2) float32 at `rate`) of each frame that is not broken."""
    resampler, template, clock, layout = None, None, 0.0, "mono" if stream.channels == 1 else "stereo"
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue  # one damaged packet: the timestamps leave silence for it
        for frame in frames:
            key = (frame.format.name, frame.layout.name, frame.sample_rate)
            if key != template:  # some streams change their format on the way
                resampler, template = av.AudioResampler("fltp", layout, rate), key
            clock = frame.time if frame.time is not None else clock
            for part in resampler.resample(frame) if resampler else ():
                yield clock, part.to_ndarray().T
                clock += part.samples / rate


def _start_of(container, first_sound: float) -> float:
    """Where the container begins, in seconds: its first sound, or its first picture if that is earlier."""
    begins = [first_sound]
    for stream in container.streams.video:
        still = stream.disposition & av.stream.Disposition.attached_pic  # a cover has no time
        if not still and stream.start_time is not None:
            begins.append(float(stream.start_time * stream.time_base))
    return min(begins)
