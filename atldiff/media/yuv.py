"""RGB frames -> the encoder's pictures; only the part that moves is converted again."""

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

# Without these flags swscale rounds down, and every picture is one level darker.
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
Box = tuple[int, int, int, int]  # top, left, bottom, right
_MARGIN = 8  # pixels to convert round a change, because the chroma filter reaches across its border


class Pictures:
    """Converts the frames of one stream, in order, to its pixel format, even size and BT.709 colours."""

    def __init__(self, video: av.VideoStream) -> None:
        self._video = video
        self._previous: np.ndarray | None = None
        self._planes: np.ndarray = np.empty((0, 0), np.uint8)
        self._box: Box | None = None  # round all changes so far
        self._reformatter = VideoReformatter()  # keeps its tables while the size stays

    def convert(self, frame: np.ndarray, index: int) -> av.VideoFrame:
        """Converts frame number `index`, (H, W, 3 or 4) uint8; an odd side grows by one."""
        height, width, channels = frame.shape
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if channels == 3 and self._video.pix_fmt == "yuv420p":
            self._update(frame)
            picture = av.VideoFrame.from_ndarray(self._planes, "yuv420p")
            picture.colorspace, picture.color_range = Colorspace.ITU709, ColorRange.MPEG
        else:
            picture = self._convert(frame)
        picture.pts, picture.time_base = index, self._video.codec_context.time_base
        return picture

    def _update(self, frame: np.ndarray) -> None:
        """Updates the planes (3/2 H, W) from the previous frame to this one."""
        if self._previous is None:
            self._previous, self._planes = frame.copy(), self._convert(frame).to_ndarray()
            return
        box = _find_change(self._previous, frame)
        if box is None:
            return
        self._box = box = _unite(box, self._box or box)
        (height, width), (top, left, bottom, right) = frame.shape[:2], box
        self._previous[top:bottom, left:right] = frame[top:bottom, left:right]
        inner = _grow(box, _MARGIN, height, width)
        outer = _grow(box, 3 * _MARGIN, height, width)
        part = self._convert(frame[outer[0] : outer[2], outer[1] : outer[3]]).to_ndarray()
        for old, new, scale in zip(_split(self._planes), _split(part), (1, 2, 2), strict=True):
            y0, x0, y1, x1 = (side // scale for side in inner)
            y, x = outer[0] // scale, outer[1] // scale
            old[y0:y1, x0:x1] = new[y0 - y : y1 - y, x0 - x : x1 - x]

    def _convert(self, frame: np.ndarray) -> av.VideoFrame:
        kind = "rgba" if frame.shape[2] == 4 else "rgb24"
        return self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), kind),
            format=self._video.pix_fmt,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=EXACT,
        )


def _find_change(before: np.ndarray, after: np.ndarray) -> Box | None:
    """Finds the smallest box round all differences of two frames (H, W, 3); None without any."""
    height, width, channels = after.shape
    differs = (before != after).reshape(height, width * channels)
    rows = np.flatnonzero(differs.any(axis=1))
    if len(rows) == 0:
        return None
    columns = np.flatnonzero(differs[rows[0] : rows[-1] + 1].any(axis=0)) // channels
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _unite(one: Box, other: Box) -> Box:
    """The smallest box round both."""
    (top, left), (bottom, right) = map(min, one[:2], other[:2]), map(max, one[2:], other[2:])
    return top, left, bottom, right


def _grow(box: Box, margin: int, height: int, width: int) -> Box:
    """Grows a box by at least `margin` on each side, to even borders within the frame."""
    top, left, bottom, right = box
    top, left = (max(0, side - margin) // 2 * 2 for side in (top, left))
    bottom, right = ((side + margin + 1) // 2 * 2 for side in (bottom, right))
    return top, left, min(height, bottom), min(width, right)


def _split(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Views of the luma (H, W) and both chroma (H/2, W/2) planes of a yuv420p array (3/2 H, W)."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    return planes[:height], chroma[0], chroma[1]
