"""The paper's presets and the ablations by their commands, from prepared clips to a video; tiny networks."""

import json
from dataclasses import asdict, replace
from functools import partial

import cv2
import numpy as np
import page
import pytest
import torch
from training.made_speech import store
from transformers import ResNetConfig, ResNetModel, Wav2Vec2Config, Wav2Vec2Model

from atldiff import ATLDiffPipeline, InputError, Options, load_portrait
from atldiff import landmarks as lm
from atldiff.cli.parser import main
from atldiff.config import PRESETS, WINDOW, read_preset
from atldiff.media.speech import Speech, load_speech
from atldiff.pipeline import STARTER
from atldiff.portrait.photo import crop_square
from atldiff.rendering.diffusion.identity import ResNetIdentityEncoder
from atldiff.speech.encoders import load_speech_encoder
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder
from atldiff.training import ablations
from atldiff.training.ablations import ABLATIONS, run_ablations
from atldiff.training.data.extract import STORED_MARGIN, STORED_SIZE
from atldiff.training.emotion import train as emotion
from atldiff.training.landmarks import train as landmarks
from atldiff.training.renderer.train import make_stage


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, portrait_path):
    """Prepared one-second clips: a face whose lips follow the loudness, happy or sad, two to train on."""
    folder = tmp_path_factory.mktemp("corpus")
    portrait = load_portrait(portrait_path)
    box = lm.crop_box(portrait.landmarks, lm.CROP_SCALE * STORED_MARGIN)
    jpeg = cv2.imencode(".jpg", crop_square(portrait.image, box, STORED_SIZE)[..., ::-1])[1]
    clips = []
    for number, (split, feeling) in enumerate(
        [("train", "happy"), ("train", "sad"), ("val", "happy"), ("val", "sad")]
    ):
        rng = np.random.default_rng(number)
        curve = np.sin(np.pi * (1 + number % 2) * np.arange(30) / 30 * 2) ** 2
        points = np.repeat(lm.to_crop(portrait.landmarks, box)[None], 30, axis=0)
        points[:, [56, 57, 58, 65, 66, 67], 1] += 0.03 * curve[:, None]
        samples = 0.1 * np.interp(np.arange(16_000) / 16_000 * 30, np.arange(30), curve + 0.01)
        arrays = {"jpeg": np.tile(jpeg, 30), "offsets": np.arange(31) * len(jpeg), "landmarks": points}
        arrays |= {"samples": (samples * rng.standard_normal(16_000)).astype(np.float32)}
        arrays |= {
            "landmarks30": points.astype(np.float32),
            "ok": np.ones(30, bool),
            "ok30": np.ones(30, bool),
        }
        entry = {"stem": str(number), "split": split, "identity": f"p{number}", "emotion": feeling}
        clips.append((entry | {"kind": "speech", "use": "both"}, arrays))
    store(folder, clips)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """name -> file of that preset with small shapes; wav2vec2 and ResNet lie in folders beside it."""
    folder = tmp_path_factory.mktemp("presets")
    wav2vec2 = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    resnet = ResNetConfig(embedding_size=8, hidden_sizes=[8, 64], depths=[1, 1], layer_type="basic")
    Wav2Vec2Model(wav2vec2).save_pretrained(folder / "wav2vec2")
    ResNetModel(resnet).save_pretrained(folder / "resnet")

    def file(name: str):
        row = PRESETS[name]
        unet = replace(row.unet, block_out_channels=(8, 16), patch_size=4, identity_dim=64)
        shapes = {"unet": unet}
        if row.identity != "compact":
            shapes |= {"speech": str(folder / "wav2vec2"), "identity": str(folder / "resnet")}
        row = replace(
            row,
            landmarks=replace(
                row.landmarks, width=16, heads=2, layers=1, channels=2, hidden=8, components=136
            ),
            **shapes,
        )
        (folder / f"{name}.json").write_text(json.dumps(asdict(row)))
        return folder / f"{name}.json"

    return file


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Speech is learnt from a few windows a step."""
    monkeypatch.setattr(emotion, "EmotionStage", partial(emotion.EmotionStage, batch=4))
    stage = partial(landmarks.LandmarkStage, batch=2)
    for module in (landmarks, ablations):
        monkeypatch.setattr(module, "LandmarkStage", stage)


def run(*words) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.mark.parametrize("name", ["paper-crema-d", "paper-mead"])
def test_paper_presets_train_export_load_and_render(name, corpus, tiny, tmp_path, portrait_path, capsys):
    """The README's commands, in its order."""
    preset = ("--preset", tiny(name), "--device", "cpu")
    run("train", "emotion", "--data", corpus, "--out", tmp_path / "emotion", "--steps", 2, *preset)
    encoder = tmp_path / "emotion" / "speech_encoder"
    speech = ("--data", corpus, "--start", encoder, "--out", tmp_path / "landmarks", "--steps", 2)
    run("train", "landmarks", *speech, *preset)
    for stage, start in (("spatial", ()), ("temporal", ("--start", tmp_path / "spatial" / "last"))):
        heard = ("--speech-encoder", encoder, "--stage", stage, "--steps", 1, "--batch", 1, "--frames", 3)
        run("train", "diffusion", "--data", corpus, "--out", tmp_path / stage, *start, *heard, *preset)
    parts = ("--renderer", tmp_path / "temporal" / "last", "--speech", tmp_path / "landmarks")
    run("train", "export", *parts, "--preset", tiny(name), "--out", tmp_path / "pipeline")
    pipeline = ATLDiffPipeline.from_pretrained(tmp_path / "pipeline")
    assert isinstance(pipeline.speech_encoder, Wav2Vec2SpeechEncoder)
    assert isinstance(pipeline.identity_encoder, ResNetIdentityEncoder)
    assert pipeline.emotions[: len(PRESETS[name].emotions)] == PRESETS[name].emotions
    assert pipeline.preset.steps == 8
    assert pipeline.preset.view_sizes == (128,) and pipeline.unet.config.temporal_kernel == 3
    assert pipeline.landmark_generator.hears_waveform and pipeline.unet.config.identity_fusion == "map"
    portrait, sound = load_portrait(portrait_path), load_speech(page.recording(tmp_path / "words.wav", 0.8))
    sequence = pipeline.landmarks(portrait, sound, Options(emotion="happy")).resampled(2)
    assert len(list(pipeline.render(portrait, sequence, Options(output="crop")))) == 2


