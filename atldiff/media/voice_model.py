"""The model of the natural voices: found in its folder, or fetched once from the Hugging Face hub.

The package supertonic fetches it, as a process with a time limit. The model appears whole or not at all.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from atldiff.errors import InputError
from atldiff.system import lock_file

MEGABYTES = 400
FETCH_LIMIT = 600.0  # seconds; enough for a line of 6 Mbit/s
# For every engine's process. Without the first, ONNX Runtime reports to Microsoft. Without the last,
# supertonic stops on Windows at the pictures that it prints.
SETTINGS = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONUTF8": "1"}
FOLDER = "SUPERTONIC_CACHE_DIR"  # the environment's name for the model's folder
_NETWORKS = ("duration_predictor", "text_encoder", "vector_estimator", "vocoder")


def model_folder() -> Path:
    """The folder of the model, where the package looks for it, too."""
    named = os.environ.get(FOLDER)
    return Path(named).expanduser() if named else Path.home() / ".cache" / "supertonic3"


def has_model() -> bool:
    """Whether the model is on this machine; looks at files alone, as the package does."""
    return all((model_folder() / "onnx" / f"{name}.onnx").exists() for name in _NETWORKS)


def fetch_model(voice: str, instead: str) -> None:
    """Fetches the model if it is not on this machine; takes minutes, and at most FETCH_LIMIT seconds.

    Args:
        voice: name of the voice that needs it, for the messages.
        instead: what to do without it, the end of each remedy.

    Raises:
        InputError: the hub cannot be reached; the model cannot be stored; another visitor fetches it.
    """
    folder = model_folder()
    try:
        with _place_beside(folder) as place:
            if not has_model():
                _download(place / "model")
                with suppress(OSError):  # an empty folder makes room; any other is the user's
                    folder.rmdir()
                (place / "model").rename(folder)
    except subprocess.SubprocessError as error:
        remedy = f"Connect this machine to the internet once ({MEGABYTES} MB), or {instead}"
        raise InputError(f"The voice {voice} could not be fetched", remedy) from error
    except BlockingIOError as error:
        raise InputError(f"The voice {voice} is on its way", f"Wait some minutes, or {instead}") from error
    except OSError as error:
        remedy = f"Name an empty folder that can be written in {FOLDER}, or {instead}"
        raise InputError(f"The voice {voice} could not be stored", remedy) from error


def _download(folder: Path) -> None:
    """Lets the package fetch the model into a new folder.

    Raises:
        subprocess.SubprocessError: it failed, or took longer than FETCH_LIMIT.
    """
    command = [sys.executable, "-P", "-m", "supertonic.cli", "download"]
    settings = os.environ | SETTINGS | {FOLDER: str(folder)}
    subprocess.run(command, capture_output=True, check=True, timeout=FETCH_LIMIT, env=settings)


@contextmanager
def _place_beside(folder: Path) -> Iterator[Path]:
    """Makes a hidden folder beside a folder, for one fetch at a time; it goes with the block.

    Raises:
        BlockingIOError: another fetch holds it.
        OSError: it cannot be made.
    """
    place = folder.with_name(f".{folder.name}.fetch")
    place.mkdir(parents=True, exist_ok=True)
    lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        lock_file(lock, inherited=True)
    except OSError:
        os.close(lock)
        raise
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)
        shutil.rmtree(place, ignore_errors=True)  # Windows keeps the open lock until here
