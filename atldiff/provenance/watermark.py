"""The imperceptible mark of a video: one pattern, added to every frame.

- The pattern is a tile of noise that follows the first frame: strong in texture, faint on skin and plain
  ground. An operator may choose TrustMark's instead.
- It is the same in all frames: still parts stay cheap to encode, and one frame shows it.
- On plain ground it is as faint as the first frame allows: the mark must still be read from a poor copy.
"""

import numpy as np

from atldiff.media.still import encode_still
from atldiff.provenance.detector import score_unchanged
from atldiff.provenance.tile import KEY, REFERENCE, SMALLEST, noise_tile
from atldiff.provenance.trustmark import message_pattern, trustmark_is_chosen

PLAIN = 0.5, 0.7, 1.0  # deviation in levels on plain ground, the faintest first
STRONGEST = 3.0  # in texture
_TEXTURE, _ROUGH = 2.0, 5.0  # levels of the mark at a local deviation of so many levels
_SUFFICIENT = 9.5  # score of the mark in a poor copy; see docs/provenance.md
_POOR = 28  # x264's crf of that copy
# dB of the marked frame against the frame; a picture of texture alone gets less than STRONGEST
WORST_PSNR = 42.5
_REACH = 9  # pixels round which the deviation counts, for a shorter side of 512
_ROUNDING = 1 / 12  # variance that rounding to whole levels adds


class Watermark:
    """The mark for the frames of one video.

    Args:
        frame: (H, W, 3 or 4) uint8, the first frame; it decides where the mark is strong.
        key: of the tile.

    Attributes:
        applies: whether the frames are large enough to be marked: 256 pixels on the shorter side.

    Raises:
        InputError: TrustMark is chosen, and cannot be had.
    """

    def __init__(self, frame: np.ndarray, key: str = KEY) -> None:
        self.applies = min(frame.shape[:2]) >= SMALLEST
        if self.applies:
            pattern = np.zeros(frame.shape, np.int16)  # nothing is added to the opacity
            pattern[..., :3] = message_pattern(frame) if trustmark_is_chosen() else tile_pattern(frame, key)
            self._more = np.maximum(pattern, 0).astype(np.uint8)
            self._less = np.maximum(-pattern, 0).astype(np.uint8)

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """Marks a frame of the first one's size; a small frame comes back as it is."""
        import cv2

        if not self.applies:
            return frame
        marked = cv2.add(frame, self._more)
        return cv2.subtract(marked, self._less, marked)


def tile_pattern(frame: np.ndarray, key: str = KEY) -> np.ndarray:
    """What the tile adds to a frame (H, W, 3 or 4) uint8: (H, W, 1) int16 levels.

    The faintest of PLAIN that is read from a poor copy; the strongest if none is.
    """
    import cv2

    tile, deviation = scale_tile(frame.shape[:2], key), local_deviation(frame)
    grey = cv2.cvtColor(frame[..., :3], cv2.COLOR_RGB2GRAY).astype(np.int16)
    for plain in PLAIN:
        pattern = np.rint(tile * strength_map(deviation, plain)).astype(np.int16)
        if plain == PLAIN[-1] or score_unchanged(_poor_copy(grey + pattern), key) >= _SUFFICIENT:
            break
    return pattern[..., None]


def _poor_copy(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W) of levels at half the size, as a still video of low quality: its mean frame."""
    import cv2

    height, width = (side // 4 * 2 for side in picture.shape)
    levels = np.clip(picture, 0, 255).astype(np.uint8)
    return encode_still(cv2.resize(levels, (width, height), interpolation=cv2.INTER_AREA), _POOR)


def scale_tile(size: tuple[int, int], key: str = KEY) -> np.ndarray:
    """The tile, repeated over a picture of (height, width) pixels: (H, W) float32, deviation about 1."""
    import cv2

    step = REFERENCE / min(size)  # pixels of the tile for one of the picture
    grid = np.array([[step, 0, 0], [0, step, 0]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(noise_tile(key), grid, size[::-1], flags=flags, borderMode=cv2.BORDER_WRAP)


def local_deviation(frame: np.ndarray) -> np.ndarray:
    """The deviation round each pixel of a frame (H, W, 3 or 4) uint8: (H, W) float32 levels.

    Beside an edge the plain side decides, so that no fringe of noise is seen there.
    """
    import cv2

    box = _box(frame.shape)
    grey = cv2.cvtColor(frame[..., :3], cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - cv2.blur(grey, box)  # a slope of light, as on skin, is no texture
    deviation = np.sqrt(np.maximum(cv2.blur(fine * fine, box), 0))
    return cv2.erode(deviation, np.ones(box, np.uint8))


def strength_map(deviation: np.ndarray, plain: float) -> np.ndarray:
    """How strong the mark is at each pixel, from the local deviation (H, W): (H, W) float32 levels.

    Args:
        plain: levels where the deviation is 0.
    """
    import cv2

    levels = plain + (_TEXTURE - plain) / _ROUGH * deviation
    strength = cv2.blur(np.minimum(levels, STRONGEST), _box(deviation.shape))
    allowed = 255**2 / 10 ** (WORST_PSNR / 10) - _ROUNDING
    return strength * min(1.0, float(allowed / (strength * strength).mean()) ** 0.5)


def _box(shape: tuple[int, ...]) -> tuple[int, int]:
    """Sides of the box in which the local deviation counts, for pictures of (height, width, ...)."""
    reach = max(3, round(_REACH * min(shape[:2]) / REFERENCE)) | 1
    return reach, reach
