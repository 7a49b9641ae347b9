"""Training on a made corpus: mouths that open with the loudness of noise. Small networks learn that."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from training.made_speech import corpus, emotional_speech, moved, networks

from atldiff import landmarks as lm
from atldiff.errors import InputError
from atldiff.evaluation.landmark_scores import clip_scores, validate_landmarks
from atldiff.speech.features import SpeechFeatures
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.mel import FEATURE_HOP, LogMel
from atldiff.speech.phonetic_encoder import PhoneticEncoder
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.training.emotion import phonemes
from atldiff.training.emotion import train as module
from atldiff.training.emotion.train import EmotionStage, augment, test_emotion, train_emotion
from atldiff.training.landmarks import augment as speech_variants
from atldiff.training.landmarks import clips as speech_clips
from atldiff.training.landmarks import encoded as encoded_speech
from atldiff.training.landmarks import train as train_landmarks
from atldiff.training.landmarks.components import fit_components
from atldiff.training.landmarks.loss import landmark_loss, opening_agreement
from atldiff.training.landmarks.train import LandmarkStage
from atldiff.training.landmarks.windows import draw_batch, mirror_vectors

test_emotion.__test__ = False  # a function of the package, not a test


def test_pose_is_taken_out_of_the_targets():
    opening = np.linspace(0, 0.05, 40)[np.r_[20:40, 0:20]]
    upright, ok = moved(opening), np.ones(40, bool)
    angle = np.linspace(-0.3, 0.3, 40)
    turn = np.stack(
        [np.stack([np.cos(angle), np.sin(angle)], -1), np.stack([-np.sin(angle), np.cos(angle)], -1)], -2
    )
    swaying = 3.0 * (upright @ turn) + np.linspace(0, 5, 40)[:, None, None]
    plain, identity = speech_clips.remove_pose(upright, ok)
    posed, posed_identity = speech_clips.remove_pose(swaying.astype(np.float32), ok)
    np.testing.assert_allclose(posed, plain, atol=1e-4)
    np.testing.assert_allclose(posed_identity, identity, atol=1e-4)
    assert np.abs(plain[20]).max() < 1e-6 and lm.mouth_opening(identity) < 1e-6


def test_another_speed_stretches_sound_and_lips_alike(tmp_path):
    corpus(tmp_path)
    clip = speech_clips.load_speech_clips(tmp_path, "train")[0]
    fast = speech_variants.change_speed(clip, 1.25)
    assert len(fast.samples) == pytest.approx(len(clip.samples) / 1.25, abs=2)
    np.testing.assert_allclose(fast.displacements[40], clip.displacements[50], atol=1e-5)


def test_variants_keep_sound_and_lips_of_one_length(tmp_path):
    corpus(tmp_path)
    clips = speech_clips.load_speech_clips(tmp_path, "train")
    for seed in range(8):
        clip = speech_variants.augment(clips[0], clips, np.random.default_rng(seed))
        assert clip.samples.dtype == np.float32 and np.isfinite(clip.samples).all()
        assert len(clip.displacements) == len(clip.ok)
        assert abs(len(clip.samples) / 16_000 * 30 - len(clip.ok)) < 2


def test_silence_around_a_clip_closes_the_lips(tmp_path):
    corpus(tmp_path)
    clip = speech_clips.load_speech_clips(tmp_path, "train")[0]
    longer = speech_variants.surround_with_silence(clip, np.random.default_rng(0))
    start = np.flatnonzero(np.abs(longer.displacements).sum((1, 2)) > 0)[0]
    assert longer.ok[0] and start >= 12 and np.abs(longer.displacements[:12]).max() == 0


def test_unprepared_data_is_refused(tmp_path):
    with pytest.raises(InputError, match="prepare"):
        speech_clips.load_speech_clips(tmp_path, "train")


def test_the_loss_of_the_truth_is_nearly_zero_and_of_stillness_is_not():
    clip = torch.from_numpy(moved(0.05 * np.abs(np.sin(np.arange(40) / 5)))).float()[None]
    identity, ok = clip[:, 0], torch.ones(1, 40, dtype=torch.bool)
    target = clip - identity[:, None]
    assert landmark_loss(target, target, identity, ok)[0] < 0.01
    still, _ = landmark_loss(torch.zeros_like(target), target, identity, ok)
    none, _ = landmark_loss(torch.zeros_like(target), target, identity, torch.zeros_like(ok))
    assert still > 1 and none == 0


def test_agreement_is_correlation_and_log_ratio():
    wanted = torch.randn(2, 50)
    ones = torch.ones(2, 50)
    correlation, ratio = opening_agreement(3 * wanted + 1, wanted, ones)
    torch.testing.assert_close(correlation, ones[:, 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(ratio, ones[:, 0] * np.log(3), atol=1e-3, rtol=0)
    correlation, _ = opening_agreement(-wanted, wanted, ones)
    torch.testing.assert_close(correlation, -ones[:, 0], atol=1e-3, rtol=0)


def test_mirroring_twice_changes_nothing():
    points = torch.randn(3, 68, 2)
    torch.testing.assert_close(mirror_vectors(mirror_vectors(points)), points)


def test_scores_of_the_truth_of_a_late_truth_and_of_stillness(tmp_path):
    corpus(tmp_path)
    clip = speech_clips.load_speech_clips(tmp_path, "train")[0]
    true = clip.displacements + clip.identity
    scores = clip_scores(clip, true)
    assert scores["correlation"] == pytest.approx(1) and scores["lag"] == 0
    assert scores["deviation_ratio"] == pytest.approx(1) and scores["lmd"] == scores["m_lmd"] == 0
    assert scores["still_m_lmd"] > scores["still_lmd"] > 0
    late = replace(clip, displacements=np.roll(clip.displacements, 3, axis=0))
    assert clip_scores(late, true)["lag"] == 3  # the true lips come after the predicted ones
    still = clip_scores(clip, np.broadcast_to(clip.identity, true.shape))
    assert still["correlation"] == 0 and still["lmd"] == still["still_lmd"]


def test_training_learns_and_ships_its_best(tmp_path):
    (tmp_path / "data").mkdir()
    corpus(tmp_path / "data", 7)
    stage = LandmarkStage(
        batch=4, frames=45, steps=30, learning_rate=2e-2, versions=1, lag_step=25, validate_every=15
    )
    encoder, generator = networks()
    unseen = speech_clips.load_speech_clips(tmp_path / "data", "val")
    untrained = validate_landmarks(encoder, generator, unseen)["correlation"]
    best = train_landmarks.train_landmarks(tmp_path / "data", tmp_path / "run", encoder, generator, stage)
    assert best["correlation"] > max(0.5, untrained)
    again = validate_landmarks(encoder, generator, unseen)
    assert again["correlation"] == pytest.approx(best["correlation"], abs=1e-3)


def logged(run) -> dict[int, dict]:
    lines = [json.loads(line) for line in (run / "landmarks.jsonl").read_text().splitlines()]
    return {line["step"]: {k: v for k, v in line.items() if k != "time"} for line in lines if "step" in line}


SHORT = LandmarkStage(
    batch=4, frames=30, steps=4, learning_rate=1e-2, versions=2, lag_step=2, validate_every=2
)


class Killed(Exception):
    """What ends a run in the middle."""


def test_a_run_that_was_ended_goes_on_exactly(tmp_path, monkeypatch):
    """Weights, optimiser, averages, lags and torch's generator: the losses are those of one long run."""
    (tmp_path / "data").mkdir()
    corpus(tmp_path / "data", 4)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    train_landmarks.train_landmarks(tmp_path / "data", whole, *networks(), SHORT)
    plain = train_landmarks.LandmarkTrainer.train_step

    def ends(trainer):
        if trainer.state["step"] == 3:  # one step after the last state was saved
            raise Killed
        return plain(trainer)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(train_landmarks.LandmarkTrainer, "train_step", ends)
        train_landmarks.train_landmarks(tmp_path / "data", halves, *networks(), SHORT)
    torch.manual_seed(99)
    train_landmarks.train_landmarks(tmp_path / "data", halves, *networks(), SHORT)
    assert logged(halves) == logged(whole) and set(logged(whole)) == {2, 4}
    states = [torch.load(run / "landmarks.pt", weights_only=True) for run in (whole, halves)]
    assert str(states[0]["optimizer"]) == str(states[1]["optimizer"])
    for one, other in zip(*(state["average"]["shadow_params"] for state in states), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_encoded_speech_is_kept_by_data_encoder_and_seed(tmp_path):
    corpus(tmp_path, 4)
    clips, (encoder, _) = speech_clips.load_speech_clips(tmp_path, "train"), networks()
    key = speech_clips.data_key(encoder, clips)
    assert key == speech_clips.data_key(encoder, clips)
    encoder.gate.weight.bias.data += 1  # the gate is trained: what is cached does not depend on it
    encoder.mean += 1
    assert key == speech_clips.data_key(encoder, clips)
    louder = [replace(clips[0], samples=2 * clips[0].samples), *clips[1:]]
    other = StarterSpeechEncoder(width=8, layers=1, heads=2, kernel=7, symbols=3, bilabials=(1,), taps=(0,))
    keys = {key, speech_clips.data_key(encoder, louder), speech_clips.data_key(other, clips)}
    assert len(keys) == 3
    one = encoded_speech.encode_versions(tmp_path, key, encoder, clips, 2, seed=0)
    two = encoded_speech.encode_versions(tmp_path, key, encoder, clips, 2, seed=1)
    torch.testing.assert_close(one[0][0].acoustic, two[0][0].acoustic)
    assert (
        one[1][0].acoustic.shape != two[1][0].acoustic.shape
        or (one[1][0].acoustic != two[1][0].acoustic).any()
    )


def test_a_run_of_other_data_is_not_taken_up(tmp_path):
    for name, count in (("one", 4), ("two", 5)):
        (tmp_path / name).mkdir()
        corpus(tmp_path / name, count)
    stage = replace(SHORT, steps=2, versions=1)
    train_landmarks.train_landmarks(tmp_path / "one", tmp_path / "run", *networks(), stage)
    with pytest.raises(InputError, match="other data"):
        train_landmarks.train_landmarks(tmp_path / "two", tmp_path / "run", *networks(), stage)


def test_a_finished_run_goes_on_when_more_steps_are_asked_for(tmp_path):
    (tmp_path / "data").mkdir()
    corpus(tmp_path / "data", 4)
    emotional_speech(tmp_path)
    for steps in (2, 4):
        stage = replace(SHORT, steps=steps, versions=1)
        train_landmarks.train_landmarks(tmp_path / "data", tmp_path / "run", *networks(), stage)
        train_emotion(tmp_path, tmp_path / "run", networks()[0], EmotionStage(2, steps=steps, columns=80))
    assert set(logged(tmp_path / "run")) == {2, 4}
    assert torch.load(tmp_path / "run" / "emotion.pt", weights_only=True)["step"] == 4


def test_components_span_the_displacements_however_few_there_are(tmp_path):
    corpus(tmp_path, 4)
    clips = speech_clips.load_speech_clips(tmp_path, "train")[:1]
    for components in (2, 136):
        generator = LandmarkGenerator(8, width=16, heads=2, layers=1, channels=2, components=components)
        fit_components(generator, clips)
        basis, mean = generator.basis.double(), generator.mean.double()
        moved = torch.from_numpy(clips[0].displacements.reshape(90, -1)).double() - mean
        coordinates = torch.linalg.lstsq(basis.T, moved.T).solution
        rest = moved - coordinates.T @ basis
        assert rest.norm() < 0.05 * moved.norm()
        assert generator.scale.isfinite().all() and (generator.scale.diff() <= 1e-7).all()


def test_a_window_of_samples_is_that_of_its_features():
    number = torch.arange(201)
    face = torch.randn(120, 68, 2)
    example = encoded_speech.Example(
        number.view(1, -1, 1).half(), torch.zeros(1, 4), face, face[0], torch.ones(120, dtype=torch.bool),
        (torch.arange(200 * FEATURE_HOP) // FEATURE_HOP)[None].half(),
    )  # fmt: skip
    batch = draw_batch([[example]], np.ones(1), [0], 8, 30, np.random.default_rng(0))
    assert batch.samples.shape == (8, 50 * FEATURE_HOP + 1) and batch.acoustic.shape == (8, 51, 1)
    features, samples = batch.acoustic[..., 0], batch.samples[:, ::FEATURE_HOP]
    known = (features > 0) & (features < 200)  # not masked, and not beyond the last sample
    assert known.float().mean() > 0.5 and torch.equal(features[known], samples[known])


def test_one_batch_is_learned_by_heart(tmp_path):
    corpus(tmp_path, 4)
    clips, (encoder, generator) = speech_clips.load_speech_clips(tmp_path, "train"), networks()
    encoded_speech.fit_features(encoder, clips)
    fit_components(generator, clips)
    examples = [encoded_speech.encode_clip(encoder, clip) for clip in clips]
    batch = draw_batch([examples], np.ones(3), [0, 0, 0], 3, 60, np.random.default_rng(0))
    optimizer = torch.optim.AdamW(generator.parameters(), 1e-2)
    losses, terms = [], {"correlation": 1.0}
    while len(losses) < 80 and not (terms["correlation"] < 0.1 and losses[-1] < 0.3 * losses[0]):
        context = encoder.gate(batch.acoustic, batch.emotion).detach()
        moved = generator(SpeechFeatures(batch.acoustic, context, batch.emotion), batch.identity, 60)
        loss, terms = landmark_loss(moved, batch.target, batch.identity, batch.ok)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0] and terms["correlation"] < 0.1


def test_emotions_are_learned_and_an_ended_run_goes_on_exactly(tmp_path, monkeypatch):
    emotional_speech(tmp_path)
    stage = EmotionStage(batch=8, steps=30, learning_rate=1e-2, columns=80, ema=0.9)
    whole, _ = networks()
    report = train_emotion(tmp_path, tmp_path / "whole", whole, stage)
    assert report["accuracy"] == 1.0
    assert whole.emotion.prototype("angry").abs().sum() > 0 == whole.emotion.prototype("sad").abs().sum()

    def ends(path, parts, **values):
        save(path, parts, **values)
        if values["step"] == 10:
            raise Killed

    save = module.save_state
    halves, _ = networks()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "save_state", ends)
        train_emotion(tmp_path, tmp_path / "halves", halves, replace(stage, save_seconds=0))
    torch.manual_seed(99)
    halves, _ = networks()
    train_emotion(tmp_path, tmp_path / "halves", halves, stage)
    for (name, one), other in zip(
        whole.emotion.state_dict().items(), halves.emotion.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=0, msg=name)


