"""The pipeline with tiny networks, on the starter's code path."""

import json
import shutil
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from transformers import ResNetConfig, ResNetModel, Wav2Vec2Config, Wav2Vec2Model

from atldiff import ATLDiffPipeline, IdentityUNet3DModel, InputError, ModelMixin, Options, Speech
from atldiff.config import PRESETS, GuideConfig, LandmarkConfig
from atldiff.landmarks import inter_ocular_distance
from atldiff.media.speech import load_speech
from atldiff.options import MOTION, Motion
from atldiff.pipeline import STARTER
from atldiff.portrait.portrait import load_portrait
from atldiff.rendering.diffusion.identity import ResNetIdentityEncoder
from atldiff.rendering.renderer import window_spans
from atldiff.sequence import LandmarkSequence
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.motion.expressions import EMOTIONS
from atldiff.speech.starter_encoder import StarterSpeechEncoder
from atldiff.speech.wav2vec2_encoder import Wav2Vec2SpeechEncoder

STILL = dict.fromkeys(("expression", "lips", "silence", "blinks", "sway", "smoothing"), 0)


@pytest.fixture(scope="module")
def pipeline() -> ATLDiffPipeline:
    torch.manual_seed(0)
    encoder = StarterSpeechEncoder(
        width=16, layers=1, taps=(0,), symbols=8, bilabials=(1, 2), emotion_width=16, emotion_layers=1
    )
    generator = LandmarkGenerator(encoder.feature_dim, width=16, heads=2, layers=1, channels=2, hidden=8)
    config = {"block_out_channels": (8, 16), "patch_size": 4, "guide_channels": 3, "identity_dim": 64}
    unet = IdentityUNet3DModel(**config, emotion_dim=encoder.config.emotion_dim)
    torch.nn.init.normal_(unet.conv_out.weight, std=0.02)  # a residual that is not zero
    return ATLDiffPipeline.from_preset(speech_encoder=encoder, landmark_generator=generator, unet=unet)


@pytest.fixture(scope="module")
def portrait(portrait_path):
    return load_portrait(portrait_path, matte=True)


@pytest.fixture(scope="module")
def speech() -> Speech:
    time = np.arange(int(1.5 * 16_000)) / 16_000
    voice = np.sin(2 * np.pi * 150 * time) * np.sin(2 * np.pi * 3 * time) ** 2
    return Speech.from_samples((0.3 * voice).astype(np.float32))


@pytest.fixture(scope="module")
def sequence(pipeline, portrait, speech):
    return pipeline.landmarks(portrait, speech, Options(seed=1))


def frames(pipeline, portrait, sequence, **options) -> np.ndarray:
    chosen = Options(**{"steps": 1, "output": "crop"} | options)
    return np.stack(list(pipeline.render(portrait, sequence, chosen)))


def test_one_frame_for_each_thirtieth_of_a_second(sequence, speech):
    assert len(sequence.points) == speech.num_frames == 45


def test_same_seed_same_bytes_other_seed_other_noise(pipeline, portrait, sequence):
    short = sequence.resampled(24)  # three windows
    first = frames(pipeline, portrait, short, seed=3)
    np.testing.assert_array_equal(first, frames(pipeline, portrait, short, seed=3))
    assert (first[:3] != frames(pipeline, portrait, sequence.resampled(3), seed=4)).any()


def test_a_longer_video_begins_like_a_shorter_one(pipeline, portrait, sequence):
    points = np.concatenate([sequence.points[:20], sequence.points[:4]])  # the same mouth box
    shorter, longer = (list(window_spans(total, pipeline.preset.overlap)) for total in (20, 24))
    assert shorter[:-1] == longer[:-1]
    alone = shorter[-1][0]  # the last windows differ
    pose = np.concatenate([sequence.pose[:20], sequence.pose[:4]])
    whole = frames(pipeline, portrait, replace(sequence, points=points, pose=pose))
    np.testing.assert_array_equal(frames(pipeline, portrait, sequence.resampled(20))[:alone], whole[:alone])


def test_rendering_stops_where_its_reader_stops(pipeline, portrait, sequence):
    steps = []
    options = Options(steps=1, output="crop")
    rendering = pipeline.render(portrait, sequence, options, on_step=lambda *step: steps.append(step))
    next(rendering)
    rendering.close()
    assert len(steps) == 1 < len(list(window_spans(45, pipeline.preset.overlap)))
    assert list(rendering) == []


