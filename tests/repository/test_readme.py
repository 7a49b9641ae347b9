"""The documents: commands, links, files and functions exist, and README and card stay short."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import numpy as np
import page
import pytest
import yaml
from PIL import Image

from atldiff.cli.parser import main, make_parser
from atldiff.loading import load_pipeline
from atldiff.media.video_writer import write_video

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
CARD = ROOT / "atldiff" / "weights" / "starter" / "MODEL_CARD.md"
TRAINING = ROOT / "atldiff" / "training" / "README.md"
PAPER = ROOT / "docs" / "paper.md"
GUIDES = [README, *sorted((ROOT / "docs").glob("*.md")), TRAINING]
LICENCES = [ROOT / "examples" / "LICENSE.md", CARD.parent / "LICENSE.md"]
EXAMPLES = ROOT / "examples" / "README.md"
DOCUMENTS = [*GUIDES, CARD, EXAMPLES, *LICENCES, *sorted(set(ROOT.glob("*.md")) - {README})]
MOST_WORDS = {README: 1200, CARD: 1000}


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text(document: Path = README) -> str:
    return document.read_text(encoding="utf-8")


def commands(*documents: Path) -> list[list[str]]:
    """All command lines in code blocks, as words, without comments, prompts and environment variables."""
    fenced = [
        block for document in documents for block in re.findall(r"```(\w*)\n(.*?)```", text(document), re.S)
    ]
    blocks = [content for language, content in fenced if language in ("", "bash", "sh", "console", "shell")]
    lines = [
        re.sub(r"^(\$ )?([A-Z_]+=\S* )*", "", line.strip())
        for block in blocks
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def arguments(words: list[str]) -> list[str] | None:
    """The arguments of `python -m atldiff` in a command line; None: it runs another program."""
    if words[0] == "atldiff":
        return words[1:]
    return words[words.index("atldiff") + 1 :] if "-m" in words and "atldiff" in words else None


def slug(heading: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_space_header_says_how_to_run_the_page():
    header = yaml.safe_load(text().split("---")[1])
    pins = (ROOT / "requirements.txt").read_text()
    assert header["sdk"] == "gradio" and f"gradio[mcp]=={header['sdk_version']}" in pins
    assert (ROOT / header["app_file"]).is_file() and str(header["python_version"]) in ("3.11", "3.12")


def test_the_card_header_names_licence_and_task():
    header = yaml.safe_load(text(CARD).split("---")[1])
    assert header["library_name"] == "diffusers" and header["pipeline_tag"] and header["tags"]
    assert header["license"] == "other" and (CARD.parent / header["license_link"]).is_file()


@pytest.mark.parametrize("document", MOST_WORDS, ids=label)
def test_readme_and_card_stay_short(document):
    assert len(text(document).split()) <= MOST_WORDS[document]


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    inline = {name for document in GUIDES for name in re.findall(r"`make ([a-z-]+)[` ]", text(document))}
    fenced = {words[1] for words in commands(*GUIDES) if words[0] == "make" and len(words) > 1}
    assert {"demo", "test", "app"} <= inline | fenced <= targets


def test_torchrun_leaves_the_commands_options_to_the_command():
    from torch.distributed.run import get_args_parser

    launched = [words[1:] for words in commands(TRAINING) if words[0] == "torchrun"]
    assert launched
    for words in launched:  # torchrun has options with the prefix --start
        read = get_args_parser().parse_args([*words, "--start", "runs/spatial/best"])
        assert read.module and read.training_script == "atldiff"
        assert read.training_script_args[-2:] == ["--start", "runs/spatial/best"]


@pytest.mark.parametrize("document", GUIDES, ids=label)
def test_every_command_line_is_understood(document):
    for words in commands(document):
        given = arguments(words)
        if given is not None:
            make_parser().parse_args(given)
        if words[0].endswith("python") and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file(), words


def test_every_command_is_explained_somewhere():
    names = {given[0] for words in commands(*GUIDES) if (given := arguments(words))}
    assert {"generate", "batch", "prepare", "prepare-faces", "train", "validate", "benchmark"} <= names


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_what_a_document_points_to_is_there(document):
    content = text(document)
    links = re.findall(r"\]\(([^):]+)\)", content) + re.findall(r'src="([^":]+)"', content)
    for link in links:
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", text(target), re.M) if anchor else []
        assert not anchor or anchor in map(slug, headings), link
    assert "../shared" not in content


def test_every_picture_is_shown():
    pictures = [p for p in (ROOT / "docs").iterdir() if p.suffix in (".jpg", ".png", ".webp", ".gif")]
    pictures += (ROOT / "examples" / "page").iterdir()
    shown = "".join(map(text, GUIDES))
    assert [p.name for p in pictures if p.name not in shown] == []


def test_every_example_has_its_source_and_licence():
    kinds = (".jpg", ".png", ".flac", ".ogg", ".wav")
    names = {p.name for p in (ROOT / "examples").iterdir() if p.suffix in kinds}
    rows = re.findall(r"^\| `([^`]+)` \|.*$", text(ROOT / "examples" / "README.md"), re.M)
    assert names and set(rows) == names


def test_the_map_names_every_module_and_package():
    modules = {p.name for p in (ROOT / "atldiff").glob("*.py")} - {"__init__.py"}
    packages = {f"{p.parent.name}/" for p in (ROOT / "atldiff").glob("*/__init__.py")}
    assert {name for name in modules | packages if name not in text()} == set()


@pytest.mark.parametrize("document", GUIDES, ids=label)
def test_every_source_file_that_a_document_names_is_there(document):
    names = re.findall(r"`([\w/-]+\.py)`", text(document))
    places = ROOT / "atldiff", ROOT, document.parent
    assert [name for name in names if not any((place / name).is_file() for place in places)] == []


@pytest.mark.parametrize("document", [README, PAPER], ids=label)
def test_every_function_that_the_paper_map_names_is_there(document):
    rows = re.findall(r"`([\w/]+\.py)`(?:: | \| )((?:`[\w.]+(?:\(\))?`(?:, )?)+)", text(document))
    pairs = [(file, name) for file, names in rows for name in re.findall(r"`([\w.]+)", names)]
    assert len(pairs) >= 7
    missing = [(file, name) for file, name in pairs if name not in defined_in(ROOT / "atldiff" / file)]
    assert missing == []


def defined_in(file: Path) -> set[str]:
    """Names of the functions, classes, methods and constants of a file; none if it is missing."""
    names = set()
    for node in ast.parse(text(file)).body if file.is_file() else []:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            names |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)} if target else set()
    return names


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """A folder with the files of the examples: a small photo, 0.12 s of speech, a table and a video."""
    page.photo(tmp_path / "face.jpg", 200)
    write_video(tmp_path / "me.mov", [np.asarray(Image.open(tmp_path / "face.jpg"))] * 36, None)
    page.recording(tmp_path / "speech.wav", 0.12)
    (tmp_path / "jobs.csv").write_text("photo,recording,video,steps\nface.jpg,speech.wav,talk.mp4,2\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_that_make_videos_make_them(desk, monkeypatch):
    """Each command once, all with the same networks."""
    monkeypatch.setattr("atldiff.cli.generate.load_pipeline", cache(load_pipeline))
    ours = [given for words in commands(*GUIDES) if (given := arguments(words))]
    ours = [given for given in ours if given[0] in ("generate", "batch") and "--weights" not in given]
    ours = [given for given in ours if "examples/" not in " ".join(given)]
    assert len(ours) >= 5
    for given in map(list, dict.fromkeys(map(tuple, ours))):
        assert main(given) == 0, given
        out = desk / given[given.index("-o") + 1] if "-o" in given else desk / "points.json"
        assert (out / "talk.mp4" if given[0] == "batch" else out).is_file(), given


def test_the_example_in_python_makes_a_video(desk):
    block = re.search(r"^## Python$.*?```python\n(.*?)```", text(), re.S | re.M)
    exec(compile(block.group(1), "README.md", "exec"), {})
    assert page.probe(desk / "video.mp4")["frames"] == 4
