"""Training on several processes, killed runs, full disks, corpora larger than the memory; the hub."""

import errno
import json
import multiprocessing
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub.errors import HTTPError
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training import made_speech
from training.made_speech import SMALLEST, corpus, emotional_speech, narrow_critic, train_all
from training.processes import run_processes

from atldiff.cli.parser import main
from atldiff.errors import InputError
from atldiff.training.renderer import batches, stages
from atldiff.training.renderer import step as renderer_step
from atldiff.training.renderer import train as train_diffusion
from atldiff.training.renderer.batches import Batches
from atldiff.training.renderer.networks import EMOTION_DROPOUT, STYLE_DROPOUT
from atldiff.training.runs import hub
from atldiff.training.runs.processes import Journal

EVERY = replace(stages.STAGES["spatial"], batch=1, steps=4, critic_from=1, save_seconds=-1.0)


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setattr(renderer_step, "MouthCritic", narrow_critic)


def entries(run, log="log") -> dict[int, dict]:
    lines = [json.loads(line) for line in (run / f"{log}.jsonl").read_text().splitlines()]
    return {line["step"]: {k: v for k, v in line.items() if k != "time"} for line in lines if "step" in line}


def test_two_processes_train_to_what_one_does_with_twice_the_batch(data, tmp_path, monkeypatch):
    """All three networks; the renderer's critic too."""
    speech = tmp_path / "speech"
    speech.mkdir()
    corpus(speech)
    emotional_speech(speech)
    assert run_processes(2, made_speech.train_exactly, data, speech, tmp_path / "two", 2) == [0, 0]
    monkeypatch.setitem(train_diffusion.STAGES, "spatial", EVERY)
    made_speech.use_float64(monkeypatch.setattr)
    train_all(data, speech, tmp_path / "one", 4)
    for log, steps, tolerance in (("renderer/log", {1, 2, 3}, 1e-5), ("landmarks/landmarks", {2, 4}, 5e-3)):
        one, two = (entries(tmp_path / name, log) for name in ("one", "two"))
        assert set(one) == set(two) == steps  # said once
        for step in steps:
            assert two[step] == pytest.approx(one[step], rel=tolerance, abs=tolerance / 5, nan_ok=True)
    renderer = "renderer/last/unet/diffusion_pytorch_model.safetensors"
    generator = "landmarks/landmark_generator/diffusion_pytorch_model.safetensors"
    for file, tolerance in ((renderer, 1e-6), (generator, 1e-4)):
        one, two = (load_file(tmp_path / name / file) for name in ("one", "two"))
        for name, weight in one.items():
            torch.testing.assert_close(two[name], weight, rtol=0, atol=tolerance)
    assert torch.load(tmp_path / "two" / "emotion" / "emotion.pt", weights_only=True)["step"] == 2


def test_a_killed_run_goes_on_with_the_same_losses_and_weights(data, tmp_path, monkeypatch):
    """A streamed one, whose place in the shards is part of the state, however far its readers are."""
    monkeypatch.setattr(batches, "AHEAD", 4)
    monkeypatch.setitem(train_diffusion.STAGES, "spatial", EVERY)
    options = {"preset": SMALLEST, "run": train_diffusion.RunConfig(memory=0)}
    train_diffusion.train_diffusion(data, tmp_path / "whole", **options)
    assert run_processes(1, made_speech.train_until_killed, data, tmp_path / "killed", EVERY) == [-9]
    readers, until = (tmp_path / "killed" / "readers.txt").read_text().split(), time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in readers) and time.monotonic() < until:
        time.sleep(0.1)
    assert readers and not any(Path(f"/proc/{pid}").exists() for pid in readers)  # they end with the run
    torch.rand(9)
    train_diffusion.train_diffusion(data, tmp_path / "killed", **options)
    assert set(entries(tmp_path / "whole")) == {1, 2, 3, 4}
    assert entries(tmp_path / "killed") == entries(tmp_path / "whole")
    curves = EventAccumulator(str(tmp_path / "whole" / "curves"), {"images": 0}).Reload()
    assert [point.step for point in curves.Scalars("loss")] == [1, 2, 3, 4]
    assert len(curves.Images("validation")) == 4


def test_a_full_disk_ends_with_a_sentence_and_keeps_the_last_state(data, tmp_path, monkeypatch):
    monkeypatch.setitem(train_diffusion.STAGES, "spatial", replace(EVERY, steps=2))
    save = torch.save

    def fills(state, path):
        if state["step"] == 2:
            path.write_bytes(b"half")
            raise RuntimeError("PytorchStreamWriter failed writing file")
        save(state, path)

    monkeypatch.setattr(torch, "save", fills)
    with pytest.raises(InputError, match="state.pt cannot be written. Make room"):
        train_diffusion.train_diffusion(data, tmp_path, preset=SMALLEST)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 1
    assert not list(tmp_path.glob("*.part"))


