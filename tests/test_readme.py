"""The README's promises: its commands exist, its files exist, its map names every file."""

import re
import shlex
from pathlib import Path

import page
import pytest
import yaml

from atldiff.__main__ import main, make_parser

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "examples" / "README.md"]


def text() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    """Every command line of the README's code blocks, split into words, comments and prompts left out."""
    fenced = re.findall(r"```(\w*)\n(.*?)```", text(), re.S)
    blocks = [content for language, content in fenced if language in ("", "bash", "sh", "console", "shell")]
    lines = [
        line.strip().removeprefix("$ ")
        for block in blocks
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def test_the_space_header_says_how_to_run_the_page():
    header = yaml.safe_load(text().split("---")[1])
    pins = (ROOT / "requirements.txt").read_text()
    assert header["sdk"] == "gradio" and f"gradio[mcp]=={header['sdk_version']}" in pins
    assert (ROOT / header["app_file"]).is_file() and str(header["python_version"]) in ("3.11", "3.12")


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    used = {words[1] for words in commands() if words[0] == "make" and len(words) > 1}
    assert {"demo", "test"} <= used <= targets


def test_torchrun_leaves_the_commands_options_to_the_command():
    from torch.distributed.run import get_args_parser

    launched = [words[1:] for words in commands() if words[0] == "torchrun"]
    assert launched
    for words in launched:  # torchrun has options that begin with --start
        read = get_args_parser().parse_args([*words, "--start", "runs/spatial/best"])
        assert read.module and read.training_script == "atldiff"
        assert read.training_script_args[-2:] == ["--start", "runs/spatial/best"]


def test_every_command_line_is_understood():
    found = [words for words in commands() if words[1:3] == ["-m", "atldiff"] or words[0] == "atldiff"]
    assert found
    for words in found:
        make_parser().parse_args(words[3:] if words[0] != "atldiff" else words[1:])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.parent.name)
def test_what_a_document_points_to_is_there(document):
    content = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", content) + re.findall(r'src="([^":]+)"', content)
    assert all((document.parent / link).exists() for link in links), links


def test_every_example_has_its_source_and_licence():
    names = {
        p.name for p in (ROOT / "examples").iterdir() if p.suffix in (".jpg", ".png", ".flac", ".ogg", ".wav")
    }
    rows = re.findall(r"^\| `([^`]+)` \|.*$", (ROOT / "examples" / "README.md").read_text(), re.M)
    assert names and set(rows) == names


def test_the_file_map_names_every_module():
    modules = {p.name for p in (ROOT / "atldiff").glob("*.py")} - {"__init__.py"}
    assert {name for name in modules if name not in text()} == set()


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """A folder with the files that the README's examples name: a small photo, 0.3 s of speech."""
    page.photo(tmp_path / "face.jpg", 200)
    page.recording(tmp_path / "speech.wav", 0.3)
    (tmp_path / "jobs.csv").write_text("photo,recording,video,steps\nface.jpg,speech.wav,talk.mp4,2\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_that_make_videos_make_them(desk):
    ours = [words[3:] for words in commands() if words[1:3] == ["-m", "atldiff"]]
    ours = [
        words for words in ours if words[0] in ("generate", "batch") and "examples/" not in " ".join(words)
    ]
    assert len(ours) >= 5
    for words in ours:
        assert main(words) == 0, words
        out = desk / words[words.index("-o") + 1] if "-o" in words else desk / "points.json"
        assert (out / "talk.mp4" if words[0] == "batch" else out).is_file(), words


def test_the_example_in_python_makes_a_video(desk):
    found = re.search(r"^## Python$.*?```python\n(.*?)```", text(), re.S | re.M)
    exec(compile(found.group(1), "README.md", "exec"), {})
    assert page.probe(desk / "video.mp4")["frames"] == 9
