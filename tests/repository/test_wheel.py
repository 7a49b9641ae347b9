"""The wheel: complete, licensed, and able to make a video with its dependencies only."""

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from email.message import Message
from importlib.metadata import Distribution, distribution
from pathlib import Path

import page
import pytest
from packaging.requirements import Requirement

import atldiff

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]
ROOT = page.ROOT
PAPERS = ("LICENSE", "NOTICE", "README.md", "pyproject.toml")


def run(*command: str | Path, **settings) -> str:
    """Runs a program and returns its output; fails with its stderr."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **settings)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Builds a wheel from a copy of the package, because a stale build folder could hide a missing file."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PAPERS:
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "atldiff", source / "atldiff", ignore=shutil.ignore_patterns("__pycache__"))
    options = ("--no-deps", "--no-build-isolation", "--no-index", "-w", out)
    run(sys.executable, "-m", "pip", "wheel", source, *options)
    return next(out.glob("atldiff-*.whl"))


def described(wheel: Path) -> Message:
    """The wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def needed(requirements: list[str]) -> dict[str, Distribution]:
    """The installed distributions of requirements, with all of their dependencies."""
    wanted, seen, chosen = [(line, "") for line in requirements], set(), {}
    while wanted:
        line, extra = wanted.pop()
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        chosen[requirement.name] = package = distribution(requirement.name)
        assert requirement.specifier.contains(package.version, prereleases=True), (line, package.version)
        for each in {"", *requirement.extras} - {e for name, e in seen if name == requirement.name}:
            seen.add((requirement.name, each))
            wanted += [(line, each) for line in package.requires or []]
    return chosen


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel and links to its installed dependencies."""
    folder = tmp_path_factory.mktemp("bare")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    for package in needed(described(wheel).get_all("Requires-Dist", [])).values():
        for top in {file.parts[0] for file in package.files or []} - {".."}:
            if not (site / top).exists():
                (site / top).symlink_to(package.locate_file(top))
    options = ("--no-deps", "--no-index", "--no-compile")
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel)
    return folder


def test_every_file_of_the_package_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "atldiff").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files - names == set()
    assert {"atldiff/py.typed", "atldiff/weights/starter/LICENSE.md"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)


def test_the_wheel_says_its_version_licence_and_authors(wheel):
    about = described(wheel)
    assert about["License-Expression"] == "Apache-2.0" and about["Author"] == "The atldiff authors"
    assert about["Version"] == atldiff.__version__


def test_the_wheel_makes_a_video_without_page_voices_and_training(bare, tmp_path):
    page.photo(tmp_path / "face.png", 200)
    page.recording(tmp_path / "speech.wav", 0.3)
    settings = {"HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    code = (
        "import atldiff, importlib.util as util\n"
        "names = ('gradio', 'spaces', 'hibari', 'face_alignment', 'ray', 'hama', 'pytest')\n"
        "print(atldiff.__file__, [name for name in names if util.find_spec(name)])"
    )
    where = {"cwd": tmp_path, "env": kept | settings}
    file, guests = run(bare / "bin" / "python", "-c", code, **where).split(maxsplit=1)
    assert Path(file).is_relative_to(bare) and guests.strip() == "[]"
    run(bare / "bin" / "atldiff", "generate", "face.png", "speech.wav", "-o", "talk.mp4", "--quiet", **where)
    assert page.probe(tmp_path / "talk.mp4")["frames"] == 9
