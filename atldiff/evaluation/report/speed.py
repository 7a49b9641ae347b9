"""Time and memory of 2 s of speech, as the paper's Table 2, by system, steps and picture."""

import json
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from atldiff.errors import InputError
from atldiff.evaluation.benchmark.compare import Case
from atldiff.system import atomic_write

SECONDS = 2.0  # of speech, a clip of CREMA-D (Table 2)
PICTURES = {"128x128": ("crop", 512), "512x512": ("photo", 512)}  # output, side of the photo in pixels
FILE = "speed.json"


def measure_speed(out: Path, systems: Sequence[tuple[str, str, int]], device: str) -> list[dict]:
    """Times each system in fresh processes; what `out` has already is kept.

    Args:
        out: folder of the results, with the inputs of at least one take.
        systems: name, folder of the weights and steps of each.
        device: torch device.

    Returns:
        system, steps, picture, frames, total and first_picture (seconds, without import and loading of the
        networks), peak_mib and stages of each.

    Raises:
        InputError: there are no inputs.
    """
    photo = next(iter(sorted(out.glob("inputs/*/*.png"))[::-1]), None)
    if photo is None:
        raise InputError(f"There is nothing to time in {out}", "Score a clip first")
    file = out / FILE
    rows: list[dict] = json.loads(file.read_text()) if file.exists() else []
    keys = {(row["system"], row["steps"], row["picture"]) for row in rows}
    for name, weights, steps in tqdm(systems, desc="speed", unit="system"):
        for picture, (output, size) in PICTURES.items():
            if (name, steps, picture) in keys:
                continue
            options = {"steps": steps, "output": output}
            case = Case(photo, photo.with_suffix(".wav"), size, device, weights, options=options)
            (row,) = case.rows(SECONDS, runs=1)
            loading = row.stages["import"] + row.stages["load"]
            entry = {"system": name, "steps": steps, "picture": picture, "frames": row.frames}
            entry |= {"total": row.total - loading, "first_picture": row.first_picture - loading}
            entry |= {"peak_mib": row.peak_mib, "stages": row.stages}
            rows.append(entry)
            with atomic_write(file) as part:
                part.write_text(json.dumps(rows, indent=1))
    return rows
