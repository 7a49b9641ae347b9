"""Ablations: the rows of the paper's Table 3 and our own, trained alike and put into one table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from atldiff.config import Preset
from atldiff.errors import InputError
from atldiff.evaluation.report.reported import TABLE_3
from atldiff.speech.encoders import load_speech_encoder
from atldiff.training.landmarks.train import LandmarkStage, begin_generator, train_landmarks
from atldiff.training.renderer.stages import STAGES
from atldiff.training.renderer.train import train_diffusion
from atldiff.training.runs.checkpoints import save_text


@dataclass(frozen=True)
class Ablation:
    """Changes of a preset for the training of one of its parts.

    Attributes:
        part: "landmarks" or "renderer".
        landmarks: changed fields of the preset's `landmarks`.
        unet: changed fields of its `unet`.
        guide: changed fields of its `guide`.
        preset: other changed fields.
        velocity: weight of the speed in the landmarks' loss.
        pretrained: whether the spatial stage precedes the temporal one; None: the spatial stage alone.
    """

    part: str
    landmarks: dict[str, Any] = field(default_factory=dict)
    unet: dict[str, Any] = field(default_factory=dict)
    guide: dict[str, Any] = field(default_factory=dict)
    preset: dict[str, Any] = field(default_factory=dict)
    velocity: float = LandmarkStage().velocity
    pretrained: bool | None = None

    def apply_to(self, row: Preset) -> Preset:
        """The preset with the changes."""
        parts: dict[str, Any] = {
            "landmarks": replace(row.landmarks, **self.landmarks),
            "unet": replace(row.unet, **self.unet),
            "guide": replace(row.guide, **self.guide),
        }
        return replace(row, **parts, **self.preset)


ABLATIONS = {
    # Table 3 of the paper.
    "full": Ablation("landmarks"),
    "without-kfusion": Ablation("landmarks", {"no_kfusion": True}),
    "without-context-domain": Ablation("landmarks", {"no_context": True}),
    "without-global-domain": Ablation("landmarks", {"no_global": True}),
    "mlp": Ablation("landmarks", {"head": "mlp"}),
    "kan": Ablation("landmarks", {"head": "kan"}),
    # Ours.
    "without-velocity-loss": Ablation("landmarks", velocity=0.0),
    "prior=warp": Ablation("renderer", preset={"prior": "warp"}),
    "prior=identity": Ablation("renderer", preset={"prior": "identity"}),
    "guide-maps=on": Ablation("renderer", unet={"guide_channels": 3}, guide={"maps": True}),
    "guide-maps=off": Ablation("renderer", unet={"guide_channels": 0}, guide={"maps": False}),
    "patch-size=4": Ablation("renderer", unet={"patch_size": 4}),
    "patch-size=2": Ablation("renderer", unet={"patch_size": 2}),
    "spatial-pretraining=on": Ablation("renderer", pretrained=True),
    "spatial-pretraining=off": Ablation("renderer", pretrained=False),
}
COLUMNS = {
    "landmarks": ("correlation", "m_lmd", "lmd", "deviation_ratio"),
    "renderer": ("face_prior", "face_1", "lips_prior", "lips_1"),
}


def run_ablations(
    data: Path,
    out: Path,
    preset: Preset,
    speech_encoder: Path,
    names: Sequence[str] = tuple(ABLATIONS),
    steps: int | None = None,
    renderer_steps: int | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> dict:
    """Trains every row without a result in `out`; a second run resumes.

    Rows that are equal for the preset, such as "full" and "kan" of the starter, are trained once. Renderers
    are trained without the critic, which needs the guide maps. Writes `out/NAME/` (the row's run, with
    result.json), `out/ablations.json` and `out/ablations.md`.

    Args:
        data: prepared clips.
        out: the output folder.
        preset: the preset that rows change.
        speech_encoder: folder of the saved encoder.
        names: keys of ABLATIONS.
        steps: training steps of the landmark generator; None: the stage's.
        renderer_steps: training steps of each renderer stage; None: the stage's.

    Returns:
        {"preset", "seed", "rows": {name: {"part", "steps", measure: value}}}

    Raises:
        InputError: no such row; `data` was not prepared; `out` has rows of another preset, seed or number of
            steps; the disk is full.
    """
    unknown = [name for name in names if name not in ABLATIONS]
    if unknown:
        raise InputError(f"There is no ablation {unknown[0]!r}", f"Choose from {', '.join(ABLATIONS)}")
    result: dict[str, Any] = {"preset": preset.name, "seed": seed, "rows": {}}
    _check_begun(out, result)
    for name in names:
        run, ablation = out / name, ABLATIONS[name]
        file, same = run / "result.json", _find_same(ablation, preset, result["rows"])
        if same is not None:
            result["rows"][name] = result["rows"][same]
            continue
        if file.exists():
            _check_steps(file, _last_steps(ablation, steps, renderer_steps))
        else:
            row = ablation.apply_to(preset)
            if ablation.part == "landmarks":
                scores = _score_landmarks(data, run, row, ablation, speech_encoder, steps, seed, device)
            else:
                scores = _score_renderer(data, run, row, ablation, renderer_steps, seed, device)
            save_text(file, json.dumps({"part": ablation.part} | scores))
        result["rows"][name] = json.loads(file.read_text())
        _write(out, result)
    _write(out, result)
    return result


def _check_begun(out: Path, result: dict) -> None:
    """Checks that the rows in `out` have the same preset and seed."""
    table = out / "ablations.json"
    saved = json.loads(table.read_text()) if table.exists() else result
    for name in ("preset", "seed"):
        if saved[name] != result[name]:
            problem = f"The rows in {out} are of the {name} {saved[name]}, not {result[name]}"
            raise InputError(problem, "Give another --out")


def _check_steps(file: Path, steps: int) -> None:
    """Checks that a row's result comes from this number of steps."""
    saved = json.loads(file.read_text())["steps"]
    if saved != steps:
        problem = f"The row {file.parent.name} was trained for {saved} steps, not {steps}"
        raise InputError(problem, f"Remove {file.parent} to train it anew, or give another --out")


