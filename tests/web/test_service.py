"""The page without a browser or a server: requests, the service, pieces, previews, words."""

import ast
import gc
import shutil
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import page
import pytest

from atldiff.animation import Animation
from atldiff.errors import InputError
from atldiff.media.audio import Speech, load_speech
from atldiff.media.stream import broadcast, piece_seconds
from atldiff.options import DEFAULTS, Options
from atldiff.portrait.face import Portrait, load_portrait
from atldiff.sequence import LandmarkSequence
from atldiff.web import request, service, texts
from atldiff.web.preview import annotated, face_at, findings, motion_video, note, progress, spoken_time
from atldiff.web.request import Request, Step

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


def grey(animation: Animation, folder: Path, live: bool):
    """Ten grey frames, encoded as the real maker does."""
    path = folder / "talking.mp4"
    frames = (np.full((32, 32, 3), 128, np.uint8) for _ in range(10))
    for done, _ in enumerate(broadcast(path, frames, animation.speech.cut(0, 1 / 3)), start=1):
        yield Step(min(done, 10), 10, video=path if done == 11 else None)


@pytest.fixture
def shop(tmp_path) -> service.Service:
    return service.Service(still, grey, tmp_path, pace=0.01)


@pytest.mark.parametrize(
    "wrong", [{"portrait": None}, {"speech": ""}, {"lips": 2.1}, {"steps": "abc"}, {"seed": -1}], ids=str
)
def test_a_request_that_cannot_be_carried_out_is_refused(wrong):
    with pytest.raises(InputError):
        Request.of(ASKED | wrong)


def test_every_example_of_the_page_exists():
    files = [path for pair in texts.PAIRS + texts.RECORDINGS for path in pair]
    assert all(Path(path).is_file() for path in files) and len(texts.LINES) == len(texts.RECORDINGS)


def test_a_job_leaves_nothing_but_its_time(shop, tmp_path):
    before = shop.forecast.expected(load_speech(RECORDING), None, 2, "photo")
    for step, left in shop.animate(ASKED):
        assert left >= 0 and (step.video is None or step.video.is_file())
    assert step.video and list(tmp_path.iterdir()) == []
    assert shop.forecast.expected(load_speech(RECORDING), None, 2, "photo") != before


def test_a_stopped_job_leaves_nothing(shop, tmp_path):
    steps = shop.animate(ASKED)
    next(steps)
    assert len(list(tmp_path.iterdir())) == 1
    steps.close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_a_visitor_stays_in_memory(shop):
    def kept() -> int:
        gc.collect()
        kinds = (Portrait, Speech, Animation, LandmarkSequence)
        return sum(isinstance(thing, kinds) for thing in gc.get_objects())

    before = kept()
    for _ in shop.animate(ASKED):
        pass
    for _ in shop.landmarks(ASKED):
        pass
    shop.inspect_photo(PHOTO, 1)
    shop.inspect_speech(RECORDING, PHOTO, 2, "photo")
    stopped = shop.animate(ASKED)
    next(stopped)
    stopped.close()
    assert kept() == before


def test_landmarks_can_be_given(shop, tmp_path, portrait, speech):
    given = still(portrait, speech)
    moved = replace(given, points=given.points + np.float32([5, 0]))
    path = moved.save(tmp_path / "given.npz")
    ready = shop.read(Request.of(ASKED | {"landmarks": str(path), "sway": 2})).landmarks
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


def test_our_own_errors_are_numbered_and_logged(caplog):
    sentence = request.explain(ZeroDivisionError("secret"))
    number = sentence.split("error ")[1][:8]
    assert "secret" not in sentence and number in caplog.text and "ZeroDivisionError" in caplog.text
    assert request.explain(InputError("It is dark", "Open the window")) == "It is dark. Open the window."


def test_notes_cannot_carry_markup():
    for words in (note(["<img src=x>"]), progress("<script>", 0.5)):
        assert "<img" not in words and "<script" not in words
    assert "50.0%" in progress("half", 0.5)


def test_time_is_said_as_people_say_it():
    assert [spoken_time(s) for s in (0.2, 8.4, 80)] == ["1 s", "8 s", "1 min 20 s"]


def test_the_first_look_says_what_is_wrong_and_what_is_right(shop, tmp_path):
    picture, several, words, problem = shop.inspect_photo(PHOTO, 1)
    assert max(picture.shape) == 640 and not several and "good" in words and not problem
    picture, _, words, problem = shop.inspect_photo(str(page.landscape(tmp_path / "land.png")), 1)
    assert picture is None and "No face" in words and "bad" in words and "No face" in problem
    words, problem = shop.inspect_speech(RECORDING, None, 2, "photo")
    assert "4.9 s of speech" in words and not problem
    assert shop.inspect_photo(None, 1)[2] == shop.inspect_speech(None, None, 2, "photo")[0] == ""


