"""face-alignment, the second detector: its box and points, and sentences where its weights are missing."""

import argparse
import io
import sys
from email.message import Message
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from atldiff.cli import training as commands
from atldiff.errors import InputError
from atldiff.landmarks import crop_box
from atldiff.portrait.fan import WEIGHTS
from atldiff.portrait.mesh import track_landmarks
from atldiff.portrait.photo import open_photo
from atldiff.portrait.portrait import load_portrait


@pytest.fixture(scope="module")
def photo(portrait_path) -> np.ndarray:
    return open_photo(portrait_path)


class FixedNetwork:
    """A stand-in for the FAN network: heat maps with one peak a landmark."""

    def __init__(self, *_):
        import torch

        self.maps = torch.zeros(1, 68, 64, 64)
        for index in range(68):
            self.maps[0, index, 20 + index // 10, 10 + index % 40] = 1.0

    def __call__(self, crops):
        assert crops.shape == (1, 3, 256, 256)
        return self.maps.clone()


@pytest.fixture
def fan_file(tmp_path, monkeypatch) -> Path:
    """Where the weights of FAN are looked for; there are none, and there is no network."""
    import torch

    def offline(*_, **__):
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    return tmp_path / "hub" / "checkpoints" / WEIGHTS


@pytest.fixture
def fan_loads(fan_file, monkeypatch) -> list[int]:
    """Puts `FixedNetwork` in FAN's place; one entry for each time that it is loaded."""
    import face_alignment
    from face_alignment import utils

    for name in ("_get_preds_fromhm", "transform_np"):  # uncompiled: numba takes half a minute for them
        monkeypatch.setattr(utils, name, getattr(utils, name).py_func)
    loads: list[int] = []
    fan_file.parent.mkdir(parents=True)
    fan_file.touch()
    monkeypatch.setattr(
        face_alignment.FaceAlignment, "_load_native", lambda *_: loads.append(1) or FixedNetwork()
    )
    return loads


def test_face_alignment_gets_the_box_and_gives_68_points(photo, fan_loads):
    found = load_portrait(photo, detector="face-alignment")
    assert found.landmarks.shape == (68, 2)
    assert found.landmarks.dtype == np.float32
    # The network's picture is a square round the face: its points come back to the photo's pixels.
    x0, y0, x1, y1 = load_portrait(photo).box
    assert ((found.landmarks > (x0 - 40, y0 - 40)) & (found.landmarks < (x1 + 40, y1 + 40))).all()
    np.testing.assert_array_equal(found.box, crop_box(found.landmarks))


def test_face_alignment_that_is_not_installed(photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(InputError, match=r"pip install 'atldiff\[face-alignment\]'"):
        load_portrait(photo, detector="face-alignment")


def test_face_alignment_without_its_weights_says_where_they_go_and_nothing_else(photo, fan_file, capfd):
    with pytest.raises(InputError, match="could not be loaded: .*2DFAN4-11f355bf06.pth.tar") as told:
        load_portrait(photo, detector="face-alignment")
    assert str(fan_file.parent) in told.value.remedy
    assert capfd.readouterr() == ("", "")
    assert list(fan_file.parent.iterdir()) == []


def test_a_download_that_is_not_the_network_is_not_kept(photo, fan_file, monkeypatch):
    import torch

    class Page(io.BytesIO):
        def info(self) -> Message:
            return Message()

    monkeypatch.setattr(torch.hub, "urlopen", lambda *_, **__: Page(b"<html>log in first</html>"))
    with pytest.raises(InputError, match="could not be loaded"):
        load_portrait(photo, detector="face-alignment")
    assert list(fan_file.parent.iterdir()) == []


def test_face_alignment_tracks_where_mediapipe_sees_a_face(photo, fan_loads):
    frames = [photo, np.zeros_like(photo), photo]
    tracked = track_landmarks(frames, "face-alignment")
    assert tracked.shape == (3, 68, 2)
    assert np.isnan(tracked[1]).all()
    np.testing.assert_allclose(tracked[0], load_portrait(photo, detector="face-alignment").landmarks, atol=6)
    assert fan_loads == [1, 1]


def test_face_alignment_with_broken_weights(photo, fan_file):
    fan_file.parent.mkdir(parents=True)
    fan_file.write_bytes(b"not weights")
    with pytest.raises(InputError, match="could not be loaded") as told:
        track_landmarks([photo], "face-alignment")
    assert not isinstance(told.value.__cause__, URLError)


def test_prepare_ends_at_once_without_the_weights(fan_file, tmp_path):
    asked = argparse.Namespace(protocol="starter", detector="face-alignment", data=tmp_path, out=tmp_path)
    with pytest.raises(InputError, match="could not be loaded"):
        commands._prepare(asked)
