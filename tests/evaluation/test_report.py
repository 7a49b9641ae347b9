"""The report: takes, foreign videos, scores, resuming, tables and page."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from atldiff.cli.evaluate import make_systems, read_references
from atldiff.cli.parser import main
from atldiff.errors import InputError
from atldiff.evaluation.benchmark.compare import Case
from atldiff.evaluation.benchmark.run import STAGES, Row
from atldiff.evaluation.pictures import psnr
from atldiff.evaluation.report import takes as takes_module
from atldiff.evaluation.report.finished import FinishedVideos, fit_size, read_aligned
from atldiff.evaluation.report.plots import BY_PERSON, plots
from atldiff.evaluation.report.run import evaluate
from atldiff.evaluation.report.speed import measure_speed
from atldiff.evaluation.report.systems import Renderings, StillFrame, without_network
from atldiff.evaluation.report.tables import Section, cell, reported, sections, speed_section, summarise
from atldiff.evaluation.report.takes import PROTOCOLS, Cut, Protocol, Reference, Take, Track, make_takes
from atldiff.evaluation.report.write import write_report
from atldiff.media.speech import load_speech
from atldiff.media.video_reader import Clip, read_clip
from atldiff.media.video_writer import write_video
from atldiff.pipeline import STARTER, ATLDiffPipeline
from atldiff.speech.encoders import load_speech_encoder

SIDE = 192


@pytest.fixture(scope="module")
def clip(portrait_path, speech_path) -> Clip:
    """1.2 s at 25 frames a second of a photo that sways by some pixels, with speech."""
    photo = np.asarray(Image.open(portrait_path).convert("RGB").crop((128, 0, 384, 256)).resize((SIDE, SIDE)))
    frames = [np.roll(photo, round(3 * np.sin(i / 4)), axis=1) for i in range(30)]
    return Clip(np.stack(frames), 25.0, load_speech(speech_path).cut(0.5, 1.7))


@pytest.fixture(scope="module")
def take(clip) -> Take:
    return next(make_takes(Reference("a b/c", "ann", lambda: clip), PROTOCOLS["photo"]))


def test_takes_are_at_30_frames_a_second_and_cut(clip, take):
    assert take.name == "a_b_c" and len(take.frames) == 36 and take.truth is take.frames
    assert np.array_equal(take.frames[6], clip.frames[5])  # 0.2 s
    (second,) = make_takes(Reference("x", "ann", lambda: clip), PROTOCOLS["paper"])
    assert second.name == "x-000" and len(second.frames) == 30 and second.speech.seconds == 1
    short = Protocol("third", "", PROTOCOLS["photo"].options, seconds=1 / 3)
    names = [some.name for some in make_takes(Reference("x", "ann", lambda: clip), short, Cut(pieces=2))]
    assert names == ["x-000", "x-002"]
    mute = Reference("mute", "ann", lambda: Clip(clip.frames, 25.0, None))
    with pytest.raises(InputError, match="no sound"):
        next(make_takes(mute, PROTOCOLS["photo"]))
    brief = Reference("brief", "ann", lambda: Clip(clip.frames[:10], 25.0, clip.speech))
    with pytest.raises(InputError, match="lasts"):
        next(make_takes(brief, PROTOCOLS["photo"]))


def test_a_take_of_the_paper_is_small_and_green(clip):
    (small,) = make_takes(
        Reference("x", "ann", lambda: Clip(clip.frames[:25], 25.0, clip.speech)), PROTOCOLS["paper"]
    )
    few = Take("x", "ann", small.protocol, small.frames[:2], small.speech)
    assert few.truth.shape == (2, 128, 128, 3)
    green = (few.truth == (0, 255, 0)).all(axis=-1).mean()
    assert 0.05 < green < 0.7


def test_a_lost_face_is_filled_from_its_nearest_frame():
    meshes = np.zeros((4, 478, 3), np.float32) + np.arange(4)[:, None, None]
    meshes[0], meshes[3] = np.nan, np.nan
    track = Track(meshes[:, :68, :2], meshes)
    assert track.seen.tolist() == [False, True, True, False]
    assert track.filled().points[:, 0, 0].tolist() == [1, 1, 2, 2]


def test_foreign_videos_are_brought_to_the_takes_rate_size_and_length(take, tmp_path):
    large = [cv2.resize(frame, (SIDE * 5 // 4, SIDE * 5 // 4)) for frame in np.repeat(take.truth, 2, axis=0)]
    path = write_video(tmp_path / "a.mp4", [*large, *large[:20]], None, fps=60)  # twice the rate, and longer
    frames = read_aligned(path, take)
    assert frames.shape == take.truth.shape
    error = np.abs(frames.astype(int) - take.truth).mean(axis=(1, 2, 3))
    assert error.max() < 6
    short = write_video(tmp_path / "b.mp4", take.truth[:20], None)
    with pytest.raises(InputError, match=r"b.mp4 lasts 0.7 of 1.2 s"):
        read_aligned(short, take)


def test_a_video_of_another_shape_is_laid_onto_the_eyes(take):
    wide = np.stack([np.pad(frame, ((0, 0), (70, 30), (0, 0)), mode="edge") for frame in take.truth[:2]])
    found = fit_size(wide, (SIDE, SIDE), take.track.points[:2], "wide.mp4")
    middle = slice(40, 150)
    assert np.abs(found.astype(int) - take.truth[:2])[:, middle, middle].mean() < 8
    with pytest.raises(InputError, match="No face is seen in grey.mp4"):
        fit_size(np.full((2, 60, 100, 3), 99, np.uint8), (SIDE, SIDE), take.track.points[:2], "grey.mp4")


@pytest.fixture(scope="module")
def finished(take, tmp_path_factory) -> tuple[Path, "object", Reference]:
    """A folder of an evaluation; still frame, a perfect system, and one whose file is broken."""
    folder, out = tmp_path_factory.mktemp("foreign"), tmp_path_factory.mktemp("evaluation")
    write_video(folder / "sub.mp4", take.truth, take.speech)
    (folder / "deep").mkdir()
    (folder / "sub.mp4").rename(folder / "deep" / f"{take.name}.mp4")
    broken = tmp_path_factory.mktemp("broken")
    (broken / f"{take.name}.mp4").write_bytes(b"\0" * 900)
    systems = [
        StillFrame(),
        FinishedVideos.from_folder("perfect", folder),
        FinishedVideos.from_folder("bad", broken),
    ]
    reference = Reference("a b/c", "ann", lambda: Clip(take.frames, 30.0, take.speech))
    encoder = load_speech_encoder(STARTER / "speech_encoder")
    arguments = [reference], systems, [PROTOCOLS["photo"]], out, encoder, {"seed": 0}
    return out, arguments, evaluate(*arguments)


def test_a_system_that_shows_the_truth_scores_best_and_a_broken_file_is_named(finished):
    _, _, results = finished
    still, perfect = (row["scores"] for row in results.rows)
    assert [row["system"] for row in results.rows] == ["still frame", "perfect"]
    assert perfect["PSNR"] > 35 > still["PSNR"] and perfect["SSIM"] > still["SSIM"]
    assert perfect["LMD"] < 0.5 < still["LMD"] and perfect["LMD %"] < still["LMD %"]
    assert perfect["centred LMD"] <= perfect["LMD"] + 0.05 and perfect["velocity LMD"] < still["velocity LMD"]
    assert perfect["flicker"] == pytest.approx(1, abs=0.2) and still["flicker"] < 0.2
    assert perfect["seen"] == 1 and perfect["head speed"] == pytest.approx(
        perfect["true head speed"], rel=0.2
    )
    (note,) = results.skipped
    assert "bad, a_b_c" in note and "a_b_c.mp4" in note


def test_a_second_run_keeps_what_is_there(finished, monkeypatch):
    out, arguments, results = finished
    monkeypatch.setattr(
        takes_module, "load_portrait", lambda *_, **__: pytest.fail("a finished take was made again")
    )
    again = evaluate(arguments[0], arguments[1][:2], *arguments[2:])
    assert again.rows == results.rows
    assert sorted(path.name for path in (out / "inputs" / "photo").iterdir()) == ["a_b_c.png", "a_b_c.wav"]
    with pytest.raises(InputError, match="begun with seed = 0, not 1"):
        evaluate(*arguments[:-1], {"seed": 1})


class _Page(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "path", "use"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag, tag


def test_the_report_holds_tables_plots_videos_and_what_is_missing(finished):
    out, _, results = finished
    page = write_report(out, results, {"FID": "Nobody has it"}, seed=0)
    text = (out / "report.md").read_text()
    assert "| still frame |" in text and "| the true clips |" in text and "- photo, bad, a_b_c" in text
    assert "**FID**: not available. Nobody has it." in text and "Not available: FID" in text
    values = json.loads((out / "report.json").read_text())
    assert values["summary"]["photo"]["perfect"]["LMD"]["people"] == 1
    html = page.read_text()
    tags = _Page()
    tags.feed(html)
    assert tags.open == [] and tags.tags.count("video") == 1 and "svg" in tags.tags
    video = read_clip(out / "side-by-side" / "photo" / "a_b_c.mp4")
    assert len(video.frames) == 36 and video.speech is not None
    first = html
    write_report(out, results, {"FID": "Nobody has it"}, seed=0)
    assert page.read_text() == first  # the same scores give the same page


def test_of_a_face_at_rest_the_true_landmarks_give_the_still_frame(take, tmp_path):
    pipeline = ATLDiffPipeline.from_pretrained()
    rest = Take("rest", "ann", take.protocol, np.repeat(take.frames[:1], 3, axis=0), take.speech.cut(0, 0.1))
    path = Renderings("warp", without_network(pipeline), "true landmarks").video(rest, tmp_path)
    assert psnr(read_clip(path).frames, rest.truth).min() > 35
    names = [system.name for system in make_systems(pipeline, [], [None, 4], 0, lambda _: pipeline)]
    assert names[:3] == ["still frame", "warp prior, sound", "warp prior, true landmarks"]
    assert names[3:] == [
        f"starter, {steps}, {source}"
        for steps in ("1 step", "4 steps")
        for source in ("sound", "true landmarks")
    ]
    for text, problem in (
        ("nameless", "cannot be used"),
        ("starter=x", "cannot be used"),
        ("x=none", "no video"),
    ):
        with pytest.raises(InputError, match=problem):
            make_systems(pipeline, [text], [None], 0, lambda _: pipeline)


def test_quality_is_drawn_against_steps():
    rows = [
        {
            "protocol": "photo",
            "system": f"s, {steps}",
            "family": "s",
            "steps": steps,
            "take": who,
            "person": who,
        }
        | {"scores": dict.fromkeys((*BY_PERSON, "PSNR mouth"), 20.0 + steps)}
        | {"seconds": dict.fromkeys(("PSNR face", "sharpness"), [1.0, 2.0])}
        for steps in (1, 8)
        for who in ("ann", "bo")
    ]
    drawn = plots(summarise(rows), rows)
    assert "photo: PSNR mouth by steps" in drawn and len(drawn) == len(BY_PERSON) + 3
    assert all(svg.startswith("<svg") for svg in drawn.values())


def test_speed_is_measured_once_and_without_loading(tmp_path, monkeypatch):
    asked = []

    def rows(case: Case, seconds: float, runs: int) -> list[Row]:
        asked.append((case.weights, case.options, seconds, runs))
        stages = dict.fromkeys(STAGES, 1.0) | {"import": 5.0, "load": 2.0}
        return [Row(seconds, case.size, False, frames=60, first_picture=9.0, peak_mib=700.0, stages=stages)]

    monkeypatch.setattr(Case, "rows", rows)
    with pytest.raises(InputError, match="nothing to time"):
        measure_speed(tmp_path, [("starter", "folder", 8)], "cpu")
    (tmp_path / "inputs" / "photo").mkdir(parents=True)
    (tmp_path / "inputs" / "photo" / "a.png").touch()
    first = measure_speed(tmp_path, [("starter", "folder", 8)], "cpu")
    assert [(row["picture"], row["total"], row["first_picture"]) for row in first] == [
        ("128x128", 5.0, 2.0),
        ("512x512", 5.0, 2.0),
    ]
    assert asked[0] == ("folder", {"steps": 8, "output": "crop"}, 2.0, 1)
    assert measure_speed(tmp_path, [("starter", "folder", 8)], "cpu") == first and len(asked) == 2


def test_tables_have_intervals_and_the_reported_numbers():
    rows = [
        {
            "protocol": "photo",
            "system": "s",
            "take": f"t{i}",
            "person": f"p{i}",
            "scores": {"LMD": i, "true x": i},
        }
        for i in (1, 3)
    ]
    summary = summarise(rows)["photo"]
    assert cell("LMD", summary["s"]["LMD"]) == "2.00 (1.00 to 3.00)"
    assert summary["the true clips"]["x"].mean == 2 and cell("LMD", None) == ""
    assert "| CREMA-D | ATL-Diff | 29.055 | 0.985 | 7.995 | 0.701 | 0.840 |" in reported().as_markdown()
    row = {"system": "starter", "steps": 8, "picture": "128x128", "frames": 60, "total": 4.0}
    text = speed_section([row | {"first_picture": 0.5, "peak_mib": 700}]).as_markdown()
    assert "| starter, 8 steps | 128x128 | 4.00 | 15.0 | 0.50 | 700 |" in text and "2.02" in text
    assert Section("A", 3, ("b",)).as_markdown() == "### A\n\nb"


def test_references_come_from_folders_and_tables_one_of_each_person_first(clip, tmp_path, capsys):
    for name in ("bo/1.mp4", "ann/1.mp4", "ann/2.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "cy").mkdir()
    (tmp_path / "cy" / "0.mp4").write_bytes(b"")
    references, notes = read_references(tmp_path, "val", None)
    assert [reference.name for reference in references] == ["ann/1", "bo/1", "ann/2"]
    assert len(notes) == 1 and "cy/0.mp4" in notes[0]
    table = "file,identity,split,kind,use\nann/1.mp4,ann,val,speech,both\nann/2.mp4,ann,train,speech,both\n"
    (tmp_path / "clips.csv").write_text(table + "bo/1.mp4,bo,val,silent,frames\n")
    references, notes = read_references(tmp_path, "val", 5)
    assert [reference.name for reference in references] == ["ann/1"] and "1 clips" in notes[0]
    assert main(["evaluate", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert re.search("does not exist", capsys.readouterr().err)


def test_the_legend_tells_what_networks_measure_or_why_they_are_missing():
    text = sections({}, [], {"FID": "Because"}, [])[-2].as_markdown()
    assert "**FID**: not available. Because." in text and "**LSE-C**: SyncNet's confidence" in text
    assert "by Inception" not in text
