"""Portraits: landmarks, faces, advice, picture formats, and crops."""

import subprocess
import sys
import zlib

import numpy as np
import page
import pytest
from PIL import Image, ImageCms

from atldiff.errors import InputError
from atldiff.landmarks import crop_box, inter_ocular_distance, mirror, yaw
from atldiff.portrait import photo
from atldiff.portrait.matting import green_screen
from atldiff.portrait.mesh import track_landmarks
from atldiff.portrait.photo import crop_square, open_photo
from atldiff.portrait.portrait import load_portrait


@pytest.fixture(scope="module")
def portrait(portrait_path):
    return load_portrait(portrait_path, matte=True)


@pytest.fixture(scope="module")
def small(portrait):
    """The face and its surroundings, 256 x 256 pixels."""
    x0, y0, x1, y1 = portrait.box
    return crop_square(portrait.image, np.array([x0 - 20, y0 - 20, x1 + 20, y1 + 20]), 256)


def off(landmarks: np.ndarray, expected: np.ndarray) -> float:
    """Mean distance in inter-ocular distances."""
    return float(np.linalg.norm(landmarks - expected, axis=1).mean() / inter_ocular_distance(expected))


def test_a_portrait(portrait):
    assert portrait.image.shape == (512, 512, 3)
    assert portrait.image.dtype == np.uint8
    assert portrait.landmarks.shape == (68, 2)
    assert portrait.landmarks.dtype == np.float32
    np.testing.assert_array_equal(portrait.box, crop_box(portrait.landmarks))
    assert len(portrait.faces) == 1
    assert abs(yaw(portrait.landmarks)) < 0.3
    eyes, chin = portrait.landmarks[36:48].mean(axis=0), portrait.landmarks[8]
    assert eyes[1] < portrait.landmarks[48:].mean(axis=0)[1] < chin[1]
    assert portrait.crop(128).shape == (128, 128, 3)


def test_landmarks_follow_the_picture(portrait):
    """A change of the photo changes the landmarks alike: mirrored, moved, enlarged."""
    mirrored = load_portrait(np.ascontiguousarray(portrait.image[:, ::-1]))
    assert off(mirrored.landmarks, mirror(portrait.landmarks, 512)) < 0.01
    moved = load_portrait(np.pad(portrait.image, ((30, 0), (50, 0), (0, 0))))
    assert off(moved.landmarks, portrait.landmarks + (50, 30)) < 0.02
    larger = load_portrait(Image.fromarray(portrait.image).resize((1024, 1024)))
    assert off(larger.landmarks, 2 * portrait.landmarks) < 0.02


def test_tracking_agrees_with_the_portrait(portrait):
    blank = np.zeros_like(portrait.image)
    tracked = track_landmarks([portrait.image, portrait.image, blank])
    assert tracked.shape == (3, 68, 2)
    assert tracked.dtype == np.float32
    assert off(tracked[1], portrait.landmarks) < 0.03
    assert np.isnan(tracked[2]).all()
    assert track_landmarks([]).shape == (0, 68, 2)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_that_lies_on_its_side_is_turned(portrait, turns):
    turned = load_portrait(np.rot90(portrait.image, turns))
    np.testing.assert_array_equal(turned.image, portrait.image)
    assert "not upright" in turned.warnings[0]
    assert "not upright" not in "".join(portrait.warnings)


@pytest.mark.parametrize("place", [(0, 0), (300, 1000)])
def test_a_small_face_in_a_large_photo_is_found(small, place):
    y, x = place
    large = np.full((1100, 1600, 3), 90, np.uint8)
    large[y : y + 140, x : x + 140] = crop_square(small, np.array([0, 0, 256, 256]), 140)
    found = load_portrait(large)
    assert off(found.landmarks, load_portrait(small).landmarks * 140 / 256 + (x, y)) < 0.06
    assert any("small" in warning for warning in found.warnings)


def test_a_face_that_fills_the_photo_is_found(portrait):
    x0, y0 = np.maximum(portrait.landmarks.min(axis=0).astype(int) - 3, 0)
    x1, y1 = portrait.landmarks.max(axis=0).astype(int) + 3
    tight = load_portrait(portrait.image[y0:y1, x0:x1])
    assert off(tight.landmarks, portrait.landmarks - (x0, y0)) < 0.05


