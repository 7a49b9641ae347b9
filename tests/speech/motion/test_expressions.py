"""Emotions move the face as the table says, never against the lips, brows or lids."""

import numpy as np
import pytest

from atldiff.errors import InputError
from atldiff.landmarks import (
    BROWS,
    LOWER_INNER_LIP,
    LOWER_LIDS,
    MIRROR,
    UPPER_INNER_LIP,
    UPPER_LIDS,
    FaceFrame,
    mouth_opening,
)
from atldiff.speech.motion.expressions import (
    AHEAD,
    EMOTIONS,
    MOST_NARROWING,
    MOST_WIDENING,
    NEAREST_BROW,
    Envelope,
    displacement,
    envelope,
    express,
    facial_actions,
    smile,
)

SPEAKS = np.ones(60)


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """A plain face (68, 2) in pixels: symmetric, mouth shut, 100 pixels between the eyes' outer corners."""
    rest = np.zeros((68, 2))
    angle = np.linspace(np.pi, 0, 17)
    rest[:17] = np.stack([0.75 * np.cos(angle), 0.15 + 1.0 * np.sin(angle)], 1)
    x = np.array([0.48, 0.4, 0.31, 0.21, 0.11])
    rest[17:22], rest[22:27] = np.stack([-x, np.full(5, -0.2)], 1), np.stack([x[::-1], np.full(5, -0.2)], 1)
    rest[27:31] = np.stack([np.zeros(4), np.linspace(0, 0.4, 4)], 1)
    rest[31:36] = np.stack([np.linspace(-0.13, 0.13, 5), np.full(5, 0.48)], 1)
    eye = np.array([[-0.5, 0], [-0.41, -0.05], [-0.27, -0.05], [-0.18, 0], [-0.27, 0.05], [-0.41, 0.05]])
    rest[36:42] = eye
    rest[42:48] = eye[[3, 2, 1, 0, 5, 4]] * (-1, 1)
    outer = [-0.27, -0.18, -0.07, 0, 0.07, 0.18, 0.27, 0.18, 0.07, 0, -0.07, -0.18]
    down = [0.76, 0.71, 0.69, 0.7, 0.69, 0.71, 0.76, 0.83, 0.86, 0.87, 0.86, 0.83]
    rest[48:60] = np.stack([outer, down], 1)
    rest[60:68] = np.stack([[-0.23, -0.1, 0, 0.1, 0.23, 0.1, 0, -0.1], np.full(8, 0.76)], 1)
    return rest * 100 + 200


def shown(face: np.ndarray, emotion: str, strength: float = 1.0) -> np.ndarray:
    """(68, 2) face units, the last of sixty frames of a face at rest."""
    points, _ = express(np.repeat(face[None], 60, 0), face, emotion, strength, SPEAKS)
    return FaceFrame.from_landmarks(face).to_face(points[-1])


def test_the_table_is_symmetric():
    for name, action in facial_actions().items():
        if name != "AU14":
            np.testing.assert_allclose(action, action[MIRROR] * (-1, 1), atol=0.011, err_msg=name)


def test_neutral_and_no_strength_change_nothing(face):
    points = np.repeat(face[None], 60, 0) + np.random.default_rng(0).normal(size=(60, 68, 2))
    for emotion, strength in (("neutral", 1.0), ("angry", 0.0)):
        moved, pose = express(points, face, emotion, strength, SPEAKS)
        np.testing.assert_array_equal(moved, points)
        assert not pose.any()


def test_an_emotion_is_the_sum_of_its_actions():
    actions = facial_actions()
    expected = sum(w * actions[name] for name, w in EMOTIONS["sad"].actions.items())
    np.testing.assert_allclose(displacement("sad"), expected)