def test_a_paper_preset_renders_a_window_of_30_frames(tiny, portrait_path):
    preset = read_preset(str(tiny("paper-crema-d")))
    torch.manual_seed(0)
    pipeline = ATLDiffPipeline.from_preset(preset, pretrained=True)
    torch.nn.init.normal_(pipeline.unet.conv_out.weight, std=0.01)
    windows = []
    pipeline.unet.register_forward_pre_hook(lambda _, args: windows.append(args[0].shape[2]))
    portrait = load_portrait(portrait_path)
    samples = 0.1 * np.random.default_rng(0).standard_normal(25_600).astype(np.float32)
    sequence = pipeline.landmarks(portrait, Speech.from_samples(samples), Options(emotion="sad"))
    frames = np.stack(list(pipeline.render(portrait, sequence, Options(output="crop", steps=1))))
    assert frames.shape == (48, 128, 128, 3) and WINDOW in windows
    assert (frames != frames[0]).any()


def test_the_papers_presets_train_on_the_papers_windows():
    for name, frames, batch in (("paper-crema-d", 30, 1), ("paper-mead", 30, 1), ("starter", 6, 3)):
        stage = make_stage(PRESETS[name], "temporal", False)
        assert (stage.frames, stage.batch) == (frames, batch)
        assert make_stage(PRESETS[name], "spatial", False).frames == 1
    chosen = make_stage(PRESETS["starter"], "temporal", False, frames=9)
    assert (chosen.frames, chosen.batch) == (9, 2)
    assert make_stage(PRESETS["starter"], "temporal", False, frames=9, batch=5).batch == 5


