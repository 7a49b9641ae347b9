"""Two people in one video: whose turn it is, and what becomes of their frames."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from atldiff.config import SAMPLE_RATE
from atldiff.dialogue import PAUSE, lay_beside, merge_changes, mix_turns, read_dialogue, render_dialogue
from atldiff.errors import InputError
from atldiff.media.speech import Speech
from atldiff.options import DEFAULTS, Options
from atldiff.portrait.photo import open_photo
from atldiff.provenance.origin import Origin
from atldiff.sequence import LandmarkSequence


def tone(hertz: float, seconds: float, rate: int = SAMPLE_RATE, channels: int = 1) -> Speech:
    wave = 0.2 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return Speech.from_samples(np.repeat(wave[:, None], channels, axis=1), rate)


@pytest.fixture(scope="module")
def two(portrait_path, tmp_path_factory):
    """A photo of a woman, and of the same woman smaller beside her."""
    face = Image.fromarray(open_photo(portrait_path)).resize((512, 512))
    picture = Image.new("RGB", (942, 512))
    picture.paste(face, (0, 0))
    picture.paste(face.resize((430, 430)), (512, 40))
    path = tmp_path_factory.mktemp("two") / "two.png"
    picture.save(path)
    return path


def stay(portrait, speech, options) -> LandmarkSequence:
    points = np.repeat(portrait.landmarks[None], speech.num_frames, axis=0)
    return LandmarkSequence(points, portrait.landmarks, np.zeros(4, np.float32))


class Pipeline:
    """Paints a face in the place of the networks: in red, that of the next seed in green."""

    def origin(self, portrait, options) -> Origin:
        return Origin(photo=portrait.fingerprint)

    def render_plain(self, portrait, landmarks, options):
        frame = portrait.image.copy()
        x0, y0, x1, y1 = np.r_[landmarks.points[0].min(0), landmarks.points[0].max(0)].astype(int)
        frame[y0:y1, x0:x1] = (0, 255, 0) if options.seed else (255, 0, 0)
        return (frame for _ in landmarks.points)


def test_turns_follow_each_other_and_the_other_one_is_silent():
    turns = [tone(200, 1.0), tone(300, 0.5, 24_000, 2), tone(400, 0.3)]
    first, second, both = mix_turns(turns)
    assert first.seconds == second.seconds == both.seconds == pytest.approx(1.8 + 2 * PAUSE, abs=1e-3)
    assert both.sound_rate == 24_000 and both.sound.shape[1] == 2
    np.testing.assert_array_equal(both.samples, first.samples + second.samples)
    np.testing.assert_array_equal(both.sound, first.sound + second.sound)
    at = [round(SAMPLE_RATE * seconds) for seconds in (1.0, 1 + PAUSE, 1.5 + PAUSE, 1.5 + 2 * PAUSE)]
    np.testing.assert_array_equal(first.samples[: at[0]], turns[0].samples)
    np.testing.assert_array_equal(second.samples[at[1] : at[2]], turns[1].samples)
    np.testing.assert_array_equal(first.samples[at[3] :], turns[2].samples)
    assert not second.samples[: at[1]].any() and not both.samples[at[0] : at[1]].any()


def test_turns_that_are_too_long_together_are_refused():
    with pytest.raises(InputError, match="longer than 2 s"):
        mix_turns([tone(200, 1.0), tone(200, 1.0)], 2.0)


def test_changes_of_two_frames_are_merged_and_frames_laid_side_by_side():
    photo = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    first, second = photo.copy(), photo.copy()
    first[2:6, 3:9], second[10:14, 20:25] = 0, 255
    merged = merge_changes(photo, first, second)
    np.testing.assert_array_equal(merged[2:6, 3:9], first[2:6, 3:9])
    np.testing.assert_array_equal(merged[10:14, 20:25], second[10:14, 20:25])
    np.testing.assert_array_equal(merge_changes(photo, photo, second), second)
    beside = lay_beside(photo, np.full((40, 20, 3), 7, np.uint8))
    assert beside.shape == (20, 40, 3) and (beside[:, 30:] == 7).all()
    np.testing.assert_array_equal(beside[:, :30], photo)


def test_both_faces_of_one_photo_move_and_the_larger_one_begins(two):
    dialogue = read_dialogue([two], [tone(200, 0.5), tone(300, 0.5)], DEFAULTS, stay)
    first, second = (person.portrait for person in dialogue.people)
    assert dialogue.together and (first.face, second.face) == (1, 2)
    assert first.landmarks[:, 0].max() < 512 < second.landmarks[:, 0].min()
    frames = list(render_dialogue(Pipeline(), dialogue))
    assert len(frames) == dialogue.speech.num_frames == 42
    nose = [tuple(frames[0][tuple(portrait.landmarks[30].astype(int)[::-1])]) for portrait in (first, second)]
    assert nose == [(255, 0, 0), (0, 255, 0)]
    again = read_dialogue([two], [tone(200, 0.5), tone(300, 0.5)], Options(face=2), stay)
    assert [person.portrait.face for person in again.people] == [2, 1]


def test_two_photos_stand_side_by_side(two, portrait_path):
    photos, turns = [portrait_path, two], [tone(200, 0.5), tone(300, 0.5)]
    dialogue = read_dialogue(photos, turns, Options(badge=True), stay)
    rendering = render_dialogue(Pipeline(), dialogue)
    frame = next(rendering)
    assert not dialogue.together and frame.shape == (512, 512 + 942, 3)
    assert len(rendering.origin.photo) == 2 * 64 + 1
    bare = next(render_dialogue(Pipeline(), read_dialogue(photos, turns, DEFAULTS, stay)))
    assert (frame != bare).any(axis=(1, 2)).sum() < 80  # one badge, in a corner of the whole


@pytest.mark.parametrize(
    ("photos", "recordings", "options", "sentence"),
    [
        (1, 1, {}, "needs two recordings"),
        (3, 2, {}, "there are 3 photos"),
        (1, 2, {"output": "crop"}, "shown in the whole photo"),
        (1, 2, {}, "shows one face"),
    ],
    ids=["one recording", "three photos", "a crop of two", "one face"],
)
def test_what_is_no_dialogue_is_told(portrait_path, photos, recordings, options, sentence):
    with pytest.raises(InputError, match=sentence) as told:
        read_dialogue([portrait_path] * photos, [tone(200, 0.5)] * recordings, Options(**options), stay)
    assert told.value.remedy


def test_the_page_and_its_api_refuse_what_does_not_fit_a_dialogue():
    from atldiff.web.jobs.request import Request, gpu_seconds

    given = {"portrait": "a.jpg", "speech": "a.wav"}
    assert Request.from_values(given | {"answer": "b.wav", "second": "b.jpg"}).answer == "b.wav"
    for wrong in (
        {"second": "b.jpg"},
        {"answer": "b.wav", "landmarks": "c.npz"},
        {"answer": "b.wav", "background": "matte"},
    ):
        with pytest.raises(InputError):
            Request.from_values(given | wrong)
    alone = SimpleNamespace(
        options=DEFAULTS,
        portrait=SimpleNamespace(image=np.zeros((64, 64, 3))),
        landmarks=SimpleNamespace(points=range(300)),
    )
    assert gpu_seconds(alone, 1) > 15
