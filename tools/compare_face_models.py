"""Compares the package's face networks with MediaPipe 0.10.21, the last version that carries its models.

python tools/compare_face_models.py reference PICTURES CLIPS OUT   in an environment with mediapipe==0.10.21
python tools/compare_face_models.py compare PICTURES CLIPS OUT     in one with this package

- PICTURES and CLIPS are folders of photos and videos; OUT is the reference's file, .npz.
- Distances are in pixels of the mesh's crop, which is 192 wide.
- A track feeds on itself: tiny differences grow. So each frame is also fitted from the reference's last mesh.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image

PICTURES, GROUPS, CLIPS, FRAMES = 500, 40, 16, 60
TILE = 240  # pixels; side of each of the four faces of a group


def pictures(folder: Path) -> Iterator[np.ndarray]:
    """Reads photos, evenly spaced in the order of their names."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    for index in np.linspace(0, len(paths) - 1, PICTURES).astype(int):
        yield np.array(Image.open(paths[index]).convert("RGB"))


def groups(folder: Path) -> Iterator[np.ndarray]:
    """Puts four photos each into one picture of several faces."""
    images = list(pictures(folder))
    for group in range(GROUPS):
        four = [Image.fromarray(images[(12 * group + 3 * tile) % PICTURES]) for tile in range(4)]
        tiles = [np.asarray(image.resize((TILE, TILE))) for image in four]
        yield np.ascontiguousarray(np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])]))


def clips(folder: Path) -> Iterator[list[np.ndarray]]:
    """Reads the first frames of clips, evenly spaced in the order of their names."""
    paths = sorted(folder.iterdir())
    for index in np.linspace(0, len(paths) - 1, CLIPS).astype(int):
        with av.open(str(paths[index])) as container:
            frames = (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
            yield [frame for frame, _ in zip(frames, range(FRAMES), strict=False)]


def write_reference(photos: Path, videos: Path, out: Path) -> None:
    """Writes the meshes (478, 3) that MediaPipe's graphs find, pixels."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    meshes: dict[str, np.ndarray] = {}

    def keep(name: str, images: Iterator[np.ndarray] | list[np.ndarray], **options) -> None:
        """Stores the reference's meshes of images under a name and their number."""
        with FaceMesh(refine_landmarks=True, **options) as graph:
            for number, image in enumerate(images):
                scale = [image.shape[1], image.shape[0], image.shape[1]]
                faces = graph.process(image).multi_face_landmarks or []
                points = [[(p.x, p.y, p.z) for p in face.landmark] for face in faces]
                meshes[f"{name}_{number}"] = np.array(points).reshape(-1, 478, 3) * scale

    keep("picture", pictures(photos), static_image_mode=True)
    keep("group", groups(photos), static_image_mode=True, max_num_faces=4)
    for number, frames in enumerate(clips(videos)):
        keep(f"clip{number}", frames)
    np.savez(out, **meshes)


def compare(photos: Path, videos: Path, out: Path) -> None:
    """Prints how far the package's meshes lie from the reference's."""
    from atldiff.portrait.face_networks import MESH_SIDE, Square, find_meshes, fit_meshes

    reference = np.load(out)

    def distance(mesh: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        pixel = Square.from_mesh(wanted).side / MESH_SIDE
        return np.linalg.norm(mesh[:, :2] - wanted[:, :2], axis=1) / pixel

    def report(name: str, distances: list[np.ndarray], missing: int) -> None:
        every = np.concatenate(distances)
        median, most = np.median(every), np.quantile(every, 0.95)
        print(f"{name}: {len(distances)} meshes, median {median:.4f}, 95 % {most:.4f}, max {every.max():.4f}")
        print(f"  {missing} faces that only one of them sees")

    for name, images, most in (("picture", pictures(photos), 1), ("group", groups(photos), 4)):
        distances, missing = [], 0
        for number, image in enumerate(images):
            ours, wanted = find_meshes(image, most), reference[f"{name}_{number}"]
            missing += abs(len(ours) - len(wanted))
            distances += [min((distance(mesh, one) for mesh in ours), key=np.max) for one in wanted if ours]
        report(name, distances, missing)
    free, forced, missing = [], [], 0
    for clip, frames in enumerate(clips(videos)):
        mesh = last = None
        for number, frame in enumerate(frames):
            (mesh,) = [None] if mesh is None else fit_meshes(frame, [Square.from_mesh(mesh)])
            mesh = next(iter(find_meshes(frame)), None) if mesh is None else mesh
            wanted = next(iter(reference[f"clip{clip}_{number}"]), None)
            missing += (mesh is None) != (wanted is None)
            if mesh is not None and wanted is not None:
                free.append(distance(mesh, wanted))
            if last is not None and wanted is not None:
                forced += [
                    distance(one, wanted)
                    for one in fit_meshes(frame, [Square.from_mesh(last)])
                    if one is not None
                ]
            last = wanted
    report("track", free, missing)
    report("track, each frame from the reference's last mesh", forced, 0)


if __name__ == "__main__":
    action = {"reference": write_reference, "compare": compare}[sys.argv[1]]
    action(*map(Path, sys.argv[2:5]))
