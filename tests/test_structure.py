"""The house's borders: who may import whom, how large a file or function may grow, what an import does."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = sorted((ROOT / "atldiff").rglob("*.py"))
SOURCES = [*PACKAGE, *sorted((ROOT / "examples").glob("*.py")), *sorted(ROOT.glob("*.py"))]
MAX_FILE, MAX_FUNCTION = 250, 60  # lines

# Each heavy dependency lives in the rooms named here and nowhere else.
ROOMS = {
    "gradio": {
        "app.py",
        *(f"atldiff/web/{room}.py" for room in ("blocks", "components", "layout", "events", "inspection")),
    },
    "spaces": {"app.py"},
    "kan": {"atldiff/speech/kfusion.py"},
    "mediapipe": {"atldiff/portrait/matting.py"},
    "face_alignment": {"atldiff/portrait/fan.py"},
    "transformers": {
        "atldiff/speech/emotion_recogniser.py",
        "atldiff/speech/wav2vec2_encoder.py",
        "atldiff/rendering/identity.py",
    },
    "av": {
        "atldiff/media/decoding.py",
        "atldiff/media/pictures.py",
        "atldiff/media/video.py",
        "atldiff/media/video_reader.py",
        "examples/make_recordings.py",
        "examples/make_videos.py",
    },
}
ANNEXES = ("atldiff.training", "atldiff.evaluation")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function, by its full name."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def test_there_is_something_to_look_at():
    assert len(PACKAGE) > 10 and "numpy" in imports(ROOT / "atldiff/landmarks.py")


@pytest.mark.parametrize("dependency", ROOMS)
def test_a_heavy_dependency_stays_in_its_room(dependency):
    guests = {name(p) for p in SOURCES if any(within(m, dependency) for m in imports(p))}
    assert guests <= ROOMS[dependency]


def test_the_corridor_never_imports_the_annexes():
    for path in SOURCES:
        allowed = name(path) == "atldiff/__main__.py" or name(path).startswith(
            ("atldiff/training/", "atldiff/evaluation/")
        )
        guests = [m for m in imports(path) if any(within(m, annex) for annex in ANNEXES)]
        assert allowed or not guests, (name(path), guests)


def test_evaluation_never_imports_training():
    for path in sorted((ROOT / "atldiff/evaluation").glob("*.py")):
        assert not [m for m in imports(path) if within(m, "atldiff.training")], name(path)


def test_nobody_imports_the_page_or_the_command_line():
    for path in SOURCES:
        assert not imports(path) & {"app", "atldiff.__main__"}, name(path)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno + 1 <= MAX_FUNCTION, node.name


def at_import(node: ast.AST) -> list[ast.AST]:
    """The node and all below it that runs when the file is imported."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    below = [
        c
        for child in ast.iter_child_nodes(node)
        if not isinstance(child, functions)
        for c in at_import(child)
    ]
    return [node, *below]


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_the_package_reads_no_environment_when_imported(path):
    for node in at_import(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")), node.lineno


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_no_device_is_chosen_by_name_and_no_exception_is_swallowed(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    asked = {id(c) for node in ast.walk(tree) if isinstance(node, ast.Compare) for c in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and name(path) != "atldiff/__main__.py" and id(node) not in asked:
            assert node.value != "cuda", f"line {node.lineno}"
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), (
            f"line {node.lineno}: bare except"
        )


def test_importing_the_package_writes_nothing_and_loads_no_model(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys, atldiff\n"
        "heavy = {'mediapipe', 'face_alignment', 'kan', 'gradio', 'librosa'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    settings = {
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE")}
    subprocess.run([sys.executable, "-c", code], cwd=home, env=kept | settings, check=True, timeout=120)
    assert list(home.rglob("*")) == []
