"""Borders: imports between packages, lengths of files and functions, effects of an import."""

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = sorted((ROOT / "atldiff").rglob("*.py"))
SCRIPTS = [
    path
    for folder in ("examples", "examples/agents", "tools", ".")
    for path in sorted((ROOT / folder).glob("*.py"))
]
SOURCES = [*PACKAGE, *SCRIPTS]
LONG_FILE, MAX_FILE, MAX_FUNCTION = 300, 400, 60  # lines
MAX_FOLDER = 16  # files
LONG_FILES = 0.1  # highest share of files longer than LONG_FILE

# Rooms that may import each heavy dependency; a name with a slash at its end is a folder.
ROOMS = {
    "gradio": ("app.py", "atldiff/web/"),
    "spaces": ("app.py", "atldiff/web/"),
    "onnxruntime": ("atldiff/portrait/",),
    "face_alignment": ("atldiff/portrait/",),
    "mediapipe": ("atldiff/portrait/", "tools/"),
    "transformers": ("atldiff/speech/", "atldiff/rendering/"),
    "av": ("atldiff/media/", "atldiff/live/", "tools/"),
    "aiortc": ("atldiff/live/peer.py",),
    "livekit": ("atldiff/live/agents/", "examples/agents/"),
    "pipecat": ("atldiff/live/agents/", "examples/agents/"),
    "c2pa": ("atldiff/provenance/",),
    "cryptography": ("atldiff/provenance/",),
}
# Rooms that may import each package.
GUESTS = {
    "atldiff.training": ("atldiff/training/", "atldiff/cli/", "atldiff/__main__.py", "tools/"),
    "atldiff.evaluation": ("atldiff/evaluation/", "atldiff/training/", "atldiff/cli/", "atldiff/__main__.py"),
    "atldiff.live": ("atldiff/live/", "atldiff/web/", "atldiff/cli/", "app.py", "examples/agents/", "tools/"),
    "atldiff.web": ("atldiff/web/", "app.py", "tools/"),
    "atldiff.cli": ("atldiff/cli/", "atldiff/web/", "atldiff/training/", "atldiff/evaluation/",
                    "atldiff/__main__.py", "app.py", "examples/", "tools/"),
    "atldiff.__main__": (),
    "app": (),
}  # fmt: skip


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def inside(path: Path, rooms: tuple[str, ...]) -> bool:
    """Is a file one of the rooms, or inside one of them?"""
    return any(name(path) == room or room.endswith("/") and name(path).startswith(room) for room in rooms)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(module: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """The full name and line of each import of a module in `package`, also inside functions."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base, node.lineno
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


@cache
def all_imports() -> list[tuple[Path, str, int]]:
    """The file, full name and line of each import."""
    return [
        (path, *imported)
        for path in SOURCES
        for imported in imports(tree(path), path.relative_to(ROOT).parent.parts)
    ]


def importers(target: str) -> list[tuple[Path, int]]:
    """The file and line of each import of a module or its submodules."""
    return [
        (path, line)
        for path, module, line in all_imports()
        if module == target or module.startswith(target + ".")
    ]


def strangers(rules: dict[str, tuple[str, ...]]) -> list[str]:
    """The imports of each module outside the rooms that may import it, as messages."""
    return [
        f"{name(path)}:{line} imports {module}; only {', '.join(rooms) or 'nobody'} may"
        for module, rooms in rules.items()
        for path, line in importers(module)
        if not inside(path, rooms)
    ]


def listed(offenders: list[str]) -> str:
    return "\n" + "\n".join(sorted(set(offenders)))


def test_imports_are_read_also_relative_ones_and_those_in_functions():
    text = "import numpy as np\nfrom . import levels\ndef f():\n    from ..training.clips import load_clips\n"
    read = {module for module, _ in imports(ast.parse(text), ("atldiff", "rendering"))}
    assert {"numpy", "atldiff.rendering.levels", "atldiff.training.clips.load_clips"} <= read
    assert "atldiff.training.clips" in read and "atldiff.rendering.training" not in read


def test_heavy_dependencies_stay_in_their_rooms():
    offenders = strangers(ROOMS)
    assert not offenders, listed(offenders)


def test_every_room_is_in_use():
    """A rule without any import protects nothing."""
    idle = [dependency for dependency in ROOMS if not importers(dependency)]
    missing = [room for rooms in (*ROOMS.values(), *GUESTS.values()) for room in rooms]
    missing = [room for room in missing if not (ROOT / room).exists()]
    assert (idle, missing) == ([], [])


def test_imports_between_packages_point_down():
    """The corridor imports nothing that serves, trains or measures; evaluation never imports training."""
    offenders = strangers(GUESTS)
    assert not offenders, listed(offenders)


def test_the_tools_find_the_parts_of_the_tests_that_they_import():
    """Those may have moved."""
    parts = {path.stem for path in (ROOT / "tests").rglob("*.py")}
    tops = {(path, module.split(".")[0]) for path, module, _ in all_imports() if path.parent.name == "tools"}
    lost = [f"{name(path)} imports {top}" for path, top in tops if top in parts and not find_spec(top)]
    assert not lost, listed(lost)


def test_files_stay_short():
    """The tests' own, too."""
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py")]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    too_long = [f"{name(path)}: {lines} lines" for path, lines in lengths.items() if lines > MAX_FILE]
    assert not too_long, listed(too_long)
    long = [f"{name(path)}: {lengths[path]} lines" for path in SOURCES if lengths[path] > LONG_FILE]
    assert len(long) <= LONG_FILES * len(SOURCES), listed(long)


def test_folders_stay_small():
    """Of code and examples; a new file finds its room at a glance."""
    rooms = [ROOT / room for room in ("atldiff", "docs", "examples", "tests", "tools")]
    files = [path for room in rooms for path in room.rglob("*") if path.is_file()]
    kept = [path for path in files if not {"__pycache__", "node_modules"} & set(path.parts)]
    folders = Counter(path.parent for path in kept)
    offenders = [f"{name(folder)}: {count} files" for folder, count in folders.items() if count > MAX_FOLDER]
    assert not offenders, listed(offenders)


def test_functions_stay_short():
    offenders = [
        f"{name(path)}:{node.lineno} {node.name}: {lines} lines"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION
    ]
    assert not offenders, listed(offenders)


def at_import(node: ast.AST) -> list[ast.AST]:
    """The node and its children, without bodies of functions."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    children = [child for child in ast.iter_child_nodes(node) if not isinstance(child, functions)]
    return [node, *(below for child in children for below in at_import(child))]


def test_no_import_reads_the_environment():
    offenders = [
        f"{name(path)}:{node.lineno} {node.attr}"
        for path in PACKAGE
        for node in at_import(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert not offenders, listed(offenders)


def test_no_device_is_chosen_by_name():
    """Any module may test for "cuda"; only app.py and the command line choose it."""
    offenders = []
    for path in PACKAGE:
        if inside(path, ("atldiff/__main__.py", "atldiff/cli/")):
            continue
        compared = {
            id(below)
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Compare)
            for below in ast.walk(node)
        }
        offenders += [
            f"{name(path)}:{node.lineno}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Constant) and node.value == "cuda" and id(node) not in compared
        ]
    assert not offenders, listed(offenders)


def test_importing_writes_nothing_and_loads_nothing_heavy(tmp_path):
    """Of all modules but the page's, because gradio reads its folder, and the agents' adapters, which
    need their own packages; loads the starter too."""
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in PACKAGE]
    apart = ("atldiff.web", "atldiff.__main__", "atldiff.live.agents.livekit", "atldiff.live.agents.pipecat")
    modules = [module for module in modules if not module.startswith(apart)]
    code = (
        "import sys, importlib\n"
        "import atldiff\n"
        "assert 'torch' not in sys.modules and 'cv2' not in sys.modules, 'import atldiff takes seconds'\n"
        "atldiff.ATLDiffPipeline.from_pretrained()\n"
        "brought = {'torch._dynamo', 'transformers.modeling_utils', 'scipy'} & set(sys.modules)\n"
        "assert not brought, f'diffusers brought {brought}; see atldiff/diffusers_base.py'\n"
        "for module in sys.argv[1:]: importlib.import_module(module.removesuffix('.__init__'))\n"
        "heavy = {'mediapipe', 'face_alignment', 'kan', 'gradio', 'librosa', 'ray', 'cv2', 'spaces'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    settings = {
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    kept = {
        key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE") if key in os.environ
    }
    command = [sys.executable, "-c", code, *modules]
    done = subprocess.run(
        command, cwd=tmp_path, env=kept | settings, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(tmp_path.rglob("*")) == []
