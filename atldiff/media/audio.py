"""Any recording -> Speech: the sound as it came, and 16 kHz mono samples for the networks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError, TooLong
from atldiff.media.voice_activity import appended, as_float, level, mono, resample, rms, speech_activity
from atldiff.memory import forget, on_disk

SAMPLE_RATE = 16_000  # what wav2vec2 and every network here hear
MAX_SOUND_RATE = 48_000  # the highest rate the video carries
MIN_SECONDS = 0.1
MAX_SECONDS = 600.0
SILENCE = 10 ** (-60 / 20)  # a recording whose loudest 20 ms lie below -60 dBFS is silent
PTS_SLACK = 0.05  # seconds; timestamps jitter, a larger step is a real gap or overlap
MAX_PADDING = 4096  # samples; codecs work in blocks of up to half of this
MAX_GAP = 60.0  # seconds; a longer step is a clock that was reset, not silence
# Self-contained files only: a playlist (hls, concat, sdp) would open other files or addresses.
CONTAINERS = (
    "wav,w64,mp3,mov,matroska,flac,ogg,aac,aiff,caf,au,amr,ac3,eac3,asf,avi,flv,mpegts,mpeg,wv,tta,ape"
)

_REMEDY = "Use a recording such as WAV, MP3, M4A, FLAC or OGG, or a video with sound"


@dataclass(frozen=True, eq=False)
class Speech:
    """One recording of speech; what is large of it lies on disk (`memory.on_disk`).

    Attributes:
        samples: (n,) float32 in [-1, 1], 16 kHz mono, without DC, at a normal speech level.
        sound: (m, channels) float32, 1 or 2 channels: the recording as it came, for the video.
        sound_rate: samples a second of `sound`, at most 48000.
    """

    samples: np.ndarray
    sound: np.ndarray
    sound_rate: int

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def num_frames(self) -> int:
        """Video frames that the recording lasts, at least 1."""
        return max(1, round(self.seconds * FRAME_RATE))

    @classmethod
    def from_samples(cls, samples: np.ndarray, rate: int = SAMPLE_RATE) -> "Speech":
        """From float samples (n,) or (n, channels) in [-1, 1], `rate` a second; nothing is checked."""
        sound = np.asarray(samples, np.float32)
        sound = sound[:, None] if sound.ndim == 1 else sound
        sound = sound if sound.shape[1] <= 2 else sound.mean(axis=1, keepdims=True)
        sound_rate = min(rate, MAX_SOUND_RATE)
        heard = level(resample(mono(sound), rate, SAMPLE_RATE), SAMPLE_RATE)
        return cls(on_disk(heard), on_disk(resample(sound, rate, sound_rate)), sound_rate)

    def cut(self, start: float, end: float) -> "Speech":
        """The part between two moments in seconds, at the same level; silence where there is no sound."""

        def part(sound: np.ndarray, rate: int) -> np.ndarray:
            first, last = round(start * rate), round(end * rate)
            missing = max(0, last - max(first, len(sound)))
            return np.pad(sound[first:last], ((0, missing), *[(0, 0)] * (sound.ndim - 1)))

        return Speech(part(self.samples, SAMPLE_RATE), part(self.sound, self.sound_rate), self.sound_rate)


def load_speech(
    source: str | Path | tuple[int, np.ndarray] | Speech, max_seconds: float = MAX_SECONDS
) -> Speech:
    """Reads a recording of speech; silence at its ends is kept.

    Args:
        source: a path to anything that holds sound (a video's sound track stays on the video's
            clock), gradio's (rate, array (n,) or (n, channels), integer or float), or a Speech.
        max_seconds: the longest recording accepted; of a longer one no more than this is decoded.

    Raises:
        InputError: missing, empty, not audio, no sound track, too short, too long, NaN, silent.
    """
    if isinstance(source, Speech):
        sound, rate = source.sound, source.sound_rate
    elif isinstance(source, tuple):
        sound, rate = _from_array(*source)
    elif isinstance(source, (str, Path)):
        sound, rate = _read_file(Path(source), max_seconds)
    else:
        raise InputError("This is not a recording", _REMEDY)
    _check(sound, rate, max_seconds)
    forget(sound)
    return source if isinstance(source, Speech) else Speech.from_samples(sound, rate)


def open_media(path: Path, what: str) -> av.container.InputContainer:
    """Opens a self-contained sound or video file.

    Args:
        what: "recording" or "video", for the message.

    Raises:
        InputError: missing, a folder, empty, unreadable, or not such a file.
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
        remedy = "Use another video" if what == "video" else _REMEDY
        raise InputError(f"The {what} {path.name} is broken or not a {what}", remedy) from error


