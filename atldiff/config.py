"""Numbers of the paper, and the presets: a preset's row builds the networks and travels with them."""

from dataclasses import asdict, dataclass

FRAME_RATE = 30  # video frames a second (Sec. 3.1)
FRAME_SIZE = 128  # the network's square frames, pixels (Sec. 3.1)
WINDOW = 30  # frames the diffusion network sees at once (Sec. 2.3)
MIN_NOISE = 0.1  # the guide mask's floor (Eq. 5)
EMOTION_DIM = 64  # width of the emotion embedding e


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the 3D Identity U-Net (Sec. 2.3). `guide_channels` maps are its extra input."""

    block_out_channels: tuple[int, ...] = (32, 64, 128)
    layers_per_block: int = 1
    patch_size: int = 1
    temporal_kernel: int = 3
    separable: bool = False
    guide_channels: int = 0
    identity_dim: int = 2048
    emotion_dim: int = EMOTION_DIM


@dataclass(frozen=True)
class GuideConfig:
    """Landmarks-guide noise (Sec. 2.2, Eq. 5): `kernel` k is the odd width of the blur in pixels.

    `maps` also gives the network the point mask and the filled mouth and eyes, and lets the
    filled mouth into the noise mask; the paper uses the point mask alone, in the noise alone.
    `steady` noise is the same in all frames of a video.
    """

    kernel: int = 25
    minimum: float = MIN_NOISE
    maps: bool = False
    steady: bool = False


@dataclass(frozen=True)
class Preset:
    """One row: everything that is not a weight.

    `prior` is what the residual is added to: "identity" (the paper's still frame) or "warp"
    (the photo warped by its landmarks). `steps` is the default number of DDIM steps.
    `view_sizes` are the sides in pixels of what the network sees: the face, then the mouth.
    """

    name: str
    unet: UNetConfig
    guide: GuideConfig
    prior: str = "identity"
    steps: int = 8
    speech: str = "wav2vec2"
    identity: str = "resnet"
    overlap: int = 4
    view_sizes: tuple[int, ...] = (FRAME_SIZE,)

    def as_dict(self) -> dict:
        """Plain dict for `config.json`."""
        return asdict(self)


PRESETS = {
    preset.name: preset
    for preset in (
        # Table 1: CREMA-D 29.055 dB PSNR, 0.985 SSIM; k = 25.
        Preset("paper-crema-d", UNetConfig(), GuideConfig(kernel=25)),
        # Table 1: MEAD 28.883 dB PSNR, 0.944 SSIM; k = 11.
        Preset("paper-mead", UNetConfig(), GuideConfig(kernel=11)),
        # The embedded checkpoint: its scores are in weights/starter/MODEL_CARD.md.
        Preset(
            "starter",
            UNetConfig((64, 128, 128), patch_size=4, separable=True, guide_channels=3, identity_dim=64),
            GuideConfig(kernel=11, maps=True, steady=True),
            prior="warp",
            steps=1,
            speech="starter",
            identity="compact",
            view_sizes=(FRAME_SIZE // 2, FRAME_SIZE),
        ),
    )
}
