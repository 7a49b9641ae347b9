"""Landmark edits: off is off, lips and lids never cross, silence closes, words are not chopped."""

from dataclasses import replace

import numpy as np
import pytest

from atldiff.landmarks import (
    LOWER_INNER_LIP,
    LOWER_LIDS,
    MOUTH,
    UPPER_INNER_LIP,
    UPPER_LIDS,
    FaceFrame,
    eye_opening,
    mouth_opening,
)
from atldiff.media.speech import Speech
from atldiff.options import Motion
from atldiff.speech.motion import edit as room
from atldiff.speech.motion.blinks import Blinks, blink_curve
from atldiff.speech.motion.edit import edit_landmarks
from atldiff.speech.motion.lips import gaps as lip_gaps

OFF = Motion.none()


def face(opening: float = 0.1) -> np.ndarray:
    """A frontal face of 68 points in pixels, 100 between the eyes, its mouth open by that much."""
    jaw = np.linspace(np.pi, 0, 17)
    points = np.zeros((68, 2))
    points[:17] = np.stack([0.75 * np.cos(jaw), 0.1 + 1.15 * np.sin(jaw)], -1)
    points[17:27] = np.stack([np.linspace(-0.6, 0.6, 10), np.full(10, -0.25)], -1)
    points[27:31, 1] = np.linspace(0, 0.4, 4)
    points[31:36] = np.stack([np.linspace(-0.15, 0.15, 5), np.full(5, 0.48)], -1)
    eye = np.array([[-0.15, 0], [-0.06, -0.05], [0.06, -0.05], [0.15, 0], [0.06, 0.05], [-0.06, 0.05]])
    points[36:42], points[42:48] = eye + (-0.35, 0), eye + (0.35, 0)
    x = np.linspace(-0.28, 0.28, 7)
    points[48:55] = np.stack([x, 0.72 - 0.08 * np.cos(x * 5) - opening / 2], -1)
    points[55:60] = np.stack([x[5:0:-1], 0.72 + 0.1 * np.cos(x[5:0:-1] * 5) + opening / 2], -1)
    points[60], points[64] = (-0.22, 0.72), (0.22, 0.72)
    points[61:64] = [(-0.1, 0.72 - opening / 2), (0, 0.72 - opening / 2), (0.1, 0.72 - opening / 2)]
    points[65:68] = [(0.1, 0.72 + opening / 2), (0, 0.72 + opening / 2), (-0.1, 0.72 + opening / 2)]
    return (points * 100 + (200, 150)).astype(np.float32)


def talk(num_frames: int, seed: int = 0) -> np.ndarray:
    """A mouth that opens and shuts, and a little noise everywhere."""
    rng = np.random.default_rng(seed)
    opening = 0.08 + 0.07 * np.sin(np.arange(num_frames) / 2)
    frames = np.stack([face(o) for o in opening])
    return (frames + rng.normal(0, 0.3, frames.shape)).astype(np.float32)


def talking(num_frames: int) -> np.ndarray:
    """Activity of a voice: phrases of two seconds or so, with pauses of half a second between."""
    rng, voice = np.random.default_rng(0), np.zeros(num_frames)
    frame = 0
    while frame < num_frames:
        spoken = int(rng.integers(20, 110))
        voice[frame : frame + spoken] = 1
        frame += spoken + int(rng.integers(8, 24))
    return voice