@pytest.mark.parametrize(
    ("options", "shape"),
    [({}, (512, 512, 3)), ({"output": "square"}, (512, 512, 3)), ({"background": "matte"}, (512, 512, 4))],
)
def test_outputs(pipeline, portrait, sequence, options, shape):
    short = sequence.resampled(2)
    assert frames(pipeline, portrait, short, **{"output": "photo"} | options).shape == (2, *shape)


@pytest.mark.parametrize(("background", "colour"), [("green", (0, 255, 0)), ("#1e5fb4", (30, 95, 180))])
def test_a_colour_behind_the_person_stays_as_it_is(portrait, speech, background, colour):
    trained = ATLDiffPipeline.from_pretrained()
    short = trained.landmarks(portrait, speech).resampled(2)
    made, matte = (
        frames(trained, portrait, short, output="square", background=b) for b in (background, "matte")
    )
    ground = matte[..., 3] == 0
    assert ground.mean() > 0.1
    np.testing.assert_array_equal(made[ground], np.broadcast_to(colour, (ground.sum(), 3)))
    solid = matte[..., 3] == 255
    np.testing.assert_array_equal(made[solid], matte[solid][:, :3])


def test_every_emotion_moves_the_face_in_its_own_way(portrait, speech_path):
    trained = ATLDiffPipeline.from_pretrained()
    speech = load_speech(speech_path).cut(0, 2)

    def predicted(emotion: str) -> LandmarkSequence:
        return trained.landmarks(portrait, speech, Options(emotion=emotion, blinks=0, sway=0))

    heard, *sequences = (predicted(name) for name in ("automatic", *trained.emotions))
    faces = [sequence.points for sequence in sequences]
    assert set(trained.emotions) == set(EMOTIONS) and "contempt" in EMOTIONS
    for sequence in sequences:  # at equal landmarks the renderer cannot tell which emotion was named
        np.testing.assert_array_equal(sequence.emotion, heard.emotion)
    unit = inter_ocular_distance(portrait.landmarks)
    moved = [np.abs(a - b).max() / unit for a, b in combinations(faces, 2)]
    assert len(faces) > 1 and min(moved) > 0.002
    with pytest.raises(InputError, match="Choose one of automatic, "):
        trained.landmarks(portrait, speech, Options(emotion="hungry"))


def test_untrained_network_gives_the_prior_and_motion_none_leaves_the_networks_landmarks(
    pipeline, portrait, speech
):
    plain = ATLDiffPipeline.from_preset(
        speech_encoder=pipeline.speech_encoder,
        landmark_generator=pipeline.landmark_generator,
        unet=IdentityUNet3DModel(**{**pipeline.unet.config}),
    )
    still = plain.landmarks(portrait, speech, Options(**STILL))
    np.testing.assert_allclose(still.points, np.repeat(portrait.landmarks[None], 45, 0), atol=1e-2)
    first = frames(plain, portrait, still.resampled(1), output="photo")[0]
    assert np.abs(first.astype(int) - portrait.image).mean() < 0.1


def test_call_is_all_stages_at_once(pipeline, portrait, speech):
    steps, speech = [], speech.cut(0, 0.8)
    result = pipeline(
        portrait,
        speech,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(5),
        output="crop",
        output_type="pt",
        callback_on_step_end=lambda pipe, index, timestep, tensors: steps.append(index),
    )
    assert result.frames.shape == (24, 3, 128, 128) and result.fps == 30
    assert result.frames.min() >= 0 and result.frames.max() <= 1
    assert steps == [0, 1] * len(list(window_spans(24, pipeline.preset.overlap)))
    again = pipeline(portrait, speech, num_inference_steps=2, generator=5, output="crop", return_dict=False)[
        0
    ]
    np.testing.assert_array_equal((result.frames * 255).round().byte().permute(0, 2, 3, 1), again)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"output_type": "latent"}, "no output type 'latent': Choose np, pt or pil"),
        ({"output_type": None}, "no output type"),
        ({"generator": [3]}, "generator cannot be of type list"),
        ({"generator": "3.5"}, "generator cannot be of type str"),
        ({"callback_on_step_end": 5}, "callback_on_step_end cannot be of type int"),
    ],
    ids=str,
)
def test_a_wrong_argument_of_the_call_is_said_before_any_work(pipeline, wrong, words):
    with pytest.raises(InputError, match=words):
        pipeline("no photo.jpg", "no recording.wav", **wrong)


