"""LSE and THEval's measures against closed forms."""

import numpy as np
import pytest
import torch

from atldiff.errors import InputError
from atldiff.evaluation.measures import syncnet, theval
from atldiff.evaluation.measures.networks import Networks
from atldiff.evaluation.measures.syncnet import LSE, SyncNet, crop_faces, sync_errors


@pytest.fixture(scope="module")
def network() -> SyncNet:
    torch.manual_seed(0)
    return SyncNet()


@pytest.fixture
def face() -> np.ndarray:
    """(68, 2) points in a box of 60 x 80 pixels round (100, 90)."""
    points = np.random.default_rng(0).uniform(-1, 1, (68, 2)) * (29, 39)
    points[0], points[1] = (-30, -40), (30, 40)
    return points + (100, 90)


@pytest.mark.parametrize("shift", [0, 4, -15])
def test_equal_embeddings_match_at_their_shift(shift):
    voice = torch.from_numpy(np.random.default_rng(1).normal(size=(80, 32))).float()
    scores = sync_errors(torch.roll(voice, shift, 0)[20:60], voice[20:60])
    far = sync_errors(torch.randn(40, 32), voice[20:60])
    chance = 64**0.5  # the mean distance of two such vectors
    expected = chance * abs(shift) / 40  # beyond the ends there is silence, or another part
    assert scores["LSE-D"] < expected + 0.1 and scores["LSE-C"] > 0.5 * (chance - expected)
    assert far["LSE-D"] > 4 and far["LSE-C"] < 2.5


def test_a_crop_has_the_margins_of_the_pipeline(face):
    frame = np.zeros((200, 220, 3), np.uint8)
    frame[50:53, :, 0] = 255  # red, at the box's top
    frame[:, 99:102, 2] = 255  # blue, at its middle
    (crop,) = crop_faces(frame[None], face[None])
    assert crop.shape == (224, 224, 3)
    assert crop[1, 20].tolist() == [0, 0, 255]  # blue comes first
    assert crop[150, 112, 0] > 200 and crop[150, 120, 0] < 50
    outside = crop_faces(frame[None, :100], face[None])[0]
    assert outside[-1, 50].tolist() == [110, 110, 110]


def test_scores_need_six_frames_and_are_the_same_again(network, face):
    rng = np.random.default_rng(0)
    frames, points = rng.integers(0, 255, (12, 200, 220, 3), np.uint8), np.repeat(face[None], 12, 0)
    samples = rng.normal(0, 0.1, 6400).astype(np.float32)
    scores = network.scores(frames, points, samples)
    assert set(scores) == set(LSE) and scores["LSE-D"] > 0 and scores["LSE-C"] >= 0
    assert network.scores(frames, points, samples) == scores
    assert np.isnan(list(network.scores(frames[:6], points[:6], samples).values())).all()


def test_weights_are_read_from_the_authors_file_alone(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "syncnet_v2.model")
    networks = Networks.load(tmp_path)
    assert networks.sync is not None and not set(LSE) & set(networks.missing)
    torch.save({"other": torch.zeros(1)}, tmp_path / "syncnet_v2.model")
    with pytest.raises(InputError, match=r"has no weights of SyncNet.*syncnet_v2\.model"):
        Networks.load(tmp_path)


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "python_speech_features", None)
    with pytest.raises(InputError, match="pip install"):
        syncnet.cepstrum(np.zeros(800, np.float32))


def test_lips_that_grow_and_shrink_deviate_by_half_their_change():
    mesh = np.random.default_rng(2).uniform(0, 100, (478, 3))
    meshes = np.stack([mesh, 1.2 * mesh] * 10)
    value = theval.lip_dynamics(meshes, 256, 256)
    lips = mesh[theval._LIPS, :2]
    distances = np.linalg.norm(lips[:, None] - lips, axis=-1)
    assert value == pytest.approx(0.1 * distances.sum() / (40 * 39))
    assert theval.lip_dynamics(meshes * (2, 3, 1), 768, 512) == pytest.approx(value)
    assert theval.lip_dynamics(meshes[::2], 256, 256) == pytest.approx(0)


def test_brows_that_hop_move_by_their_hop():
    mesh = np.zeros((478, 3))
    for side, x in enumerate((0, 50)):
        mesh[theval._EYES[side], 0], mesh[theval._BROWS[side], :2] = x, (x, -20)
    hop = mesh.copy()
    hop[theval._BROWS[1], 1] -= 5  # of one brow
    meshes = np.stack([mesh, hop] * 4)
    assert theval.eyebrow_dynamics(meshes) == pytest.approx(0.05)
    meshes[3] = np.nan  # the frames beside it are compared
    assert theval.eyebrow_dynamics(meshes) == pytest.approx(0.05 * 5 / 6)
    assert np.isnan(theval.eyebrow_dynamics(meshes[:1]))