@pytest.fixture
def spoken(monkeypatch):
    """Sets what `voice_activity` returns and gives the recording that goes with it."""

    def set_activity(activity: np.ndarray) -> Speech:
        monkeypatch.setattr(room, "voice_activity", lambda speech: activity.astype(np.float32))
        return Speech.from_samples(np.zeros(len(activity) * 16_000 // 30, np.float32))

    return set_activity


def gaps(points: np.ndarray, upper: tuple, lower: tuple) -> np.ndarray:
    return points[:, list(lower), 1] - points[:, list(upper), 1]


def edit(*about, **more) -> np.ndarray:
    """The landmarks that `edit_landmarks` gives."""
    return edit_landmarks(*about, **more)[0]


def test_everything_off_is_the_identity(spoken):
    landmarks = talk(40)
    edited = edit(landmarks, face(), spoken(np.zeros(40)), OFF, seed=3)
    assert np.array_equal(edited, landmarks) and edited is not landmarks


@pytest.mark.parametrize("name", ["silence", "blinks", "smoothing", "closure"])
def test_each_edit_acts_alone_and_is_off_at_zero(name, spoken):
    landmarks, speech = talk(200), spoken(np.zeros(200))
    on = edit(landmarks, face(), speech, replace(OFF, **{name: 1.0}), seed=3)
    assert np.abs(on - landmarks).max() > 0.5
    others = {n: 1.0 for n in ("silence", "blinks", "sway", "smoothing", "closure") if n != name}
    moved = edit(landmarks, face(), speech, replace(OFF, **others, expression=1.2), seed=3)
    same = edit(landmarks, face(), speech, replace(OFF, **others, expression=1.2, **{name: 0.0}), seed=3)
    assert np.array_equal(moved, same)


def test_gains_scale_displacements_about_the_identity(spoken):
    landmarks, identity, speech = talk(20), face(0.0), spoken(np.ones(20))
    rest = np.r_[17:48]
    still = edit(landmarks, identity, speech, replace(OFF, expression=0.0, lips=0.0), seed=0)
    np.testing.assert_allclose(still, np.broadcast_to(identity, still.shape), atol=1e-3)
    edited = edit(landmarks, identity, speech, replace(OFF, expression=0.5, lips=1.5), seed=0)
    np.testing.assert_allclose((edited - identity)[:, rest], 0.5 * (landmarks - identity)[:, rest], atol=1e-3)
    np.testing.assert_allclose((edited - identity)[:, 66], 1.5 * (landmarks - identity)[:, 66], atol=1e-3)


def test_result_does_not_depend_on_unit_or_place(spoken):
    landmarks, identity, speech = talk(60), face(), spoken(np.ones(60))
    turn = np.array([[0.9, 0.3], [-0.3, 0.9]]) * 2.5
    motion = Motion(lips=1.3)
    here = edit(landmarks, identity, speech, motion, seed=1)
    there = edit(landmarks @ turn + 7, identity @ turn + 7, speech, motion, seed=1)
    np.testing.assert_allclose(there, here @ turn + 7, atol=5e-3)


def test_silence_closes_even_a_smile_and_moves_the_chin(spoken):
    landmarks, identity = talk(60), face(0.12)
    edited = edit(landmarks, identity, spoken(np.zeros(60)), replace(OFF, silence=1.0), seed=0)
    assert mouth_opening(edited).max() < 1e-4
    assert np.abs(np.diff(edited[:, MOUTH], axis=0)).max() < 1e-3  # and at rest
    assert (edited[:, 8, 1] < identity[8, 1] - 1).all()  # the chin went up
    np.testing.assert_allclose(edited[:, 27:48], landmarks[:, 27:48], atol=1e-3)
    half = edit(landmarks, identity, spoken(np.zeros(60)), replace(OFF, silence=0.5), seed=0)
    assert 0.2 < mouth_opening(half).mean() / 0.09 < 0.8


def test_an_open_smile_closes_on_a_plosive_as_a_closed_mouth_would(spoken):
    smile, speech = face(0.12), spoken(np.ones(60))
    opening = 0.06 + 0.06 * np.cos(np.arange(60) / 3)  # what a closed mouth was predicted to do
    landmarks = np.stack([smile + face(o) - face(0.0) for o in opening])
    edited = edit(landmarks, smile, speech, replace(OFF, closure=1.0), seed=0)
    np.testing.assert_allclose(mouth_opening(landmarks).min(), 0.12, atol=0.01)
    np.testing.assert_allclose(mouth_opening(edited), opening, atol=1e-3)
    still = edit(landmarks, smile, speech, replace(OFF, closure=1.0, expression=0.0, lips=0.0), seed=0)
    np.testing.assert_allclose(still, np.broadcast_to(smile, still.shape), atol=1e-3)


def test_silence_gate_opens_before_a_word_and_never_chops_it(spoken):
    activity = np.zeros(90)
    activity[40:60] = 1
    landmarks = np.repeat(face(0.15)[None], 90, axis=0)
    edited = edit(landmarks, face(0.02), spoken(activity), replace(OFF, silence=1.0), seed=0)
    opening = mouth_opening(edited)
    np.testing.assert_allclose(opening[36:64], 0.15, atol=1e-4)  # all of the word, and a breath either side
    assert opening[:27].max() < 1e-4 and opening[73:].max() < 1e-4
    assert 6 <= np.count_nonzero((opening[:40] > 0.001) & (opening[:40] < 0.149)) <= 9  # 200 to 300 ms
    assert (room._gate(activity) >= activity).all()


def test_lips_do_not_close_between_words_but_in_a_pause(spoken):
    """People's lips part before a sound and close late: closed at once, they follow the truth less."""
    activity = np.ones(120)
    activity[30:42] = activity[70:100] = 0  # 0.4 s and 1 s
    landmarks = np.repeat(face(0.15)[None], 120, axis=0)
    opening = mouth_opening(edit(landmarks, face(0.02), spoken(activity), replace(OFF, silence=1.0), seed=0))
    assert opening[:70].min() > 0.149 and opening[84:87].max() < 1e-4


def test_lips_and_lids_never_cross(spoken):
    rng = np.random.default_rng(0)
    landmarks, identity = talk(300), face(0.1)
    landmarks[:, MOUTH] = identity[MOUTH] + 2 * (landmarks[:, MOUTH] - identity[MOUTH]) * (1, 0.4)
    speech = spoken(np.clip(rng.normal(0.5, 0.5, 300), 0, 1))
    motion = Motion(lips=2.5, expression=1.5, blinks=4.0, sway=0.0)
    edited = FaceFrame.from_landmarks(identity).to_face(edit(landmarks, identity, speech, motion, seed=5))
    assert lip_gaps(edited, UPPER_INNER_LIP, LOWER_INNER_LIP, (60, 64))[1].min() > -1e-5
    assert gaps(edited, UPPER_LIDS, LOWER_LIDS).min() > 0
    outer = gaps(edited, (50, 51, 52), (61, 62, 63)), gaps(edited, (67, 66, 65), (58, 57, 56))
    assert min(outer[0].min(), outer[1].min()) > 0  # the lips keep their thickness


def test_blinks_close_both_eyes_at_a_natural_rate_and_shape():
    curve = blink_curve(talking(30 * 600), rate=1.0, seed=4)
    assert curve.min() == 0 and curve.max() == 1
    starts = np.flatnonzero((curve[1:] > 0) & (curve[:-1] == 0)) + 1
    ends = np.flatnonzero((curve[1:] == 0) & (curve[:-1] > 0)) + 1
    assert 15 <= len(starts) / 10 <= 20  # a minute
    length = (ends - starts[: len(ends)]) / 30
    assert length.min() >= 0.15 and length.max() <= 0.3
    peaks = [s + int(curve[s:e].argmax()) for s, e in zip(starts, ends, strict=False)]
    assert all(curve[p] == 1 for p in peaks)  # every blink shuts the eye in some frame
    assert all(
        p - s < e - p for s, p, e in zip(starts, peaks, ends, strict=False)
    )  # shuts faster than it opens
    assert 0.2 < np.std(np.diff(peaks)) / np.mean(np.diff(peaks)) < 0.7  # neither a clock nor bursts
    assert len(set(np.diff(peaks))) > 10


def test_no_blink_in_the_first_half_second_and_rate_zero_is_none():
    for seed in range(50):
        assert not blink_curve(np.ones(15), 1.0, seed).any()
    assert not blink_curve(np.ones(3000), 0.0, 0).any()


def test_blinks_fall_on_the_ends_of_phrases_more_often_than_by_chance():
    voice = talking(30 * 600)
    ends = np.flatnonzero((voice[1:] < 0.5) & (voice[:-1] >= 0.5)) + 1
    near = np.zeros(len(voice), bool)
    for end in ends:
        near[end : end + 15] = True
    curve = blink_curve(voice, 1.0, 4)
    peaks = np.flatnonzero((curve[1:-1] == 1) & (curve[:-2] < 1)) + 1
    assert near[peaks].mean() > 2 * near.mean()


def test_blinks_of_a_stream_are_those_of_the_whole():
    voice, stream = talking(600), Blinks(1.0, 3)
    parts = [stream.push(part) for part in np.split(voice, [1, 100, 107, 480])]
    np.testing.assert_array_equal(np.concatenate(parts), blink_curve(voice, 1.0, 3))


def test_blink_closes_the_lids_along_the_eye(spoken):
    landmarks = np.repeat(face()[None], 300, axis=0)
    edited = edit(landmarks, face(), spoken(np.ones(300)), replace(OFF, blinks=1.0), seed=4)
    opening = eye_opening(edited)
    assert opening.min() < 0.25 * opening.max()
    np.testing.assert_allclose(edited[:, list(UPPER_LIDS), 0], landmarks[:, list(UPPER_LIDS), 0], atol=1e-3)
    corners = [36, 39, 42, 45]
    np.testing.assert_allclose(edited[:, corners], landmarks[:, corners], atol=1e-3)


def test_the_head_moves_with_the_voice_and_its_landmarks_stay_unturned(spoken):
    landmarks, speech = np.repeat(face()[None], 300, axis=0), spoken(np.ones(300))
    alive = replace(OFF, sway=1.0, liveliness=1.0)
    points, poses = edit_landmarks(landmarks, face(), speech, alive, seed=1)
    assert poses.shape == (300, 8) and poses.dtype == np.float32
    assert not poses[0].any() and 0.1 < poses[:, 0].std() < 5
    rest = np.setdiff1d(np.arange(68), [*range(17, 27), *UPPER_LIDS])
    np.testing.assert_allclose(points[:, rest], landmarks[:, rest], atol=1e-3)
    raised = landmarks[:, 17:27, 1] - points[:, 17:27, 1]
    assert np.ptp(raised, axis=1).max() < 1e-3 < raised.std()  # both brows alike
    doubled = edit_landmarks(landmarks, face(), speech, replace(alive, sway=2.0, expression=0.0), seed=1)
    np.testing.assert_allclose(doubled[1][:, :6], 2 * poses[:, :6], atol=1e-4)
    assert not np.ptp(doubled[0][:, 17:27], axis=0).any()
    assert not doubled[1][:, 6:].any()
    assert not edit_landmarks(landmarks, face(), speech, replace(OFF, blinks=1.0), seed=1)[1].any()


def test_brows_move_without_the_head_and_expression_scales_them(spoken):
    landmarks, speech = np.repeat(face()[None], 300, axis=0), spoken(np.ones(300))

    def raised(**gains: float) -> np.ndarray:
        points = edit(landmarks, face(), speech, replace(OFF, liveliness=1.0, **gains), seed=1)
        return landmarks[:, 17:27, 1] - points[:, 17:27, 1]

    still, doubled = raised(), raised(expression=2.0)
    assert still.std() > 0.2  # per cent of the eyes' distance
    np.testing.assert_allclose(raised(sway=2.0), still, atol=1e-4)
    np.testing.assert_allclose(doubled, 2 * still, atol=1e-3)


def test_an_emotion_moves_the_face_as_strongly_as_it_is_told_to(spoken):
    landmarks, speech = np.repeat(face()[None], 90, axis=0), spoken(np.ones(90))

    def angry(**gains: float) -> tuple[np.ndarray, np.ndarray]:
        points, poses = edit_landmarks(
            landmarks, face(), speech, replace(OFF, **gains), seed=1, emotion="angry"
        )
        return points[-1] - landmarks[-1], poses[-1]

    half, still = angry(feeling=0.5)
    full = angry(feeling=1.0)[0]
    assert full[17:27, 1].mean() > 1.8 * half[17:27, 1].mean() > 1 and not still.any()
    np.testing.assert_allclose(angry(feeling=0.5, expression=2.0)[0][17:48], full[17:48], atol=1e-3)
    moved, pose = angry(feeling=1.0, sway=1.0)
    assert pose[1] > 1 and np.abs(moved - full)[:17].max() < 0.1


@pytest.mark.parametrize("emotion", ["happy", "sad", "disgust"])
def test_an_emotion_leaves_the_lips_shut_at_a_plosive_and_stays_in_pauses(emotion, spoken):
    landmarks, speech = np.repeat(face(0.0)[None], 90, axis=0), spoken(np.r_[np.ones(60), np.zeros(30)])
    motion, shut = replace(OFF, feeling=1.0, silence=1.0), np.array([40])
    points, _ = edit_landmarks(landmarks, face(0.0), speech, motion, 1, shut, emotion)
    assert np.abs(gaps(points, UPPER_INNER_LIP, LOWER_INNER_LIP)).max() < 0.1
    shown = np.abs(points - landmarks)[:, [48, 54]].max(axis=(1, 2))
    assert shown[70] > 0.5 * shown[50] > 0.5


def test_smoothing_calms_noise_but_keeps_a_plosive_shut(spoken):
    opening = np.full(60, 0.15)
    opening[29:32] = 0.05, 0.0, 0.05  # lips shut in one frame, 100 ms in all
    clean = np.stack([face(o) for o in opening])
    noisy = clean + np.random.default_rng(0).normal(0, 0.5, clean.shape)
    smooth = replace(OFF, smoothing=1.0)
    edited = edit(clean, face(), spoken(np.ones(60)), smooth, seed=0)
    assert mouth_opening(edited)[30] < 0.005
    calmer = edit(noisy, face(), spoken(np.ones(60)), smooth, seed=0)
    jitter = [np.abs(np.diff(x[:, :48], 2, axis=0)).mean() for x in (calmer, noisy)]
    assert jitter[0] < 0.5 * jitter[1]
    ramp = clean[:1] + np.linspace(0, 10, 60)[:, None, None]
    even = edit(ramp, face(), spoken(np.ones(60)), smooth, seed=0)
    np.testing.assert_allclose(even[5:-5, :48], ramp[5:-5, :48], atol=1e-3)  # zero phase


def test_a_longer_recording_begins_like_a_shorter_one(spoken):
    activity = np.clip(np.random.default_rng(2).normal(0.5, 0.5, 400), 0, 1)
    landmarks, margin = talk(400), 40  # frames: the reach of the filters at the cut
    long = edit(landmarks, face(), spoken(activity), Motion(), seed=6)
    short = edit(landmarks[:250], face(), spoken(activity[:250]), Motion(), seed=6)
    np.testing.assert_allclose(short[: 250 - margin], long[: 250 - margin], atol=1e-4)
    assert np.array_equal(blink_curve(activity, 1.0, 6)[:250], blink_curve(activity[:250], 1.0, 6))


def test_same_seed_same_movement_other_seed_other(spoken):
    landmarks, speech = talk(150), spoken(np.ones(150))
    one, two, other = (edit(landmarks, face(), speech, Motion(), seed=s) for s in (1, 1, 2))
    assert np.array_equal(one, two) and not np.allclose(one, other)
    assert one.dtype == np.float32 and one.shape == landmarks.shape


def test_landmarks_of_another_length_are_stretched_over_the_recording(spoken):
    landmarks, speech = talk(50), spoken(np.zeros(100))
    edited = edit(landmarks, face(), speech, replace(OFF, silence=1.0), seed=0)
    assert edited.shape == landmarks.shape and mouth_opening(edited).max() < 1e-4


def test_one_frame(spoken):
    assert edit(talk(1), face(), spoken(np.zeros(1)), Motion(), seed=0).shape == (1, 68, 2)
