"""The page without a browser or a server: requests, the service, pieces, previews, words."""

import ast
import gc
import io
import time
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import page
import pytest
import soundfile

from atldiff.animation import Animation
from atldiff.errors import InputError
from atldiff.media import video_writer as video
from atldiff.media.speech import Speech, load_speech
from atldiff.media.synthesis import installed_voices
from atldiff.media.video_writer import encode_video
from atldiff.options import DEFAULTS, Options
from atldiff.portrait.photo import open_photo
from atldiff.portrait.portrait import Portrait, load_portrait
from atldiff.sequence import LandmarkSequence
from atldiff.speech.motion.pose_file import poses_from_csv
from atldiff.web import texts
from atldiff.web.jobs import request, service
from atldiff.web.jobs.forecast import Forecast
from atldiff.web.jobs.request import Request, Step
from atldiff.web.preview import motion_video

PHOTO, RECORDING = str(page.EXAMPLES / "drawn.jpg"), str(page.EXAMPLES / "hello_world.flac")
ASKED = {"portrait": PHOTO, "speech": RECORDING}


@pytest.fixture(scope="module")
def portrait():
    return load_portrait(PHOTO)


@pytest.fixture(scope="module")
def speech():
    return load_speech(RECORDING)


def still(portrait, speech, options=DEFAULTS) -> LandmarkSequence:
    """Landmarks of a face that does not move, in place of the networks: the service only hands them on."""
    points = np.repeat(portrait.landmarks[None], speech.num_frames, axis=0)
    return LandmarkSequence(points, portrait.landmarks, np.zeros(4, np.float32))


def grey(animation: Animation, folder: Path):
    """Ten grey frames, encoded as the real maker does."""
    path = folder / "talking.mp4"
    frames = (np.full((32, 32, 3), 128, np.uint8) for _ in range(10))
    for done, frame in enumerate(encode_video(path, frames, animation.speech.cut(0, 1 / 3)), start=1):
        yield Step(done, 10, picture=request.small_jpeg(frame) if done == 5 else None)
    yield Step(10, 10, video=path)


@pytest.fixture
def shop(tmp_path) -> service.Service:
    return service.Service(still, grey, lambda landmarks: "calm", tmp_path, Forecast(0.01, 1))


@pytest.mark.parametrize(
    "wrong", [{"portrait": None}, {"speech": ""}, {"lips": 2.1}, {"steps": "abc"}, {"seed": -1}], ids=str
)
def test_a_request_that_cannot_be_carried_out_is_refused(wrong):
    with pytest.raises(InputError):
        Request.from_values(ASKED | wrong)


def test_every_example_of_the_page_exists():
    files = [path for e in texts.EXAMPLES for path in (e.portrait, e.recording, e.video)]
    assert all(path.is_file() for path in [*files, *texts.RECORDINGS.values()])


def test_a_job_reports_shows_its_frames_and_leaves_nothing(shop, tmp_path):
    reports = []
    for report in shop.animate(ASKED):
        assert report.video is None or report.video.is_file()
        reports.append(report)
    assert reports[0].words.startswith("Reading") and reports[0].share is None
    photo, *frames = [page.Image.open(io.BytesIO(r.picture)).size for r in reports if r.picture]
    assert photo == (460, 460) and set(frames) == {(32, 32)}
    assert reports[-1].video and "Emotion heard: calm." in reports[-1].words
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_could_not_be_signed_is_given_with_a_sentence(tmp_path):
    def unsigned(animation: Animation, folder: Path):
        for step in grey(animation, folder):
            yield replace(step, note="It has no signature.") if step.video else step

    *_, last = service.Service(still, unsigned, None, tmp_path, Forecast(0.01, 1)).animate(ASKED)
    assert last.video and last.words.startswith("Done") and last.words.endswith(" It has no signature.")


