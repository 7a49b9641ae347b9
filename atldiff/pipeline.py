"""ATLDiffPipeline: the one place where the stages meet: prepare -> landmarks -> render."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from diffusers.utils import BaseOutput
from PIL import Image

from atldiff.config import FRAME_RATE, PRESETS, Preset
from atldiff.errors import InputError
from atldiff.media.audio import Speech, load_speech
from atldiff.portrait.face import Portrait, load_portrait
from atldiff.rendering.composite import make_canvas
from atldiff.rendering.identity import CompactIdentityEncoder, ResNetIdentityEncoder  # noqa: F401 - loaded by name
from atldiff.rendering.sampler import compute_dtype
from atldiff.rendering.unet3d import IdentityUNet3DModel, channels_last
from atldiff.rendering.windows import Renderer
from atldiff.sequence import LandmarkSequence
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.motion import Motion, edit_landmarks
from atldiff.speech.speech_encoder import StarterSpeechEncoder  # noqa: F401 - loaded by name
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder  # noqa: F401 - loaded by name

STARTER = Path(__file__).parent / "weights" / "starter"
MAX_STEPS = 100


@dataclass
class ATLDiffPipelineOutput(BaseOutput):
    """frames: (F, H, W, C) uint8, or as `output_type` asks; landmarks: the sequence rendered; fps: 30."""

    frames: np.ndarray | torch.Tensor | list
    landmarks: LandmarkSequence
    fps: int


class ATLDiffPipeline(DiffusionPipeline):
    """One portrait and one recording of speech in, a talking video out.

    Args:
        speech_encoder, landmark_generator, identity_encoder, unet, scheduler: the trained parts.
        preset: name of the row of `config.PRESETS` whose prior, guide and steps are used.
    """

    def __init__(
        self,
        speech_encoder: StarterSpeechEncoder | Wav2Vec2SpeechEncoder,
        landmark_generator: LandmarkGenerator,
        identity_encoder: CompactIdentityEncoder | ResNetIdentityEncoder,
        unet: IdentityUNet3DModel,
        scheduler: DDIMScheduler,
        preset: str = "starter",
    ) -> None:
        super().__init__()
        assert preset in PRESETS, preset
        self.register_modules(
            speech_encoder=speech_encoder,
            landmark_generator=landmark_generator,
            identity_encoder=identity_encoder,
            unet=unet,
            scheduler=scheduler,
        )
        self.register_to_config(preset=preset)

    @classmethod
    def from_pretrained(cls, source: str | Path | None = None, **kwargs) -> "ATLDiffPipeline":
        """The embedded starter (None), a folder, or a hub repository.

        Raises:
            InputError: neither a folder with a pipeline nor a repository that the hub gives.
        """
        folder = STARTER if source is None else Path(source)
        if not folder.is_dir():
            folder = _from_hub(str(source))
        if not (folder / "model_index.json").exists():
            raise InputError(f"There is no pipeline in {folder}", "Name a folder that save_pretrained wrote")
        return super().from_pretrained(str(folder), use_safetensors=True, local_files_only=True, **kwargs)

    @property
    def preset(self) -> Preset:
        """The row of `config.PRESETS` this pipeline was built from."""
        return PRESETS[self.config.preset]

    @property
    def emotions(self) -> tuple[str, ...]:
        """Names that `emotion` takes."""
        return self.speech_encoder.emotion.names

    def prepare(
        self,
        image: str | Path | np.ndarray | Image.Image | Portrait,
        audio: str | Path | tuple[int, np.ndarray] | Speech,
        face_index: int = 0,
        detector: str = "mediapipe",
        matte: bool = False,
        max_seconds: float = 600,
    ) -> tuple[Portrait, Speech]:
        """Reads and checks both inputs (see `load_portrait`, `load_speech` for what they raise)."""
        speech = load_speech(audio, max_seconds)
        return load_portrait(image, face_index, detector, matte), speech

    @torch.no_grad()
    def landmarks(
        self,
        portrait: Portrait,
        speech: Speech,
        motion: Motion | None = None,
        emotion: str | None = None,
        seed: int = 0,
    ) -> LandmarkSequence:
        """The landmarks of every frame (Sec. 2.1), edited by `motion`.

        Args:
            emotion: one of `emotions`, or None: heard from the speech.

        Raises:
            InputError: no such emotion.
        """
        if emotion is not None and emotion not in self.emotions:
            raise InputError(f"There is no emotion {emotion!r}", f"Choose one of {', '.join(self.emotions)}")
        features = self.speech_encoder.encode(speech, emotion=emotion)
        points = self.landmark_generator.predict(features, portrait.landmarks, speech.num_frames)
        points = edit_landmarks(points, portrait.landmarks, speech, motion or Motion(), seed)
        embedding = features.emotion[0].float().cpu().numpy()
        return LandmarkSequence(points.astype(np.float32), portrait.landmarks, embedding)

    def render(
        self,
        portrait: Portrait,
        sequence: LandmarkSequence,
        num_inference_steps: int | None = None,
        seed: int = 0,
        output: str = "photo",
        background: str = "keep",
        callback: Callable[[int, int], None] | None = None,
        on_step: Callable[[int, torch.Tensor, torch.Tensor], None] | None = None,
    ) -> Iterator[np.ndarray]:
        """The frames, one after the other, in constant memory (Sec. 2.2, 2.3).

        Args:
            num_inference_steps: DDIM steps, 1 to 100; None = the preset's.
            output, background: see `composite.make_canvas`.
            callback: called with (frames done, frames in all).
            on_step: called with (index, timestep, residual) after each DDIM step of each window, the
                residual the face view's.

        Yields:
            (H, W, 3) uint8, or (H, W, 4) for the background "matte".

        Raises:
            InputError: no such output or background, or a number of steps out of range.
        """
        steps = self.preset.steps if num_inference_steps is None else num_inference_steps
        if not 1 <= steps <= MAX_STEPS:
            raise InputError(f"{steps} steps cannot be made", f"Choose 1 to {MAX_STEPS}")
        zoom = len(self.preset.view_sizes) > 1
        canvas = make_canvas(portrait, sequence.points, output, background, mouth=zoom)
        renderer = Renderer(self.unet, self.identity_encoder, self.scheduler, self.preset)
        return renderer.frames(portrait, sequence, canvas, steps, seed, callback, on_step)

    @torch.no_grad()
    def __call__(
        self,
        image: str | Path | np.ndarray | Image.Image | Portrait,
        audio: str | Path | tuple[int, np.ndarray] | Speech,
        emotion: str | None = None,
        num_inference_steps: int | None = None,
        generator: torch.Generator | int | None = None,
        motion: Motion | None = None,
        output: str = "photo",
        background: str = "keep",
        callback_on_step_end: Callable | None = None,
        output_type: str = "np",
        return_dict: bool = True,
    ) -> ATLDiffPipelineOutput | tuple:
        """All stages at once; for long recordings iterate over `render` instead.

        Args:
            generator: a torch.Generator, whose initial seed is used, or the seed itself.
            callback_on_step_end: called with (pipeline, index, timestep, {"latents": residual}).
            output_type: "np" (F, H, W, C) uint8, "pt" (F, C, H, W) float in [0, 1], or "pil".
        """
        seed = generator.initial_seed() if isinstance(generator, torch.Generator) else generator or 0
        portrait, speech = self.prepare(image, audio, matte=background != "keep")
        sequence = self.landmarks(portrait, speech, motion, emotion, seed)
        step = None
        if callback_on_step_end is not None:

            def step(index, timestep, residual):
                callback_on_step_end(self, index, timestep, {"latents": residual})

        options = (num_inference_steps, seed, output, background)
        frames = np.stack(list(self.render(portrait, sequence, *options, on_step=step)))
        frames = _as_type(frames, output_type)
        if not return_dict:
            return frames, sequence, FRAME_RATE
        return ATLDiffPipelineOutput(frames, sequence, FRAME_RATE)

    def use_fast_dtype(self) -> "ATLDiffPipeline":
        """Puts the U-Net in the memory layout and type its device computes fastest; returns self."""
        channels_last(self.unet.to(dtype=compute_dtype(self.device)))
        return self


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"The weights {name!r} are no folder here and could not be fetched from the hub",
            "Check the name and the connection, or leave them out to use the embedded starter",
        ) from error


def _as_type(frames: np.ndarray, output_type: str) -> np.ndarray | torch.Tensor | list:
    if output_type == "pil":
        return [Image.fromarray(frame) for frame in frames]
    if output_type == "pt":
        return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    if output_type == "np":
        return frames
    raise InputError(f"There is no output type {output_type!r}", "Choose np, pt or pil")
