"""The imperceptible mark of a video: one pattern, added to every frame.

- The pattern is a tile of noise that follows the first frame: strong in texture, faint on skin and plain
  ground. An operator may choose TrustMark's instead.
- It is the same in all frames: still parts stay cheap to encode, and one frame shows it.
"""

import numpy as np

from atldiff.provenance.tile import KEY, REFERENCE, SMALLEST, noise_tile
from atldiff.provenance.trustmark import message_pattern, trustmark_is_chosen

FAINTEST, STRONGEST = 1.0, 3.0  # deviation in levels on plain ground, and in texture
# dB of the marked frame against the frame; a picture of texture alone gets less than STRONGEST
WORST_PSNR = 42.5
_GAIN = 0.2  # levels of the mark for one level of the picture's local deviation
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
    """What the tile adds to a frame (H, W, 3 or 4) uint8: (H, W, 1) int16 levels."""
    pattern = scale_tile(frame.shape[:2], key) * strength_map(frame)
    return np.rint(pattern[..., None]).astype(np.int16)


def scale_tile(size: tuple[int, int], key: str = KEY) -> np.ndarray:
    """The tile, repeated over a picture of (height, width) pixels: (H, W) float32, deviation about 1."""
    import cv2

    step = REFERENCE / min(size)  # pixels of the tile for one of the picture
    grid = np.array([[step, 0, 0], [0, step, 0]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(noise_tile(key), grid, size[::-1], flags=flags, borderMode=cv2.BORDER_WRAP)


def strength_map(frame: np.ndarray) -> np.ndarray:
    """How strong the mark is at each pixel of a frame (H, W, 3 or 4) uint8: (H, W) float32 levels.

    Beside an edge the plain side decides, so that no fringe of noise is seen there.
    """
    import cv2

    reach = max(3, round(_REACH * min(frame.shape[:2]) / REFERENCE)) | 1
    box = (reach, reach)
    grey = cv2.cvtColor(frame[..., :3], cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - cv2.blur(grey, box)  # a slope of light, as on skin, is no texture
    deviation = np.sqrt(np.maximum(cv2.blur(fine * fine, box), 0))
    deviation = cv2.erode(deviation, np.ones(box, np.uint8))
    strength = cv2.blur(np.minimum(FAINTEST + _GAIN * deviation, STRONGEST), box)
    allowed = 255**2 / 10 ** (WORST_PSNR / 10) - _ROUNDING
    return strength * min(1.0, float(allowed / (strength * strength).mean()) ** 0.5)
