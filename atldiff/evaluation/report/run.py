"""Runs the evaluation: takes, videos, scores; what exists in the folder is kept.

- inputs/PROTOCOL/TAKE.png and TAKE.wav: what every system is given.
- videos/PROTOCOL/SYSTEM/TAKE.mp4: what we made; scores/PROTOCOL/SYSTEM/TAKE.json: its scores.
- side-by-side/PROTOCOL/TAKE.mp4: the first takes, true and by all systems.
- settings.json: what may not change between runs.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import numpy as np
import soundfile
from PIL import Image
from tqdm import tqdm

from atldiff.errors import InputError
from atldiff.evaluation.measures.networks import NO_NETWORKS, Networks
from atldiff.evaluation.pictures import as_json
from atldiff.evaluation.report.finished import FinishedVideos, read_aligned
from atldiff.evaluation.report.scores import Sound, score_video
from atldiff.evaluation.report.side_by_side import write_side_by_side
from atldiff.evaluation.report.takes import WHOLE, Cut, Protocol, Reference, Take, make_takes
from atldiff.speech.encoders import Encoder
from atldiff.system import atomic_write

SIDE_BY_SIDE = "side-by-side"
SHOWN = 6  # takes of a protocol, side by side


class System(Interface):
    """Anything with a video of each take."""

    @property
    def name(self) -> str:
        """Name of the system."""

    @property
    def family(self) -> str:
        """Its name without the number of steps."""

    @property
    def steps(self) -> int | None:
        """DDIM steps; None: it is no pipeline of ours."""

    def video(self, take: Take, folder: Path) -> Path:
        """The video of a take, perhaps written into `folder`; raises InputError if there is none."""


@dataclass(eq=False)
class Results:
    """All scores.

    Attributes:
        rows: one for each video: system, family, steps, protocol, take, person, video (its path), scores and
            seconds of `scores.score_video`, features (file of `Networks.features`, or None).
        skipped: what was left out, and why.
    """

    rows: list[dict] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def evaluate(
    references: Sequence[Reference],
    systems: Sequence[System],
    protocols: Sequence[Protocol],
    out: Path,
    encoder: Encoder,
    settings: dict,
    cut: Cut = WHOLE,
    networks: Networks = NO_NETWORKS,
) -> Results:
    """Makes and scores the videos of all systems; a second run resumes and gives the same numbers.

    Args:
        references: the true clips.
        systems: what is scored.
        protocols: each is one table.
        out: folder of the results.
        encoder: hears p, b and m.
        settings: other values that may not change in `out`, such as the seed.
        cut: how much of each clip is used.
        networks: of FID, FVD, identity and LSE.

    Raises:
        InputError: `out` was begun with other settings.
    """
    check_settings(out, settings | asdict(cut))
    results = Results()
    scorer = Scorer(systems, out, encoder, networks, results)
    with tqdm(total=len(references) * len(protocols), desc="clips", unit="clip", smoothing=0.1) as bar:
        for protocol in protocols:
            for reference in references:
                bar.set_postfix_str(f"{protocol.name} {reference.name}")
                try:
                    for take in make_takes(reference, protocol, cut):
                        scorer.score_take(take)
                except InputError as error:
                    results.skipped.append(f"{protocol.name}, {reference.name}: {error}")
                bar.update()
    return results


def check_settings(out: Path, settings: dict) -> None:
    """Writes the settings at the first run, and compares them at the next.

    Raises:
        InputError: they differ, or the folder cannot be written.
    """
    file = out / "settings.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        earlier = json.loads(file.read_text()) if file.exists() else {}
        changed = [name for name, value in settings.items() if earlier.get(name, value) != value]
        if changed:
            problem = f"{out} was begun with {changed[0]} = {earlier[changed[0]]}, not {settings[changed[0]]}"
            raise InputError(problem, "Give another --out, or the settings it was begun with")
        _write(file, json.dumps(earlier | settings, indent=1))
    except OSError as error:
        raise InputError(f"{out} cannot be written", "Choose another --out") from error


@dataclass(eq=False)
class Scorer:
    """Scores takes by all systems.

    Attributes:
        systems: what is scored.
        out: folder of the results.
        encoder: hears p, b and m.
        networks: of FID, FVD, identity and LSE.
        results: gets the rows.
    """

    systems: Sequence[System]
    out: Path
    encoder: Encoder
    networks: Networks
    results: Results

    def score_take(self, take: Take) -> None:
        """Makes and scores the videos that are not there yet; notes what cannot be."""
        sound, rows = None, list[dict]()
        try:
            for system in self.systems:
                file = self._file(take, system)
                if isinstance(system, FinishedVideos) and take.name not in system.files:
                    continue
                if not _is_scored(file, system, take):
                    sound = self._hear(take) if sound is None else sound
                    try:
                        self._score(take, system, sound, file)
                    except InputError as error:
                        self._skip(f"{system.name}, {take.name}", error, take)
                        continue
                rows.append(self._row(system, file))
            if rows and self._shown(take):
                write_side_by_side(
                    self.out / SIDE_BY_SIDE / take.protocol.name / f"{take.name}.mp4", take, rows
                )
        except InputError as error:  # of the true clip
            self._skip(take.name, error, take)
        self.results.rows += rows

    def _hear(self, take: Take) -> Sound:
        """Writes the inputs of a take, and hears it; a true clip without a face raises InputError."""
        assert take.portrait is not None and take.track is not None
        folder = self.out / "inputs" / take.protocol.name
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(take.truth[0]).save(folder / f"{take.name}.png")
        soundfile.write(folder / f"{take.name}.wav", take.speech.sound, take.speech.sound_rate)
        return Sound.from_take(take, self.encoder)

    def _score(self, take: Take, system: System, sound: Sound, file: Path) -> None:
        """Writes the scores of one video, and its features if there are networks."""
        folder = self.out / "videos" / take.protocol.name / file_name(system.name)
        folder.mkdir(parents=True, exist_ok=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        video = system.video(take, folder)
        frames = read_aligned(video, take)
        row = {"protocol": take.protocol.name, "take": take.name, "person": take.person}
        row |= {"video": str(video.resolve())} | score_video(take, frames, sound, self.networks)
        features = self.networks.features(frames[1:])
        if features:
            true = self.networks.features(take.truth[1 : len(frames)])
            arrays: dict[str, Any] = features | {f"true {name}": value for name, value in true.items()}
            with atomic_write(file.with_suffix(".npz")) as part, part.open("wb") as target:
                np.savez(target, **arrays)
        _write(file, as_json(row))

    def _row(self, system: System, file: Path) -> dict:
        """The row of a scored video."""
        features = file.with_suffix(".npz")
        row = {"system": system.name, "family": system.family, "steps": system.steps}
        return row | json.loads(file.read_text()) | {"features": str(features) if features.exists() else None}

    def _shown(self, take: Take) -> bool:
        """Is the take one of the first of its protocol?"""
        names = dict.fromkeys(
            row["take"] for row in self.results.rows if row["protocol"] == take.protocol.name
        )
        return len(names) < SHOWN

    def _file(self, take: Take, system: System) -> Path:
        return self.out / "scores" / take.protocol.name / file_name(system.name) / f"{take.name}.json"

    def _skip(self, what: str, error: InputError, take: Take) -> None:
        self.results.skipped.append(f"{take.protocol.name}, {what}: {error}")


def _is_scored(file: Path, system: System, take: Take) -> bool:
    """Are there scores, and are they newer than somebody's finished video?"""
    if not file.exists() or not isinstance(system, FinishedVideos):
        return file.exists()
    return file.stat().st_mtime >= system.files[take.name].stat().st_mtime


def file_name(text: str) -> str:
    """A system's name as a folder's."""
    return re.sub(r"[^\w.-]+", "-", text)


def _write(file: Path, text: str) -> None:
    with atomic_write(file) as part:
        part.write_text(text)
