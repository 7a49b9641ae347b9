"""ATLDiffPipeline: the one place where the stages meet: prepare -> landmarks -> render."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from diffusers.utils import BaseOutput
from PIL import Image

from atldiff.animation import AudioSource, ImageSource, animate, read_inputs
from atldiff.config import FRAME_RATE, PRESETS, WEIGHTS, LandmarkConfig, Preset, UNetConfig, shape_of
from atldiff.errors import InputError
from atldiff.loading import pipeline_folder, translate_index
from atldiff.media.speech import Speech
from atldiff.memory import give_back
from atldiff.options import AUTOMATIC, DEFAULTS, Options
from atldiff.portrait.portrait import Portrait
from atldiff.rendering.badge import badged
from atldiff.rendering.batching import WindowBatcher
from atldiff.rendering.diffusion.identity import (
    CompactIdentityEncoder,
    ResNetIdentityEncoder,
    make_identity_encoder,
)
from atldiff.rendering.diffusion.sampler import compute_dtype, make_scheduler
from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel, channels_last
from atldiff.rendering.renderer import Renderer
from atldiff.rendering.warp.canvas import make_canvas
from atldiff.rendering.warp.turn import portrait_poses
from atldiff.sequence import LandmarkSequence
from atldiff.speech.encoders import make_speech_encoder
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.motion.bilabials import recognised_bilabials
from atldiff.speech.motion.edit import edit_landmarks
from atldiff.speech.motion.expressions import EMOTIONS
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder
from atldiff.system import disable_telemetry

STARTER = WEIGHTS / "starter"
_HEARD = 0.5  # of the option feeling, where the emotion is heard


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
        preset: all that is not a weight (prior, guide, steps, shapes), or its `asdict`; travels whole in
            the checkpoint's config.
    """

    def __init__(
        self,
        speech_encoder: StarterSpeechEncoder | Wav2Vec2SpeechEncoder,
        landmark_generator: LandmarkGenerator,
        identity_encoder: CompactIdentityEncoder | ResNetIdentityEncoder,
        unet: IdentityUNet3DModel,
        scheduler: DDIMScheduler,
        preset: Preset | dict = PRESETS["starter"],
    ) -> None:
        super().__init__()
        self.register_modules(
            speech_encoder=speech_encoder,
            landmark_generator=landmark_generator,
            identity_encoder=identity_encoder,
            unet=unet,
            scheduler=scheduler,
        )
        row = preset if isinstance(preset, Preset) else Preset.from_dict(preset)
        shapes = {"unet": shape_of(UNetConfig, unet.config)}
        shapes["landmarks"] = shape_of(LandmarkConfig, landmark_generator.config)
        self.register_to_config(preset=asdict(replace(row, **shapes)))
        self._batcher: WindowBatcher | None = None

    def register_modules(self, **modules: Any) -> None:
        """As diffusers', but the config names our classes by `atldiff` alone: checkpoints outlive a module's
        place.
        """
        super().register_modules(**modules)
        self.register_to_config(**translate_index({name: self.config[name] for name in modules}))

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> Any:
        """As diffusers', of a checkpoint that any version wrote."""
        config = super().load_config(*args, **kwargs)
        return translate_index(config) if isinstance(config, dict) else config

    @classmethod
    def from_pretrained(cls, source: str | Path | None = None, **kwargs) -> "ATLDiffPipeline":
        """The embedded starter (None), a folder, or a hub repository.

        Raises:
            InputError: neither a folder nor a hub's repository with a pipeline; a broken or missing file.
        """
        folder = pipeline_folder(STARTER if source is None else source)
        disable_telemetry()  # diffusers imports ONNX Runtime where it is there
        try:
            return super().from_pretrained(str(folder), use_safetensors=True, local_files_only=True, **kwargs)
        except OSError as error:  # what diffusers makes of a cut, missing or unreadable file
            raise InputError(f"The weights in {folder} cannot be read", "Save or fetch them again") from error

    @classmethod
    def from_preset(
        cls, preset: str | Preset = "starter", pretrained: bool = False, **parts: Any
    ) -> "ATLDiffPipeline":
        """A pipeline before it is trained: new networks of the preset, or the given parts.

        An untrained U-Net predicts r_0 = 0: the video is the prior alone.

        Args:
            preset: one, or its name in `config.PRESETS`.
            pretrained: take wav2vec2 and ResNet from the hub where the preset uses them.
            parts: any of the pipeline's components by name.

        Raises:
            InputError: `pretrained`, and the hub cannot be reached.
        """
        row = preset if isinstance(preset, Preset) else PRESETS[preset]
        if "speech_encoder" not in parts:
            parts["speech_encoder"] = make_speech_encoder(row.speech, row.emotions, pretrained)
        if "identity_encoder" not in parts:
            fusion = row.unet.identity_fusion
            parts["identity_encoder"] = make_identity_encoder(row.identity, pretrained, fusion)
        if "landmark_generator" not in parts:
            width = parts["speech_encoder"].feature_dim
            parts["landmark_generator"] = LandmarkGenerator(width, **asdict(row.landmarks))
        if "unet" not in parts:
            parts["unet"] = IdentityUNet3DModel(**asdict(row.unet))
        parts.setdefault("scheduler", make_scheduler())
        return cls(**parts, preset=row)

    @property
    def preset(self) -> Preset:
        """All of this pipeline that is not a weight."""
        return Preset.from_dict(self.config.preset)

    @property
    def emotions(self) -> tuple[str, ...]:
        """Names that `emotion` takes."""
        return self.speech_encoder.emotion.names

    def prepare(
        self, image: ImageSource, audio: AudioSource, options: Options = DEFAULTS, **reading: Any
    ) -> tuple[Portrait, Speech]:
        """Reads and checks both inputs: see `animation.read_inputs`."""
        return read_inputs(image, audio, options, **reading)

    @torch.no_grad()
    def landmarks(self, portrait: Portrait, speech: Speech, options: Options = DEFAULTS) -> LandmarkSequence:
        """The landmarks of every frame (Sec. 2.1), edited as the options say.

        Raises:
            InputError: the weights know no such emotion.
        """
        emotion = None if options.emotion == AUTOMATIC else options.emotion
        if emotion is not None and emotion not in self.emotions:
            choices = ", ".join((AUTOMATIC, *self.emotions))
            raise InputError(f"emotion cannot be {emotion[:40]}", f"Choose one of {choices}")
        features = self.speech_encoder.encode(speech, emotion, self.landmark_generator.hears_waveform)
        points = self.landmark_generator.predict(features, portrait.landmarks, speech.num_frames)
        bilabials = recognised_bilabials(features)
        embedding = features.emotion[0].float().cpu()
        motion, shown = options, emotion
        if emotion is None:  # heard, and shown less than what was asked for by name
            shown = self.speech_encoder.emotion.told(embedding)
            motion = replace(options, feeling=_HEARD * options.feeling)
        about = portrait.landmarks, speech, motion, options.seed, bilabials
        points, poses = edit_landmarks(points, *about, shown if shown in EMOTIONS else None)
        del features  # as large as a recording is long, and rendering needs neither them nor its samples
        give_back(speech.samples)
        return LandmarkSequence(points, portrait.landmarks, embedding.numpy(), pose=poses)

    @torch.no_grad()
    def heard_emotion(self, sequence: LandmarkSequence) -> str | None:
        """The one of `emotions` heard in the speech behind the landmarks; None: none for sure.

        Raises:
            InputError: other weights made the landmarks.
        """
        sequence.check_emotion(self.speech_encoder.config.emotion_dim)
        return self.speech_encoder.emotion.told(torch.from_numpy(sequence.emotion))

    def render(
        self,
        portrait: Portrait,
        sequence: LandmarkSequence,
        options: Options = DEFAULTS,
        on_step: Callable[[int, torch.Tensor, torch.Tensor], None] | None = None,
    ) -> Iterator[np.ndarray]:
        """The frames, one after the other, in constant memory (Sec. 2.2, 2.3).

        Args:
            on_step: called with (index, timestep, residual) after each DDIM step of each window, the
                residual the face view's.

        Yields:
            (H, W, 3) uint8, or (H, W, 4) for the background "matte".

        Raises:
            InputError: other weights made the landmarks; already when it is called.
        """
        sequence.check_emotion(self.unet.config.emotion_dim)
        steps = options.steps or self.preset.steps
        zoom = len(self.preset.view_sizes) > 1
        sequence = replace(sequence, pose=portrait_poses(portrait, sequence.pose))
        layout = options.output, options.background, zoom
        canvas = make_canvas(portrait, sequence.points, *layout, sequence.pose)
        renderer = Renderer(self._batcher or self.unet, self.identity_encoder, self.scheduler, self.preset)
        frames = renderer.frames(portrait, sequence, canvas, steps, options.seed, on_step)
        return badged(frames) if options.badge else frames

    @torch.no_grad()
    def __call__(
        self,
        image: ImageSource,
        audio: AudioSource,
        num_inference_steps: int | None = None,
        generator: torch.Generator | int | None = None,
        callback_on_step_end: Callable | None = None,
        output_type: str = "np",
        return_dict: bool = True,
        **choices: Any,
    ) -> ATLDiffPipelineOutput | tuple:
        """All stages at once; for long recordings iterate over `render` instead.

        Args:
            num_inference_steps: the option `steps`.
            generator: the option `seed`, or a torch.Generator, whose initial seed is used.
            callback_on_step_end: called with (pipeline, index, timestep, {"latents": residual}).
            output_type: "np" (F, H, W, C) uint8, "pt" (F, C, H, W) float in [0, 1], or "pil".
            choices: any other of `Options` by name, such as emotion="happy", output="square".

        Raises:
            InputError: photo, recording or a value cannot be used.
        """
        _check_call(generator, callback_on_step_end, output_type)
        seed = generator.initial_seed() % 2**31 if isinstance(generator, torch.Generator) else generator
        given: dict[str, Any] = {"steps": num_inference_steps, "seed": seed}
        options = Options(**given, **choices)
        animation = animate(image, audio, options, self.landmarks)
        step = None
        if callback_on_step_end is not None:

            def step(index: int, timestep: torch.Tensor, residual: torch.Tensor) -> None:
                callback_on_step_end(self, index, timestep, {"latents": residual})

        rendering = self.render(animation.portrait, animation.landmarks, options, on_step=step)
        frames = _as_type(np.stack(list(rendering)), output_type)
        result = frames, animation.landmarks, FRAME_RATE
        return ATLDiffPipelineOutput(*result) if return_dict else result

    def use_fast_dtype(self) -> "ATLDiffPipeline":
        """Puts the U-Net in the memory layout and type its device computes fastest; returns self."""
        channels_last(self.unet.to(dtype=compute_dtype(self.device)))
        return self

    def batch_windows(self) -> "ATLDiffPipeline":
        """From now on, videos rendered side by side in threads share the U-Net's batches; returns self."""
        self._batcher = WindowBatcher(self.unet)
        return self


def _check_call(generator: object, callback: object, output_type: object) -> None:
    """Checks before any work what `ATLDiffPipeline.__call__` needs late.

    Raises:
        InputError: a value of another type or kind.
    """
    if output_type not in ("np", "pt", "pil"):
        raise InputError(f"There is no output type {output_type!r}", "Choose np, pt or pil")
    if generator is not None and not isinstance(generator, (int, np.integer, torch.Generator)):
        problem = f"generator cannot be of type {type(generator).__name__}"
        raise InputError(problem, "Give a torch.Generator, or a whole number as the seed")
    if callback is not None and not callable(callback):
        problem = f"callback_on_step_end cannot be of type {type(callback).__name__}"
        raise InputError(problem, "Give a function, or leave it out")


def _as_type(frames: np.ndarray, output_type: str) -> np.ndarray | torch.Tensor | list:
    if output_type == "pil":
        return [Image.fromarray(frame) for frame in frames]
    if output_type == "pt":
        return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    return frames