def test_gains_of_motion_none_leave_the_networks_landmarks(pipeline, portrait, speech, monkeypatch):
    def no_edit(*_):
        raise AssertionError("an edit")

    for edit in (
        "_gain",
        "_close_smile",
        "_smooth",
        "close_bilabials",
        "_close_in_silence",
        "close_eyes",
        "_face_motion",
    ):
        monkeypatch.setattr(f"atldiff.speech.motion.edit.{edit}", no_edit)
    features = pipeline.speech_encoder.encode(speech, emotion=None)
    predicted = pipeline.landmark_generator.predict(features, portrait.landmarks, speech.num_frames)
    none = {name: getattr(Motion.none(), name) for name in MOTION}
    sequence = pipeline.landmarks(portrait, speech, Options(**none, seed=3, output="crop"))
    np.testing.assert_array_equal(sequence.points, predicted.astype(np.float32))


@pytest.mark.parametrize("length", [0, 3, 65])
def test_landmarks_of_other_weights_are_refused_before_any_network_is_asked(
    pipeline, portrait, sequence, length, monkeypatch
):
    foreign = replace(sequence, emotion=np.zeros(length, np.float32))
    for part in ("speech_encoder", "identity_encoder", "unet"):
        monkeypatch.setattr(getattr(pipeline, part), "forward", None)
    for ask in (pipeline.recognise_emotion, lambda landmarks: pipeline.render(portrait, landmarks)):
        with pytest.raises(InputError, match="made with other weights"):
            ask(foreign)


def test_saved_pipeline_comes_back_from_safetensors_alone(pipeline, portrait, speech, sequence, tmp_path):
    pipeline.save_pretrained(tmp_path)
    endings = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert endings == {".json", ".safetensors"}
    again = ATLDiffPipeline.from_pretrained(tmp_path)
    assert again.preset == pipeline.preset
    np.testing.assert_allclose(
        again.landmarks(portrait, speech, Options(seed=1)).points, sequence.points, atol=1e-2
    )
    mine, theirs = (frames(p, portrait, sequence.resampled(2)).astype(int) for p in (pipeline, again))
    assert np.abs(mine - theirs).max() <= 1


def test_a_folder_without_a_pipeline_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no pipeline"):
        ATLDiffPipeline.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "part", ["unet/diffusion_pytorch_model.safetensors", "unet/config.json", "model_index.json"]
)
@pytest.mark.parametrize("fault", ["cut", "gone"])
def test_weights_that_cannot_be_read_are_said_in_a_sentence(pipeline, tmp_path, part, fault):
    pipeline.save_pretrained(tmp_path)
    path = tmp_path / part
    data = path.read_bytes()
    path.unlink()
    if fault == "cut":
        path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="cannot be read|There is no pipeline"):
        ATLDiffPipeline.from_pretrained(tmp_path)


def test_a_face_that_stands_still_shows_no_join_of_windows(portrait, sequence):
    """With the trained networks, frames can differ only by the joins of windows."""
    starter = ATLDiffPipeline.from_pretrained()
    points = np.repeat(sequence.points[20:21], 24, axis=0)
    pose = np.repeat(sequence.pose[20:21], 24, axis=0)
    shown = frames(starter, portrait, replace(sequence, points=points, pose=pose)).astype(int)
    assert len(list(window_spans(24, starter.preset.overlap))) > 2
    assert np.abs(np.diff(shown, axis=0)).max() <= 1


def test_the_hub_out_of_reach_is_said_clearly(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="could not be fetched"):
        ATLDiffPipeline.from_pretrained("nobody/no-such-weights")


@pytest.fixture
def tiny_paper(tmp_path):
    """A preset of the paper with small networks; wav2vec2 and ResNet lie in folders."""
    wav2vec2 = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    resnet = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    Wav2Vec2Model(wav2vec2).save_pretrained(tmp_path / "wav2vec2")
    ResNetModel(resnet).save_pretrained(tmp_path / "resnet")

    def row(name):
        paper = PRESETS[name]
        unet = replace(paper.unet, block_out_channels=(8, 16), patch_size=4, identity_dim=16)
        names = {"speech": str(tmp_path / "wav2vec2"), "identity": str(tmp_path / "resnet")}
        return replace(paper, unet=unet, landmarks=LandmarkConfig(16, 2, 1, 2, 8), **names)

    return row


