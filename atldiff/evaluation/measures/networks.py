"""Measures that need somebody's networks: FID, FVD, identity, LSE. Without the network there is none.

Nothing is computed under these names by other networks. The files of `--networks`, TorchScript but the last:

- `i3d.pt`: the I3D network of FVD as StyleGAN-V publishes it (i3d_torchscript.pt). It takes videos
  (N, 3, T, H, W) in [0, 255], T at least 10, with rescale, resize and return_features, and gives (N, 400).
- `identity.pt`: an embedding of faces, aligned like ArcFace's: (N, 3, 112, 112) in [-1, 1] -> (N, D).
- `syncnet_v2.model`: SyncNet as its authors publish it, see `syncnet`.
- FID's Inception network is torch-fidelity's (`pip install 'atldiff[fid]'`), or its weights from its cache.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from atldiff.errors import InputError
from atldiff.evaluation.measures.placement import similarity
from atldiff.evaluation.measures.syncnet import LSE, SyncNet
from atldiff.evaluation.pictures import FrechetDistance
from atldiff.rendering.levels import to_signed

VIDEO, IDENTITY, SYNC = "i3d.pt", "identity.pt", "syncnet_v2.model"
MIN_VIDEO = 10  # frames that I3D needs
# ArcFace's places of both eyes, nose tip and mouth corners in its 112 x 112 pixels (Deng et al. 2019).
FACE_SIZE = 112
FACE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
_BATCH = 16  # frames at once


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of the Gaussians that fit features (N, D) and (M, D), N and M at least 2.

    |mean a - mean b|^2 + trace(A + B - 2 sqrt(A B)) with their covariances A and B (Dowson and Landau 1982).
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    first, second = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    mixed = np.sqrt(np.linalg.eigvals(first @ second).astype(complex)).real.sum()
    shift = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    return float(max(shift + np.trace(first) + np.trace(second) - 2 * mixed, 0.0))


def cosine_similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine (N,) of the angle between embeddings (N, D) and (D,) or (N, D); 1 = the same direction."""
    return (a * b).sum(axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))


@dataclass(eq=False)
class Networks:
    """The networks that are at hand.

    Attributes:
        inception: pictures (N, 3, H, W) uint8 -> features (N, 2048); None: not available.
        video: videos (N, 3, T, H, W) in [0, 255] -> (N, 400); None: not available.
        identity: faces (N, 3, 112, 112) in [-1, 1] -> (N, D); None: not available.
        sync: scores lips against sound; None: not available.
        missing: measure -> why it is not available.
    """

    inception: Callable[[Tensor], Tensor] | None = None
    video: Callable[..., Tensor] | None = None
    identity: Callable[[Tensor], Tensor] | None = None
    sync: SyncNet | None = None
    missing: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path | None) -> "Networks":
        """Loads what is there.

        Args:
            folder: of the files VIDEO, IDENTITY and SYNC; None: none of them.

        Raises:
            InputError: the folder does not exist, or a file in it is not such a network.
        """
        networks = cls()
        try:
            networks.inception = FrechetDistance().network
        except InputError as error:
            networks.missing["FID"] = str(error)
        if folder is not None and not folder.is_dir():
            raise InputError(f"The folder {folder} does not exist", f"Name one with {VIDEO} or {IDENTITY}")
        for name, file, load, measures in (
            ("video", VIDEO, load_script, ("FVD",)),
            ("identity", IDENTITY, load_script, ("identity",)),
            ("sync", SYNC, SyncNet.load, LSE),
        ):
            path = None if folder is None else folder / file
            if path is not None and path.exists():
                setattr(networks, name, load(path))
            else:
                networks.missing |= dict.fromkeys(measures, f"Give --networks a folder with {file}")
        return networks

    @torch.no_grad()
    def features(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """The features of a video (F, H, W, 3) uint8: "FID" (F, 2048), "FVD" (1, 400), if available."""
        pictures, features = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2), {}
        if self.inception is not None:
            features["FID"] = torch.cat([self.inception(part) for part in pictures.split(_BATCH)]).numpy()
        if self.video is not None and len(frames) >= MIN_VIDEO:
            clip = pictures.float().permute(1, 0, 2, 3)[None]
            features["FVD"] = self.video(clip, rescale=True, resize=True, return_features=True).numpy()
        return features

    @torch.no_grad()
    def identity_similarity(
        self, frames: np.ndarray, points: np.ndarray, still: np.ndarray, marks: np.ndarray
    ) -> float:
        """Mean cosine of the embeddings of frames and of one true frame; NaN without network or face.

        Args:
            frames: (F, H, W, 3) uint8.
            points: (F, 68, 2) landmarks, pixels; NaN without a face.
            still: (H, W, 3) uint8, the true frame.
            marks: (68, 2) its landmarks, pixels.
        """
        seen = np.isfinite(points).all(axis=(1, 2))
        if self.identity is None or not seen.any():
            return float("nan")
        crops = [align_face(frame, face) for frame, face in zip(frames[seen], points[seen], strict=True)]
        batch = to_signed(torch.from_numpy(np.stack([align_face(still, marks), *crops])).permute(0, 3, 1, 2))
        embeddings = torch.cat([self.identity(part) for part in batch.split(_BATCH)]).numpy()
        return float(cosine_similarity(embeddings[1:], embeddings[0]).mean())


NO_NETWORKS = Networks()


def load_script(path: Path) -> torch.jit.ScriptModule:
    """Loads a TorchScript network.

    Raises:
        InputError: the file is none.
    """
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"{path} is no TorchScript network", "Save it by torch.jit.save") from error


def align_face(frame: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Moves a face to ArcFace's places: frame (H, W, 3) uint8, landmarks (68, 2) -> (112, 112, 3) uint8."""
    import cv2

    five = np.stack(
        [points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[30], points[48], points[54]]
    )
    affine = np.column_stack(similarity(five, FACE))
    return cv2.warpAffine(frame, affine, (FACE_SIZE, FACE_SIZE), borderMode=cv2.BORDER_REPLICATE)
