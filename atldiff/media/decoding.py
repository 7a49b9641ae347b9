"""Any sound or video file -> its sound: PyAV, and libsndfile for formats that FFmpeg does not read."""

import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile

from atldiff.config import MAX_SECONDS, SAMPLE_RATE
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

PTS_SLACK = 0.05  # seconds; timestamps jitter, a larger step is a real gap or overlap
MAX_PADDING = 4096  # samples; codecs work in blocks of up to half of this
MAX_GAP = 60.0  # seconds; a longer step is a clock that was reset, not silence
# Self-contained files only: a playlist (hls, concat, sdp) opens other files or addresses.
CONTAINERS = (
    "wav,w64,mp3,mov,matroska,flac,ogg,aac,aiff,caf,au,amr,ac3,eac3,asf,avi,flv,mpegts,mpeg,wv,tta,ape"
)

REMEDY = "Use a recording such as WAV, MP3, M4A, FLAC or OGG, or a video with sound"


class UnknownMedia(InputError):
    """The file is broken, or has a format that FFmpeg does not read."""


def open_media(path: Path, noun: str) -> av.container.InputContainer:
    """Opens a self-contained sound or video file.

    Args:
        path: of the file.
        noun: "recording" or "video", for the messages.

    Raises:
        InputError: the file is missing, a folder, empty or unreadable.
        UnknownMedia: the file is broken, or has another format.
    """
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"The {noun} {path} {problem}", f"Check the path of the {noun}")
    if path.stat().st_size == 0:
        raise InputError(f"The {noun} {path.name} is empty (0 bytes)", "Save or upload it again")
    try:
        return av.open(
            str(path.absolute()), options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
        )
    except PermissionError as error:
        raise InputError(f"The {noun} {path} may not be read", "Change its permissions") from error
    except (av.FFmpegError, UnicodeError, ValueError) as error:
        remedy = "Use another video" if noun == "video" else REMEDY
        raise UnknownMedia(f"The {noun} {path.name} is broken or not a {noun}", remedy) from error


def read_sound(
    path: Path, noun: str, origin: float | None = None, max_seconds: float = MAX_SECONDS
) -> tuple[np.ndarray, int] | None:
    """Decodes the first sound track with speech; without speech, the first track that is not silent.

    The declared length of a file may be a guess from its bit rate, so the decoded samples count.

    Args:
        path: of the file.
        noun: "recording" or "video", for the messages.
        origin: time of sample 0 on the file's clock, in seconds; None = the file's beginning. Earlier sound
            is cut off; silence fills the time before later sound.
        max_seconds: the longest track accepted; a longer one is not decoded to its end.

    Returns:
        (m, 1 or 2) float32 in [-1, 1] and its rate; (0, 1) if nothing can be decoded; None without a track.

    Raises:
        InputError: the track is longer than max_seconds.
    """
    with open_media(path, noun) as container:
        tracks = len(container.streams.audio)
        best = _read_track(container, 0, origin, max_seconds) if tracks else None
    rank = _rank(*best) if best and tracks > 1 else 0
    for index in range(1, tracks):
        if rank == _SPOKEN:
            break
        with open_media(path, noun) as container:
            track = _read_track(container, index, origin, max_seconds)
        if _rank(*track) > rank:
            best, rank = track, _rank(*track)
    return best and (limit_to_full_scale(best[0]), best[1])