def test_of_several_faces_the_largest_or_the_one_asked_for(small):
    group = np.full((256, 640, 3), 120, np.uint8)
    group[20:148, 20:148] = crop_square(small, np.array([0, 0, 256, 256]), 128)
    group[:, 200:456] = small
    group[40:232, 448:640] = crop_square(small, np.array([0, 0, 256, 256]), 192)
    middles = []
    for number in (1, 2, 3):
        found = load_portrait(group, face=number)
        assert found.face == number
        assert len(found.faces) == 3
        assert any("3 faces" in warning for warning in found.warnings)
        middles.append(found.landmarks[:, 0].mean())
    assert 200 < middles[0] < 456 < middles[1]
    assert middles[2] < 148
    for wrong in (0, 4, -1):
        with pytest.raises(InputError, match="Choose from 1 to 3"):
            load_portrait(group, face=wrong)


def test_a_tiny_face_is_refused(small):
    with pytest.raises(InputError, match="smaller than 64 pixels"):
        load_portrait(Image.fromarray(small).resize((90, 90)))


@pytest.mark.parametrize("shape", [(300, 400, 3), (40, 3000, 3), (1, 1, 3), (20, 500, 3)])
def test_no_face(shape):
    noise = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    with pytest.raises(InputError, match="No face|too small"):
        load_portrait(noise)


def test_a_portrait_passes_through(portrait, portrait_path):
    assert load_portrait(portrait).landmarks is portrait.landmarks
    plain = load_portrait(portrait_path)
    assert plain.alpha is None
    np.testing.assert_array_equal(load_portrait(plain, matte=True).alpha, portrait.alpha)


def test_the_matte_holds_the_face_and_not_the_corners(portrait):
    alpha = portrait.alpha
    assert alpha.shape == (512, 512)
    assert alpha.dtype == np.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    x, y = portrait.landmarks[17:].astype(int).T  # the jaw's points lie on the edge itself
    assert alpha[y, x].min() > 0.9
    assert alpha[:100, :100].max() < 0.1
    assert ((alpha > 0.02) & (alpha < 0.98)).mean() < 0.05  # a feathered edge, not a haze


def test_green_screen():
    image = np.full((2, 3, 3), 100, np.uint8)
    alpha = np.array([[1, 0, 0.5]] * 2, np.float32)
    np.testing.assert_array_equal(
        green_screen(image, alpha)[0], [[100, 100, 100], [0, 255, 0], [50, 178, 50]]
    )


# --- pictures of every kind ---


