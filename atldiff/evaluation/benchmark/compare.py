"""Time by stage, first picture and peak memory of whole runs; compared with a saved result or a checkout."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from atldiff.errors import InputError
from atldiff.evaluation.benchmark.run import STAGES, Row
from atldiff.system import usable_cores

WARM_SECONDS = 60.0  # longer recordings are run once only: their second run would tell nothing new
TOLERANCE = 1.1  # time or memory over this share of the other's is a regression
AVX2_ONLY = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
_COMPARED = {"total": "time", "first_picture": "first picture", "peak_mib": "memory"}
_HERE = Path(__file__).resolve()
_FAST = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16")  # what a CPU's networks gain by


@dataclass(frozen=True)
class Case:
    """What is measured: a photo, resized to (size, size); a recording, repeated or cut to length; a device;
    a pipeline's folder, None = the embedded one; `avx2`: as on a CPU that has no more than AVX2 (float32).
    """

    photo: Path
    recording: Path
    size: int = 512
    device: str = "cpu"
    weights: str | None = None
    avx2: bool = False

    def rows(self, seconds: float, checkout: Path = _HERE.parents[3], runs: int | None = None) -> list[Row]:
        """In a fresh process: the cold run and, if the recording is short, warm ones.

        Args:
            checkout: the folder whose `atldiff` is measured.  runs: how many; None = 2 if short.
        """
        runs = runs or (2 if seconds <= WARM_SECONDS else 1)
        about = {"seconds": seconds, "size": self.size, "device": self.device, "weights": self.weights}
        about |= {"photo": str(self.photo.resolve()), "recording": str(self.recording.resolve())}
        about |= {"float32": self.avx2, "runs": runs}
        settings = os.environ | {"PYTHONPATH": str(checkout)} | (AVX2_ONLY if self.avx2 else {})
        script = _HERE.with_name("run.py")
        command = [sys.executable, "-P", str(script), json.dumps(about)]
        done = subprocess.run(command, env=settings, cwd=checkout, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise InputError(f"The benchmark of {checkout} failed", "See what it wrote above")
        return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def benchmark(
    case: Case, seconds: Sequence[float] = (4, 30, 300), against: Path | None = None
) -> tuple[list[Row], list[Row]]:
    """Makes a video of each length, cold (a fresh process) and, if short, again warm.

    Args:
        against: another checkout, which is run by turns with this one, each twice; or a saved result.

    Returns:
        The rows, one a run, and those of `against` to the same lengths.

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
    """Writes the rows, and what machine they are from, as JSON."""
    path.write_text(
        json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}, indent=1) + "\n"
    )


def load(path: Path) -> list[Row]:
    """Reads what `save` wrote.

    Raises:
        InputError: it is no such file.
    """
    try:
        return [Row(**row) for row in json.loads(path.read_text())["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a saved benchmark", "Name a file that --save wrote") from error


def ratios(rows: list[Row], others: list[Row]) -> dict[str, float]:
    """This version's seconds, first picture and memory over the other's; of several runs the least counts."""
    found = {}
    for key in dict.fromkeys((row.seconds, row.size, row.warm) for row in rows):
        mine, theirs = ([r for r in some if (r.seconds, r.size, r.warm) == key] for some in (rows, others))
        for what, title in _COMPARED.items() if theirs else ():
            less, more = (min(getattr(row, what) for row in some) for some in (mine, theirs))
            name = f"{key[0]:g} s {key[1]}x{key[1]} {'warm' if key[2] else 'cold'} {title}"
            if more > 0:
                found[name] = less / more
    return found


def as_table(rows: list[Row]) -> str:
    """The rows and the machine, as Markdown."""
    titles = ["recording", "photo", "", *STAGES, "total", "s per s of video", "first picture", "peak memory"]
    lines = [" | ".join(titles), " | ".join("---" for _ in titles)]
    for row in rows:
        stages = [f"{row.stages[stage]:.2f}" for stage in STAGES]
        pace = row.total / (row.frames / 30)
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
    """CPU and what it has for networks, cores this process may use, GPU if any, and versions, in one line."""
    import torch

    about = {"model name": "", "flags": ""}
    for line in _lines("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        about[key.strip()] = value.strip() if key.strip() in about else ""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    has = " ".join(flag for flag in _FAST if flag in about["flags"].split()) or "none of AVX2, AVX-512, AMX"
    model = about["model name"] or platform.processor() or platform.machine()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{model} ({has}), {usable_cores()} cores{gpu}; {versions}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
