"""Numbers of the paper, and the presets. A preset builds the networks and is saved with them."""

import json
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from atldiff.errors import InputError

WEIGHTS = Path(__file__).parent / "weights"  # the package's own weights
FRAME_RATE = 30  # video frames a second (Sec. 3.1)
SAMPLE_RATE = 16_000  # samples a second of every network's audio
MAX_SECONDS = 600.0  # the longest recording that is accepted
FRAME_SIZE = 128  # side in pixels of the network's square frames (Sec. 3.1)
WINDOW = 30  # frames the diffusion network sees at once (Sec. 2.3)
FIRST_WINDOWS = (8, 15)  # frames of a video's first windows
MAX_STEPS = 1000  # T, the timesteps of training and the most steps of DDIM
MAX_VIEW = 1024  # largest side in pixels of the network's input
PRIORS = ("identity", "warp")
MIN_NOISE = 0.1  # the guide mask's floor (Eq. 5)
EMOTION_DIM = 64  # width of the emotion embedding e
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")  # of RAVDESS
CREMA_D_EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgust")
MEAD_EMOTIONS = (*CREMA_D_EMOTIONS, "surprised", "contempt")


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the 3D Identity U-Net (Sec. 2.3); see `IdentityUNet3DModel` for the meaning of each."""

    block_out_channels: tuple[int, ...] = (32, 64, 128)
    layers_per_block: int = 1
    patch_size: int = 1
    temporal_kernel: int = 3
    separable: bool = False
    guide_channels: int = 0
    identity_dim: int = 2048
    emotion_dim: int = EMOTION_DIM
    style_dim: int = 0
    identity_fusion: str = "channels"
    temporal_first: bool = False


@dataclass(frozen=True)
class LandmarkConfig:
    """Shape of the landmark generator (Sec. 2.1); see `LandmarkGenerator` for the meaning of each."""

    width: int = 128
    heads: int = 4
    layers: int = 2
    channels: int = 8
    hidden: int = 64
    components: int = 136
    head: str = "kan"
    no_kfusion: bool = False
    no_context: bool = False
    no_global: bool = False
    dropout: float = 0.1
    global_input: str = "features"


@dataclass(frozen=True)
class GuideConfig:
    """Landmarks-guide noise (Sec. 2.2, Eq. 5).

    The paper uses the point mask alone, and in the noise alone.

    Attributes:
        kernel: k, the odd width of the blur in pixels.
        minimum: floor of the mask, 0 to 1.
        maps: also input the point mask and the filled mouth and eyes; add the filled mouth to the noise mask.
        steady: use the same noise in all frames of a video.

    Raises:
        InputError: a value is out of range.
    """

    kernel: int = 25
    minimum: float = MIN_NOISE
    maps: bool = False
    steady: bool = False

    def __post_init__(self) -> None:
        """Checks the values that a mask depends on."""
        odd = _is_whole(self.kernel, 1, FRAME_SIZE) and self.kernel % 2 == 1
        _check("kernel", odd, f"an odd whole number from 1 to {FRAME_SIZE}")
        share = isinstance(self.minimum, (int, float)) and 0 <= self.minimum <= 1
        _check("minimum", share, "a number from 0 to 1")


@dataclass(frozen=True)
class Preset:
    """Everything about a pipeline that is not a weight.

    Attributes:
        name: key in `PRESETS`.
        unet: shape of the U-Net.
        guide: the noise mask.
        landmarks: shape of the landmark generator.
        prior: base of the residual: "identity" (the paper's still frame) or "warp" (the warped photo).
        steps: default number of DDIM steps.
        speech: "starter", or the name on the hub or folder of the paper's wav2vec2.
        identity: "compact", or the name on the hub or folder of a ResNet.
        emotions: classes of the recogniser.
        overlap: frames that neighbouring windows share.
        view_sizes: sides in pixels of the network's views: the face, then the mouth.
        training_frames: frames of a window in the temporal stage.

    Raises:
        InputError: a value is out of range.
    """

    name: str
    unet: UNetConfig
    guide: GuideConfig
    landmarks: LandmarkConfig = LandmarkConfig()
    prior: str = "identity"
    steps: int = 8
    speech: str = "facebook/wav2vec2-base-960h"
    identity: str = "microsoft/resnet-50"
    emotions: tuple[str, ...] = EMOTIONS
    overlap: int = 4
    view_sizes: tuple[int, ...] = (FRAME_SIZE,)
    training_frames: int = 6

    def __post_init__(self) -> None:
        """Checks every value that the renderer depends on."""
        _check("prior", self.prior in PRIORS, f"one of {', '.join(PRIORS)}")
        _check("steps", _is_whole(self.steps, 1, MAX_STEPS), f"a whole number from 1 to {MAX_STEPS}")
        longest = min(FIRST_WINDOWS) - 1
        _check("overlap", _is_whole(self.overlap, 0, longest), f"a whole number from 0 to {longest}")
        names = bool(self.emotions) and all(isinstance(name, str) and name for name in self.emotions)
        _check("emotions", names, "a list of names")
        channels = self.unet.block_out_channels
        _check(
            "block_out_channels", bool(channels) and all(map(_is_positive, channels)), "whole numbers above 0"
        )
        for value in (*astuple(self.unet)[1:], *astuple(self.landmarks)):
            valid = isinstance(value, str) or (isinstance(value, (int, float)) and value >= 0)
            _check("the networks' shape", valid, "numbers from 0 on")
        unit = max(1, self.unet.patch_size) * 2 ** (len(channels) - 1)
        valid = all(_is_whole(size, unit, MAX_VIEW) and size % unit == 0 for size in self.view_sizes)
        _check("view_sizes", len(self.view_sizes) in (1, 2) and valid, f"one or two multiples of {unit}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preset":
        """Builds a preset from the `dataclasses.asdict` in a checkpoint's config or a file.

        Raises:
            InputError: another version wrote it, or a value is out of range.
        """
        try:
            parts = {name: kind(**_with_tuples(values[name])) for name, kind in _PARTS.items()}
            return cls(**(_with_tuples(values) | parts))
        except (AttributeError, KeyError, TypeError) as error:
            problem = f"This preset was written by another version of atldiff ({error})"
            raise InputError(
                problem, "Export the weights again, or use the version that wrote them"
            ) from error


_PARTS = {"unet": UNetConfig, "guide": GuideConfig, "landmarks": LandmarkConfig}


def _check(name: str, valid: bool, demand: str) -> None:
    """Raises InputError unless a preset's value is valid."""
    if not valid:
        raise InputError(f"The preset's {name} cannot be used", f"Give {demand}")


def _is_whole(value: object, low: int, high: int) -> bool:
    """Whether a value is a whole number from low to high."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_positive(value: object) -> bool:
    """Whether a value is a whole number above 0."""
    return _is_whole(value, 1, 2**31)


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Replaces JSON's lists by tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def read_preset(name: str) -> Preset:
    """Reads a preset by its name in PRESETS, or from a .json file.

    Raises:
        InputError: there is no such preset or file, or the file holds no preset.
    """
    if name in PRESETS:
        return PRESETS[name]
    try:
        values = json.loads(Path(name).read_text())
    except (OSError, ValueError) as error:
        remedy = f"Choose one of {', '.join(PRESETS)}, or a .json file of one"
        raise InputError(f"There is no preset {name!r}", remedy) from error
    return Preset.from_dict(values)


def shape_of(kind: type, config: dict[str, Any]) -> Any:
    """Reads a network's shape from its diffusers config; `kind` is UNetConfig or LandmarkConfig."""
    return kind(**_with_tuples({field.name: config[field.name] for field in fields(kind)}))


# The paper's networks: 3D convolutions, an identity map (Sec. 2.3), raw sound in the Global Domain (Eq. 1).
_PAPER: dict[str, Any] = {
    "unet": UNetConfig(identity_fusion="map", temporal_first=True),
    "landmarks": LandmarkConfig(global_input="raw"),
    "training_frames": WINDOW,
}
PRESETS = {
    preset.name: preset
    for preset in (
        # Table 1: CREMA-D 29.055 dB PSNR, 0.985 SSIM; k = 25.
        Preset("paper-crema-d", guide=GuideConfig(kernel=25), emotions=CREMA_D_EMOTIONS, **_PAPER),
        # Table 1: MEAD 28.883 dB PSNR, 0.944 SSIM; k = 11.
        Preset("paper-mead", guide=GuideConfig(kernel=11), emotions=MEAD_EMOTIONS, **_PAPER),
        # The embedded checkpoint: its scores are in weights/starter/MODEL_CARD.md.
        Preset(
            "starter",
            UNetConfig(
                (64, 128, 128), patch_size=4, separable=True, guide_channels=3, identity_dim=64, style_dim=4
            ),
            GuideConfig(kernel=11, maps=True, steady=True),
            # The training set is small: a larger generator overfits.
            LandmarkConfig(64, layers=1, channels=4, components=24, dropout=0.3),
            prior="warp",
            steps=1,
            speech="starter",
            identity="compact",
            view_sizes=(FRAME_SIZE // 2, FRAME_SIZE),
        ),
    )
}