def test_augmented_mels_have_one_size():
    mel = torch.randn(80, 200)
    for seed in range(5):
        assert augment(mel, 320, np.random.default_rng(seed)).shape == (80, 320)


def test_confusion_counts_every_recording():
    encoder, _ = networks()
    report = test_emotion(encoder, [torch.randn(80, 50) for _ in range(4)], np.array([0, 1, 1, 7]))
    assert np.array(report["confusion"]).sum(1).tolist() == [1, 2, 0, 0, 0, 0, 0, 1]
    assert report["accuracy"] == np.trace(np.array(report["confusion"])) / 4


def test_the_recognisers_file_is_read_and_a_foreign_one_refused(tmp_path):
    import struct

    path = tmp_path / "weights.hama"
    values = np.arange(6, dtype=np.float16).reshape(2, 3)
    table = struct.pack("<H", 1) + b"w" + bytes([1, 2]) + struct.pack("<IIQQ", 2, 3, 0, values.nbytes)
    head = phonemes.MAGIC + struct.pack("<I", 1) + table
    path.write_bytes(head.ljust(-(-len(head) // 16) * 16, b"\0") + values.tobytes())
    torch.testing.assert_close(phonemes.read_container(path)["w"], torch.arange(6.0).view(2, 3))
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="hama"):
        phonemes.read_container(path)


def test_the_recogniser_is_copied_whole():
    pytest.importorskip("hama")
    encoder = PhoneticEncoder(144, 4, 4, 31, 191)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    phonemes.copy_recogniser(LogMel(), encoder)
    assert not [name for name, value in encoder.state_dict().items() if torch.equal(value, before[name])]
