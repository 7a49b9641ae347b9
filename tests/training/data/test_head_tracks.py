"""Clips -> head tracks -> the bank: angles in closed form, what is kept of a track, what is stored."""

import numpy as np
import pytest

from atldiff.config import FRAME_RATE
from atldiff.errors import InputError
from atldiff.speech.motion.head_motion import MOVES, Bank, load_bank
from atldiff.training.data.head_tracks import (
    MIN_FRAMES,
    balance_tracks,
    save_bank,
    training_tracks,
    usable_pieces,
)


def wave(frames: int, size: float, hertz: float = 0.3) -> np.ndarray:
    return size * np.sin(2 * np.pi * hertz * np.arange(frames) / FRAME_RATE)


def track(frames: int, yaw: float = 3.0) -> np.ndarray:
    """(F, MOVES + 1) of a head that turns by `yaw` degrees at most, speaking."""
    out = np.zeros((frames, MOVES + 1))
    out[:, 0], out[:, 1], out[:, MOVES] = wave(frames, yaw), wave(frames, 1.5, 0.5), 0.8
    return out


def test_heads_in_conversation_are_kept_in_pieces_between_cuts():
    whole = track(400)
    whole[200:, 0] += 30
    pieces = usable_pieces(whole)
    assert [len(piece) for piece in pieces] == [200, 200]
    assert all(np.abs(np.median(piece[:, :MOVES], axis=0)).max() < 0.5 for piece in pieces)


@pytest.mark.parametrize("yaw", [0.3, 30.0])
def test_stiff_and_wild_heads_go(yaw):
    assert usable_pieces(track(300, yaw)) == []
    assert usable_pieces(track(MIN_FRAMES - 1)) == []


def test_nobody_has_more_than_their_seconds():
    chosen = balance_tracks([("a", track(900)), ("a", track(300)), ("b", track(200))], seconds=20)
    assert [len(x) for x in chosen] == [600, 200]
    assert [len(x) for x in balance_tracks([("a", track(400)), ("a", track(300))], seconds=20)] == [400, 200]


def test_a_bank_comes_back_as_it_was_saved(tmp_path):
    tracks, path = [track(301), track(201, 5.0)], tmp_path / "bank.safetensors"
    save_bank(tracks, path)
    stored, known = load_bank(path), Bank.from_tracks(tracks)
    assert stored.moves.shape == known.moves.shape
    assert np.abs(stored.moves[:, :3] - known.moves[:, :3]).max() < 0.05
    np.testing.assert_allclose(stored.voices, known.voices, atol=0.01)


def test_a_folder_without_training_speech_is_told(tmp_path):
    (tmp_path / "clips.csv").write_text("file,split,identity,kind,use\n")
    with pytest.raises(InputError):
        list(training_tracks(tmp_path))
