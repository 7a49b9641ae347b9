"""The fit of the layered mouth finds the shape that painted the mouths it is shown."""

from dataclasses import replace

import numpy as np
import pytest

from atldiff.portrait.portrait import load_portrait
from atldiff.rendering.face_parts.mouth_layers import MouthShape
from atldiff.training.renderer.clips import Moment
from atldiff.training.renderer.fit_mouth import OpenMouth, fit_mouth, shape_loss


@pytest.fixture(scope="module")
def mouths(request):
    """Three openings of a drawn face whose true mouths are darker and lower than the default."""
    portrait = load_portrait(request.getfixturevalue("portrait_path").parent / "drawn.jpg")
    truth = MouthShape(upper_light=0.7, lower_light=0.6, edge=3.0)
    found = []
    for drop in (20, 28, 36):
        points = portrait.landmarks.copy()
        points[[65, 66, 67, 55, 56, 57, 58, 59, 7, 8, 9], 1] += drop
        nothing = np.zeros(64, np.float32)
        moment = Moment(portrait.image, portrait.landmarks, portrait.image[None], points[None], nothing)
        mouth = OpenMouth.from_moment(moment)
        found.append(replace(mouth, truth=mouth.paint(truth)))
    return truth, found


def test_loss_is_zero_for_the_true_shape_alone(mouths):
    truth, found = mouths
    assert shape_loss(truth, found) == pytest.approx(0, abs=1e-6)
    assert shape_loss(MouthShape(), found) > 0.1


def test_search_comes_nearer(mouths):
    truth, found = mouths
    before = shape_loss(MouthShape(), found)
    shape, loss = fit_mouth(found, tries=60)
    assert loss < 0.5 * before
    wanted, before, after = (  # darker is darker, whether by the teeth's light or by what comes in
        np.mean([mouth.paint(s)[mouth.inside > 0.9].mean() for mouth in found])
        for s in (truth, MouthShape(), shape)
    )
    assert abs(after - wanted) < 0.3 * abs(before - wanted)
