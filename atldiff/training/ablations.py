"""Ablations by name: the rows of the paper's Table 3 and ours, trained alike and put into one table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from atldiff.config import Preset
from atldiff.errors import InputError
from atldiff.speech.encoders import load_speech_encoder
from atldiff.training.landmarks.train import LandmarkStage, begin_generator, train_landmarks
from atldiff.training.renderer.stages import STAGES
from atldiff.training.renderer.train import train_diffusion
from atldiff.training.runs.checkpoints import save_text


@dataclass(frozen=True)
class Ablation:
    """What is changed of a preset before one of its parts is trained.

    Attributes:
        part: "landmarks" or "renderer".
        landmarks, unet, guide: changes of these shapes.  preset: changes of the row itself.
        velocity: weight of the speed in the landmarks' loss.
        pretrained: the renderer's spatial stage comes before the temporal one; None: spatial alone.
    """

    part: str
    landmarks: dict[str, Any] = field(default_factory=dict)
    unet: dict[str, Any] = field(default_factory=dict)
    guide: dict[str, Any] = field(default_factory=dict)
    preset: dict[str, Any] = field(default_factory=dict)
    velocity: float = LandmarkStage().velocity
    pretrained: bool | None = None

    def of(self, row: Preset) -> Preset:
        """The changed row."""
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
    """Trains every row that `out` has no result of yet; run again to resume. Rows that are the same of this
    preset, such as "full" and "kan" of the starter, are trained once.

    Writes `out/NAME/` (the row's run, with result.json), `out/ablations.json` and `out/ablations.md`. All
    renderers are trained without the critic, which needs the guide maps.

    Args:
        steps: of the landmark generator.  renderer_steps: of each of the renderer's stages.

    Returns:
        {"preset", "seed", "rows": {name: {"part", "steps", measure: value}}}

    Raises:
        InputError: no such row; `data` was not prepared; `out` was begun with another preset, seed or number
            of steps; the disk is full.
    """
    unknown = [name for name in names if name not in ABLATIONS]
    if unknown:
        raise InputError(f"There is no ablation {unknown[0]!r}", f"Choose from {', '.join(ABLATIONS)}")
    result: dict[str, Any] = {"preset": preset.name, "seed": seed, "rows": {}}
    _check_begun(out, result)
    for name in names:
        run, ablation = out / name, ABLATIONS[name]
        done, same = run / "result.json", _same(ablation, preset, result["rows"])
        if same is not None:
            result["rows"][name] = result["rows"][same]
            continue
        if done.exists():
            _check_steps(done, _steps_of(ablation, steps, renderer_steps))
        else:
            common = (data, run, ablation.of(preset), ablation)
            if ablation.part == "landmarks":
                scores = _landmarks(*common, speech_encoder, steps, seed, device)
            else:
                scores = _renderer(*common, renderer_steps, seed, device)
            save_text(done, json.dumps({"part": ablation.part} | scores))
        result["rows"][name] = json.loads(done.read_text())
        _write(out, result)
    _write(out, result)
    return result


def _check_begun(out: Path, result: dict) -> None:
    """The rows that `out` has are of this preset and seed."""
    table = out / "ablations.json"
    kept = json.loads(table.read_text()) if table.exists() else result
    for name in ("preset", "seed"):
        if kept[name] != result[name]:
            problem = f"The rows in {out} are of the {name} {kept[name]}, not {result[name]}"
            raise InputError(problem, "Give another --out")


def _check_steps(done: Path, steps: int) -> None:
    """A row that was trained for so many steps, before it is put beside others."""
    kept = json.loads(done.read_text())["steps"]
    if kept != steps:
        problem = f"The row {done.parent.name} was trained for {kept} steps, not {steps}"
        raise InputError(problem, f"Remove {done.parent} to train it anew, or give another --out")


def _steps_of(ablation: Ablation, steps: int | None, renderer_steps: int | None) -> int:
    """Those of the row's last stage."""
    if ablation.part == "landmarks":
        return steps or LandmarkStage().steps
    return renderer_steps or STAGES["spatial" if ablation.pretrained is None else "temporal"].steps


def _write(out: Path, result: dict) -> None:
    save_text(out / "ablations.json", json.dumps(result, indent=1))
    save_text(out / "ablations.md", as_table(result))


def _same(ablation: Ablation, preset: Preset, rows: dict) -> str | None:
    """The row that has trained the same already: of this preset not every name changes anything."""
    for name in rows:
        other = ABLATIONS[name]
        alike = other.of(preset) == ablation.of(preset) and other.velocity == ablation.velocity
        if alike and other.part == ablation.part and other.pretrained == ablation.pretrained:
            return name
    return None


def as_table(result: dict) -> str:
    """The rows as Markdown, a table a part."""
    lines = [f"Preset {result['preset']}, seed {result['seed']}."]
    for part, columns in COLUMNS.items():
        rows = {name: row for name, row in result["rows"].items() if row["part"] == part}
        if rows:
            lines += ["", f"| {part} | steps | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
        for name, row in rows.items():
            cells = [f"{row[column]:.3f}" for column in columns]
            lines.append(f"| {name} | {row['steps']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _landmarks(
    data: Path,
    run: Path,
    row: Preset,
    ablation: Ablation,
    speech_encoder: Path,
    steps: int | None,
    seed: int,
    device: str,
) -> dict[str, float]:
    encoder = load_speech_encoder(speech_encoder)
    generator = begin_generator(encoder, row.landmarks, seed)
    stage = replace(LandmarkStage(), velocity=ablation.velocity)
    stage = stage if steps is None else replace(stage, steps=steps)
    scores = train_landmarks(data, run, encoder, generator, stage, seed, device)
    return {name: scores[name] for name in COLUMNS["landmarks"]} | {"steps": stage.steps}


def _renderer(
    data: Path, run: Path, row: Preset, ablation: Ablation, steps: int | None, seed: int, device: str
) -> dict[str, float]:
    """Scores of the last stage's last step: PSNR in dB of face and lips, given the true landmarks."""
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
