"""Licence, version, citation and requirements agree between files."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import atldiff

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAPER = "ATL-Diff: Audio-Driven Talking Head Generation with Early Landmarks-Guide Noise Diffusion"
ARXIV = "https://arxiv.org/abs/2507.12804"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def requirements(lines: list[str]) -> dict[str, Requirement]:
    return {(each := Requirement(line)).name: each for line in lines}


def test_one_licence_is_named_everywhere():
    header = yaml.safe_load(read("README.md").split("---")[1])
    citation = yaml.safe_load(read("CITATION.cff"))
    named = {PROJECT["license"].lower(), header["license"].lower(), citation["license"].lower()}
    assert named == {"apache-2.0"}
    assert read("LICENSE").split() and "Apache License" in read("LICENSE").splitlines()[1]
    assert all((ROOT / name).is_file() for name in PROJECT["license-files"])


def test_the_first_screen_and_the_citation_name_the_paper_and_its_authors():
    citation = yaml.safe_load(read("CITATION.cff"))["preferred-citation"]
    screen = " ".join("\n".join(read("README.md").split("---", 2)[2].splitlines()[:16]).split())
    notice = " ".join(read("NOTICE").split())
    assert citation["title"] == PAPER and citation["url"] == ARXIV
    for text in (screen, notice):
        assert PAPER in text and ARXIV in text
        for author in citation["authors"]:
            assert f"{author['given-names']} {author['family-names']}" in text


def test_the_newest_entry_of_the_changelog_is_this_version():
    releases = re.findall(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", read("CHANGELOG.md"), re.M)
    citation = yaml.safe_load(read("CITATION.cff"))
    assert releases[0] == (atldiff.__version__, str(citation["date-released"]))
    assert citation["version"] == atldiff.__version__
    versions = [Version(version) for version, _ in releases]
    assert versions == sorted(versions, reverse=True) and len(set(versions)) == len(versions)
    assert [day for _, day in releases] == sorted((day for _, day in releases), reverse=True)


def test_the_weights_have_names_in_the_order_of_their_dates():
    rows = re.findall(r"^\| starter-0\.(\d+) \| ([\d-]+) \|", read("CHANGELOG.md"), re.M)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    assert rows and [day for _, day in rows] == sorted(day for _, day in rows)


def test_the_spaces_pins_lie_in_the_librarys_ranges():
    lines = [line for line in read("requirements.txt").splitlines() if line and not line.startswith("#")]
    pins = requirements(lines)
    extras = PROJECT["optional-dependencies"]
    space = [line for extra in ("demo", "live", "voices", "face-alignment") for line in extras[extra]]
    ranges = requirements([*PROJECT["dependencies"], *space])
    del ranges["atldiff"]  # an extra of an extra
    assert set(pins) == set(ranges)
    for name, pin in pins.items():
        version = str(pin.specifier).removeprefix("==")
        assert str(pin.specifier).startswith("==") and ranges[name].specifier.contains(version), (
            name,
            version,
        )
        assert pin.extras == ranges[name].extras and str(pin.marker) == str(ranges[name].marker), name


def test_one_wheel_of_opencv():
    """OpenCV's wheels share the folder cv2; MediaPipe asks for a larger one, which must be as new."""
    extras = dict(PROJECT["optional-dependencies"])
    larger = requirements(extras.pop("mediapipe"))["opencv-contrib-python"]
    lines = [*PROJECT["dependencies"], *(line for each in extras.values() for line in each)]
    wheels = {name: line for name, line in requirements(lines).items() if "opencv" in name}
    assert set(wheels) == {"opencv-python"} and wheels["opencv-python"].specifier == larger.specifier


def test_extras_of_extras_exist():
    extras = PROJECT["optional-dependencies"]
    for extra, lines in extras.items():
        ours = {
            each for name, line in requirements(lines).items() if name == "atldiff" for each in line.extras
        }
        assert ours <= set(extras) - {extra}, extra


def test_every_picture_and_recording_of_the_examples_has_a_licence():
    files = {path.name for path in (ROOT / "examples").iterdir() if path.suffix in (".jpg", ".flac")}
    assert files and {file for file in files if f"`{file}`" not in read("examples/LICENSE.md")} == set()
