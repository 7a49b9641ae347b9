"""Other operating systems: imports and calls without what only Linux has, and locks."""

import ctypes
import importlib
import math
import multiprocessing
import os
import platform
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from atldiff import system
from atldiff.errors import InputError
from atldiff.training.runs.run_folder import LOCK, lock_folder
from atldiff.web.jobs.temp_folders import claim, remove_leftovers

ROOT = Path(__file__).parent.parent


def test_every_module_is_imported_where_the_system_has_no_fcntl_affinity_glibc_and_proc(tmp_path):
    """In a copy of this process, which has the libraries: they handle the missing functions themselves."""
    child = multiprocessing.get_context("fork").Process(target=import_elsewhere, args=(tmp_path / "errors",))
    child.start()
    child.join(200)
    assert child.exitcode == 0, (tmp_path / "errors").read_text()[-2000:]


def import_elsewhere(errors: Path) -> None:
    """Imports the package anew without what only Linux has, and calls what would use it."""
    with errors.open("w", buffering=1) as sys.stderr:
        for library in ("accelerate", "av", "cv2", "diffusers", "gradio", "pandas", "soundfile", "torch"):
            importlib.import_module(library)
        sys.modules["fcntl"] = sys.modules["resource"] = None
        platform.libc_ver = lambda *_: ("", "")
        exists = Path.exists
        Path.exists = lambda path: not str(path).startswith("/proc") and exists(path)
        for name in ("sched_getaffinity", "geteuid", "fork", "pread", "O_NOFOLLOW"):
            delattr(os, name)
        for name in [name for name in sys.modules if name.split(".")[0] == "atldiff"]:
            del sys.modules[name]
        for path in sorted((ROOT / "atldiff").rglob("*.py")):
            if path.stem in ("livekit", "pipecat"):  # each needs the extra of its name
                continue
            parts = path.relative_to(ROOT).with_suffix("").parts
            importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        memory, elsewhere = sys.modules["atldiff.memory"], sys.modules["atldiff.system"]
        assert elsewhere is not system and elsewhere.usable_cores() == os.cpu_count()
        ctypes.CDLL = None  # malloc_trim and mallopt are glibc's alone
        memory.share_memory()
        memory.keep_memory()
        array = memory.map_to_disk(np.ones(2_000_000))
        memory.give_back(array)
        assert array.sum() == len(array)
        benchmark = sys.modules["atldiff.evaluation.benchmark.run"]
        machine = sys.modules["atldiff.evaluation.benchmark.compare"].machine()
        assert math.isnan(benchmark.peak_mib()) and f"{os.cpu_count()} cores" in machine


def test_cores_are_those_of_the_process():
    if hasattr(os, "sched_getaffinity"):
        assert system.usable_cores() == len(os.sched_getaffinity(0))
    assert system.usable_cores() >= 1


@pytest.fixture(params=["here", "as on Windows"])
def locks(request, monkeypatch):
    """The system's locks, and the locks of a stand-in for Windows's module, which locks bytes."""
    fcntl = pytest.importorskip("fcntl")
    if request.param == "here":
        return

    def locking(descriptor: int, mode: int, length: int) -> None:
        assert mode == 2 and length == 1 and os.lseek(descriptor, 0, os.SEEK_CUR) > 2**20
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    windows = types.SimpleNamespace(LK_NBLCK=2, locking=locking)
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    monkeypatch.setattr(system, "fcntl", None)


@pytest.mark.usefixtures("locks")
def test_a_lock_is_held_until_the_file_is_closed(tmp_path):
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    system.lock_file(first, inherited=True)
    with pytest.raises(BlockingIOError):
        system.lock_file(second, inherited=True)
    os.close(first)
    system.lock_file(second, inherited=True)
    os.close(second)


@pytest.mark.usefixtures("locks")
def test_a_server_keeps_its_folder_and_a_command_writes_to_its_own(tmp_path):
    folder = tmp_path / "atldiff-mine"
    folder.mkdir()
    lock = claim(folder)
    assert remove_leftovers(tmp_path) == []
    os.close(lock)
    assert remove_leftovers(tmp_path) == [folder]
    with lock_folder(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK).read_text().startswith(f"{os.getpid()} on ")
    assert os.listdir(tmp_path / "run") == []


def test_a_second_command_is_refused_where_bytes_are_locked(tmp_path, monkeypatch):
    def locked(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(LK_NBLCK=2, locking=locked))
    monkeypatch.setattr(system, "fcntl", None)
    (tmp_path / LOCK).write_text("77 on there")
    with pytest.raises(InputError, match="Another process .77 on there. is writing"), lock_folder(tmp_path):
        pass


def test_atomic_write_replaces_the_file_at_the_end(tmp_path):
    path = tmp_path / "state.json"
    path.write_text("old")
    with system.atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_an_error_in_an_atomic_write_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "state.json"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), system.atomic_write(path, tmp_path / "new") as part:
        part.write_text("ne")
        raise OSError("The disk is full")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
