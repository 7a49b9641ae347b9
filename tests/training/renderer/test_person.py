"""Somebody's video -> a pipeline whose renderer was fine-tuned on them; tiny networks."""

import json

import numpy as np
import pytest
import torch
from training.made_speech import SMALLEST, narrow_critic

from atldiff import ATLDiffPipeline, IdentityUNet3DModel, InputError, load_portrait
from atldiff.cli.parser import main
from atldiff.media.video_writer import write_video
from atldiff.training.data.shards import read_prepared
from atldiff.training.renderer import step as renderer_step
from atldiff.training.renderer.person import prepare_person, split_clip


@pytest.fixture(scope="module")
def video(tmp_path_factory, portrait_path):
    """Five seconds of a face that does not move."""
    path = tmp_path_factory.mktemp("video") / "somebody.mp4"
    frame = load_portrait(portrait_path).image[::2, ::2]
    write_video(path, [frame] * 150, None)
    return path


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """The folder of an untrained tiny pipeline."""
    folder = tmp_path_factory.mktemp("start")
    ATLDiffPipeline.from_preset(SMALLEST).save_pretrained(folder)
    return folder


def test_a_video_becomes_a_pipeline_and_the_command_resumes(video, start, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(renderer_step, "MouthCritic", narrow_critic)
    words = ["train", "person", video, "--out", tmp_path, "--start", start, "--steps", 1, "--batch", 1]
    words = [str(word) for word in [*words, "--device", "cpu"]]
    assert main(words) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "pipeline")]
    steps = [json.loads(line)["step"] for line in (tmp_path / "renderer/log.jsonl").read_text().splitlines()]
    assert steps == [0, 1]  # the weights it began from are scored too
    pipeline = ATLDiffPipeline.from_pretrained(tmp_path / "pipeline")
    assert pipeline.unet.config.block_out_channels == [8, 16]
    folders = (start / "unet", tmp_path / "renderer/best/unet", tmp_path / "renderer/last/unet")
    nets = [IdentityUNet3DModel.from_pretrained(folder) for folder in folders]
    assert nets[-1].dtype.itemsize == 4
    before, best, last, made = (dict(net.named_parameters()) for net in (*nets, pipeline.unet))
    for name, weight in made.items():  # exported in half precision
        wanted = 0.3 * before[name].float() + 0.7 * best[name].float()
        torch.testing.assert_close(weight.float(), wanted, atol=1e-3, rtol=1e-3)
    # Whether one step is better than none is chance, and the best may be the first; the last was trained.
    assert any(not torch.equal(before[name].float(), weight) for name, weight in last.items())
    assert main(words) == 0
    assert len((tmp_path / "renderer/log.jsonl").read_text().splitlines()) == 2
    (train,), held = (list(read_prepared(tmp_path / "data", split)) for split in ("train", "val"))
    assert train[0]["frames"] == len(train[1]["ok"]) == 120
    assert [entry["frames"] for entry, _ in held] == [30]
    other = tmp_path / "other.mp4"
    other.write_bytes(video.read_bytes()[:-1])
    with pytest.raises(InputError, match="other videos"):
        prepare_person([other], tmp_path / "data")


def test_pieces_hold_what_belongs_together():
    frames, marks = np.arange(300), np.arange(360)
    arrays = {"jpeg": np.arange(900), "offsets": np.arange(301) * 3, "ok": frames, "landmarks": frames}
    arrays |= {"samples": np.arange(192_000), "landmarks30": marks, "ok30": marks}
    pieces = split_clip({"stem": "a", "frames": 300, "fps": 25.0}, arrays)
    assert [(entry["split"], entry["frames"]) for entry, _ in pieces] == [("train", 240), *[("val", 25)] * 2]
    _, held = pieces[1]
    assert held["ok"][0] == 240 and held["jpeg"][0] == 720 and held["offsets"][-1] == 3 * 25
    assert held["samples"][0] == 240 * 640 and held["landmarks30"][0] == 288
    short = split_clip({"stem": "a", "frames": 100, "fps": 25.0}, arrays)
    assert [entry["frames"] for entry, _ in short] == [80]  # its end is shorter than a piece
