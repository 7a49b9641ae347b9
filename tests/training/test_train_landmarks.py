"""Training on a made corpus: mouths that open with the loudness of noise. Small networks learn that."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from atldiff import landmarks as lm
from atldiff.errors import InputError
from atldiff.evaluation.landmark_scores import clip_scores, validate_landmarks
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.phonetic_encoder import LogMel, PhoneticEncoder
from atldiff.speech.speech_encoder import StarterSpeechEncoder
from atldiff.training import phonemes, speech_clips, train_landmarks
from atldiff.training.landmark_loss import landmark_loss, opening_agreement
from atldiff.training.train_emotion import augment, test_emotion
from atldiff.training.train_landmarks import LandmarkStage, mirrored

test_emotion.__test__ = False  # a function of the package, not a test


def face() -> np.ndarray:
    """A symmetric face in crop units with closed lips."""
    points = np.zeros((68, 2), np.float32)
    right = [*range(17, 22), 31, 32, *range(36, 42)]
    rng = np.random.default_rng(0)
    points[:17] = np.stack([np.linspace(0.2, 0.8, 17), 0.9 - 0.5 * np.linspace(-1, 1, 17) ** 2], -1)
    for index in right:
        points[index] = rng.uniform((0.3, 0.3), (0.45, 0.45))
    points[36], points[39] = (0.3, 0.4), (0.42, 0.4)
    points[27:31] = np.stack([np.full(4, 0.5), np.linspace(0.4, 0.55, 4)], -1)
    points[33] = (0.5, 0.58)
    points[48:55, 0], points[[54, 55, 56, 57, 58, 59, 48], 0] = (
        np.linspace(0.4, 0.6, 7),
        np.linspace(0.6, 0.4, 7),
    )
    points[60:65, 0], points[[64, 65, 66, 67, 60], 0] = np.linspace(0.42, 0.58, 5), np.linspace(0.58, 0.42, 5)
    points[lm.MOUTH, 1] = 0.7
    for index in right:
        points[lm.MIRROR[index]] = (1 - points[index, 0], points[index, 1])
    return points


def moved(opening: np.ndarray) -> np.ndarray:
    """Landmarks (F, 68, 2) of that face; the lower lips fall by opening (F,), in crop units."""
    points = np.repeat(face()[None], len(opening), 0)
    lower = [*lm.LOWER_INNER_LIP, 55, 56, 57, 58, 59]
    points[:, lower, 1] += opening[:, None]
    return points


def corpus(folder, count: int = 4, late: int = 0) -> None:
    """Prepared clips of 3 s whose lips follow the sound's loudness, `late` frames after it."""
    index = []
    for number in range(count):
        rng = np.random.default_rng(number)
        curve = np.clip(np.sin(np.arange(90) / 30 * 2 * np.pi * rng.uniform(1, 2) + rng.uniform(0, 6)), 0, 1)
        loud = np.interp(np.arange(48_000) / 1600 * 3, np.arange(90), curve)
        samples = (0.1 * (loud + 0.002) * rng.standard_normal(48_000)).astype(np.float32)
        points = moved(0.05 * np.roll(curve, late)).astype(np.float32)
        stem, split = f"clip{number}", "val" if number == count - 1 else "train"
        np.savez(folder / f"{stem}.npz", landmarks30=points, ok30=np.ones(90, bool), samples=samples)
        index.append({"stem": stem, "split": split, "identity": stem, "kind": "speech", "use": "both"})
    (folder / "index.json").write_text(json.dumps(index))


def networks() -> tuple[StarterSpeechEncoder, LandmarkGenerator]:
    torch.manual_seed(0)
    encoder = StarterSpeechEncoder(
        width=8, layers=1, heads=2, kernel=7, symbols=3, taps=(0,), emotion_width=16, emotion_layers=1
    )
    shape = {"width": 16, "heads": 2, "layers": 1, "channels": 2, "hidden": 8, "components": 4}
    return encoder, LandmarkGenerator(feature_dim=encoder.feature_dim, **shape)


def test_pose_is_taken_out_of_the_targets():
    opening = np.linspace(0, 0.05, 40)[np.r_[20:40, 0:20]]
    upright, ok = moved(opening), np.ones(40, bool)
    angle = np.linspace(-0.3, 0.3, 40)
    turn = np.stack(
        [np.stack([np.cos(angle), np.sin(angle)], -1), np.stack([-np.sin(angle), np.cos(angle)], -1)], -2
    )
    swaying = 3.0 * (upright @ turn) + np.linspace(0, 5, 40)[:, None, None]
    plain, identity = speech_clips.pose_free(upright, ok)
    posed, posed_identity = speech_clips.pose_free(swaying.astype(np.float32), ok)
    np.testing.assert_allclose(posed, plain, atol=1e-4)
    np.testing.assert_allclose(posed_identity, identity, atol=1e-4)
    assert np.abs(plain[20]).max() < 1e-6 and lm.mouth_opening(identity) < 1e-6


def test_another_speed_stretches_sound_and_lips_alike(tmp_path):
    corpus(tmp_path)
    clip = speech_clips.load_speech_clips(tmp_path, "train")[0]
    fast = speech_clips.change_speed(clip, 1.25)
    assert len(fast.samples) == pytest.approx(len(clip.samples) / 1.25, abs=2)
    np.testing.assert_allclose(fast.displacements[40], clip.displacements[50], atol=1e-5)


def test_variants_keep_sound_and_lips_of_one_length(tmp_path):
    corpus(tmp_path)
    clips = speech_clips.load_speech_clips(tmp_path, "train")
    for seed in range(8):
        clip = speech_clips.vary(clips[0], clips, np.random.default_rng(seed))
        assert clip.samples.dtype == np.float32 and np.isfinite(clip.samples).all()
        assert len(clip.displacements) == len(clip.ok)
        assert abs(len(clip.samples) / 16_000 * 30 - len(clip.ok)) < 2


def test_silence_around_a_clip_closes_the_lips(tmp_path):
    corpus(tmp_path)
    clip = speech_clips.load_speech_clips(tmp_path, "train")[0]
    longer = speech_clips.surround_with_silence(clip, np.random.default_rng(0))
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
    torch.testing.assert_close(mirrored(mirrored(points)), points)


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


def test_training_learns_resumes_and_ships_its_best(tmp_path):
    (tmp_path / "data").mkdir()
    corpus(tmp_path / "data", 7)
    stage = LandmarkStage(
        batch=6, frames=60, steps=60, learning_rate=1e-2, versions=1, lag_step=50, validate_every=30
    )
    encoder, generator = networks()
    unseen = speech_clips.load_speech_clips(tmp_path / "data", "val")
    untrained = validate_landmarks(encoder, generator, unseen)["correlation"]
    best = train_landmarks.train_landmarks(tmp_path / "data", tmp_path / "run", encoder, generator, stage)
    assert best["correlation"] > max(0.5, untrained)
    again = validate_landmarks(encoder, generator, unseen)
    assert again["correlation"] == pytest.approx(best["correlation"], abs=1e-3)
    log = (tmp_path / "run" / "landmarks.jsonl").read_text().splitlines()
    assert json.loads(log[0])["step"] == 30
    train_landmarks.train_landmarks(tmp_path / "data", tmp_path / "run", *networks(), stage)
    steps = [
        json.loads(line).get("step")
        for line in (tmp_path / "run" / "landmarks.jsonl").read_text().splitlines()
    ]
    assert steps.count(30) == 1  # the second call found everything done


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
