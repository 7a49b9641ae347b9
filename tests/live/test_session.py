"""A live session's closed forms: cuts of the sound change nothing, no sound is lost, nothing grows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from live.small_pipeline import make_pipeline

from atldiff import ATLDiffPipeline, InputError, Options
from atldiff.landmarks import inter_ocular_distance
from atldiff.live.hearing import Heard
from atldiff.live.session import LiveFrame, LiveSession
from atldiff.media.speech import Speech, load_speech, voice_activity
from atldiff.portrait.portrait import load_portrait
from atldiff.provenance.watermark import Watermark
from atldiff.sequence import LandmarkSequence
from atldiff.speech.mel import to_training_level
from atldiff.speech.motion.lips import LIPS, gaps

SMALL = Options(output="crop", seed=3)


@pytest.fixture(scope="module")
def pipeline() -> ATLDiffPipeline:
    return make_pipeline()


@pytest.fixture(scope="module")
def portrait(portrait_path):
    return load_portrait(portrait_path)


@pytest.fixture(scope="module")
def voice(speech_path) -> np.ndarray:
    """A second and a half of speech at 16 kHz."""
    return load_speech(speech_path).samples[8_000:32_000].copy()


@pytest.fixture
def session(pipeline, portrait, monkeypatch):
    def make(options: Options = SMALL, pictures: bool = False, **settings) -> LiveSession:
        live = LiveSession(pipeline, portrait, options, **settings)
        if not pictures:  # each frame is its number
            monkeypatch.setattr(live._pictures, "warp", lambda motion: [])
            monkeypatch.setattr(live._pictures, "render", numbers)
        return live

    return make


def numbers(motion, parts) -> list[np.ndarray]:
    return [np.full((8, 8, 3), index % 256, np.uint8) for index in motion.frames]


def speak(live: LiveSession, *blocks: np.ndarray, rate: int = 16_000) -> list[LiveFrame]:
    frames = []
    for block in blocks:
        live.push(block, rate)
        frames += live.frames()
    live.flush()
    return [*frames, *live.frames()]


def lip_gaps(frames: list[LiveFrame]) -> np.ndarray:
    """Widest gap between the inner lips in each frame, inter-ocular distances."""
    points = landmarks(frames)
    return gaps(points, *LIPS)[1].max(axis=1) / inter_ocular_distance(points)


def landmarks(frames: list[LiveFrame]) -> np.ndarray:
    return np.stack([frame.landmarks for frame in frames])


def test_frames_do_not_depend_on_how_the_sound_was_cut(session, voice):
    late = np.concatenate([np.zeros(16_000, voice.dtype), voice])  # the lips part
    whole = speak(session(), late)
    parts = speak(session(), *np.split(late, [1, 17, 4_000, 4_001, 20_123]))
    assert [frame.index for frame in whole] == [frame.image[0, 0, 0] for frame in whole] == list(range(75))
    np.testing.assert_allclose(landmarks(parts), landmarks(whole), atol=1e-3)
    assert np.ptp(lip_gaps(whole)) > 0.02  # it speaks


def test_sound_comes_out_as_it_went_in(session, voice):
    stereo = np.stack([voice, -0.5 * voice], axis=1)[:17_000]
    frames = speak(session(), *np.split(stereo, [5, 9_999]))
    out = np.concatenate([frame.sound for frame in frames])
    np.testing.assert_array_equal(out[: len(stereo)], stereo)
    assert not out[len(stereo) :].any() and len(out) == len(frames) * 16_000 // 30


def test_48_khz_and_a_change_of_the_rate_stay_on_the_clock(session, voice):
    fine, live = np.repeat(voice, 3), session()
    live.push(fine[:36_000], 48_000)
    live.push(voice[12_000:], 16_000)
    frames = list(live.frames())
    assert live.position == 45 and len(frames) == 42
    assert frames[-1].rate == 16_000 and len(frames[-1].sound) in (533, 534)
    seconds = sum(len(frame.sound) / frame.rate for frame in frames)
    assert seconds == pytest.approx(42 / 30, abs=2e-4)


def test_nan_and_clipped_sound_is_survived(session, voice):
    broken = voice.copy()
    broken[3_000:3_100], broken[9_000] = np.nan, np.inf
    frames = speak(session(), broken)
    assert all(np.isfinite(frame.landmarks).all() and np.isfinite(frame.sound).all() for frame in frames)
    assert len(speak(session(), 50 * voice)) == 45


@pytest.mark.parametrize(
    ("samples", "rate", "words"),
    [(np.zeros((2, 3, 4)), 16_000, "no sound"), (np.zeros(10), 100, "samples a second")],
)
def test_what_is_no_sound_is_refused(session, samples, rate, words):
    with pytest.raises(InputError, match=words):
        session().push(samples, rate)


def test_an_interruption_drops_old_sound_and_rests_the_lips_within_five_frames(session, voice):
    live = session()
    live.push(voice, 16_000)
    spoken = [live.pull() for _ in range(20)]
    live.interrupt()
    silent = list(live.frames())
    assert [frame.index for frame in silent][:5] == [20, 21, 22, 23, 24]
    assert not np.concatenate([frame.sound for frame in silent]).any()
    lips = lip_gaps([*spoken, *silent])
    assert lips[24:].max() < 1e-3 < lips[19]
    assert np.abs(np.diff(lips[19:])).max() < 0.6 * lips[19]  # no jump
    again = speak(live, voice[:8_000])
    out = np.concatenate([frame.sound for frame in again])
    np.testing.assert_array_equal(out[:8_000], voice[:8_000][:, None])
    assert [frame.index for frame in again] == list(range(silent[-1].index + 1, again[-1].index + 1))


def test_an_interruption_of_frames_that_were_pulled_but_not_shown_goes_back(session, voice):
    live = session()
    live.push(voice, 16_000)
    spoken = [live.pull() for _ in range(20)]
    live.interrupt(spoken[14])
    silent = list(live.frames())
    assert [frame.index for frame in silent][:2] == [15, 16]
    assert not np.concatenate([frame.sound for frame in silent]).any()
    assert lip_gaps(silent)[4:].max() < 1e-3


def test_a_session_that_goes_back_over_silence_speaks_as_one_that_never_heard_it(session, voice):
    still = replace(SMALL, sway=0.0, liveliness=0.0, feeling=0.0, emotion="neutral", blinks=0.0)
    plain, live = session(still), session(still)
    for each in (plain, live):
        each.push(np.zeros(4_800), 16_000)
    live.push(np.zeros(4_800), 16_000)
    live.flush()
    assert len(list(live.frames())) == 18
    live.rewind(9)
    assert live.position == 9
    later = speak(live, voice)
    expected = landmarks(speak(plain, voice)[9:])
    np.testing.assert_allclose(landmarks(later)[1:], expected[1:], atol=0.05)  # the first one is joined to 8
    out = np.concatenate([frame.sound for frame in later])
    np.testing.assert_array_equal(out[: len(voice), 0], voice)


def test_the_head_goes_on_smoothly_after_an_interruption(session, voice):
    live, poses = session(), []
    move = live._motion.move

    def watched(*inputs):
        motion = move(*inputs)
        poses[motion.frames.start :] = list(motion.poses)
        return motion

    live._motion.move = watched
    live.push(voice, 16_000)
    for _ in range(20):
        live.pull()
    before = np.array(poses)
    live.interrupt()
    np.testing.assert_array_equal(poses[20:24], before[20:24])


def test_a_silent_face_moves_in_every_frame_and_keeps_its_lips_shut(session):
    live, motions = session(), []
    move = live._motion.move
    live._motion.move = lambda *inputs: motions.append(move(*inputs)) or motions[-1]
    frames = speak(live, np.zeros(16_000 * 3))
    moved = np.abs(np.diff(np.concatenate([motion.poses for motion in motions]), axis=0)).max(axis=1)
    assert moved.min() > 0
    assert lip_gaps(frames).max() < 1e-3


def test_late_frames_come_in_longer_chunks_or_are_dropped_and_keep_their_sound(session, voice):
    live = session()
    live.push(voice[:9_600], 16_000, hurry=True)
    assert [len(chunk.motion.points) for chunk in live._waiting] == [9, 6]
    first, later = live.pull(), live.pull(after=13)
    assert (first.index, later.index) == (0, 1)  # of the same chunk
    live._ready.clear()
    late = live.pull(after=13)
    live.push(voice[9_600:], 16_000, hurry=True)
    frames = [first, later, late, *live.frames()]
    assert late.index == 9 and [frame.index for frame in frames][-9:] == list(range(33, 42))
    out = np.concatenate([frame.sound for frame in frames])
    np.testing.assert_array_equal(out[:, 0], voice[: len(out)])
    assert np.isfinite(landmarks(frames)).all()


@pytest.mark.parametrize("stride", [2, 3, 6])
def test_fewer_frames_are_those_of_all_and_keep_the_sound(session, voice, stride):
    every = speak(session(pictures=True, chunk=max(3, stride)), voice[:6_400])  # the same windows
    live = session(pictures=True)
    live.stride = stride
    some = speak(live, voice[:6_400])
    assert [frame.index for frame in some] == list(range(0, len(every), stride))
    for frame in some:
        np.testing.assert_allclose(frame.landmarks, every[frame.index].landmarks, atol=0.05)
        assert np.abs(frame.image.astype(int) - every[frame.index].image).max() <= 3
    out = np.concatenate([frame.sound for frame in some])
    np.testing.assert_array_equal(out[: len(voice), 0], voice[: len(out)])


def test_minutes_keep_clock_and_memory(session, voice, monkeypatch):
    """Without networks, which keep nothing of a chunk."""
    live, sizes, count = session(chunk=9), [], 0
    monkeypatch.setattr(
        live._motion, "_predict", lambda heard, frames: (live._motion.rest[None].repeat(frames, 0), None)
    )
    for _ in range(2):
        for block in np.split(np.tile(voice, 14), 42):
            live.push(block, 16_000)
            count = max([frame.index + 1 for frame in live.frames()], default=count)
        sizes.append((live._shares._kept.nbytes, len(live._motion._made), len(live._ready)))
        assert live._hearing._kept.nbytes < 12 * 4 * 16_000 + 4 * 1_600
    assert live.position == 1260 and 1260 - 12 <= count <= 1257 and sizes[1] == sizes[0]


def test_marked_frames_are_unmarked_frames_with_the_watermark(session, voice):
    options = replace(SMALL, output="square")
    plain, marked = (
        speak(session(options, pictures=True, mark=mark), voice[:3_200]) for mark in (False, True)
    )
    mark = Watermark(plain[0].image)
    assert mark.applies
    for one, other in zip(plain, marked, strict=True):
        np.testing.assert_array_equal(mark.apply(one.image), other.image)


def test_pictures_are_those_of_a_video_for_equal_landmarks_and_canvas(pipeline, portrait, voice, monkeypatch):
    live, motions = LiveSession(pipeline, portrait, SMALL), []
    move = live._motion.move
    live._motion.move = lambda *inputs: motions.append(move(*inputs)) or motions[-1]
    frames = speak(live, voice[4_000:8_800])
    points, poses = (np.concatenate([getattr(m, name) for m in motions]) for name in ("points", "poses"))
    sequence = LandmarkSequence(points, portrait.landmarks, motions[0].emotion, pose=poses)
    monkeypatch.setattr("atldiff.pipeline.make_canvas", lambda *_: live._pictures.canvas)
    for one, other in zip(frames, pipeline.render(portrait, sequence, SMALL), strict=True):
        assert np.abs(one.image.astype(int) - other).max() <= 1


def test_with_all_of_the_sound_as_future_the_landmarks_are_a_videos(pipeline, portrait, voice, monkeypatch):
    """At the same level, activity and emotion; without what a live head knows later, and its breath."""
    still = replace(SMALL, sway=0.0, liveliness=0.0, feeling=0.0, emotion="neutral")
    speech = Speech.from_samples(voice[:16_000])
    video = pipeline.landmarks(portrait, speech, still)
    live = LiveSession(pipeline, portrait, still, lookahead=0, chunk=30)
    monkeypatch.setattr(live._pictures, "warp", lambda motion: [])
    level = float(
        to_training_level(torch.from_numpy(speech.samples)[None]).abs().max() / np.abs(voice[:16_000]).max()
    )
    activity = voice_activity(speech)
    samples = voice[:16_000]
    monkeypatch.setattr(live._hearing, "window", lambda begin, stop: Heard(samples, activity, level))
    live.push(samples, 16_000)
    np.testing.assert_allclose(live._waiting[0].motion.points, video.points, atol=0.02)


def test_photo_and_frames_have_the_colour_behind_the_person(portrait_path, voice):
    portrait = load_portrait(portrait_path, matte=True)
    options = Options(output="square", background="green", seed=3)
    session = LiveSession(ATLDiffPipeline.from_pretrained(), portrait, options, mark=False)
    session.push(voice[:4_000], 16_000)
    session.flush()
    frame = next(session.frames()).image
    assert session.photo.shape == frame.shape == (512, 512, 3)
    assert session.photo[0, 0].tolist() == frame[0, 0].tolist() == [0, 255, 0]
