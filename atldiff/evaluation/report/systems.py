"""The systems that we can run: the still frame, the warp prior, and any pipeline, from sound or landmarks."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from atldiff.evaluation.report.takes import Take
from atldiff.media.video_writer import write_video
from atldiff.options import Options
from atldiff.pipeline import ATLDiffPipeline
from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel
from atldiff.sequence import LandmarkSequence

SOURCES = ("sound", "true landmarks")
_SMALL = (8, 8, 16)  # channels of a network that predicts nothing


@dataclass(frozen=True)
class StillFrame:
    """The photo for every frame: what every system must beat.

    Attributes:
        name, family, steps: as in `run.System`.
    """

    name: str = "still frame"
    family: str = "still frame"
    steps: int | None = None

    def video(self, take: Take, folder: Path) -> Path:
        """Writes the video of a take into `folder`, unless it is there."""
        path = folder / f"{take.name}.mp4"
        if not path.exists():
            write_video(path, np.repeat(take.truth[:1], len(take.truth), axis=0), take.speech)
        return path


@dataclass(frozen=True, eq=False)
class Renderings:
    """A pipeline's videos.

    Attributes:
        title: name of the pipeline.
        pipeline: it renders.
        source: one of SOURCES.
        steps: DDIM steps; None: the preset's, which the name leaves out.
        seed: of noise, blinks and head motion.
    """

    title: str
    pipeline: ATLDiffPipeline
    source: str
    steps: int | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        """Name, steps and source."""
        steps = [] if self.steps is None else [count_steps(self.steps)]
        return ", ".join([self.title, *steps, self.source])

    @property
    def family(self) -> str:
        """Name and source."""
        return f"{self.title}, {self.source}"

    def video(self, take: Take, folder: Path) -> Path:
        """Writes the video of a take into `folder`, unless it is there.

        Raises:
            InputError: the take's first frame shows no face.
        """
        path = folder / f"{take.name}.mp4"
        if not path.exists():
            options = replace(take.protocol.options, steps=self.steps, seed=self.seed)
            write_video(path, self._frames(take, options), take.speech)
        return path

    def _frames(self, take: Take, options: Options):  # noqa: ANN202 - a Rendering
        if self.source == "sound":
            sequence = self.pipeline.landmarks(take.portrait, take.speech, options)
            return self.pipeline.render(take.portrait, sequence, options)
        portrait = replace(take.portrait, landmarks=take.marks[0])  # of the tracker that gives the others
        features = self.pipeline.speech_encoder.encode(take.speech)
        emotion = features.emotion[0].float().cpu().numpy()
        sequence = LandmarkSequence(take.marks, portrait.landmarks, emotion)
        return self.pipeline.render(portrait, sequence, options)


def count_steps(steps: int) -> str:
    """The number of steps in words: "1 step", "8 steps"."""
    return f"{steps} step{'s' * (steps > 1)}"


def without_network(pipeline: ATLDiffPipeline) -> ATLDiffPipeline:
    """The pipeline with a U-Net that predicts r_0 = 0: the warp prior alone, from the same landmarks."""
    shape = replace(pipeline.preset.unet, block_out_channels=_SMALL)
    parts = pipeline.components | {"unet": IdentityUNet3DModel(**asdict(shape))}
    return ATLDiffPipeline(**parts, preset=pipeline.preset)
