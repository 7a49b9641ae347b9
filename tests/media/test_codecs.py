"""Which encoder writes a kind of video."""

from pathlib import Path

import pytest

from atldiff.errors import InputError
from atldiff.media import codecs as module
from atldiff.media.codecs import ENCODER, codecs


def test_x264_encodes_unless_a_gpu_is_asked_for(monkeypatch):
    monkeypatch.delenv(ENCODER, raising=False)
    assert codecs(".mp4")[0] == "libx264"
    monkeypatch.setattr(module, "_check_encoder", lambda name: None)  # as if this machine had one
    monkeypatch.setenv(ENCODER, "h264_nvenc")
    assert codecs(".mp4")[0] == "h264_nvenc"
    assert [codecs(kind)[0] for kind in (".webm", ".flv")] == ["libvpx-vp9", "libx264"]


def test_an_encoder_that_is_not_there_is_told():
    with pytest.raises(InputError, match="Leave ATLDIFF_ENCODER unset"):
        module._check_encoder("h264_made_up")
    if not Path("/dev/nvidia0").exists():
        with pytest.raises(InputError, match="has no h264_nvenc"):
            module._check_encoder("h264_nvenc")
