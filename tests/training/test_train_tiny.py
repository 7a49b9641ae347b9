"""`make train-tiny`: the whole way from photos and a recording to a trained checkpoint's video."""

import os
import subprocess
import sys
from pathlib import Path

import page
import pytest

from atldiff import ATLDiffPipeline, read_clip

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.timeout(900)
def test_from_clips_made_on_the_fly_to_a_checkpoint_that_generates(tmp_path):
    words = page.recording(tmp_path / "words.wav", 2.4)
    settings = os.environ | {"PYTHON": sys.executable, "HF_HUB_OFFLINE": "1", "RECORDING": str(words)}
    command = ["bash", str(ROOT / "examples" / "train_tiny.sh"), str(tmp_path / "tiny")]
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    pipeline = ATLDiffPipeline.from_pretrained(tmp_path / "tiny" / "pipeline")
    assert pipeline.preset.name == "tiny" and pipeline.unet.config.block_out_channels == [16, 32]
    video = read_clip(tmp_path / "tiny" / "video.mp4")
    assert len(video.frames) == 72 and video.speech is not None