def read_sound(
    container: av.container.InputContainer, origin: float | None = None, max_seconds: float = MAX_SECONDS
) -> tuple[np.ndarray, int]:
    """Decodes the first sound track of an open container.

    Args:
        origin: the moment of the container's clock, in seconds, that becomes sample 0: earlier sound
            is cut off, silence is put before sound that begins later. None: where the container begins.

    Returns:
        (m, 1 or 2) float32 and its rate; (0, 1) if nothing can be decoded.

    Raises:
        InputError: longer than max_seconds.
    """
    stream = container.streams.audio[0]
    rate = stream.rate or SAMPLE_RATE
    seconds = min((container.duration or 0) / av.time_base, max_seconds)
    sound, written = np.empty((round((seconds + 1) * rate), 1 if stream.channels == 1 else 2), np.float32), 0
    for time, block in _decoded(container, stream, rate):
        origin = _origin(container, time) if origin is None else origin
        gap = round((time - origin) * rate) - written
        if (written == 0 or abs(gap) > PTS_SLACK * rate) and abs(gap) < MAX_GAP * rate:
            block = block[-gap:] if gap < 0 else np.pad(block, ((gap, 0), (0, 0)))
        sound = appended(sound, written, block)
        written += len(block)
        if written > (max_seconds + 0.1) * rate:
            raise _too_long(max_seconds)
    if "mov" in container.format.name and stream.duration and written:
        # The codec's last block is filled up with silence; this container knows the true length.
        stop = float(((stream.start_time or 0) + stream.duration) * stream.time_base) - (origin or 0)
        written = round(stop * rate) if 0 < written - round(stop * rate) <= MAX_PADDING else written
    return sound[:written], rate


def voice_activity(speech: Speech) -> np.ndarray:
    """How surely somebody speaks in each video frame; frame f shows the moment f / FRAME_RATE.

    Returns:
        (num_frames,) float32 in [0, 1], smooth; steady background noise counts as silence.
    """
    times = np.arange(speech.num_frames) / FRAME_RATE
    return speech_activity(speech.samples, SAMPLE_RATE, times)


def _decoded(container, stream, rate: int) -> Iterator[tuple[float, np.ndarray]]:
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


def _origin(container, first_sound: float) -> float:
    """Where the container begins, in seconds: its first sound, or its first picture if that is earlier."""
    begins = [first_sound]
    for stream in container.streams.video:
        still = stream.disposition & av.stream.Disposition.attached_pic  # a cover has no time
        if not still and stream.start_time is not None:
            begins.append(float(stream.start_time * stream.time_base))
    return min(begins)


def _read_file(path: Path, max_seconds: float) -> tuple[np.ndarray, int]:
    """Sound (m, 1 or 2) and its rate, by PyAV; by soundfile what that cannot open."""
    try:
        with open_media(path, "recording") as container:
            if not container.streams.audio:
                raise InputError(f"The video {path.name} has no sound track", "Use a recording with speech")
            declared = (container.duration or 0) / av.time_base
            if declared > 2 * max_seconds:  # headers may be estimates: the decoder's count decides the rest
                raise _too_long(max_seconds)
            sound, rate = read_sound(container, max_seconds=max_seconds)
        if len(sound):
            return sound, rate
        raise InputError(f"No sound can be read from {path.name}", _REMEDY)
    except InputError as problem:
        if not path.is_file() or path.stat().st_size == 0:
            raise
        try:
            info = soundfile.info(path)
        except soundfile.SoundFileError:
            raise problem from None
        if info.duration > max_seconds:
            raise _too_long(max_seconds) from None
        return soundfile.read(path, dtype="float32", always_2d=True)


def _from_array(rate: int, samples: np.ndarray) -> tuple[np.ndarray, int]:
    """Gradio's pair -> float32 (n, channels) in [-1, 1] and the rate."""
    samples = np.asarray(samples)
    if samples.ndim == 2 and samples.shape[0] <= 8 < samples.shape[1]:
        samples = samples.T
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "iuf" or not 1000 <= rate <= 768_000:
        raise InputError("This is not a recording", "Give (rate, samples) with samples (n,) or (n, channels)")
    samples = as_float(samples)
    return samples[:, None] if samples.ndim == 1 else samples, int(rate)


def _check(sound: np.ndarray, rate: int, max_seconds: float) -> None:
    """Raises InputError for a recording (m, channels) that cannot be used."""
    if len(sound) < MIN_SECONDS * rate:
        raise InputError(f"The recording is shorter than {MIN_SECONDS} s", "Record at least one word")
    if len(sound) > (max_seconds + 0.1) * rate:
        raise _too_long(max_seconds)
    if not np.isfinite(sound.sum()):
        raise InputError("The recording holds values that are not numbers", "Export it again, as 16-bit WAV")
    if rms(mono(sound), max(1, round(0.02 * rate))).max() < SILENCE:
        raise InputError("The recording is silent throughout", "Check the microphone and record again")


def _too_long(max_seconds: float) -> InputError:
    return TooLong(f"The recording is longer than {max_seconds:g} s", "Cut it, or raise the limit")