@pytest.mark.parametrize("name", ["paper-mead", "starter"])
def test_a_run_that_is_begun_again_begins_with_the_same_weights(name, corpus, tiny, tmp_path, capsys):
    """As one does that was killed before its first state was saved."""
    common = ("--data", corpus, "--preset", tiny(name), "--steps", 1, "--device", "cpu")
    for number, turn in enumerate(("one", "two")):
        torch.manual_seed(number)  # what the process happens to have drawn before
        run("train", "emotion", *common, "--out", tmp_path / turn / "emotion")
        start = ("--start", tmp_path / "one" / "emotion" / "speech_encoder")
        run("train", "landmarks", *common, *start, "--out", tmp_path / turn / "landmarks")
    files = [file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*.safetensors")]
    assert len(files) == 3
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


def test_networks_that_are_missing_or_of_another_preset_end_in_a_sentence(corpus, tiny, tmp_path, capsys):
    def refused(*words, says: str) -> None:
        assert main([str(word) for word in words]) == 2
        assert says in capsys.readouterr().err

    paper, starter = (("--preset", tiny(name)) for name in ("paper-mead", "starter"))
    train = ("train", "diffusion", "--data", corpus, "--steps", 1, "--batch", 1, "--device", "cpu")
    run(*train, *paper, "--out", tmp_path / "spatial")
    refused(*train, *starter, "--out", tmp_path / "spatial", says="begun with another preset")
    begin = ("--out", tmp_path / "other", "--start")
    refused(*train, *starter, *begin, tmp_path / "spatial" / "best", says="the --preset it was trained with")
    refused(*train, *paper, *begin, tmp_path / "nowhere", says="There is no renderer in")
    video = tmp_path / "me.mp4"
    refused("train", "person", video, *begin, tmp_path, says="There is no pipeline in")
    put = ("--renderer", tmp_path / "spatial" / "best", "--speech", STARTER, "--out", tmp_path / "pipeline")
    refused("train", "export", *starter, *put, says="is not one of the preset starter")
    put = (*put[:2], "--speech", STARTER / "unet", *put[4:])
    refused("train", "export", *paper, *put, says="There is no speech encoder")
    assert not any((tmp_path / "pipeline").iterdir())


def test_ablations_become_a_table_and_are_trained_once(corpus, tiny, tmp_path, monkeypatch, capsys):
    preset = ("--preset", tiny("starter"), "--device", "cpu")
    run("train", "emotion", "--data", corpus, "--out", tmp_path / "emotion", "--steps", 1, *preset)
    encoder = tmp_path / "emotion" / "speech_encoder"
    rows = ("without-kfusion", "mlp", "full", "kan", "guide-maps=off")
    command = ("train", "ablations", *rows, "--data", corpus, "--start", encoder, "--out", tmp_path / "table")
    run(*command, "--steps", 2, "--renderer-steps", 1, *preset)
    result = json.loads((tmp_path / "table" / "ablations.json").read_text())
    assert list(result["rows"]) == list(rows)
    assert {"correlation", "m_lmd"} <= set(result["rows"]["mlp"]) and result["rows"]["mlp"]["steps"] == 2
    assert result["rows"]["guide-maps=off"]["lips_1"] > 0
    assert result["rows"]["kan"] == result["rows"]["full"]  # the preset's own head: trained once
    assert not (tmp_path / "table" / "kan").exists()
    generator = json.loads((tmp_path / "table/without-kfusion/landmark_generator/config.json").read_text())
    unet = json.loads((tmp_path / "table/guide-maps=off/spatial/last/unet/config.json").read_text())
    assert generator["no_kfusion"] and unet["guide_channels"] == 0
    table = (tmp_path / "table" / "ablations.md").read_text()
    assert all(f"\n| {row} |" in table for row in rows)
    monkeypatch.setattr("atldiff.training.ablations.train_landmarks", None)  # nothing is trained again
    run(*command, "--steps", 2, "--renderer-steps", 1, *preset)
    assert (tmp_path / "table" / "ablations.md").read_text() == table
    for other, says in (
        (("--steps", 3, *preset), "trained for 2 steps, not 3"),
        (("--steps", 2, "--seed", 1, *preset), "of the seed 0, not 1"),
        (("--steps", 2, "--preset", tiny("paper-mead"), "--device", "cpu"), "of the preset starter, not"),
    ):
        assert main([str(word) for word in (*command, "--renderer-steps", 1, *other)]) == 2
        assert says in capsys.readouterr().err


def test_each_ablation_changes_what_it_names_and_nothing_else():
    row = PRESETS["starter"]
    assert ABLATIONS["full"].apply_to(row) == row
    changed = {name: ablation.apply_to(row) for name, ablation in ABLATIONS.items()}
    assert changed["mlp"].landmarks.head == "mlp" and changed["kan"].landmarks.head == "kan"
    assert replace(changed["without-context-domain"], landmarks=row.landmarks) == row
    assert changed["without-context-domain"].landmarks.no_context
    assert changed["without-global-domain"].landmarks.no_global
    assert replace(changed["prior=identity"], prior="warp") == row
    assert not changed["guide-maps=off"].guide.maps and changed["patch-size=2"].unet.patch_size == 2
    assert ABLATIONS["without-velocity-loss"].velocity == 0


def test_an_unknown_ablation_and_a_folder_without_an_encoder_are_refused(tmp_path):
    with pytest.raises(InputError, match="without-kfusion"):
        run_ablations(tmp_path, tmp_path, PRESETS["starter"], tmp_path, ["without-everything"])
    with pytest.raises(InputError, match="no speech encoder"):
        load_speech_encoder(tmp_path)
