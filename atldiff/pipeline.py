"""ATLDiffPipeline: the one place where the stages meet: prepare -> landmarks -> render."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from diffusers.utils import BaseOutput
from PIL import Image

from . import landmarks as lm
from .audio import Speech, load_speech
from .composite import Canvas, composite, make_canvas, still_frames, view_of, warped_frames
from .config import FRAME_RATE, FRAME_SIZE, PRESETS, WINDOW
from .errors import InputError
from .face import Portrait, load_portrait
from .guide import frame_noise, guide_maps
from .identity import CompactIdentityEncoder, ResNetIdentityEncoder  # noqa: F401 - loaded by name
from .landmark_generator import LandmarkGenerator
from .motion import Motion, edit_landmarks
from .sampler import Condition, compute_dtype, make_scheduler, sample_residual
from .sequence import LandmarkSequence
from .speech_encoder import StarterSpeechEncoder, Wav2Vec2SpeechEncoder  # noqa: F401 - loaded by name
from .unet3d import IdentityUNet3DModel

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
    def preset(self):
        """The row of `config.PRESETS` this pipeline was built from."""
        return PRESETS[self.config.preset]

    @property
    def emotions(self) -> tuple[str, ...]:
        """Names that `emotion` takes."""
        return tuple(self.speech_encoder.emotions)

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
            on_step: called with (index, timestep, residual) after each DDIM step of each window.

        Yields:
            (H, W, 3) uint8, or (H, W, 4) for the background "matte".

        Raises:
            InputError: no such output or background, or a number of steps out of range.
        """
        steps = self.preset.steps if num_inference_steps is None else num_inference_steps
        if not 1 <= steps <= MAX_STEPS:
            raise InputError(f"{steps} steps cannot be made", f"Choose 1 to {MAX_STEPS}")
        zoom = self.preset.prior == "warp"
        canvas = make_canvas(portrait, sequence.points, output, background, mouth=zoom)
        return self._frames(portrait, sequence, canvas, steps, seed, callback, on_step)

    def _frames(self, portrait, sequence, canvas, steps, seed, callback, on_step) -> Iterator[np.ndarray]:
        points, total = canvas.to_canvas(sequence.points), len(sequence.points)
        identity, emotion = self._embeddings(portrait, sequence, len(canvas.views))
        overlap, known, priors = self.preset.overlap, None, None
        start = done = 0
        while done < total:
            stop = min(start + WINDOW, total)
            moving = list(self._moving(canvas, points[done:stop]))
            fresh = np.stack([[view_of(canvas, m, v) for m in moving] for v in range(len(canvas.views))])
            priors = fresh if known is None else np.concatenate([priors[:, -overlap:], fresh], axis=1)
            condition, mouths = self._condition(canvas, points[start:stop], priors, identity, emotion)
            noises = [frame_noise(seed, start, stop - start, FRAME_SIZE, v) for v in range(len(canvas.views))]
            noise = torch.stack(noises).to(self.device)
            residual = sample_residual(self.unet, self.scheduler, condition, noise, steps, known, on_step)
            known = residual[:, :, -overlap:]
            frames = residual.permute(2, 0, 3, 4, 1).float().cpu().numpy()
            for offset, part in enumerate(moving, start=done - start):
                yield composite(canvas, part, frames[offset], priors[:, offset], mouths[:, offset])
                done += 1
                if callback is not None:
                    callback(done, total)
            start = done - overlap

    def _moving(self, canvas: Canvas, points: np.ndarray) -> Iterator[np.ndarray]:
        if self.preset.prior == "warp":
            return warped_frames(canvas, points)
        return still_frames(canvas, len(points))

    def _embeddings(self, portrait: Portrait, sequence: LandmarkSequence, views: int):
        """Identity features and emotion embedding, repeated for each view."""
        still = _signed(portrait.crop(FRAME_SIZE)[None]).permute(0, 3, 1, 2).to(self.device)
        with torch.no_grad():
            identity = self.identity_encoder(still.to(self.identity_encoder.dtype)).float()
        emotion = torch.from_numpy(sequence.emotion)[None].to(self.device)
        if emotion.shape[1] != self.unet.config.emotion_dim:
            raise InputError("The landmarks were made with other weights", "Make them again with these")
        return identity.expand(views, -1), emotion.expand(views, -1)

    def _condition(self, canvas, points, priors, identity, emotion) -> tuple[Condition, np.ndarray]:
        """The window's condition, and (V, F, S, S) the filled mouth of each view."""
        in_view = torch.from_numpy(np.stack([lm.to_crop(points, view) for view in canvas.views]))
        maps, mask = guide_maps(in_view.to(self.device), FRAME_SIZE, self.preset.guide)
        prior = _signed(priors).permute(0, 4, 1, 2, 3).to(self.device)
        mouths = np.zeros(mask.shape[:1] + mask.shape[2:]) if maps is None else maps[:, 1].cpu().numpy()
        return Condition(prior, maps, mask, identity, emotion), mouths

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

        rendered = self.render(portrait, sequence, num_inference_steps, seed, output, background, on_step=step)
        frames = _as_type(np.stack(list(rendered)), output_type)
        if not return_dict:
            return frames, sequence, FRAME_RATE
        return ATLDiffPipelineOutput(frames, sequence, FRAME_RATE)

    def use_fast_dtype(self) -> "ATLDiffPipeline":
        """Puts the U-Net in the memory layout and type its device computes fastest; returns self."""
        self.unet.to(dtype=compute_dtype(self.device)).to(memory_format=torch.channels_last_3d)
        return self


def build_pipeline(preset: str = "starter", pretrained: bool = False, **parts) -> ATLDiffPipeline:
    """A pipeline of the preset with new networks, or with the given parts.

    An untrained U-Net predicts r_0 = 0: the video is the prior alone.

    Args:
        pretrained: take wav2vec2 and ResNet from the hub where the preset uses them.
        parts: any of the pipeline's components by name.

    Raises:
        OSError: `pretrained`, and the hub cannot be reached.
    """
    row = PRESETS[preset]
    if "speech_encoder" not in parts:
        kind = StarterSpeechEncoder if row.speech == "starter" else Wav2Vec2SpeechEncoder
        from_hub = pretrained and row.speech == "wav2vec2"
        parts["speech_encoder"] = kind.from_hub() if from_hub else kind()
    if "identity_encoder" not in parts:
        kind = CompactIdentityEncoder if row.identity == "compact" else ResNetIdentityEncoder
        from_hub = pretrained and row.identity == "resnet"
        parts["identity_encoder"] = kind.from_hub() if from_hub else kind()
    if "landmark_generator" not in parts:
        parts["landmark_generator"] = LandmarkGenerator(feature_dim=parts["speech_encoder"].feature_dim)
    parts.setdefault("unet", IdentityUNet3DModel(**asdict(row.unet)))
    parts.setdefault("scheduler", make_scheduler())
    return ATLDiffPipeline(**parts, preset=preset)


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


def _signed(frames: np.ndarray) -> torch.Tensor:
    """uint8 -> float32 in [-1, 1], same shape."""
    return torch.from_numpy(frames.astype(np.float32) / 127.5 - 1)


def _as_type(frames: np.ndarray, output_type: str) -> np.ndarray | torch.Tensor | list:
    if output_type == "pil":
        return [Image.fromarray(frame) for frame in frames]
    if output_type == "pt":
        return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    if output_type == "np":
        return frames
    raise InputError(f"There is no output type {output_type!r}", "Choose np, pt or pil")
