"""A frame of the shipped weights does not change: a change of it is a change of the product."""

import numpy as np

from atldiff import ATLDiffPipeline, Options
from atldiff.portrait.portrait import load_portrait
from atldiff.sequence import LandmarkSequence

BLOCK = 16  # pixels of a 128-pixel frame whose mean is compared
# Green, block by block, of the last of three frames of `drawn.jpg` whose mouth opens.
EXPECTED = np.array(
    [
        [156.3, 39.1, 85.4, 127.1, 124.6, 84.4, 38.7, 152.4],
        [119.9, 67.7, 161.2, 181.3, 179.3, 158.0, 68.2, 115.7],
        [115.5, 106.1, 129.5, 159.2, 158.5, 129.3, 105.7, 111.5],
        [121.6, 133.8, 161.6, 173.5, 167.1, 162.2, 137.0, 118.5],
        [133.9, 85.5, 160.1, 163.4, 160.4, 160.1, 88.5, 130.5],
        [149.4, 60.6, 164.8, 126.8, 123.4, 165.4, 61.2, 147.6],
        [145.5, 121.4, 139.6, 151.5, 150.8, 142.6, 121.6, 145.6],
        [140.7, 140.6, 140.5, 129.2, 129.2, 140.9, 140.8, 140.7],
    ]
)


def test_a_frame_of_the_starter_is_the_same(portrait_path):
    portrait = load_portrait(portrait_path.parent / "drawn.jpg")
    points = np.repeat(portrait.landmarks[None], 3, axis=0)
    points[:, [65, 66, 67, 55, 56, 57, 58, 59], 1] += 6 * np.arange(3, dtype=np.float32)[:, None]
    sequence = LandmarkSequence(points, portrait.landmarks, np.zeros(64, np.float32))
    *_, frame = ATLDiffPipeline.from_pretrained().render(portrait, sequence, Options(output="crop"))
    blocks = frame[..., 1].reshape(128 // BLOCK, BLOCK, 128 // BLOCK, BLOCK).mean(axis=(1, 3))
    np.testing.assert_allclose(blocks, EXPECTED, atol=0.5)
