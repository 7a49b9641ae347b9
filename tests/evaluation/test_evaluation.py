"""Validation and benchmark: what they compare and report; the runs themselves are too long for tests."""

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from atldiff import landmarks as lm
from atldiff.cli.parser import main
from atldiff.config import PRESETS, Preset
from atldiff.errors import InputError
from atldiff.evaluation import validate
from atldiff.evaluation.benchmark import compare as benchmark
from atldiff.evaluation.benchmark.run import STAGES, Row, peak_mib
from atldiff.evaluation.benchmark.run import main as run_benchmark
from atldiff.evaluation.mouths import collect_mouths
from atldiff.pipeline import ATLDiffPipeline
from atldiff.portrait.photo import crop_square
from atldiff.portrait.portrait import load_portrait
from atldiff.training.data.extract import STORED_MARGIN, STORED_SIZE, encode_picture
from atldiff.training.renderer.clips import StoredClip

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture(scope="module")
def clip() -> StoredClip:
    """Thirty equal frames of the drawn portrait, of which the first eight lost the face."""
    portrait = load_portrait(EXAMPLES / "drawn.jpg")
    box = lm.crop_box(portrait.landmarks, lm.CROP_SCALE * STORED_MARGIN)
    frame = crop_square(portrait.image, lm.square_box((box[:2] + box[2:]) / 2, box[2] - box[0]), STORED_SIZE)
    jpeg = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    offsets = np.arange(31) * len(jpeg)
    points = np.repeat(lm.to_crop(portrait.landmarks, box)[None] * STORED_SIZE, 30, axis=0)
    points += np.random.default_rng(0).normal(0, 1e-3, points.shape)
    return StoredClip("drawn", "nobody", np.tile(jpeg, 30), offsets, points, np.arange(30) >= 8)


def test_a_trial_keeps_portrait_and_frames_apart(clip):
    trial = validate.make_trial(clip)
    assert len(trial.points) == len(trial.truth) == 15  # 70 % of the 22 usable frames
    assert trial.truth.shape[1:] == (128, 128, 3)
    again = validate.make_trial(clip, frames=12)
    portrait_at = np.abs(clip.points - again.portrait.landmarks).sum((1, 2)).argmin()
    used = [np.abs(clip.points - points).sum((1, 2)).argmin() for points in again.points]
    assert len(used) == 12 and portrait_at not in used and min(used) >= 8 and portrait_at >= 8


def test_a_clip_without_usable_frames_makes_no_trial(clip):
    lost = StoredClip("", "", clip.jpeg, clip.offsets, clip.points, np.zeros(30, bool))
    assert validate.make_trial(lost) is None


def test_of_a_face_that_does_not_move_photo_and_warp_are_both_right(clip):
    trial = validate.make_trial(clip)
    still = validate.picture_scores(validate._still(trial), trial)
    warp = validate.picture_scores(validate._prior(PRESETS["starter"], trial), trial)
    assert set(still) == {f"{m} {where}" for m in ("PSNR", "SSIM") for where in ("frame", "face", "mouth")}
    assert min(still["PSNR frame"], warp["PSNR frame"]) > 40
    moved = validate.picture_scores(np.roll(trial.truth, 3, axis=2), trial)
    assert moved["PSNR mouth"] < 35 and moved["SSIM face"] < still["SSIM face"] - 0.01


def untrained(name: str) -> tuple[ATLDiffPipeline, Preset]:
    """A pipeline of a preset with small networks, whose residual is zero, and that preset."""
    unet = replace(
        PRESETS[name].unet, block_out_channels=(8, 16), identity_dim=64, identity_fusion="channels"
    )
    row = replace(PRESETS[name], unet=unet, steps=1, speech="starter", identity="compact")
    return ATLDiffPipeline.from_preset(row), row


@pytest.mark.parametrize("name", ["paper-mead", "starter"])
def test_the_prior_alone_is_what_an_untrained_pipeline_of_the_preset_renders(clip, name):
    trial = validate.make_trial(clip)
    moved = trial.points[:3].copy()
    moved[:, [56, 57, 58, 65, 66, 67], 1] += 0.1 * lm.inter_ocular_distance(moved[0])  # the lips part
    trial = replace(trial, points=moved, emotion=np.zeros(64, np.float32))
    pipeline, row = untrained(name)
    rendered = validate._render(pipeline, 1, trial)
    differs = validate._prior(row, trial) != rendered
    assert differs.mean() <= (0.03 if row.guide.maps else 0)  # guide maps soften the colours in the mouth
    still = validate._still(trial).astype(int)
    assert (np.abs(rendered - still).max() <= 3) == (name == "paper-mead")