def read_other_sound(path: Path, max_seconds: float = MAX_SECONDS) -> tuple[np.ndarray, int] | None:
    """Decodes a format that FFmpeg does not read (NIST SPHERE, VOC, ...).

    Returns:
        As `read_sound`; None if libsndfile cannot read the file either.

    Raises:
        InputError: the sound is longer than max_seconds.
    """
    with path.open("rb", buffering=0) as file:
        first = file.read(3)
        if first == b"ID3" or (first[:1] == b"\xff" and first[1:2] >= b"\xe0"):
            return None  # libsndfile's MPEG reader writes to the standard error
        file.seek(0)
        try:  # a descriptor, because libsndfile trusts the ending of a name
            with soundfile.SoundFile(os.dup(file.fileno()), closefd=True) as sound:
                if sound.frames > (max_seconds + 0.1) * sound.samplerate:
                    raise too_long_error(max_seconds)
                return limit_to_full_scale(sound.read(dtype="float32", always_2d=True)), sound.samplerate
        except soundfile.SoundFileError:
            return None


def too_long_error(max_seconds: float) -> TooLong:
    """The error for a recording that is longer than the limit."""
    return TooLong(f"The recording is longer than {max_seconds:g} s", "Cut it, or raise the limit")


_SILENT, _AUDIBLE, _SPOKEN = 0, 1, 2


def _rank(sound: np.ndarray, rate: int) -> int:
    """Ranks a track: silent, audible or spoken."""
    if is_silent(sound, rate):
        return _SILENT
    samples = normalise_level(resample(mix_to_mono(sound), rate, SAMPLE_RATE), SAMPLE_RATE)
    return _SPOKEN if contains_speech(samples) else _AUDIBLE


def _read_track(container, index: int, origin: float | None, max_seconds: float) -> tuple[np.ndarray, int]:
    """Decodes one sound track, see `read_sound`."""
    stream = container.streams.audio[index]
    if stream.codec_context is None:  # FFmpeg lacks the codec, such as that of an iPhone's second track
        return np.empty((0, 1), np.float32), SAMPLE_RATE
    rate = stream.rate or SAMPLE_RATE
    seconds = min(max(0, container.duration or 0) / av.time_base, max_seconds, MAX_SECONDS)
    sound, length = np.empty((round((seconds + 1) * rate), 1 if stream.channels == 1 else 2), np.float32), 0
    for time, block in _decode_frames(container, stream, rate):
        origin = _start_of(container, time) if origin is None else origin
        gap = round((time - origin) * rate) - length
        if (length == 0 or abs(gap) > PTS_SLACK * rate) and abs(gap) < MAX_GAP * rate:
            block = block[-gap:] if gap < 0 else np.pad(block, ((gap, 0), (0, 0)))
        sound = append_block(sound, length, block)
        length += len(block)
        if length > (max_seconds + 0.1) * rate:
            raise too_long_error(max_seconds)
    if "mov" in container.format.name and stream.duration and length:
        # Silence fills the codec's last block; this container knows the true length.
        stop = float(((stream.start_time or 0) + stream.duration) * stream.time_base) - (origin or 0)
        length = round(stop * rate) if 0 < length - round(stop * rate) <= MAX_PADDING else length
    return sound[:length], rate


def _decode_frames(container, stream, rate: int) -> Iterator[tuple[float, np.ndarray]]:
    """Decodes the intact frames: (seconds on the container's clock, (n, 1 or 2) float32 at `rate`)."""
    resampler, template, clock, layout = None, None, 0.0, "mono" if stream.channels == 1 else "stereo"
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue  # the timestamps leave silence for a damaged packet
        for frame in frames:
            key = (frame.format.name, frame.layout.name, frame.sample_rate)
            if key != template:  # some streams change their format midway
                resampler, template = av.AudioResampler("fltp", layout, rate), key
            clock = frame.time if frame.time is not None else clock
            for part in resampler.resample(frame) if resampler else ():
                yield clock, part.to_ndarray().T
                clock += part.samples / rate


def _start_of(container, first_sound: float) -> float:
    """The time in seconds of the container's first sound or picture, the earlier of the two."""
    starts = [first_sound]
    for stream in container.streams.video:
        cover = stream.disposition & av.stream.Disposition.attached_pic  # a cover has no time
        if not cover and stream.start_time is not None:
            starts.append(float(stream.start_time * stream.time_base))
    return min(starts)
