"""The page's examples: portraits with one face, and ready videos that match them."""

import json
from pathlib import Path

import page
import pytest

from atldiff.portrait.portrait import load_portrait

EXAMPLES = Path(__file__).parents[2] / "examples"
READY = json.loads((EXAMPLES / "videos" / "manifest.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("pair", READY, ids=lambda pair: pair["portrait"])
def test_a_ready_video_belongs_to_its_pair(pair):
    portrait = load_portrait(EXAMPLES / pair["portrait"])
    assert len(portrait.faces) == 1 and len(portrait.warnings) <= 1  # a smile, a face turned to the side
    assert (EXAMPLES / pair["recording"]).is_file()
    video = EXAMPLES / pair["video"]
    found = page.probe(video)
    assert video.stat().st_size < 400_000 and max(found["size"]) <= 512
    assert found["codecs"] == ("h264", "aac") and "AI-generated" in found["tags"]["comment"]
    assert found["frames"] == round(30 * pair["seconds"])