def test_more_steps_and_pixels_are_expected_to_take_longer(shop, speech):
    times = [
        shop.forecast.expected(speech, (640, 640), *kind)
        for kind in ((1, "crop"), (2, "crop"), (2, "square"))
    ]
    assert times == sorted(times) and times[0] < times[1]


def test_faces_of_the_annotated_photo_can_be_clicked(portrait):
    width = portrait.image.shape[1]
    image = np.concatenate([portrait.image, portrait.image], axis=1)
    shift = np.float32([width, 0, width, 0])
    both = replace(portrait, image=image, faces=(portrait.faces[0], portrait.faces[0] + shift))
    picture = annotated(both)
    assert picture.shape == (320, 640, 3)
    x, y = (portrait.landmarks[30] * 320 / width).tolist()
    assert (face_at(both, x, y), face_at(both, x + 320, y), face_at(both, 2, 2)) == (1, 2, None)
    assert findings(both)["faces"][1][0] == pytest.approx(findings(both)["faces"][0][0] + width, abs=0.2)


def test_the_motion_preview_shows_every_frame_of_a_short_recording(tmp_path, portrait, speech):
    short = speech.cut(0, 1)
    found = page.probe(
        motion_video(tmp_path / "m.mp4", Animation(portrait, short, still(portrait, short), DEFAULTS))
    )
    assert found["size"] == (320, 320) and found["frames"] == 30


def test_pieces_play_on_one_clock_and_make_up_the_whole(tmp_path, speech):
    frames = (np.full((48, 64, 3), 2 * i % 256, np.uint8) for i in range(speech.num_frames))
    pieces = [
        (piece, piece_seconds(piece))
        for fresh in broadcast(tmp_path / "v.mp4", frames, speech, {"comment": "mark"}, live=True)
        for piece in fresh
    ]
    assert [seconds for _, seconds in pieces] == pytest.approx([3, speech.num_frames / 30 - 3], abs=0.001)
    starts, counts, sound = [], [], 0.0
    for piece, _ in pieces:
        with av.open(str(piece)) as container:
            starts.append(float(container.streams.video[0].start_time * container.streams.video[0].time_base))
            counts.append(sum(1 for _ in container.decode(video=0)))
        with av.open(str(piece)) as container:
            sound += sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert [b - a for a, b in pairwise(starts)] == pytest.approx([3], abs=0.001)
    assert sum(counts) == speech.num_frames and sound == pytest.approx(speech.seconds, abs=0.15)
    whole = page.probe(tmp_path / "v.mp4")
    assert whole["frames"] == speech.num_frames and whole["tags"]["comment"] == "mark"


def test_names_that_the_muxer_would_misread_are_kept(tmp_path, speech):
    folder = tmp_path / "it's a b|d [name]: \\"
    folder.mkdir()
    frames = (np.zeros((32, 32, 3), np.uint8) for _ in range(30))
    pieces = [p for fresh in broadcast(folder / "v.mp4", frames, speech.cut(0, 1), live=True) for p in fresh]
    assert len(pieces) == 1 and page.probe(folder / "v.mp4")["frames"] == 30
    shutil.rmtree(folder)


def test_spaces_is_imported_before_all_that_could_touch_a_gpu():
    tree = ast.parse((page.ROOT / "app.py").read_text(encoding="utf-8"))
    first = next(node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))
    assert [alias.name for alias in first.names] == ["spaces"]


def test_serving_options(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["app.py", "--host", "0.0.0.0", "--port", "9000", "--share"])
    monkeypatch.setenv("ATLDIFF_AUTH", "ann:secret,bob:a:b")
    options = texts.serving_options()
    assert (options["server_name"], options["server_port"], options["share"]) == ("0.0.0.0", 9000, True)
    assert options["auth"] == [("ann", "secret"), ("bob", "a:b")] and options["max_file_size"] == "20mb"
    monkeypatch.setattr(sys, "argv", ["app.py"])
    monkeypatch.delenv("ATLDIFF_AUTH")
    options = texts.serving_options()  # None: gradio's own environment variables decide
    assert {options[name] for name in ("server_name", "server_port", "share", "auth")} == {None}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("live", [False, True])
def test_a_full_disk_is_told_in_a_sentence(tmp_path, speech, live):
    path = tmp_path / "talking.mp4"
    path.symlink_to("/dev/full")
    noise = np.random.default_rng(0).integers(0, 255, (60, 128, 128, 3), np.uint8)
    with pytest.raises(InputError, match="disk is full"):
        list(broadcast(path, iter(noise), speech, live=live))
