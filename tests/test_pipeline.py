"""The pipeline, with tiny networks: the same code path as the starter's, a hundredth of its arithmetic."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from atldiff import ATLDiffPipeline, IdentityUNet3DModel, InputError, Options, Speech
from atldiff.config import PRESETS
from atldiff.landmarks import inter_ocular_distance
from atldiff.media.audio import load_speech
from atldiff.portrait.face import load_portrait
from atldiff.speech.landmark_generator import LandmarkGenerator
from atldiff.speech.speech_encoder import StarterSpeechEncoder

STILL = dict.fromkeys(("expression", "lips", "silence", "blinks", "sway", "smoothing"), 0)


@pytest.fixture(scope="module")
def pipeline() -> ATLDiffPipeline:
    torch.manual_seed(0)
    encoder = StarterSpeechEncoder(
        width=16, layers=1, taps=(0,), symbols=8, emotion_width=16, emotion_layers=1
    )
    generator = LandmarkGenerator(encoder.feature_dim, width=16, heads=2, layers=1, channels=2, hidden=8)
    config = {"block_out_channels": (8, 16), "patch_size": 2, "guide_channels": 3, "identity_dim": 64}
    unet = IdentityUNet3DModel(**config, emotion_dim=encoder.config.emotion_dim)
    torch.nn.init.normal_(unet.conv_out.weight, std=0.02)  # so that something is added to the prior
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
    callback = options.pop("callback", None)
    chosen = Options(**{"steps": 1, "output": "crop"} | options)
    return np.stack(list(pipeline.render(portrait, sequence, chosen, callback)))


def test_one_frame_for_each_thirtieth_of_a_second(sequence, speech):
    assert len(sequence.points) == speech.num_frames == 45


def test_same_seed_same_bytes_other_seed_other_noise(pipeline, portrait, sequence):
    first = frames(pipeline, portrait, sequence, seed=3)
    np.testing.assert_array_equal(first, frames(pipeline, portrait, sequence, seed=3))
    assert (first[:3] != frames(pipeline, portrait, sequence.resampled(3), seed=4)).any()


def test_a_longer_video_begins_like_a_shorter_one(pipeline, portrait, sequence):
    points = np.concatenate([sequence.points[:30], sequence.points[:4]])  # two windows, one mouth box
    whole = frames(pipeline, portrait, replace(sequence, points=points))
    alone = 30 - pipeline.preset.overlap  # the rest fades into the second window
    np.testing.assert_array_equal(frames(pipeline, portrait, sequence.resampled(30))[:alone], whole[:alone])


def test_progress_counts_every_frame(pipeline, portrait, sequence):
    seen = []
    frames(pipeline, portrait, sequence, callback=lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, 45) for i in range(45)]


def test_rendering_stops_where_its_reader_stops(pipeline, portrait, sequence):
    seen = []
    options = Options(steps=1, output="crop")
    rendering = pipeline.render(portrait, sequence, options, callback=lambda d, t: seen.append(d))
    next(rendering)
    rendering.close()
    assert seen[-1:] != [45] and len(seen) <= 1


@pytest.mark.parametrize(
    ("options", "shape"),
    [({}, (512, 512, 3)), ({"output": "square"}, (512, 512, 3)), ({"background": "matte"}, (512, 512, 4))],
)
def test_outputs(pipeline, portrait, sequence, options, shape):
    short = sequence.resampled(2)
    assert frames(pipeline, portrait, short, **{"output": "photo"} | options).shape == (2, *shape)


def test_every_emotion_moves_the_face_in_its_own_way(portrait, speech_path):
    trained = ATLDiffPipeline.from_pretrained()
    speech = load_speech(speech_path).cut(0, 2)

    def predicted(emotion: str) -> np.ndarray:
        return trained.landmarks(portrait, speech, Options(emotion=emotion, blinks=0, sway=0)).points

    faces = [predicted(name) for name in trained.emotions]
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
    steps = []
    result = pipeline(
        portrait,
        speech,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(5),
        output="crop",
        output_type="pt",
        callback_on_step_end=lambda pipe, index, timestep, tensors: steps.append(index),
    )
    assert result.frames.shape == (45, 3, 128, 128) and result.fps == 30
    assert result.frames.min() >= 0 and result.frames.max() <= 1
    assert steps == [0, 1, 0, 1]
    again = pipeline(portrait, speech, num_inference_steps=2, generator=5, output="crop", return_dict=False)[
        0
    ]
    np.testing.assert_array_equal((result.frames * 255).round().byte().permute(0, 2, 3, 1), again)


def test_saved_pipeline_comes_back_from_safetensors_alone(pipeline, portrait, speech, sequence, tmp_path):
    pipeline.save_pretrained(tmp_path)
    endings = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert endings == {".json", ".safetensors"}
    again = ATLDiffPipeline.from_pretrained(tmp_path)
    assert again.preset == PRESETS["starter"]
    np.testing.assert_allclose(
        again.landmarks(portrait, speech, Options(seed=1)).points, sequence.points, atol=1e-2
    )
    mine, theirs = (frames(p, portrait, sequence.resampled(2)).astype(int) for p in (pipeline, again))
    assert np.abs(mine - theirs).max() <= 1


def test_a_folder_without_a_pipeline_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no pipeline"):
        ATLDiffPipeline.from_pretrained(tmp_path)


def test_the_hub_out_of_reach_is_said_clearly(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="could not be fetched"):
        ATLDiffPipeline.from_pretrained("nobody/no-such-weights")


@pytest.mark.parametrize("name", ["paper-crema-d", "paper-mead"])
def test_paper_presets_render_on_the_still_frame(name, pipeline, portrait, sequence):
    from atldiff.rendering.identity import ResNetIdentityEncoder

    row = PRESETS[name]
    assert (row.prior, row.steps, row.guide.maps) == ("identity", 8, False)
    resnet = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    paper = ATLDiffPipeline.from_preset(
        name,
        speech_encoder=pipeline.speech_encoder,
        landmark_generator=pipeline.landmark_generator,
        identity_encoder=ResNetIdentityEncoder(resnet),
        unet=IdentityUNet3DModel((8, 16), identity_dim=16, emotion_dim=pipeline.unet.config.emotion_dim),
    )
    shown = frames(paper, portrait, sequence.resampled(2))
    np.testing.assert_array_equal(shown[0], shown[1])  # untrained: the still frame, twice
