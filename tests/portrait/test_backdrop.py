"""Another background, and another shape of the picture, as the options name them."""

import numpy as np
import pytest
from PIL import Image

from atldiff.animation import read_inputs
from atldiff.errors import InputError
from atldiff.options import ASPECTS, Options
from atldiff.portrait.matting import green_screen, lay_over
from atldiff.portrait.portrait import load_portrait
from atldiff.rendering.warp.canvas import make_canvas


@pytest.fixture(scope="module")
def cut_out(portrait_path):
    return load_portrait(portrait_path, matte=True)


def test_a_colour_stands_behind_the_person(cut_out):
    points = cut_out.landmarks[None]
    pictures = {
        colour: make_canvas(cut_out, points, background=colour).image
        for colour in ("green", "#00ff00", "#1e90ff")
    }
    np.testing.assert_array_equal(pictures["green"], pictures["#00ff00"])
    np.testing.assert_array_equal(pictures["green"], green_screen(cut_out.image, cut_out.alpha))
    away = cut_out.alpha == 0
    assert away.mean() > 0.1 and (pictures["#1e90ff"][away] == (0x1E, 0x90, 0xFF)).all()


def test_a_picture_stands_behind_the_person(cut_out, speech_path, tmp_path):
    Image.new("RGB", (300, 100), (10, 200, 30)).save(tmp_path / "meadow.png")
    portrait, _ = read_inputs(cut_out, speech_path, backdrop=tmp_path / "meadow.png")
    away, inside = cut_out.alpha == 0, cut_out.alpha == 1
    assert (portrait.image[away] == (10, 200, 30)).all() and (portrait.image == cut_out.image)[inside].all()
    np.testing.assert_array_equal(
        portrait.image, lay_over(cut_out.image, cut_out.alpha, np.array([10, 200, 30]))
    )
    with pytest.raises(InputError, match="Give one of both"):
        read_inputs(cut_out, speech_path, Options(background="green"), backdrop=tmp_path / "meadow.png")


def test_a_colour_is_an_option_and_a_word_is_none():
    assert Options(background="#1E90FF").background == "#1e90ff"
    for wrong in ("red", "#12345", "#1234567", "1e90ff", "#gggggg"):
        with pytest.raises(InputError, match="keep, green, matte, or a colour"):
            Options(background=wrong)


@pytest.mark.parametrize("output", ASPECTS)
def test_the_picture_has_the_shape_that_is_named_and_holds_the_face(portrait_path, output, speech_path):
    portrait, _ = read_inputs(portrait_path, speech_path, Options(output=output))
    height, width = portrait.image.shape[:2]
    assert width / height == pytest.approx(ASPECTS[output], rel=0.01) and 512 in (height, width)
    assert (portrait.landmarks > 0).all() and (portrait.landmarks < (width, height)).all()
    assert make_canvas(portrait, portrait.landmarks[None], output).frame_size == (width, height)
