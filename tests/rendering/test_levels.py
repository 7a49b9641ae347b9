"""The two converters of the value range."""

from pathlib import Path

import torch

import atldiff
from atldiff.rendering.levels import from_signed, to_signed


def test_every_level_comes_back():
    levels = torch.arange(256, dtype=torch.uint8)
    signed = to_signed(levels)
    assert signed.dtype == torch.float32 and signed[0] == -1 and signed[255] == 1
    torch.testing.assert_close(from_signed(signed), levels)


def test_what_lies_beyond_the_range_is_cut():
    assert from_signed(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_no_other_module_converts():
    folder = Path(atldiff.__file__).parent
    others = [path for path in folder.rglob("*.py") if path.name != "levels.py"]
    assert not [path.name for path in others if "127.5" in path.read_text()]