def chart() -> np.ndarray:
    """A colourful slope, (40, 60, 3)."""
    y, x = np.mgrid[:40, :60]
    return np.stack([4 * x, 6 * y, 250 - 4 * x], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.webp", "a.ppm", "a.avif", "a.gif"])
def test_file_types(tmp_path, name):
    options = {"lossless": True} if name == "a.webp" else {"quality": 100} if name == "a.avif" else {}
    Image.fromarray(chart()).save(tmp_path / name, **options)
    error = np.abs(open_photo(tmp_path / name).astype(int) - chart())
    assert error.mean() < (6 if name in ("a.avif", "a.gif") else 1e-6)


def test_a_phones_heic_is_read_upright_once():
    """drawn.jpg at 384x384 on its side; the EXIF tag and the HEIF box both describe the turn."""
    drawn = Image.open(page.EXAMPLES / "drawn.jpg").convert("RGB").resize((384, 384))
    assert np.abs(open_photo(page.HEIC).astype(int) - np.array(drawn)).mean() < 4


def test_a_heic_that_was_cut_off_is_told_so(tmp_path):
    stored = page.HEIC.read_bytes()
    for name, share in (("a.heic", 0.9), ("b.heic", 0.01)):
        (tmp_path / name).write_bytes(stored[: int(share * len(stored))])
        with pytest.raises(InputError, match="broken|can be read"):
            open_photo(tmp_path / name)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tiff"])
def test_exif_orientation(tmp_path, orientation, name):
    """Every stored orientation gives the same upright picture."""
    store = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transpose that undoes the tag
    image = Image.fromarray(chart())
    stored = image if orientation == 1 else image.transpose(Image.Transpose(store[orientation]))
    exif = Image.Exif()
    exif[274] = orientation
    stored.save(tmp_path / name, exif=exif, **({"quality": 100, "subsampling": 0} if name == "a.jpg" else {}))
    assert np.abs(open_photo(tmp_path / name).astype(int) - chart()).max() < 12


def test_grey_and_sixteen_bits(tmp_path):
    grey = chart()[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(grey.astype(np.int32) * 257).save(tmp_path / "deep.tiff")
    Image.fromarray(grey.astype(np.float32) / 255).save(tmp_path / "float.tiff")
    Image.fromarray(grey > 100).save(tmp_path / "bits.png")
    for name in ("grey.png", "deep.png", "deep.tiff", "float.tiff"):
        np.testing.assert_array_equal(open_photo(tmp_path / name), expected, err_msg=name)
    np.testing.assert_array_equal(open_photo(tmp_path / "bits.png"), (expected > 100) * np.uint8(255))


def test_transparency_lies_on_the_backdrop(tmp_path):
    alpha = np.full((40, 60), 255, np.uint8)
    alpha[:, 30:] = 0
    expected = chart()
    expected[:, 30:] = photo.BACKDROP
    rgba = Image.fromarray(np.dstack([chart(), alpha]))
    rgba.save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(open_photo(tmp_path / "rgba.png"), expected)
    np.testing.assert_array_equal(open_photo(np.asarray(rgba)), expected)
    rgba.quantize(64).save(tmp_path / "palette.png")
    assert np.abs(open_photo(tmp_path / "palette.png").astype(int) - expected).mean() < 6
    assert (open_photo(tmp_path / "palette.png")[:, 32:] == 255).all()
    rgba.convert("LA").save(tmp_path / "grey.png")
    assert (open_photo(tmp_path / "grey.png")[:, 30:] == 255).all()
    keyed = Image.fromarray(np.where(alpha[..., None] > 0, chart(), np.uint8([1, 2, 3])).astype(np.uint8))
    keyed.save(tmp_path / "keyed.png", transparency=(1, 2, 3))
    np.testing.assert_array_equal(open_photo(tmp_path / "keyed.png"), expected)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_other_colour_spaces(tmp_path, mode):
    Image.new("RGB", (50, 50), (200, 100, 50)).convert(mode).save(tmp_path / "a.jpg", quality=100)
    assert np.abs(open_photo(tmp_path / "a.jpg").astype(int) - (200, 100, 50)).max() < 4


def test_colour_profiles(tmp_path):
    image = Image.new("RGB", (50, 50), (200, 100, 50))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "srgb.png", icc_profile=srgb)
    assert np.abs(open_photo(tmp_path / "srgb.png").astype(int) - (200, 100, 50)).max() <= 1
    # The profile exchanges red and blue; without it, the colours would stay.
    swapped = srgb.replace(b"rXYZ", b"tmpX").replace(b"bXYZ", b"rXYZ").replace(b"tmpX", b"bXYZ")
    image.save(tmp_path / "swapped.png", icc_profile=swapped)
    red, _, blue = open_photo(tmp_path / "swapped.png")[0, 0].astype(int)
    assert blue > red
    image.save(tmp_path / "odd.png", icc_profile=b"not a profile")
    np.testing.assert_array_equal(open_photo(tmp_path / "odd.png")[0, 0], (200, 100, 50))


@pytest.mark.parametrize(
    "array",
    [
        chart(),
        chart().astype(np.uint16) * 257,
        chart().astype(np.float32) / 255,
        chart().astype(np.float64),
        np.dstack([chart(), np.full((40, 60), 255, np.uint8)]),
    ],
)
def test_arrays(array):
    np.testing.assert_array_equal(open_photo(array), chart())
    np.testing.assert_array_equal(open_photo(array[..., :1]), open_photo(array[..., 0]))


@pytest.mark.parametrize(
    "array", [np.zeros((0, 4, 3)), np.zeros(5), np.zeros((4, 4, 2)), np.full((4, 4, 3), np.nan)]
)
def test_arrays_that_are_no_photo(array):
    with pytest.raises(InputError):
        open_photo(array)


def test_a_huge_photo_is_reduced_and_never_held_whole(tmp_path, monkeypatch):
    Image.new("RGB", (4200, 2800), (10, 200, 30)).save(tmp_path / "huge.jpg")
    decoded = []
    plain = photo.orientation
    monkeypatch.setattr(photo, "orientation", lambda image: decoded.append(image.size) or plain(image))
    assert open_photo(tmp_path / "huge.jpg").shape == (1365, 2048, 3)
    assert open_photo(tmp_path / "huge.jpg", long_side=300).shape == (200, 300, 3)
    assert decoded == [(2100, 1400), (525, 350)]


def test_an_absurd_photo_is_refused(tmp_path):
    Image.new("1", (8, 8)).save(tmp_path / "bomb.png")
    content = (tmp_path / "bomb.png").read_bytes()
    header = b"IHDR" + (30000).to_bytes(4, "big") + (12000).to_bytes(4, "big") + content[24:29]
    content = content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]
    (tmp_path / "bomb.png").write_bytes(content)
    with pytest.raises(InputError, match="too many pixels"):
        open_photo(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.jpg", None, "does not exist"),
        ("https://example.com/a.jpg", None, "does not exist"),
        ("empty.jpg", b"", "0 bytes"),
        ("text.jpg", b"this is not a photo\n" * 50, "not a picture"),
        ("sound.png", b"RIFF\x24\x08\x00\x00WAVEfmt ", "not a picture"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    ],
)
def test_files_that_are_no_photo(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        load_portrait(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff"])
@pytest.mark.parametrize("part", [0.05, 0.6])
def test_broken_files(tmp_path, name, part):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(part * len(content))])
    with pytest.raises(InputError):
        load_portrait(tmp_path / name)


