"""Prepared clips for the landmark network: speech with pose-free displacements, and their variants.

A target is what the face does beside moving as a whole: each frame is aligned to the clip's
identity frame by the points of the skull, then expressed in face units.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor

from atldiff import landmarks as lm
from atldiff.config import FRAME_RATE
from atldiff.media.audio import SAMPLE_RATE, Speech
from atldiff.speech.speech_encoder import SpeechFeatures, StarterSpeechEncoder
from atldiff.speech.wav2vec2_encoder import Encoder
from atldiff.training.resuming import writing
from atldiff.training.shards import read_prepared

MAX_YAW = 0.5  # frames that are turned further show the mouth too foreshortened to learn from
# McGurk stimuli: the sound is another syllable than the one the lips form.
INCONGRUENT = (
    "mcgurk_filyp__0c261e1f",
    "mcgurk_filyp__4def856c",
    "mcgurk_filyp__572b0642",
    "mcgurk_filyp__57dbf3a1",
    "mcgurk_filyp__b8612c79",
    "mcgurk_filyp__bf4550a3",
    "mcgurk_luvgho__04737138",
    "mcgurk_luvgho__1aa0431b",
    "mcgurk_luvgho__6d628360",
    "mcgurk_luvgho__82e70396",
    "mcgurk_luvgho__9c3431b5",
    "mcgurk_luvgho__d1fc90be",
)


@dataclass(frozen=True, eq=False)
class SpeechClip:
    """One clip.

    Attributes:
        stem, speaker: names.
        samples: (n,) float32 at 16 kHz.
        displacements: (F, 68, 2) float32 face units at 30 fps, from `identity`.
        identity: (68, 2) float32 face units, a closed-mouth frame of the clip.
        ok: (F,) bool, the frame was tracked and faces the camera.
    """

    stem: str
    speaker: str
    samples: np.ndarray
    displacements: np.ndarray
    identity: np.ndarray
    ok: np.ndarray

    @property
    def speech(self) -> Speech:
        """The sound as the encoder takes it."""
        return Speech(self.samples, self.samples[:, None], SAMPLE_RATE)


@dataclass(frozen=True, eq=False)
class Example:
    """A clip as the network sees it: features (1, T, D) half precision, and its targets."""

    acoustic: Tensor
    emotion: Tensor
    displacements: Tensor
    identity: Tensor
    ok: Tensor


def load_speech_clips(data: Path, split: str) -> list[SpeechClip]:
    """The split's speech clips from `prepare`'s folder.

    Raises:
        InputError: the folder was not prepared.
    """
    clips = []
    for entry, arrays in read_prepared(data, split):
        if entry["kind"] != "speech" or Path(entry["stem"]).name in INCONGRUENT:
            continue
        points, ok, samples = arrays["landmarks30"], arrays["ok30"], arrays["samples"]
        frames = min(len(points), int(len(samples) / SAMPLE_RATE * FRAME_RATE))
        points, ok = points[:frames], ok[:frames] & (np.abs(lm.yaw(points[:frames])) < MAX_YAW)
        if ok.sum() < FRAME_RATE // 2:
            continue
        displacements, identity = pose_free(points, ok)
        clips.append(SpeechClip(entry["stem"], entry["identity"], samples, displacements, identity, ok))
    return clips


def pose_free(points: np.ndarray, ok: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Displacements (F, 68, 2) and identity (68, 2), face units, of landmarks (F, 68, 2) in any unit.

    The identity frame is the one with the mouth most closed at the clip's usual yaw.
    """
    turned = np.abs(lm.yaw(points) - np.median(lm.yaw(points)[ok]))
    still = int(np.argmin(lm.mouth_opening(points) + 0.5 * turned + 10.0 * ~ok))
    face = lm.FaceFrame.of(points[still])
    identity = face.to_face(points[still])
    moved = face.to_face(lm.align_rigid(points, points[still]))
    return (moved - identity).astype(np.float32), identity.astype(np.float32)


def data_key(encoder: Encoder, clips: list[SpeechClip]) -> str:
    """A name for these clips as this encoder hears them: what is cached for others is not found under it."""
    digest = hashlib.blake2b(digest_size=8)
    for clip in clips:
        digest.update(clip.stem.encode())
        for array in (clip.samples, clip.displacements, clip.identity, clip.ok):
            digest.update(np.ascontiguousarray(array).tobytes())
    for name, value in encoder.state_dict().items():
        if name.split(".")[0] not in ("gate", "mean", "std"):  # the first is trained, the others are fitted
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def encode_clip(encoder: Encoder, clip: SpeechClip) -> Example:
    """The clip's features (without the gate, which is trained) and targets."""
    features: SpeechFeatures = encoder.encode(clip.speech)
    return Example(
        features.acoustic.half().cpu(),
        features.emotion.cpu(),
        torch.from_numpy(clip.displacements),
        torch.from_numpy(clip.identity),
        torch.from_numpy(clip.ok),
    )


@torch.no_grad()
def fit_features(encoder: Encoder, clips: list[SpeechClip]) -> dict[str, Tensor]:
    """Sets the buffers that standardise the starter's features from the clips, and returns them."""
    if not isinstance(encoder, StarterSpeechEncoder):
        return {}
    encoder.mean.zero_()
    encoder.std.fill_(1.0)
    acoustic = torch.cat([encoder.encode(clip.speech).acoustic[0, ::5] for clip in clips])
    encoder.mean.copy_(acoustic.mean(0))
    encoder.std.copy_(acoustic.std(0) + 1e-3)
    return {"mean": encoder.mean, "std": encoder.std}


