"""A picture, encoded and decoded as a short still video."""

from fractions import Fraction

import av
import numpy as np

from atldiff.config import FRAME_RATE


def encode_still(picture: np.ndarray, crf: int, frames: int = 4) -> np.ndarray:
    """Shows a grey picture for some frames, at x264's preset superfast: the same on every machine.

    Args:
        picture: (H, W) uint8, of even sides.
        frames: of the video; x264 spends less on one alone.

    Returns:
        (H, W) float, levels of the mean frame.
    """
    encoder, decoder = av.CodecContext.create("libx264", "w"), av.CodecContext.create("h264", "r")
    encoder.height, encoder.width, encoder.pix_fmt = *picture.shape, "yuv420p"
    encoder.time_base, encoder.thread_count = Fraction(1, FRAME_RATE), 1
    encoder.options = {"preset": "superfast", "crf": str(crf)}
    packets = []
    for index in range(frames):
        frame = av.VideoFrame.from_ndarray(picture, "gray")
        frame.pts = index
        packets += encoder.encode(frame)
    shown = [frame for packet in [*packets, *encoder.encode(None), None] for frame in decoder.decode(packet)]
    return np.mean([frame.to_ndarray(format="gray") for frame in shown], axis=0)
