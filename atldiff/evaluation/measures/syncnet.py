"""LSE-C and LSE-D: how well lips and sound match, by SyncNet (Chung and Zisserman 2016).

- The weights are its authors' file syncnet_v2.model; the layers have the names of that file.
- Frames are taken at SyncNet's 25 a second. The crops follow our tracker, with the margins of SyncNet's own
  pipeline; that one has another face detector, so values compare within a table alone.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atldiff.config import FRAME_RATE, SAMPLE_RATE
from atldiff.errors import InputError

LSE = "LSE-C", "LSE-D"
RATE = 25  # frames a second
WINDOW = 5  # frames that the network sees
REACH = 15  # frames of the largest offset, either way
_SIDE, _MARGIN = 224, 0.4  # pixels of a crop; its margin over half the face's size
_GREY = (110, 110, 110)  # outside the picture
_COLUMNS = 4  # of the sound's coefficients, in a frame
_BATCH = 20  # windows at once
_SMOOTH = 13  # frames of the median of the faces' boxes


def _convolutions(dimensions: int, layers: list[tuple[Any, ...]]) -> nn.Sequential:
    """Convolutions with normalisation and ReLU: (in, out, kernel, stride, padding, pooling or None) each."""
    convolution, norm, pool = (
        (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d),
        (nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d),
    )[dimensions - 2]
    modules: list[nn.Module] = []
    for inputs, outputs, kernel, stride, padding, pooling in layers:
        modules += [convolution(inputs, outputs, kernel, stride, padding), norm(outputs), nn.ReLU()]
        modules += [] if pooling is None else [pool(*pooling)]
    return nn.Sequential(*modules)


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


class SyncNet(nn.Module):
    """Embeds five frames of a face, and the 0.2 s of sound that belong to them."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = _convolutions(
            2,
            [
                (1, 64, 3, 1, 1, (1, 1)),
                (64, 192, 3, 1, 1, (3, (1, 2))),
                (192, 384, 3, 1, 1, None),
                (384, 256, 3, 1, 1, None),
                (256, 256, 3, 1, 1, (3, 2)),
                (256, 512, (5, 4), 1, 0, None),
            ],
        )
        spread = (1, 2, 2)
        self.netcnnlip = _convolutions(
            3,
            [
                (3, 96, (5, 7, 7), spread, 0, ((1, 3, 3), spread)),
                (96, 256, (1, 5, 5), spread, (0, 1, 1), ((1, 3, 3), spread, (0, 1, 1))),
                (256, 256, (1, 3, 3), 1, (0, 1, 1), None),
                (256, 256, (1, 3, 3), 1, (0, 1, 1), None),
                (256, 256, (1, 3, 3), 1, (0, 1, 1), ((1, 3, 3), spread)),
                (256, 512, (1, 6, 6), 1, 0, None),
            ],
        )
        self.netfcaud, self.netfclip = _head(), _head()
        self.eval()

    @classmethod
    def load(cls, path: Path) -> "SyncNet":
        """Loads the authors' weights.

        Raises:
            InputError: the file is not theirs.
        """
        with torch.device("meta"):  # without weights of its own
            network = cls()
        try:
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), assign=True)
        except Exception as error:
            raise InputError(f"{path} has no weights of SyncNet", "Give its syncnet_v2.model") from error
        return network

    def embed_faces(self, faces: Tensor) -> Tensor:
        """Five frames (B, 3, 5, 224, 224), blue first, in [0, 255] -> (B, 1024)."""
        return self.netfclip(self.netcnnlip(faces).flatten(1))

    def embed_sounds(self, coefficients: Tensor) -> Tensor:
        """Cepstral coefficients (B, 1, 13, 20) of 0.2 s -> (B, 1024)."""
        return self.netfcaud(self.netcnnaud(coefficients).flatten(1))

    @torch.no_grad()
    def scores(self, frames: np.ndarray, points: np.ndarray, samples: np.ndarray) -> dict[str, float]:
        """Scores a video.

        Args:
            frames: (F, H, W, 3) uint8 at FRAME_RATE.
            points: (F, 68, 2) landmarks, pixels, all seen.
            samples: (n,) float32 in [-1, 1] at SAMPLE_RATE.

        Returns:
            "LSE-D": the mean distance at the best offset; "LSE-C": the median over the offsets minus that.
            Both NaN for fewer than WINDOW + 1 frames.
        """
        index = np.arange(0, len(frames) * RATE // FRAME_RATE) * FRAME_RATE // RATE
        faces = torch.from_numpy(crop_faces(frames[index], points[index])).permute(3, 0, 1, 2)
        sound = torch.from_numpy(cepstrum(samples)).float()
        count = min(len(index), len(samples) * RATE // SAMPLE_RATE) - WINDOW
        if count < 1:
            return dict.fromkeys(LSE, float("nan"))
        lips, voice = [], []
        for some in torch.arange(count).split(_BATCH):
            lips.append(self.embed_faces(torch.stack([faces[:, i : i + WINDOW] for i in some]).float()))
            parts = [sound[:, _COLUMNS * i : _COLUMNS * (i + WINDOW)] for i in some]
            voice.append(self.embed_sounds(torch.stack(parts)[:, None]))
        return sync_errors(torch.cat(lips), torch.cat(voice))


def sync_errors(lips: Tensor, voice: Tensor) -> dict[str, float]:
    """LSE-C and LSE-D of embeddings (N, D) of faces and sounds, over offsets of up to REACH frames."""
    padded = F.pad(voice, (0, 0, REACH, REACH))
    shifts = padded.unfold(0, 2 * REACH + 1, 1).permute(0, 2, 1)  # (N, offsets, D)
    distances = F.pairwise_distance(lips[:, None], shifts).mean(0)
    best = distances.min()
    return {"LSE-C": float(distances.median() - best), "LSE-D": float(best)}


def cepstrum(samples: np.ndarray) -> np.ndarray:
    """Mel-frequency cepstral coefficients (13, m), 100 a second, of samples (n,) in [-1, 1].

    Raises:
        InputError: the package that SyncNet takes for them is missing.
    """
    try:
        from python_speech_features import mfcc
    except ImportError as error:
        raise InputError(
            "LSE needs python_speech_features", "Install it: pip install 'atldiff[lse]'"
        ) from error
    return mfcc(np.round(samples * 32767).astype(np.int16), SAMPLE_RATE).T


def crop_faces(frames: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Cuts faces out as SyncNet's pipeline does, from the box of the landmarks.

    Args:
        frames: (F, H, W, 3) uint8, red first.
        points: (F, 68, 2) landmarks, pixels.

    Returns:
        (F, 224, 224, 3) uint8, blue first.
    """
    import cv2

    low, high = points.min(axis=1), points.max(axis=1)
    boxes = np.column_stack([(low + high) / 2, (high - low).max(axis=1) / 2])
    around = np.pad(boxes, ((_SMOOTH // 2, _SMOOTH // 2), (0, 0)), mode="edge")
    steady = np.median(np.lib.stride_tricks.sliding_window_view(around, _SMOOTH, axis=0), axis=-1)
    crops = []
    for frame, (x, y, size) in zip(frames, steady, strict=True):
        scale = _SIDE / (2 * size * (1 + _MARGIN))
        left, top = x - size * (1 + _MARGIN), y - size
        place = np.array([[scale, 0, -scale * left], [0, scale, -scale * top]])
        crops.append(
            cv2.warpAffine(frame[..., ::-1], place, (_SIDE, _SIDE), flags=cv2.INTER_AREA, borderValue=_GREY)
        )
    return np.stack(crops)
