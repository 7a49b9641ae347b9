"""Time by stage and peak memory of whole runs, each length of recording in a process of its own."""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from atldiff.errors import InputError

WARM_SECONDS = 60.0  # longer recordings are run once only: their second run would tell nothing new
STAGES = ("import", "load", "read", "listen", "landmarks", "render", "encode")


@dataclass
class Row:
    """One run: length and picture's side, seconds by stage, and the process's peak memory so far in MiB."""

    seconds: float
    size: int
    warm: bool
    frames: int = 0
    peak_mib: float = 0.0
    stages: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.stages.values())

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds what runs inside to a stage."""
        begin = time.perf_counter()
        yield
        self.stages[stage] += time.perf_counter() - begin


def benchmark(
    photo: Path,
    recording: Path,
    seconds: tuple[float, ...] = (4, 30, 300),
    size: int = 512,
    device: str = "cpu",
    weights: str | None = None,
) -> list[Row]:
    """Makes a video of each length, cold (a fresh process, nothing loaded) and, if short, again warm.

    Args:
        photo: is resized to (size, size); recording: is repeated or cut to each of the lengths.

    Returns:
        One row a run.

    Raises:
        InputError: photo or recording cannot be used.
    """
    for path in (photo, recording):
        if not path.is_file():
            raise InputError(
                f"{path} does not exist", "Run it in the repository, or name --photo and --recording"
            )
    rows = []
    for length in seconds:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            rows += fresh.submit(_run, photo, recording, length, size, device, weights).result()
    return rows


def as_table(rows: list[Row]) -> str:
    """The rows and the machine, as Markdown."""
    titles = ["recording", "photo", "", *STAGES, "total", "s per s of video", "peak memory"]
    lines = [" | ".join(titles), " | ".join("---" for _ in titles)]
    for row in rows:
        stages = [f"{row.stages[stage]:.2f}" for stage in STAGES]
        pace = row.total / (row.frames / 30)
        cells = [f"{row.seconds:g} s", f"{row.size}x{row.size}", "warm" if row.warm else "cold", *stages]
        lines.append(" | ".join([*cells, f"{row.total:.1f} s", f"{pace:.2f}", f"{row.peak_mib:.0f} MiB"]))
    return "\n".join([machine(), "", *(f"| {line} |" for line in lines)])


def machine() -> str:
    """CPU, cores this process may use, GPU if any, and versions, in one line."""
    import torch

    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    model = names[0] if names else platform.processor() or platform.machine()
    return f"{model}, {cores} cores{gpu}; Python {platform.python_version()}, torch {torch.__version__}"


def _run(
    photo: Path, recording: Path, seconds: float, size: int, device: str, weights: str | None
) -> list[Row]:
    """In a fresh process: the cold run and, if short, the warm one."""
    cold = Row(seconds, size, warm=False)
    with cold.timed("import"):
        from PIL import Image

        import atldiff.pipeline  # noqa: F401 - what takes the time
        from atldiff.cli.runner import load_pipeline
        from atldiff.media.audio import Speech, load_speech
    voice = load_speech(recording)
    sound = np.resize(voice.sound[:, 0], round(seconds * voice.sound_rate))
    picture = np.asarray(Image.open(photo).convert("RGB").resize((size, size)))
    with cold.timed("load"):
        pipeline = load_pipeline(weights, device)
    rows = [cold] + [Row(seconds, size, warm=True)] * (seconds <= WARM_SECONDS)
    for row in rows:
        _make(pipeline, picture, lambda: Speech.from_samples(sound, voice.sound_rate), row)
        row.peak_mib = _peak_mib()
    return rows


def _make(pipeline, picture: np.ndarray, listen: Callable, row: Row) -> None:
    """One video, its stages timed; "listen" is the speech encoder's part of the landmarks."""
    from atldiff.media.video import write_video

    with row.timed("read"):
        portrait, speech = pipeline.prepare(picture, listen())
    with row.timed("listen"):
        pipeline.speech_encoder.encode(speech)
    with row.timed("landmarks"):
        sequence = pipeline.landmarks(portrait, speech)
    row.stages["landmarks"] = max(0.0, row.stages["landmarks"] - row.stages["listen"])
    row.frames = len(sequence.points)

    def rendered() -> Iterator[np.ndarray]:
        frames = pipeline.render(portrait, sequence)
        while True:
            with row.timed("render"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame

    with tempfile.TemporaryDirectory() as folder, row.timed("encode"):
        write_video(Path(folder) / "video.mp4", rendered(), speech)
    row.stages["encode"] -= row.stages["render"]


def _peak_mib() -> float:
    """Peak resident memory of this process, without what its parent had before it (as ru_maxrss has)."""
    peaks = [line.split()[1] for line in _lines("/proc/self/status") if line.startswith("VmHWM")]
    if peaks:
        return int(peaks[0]) / 1024
    import resource

    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