@pytest.mark.parametrize("name", ["paper-crema-d", "paper-mead"])
def test_paper_presets_render_from_speech_with_their_own_networks(
    name, tiny_paper, portrait, speech, tmp_path
):
    paper = ATLDiffPipeline.from_preset(tiny_paper(name), pretrained=True)
    assert isinstance(paper.speech_encoder, Wav2Vec2SpeechEncoder)
    assert isinstance(paper.identity_encoder, ResNetIdentityEncoder)
    assert (paper.preset.prior, paper.preset.steps, paper.preset.guide.maps) == ("identity", 8, False)
    torch.nn.init.normal_(paper.unet.conv_out.weight, std=0.02)
    paper.save_pretrained(tmp_path / "paper")
    again = ATLDiffPipeline.from_pretrained(tmp_path / "paper")
    assert again.preset == paper.preset == tiny_paper(name)
    sequence = paper.landmarks(portrait, speech)
    np.testing.assert_allclose(again.landmarks(portrait, speech).points, sequence.points, atol=1e-3)
    short = sequence.resampled(2)
    mine, theirs = (frames(p, portrait, short, steps=8) for p in (paper, again))
    assert np.abs(mine.astype(int) - theirs).max() <= 1
    torch.nn.init.zeros_(paper.unet.conv_out.weight)
    still = frames(paper, portrait, short)
    np.testing.assert_array_equal(still[0], still[1])  # an untrained network gives the still photo
    assert (mine != still).any()


def test_the_starters_preset_travels_whole_and_rebuilds_its_networks():
    starter = ATLDiffPipeline.from_pretrained()
    assert starter.preset.prior == "warp" and starter.preset.guide == PRESETS["starter"].guide
    new = ATLDiffPipeline.from_preset(starter.preset)
    for part in ("unet", "landmark_generator", "speech_encoder", "identity_encoder"):
        ours, theirs = (
            {name: value.shape for name, value in getattr(p, part).state_dict().items()}
            for p in (starter, new)
        )
        assert ours == theirs, part


def test_a_preset_outside_of_our_table_comes_back(pipeline, tmp_path):
    row = replace(pipeline.preset, name="mine", overlap=7, guide=GuideConfig(kernel=9, steady=True))
    ATLDiffPipeline(**pipeline.components, preset=row).save_pretrained(tmp_path)
    assert ATLDiffPipeline.from_pretrained(tmp_path).preset == row


def test_an_emotion_is_told_only_where_it_is_sure(pipeline):
    head, points = pipeline.speech_encoder.emotion.head, np.zeros((1, 68, 2), np.float32)
    plain = LandmarkSequence(points, points[0], 1e3 * head.weight[2].detach().numpy())
    assert pipeline.recognise_emotion(plain) == pipeline.emotions[2]
    assert pipeline.recognise_emotion(replace(plain, emotion=0 * plain.emotion)) is None


MODULES = {  # modules of the classes in the oldest checkpoints
    "identity_encoder": "atldiff.rendering.identity",
    "landmark_generator": "atldiff.speech.landmark_generator",
    "speech_encoder": "atldiff.speech.speech_encoder",
    "unet": "atldiff.rendering.unet3d",
}


def test_checkpoints_name_the_package_alone(tmp_path):
    ATLDiffPipeline.from_pretrained().save_config(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert {index[name][0] for name in MODULES} == {"atldiff"}
    assert index["scheduler"] == ["diffusers", "DDIMScheduler"]


def test_a_checkpoint_of_the_first_layout_loads(tmp_path):
    folder = shutil.copytree(STARTER, tmp_path / "old")
    path = folder / "model_index.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps(index | {name: [module, index[name][1]] for name, module in MODULES.items()}))
    old, new = ATLDiffPipeline.from_pretrained(folder), ATLDiffPipeline.from_pretrained()
    for name in MODULES:
        assert type(getattr(old, name)) is type(getattr(new, name))
        weights = getattr(old, name).state_dict(), getattr(new, name).state_dict()
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1])


def test_diffusers_finds_the_networks_base_class():
    """`save_pretrained` and `from_pretrained` look for it in the package that a checkpoint names."""
    assert issubclass(IdentityUNet3DModel, ModelMixin)