def test_a_growing_video_is_told_at_once_and_once_with_its_length_and_the_age_of_its_frames(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(service, "REPORT_EVERY", 99)

    def slow(animation: Animation, folder: Path):
        for step in grey(animation, folder):
            time.sleep(0.1)
            if step.done == 3:
                (folder / "live.mp4").touch()
            yield step

    reports = list(service.Service(still, slow, None, tmp_path, Forecast(0.01, 1)).animate(ASKED))
    (told,) = [report for report in reports if report.live]
    assert told.words.startswith("Making frames: 3 of 10")
    assert told.seconds == pytest.approx(1 / 3) and told.age >= 0.1


def test_what_a_file_says_of_itself(shop, tmp_path):
    with pytest.raises(InputError, match="no file yet"):
        next(shop.verify({"file": None}))
    (verdict,) = shop.verify({"file": str(RECORDING)})
    assert verdict["status"] == 2 and verdict["mark"] is None


def test_an_emotion_that_was_chosen_is_not_said_to_be_heard(shop):
    *_, last = shop.animate(ASKED | {"emotion": "happy"})
    assert last.words.startswith("Done") and "heard" not in last.words


def test_no_emotion_is_heard_in_a_landmark_file(shop, portrait, speech, tmp_path):
    given = still(portrait, speech).save(tmp_path / "given.npz")
    *_, last = shop.animate(ASKED | {"landmarks": str(given)})
    assert last.words.startswith("Done") and "heard" not in last.words


def test_an_emotion_that_is_not_sure_is_not_named(tmp_path):
    shop = service.Service(still, grey, lambda landmarks: None, tmp_path, Forecast(0.01, 1))
    words = list(shop.animate(ASKED))[-1].words
    assert words.startswith("Done") and "heard" not in words


def test_of_a_given_landmark_file_no_emotion_is_said_to_be_heard(shop, tmp_path, portrait, speech):
    path = still(portrait, speech).save(tmp_path / "given.npz")
    *_, last = shop.animate(ASKED | {"landmarks": str(path)})
    assert last.words.startswith("Done") and "heard" not in last.words


def test_landmarks_that_the_weights_refuse_are_told_before_anything_is_asked_of_them(
    tmp_path, portrait, speech
):
    def refuse(animation: Animation, folder: Path):
        raise InputError("The emotion has 3 numbers", "Predict the landmarks again")
        yield

    def heard(landmarks: LandmarkSequence) -> str:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    path = replace(still(portrait, speech), emotion=np.zeros(3, np.float32)).save(tmp_path / "given.npz")
    shop = service.Service(still, refuse, heard, tmp_path, Forecast(0.01, 1))
    with pytest.raises(InputError, match="The emotion has 3 numbers"):
        list(shop.animate(ASKED | {"landmarks": str(path)}))


def test_one_who_waits_goes_on_when_the_one_before_is_done_and_may_leave(shop, tmp_path):
    first, second, third = (shop.animate(ASKED) for _ in range(3))
    next(first)
    assert [next(turn).words[:7] for turn in (second, third)] == ["Reading"] * 2
    assert all(next(turn).picture for turn in (second, third))  # the photo stands there while they wait
    assert "1 before you" in next(second).words and "2 before you" in next(third).words
    second.close()
    assert "1 before you" in next(third).words
    assert list(first)[-1].video and list(third)[-1].video
    assert list(tmp_path.iterdir()) == []


def test_warming_up_measures_the_forecast(shop, tmp_path):
    shop._forecast = Forecast(100.0, 1)
    shop.warm_up(PHOTO, RECORDING)
    assert (
        shop._forecast.estimate(load_speech(RECORDING), None, DEFAULTS) < 100
        and list(tmp_path.iterdir()) == []
    )


def test_a_stopped_job_leaves_nothing(shop, tmp_path):
    steps = shop.animate(ASKED)
    assert any(report.share for report in steps)
    assert len(list(tmp_path.iterdir())) == 1
    steps.close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_a_visitor_stays_in_memory(shop):
    def kept() -> int:
        gc.collect()
        kinds = (Portrait, Speech, Animation, LandmarkSequence)
        # by type(): isinstance() follows weak proxies, other libraries' dead ones among them
        return sum(type(thing) in kinds for thing in gc.get_objects())

    shop.inspect_photo(PHOTO, 1)  # as the server does when it starts: importing MediaPipe keeps its caller
    before = kept()
    for _ in shop.animate(ASKED):
        pass
    for _ in shop.landmarks(ASKED):
        pass
    shop.inspect_photo(PHOTO, 1)
    shop.inspect_speech(RECORDING, PHOTO, DEFAULTS)
    stopped = shop.animate(ASKED)
    next(stopped)
    stopped.close()
    assert kept() == before


def test_landmarks_can_be_given(shop, tmp_path, portrait, speech):
    given = still(portrait, speech)
    moved = replace(given, points=given.points + np.float32([5, 0]))
    path = moved.save(tmp_path / "given.npz")
    ready = shop.read(Request.from_values(ASKED | {"landmarks": str(path), "sway": 2})).landmarks
    np.testing.assert_allclose(ready.points, moved.points, atol=0.01)


def test_a_shared_gpu_is_held_longer_for_more_frames_steps_and_pixels(portrait, speech):
    def seconds(portrait: Portrait, speech: Speech, **options) -> int:
        return request.gpu_seconds(
            Animation(portrait, speech, still(portrait, speech), Options(**options)), 1
        )

    usual, large = seconds(portrait, speech), np.zeros((2048, 2048, 3), np.uint8)
    assert 15 < usual < seconds(portrait, speech, steps=8) < request.GPU_LIMIT
    assert usual < seconds(replace(portrait, image=large), speech)
    assert seconds(replace(portrait, image=large), speech, output="crop") <= usual
    request.check_gpu_seconds(usual)
    with pytest.raises(InputError, match="512 square"):
        request.check_gpu_seconds(seconds(replace(portrait, image=large), speech, steps=8) * 5)


def test_the_size_of_a_photo_is_known_from_its_header(tmp_path):
    page.Image.new("RGB", (4096, 1024)).save(tmp_path / "wide.png")
    assert request.photo_size(str(tmp_path / "wide.png")) == (512, 2048)
    (tmp_path / "text.png").write_text("no picture")
    assert request.photo_size(str(tmp_path / "text.png")) is request.photo_size(None) is None


def test_a_photo_with_exif_that_is_cut_short_is_looked_at_in_silence(tmp_path):
    exif = page.Image.Exif()
    exif[274], exif[271] = 6, "a camera with a long name"
    page.Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg", exif=exif.tobytes()[:24])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert request.photo_size(str(tmp_path / "a.jpg")) == (48, 64)
        assert request.convert_for_browsers(str(tmp_path / "a.jpg"), tmp_path) is None


def test_our_own_errors_are_numbered_and_logged(caplog):
    sentence = request.explain(ZeroDivisionError("secret"))
    number = sentence.split("error ")[1][:8]
    assert "secret" not in sentence and number in caplog.text and "ZeroDivisionError" in caplog.text
    assert request.explain(InputError("It is dark", "Open the window")) == "It is dark. Open the window."


def test_the_first_look_says_what_is_wrong_and_what_is_right(shop, tmp_path):
    look = shop.inspect_photo(PHOTO, 1)
    assert max(look.picture.shape) == 640 and not look.several and "good" in look.words
    look = shop.inspect_photo(str(page.landscape(tmp_path / "land.png")), 1)
    assert look.picture is None and "No face" in look.words and "bad" in look.words
    words, too_long = shop.inspect_speech(RECORDING, None, DEFAULTS)
    assert "4.9 s of speech" in words and "warn" not in words and not too_long
    hum = tmp_path / "hum.wav"
    soundfile.write(hum, 0.1 * np.sin(np.arange(32_000) / 20), 16_000)
    words, too_long = shop.inspect_speech(str(hum), None, DEFAULTS)
    assert "No speech is heard" in words and "2.0 s of sound" in words and not too_long
    assert shop.inspect_photo(None, 1).words == shop.inspect_speech(None, None, DEFAULTS)[0] == ""


def test_every_look_at_a_photo_uses_the_detector_that_was_chosen(shop, monkeypatch):
    import face_alignment

    def offline(*_):
        raise OSError("no network")

    monkeypatch.setattr(face_alignment.FaceAlignment, "_load_native", offline)
    chosen = {"detector": "face-alignment"}
    for ask in (shop.animate, shop.landmarks, shop.check_portrait):
        with pytest.raises(InputError, match="The weights of face-alignment could not be loaded"):
            list(ask(ASKED | chosen))
    assert "The weights of face-alignment" in shop.inspect_photo(PHOTO, 1, **chosen).words
    with pytest.raises(InputError, match="Choose one of mediapipe, mediapipe-tasks, face-alignment"):
        list(shop.check_portrait(ASKED | {"detector": "dlib"}))


def test_where_the_head_is_small_it_can_be_zoomed_to(shop, tmp_path):
    assert not shop.inspect_photo(PHOTO, 1).small
    photo = page.standing(tmp_path / "standing.jpg")
    whole, near = shop.inspect_photo(photo, 1), shop.inspect_photo(photo, 1, 3)
    assert whole.small and near.small and whole.picture.shape == near.picture.shape == (640, 480, 3)
    assert shop.inspect_photo(page.standing(tmp_path / "far.jpg", 8), 1).small
    assert request.photo_size(photo, 3) == (533, 400)
    assert shop.inspect_new_photo(PHOTO).zoom == 1
    far = shop.inspect_new_photo(page.standing(tmp_path / "far.jpg", 8))
    assert far.small and 2 <= far.zoom <= 8 and "begins zoomed" in far.words and far.picture is not None
    *_, last = shop.animate(ASKED | {"portrait": photo, "zoom": 3})
    assert last.words.startswith("Done")


def test_a_photo_that_browsers_do_not_show_is_made_one_that_they_do(shop, tmp_path):
    chart = tmp_path / "chart.tiff"
    page.Image.new("RGB", (60, 40), (200, 100, 50)).save(chart)
    for photo, size in ((page.HEIC, (384, 384)), (chart, (60, 40))):
        (made,) = [page.Image.open(path).copy() for path in shop.convert_for_browsers(str(photo))]
        assert made.size == size
        assert np.abs(np.asarray(made).astype(int) - open_photo(photo)).mean() < 2
    broken = tmp_path / "broken.heic"
    broken.write_bytes(page.HEIC.read_bytes()[:3000])
    for photo in (PHOTO, broken, tmp_path / "none.png"):
        assert not list(shop.convert_for_browsers(str(photo)))
    assert sorted(tmp_path.iterdir()) == [broken, chart]


def test_of_a_recording_that_is_too_long_the_first_minute_is_offered(shop, tmp_path):
    long = tmp_path / "long.wav"
    page.soundfile.write(long, np.tile(np.sin(np.arange(16_000) / 9), 70), 16_000)
    words, too_long = shop.inspect_speech(str(long), None, DEFAULTS)
    assert too_long and "longer than 60 s" in words
    for path in shop.first_minute(str(long)):
        assert load_speech(path).seconds == pytest.approx(60)
        assert not shop.inspect_speech(path, None, DEFAULTS)[1]
    assert list(tmp_path.iterdir()) == [long]


@pytest.mark.skipif(not installed_voices(), reason="no voice is installed")
def test_a_hand_turns_the_head(shop, tmp_path):
    picture = page.Image.open(io.BytesIO(shop.head(PHOTO, 1, "mediapipe")))
    assert picture.size == (256, 256)
    for table in shop.turn_by_hand("[[0,0,0],[1,1,-0.5],[2,1,-0.5]]", RECORDING):
        yaw, pitch, *rest = poses_from_csv(table).T
        assert len(yaw) == load_speech(RECORDING).num_frames and not np.any(rest)
        np.testing.assert_allclose((yaw[15], yaw[30], yaw[60], yaw[75:].max()), (7.5, 15, 15, 0), atol=0.01)
        np.testing.assert_allclose(pitch, -yaw / 3, atol=0.01)
    with pytest.raises(InputError, match="no portrait"):
        shop.head(None, 1, "mediapipe")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ["", "drag", "5", "[]", "[[0,0,0]]", "[[0,0],[1,1]]", "[[1,0,0],[0,0,0]]", "[[0,0,0],[1,NaN,0]]",
     '[["a",0,0],[1,0,0]]', "[[0,0,0],[1,0]]", "[" * 2_000_000, '{"a": 1}', "[[-1,0,0],[0,0,0]]"],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_a_path_that_no_hand_draws_is_refused(text):
    with pytest.raises(InputError, match="path of the hand"):
        request.read_hand_path(text)


def test_a_typed_text_is_said(shop, tmp_path):
    voice = installed_voices()[0].name
    for path in shop.say("Good morning.", voice):
        assert 0.5 < load_speech(path).seconds < 4
    with pytest.raises(InputError, match="no text"):
        list(shop.say("  ", voice))
    assert list(tmp_path.iterdir()) == []


def test_the_motion_preview_shows_every_frame_of_a_short_recording(tmp_path, portrait, speech):
    short = speech.cut(0, 1)
    found = page.probe(
        motion_video(tmp_path / "m.mp4", Animation(portrait, short, still(portrait, short), DEFAULTS))
    )
    assert found["size"] == (320, 320) and found["frames"] == 30


def test_spaces_is_imported_before_all_that_could_touch_a_gpu():
    tree = ast.parse((page.ROOT / "app.py").read_text(encoding="utf-8"))
    first = next(node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))
    assert [alias.name for alias in first.names] == ["spaces"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_in_a_sentence(tmp_path, speech, monkeypatch):
    monkeypatch.setattr(video, "uuid4", lambda: SimpleNamespace(hex="00000000"))
    (tmp_path / ".00000000.mp4").symlink_to("/dev/full")
    noise = np.random.default_rng(0).integers(0, 255, (60, 128, 128, 3), np.uint8)
    with pytest.raises(InputError, match="disk is full"):
        list(encode_video(tmp_path / "talking.mp4", iter(noise), speech))
    assert list(tmp_path.iterdir()) == []
