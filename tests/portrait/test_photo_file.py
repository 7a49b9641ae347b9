"""Damaged, very large and animated picture files."""

import io
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from atldiff.errors import InputError
from atldiff.portrait import photo_file
from atldiff.portrait.photo import frames_to_try, open_photo


def slope(height: int = 200, width: int = 160) -> np.ndarray:
    """A colourful picture without a grey of 128, (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 100, y % 100, 200 + (x + y) % 50], axis=-1).astype(np.uint8)


def jpeg(picture: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=90, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


@pytest.mark.parametrize("less", [1, 2, 3, 10])
@pytest.mark.parametrize("kind", ["RGB", "L", "progressive"])
def test_a_jpeg_without_its_last_bytes_is_read(tmp_path, less, kind):
    picture = slope()[..., 0] if kind == "L" else slope()
    whole = jpeg(picture, progressive=kind == "progressive")
    (tmp_path / "a.jpg").write_bytes(whole[:-less])
    (tmp_path / "whole.jpg").write_bytes(whole)
    found, expected = open_photo(tmp_path / "a.jpg"), open_photo(tmp_path / "whole.jpg")
    assert len(found) >= len(expected) - 32
    assert np.abs(found[:160].astype(int) - expected[:160]).max() <= 1


def test_a_jpeg_that_lacks_some_rows_ends_above_them(tmp_path):
    content = jpeg(slope())
    for share, least, most in ((0.95, 160, 199), (0.9, 160, 190)):
        (tmp_path / "a.jpg").write_bytes(content[: int(share * len(content))])
        found = open_photo(tmp_path / "a.jpg")
        assert least <= len(found) <= most
        assert not (found == 128).all(axis=2).any()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7])
def test_a_jpeg_that_lacks_much_is_refused(tmp_path, share):
    content = jpeg(slope())
    (tmp_path / "a.jpg").write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="broken|can be read"):
        open_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", [b"iTXt", b"zTXt", b"iCCP"])
@pytest.mark.parametrize("last", [False, True])
def test_a_png_with_a_very_long_text_or_profile_is_read_without_it(tmp_path, kind, last):
    head = {b"iTXt": b"workflow\0\1\0\0\0", b"zTXt": b"workflow\0\0", b"iCCP": b"profile\0\0"}[kind]
    extra = chunk(kind, head + zlib.compress(bytes(2_400_000)))
    file = io.BytesIO()
    Image.fromarray(slope()).save(file, "PNG")
    content = file.getvalue()
    at = len(content) - 12 if last and kind != b"iCCP" else 33  # before the end, or after the header
    (tmp_path / "a.png").write_bytes(content[:at] + extra + content[at:])
    np.testing.assert_array_equal(open_photo(tmp_path / "a.png"), slope())


def test_a_png_keeps_its_orientation_when_its_text_is_left_out(tmp_path):
    exif, notes = Image.Exif(), PngImagePlugin.PngInfo()
    exif[274] = 3
    notes.add_text("workflow", "x" * 2_400_000, zip=True)
    Image.fromarray(slope()).save(tmp_path / "a.png", exif=exif, pnginfo=notes)
    np.testing.assert_array_equal(open_photo(tmp_path / "a.png"), slope()[::-1, ::-1])


@pytest.mark.parametrize("length", [9, 14, 20, 60])
def test_exif_that_is_cut_short_is_silent(tmp_path, length):
    exif = Image.Exif()
    exif[274], exif[271] = 6, "a camera with a long name"
    data = exif.tobytes()[: 6 + length]
    (tmp_path / "a.jpg").write_bytes(jpeg(slope(), exif=data))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sorted(open_photo(tmp_path / "a.jpg").shape) == [3, 160, 200]


def test_other_warnings_stay(recwarn):
    with photo_file.silence_warnings():
        warnings.warn("of somebody else", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in recwarn] == ["of somebody else"]


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_frames_of_an_animation(tmp_path, name):
    levels = [0, 60, 120, 180, 240]
    frames = [Image.new("RGB", (40, 40), (level, level, level)) for level in levels]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=40)
    assert frames_to_try(tmp_path / name) == [0, 1, 2, 3, 4]
    for number, level in enumerate(levels):
        assert abs(int(open_photo(tmp_path / name, frame=number)[20, 20, 0]) - level) < 6


def test_frames_to_try_are_few_and_spaced(tmp_path, monkeypatch):
    monkeypatch.setattr(photo_file, "FRAMES_IN_REACH", 50)
    frames = [Image.new("L", (8, 8), level) for level in range(60)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    found = frames_to_try(tmp_path / "a.gif")
    assert found[0] == 0
    assert found[-1] == 49
    assert len(found) == photo_file.MOST_FRAMES
    Image.fromarray(slope()).save(tmp_path / "still.jpg")
    assert frames_to_try(tmp_path / "still.jpg") == frames_to_try(slope()) == [0]


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_above_pillows_bound_is_drafted(tmp_path, monkeypatch, progressive):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    (tmp_path / "a.jpg").write_bytes(jpeg(slope(), progressive=progressive))
    (tmp_path / "b.png").write_bytes(b"")
    Image.fromarray(slope()).save(tmp_path / "b.png")
    if not progressive:
        assert open_photo(tmp_path / "a.jpg").shape == (100, 80, 3)  # at half of its size
    for name in ("a.jpg", "b.png")[0 if progressive else 1 :]:
        with pytest.raises(InputError, match="too many pixels"):
            open_photo(tmp_path / name)


@pytest.mark.parametrize(("begin", "most"), [(b"", 2**28), (b"\x89PNG\r\n\x1a\n", 100)])
def test_of_a_large_file_that_is_no_picture_only_the_beginning_is_read(tmp_path, monkeypatch, begin, most):
    (tmp_path / "a.mp4").write_bytes(begin + bytes(1000))
    monkeypatch.setattr(photo_file, "MOST_REPAIRED", most)
    monkeypatch.setattr(photo_file.Path, "read_bytes", lambda path: pytest.fail("read as a whole"))
    with pytest.raises(InputError):
        open_photo(tmp_path / "a.mp4")
