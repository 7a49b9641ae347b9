"""TrustMark in place of the tile. A package of its interface stands in, as its weights must be fetched."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atldiff import InputError
from atldiff.media.video_writer import write_video
from atldiff.provenance import trustmark
from atldiff.provenance.verify import verify
from atldiff.provenance.watermark import Watermark

PACKAGE = '''
import numpy as np
from PIL import Image

class TrustMark:
    """Adds squares of 32 pixels for a text, and knows that text again."""
    text = "ATLDIFF"

    def __init__(self, verbose=True, device="", model_type="Q", loadRemover=True):
        print("Fetching model file (once only)")
        self.encoder = self.decoder = WEIGHTS

    def squares(self, picture):
        rows, columns = (np.arange(side) // 32 % 2 for side in picture.shape[:2])
        return np.where(rows[:, None] == columns, 6, -6)[..., None]

    def encode(self, cover, text, MODE="text"):
        assert text == self.text and cover.mode == "RGB"
        picture = np.asarray(cover)
        return Image.fromarray(np.clip(picture + self.squares(picture), 0, 255).astype(np.uint8))

    def decode(self, picture, MODE="text"):
        picture = np.asarray(picture).astype(float)
        found = (picture * self.squares(picture)).mean() / 6 > 3
        return (self.text, True, 1) if found else ("", False, -1)
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """What chooses TrustMark and installs the package, with weights or without."""

    def install(weights: str = "object()") -> None:
        (tmp_path / "packages").mkdir()
        (tmp_path / "packages" / "trustmark.py").write_text(PACKAGE.replace("WEIGHTS", weights))
        monkeypatch.syspath_prepend(tmp_path / "packages")
        monkeypatch.setenv("ATLDIFF_WATERMARK", "TrustMark")

    monkeypatch.delitem(sys.modules, "trustmark", raising=False)
    trustmark.load_trustmark.cache_clear()
    yield install
    sys.modules.pop("trustmark", None)
    trustmark.load_trustmark.cache_clear()


@pytest.fixture
def frames() -> list[np.ndarray]:
    return [np.full((256, 320, 3), 100 + number, np.uint8) for number in range(6)]


def test_every_frame_carries_the_message_and_verify_reads_it(install, frames, tmp_path, monkeypatch, capsys):
    install()
    write_video(tmp_path / "video.mp4", frames, None)
    Image.fromarray(frames[0]).save(tmp_path / "photo.png")
    verdict = verify(tmp_path / "video.mp4")
    assert verdict.message and not verdict.mark.found and "carry this program's mark." in verdict.sentence
    assert verdict.to_dict()["message"] and not verify(tmp_path / "photo.png").message
    mark, last = Watermark(frames[0]), np.dstack([frames[-1], np.full((256, 320), 9, np.uint8)])
    np.testing.assert_array_equal(np.abs(mark.apply(frames[-1]).astype(int) - frames[-1]), 6)
    assert (Watermark(last).apply(last)[..., 3] == 9).all()
    monkeypatch.delenv("ATLDIFF_WATERMARK")
    assert not verify(tmp_path / "video.mp4").marked
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("weights", "choice", "says"),
    [
        (None, "trustmark", r"TrustMark is not installed, .*: pip install"),
        ("None", "trustmark", r"weights cannot be fetched .*: Go online"),
        ("1 / 0", "trustmark", "weights cannot be read: division by zero: Set"),
        (None, "water", r"ATLDIFF_WATERMARK is water, not one of tile, trustmark: Set"),
    ],
)
def test_what_cannot_be_had_is_told_and_leaves_no_video(
    weights, choice, says, install, frames, tmp_path, monkeypatch
):
    if weights:
        install(weights)
    monkeypatch.setenv("ATLDIFF_WATERMARK", choice)
    with pytest.raises(InputError, match=says):
        write_video(tmp_path / "video.mp4", frames, None)
    assert not [path for path in Path(tmp_path).iterdir() if path.name != "packages"]