def test_the_judge_sees_made_mouths_through_the_codec_of_the_real_ones(clip):
    picture = np.random.default_rng(1).integers(0, 256, (STORED_SIZE, STORED_SIZE, 3), np.uint8)
    jpeg, opened = encode_picture(picture), clip.points.copy()
    opened[:, [56, 57, 58, 65, 66, 67], 1] += 0.2 * lm.inter_ocular_distance(opened[0])
    stored = StoredClip("noise", "nobody", np.tile(jpeg, 30), np.arange(31) * len(jpeg), opened, clip.usable)
    mouths = collect_mouths(lambda trial: np.repeat(picture[None], len(trial.points), axis=0), [stored])
    assert len(mouths.real) == 8 and (mouths.people == "nobody").all()
    assert np.array_equal(mouths.real, mouths.generated)


def test_scores_become_a_table():
    scores = {"PSNR frame": 20.123, "SSIM frame": 0.9876}
    result = {"pictures": {"still photo": scores}, "landmarks": {"correlation": 0.5}}
    table = validate.as_table(result | {"clips": 3, "people": 2, "frames": 90, "heard": 4})
    assert "3 clips of 2 people, 90 frames of 128x128" in table
    assert "| still photo | 20.12 | 0.988 |" in table and "| correlation | 0.500 |" in table


def test_validation_wants_prepared_clips(tmp_path, capsys):
    assert main(["validate", "--data", str(tmp_path)]) == 2
    assert "prepare" in capsys.readouterr().err


def test_benchmark_rows_add_up_and_become_a_table():
    row = Row(4, 512, warm=True, frames=120, first_picture=0.8, peak_mib=1000)
    with row.measure("render"):
        time.sleep(0.02)
    row.stages["encode"] += 1.98
    assert 0.02 <= row.stages["render"] < 0.5 and row.total == pytest.approx(2.0, abs=0.3)
    machine, _, titles, _, line = benchmark.as_table([row]).splitlines()
    assert "cores" in machine and titles.count("|") == line.count("|")
    assert "| 4 s | 512x512 | warm |" in line and "1000 MiB" in line and "0.80 s" in line


def rows(seconds: float, memory: float) -> list[Row]:
    return [
        Row(4, 512, warm, 120, 1.0, memory, dict.fromkeys(STAGES, seconds)) for warm in (False, True, True)
    ]


def test_benchmarks_are_compared_as_ratios_of_their_best_runs(tmp_path):
    mine, theirs = rows(1.2, 900), rows(1.0, 1000) + rows(5.0, 2000)
    found = benchmark.ratios(mine, theirs)
    assert found["4 s 512x512 warm time"] == pytest.approx(1.2)
    assert found["4 s 512x512 cold memory"] == pytest.approx(0.9)
    benchmark.save(tmp_path / "a.json", mine)
    assert benchmark.load(tmp_path / "a.json") == mine
    assert benchmark.ratios(mine, [Row(30, 512, True)]) == {}


def test_benchmark_measures_memory_and_wants_its_inputs(tmp_path):
    before = peak_mib()
    block = np.ones(60 << 20, np.uint8)
    assert peak_mib() > before + 20 or before > 60 + block.nbytes / 2**20
    nothing = benchmark.Case(tmp_path / "no.jpg", tmp_path / "no.wav")
    with pytest.raises(InputError, match="does not exist"):
        benchmark.benchmark(nothing)
    here = benchmark.Case(Path(__file__), Path(__file__))
    with pytest.raises(InputError, match="no checkout"):
        benchmark.benchmark(here, against=tmp_path)
    (tmp_path / "atldiff/cli").mkdir(parents=True)  # a checkout that breaks when it is run
    for name in ("__init__", "cli/__init__", "cli/runner", "pipeline"):
        (tmp_path / f"atldiff/{name}.py").write_text("raise RuntimeError\n" if name == "pipeline" else "")
    with pytest.raises(InputError, match="benchmark of .* failed"):
        here.rows(1.0, tmp_path)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(InputError, match="not a saved benchmark"):
        benchmark.benchmark(here, against=tmp_path / "a.json")


def test_a_photo_that_the_benchmark_cannot_use_ends_in_its_sentence(monkeypatch):
    """The process of a run runs here."""
    said = []

    def run_here(command, **_):
        with pytest.raises(SystemExit) as stopped:
            run_benchmark(command[-1])
        said.append(str(stopped.value))
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(benchmark.subprocess, "run", run_here)
    too_small = benchmark.Case(EXAMPLES / "astronaut.jpg", EXAMPLES / "hello_world.flac", size=96)
    with pytest.raises(InputError, match="benchmark of .* failed"):
        too_small.rows(1)
    assert "face" in said[0]
