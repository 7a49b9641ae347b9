"""The encoders of each kind of video. A GPU's own may take the place of x264."""

import os
from functools import cache

import av

from atldiff.errors import InputError

ENCODER = "ATLDIFF_ENCODER"
_LIVE = {"crf": "20", "g": "60", "maxrate": "4M", "bufsize": "4M"}  # a whole picture every 2 s
# Kind of video -> video codec, pixel format that keeps alpha, its options, sound codec.
_CODECS = {
    ".mp4": ("libx264", "yuv420p", {"preset": "superfast", "tune": "animation", "crf": "18"}, "aac"),
    ".webm": (
        "libvpx-vp9",
        "yuva420p",
        {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "crf": "16", "b": "0"},
        "libopus",
    ),
    ".mov": ("prores_ks", "yuva444p10le", {"profile": "4444"}, "aac"),
    ".flv": ("libx264", "yuv420p", {"preset": "superfast", "tune": "zerolatency", **_LIVE}, "aac"),
}
FILES = ".mp4", ".webm", ".mov"
# At a constant quality, as x264's; p4 is the middle of seven speeds.
_NVENC = {"preset": "p4", "tune": "hq", "rc": "vbr", "cq": "19", "b": "0"}


def codecs(kind: str) -> tuple[str, str, dict[str, str], str]:
    """Chooses the encoders of a kind of video: .mp4, .webm, .mov, or .flv to send.

    The environment's ATLDIFF_ENCODER=h264_nvenc takes an NVIDIA GPU's own encoder for .mp4.

    Returns:
        Video codec, pixel format that keeps alpha, the codec's options, sound codec.

    Raises:
        InputError: ATLDIFF_ENCODER names another encoder, or this machine has none.
    """
    name, pixels, options, sound = _CODECS[kind]
    chosen = os.environ.get(ENCODER, "")
    if chosen and kind == ".mp4":
        _check_encoder(chosen)
        name, options = chosen, _NVENC
    return name, pixels, options, sound


@cache
def _check_encoder(name: str) -> None:
    """Checks that this machine has the encoder, by opening it."""
    remedy = f"Leave {ENCODER} unset: then x264 encodes"
    if name != "h264_nvenc":
        raise InputError(f"{ENCODER} cannot be {name[:40]}", f"Set it to h264_nvenc. {remedy}")
    try:
        encoder = av.CodecContext.create(name, "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width = encoder.height = 256
        encoder.pix_fmt, encoder.framerate, encoder.options = "yuv420p", 30, dict(_NVENC)
        encoder.open()
    except (av.FFmpegError, ValueError) as error:
        raise InputError("This machine has no h264_nvenc, a GPU's own encoder", remedy) from error
