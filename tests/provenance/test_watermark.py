"""The watermark: its tile, how it is added, and what it survives."""

import cv2
import numpy as np
import pytest
from PIL import Image

from atldiff.provenance.detector import THRESHOLD, find_mark
from atldiff.provenance.tile import SIDE, noise_tile, wave_band
from atldiff.provenance.watermark import PLAIN, WORST_PSNR, Watermark, scale_tile

FIRST = 0.025959, 0.117486, 0.061735, -0.044103  # of the tile's first row


@pytest.fixture(scope="module")
def photo(portrait_path) -> np.ndarray:
    return np.asarray(Image.open(portrait_path).convert("RGB"))


@pytest.fixture(scope="module")
def marked(photo) -> np.ndarray:
    return Watermark(photo).apply(photo)


def grey(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture[..., :3], cv2.COLOR_RGB2GRAY)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other.astype(float)) ** 2))


def test_the_tile_has_its_waves_alone_and_is_the_same_everywhere():
    tile = noise_tile()
    power = np.abs(np.fft.fft2(tile.astype(float))) ** 2
    assert tile.shape == (SIDE, SIDE) and abs(tile.mean()) < 1e-6 and tile.std() == pytest.approx(1, abs=1e-5)
    assert power[~wave_band()].sum() < 1e-9 * power.sum()
    np.testing.assert_allclose(tile[0, :4], FIRST, atol=1e-5)
    assert abs((tile * noise_tile("another")).mean()) < 0.1


@pytest.mark.parametrize("size", [(512, 512), (512, 700), (300, 256), (1080, 1080)])
def test_a_picture_of_any_size_holds_the_tile_by_its_shorter_side(size):
    pattern = scale_tile(size)
    assert pattern.shape == size and pattern.std() == pytest.approx(1, abs=0.15)
    period = SIDE * min(size) / 512
    if period == int(period):
        shift = int(period)
        np.testing.assert_allclose(pattern[:, shift:], pattern[:, :-shift], atol=1e-3)
    trace = find_mark(128 + 2 * pattern)
    assert trace.score > 25 and trace.size == pytest.approx(1, abs=0.01) and not trace.mirrored


@pytest.mark.parametrize("kind", ["photo", "texture"])
def test_the_mark_is_as_faint_as_promised(photo, kind):
    texture = np.random.default_rng(0).integers(40, 216, (300, 400, 3)).astype(np.uint8)
    frame = photo if kind == "photo" else texture
    result = Watermark(frame).apply(frame)
    change = result.astype(int) - frame
    assert psnr(result, frame) > WORST_PSNR - 0.5
    assert (change == change[..., :1]).all(axis=2).mean() > 0.95  # grey: no colour is added


@pytest.mark.parametrize(("side", "plain"), [(300, PLAIN[-1]), (1000, PLAIN[0])])
def test_plain_ground_is_marked_no_stronger_than_a_poor_copy_needs(side, plain):
    wall = 150 + np.linspace(0, 30, side)[:, None] + np.random.default_rng(0).normal(0, 0.4, (side, side))
    frame = np.repeat(np.rint(wall).astype(np.uint8)[..., None], 3, axis=2)
    change = (Watermark(frame).apply(frame).astype(float) - frame)[..., 0]
    rounding, texture = 1 / 12, 0.1
    assert change.std() == pytest.approx((plain**2 + rounding) ** 0.5 + texture, abs=0.1)


def test_skin_and_plain_ground_are_marked_more_faintly_than_hair():
    rng = np.random.default_rng(0)
    frame = np.full((512, 512, 3), 150, np.uint8)
    frame[:, 256:] = rng.integers(60, 240, (512, 256, 1))
    change = (Watermark(frame).apply(frame).astype(float) - frame)[..., 0]
    plain, texture = change[:, :230].std(), change[:, 290:].std()
    assert plain < 0.25 * texture and change[:, 240:256].std() < 0.8  # nor is a fringe beside it


def test_opacity_and_small_pictures_stay_as_they_are(photo):
    frame = np.dstack([photo, np.full(photo.shape[:2], 77, np.uint8)])
    result = Watermark(frame).apply(frame)
    assert (result[..., 3] == 77).all() and (result[..., :3] != photo).any()
    small = photo[:255, :300]
    assert Watermark(small).apply(small) is small and not Watermark(small).applies


def test_all_frames_of_a_video_are_marked_alike(photo):
    mark, later = Watermark(photo), 255 - photo[::-1]
    change = mark.apply(photo).astype(int) - photo
    other = mark.apply(later).astype(int) - later
    inside = (photo > 9) & (photo < 246)
    np.testing.assert_array_equal(change[inside & inside[::-1]], other[inside & inside[::-1]])


def test_one_frame_shows_the_mark_and_another_key_does_not(photo, marked):
    assert find_mark(grey(marked)).score > 13
    assert not find_mark(grey(photo)).found
    assert not find_mark(grey(marked), "another").found


def half(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], -1)


def on_a_page(picture: np.ndarray) -> np.ndarray:
    """A screenshot of a page that shows the picture at 380 of 720 pixels."""
    page = np.full((720, 1280), 245, np.uint8)
    page[100:480, 200:580] = cv2.resize(picture, (380, 380), interpolation=cv2.INTER_AREA)
    return page


@pytest.mark.parametrize(
    ("attack", "size", "mirrored"),
    [
        (half, 1, False),
        (lambda picture: picture[20:480, 30:490], 460 / 512, False),
        (lambda picture: picture[100:400, 150:450], 300 / 512, False),
        (lambda picture: picture[:, ::-1], 1, True),
        (lambda picture: cv2.convertScaleAbs(picture, alpha=1.1), 1, False),
        (lambda picture: jpeg(picture, 60), 1, False),
        (lambda picture: half(picture[20:480, 30:490]), 460 / 512, False),
        (on_a_page, 720 / 380, False),
        (lambda picture: cv2.resize(picture, (1500, 1500), interpolation=cv2.INTER_CUBIC), 1, False),
    ],
    ids=["half", "cut", "cut to a third", "mirrored", "lighter", "jpeg", "half and cut", "page", "large"],
)
def test_what_the_mark_survives(marked, attack, size, mirrored):
    trace = find_mark(attack(grey(marked)))
    assert trace.found and trace.score > THRESHOLD
    assert trace.size == pytest.approx(size, rel=0.01) and trace.mirrored == mirrored


@pytest.mark.parametrize("shape", [(10, 10), (64, 64), (70, 4000), (256, 256)])
def test_pictures_without_anything_in_them(shape):
    for level in (0, 128, 255):
        assert not find_mark(np.full(shape, level, np.uint8)).found