def _last_steps(ablation: Ablation, steps: int | None, renderer_steps: int | None) -> int:
    """Number of steps of the row's last stage."""
    if ablation.part == "landmarks":
        return steps or LandmarkStage().steps
    return renderer_steps or STAGES["spatial" if ablation.pretrained is None else "temporal"].steps


def _write(out: Path, result: dict) -> None:
    save_text(out / "ablations.json", json.dumps(result, indent=1))
    save_text(out / "ablations.md", as_table(result))


def _find_same(ablation: Ablation, preset: Preset, rows: dict) -> str | None:
    """The finished row with the same training, if there is one: not every ablation changes every preset."""
    for name in rows:
        other = ABLATIONS[name]
        alike = other.apply_to(preset) == ablation.apply_to(preset) and other.velocity == ablation.velocity
        if alike and other.part == ablation.part and other.pretrained == ablation.pretrained:
            return name
    return None


def as_table(result: dict) -> str:
    """The rows as Markdown, one table for each part; beside Table 3's rows the paper's own numbers."""
    lines = [f"Preset {result['preset']}, seed {result['seed']}."]
    for part, columns in COLUMNS.items():
        rows = {name: row for name, row in result["rows"].items() if row["part"] == part}
        reported = TABLE_3 if part == "landmarks" else {}
        head = [part, "steps", *columns, *(f"{name}, as reported" for name in ("m_lmd", "lmd") if reported)]
        if rows:
            lines += ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        for name, row in rows.items():
            cells = [f"{row[column]:.3f}" for column in columns]
            cells += [f"{value:.3f}" for value in reported.get(name, ())] or [""] * 2 * bool(reported)
            lines.append(f"| {name} | {row['steps']} | {' | '.join(cells)} |")
    if any(name in TABLE_3 for name in result["rows"]):
        lines += ["", "The paper's are pixels of its own clips; ours are % of the distance between the eyes."]
    return "\n".join(lines) + "\n"


def _score_landmarks(
    data: Path,
    run: Path,
    row: Preset,
    ablation: Ablation,
    speech_encoder: Path,
    steps: int | None,
    seed: int,
    device: str,
) -> dict[str, float]:
    """Trains the landmark generator; returns its best validation scores."""
    encoder = load_speech_encoder(speech_encoder)
    generator = begin_generator(encoder, row.landmarks, seed)
    stage = replace(LandmarkStage(), velocity=ablation.velocity)
    stage = stage if steps is None else replace(stage, steps=steps)
    scores = train_landmarks(data, run, encoder, generator, stage, seed, device)
    return {name: scores[name] for name in COLUMNS["landmarks"]} | {"steps": stage.steps}


def _score_renderer(
    data: Path, run: Path, row: Preset, ablation: Ablation, steps: int | None, seed: int, device: str
) -> dict[str, float]:
    """Trains the renderer; returns the last step's PSNR in dB of face and lips, given the true landmarks."""
    options: dict[str, Any] = {"preset": row, "steps": steps, "seed": seed, "device": device, "critic": False}
    last = run / "spatial"
    if ablation.pretrained is not False:
        train_diffusion(data, last, stage="spatial", **options)
    if ablation.pretrained is not None:
        start = last / "last" if ablation.pretrained else None
        last = run / "temporal"
        train_diffusion(data, last, stage="temporal", start=start, **options)
    entry = json.loads((last / "log.jsonl").read_text().splitlines()[-1])
    return {name: entry[name] for name in COLUMNS["renderer"]} | {"steps": entry["step"]}
