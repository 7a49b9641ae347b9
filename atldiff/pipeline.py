"""ATLDiffPipeline connects the stages: prepare -> landmarks -> render."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atldiff.animation import AudioSource, ImageSource, animate, read_inputs
from atldiff.config import FRAME_RATE, PRESETS, WEIGHTS, LandmarkConfig, Preset, UNetConfig, shape_of
from atldiff.diffusers_base import DDIMScheduler, DiffusionPipeline, without_compiler
from atldiff.errors import InputError
from atldiff.loading import load_scheduler, pipeline_folder, translate_index
from atldiff.media.speech import Speech
from atldiff.memory import give_back
from atldiff.options import AUTOMATIC, DEFAULTS, Options
from atldiff.portrait.matting import lay_over_colour
from atldiff.portrait.portrait import Portrait
from atldiff.provenance.label import label_is_forced
from atldiff.provenance.origin import Origin, Rendering, hash_weights, name_weights
from atldiff.rendering.batching import WindowBatcher
from atldiff.rendering.diffusion.identity import (
    CompactIdentityEncoder,
    ResNetIdentityEncoder,
    make_identity_encoder,
)
from atldiff.rendering.diffusion.sampler import compute_dtype, make_scheduler
from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel, channels_last
from atldiff.rendering.output.result import ATLDiffPipelineOutput, add_text, check_call, convert_frames
from atldiff.rendering.renderer import Renderer
from atldiff.rendering.warp.canvas import make_canvas, split_ground
from atldiff.rendering.warp.turn import portrait_poses
from atldiff.sequence import LandmarkSequence
from atldiff.speech.encoders import make_speech_encoder
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.motion.bilabials import recognised_bilabials
from atldiff.speech.motion.edit import edit_landmarks
from atldiff.speech.motion.expressions import EMOTIONS, RECOGNISED_FEELING
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder
from atldiff.system import disable_telemetry

STARTER = WEIGHTS / "starter"


class ATLDiffPipeline(DiffusionPipeline):
    """Makes a talking video from one portrait and one recording of speech.

    Args:
        speech_encoder: recording -> speech features and emotion.
        landmark_generator: speech features -> landmarks (Sec. 2.1).
        identity_encoder: portrait -> identity features.
        unet: the diffusion network (Sec. 2.3).
        scheduler: the noise schedule.
        preset: everything that is not a weight, or its `asdict`; it is part of the checkpoint's config.
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
        """Names our classes by the package `atldiff` alone, so that checkpoints know no module."""
        super().register_modules(**modules)
        self.register_to_config(**translate_index({name: self.config[name] for name in modules}))

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> Any:
        """Reads the config of a checkpoint of any version."""
        config = super().load_config(*args, **kwargs)
        return translate_index(config) if isinstance(config, dict) else config

    @classmethod
    def from_pretrained(cls, source: str | Path | None = None, **kwargs) -> "ATLDiffPipeline":
        """Loads a pipeline.

        Args:
            source: a folder or a hub repository; None = the embedded starter.

        Raises:
            InputError: `source` holds no pipeline, or a file is broken or missing.
        """
        folder = pipeline_folder(STARTER if source is None else source)
        if (scheduler := load_scheduler(folder)) is not None:
            kwargs.setdefault("scheduler", scheduler)
        disable_telemetry()  # diffusers imports ONNX Runtime if it is installed
        try:
            with without_compiler():
                return super().from_pretrained(
                    str(folder), use_safetensors=True, local_files_only=True, **kwargs
                )
        except OSError as error:  # diffusers raises it for a cut, missing or unreadable file
            raise InputError(f"The weights in {folder} cannot be read", "Save or fetch them again") from error

    @classmethod
    def from_preset(
        cls, preset: str | Preset = "starter", pretrained: bool = False, **parts: Any
    ) -> "ATLDiffPipeline":
        """Builds an untrained pipeline. Its U-Net predicts r_0 = 0: the video is the prior alone.

        Args:
            preset: a preset, or its name in `config.PRESETS`.
            pretrained: load the preset's wav2vec2 and ResNet from the hub.
            parts: components to use instead of new ones, by name.

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
        """Everything about this pipeline that is not a weight."""
        return Preset.from_dict(self.config.preset)

    @property
    def emotions(self) -> tuple[str, ...]:
        """The names that the option `emotion` takes: what the weights know, then what only a face shows."""
        known = self.speech_encoder.emotion.names
        return *known, *(name for name in EMOTIONS if name not in known)

    def check_emotion(self, name: str) -> None:
        """Checks a value of the option `emotion`.

        Raises:
            InputError: the weights do not know it.
        """
        choices = AUTOMATIC, *self.emotions
        if name not in choices:
            raise InputError(f"emotion cannot be {name[:40]}", f"Choose one of {', '.join(choices)}")

    @property
    def renderer(self) -> Renderer:
        """What turns landmarks into pictures; it shares the networks with this pipeline."""
        return Renderer(self._batcher or self.unet, self.identity_encoder, self.scheduler, self.preset)

    def prepare(
        self, image: ImageSource, audio: AudioSource, options: Options = DEFAULTS, **reading: Any
    ) -> tuple[Portrait, Speech]:
        """Reads and checks both inputs: see `animation.read_inputs`."""
        return read_inputs(image, audio, options, **reading)

    @torch.no_grad()
    def landmarks(self, portrait: Portrait, speech: Speech, options: Options = DEFAULTS) -> LandmarkSequence:
        """Predicts the landmarks of every frame (Sec. 2.1) and applies the options' edits.

        Raises:
            InputError: the weights do not know the emotion.
        """
        self.check_emotion(options.emotion)
        emotion = None if options.emotion == AUTOMATIC else options.emotion
        features = self.speech_encoder.encode(speech, emotion, self.landmark_generator.hears_waveform)
        points = self.landmark_generator.predict(features, portrait.landmarks, speech.num_frames)
        bilabials = recognised_bilabials(features)
        heard = features.emotion if features.heard is None else features.heard
        embedding = heard[0].float().cpu()  # of the voice: a name moves landmarks, and tints nothing
        motion = options
        if emotion is None:
            emotion = self.speech_encoder.emotion.classify(embedding)
            motion = replace(options, feeling=RECOGNISED_FEELING * options.feeling)
        expression = emotion if emotion in EMOTIONS else None
        inputs = portrait.landmarks, speech, motion, options.seed, bilabials, expression
        points, poses = edit_landmarks(points, *inputs)
        del features  # rendering needs neither the features nor the samples of a long recording
        give_back(speech.samples)
        return LandmarkSequence(points, portrait.landmarks, embedding.numpy(), pose=poses)

    @torch.no_grad()
    def recognise_emotion(self, sequence: LandmarkSequence) -> str | None:
        """Classifies the emotion of the speech behind the landmarks; None if none is sure.

        Raises:
            InputError: the landmarks come from other weights.
        """
        sequence.check_emotion(self.speech_encoder.config.emotion_dim)
        return self.speech_encoder.emotion.classify(torch.from_numpy(sequence.emotion))

    def render(
        self,
        portrait: Portrait,
        sequence: LandmarkSequence,
        options: Options = DEFAULTS,
        on_step: Callable[[int, torch.Tensor, torch.Tensor], None] | None = None,
        speech: Speech | None = None,
    ) -> Rendering:
        """Renders the frames one by one, in constant memory (Sec. 2.2, 2.3).

        Args:
            portrait: the photo.
            sequence: landmarks of every frame, pixels of the photo.
            on_step: called with (index, timestep, face view's residual) after each DDIM step of a window.
            speech: times the captions; None spreads them evenly.

        Returns:
            The frames, (H, W, 3) uint8, or (H, W, 4) for the background "matte".

        Raises:
            InputError: the landmarks come from other weights, or the captions cannot be drawn. The call
                raises it, not the first frame.
        """
        frames = self.render_plain(portrait, sequence, options, on_step)
        frames = add_text(frames, options, speech, len(sequence.points))
        return Rendering(frames, self.origin(portrait, options))

    def render_plain(
        self,
        portrait: Portrait,
        sequence: LandmarkSequence,
        options: Options = DEFAULTS,
        on_step: Callable[[int, torch.Tensor, torch.Tensor], None] | None = None,
    ) -> Iterator[np.ndarray]:
        """Does the work of `render`, but for captions and badge."""
        sequence.check_emotion(self.unet.config.emotion_dim)
        steps = options.steps or self.preset.steps
        zoom = len(self.preset.view_sizes) > 1
        sequence = replace(sequence, pose=portrait_poses(portrait, sequence.pose))
        background, colour = split_ground(options.background, self.preset.prior)
        canvas = make_canvas(portrait, sequence.points, options.output, background, zoom, sequence.pose)
        frames = self.renderer.frames(portrait, sequence, canvas, steps, options.seed, on_step)
        return frames if colour is None else lay_over_colour(frames, colour)

    def origin(self, portrait: Portrait, options: Options) -> Origin:
        """What a video is made from, but for the recording."""
        folder = self.name_or_path or ""
        weights, content = (name_weights(folder), hash_weights(folder)) if folder else ("", "")
        choices = asdict(options) | ({"badge": True} if label_is_forced() else {})
        return Origin(portrait.fingerprint, "", weights, content, choices)

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
        driving_video: str | Path | None = None,
        backdrop: str | Path | None = None,
        **choices: Any,
    ) -> ATLDiffPipelineOutput | tuple:
        """Runs all stages at once. For long recordings iterate over `render` instead.

        Args:
            image: the photo, see `load_portrait`.
            audio: the recording, see `load_speech`.
            num_inference_steps: the option `steps`.
            generator: the option `seed`, or a torch.Generator for its initial seed.
            callback_on_step_end: called with (pipeline, index, timestep, {"latents": residual}).
            output_type: "np" (F, H, W, C) uint8, "pt" (F, C, H, W) float in [0, 1], or "pil".
            return_dict: return an ATLDiffPipelineOutput; a tuple of its fields otherwise.
            driving_video: a video whose head, brows and blinks replace those from the voice.
            backdrop: a picture to lay behind the person.
            choices: any other of `Options` by name, such as emotion="happy", output="square".

        Raises:
            InputError: the photo, the recording or a value cannot be used.
        """
        check_call(generator, callback_on_step_end, output_type)
        seed = generator.initial_seed() % 2**31 if isinstance(generator, torch.Generator) else generator
        arguments: dict[str, Any] = {"steps": num_inference_steps, "seed": seed}
        options = Options(**arguments, **choices)
        files = {"driving_video": driving_video, "backdrop": backdrop}
        animation = animate(image, audio, options, self.landmarks, **files)
        step = None
        if callback_on_step_end is not None:

            def step(index: int, timestep: torch.Tensor, residual: torch.Tensor) -> None:
                callback_on_step_end(self, index, timestep, {"latents": residual})

        rendering = self.render(animation.portrait, animation.landmarks, options, step, animation.speech)
        frames = convert_frames(np.stack(list(rendering)), output_type)
        result = frames, animation.landmarks, FRAME_RATE
        return ATLDiffPipelineOutput(*result) if return_dict else result

    def use_fast_dtype(self) -> "ATLDiffPipeline":
        """Converts the U-Net to its device's fastest memory layout and type; returns self."""
        channels_last(self.unet.to(dtype=compute_dtype(self.device)))
        return self

    def batch_windows(self) -> "ATLDiffPipeline":
        """Lets videos that are rendered in parallel threads share the U-Net's batches; returns self."""
        self._batcher = WindowBatcher(self.unet)
        return self