def test_a_folder_and_nothing_are_no_photo(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        load_portrait(tmp_path)
    with pytest.raises(InputError, match="not a photo"):
        load_portrait(None)


def test_the_given_image_stays_as_it_was(portrait_path):
    image = Image.open(portrait_path)
    open_photo(image, long_side=64)
    assert image.size == (512, 512)


# --- crops ---


def test_a_whole_crop_is_the_picture():
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(crop_square(image, np.array([0, 0, 32, 32]), 32), image)
    np.testing.assert_array_equal(crop_square(image, np.array([8, 4, 24, 20]), 16), image[4:20, 8:24])


def test_shrinking_averages_and_the_border_is_repeated():
    image = np.zeros((32, 32, 3), np.uint8)
    image[::2] = 200
    assert (crop_square(image, np.array([0, 0, 32, 32]), 16) == 100).all()
    flat = np.full((10, 10, 3), 7, np.uint8)
    flat[0, 0] = 250
    beyond = crop_square(flat, np.array([-10, -10, 0, 0]), 10)
    assert (beyond == 250).all()


def test_an_unknown_detector():
    with pytest.raises(InputError, match="mediapipe, mediapipe-tasks, face-alignment"):
        track_landmarks([], detector="dlib")
    with pytest.raises(InputError, match="mediapipe, mediapipe-tasks, face-alignment"):
        load_portrait("a.jpg", detector="dlib")


# --- manners ---


def test_nothing_is_printed_or_left_at_home_and_importing_touches_nothing(
    portrait_path, tmp_path, monkeypatch
):
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    code = (
        "import os, sys; before = dict(os.environ)\n"
        "import atldiff.portrait.portrait as face, atldiff.portrait.mesh as mesh\n"
        "assert dict(os.environ) == before and not {'onnxruntime', 'torch'} & set(sys.modules)\n"
        "face.load_portrait(sys.argv[1], matte=True); mesh.track_landmarks([face.open_photo(sys.argv[1])])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(portrait_path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "") and not any(tmp_path.iterdir())