def test_curves_that_cannot_be_begun_or_ended_are_said(tmp_path, monkeypatch):
    """TensorBoard writes as soon as it starts, and keeps what it has not written until its end."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    accelerator = train_diffusion.start_processes("cpu", tmp_path)
    journal = Journal(accelerator, "log", 0)
    monkeypatch.setattr(type(accelerator.trackers[0]), "finish", full)
    with pytest.raises(InputError, match=r"log.jsonl cannot be written \(No space"):
        journal.close()
    monkeypatch.setattr(accelerator, "init_trackers", full)
    with pytest.raises(InputError, match=r"log.jsonl cannot be written \(No space"):
        Journal(accelerator, "log", 0)


def test_curves_that_break_off_in_their_own_thread_are_said_without_a_trace(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    printed = []
    monkeypatch.setattr("threading.excepthook", printed.append)
    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
    accelerator = train_diffusion.start_processes("cpu", tmp_path)
    with pytest.raises(InputError, match=r"cannot be written \(No space"):
        journal = Journal(accelerator, "log", 0)
        for step in range(1000):
            journal.write({"step": step, "loss": 1.0})
            time.sleep(0.01)
    assert not printed


def test_a_shard_that_is_missing_when_it_is_streamed_is_said(data, tmp_path):
    broken = shutil.copytree(data, tmp_path / "data")
    for shard in broken.glob("train*.tar"):
        shard.unlink()
    accelerator = train_diffusion.start_processes("cpu", tmp_path)
    source = train_diffusion.DataConfig(broken, memory=1e-6, batch=2)
    with pytest.raises(InputError, match=r"^The shard .*tar cannot be read: Remove"):
        next(iter(Batches(source, train_diffusion.SampleConfig.from_preset(SMALLEST), accelerator)))


def test_a_reader_that_is_killed_is_said(data, tmp_path):
    accelerator = train_diffusion.start_processes("cpu", tmp_path)
    source = train_diffusion.DataConfig(data, batch=2)
    config = train_diffusion.SampleConfig.from_preset(SMALLEST)
    feed = iter(Batches(source, config, accelerator))
    next(feed)
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(InputError, match="goes on from the last state"):
        for _ in range(100):
            next(feed)


def test_a_corpus_larger_than_the_memory_is_streamed(data, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "load_clips", None)  # nothing is loaded whole
    monkeypatch.setattr(batches, "AHEAD", 4)
    accelerator = train_diffusion.start_processes("cpu", tmp_path)
    source = train_diffusion.DataConfig(data, memory=1e-6, batch=2)
    config = train_diffusion.SampleConfig.from_preset(SMALLEST)
    read = Batches(source, config, accelerator)
    feed = iter(read)
    next(feed)
    places = read.places()
    wanted = [batch["identity"] for _, batch in (next(feed), next(feed))]
    again = iter(Batches(source, config, accelerator, 1, places))
    for identity in wanted:
        assert torch.equal(next(again)[1]["identity"], identity)
    with pytest.raises(InputError, match="begun with 2 processes"):
        Batches(source, config, accelerator, 1, places * 2)


def test_training_ends_when_the_score_rises_no_more(data, tmp_path, monkeypatch):
    monkeypatch.setitem(train_diffusion.STAGES, "spatial", EVERY)
    scores = iter([1.0, 3.0, 2.0, 2.5])
    monkeypatch.setattr(train_diffusion.Trainer, "_score", lambda *_: next(scores))
    patient = train_diffusion.RunConfig(patience=2)
    for _ in range(2):  # the same command again does not go on
        train_diffusion.train_diffusion(data, tmp_path, preset=SMALLEST, run=patient)
        assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 4


def test_weights_go_to_the_hub_or_a_sentence_says_why_not(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    words = ("train", "diffusion", "--data", data, "--out", tmp_path, "--push-to-hub", "somebody/renderer")
    assert main([str(word) for word in words]) == 2  # before it trains
    assert "somebody/renderer cannot be written" in capsys.readouterr().err
    asked = []

    class Api:
        def create_repo(self, name, **options):
            asked.append((name, options["private"]))

        def upload_folder(self, **options):
            asked.append((options["repo_id"], options["folder_path"]))

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    hub.reserve("me/it")
    hub.push(tmp_path, "me/it")
    assert asked == [("me/it", True), ("me/it", tmp_path)]

    def offline(*_, **__):
        raise HTTPError("Name or service not known")

    monkeypatch.setattr(Api, "create_repo", offline)
    with pytest.raises(InputError, match="Go online"):
        hub.reserve("me/it")


def test_what_is_random_about_a_sample_is_its_numbers():
    draws = [drawn(numbers) for numbers in ((3, 4), (4,))]
    for name in ("timesteps", "use_emotion", "use_style", "gain", "offset"):
        assert torch.equal(getattr(draws[0], name)[1:], getattr(draws[1], name))
    assert torch.equal(draws[0].noises[1][1:], draws[1].noises[1])
    many = drawn(range(400))
    assert (many.timesteps == 999).float().mean() == pytest.approx(0.8, abs=0.07)
    assert np.unique(many.timesteps).size > 50 and many.noises[0].abs().max() <= 1
    assert many.use_emotion.float().mean() == pytest.approx(1 - EMOTION_DROPOUT, abs=0.07)
    assert many.use_style.float().mean() == pytest.approx(1 - STYLE_DROPOUT, abs=0.07)


def drawn(numbers):
    from atldiff.training.renderer.networks import Draws

    return Draws.from_seed(0, numbers, [4, 8], 0.8, torch.device("cpu"))
