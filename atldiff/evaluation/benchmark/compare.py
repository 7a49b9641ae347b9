"""Benchmarks whole runs (time by stage, first picture, peak memory) against a saved result or a checkout."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.evaluation.benchmark.run import STAGES, Row
from atldiff.system import usable_cores

WARM_SECONDS = 60.0  # longer recordings have no warm run
TOLERANCE = 1.1  # a larger ratio of time or memory is a regression
AVX2_ONLY = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
_COMPARISONS = {"total": "time", "first_picture": "first picture", "peak_mib": "memory"}
_HERE = Path(__file__).resolve()
_FAST = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16")  # CPU features that speed networks up


@dataclass(frozen=True)
class Case:
    """The input and the machine of a benchmark.

    Attributes:
        photo: file, resized to (size, size).
        recording: file, repeated or cut to length.
        size: pixels.
        device: torch device.
        weights: a pipeline's folder; None = the embedded one.
        avx2: whether to use no CPU features beyond AVX2 (float32).
        options: fields of `Options`; an older checkout takes none.
    """

    photo: Path
    recording: Path
    size: int = 512
    device: str = "cpu"
    weights: str | None = None
    avx2: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def rows(self, seconds: float, checkout: Path = _HERE.parents[3], runs: int | None = None) -> list[Row]:
        """Runs the benchmark in a fresh process: a cold run and, for short recordings, a warm one.

        Args:
            seconds: length of the recording.
            checkout: folder with the `atldiff` to measure.
            runs: number of runs; None = 2 for a short recording, else 1.

        Raises:
            InputError: the benchmark failed.
        """
        runs = runs or (2 if seconds <= WARM_SECONDS else 1)
        arguments = {"seconds": seconds, "size": self.size, "device": self.device, "weights": self.weights}
        arguments |= {"photo": str(self.photo.resolve()), "recording": str(self.recording.resolve())}
        arguments |= {"float32": self.avx2, "runs": runs}
        arguments |= {"options": self.options} if self.options else {}
        settings = os.environ | {"PYTHONPATH": str(checkout)} | (AVX2_ONLY if self.avx2 else {})
        script = _HERE.with_name("run.py")
        command = [sys.executable, "-P", str(script), json.dumps(arguments)]
        done = subprocess.run(command, env=settings, cwd=checkout, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise InputError(f"The benchmark of {checkout} failed", "See what it wrote above")
        return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def benchmark(
    case: Case, seconds: Sequence[float] = (4, 30, 300), against: Path | None = None
) -> tuple[list[Row], list[Row]]:
    """Makes a video of each length, cold (in a fresh process) and, if it is short, also warm.

    Args:
        case: input and machine.
        seconds: lengths of the recording.
        against: another checkout, which runs in turns with this one, each twice; or a saved result.

    Returns:
        The rows, one for each run, and those of `against` for the same lengths.

    Raises:
        InputError: photo, recording or `against` cannot be used.
    """
    for path in (case.photo, case.recording):
        if not path.is_file():
            raise InputError(
                f"{path} does not exist", "Run it in the repository, or name --photo and --recording"
            )
    saved = load(against) if against is not None and against.is_file() else []
    if against is not None and not saved and not (against / "atldiff/pipeline.py").is_file():
        raise InputError(f"{against} is no saved result and no checkout that this can run", "Name another")
    rows, others = [], [row for row in saved if row.seconds in seconds and row.size == case.size]
    for length in seconds:
        for _ in range(1 if saved or against is None else 2):
            rows += case.rows(length)
            if against is not None and not saved:
                others += case.rows(length, against.resolve())
    return rows, others


def save(path: Path, rows: list[Row]) -> None:
    """Writes the rows and a description of the machine as JSON."""
    path.write_text(
        json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}, indent=1) + "\n"
    )


def load(path: Path) -> list[Row]:
    """Reads the rows that `save` wrote.

    Raises:
        InputError: the file is not a saved benchmark.
    """
    try:
        return [Row(**row) for row in json.loads(path.read_text())["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a saved benchmark", "Name a file that --save wrote") from error


def ratios(rows: list[Row], others: list[Row]) -> dict[str, float]:
    """Ratios of time, first picture and memory of `rows` to `others`, by name, each of the best runs."""
    results = {}
    for key in dict.fromkeys((row.seconds, row.size, row.warm) for row in rows):
        mine, theirs = ([r for r in some if (r.seconds, r.size, r.warm) == key] for some in (rows, others))
        for what, title in _COMPARISONS.items() if theirs else ():
            less, more = (min(getattr(row, what) for row in some) for some in (mine, theirs))
            name = f"{key[0]:g} s {key[1]}x{key[1]} {'warm' if key[2] else 'cold'} {title}"
            if more > 0:
                results[name] = less / more
    return results


def as_table(rows: list[Row]) -> str:
    """The rows and the machine as Markdown."""
    titles = ["recording", "photo", "", *STAGES, "total", "s per s of video", "first picture", "peak memory"]
    lines = [" | ".join(titles), " | ".join("---" for _ in titles)]
    for row in rows:
        stages = [f"{row.stages[stage]:.2f}" for stage in STAGES]
        pace = row.total / (row.frames / FRAME_RATE)
        cells = [f"{row.seconds:g} s", f"{row.size}x{row.size}", "warm" if row.warm else "cold", *stages]
        cells += [
            f"{row.total:.1f} s",
            f"{pace:.2f}",
            f"{row.first_picture:.2f} s",
            f"{row.peak_mib:.0f} MiB",
        ]
        lines.append(" | ".join(cells))
    return "\n".join([machine(), "", *(f"| {line} |" for line in lines)])


def machine() -> str:
    """CPU with its features for networks, usable cores, GPU if there is one, and versions, in one line."""
    import torch

    fields = {"model name": "", "flags": ""}
    for line in _lines("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip() if key.strip() in fields else ""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    features = " ".join(flag for flag in _FAST if flag in fields["flags"].split())
    features = features or "none of AVX2, AVX-512, AMX"
    model = fields["model name"] or platform.processor() or platform.machine()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{model} ({features}), {usable_cores()} cores{gpu}; {versions}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