@pytest.mark.parametrize("emotion", EMOTIONS)
@pytest.mark.parametrize("strength", [0.5, 1.0, 1.5])
def test_the_gap_of_the_lips_stays(face, emotion, strength):
    points = np.repeat(face[None], 60, 0)
    points[30:, [65, 66, 67]] += (0, 12)
    moved, _ = express(points, face, emotion, strength, SPEAKS)
    np.testing.assert_allclose(mouth_opening(moved)[:30], 0, atol=1e-3)
    gaps = [p[:, list(LOWER_INNER_LIP)] - p[:, list(UPPER_INNER_LIP)] for p in (points, moved)]
    np.testing.assert_allclose(*gaps, atol=1e-9)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_brows_and_lids_keep_their_distances(face, emotion):
    rest, now = FaceFrame.from_landmarks(face).to_face(face), shown(face, emotion, 1.5)
    moved = now - rest
    below = [36, 37, 38, 38, 39, 42, 43, 43, 44, 45]
    way = rest[below, 1] - rest[BROWS, 1]
    assert (moved[BROWS, 1] <= (1 - NEAREST_BROW) * way + 1e-9).all()
    then, after = (p[list(LOWER_LIDS), 1] - p[list(UPPER_LIDS), 1] for p in (rest, now))
    assert (after >= (1 - MOST_NARROWING) * then - 1e-9).all() and (
        after <= (1 + MOST_WIDENING) * then + 1e-9
    ).all()


def test_what_each_emotion_is_known_by(face):
    rest = FaceFrame.from_landmarks(face).to_face(face)
    moved = {name: shown(face, name) - rest for name in EMOTIONS}
    corners, inner_brows = [48, 54], [21, 22]
    assert moved["happy"][corners, 1].max() < -0.03 and moved["happy"][54, 0] > 0.04
    assert moved["sad"][corners, 1].min() > 0.01 and moved["sad"][inner_brows, 1].max() < -0.02
    assert moved["angry"][inner_brows, 1].min() > 0.02
    assert moved["surprised"][BROWS, 1].max() < -0.02
    left, right = moved["contempt"][48, 1], moved["contempt"][54, 1]
    assert right < -0.02 and abs(left) < 0.5 * abs(right)


def test_named_emotions_are_seen():
    for name in set(EMOTIONS) - {"neutral", "calm"}:
        assert np.linalg.norm(displacement(name), axis=1).mean() > 0.005, name


def test_a_smile_goes_first(face):
    smiling = face + FaceFrame.from_landmarks(face).vectors_from_face(facial_actions()["AU12"])
    frame = FaceFrame.from_landmarks(face)
    assert smile(frame.to_face(face)) < 0.1 and smile(frame.to_face(smiling)) > 0.7
    sad, happy = shown(smiling, "sad"), shown(smiling, "happy")
    assert sad[[48, 54], 1].mean() > shown(face, "sad")[[48, 54], 1].mean() - 0.03
    assert happy[[48, 54], 1].mean() < frame.to_face(smiling)[[48, 54], 1].mean()


def test_the_emotion_follows_the_voice_within_half_a_second_of_it():
    voice = np.concatenate([np.zeros(60), np.ones(90), np.zeros(120)])
    curve = envelope(voice)
    assert curve[0] == 0 and curve[140] > 0.95 and curve[269] < 0.7
    late = voice.copy()
    late[100 + AHEAD + 1 :] = 0
    np.testing.assert_array_equal(envelope(late)[:100], curve[:100])
    assert np.abs(np.diff(curve)).max() < 0.12


def test_a_stream_shows_the_same():
    voice, stream = np.random.default_rng(0).random(200), Envelope()
    parts = [stream.push(part) for part in np.split(voice, [3, 4, 60, 180])]
    np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), envelope(voice))
    assert len(envelope(np.ones(3))) == 3


def test_the_head_goes_with_it(face):
    _, pose = express(np.repeat(face[None], 60, 0), face, "sad", 1.0, SPEAKS)
    assert pose.shape == (60, 6) and not pose[0].any()
    np.testing.assert_allclose(pose[-1, :3], EMOTIONS["sad"].head, rtol=0.02)


def test_scale_and_place_of_the_face_do_not_matter(face):
    points, _ = express(np.repeat(face[None], 60, 0), face, "angry", 1.0, SPEAKS)
    larger, _ = express(np.repeat(face[None] * 3 + 7, 60, 0), face * 3 + 7, "angry", 1.0, SPEAKS)
    np.testing.assert_allclose(larger, points * 3 + 7)


def test_what_cannot_be_asked_for(face):
    for emotion, strength in (("bored", 1.0), ("happy", 1.6), ("happy", -0.1), ("happy", float("nan"))):
        with pytest.raises(InputError):
            express(face[None], face, emotion, strength, np.ones(1))
