"""One benchmark in a process of its own: `python run.py '{...}'` prints its rows as JSON.

It is run by path, so that it measures whichever checkout of the package PYTHONPATH names; so it uses public
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
    """One run: length and picture's side, seconds by stage, seconds from the click to the first picture,
    and the process's peak memory so far in MiB.
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
        """Seconds of all stages."""
        return sum(self.stages.values())

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds what runs inside to a stage."""
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
) -> list[Row]:
    """A cold run (nothing loaded) and `runs` - 1 warm ones.

    Args:
        photo: is resized to (size, size); recording: is repeated or cut to `seconds`.
        float32: the network's type, whatever the CPU has.
    """
    cold = Row(seconds, size, warm=False)
    with cold.timed("import"):
        import torch
        from diffusers.utils import logging
        from PIL import Image

        from atldiff import ATLDiffPipeline, load_speech
        from atldiff.memory import share_memory

        logging.disable_progress_bar()
        share_memory()
    picture = np.asarray(Image.open(photo).convert("RGB").resize((size, size)))
    with cold.timed("load"):
        pipeline = ATLDiffPipeline.from_pretrained(weights).to(device)
        if float32:
            pipeline.unet.to(torch.float32)
        else:
            pipeline.use_fast_dtype()
    rows = [cold, *(Row(seconds, size, warm=True) for _ in range(runs - 1))]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speech.wav"
        _write_speech(recording, seconds, file)
        for row in rows:
            _make(pipeline, picture, lambda: load_speech(file), row)
            row.peak_mib = peak_mib()
    return rows


def _write_speech(recording: str, seconds: float, file: Path) -> None:
    """The recording, repeated or cut, as a file: what is held of it afterwards is the product's own."""
    import soundfile

    from atldiff import load_speech

    voice = load_speech(recording)
    sound = np.resize(voice.sound[:, 0], round(seconds * voice.sound_rate))
    soundfile.write(file, sound, voice.sound_rate)


def _make(pipeline, picture: np.ndarray, listen: Callable, row: Row) -> None:  # noqa: ANN001 - of any checkout
    """One video, its stages timed; "listen" is the speech encoder's part of the landmarks. Rendering runs
    in another thread while frames are encoded: "render" is what the encoder waits for.
    """
    from atldiff import write_video

    with row.timed("read"):
        portrait, speech = pipeline.prepare(picture, listen())
    with row.timed("listen"):
        pipeline.speech_encoder.encode(speech)
    with row.timed("landmarks"):
        sequence = pipeline.landmarks(portrait, speech)
    row.stages["landmarks"] = max(0.0, row.stages["landmarks"] - row.stages["listen"])
    row.frames = len(sequence.points)

    def rendered() -> Iterator[np.ndarray]:
        """The frames; waiting for one is the time of "render"."""
        frames = pipeline.render(portrait, sequence)
        while True:
            with row.timed("render"):
                frame = next(frames, None)
            if frame is None:
                return
            row.first_picture = row.first_picture or row.total
            yield frame

    with tempfile.TemporaryDirectory() as folder, row.timed("encode"):
        write_video(Path(folder) / "video.mp4", rendered(), speech)
    row.stages["encode"] -= row.stages["render"]


def peak_mib() -> float:
    """Peak resident memory of this process, without what its parent had before it (as ru_maxrss has)."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    if peaks:
        return int(peaks[0]) / 1024
    import resource

    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main(about: str) -> None:
    """Prints the rows; a photo or recording that cannot be used ends in its sentence."""
    try:
        rows = run(**json.loads(about))
    except Exception as error:
        from atldiff.errors import InputError  # not before: the time of imports is measured

        if not isinstance(error, InputError):
            raise
        sys.exit(str(error))
    print(json.dumps([asdict(row) for row in rows]))


if __name__ == "__main__":
    main(sys.argv[1])