def encoded_versions(
    out: Path, key: str, encoder: Encoder, clips: list[SpeechClip], count: int, seed: int
) -> list[list[Example]]:
    """`count` encoded versions of every clip, the first one unchanged; encoded once and kept in `out`.

    Args:
        key: of clips and encoder (`data_key`); the versions of other ones, or of another seed, are others.
    """
    versions = []
    for version in range(count):
        path = out / f"speech-{key}-{seed}-{version}.pt"
        if not path.exists():
            rng = np.random.default_rng([seed, version])
            varied = [vary(clip, clips, rng) for clip in clips] if version else clips
            part = path.with_suffix(".part")
            encoded = [vars(encode_clip(encoder, clip)) for clip in varied]
            with writing(path):
                torch.save(encoded, part)
                part.replace(path)
        versions.append([Example(**fields) for fields in torch.load(path, weights_only=True)])
    return versions


def vary(clip: SpeechClip, others: list[SpeechClip], rng: np.random.Generator) -> SpeechClip:
    """A random version: another speed and voice, room, microphone, noise, and silence around it."""
    clip = change_speed(clip, float(rng.uniform(0.86, 1.16)))
    samples = clip.samples / (np.abs(clip.samples).max() + 1e-6)
    if rng.random() < 0.4:
        samples = reverberate(samples, rng)
    samples = equalise(samples, rng)
    if rng.random() < 0.7:
        samples = add_noise(samples, others[rng.integers(len(others))].samples, rng)
    clip = replace(clip, samples=samples.astype(np.float32))
    return surround_with_silence(clip, rng) if rng.random() < 0.4 else clip


def change_speed(clip: SpeechClip, speed: float) -> SpeechClip:
    """Played `speed` times as fast, like a tape: tempo, pitch and formants move together."""
    samples = soxr.resample(clip.samples, SAMPLE_RATE * speed, SAMPLE_RATE)
    frames = int(len(samples) / SAMPLE_RATE * FRAME_RATE)
    place = np.clip(np.arange(frames) * speed, 0, len(clip.ok) - 1)
    low = place.astype(int)
    high, share = np.minimum(low + 1, len(clip.ok) - 1), (place - low)[:, None, None]
    moved = (clip.displacements[low] * (1 - share) + clip.displacements[high] * share).astype(np.float32)
    return replace(clip, samples=samples, displacements=moved, ok=clip.ok[low] & clip.ok[high])


def reverberate(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In a room whose echo is noise that decays within 0.1 to 0.4 s."""
    length = int(SAMPLE_RATE * rng.uniform(0.1, 0.4))
    echo = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    echo *= rng.uniform(0.05, 0.5) / np.linalg.norm(echo)
    echo[0] += 1.0
    size = len(samples) + length
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(echo, size), size)
    return wet[: len(samples)]


def equalise(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Through a microphone whose response wanders by some 6 dB over five octaves."""
    spectrum = np.fft.rfft(samples)
    octave = np.log2(np.maximum(np.linspace(0, SAMPLE_RATE / 2, len(spectrum)), 60.0) / 60.0)
    response = np.interp(octave, np.linspace(0, 7.1, 8), rng.normal(0, 4.0, 8))
    return np.fft.irfft(spectrum * 10 ** (response / 20), len(samples))


def add_noise(samples: np.ndarray, babble: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With coloured noise or somebody else's voice, 6 to 30 dB below the speech."""
    if rng.random() < 0.3 and len(babble):
        noise = np.resize(np.roll(babble, rng.integers(len(babble))), len(samples)).astype(np.float64)
        decibels = rng.uniform(12, 30)
    else:
        spectrum = np.fft.rfft(rng.standard_normal(len(samples)))
        hertz = np.maximum(np.linspace(0, SAMPLE_RATE / 2, len(spectrum)), 50.0)
        noise = np.fft.irfft(spectrum * hertz ** -rng.uniform(0, 1), len(samples))
        decibels = rng.uniform(6, 30)
    wanted = np.sqrt((samples**2).mean()) * 10 ** (-decibels / 20)
    return samples + noise * wanted / (np.sqrt((noise**2).mean()) + 1e-9)


def surround_with_silence(clip: SpeechClip, rng: np.random.Generator) -> SpeechClip:
    """With 0.4 to 1.2 s of room noise before and after, in which the lips are closed.

    The quarter second on either side of the speech is not learned from: nobody saw it.
    """
    before, after = (int(FRAME_RATE * rng.uniform(0.4, 1.2)) for _ in range(2))
    hop, guard = SAMPLE_RATE // FRAME_RATE, FRAME_RATE // 4
    rms = np.sqrt((clip.samples**2).mean())
    noise = (
        10 ** (-rng.uniform(35, 70) / 20) * rms * rng.standard_normal((before + after) * hop + SAMPLE_RATE)
    )
    samples = np.concatenate([noise[: before * hop], clip.samples, noise[-after * hop :]])
    still = ((before, after), (0, 0), (0, 0))
    ok = np.pad(clip.ok, (before, after), constant_values=True)
    ok[before - guard : before] = ok[len(ok) - after : len(ok) - after + guard] = False
    return replace(
        clip, samples=samples.astype(np.float32), displacements=np.pad(clip.displacements, still), ok=ok
    )
