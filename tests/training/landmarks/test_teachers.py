"""Measured lags, folds of people, and teachers of the landmark network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from training.made_speech import corpus, networks

from atldiff.config import PRESETS
from atldiff.errors import InputError
from atldiff.speech.encoders import load_speech_encoder
from atldiff.training.data.array_file import ArrayFile
from atldiff.training.export import mean_weights
from atldiff.training.landmarks import clips as speech_clips
from atldiff.training.landmarks import train as module
from atldiff.training.landmarks.encoded import EncodedSpeech, encode_clip
from atldiff.training.landmarks.folds import CLIPS_A_PERSON, Fold, held_out, trained_on
from atldiff.training.landmarks.teachers import TRUTH_SHARE, Teacher
from atldiff.training.landmarks.train import LandmarkStage

SHORT = LandmarkStage(
    batch=4, frames=30, steps=2, learning_rate=1e-2, versions=1, lag_step=2, validate_every=2
)


def test_a_measured_lag_moves_the_pictures_of_training_clips_alone(tmp_path):
    for name, late, lag in (("plain", 0, 0.0), ("late", 3, 0.1), ("early", -3, -0.1)):
        (tmp_path / name).mkdir()
        corpus(tmp_path / name, 2, late, lag)
    plain, late, early = (
        speech_clips.load_speech_clips(tmp_path / name, "train")[0] for name in ("plain", "late", "early")
    )
    opening = plain.displacements[..., 1].max(1)
    np.testing.assert_allclose(late.displacements[:-3, :, 1].max(1), opening[:-3], atol=1e-5)
    np.testing.assert_allclose(early.displacements[3:, :, 1].max(1), opening[3:], atol=1e-5)
    assert late.ok.sum() == early.ok.sum() == 87 and not late.ok[-3:].any() and not early.ok[:3].any()
    recorded, moved = (
        speech_clips.load_speech_clips(tmp_path / name, "val")[0] for name in ("plain", "late")
    )
    np.testing.assert_allclose(moved.displacements[3:], recorded.displacements[:-3], atol=1e-5)
    assert moved.ok.all()


def test_every_person_is_in_one_fold():
    people = [f"person{number}" for number in range(40)]
    folds = [Fold.from_text(f"{number}/3") for number in range(3)]
    assert all(sum(fold.holds(who) for fold in folds) == 1 for who in people)
    assert all(1 < sum(map(fold.holds, people)) < 39 for fold in folds)
    kept = trained_on(people, folds[0])
    assert kept == [not folds[0].holds(who) for who in people] and all(trained_on(people, None))


@pytest.mark.parametrize("text", ["", "3", "3/3", "0/1", "-1/2", "a/b", "1/2/3"])
def test_what_is_no_fold_is_refused(text):
    with pytest.raises(InputError, match="no fold"):
        Fold.from_text(text)


def test_nobody_outweighs_the_others_of_a_fold(tmp_path):
    corpus(tmp_path, 2)
    clip = speech_clips.load_speech_clips(tmp_path, "train")[0]
    fold = next(fold for fold in (Fold(0, 2), Fold(1, 2)) if fold.holds(clip.speaker))
    assert len(held_out([clip] * 5, fold)) == CLIPS_A_PERSON
    assert held_out([clip] * 5, Fold(1 - fold.number, 2)) == []


def test_a_pupil_learns_truth_and_the_teachers_mean(tmp_path):
    data, other = tmp_path / "data", tmp_path / "other"
    for folder, count in ((data, 5), (other, 4)):
        folder.mkdir()
        corpus(folder, count)
    runs = [tmp_path / "one", tmp_path / "two"]
    for number, run in enumerate(runs):
        module.train_landmarks(data, run, *networks(), replace(SHORT, fold=Fold(number, 2)))
    taught = replace(SHORT, teachers=tuple(map(str, runs)))
    module.train_landmarks(data, tmp_path / "pupil", *networks(), taught)
    key = next((tmp_path / "pupil").glob("features-*.pt")).stem.removeprefix("features-")
    encoder, _ = networks()
    encoder.load_state_dict(torch.load(runs[0] / f"features-{key}.pt", weights_only=True), strict=False)
    example = encode_clip(encoder, speech_clips.load_speech_clips(data, "train")[0])
    mean = torch.stack([Teacher(run, key, encoder).eval().displacements(example) for run in runs]).mean(0)
    wanted = TRUTH_SHARE * example.displacements + (1 - TRUTH_SHARE) * mean
    rows = ArrayFile.open_existing(next((tmp_path / "pupil").glob("taught-*.bin")))
    torch.testing.assert_close(EncodedSpeech(rows)[0].displacements, wanted, atol=1e-4, rtol=0)
    with pytest.raises(InputError, match="no landmark run on these clips"):
        module.train_landmarks(other, tmp_path / "wrong", *networks(), taught)
    with pytest.raises(InputError, match="another teachers"):
        module.train_landmarks(data, tmp_path / "pupil", *networks(), replace(taught, teachers=()))


def test_a_trained_generator_goes_on_and_keeps_its_basis(tmp_path):
    (tmp_path / "data").mkdir()
    corpus(tmp_path / "data", 4)
    module.train_landmarks(tmp_path / "data", tmp_path / "first", *networks(), SHORT)
    encoder = load_speech_encoder(tmp_path / "first" / "speech_encoder")
    start = tmp_path / "first" / "landmark_generator"
    generator = module.begin_generator(encoder, PRESETS["starter"].landmarks, 0, start)
    before, mean = (
        {name: value.clone() for name, value in generator.state_dict().items()},
        encoder.mean.clone(),
    )
    assert mean.abs().sum() > 0
    module.train_landmarks(
        tmp_path / "data", tmp_path / "second", encoder, generator, replace(SHORT, trained=True)
    )
    assert torch.equal(encoder.mean, mean)
    changed = {name for name, value in generator.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and not changed & {"basis", "scale", "mean"}
    ends = [load_speech_encoder(start.parent / "speech_encoder").gate, encoder.gate]
    wanted = (ends[0].weight.weight + ends[1].weight.weight) / 2
    torch.testing.assert_close(mean_weights(ends, (0.5, 0.5)).weight.weight, wanted)
    with pytest.raises(InputError, match="landmark_generator"):
        module.begin_generator(encoder, PRESETS["starter"].landmarks, 0, tmp_path / "data")
