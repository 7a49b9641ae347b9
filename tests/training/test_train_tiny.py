"""`make train-tiny`: the whole way from photos and a recording to a trained checkpoint's video."""

import runpy

import page
import pytest

from atldiff import ATLDiffPipeline, read_clip


@pytest.mark.timeout(900)
def test_from_clips_made_on_the_fly_to_a_checkpoint_that_generates(tmp_path):
    words = page.recording(tmp_path / "words.wav", 0.5)
    program = runpy.run_path(str(page.EXAMPLES / "train_tiny.py"))
    program["train_tiny"](tmp_path / "tiny", words, steps=4)
    pipeline = ATLDiffPipeline.from_pretrained(tmp_path / "tiny" / "pipeline")
    assert pipeline.preset.name == "tiny" and pipeline.unet.config.block_out_channels == [16, 32]
    video = read_clip(tmp_path / "tiny" / "video.mp4")
    assert len(video.frames) == 15 and video.speech is not None
