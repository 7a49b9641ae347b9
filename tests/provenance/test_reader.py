"""A reader that shares no code with the signing library agrees (needs node and its packages)."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from atldiff.media.video_writer import write_video

READER = Path(__file__).parent / "reader"
pytestmark = pytest.mark.skipif(
    not shutil.which("node") or not (READER / "node_modules").is_dir(),
    reason="needs node, and the packages that make test installs",
)


def test_an_independent_reader_agrees_on_good_changed_and_stripped_videos(tmp_path):
    frames = [np.full((64, 64, 3), 90 + index, np.uint8) for index in range(3)]
    paths = [write_video(tmp_path / name, frames, None) for name in ("a.mp4", "a.mov")]
    content = bytearray(paths[0].read_bytes())
    content[-300] ^= 1
    begin = content.index(b"uuid") - 4
    stripped = content[:begin] + content[begin + int.from_bytes(content[begin : begin + 4], "big") :]
    for name, changed in (("changed.mp4", content), ("stripped.mp4", stripped)):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(changed)
    command = ["node", str(READER / "read.mjs"), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    good, film, changed, stripped = map(json.loads, done.stdout.splitlines())
    assert good == film == {"found": True, "valid": True, "failures": []}
    assert changed == {"found": True, "valid": False, "failures": ["assertion.bmffHash.mismatch"]}
    assert stripped == {"found": False}
