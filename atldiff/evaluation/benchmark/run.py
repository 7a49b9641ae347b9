"""One benchmark in a process of its own: `python run.py '{...}'` prints its rows as JSON.

It is run by path and measures the package that PYTHONPATH names, perhaps another version. So it uses public
names alone.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

STAGES = ("import", "load", "read", "listen", "landmarks", "render", "encode")


@dataclass
class Row:
    """One run.

    Attributes:
        seconds: length of the recording.
        size: side of the photo in pixels.
        warm: whether the networks were loaded before.
        frames: number of frames.
        first_picture: seconds from the start to the first picture.
        peak_mib: the process's peak memory so far.
        stages: seconds of each stage.
    """

    seconds: float
    size: int
    warm: bool
    frames: int = 0
    first_picture: float = 0.0
    peak_mib: float = 0.0
    stages: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @property
    def total(self) -> float:
        """Seconds of all stages together."""
        return sum(self.stages.values())

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Adds the time of the block to a stage."""
        begin = time.perf_counter()
        yield
        self.stages[stage] += time.perf_counter() - begin


def run(
    photo: str,
    recording: str,
    seconds: float,
    size: int,
    device: str,
    weights: str | None,
    float32: bool,
    runs: int,
    options: dict | None = None,
) -> list[Row]:
    """Measures a cold run (nothing is loaded) and `runs` - 1 warm ones.

    Args:
        photo: file, resized to (size, size).
        recording: file, repeated or cut to `seconds`.
        seconds: length of the recording.
        size: pixels.
        device: torch device.
        weights: a pipeline's folder; None = the embedded one.
        float32: keep the U-Net in float32 on every CPU.
        runs: number of runs.
        options: fields of the package's `Options`; None: an earlier version may have other ones.
    """
    cold = Row(seconds, size, warm=False)
    with cold.measure("import"):
        import torch
        from PIL import Image

        from atldiff import ATLDiffPipeline, Options, load_speech
        from atldiff.diffusers_base import logging
        from atldiff.memory import share_memory

        logging.disable_progress_bar()
        share_memory()
    picture = np.asarray(Image.open(photo).convert("RGB").resize((size, size)))
    with cold.measure("load"):
        pipeline = ATLDiffPipeline.from_pretrained(weights).to(device)
        if float32:
            pipeline.unet.to(torch.float32)
        else:
            pipeline.use_fast_dtype()
    chosen = [Options(**options)] if options else []
    rows = [cold, *(Row(seconds, size, warm=True) for _ in range(runs - 1))]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speech.wav"
        _write_speech(recording, seconds, file)
        for row in rows:
            _make(pipeline, picture, lambda: load_speech(file), row, chosen)
            row.peak_mib = peak_mib()
    return rows


def _write_speech(recording: str, seconds: float, file: Path) -> None:
    """Writes the recording, repeated or cut, to a file; afterwards only the package holds it in memory."""
    import soundfile

    from atldiff import load_speech

    voice = load_speech(recording)
    sound = np.resize(voice.sound[:, 0], round(seconds * voice.sound_rate))
    soundfile.write(file, sound, voice.sound_rate)


def _make(pipeline, picture: np.ndarray, listen: Callable, row: Row, options: list) -> None:  # noqa: ANN001
    """Makes one video by a pipeline of any checkout, and times its stages; `options` has one element or none.

    "listen" is the speech encoder's part of the landmarks. Rendering runs in another thread while frames are
    encoded; "render" is the time that the encoder waits.
    """
    from atldiff import write_video

    with row.measure("read"):
        portrait, speech = pipeline.prepare(picture, listen(), *options)
    with row.measure("listen"):
        pipeline.speech_encoder.encode(speech)
    with row.measure("landmarks"):
        sequence = pipeline.landmarks(portrait, speech, *options)
    row.stages["landmarks"] = max(0.0, row.stages["landmarks"] - row.stages["listen"])
    row.frames = len(sequence.points)

    def render() -> Iterator[np.ndarray]:
        """The frames; the wait for each counts as "render"."""
        frames = pipeline.render(portrait, sequence, *options)
        while True:
            with row.measure("render"):
                frame = next(frames, None)
            if frame is None:
                return
            row.first_picture = row.first_picture or row.total
            yield frame

    with tempfile.TemporaryDirectory() as folder, row.measure("encode"):
        write_video(Path(folder) / "video.mp4", render(), speech)
    row.stages["encode"] -= row.stages["render"]


def peak_mib() -> float:
    """Peak resident memory of this process in MiB, without its parent's; NaN if the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    if peaks:
        return int(peaks[0]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main(arguments: str) -> None:
    """Prints the rows, or the sentence about an unusable photo or recording."""
    try:
        rows = run(**json.loads(arguments))
    except Exception as error:
        from atldiff.errors import InputError  # here, because the time of imports is measured

        if not isinstance(error, InputError):
            raise
        sys.exit(str(error))
    print(json.dumps([asdict(row) for row in rows]))


if __name__ == "__main__":
    main(sys.argv[1])
