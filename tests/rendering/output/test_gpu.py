"""Pictures by tensors, as on a GPU, and by OpenCV on the CPU: the same frames, whatever is shown.

OpenCV looks up colours and fields at places rounded to 1/32 of a pixel and of a cell; tensors do not round.
Along sharp edges that the spline stretches, a few pixels in 100,000 differ by 2 to 6 levels.
"""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from atldiff.config import PRESETS
from atldiff.landmarks import LOWER_LIDS, UPPER_LIDS, crop_box, to_crop
from atldiff.portrait.portrait import Portrait, load_portrait
from atldiff.rendering.diffusion.identity import CompactIdentityEncoder
from atldiff.rendering.diffusion.sampler import make_scheduler
from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel
from atldiff.rendering.face_parts.mouth import LayeredMouth
from atldiff.rendering.face_parts.overlay import Closures
from atldiff.rendering.output.cpu import HostFrames
from atldiff.rendering.output.gpu import frames as tensor_frames
from atldiff.rendering.output.gpu.frames import TensorFrames
from atldiff.rendering.output.gpu.paint import paint_closures, paint_mouths
from atldiff.rendering.output.gpu.warp import TensorWarp, crop_field, tensor_field
from atldiff.rendering.renderer import FIRST_WINDOWS, Renderer, window_spans
from atldiff.rendering.warp.canvas import Canvas, make_canvas
from atldiff.rendering.warp.disocclusion import opened_mouth
from atldiff.rendering.warp.prior import WarpedPhoto
from atldiff.rendering.warp.spline import displacement_field
from atldiff.sequence import LandmarkSequence

FRAMES, SIZES, CPU = 6, (64, 128), torch.device("cpu")


@pytest.fixture(scope="module")
def portrait(request) -> Portrait:
    return load_portrait(request.getfixturevalue("portrait_path").parent / "drawn.jpg", matte=True)


@pytest.fixture(scope="module")
def points(portrait) -> np.ndarray:
    """A head that sways while its mouth opens and its eyes close."""
    points = np.stack([portrait.landmarks + (3 * np.sin(i), i) for i in range(FRAMES)])
    points[:, [65, 66, 67, 55, 56, 57, 58, 59], 1] += 6 * np.arange(FRAMES)[:, None]
    points[:, 6:11, 1] += 5 * np.arange(FRAMES)[:, None]
    shut = np.linspace(0, 1, FRAMES)[:, None, None]
    upper, lower = points[:, list(UPPER_LIDS)], points[:, list(LOWER_LIDS)]
    points[:, list(UPPER_LIDS)] = upper + shut * (lower - upper)
    return points.astype(np.float32)


def channels_last(moving: torch.Tensor) -> np.ndarray:
    return moving.permute(0, 2, 3, 1).numpy()


def assert_alike(made: np.ndarray, expected: np.ndarray, most: int, share: float) -> None:
    """At most `share` of the pixels differ by more than one level, none by more than `most`."""
    assert made.shape == expected.shape and made.dtype == expected.dtype == np.uint8
    apart = np.abs(made.astype(int) - expected).max(axis=-1)
    assert apart.max() <= most and (apart > 1).mean() <= share, (apart.max(), (apart > 1).mean())


def test_the_field_is_the_same(portrait, points):
    landmarks, still = to_crop(points, portrait.box), to_crop(portrait.landmarks, portrait.box)
    field = tensor_field(landmarks, still, "cpu").permute(0, 2, 3, 1)
    np.testing.assert_allclose(field, displacement_field(landmarks, still), atol=1e-5)


def test_the_warp_is_the_same(portrait, points):
    canvas = make_canvas(portrait, points)
    made = TensorWarp.from_canvas(canvas, "cpu").warp(crop_field(canvas, points, "cpu"))
    photo, face = WarpedPhoto.from_canvas(canvas).photo, canvas.views[0]
    fields = displacement_field(to_crop(points, face), to_crop(canvas.landmarks, face))
    expected = np.stack([photo.warp(field, face, canvas.rect) for field in fields])
    assert_alike(channels_last(made), expected, most=6, share=1e-3)


def test_a_photo_too_large_to_be_enlarged_is_looked_up_by_cubic_interpolation(portrait, points):
    canvas = make_canvas(portrait, points)
    field, warp = crop_field(canvas, points, "cpu"), TensorWarp.from_canvas(canvas, "cpu")
    photo = torch.from_numpy(canvas.image).permute(2, 0, 1)[None].float()
    x0, y0, x1, y1 = canvas.rect
    rows, columns = torch.arange(y0, y1).float(), torch.arange(x0, x1).float()
    own = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    plain = replace(warp, photo=photo, factor=1, own=own, scale=warp.scale / warp.factor)
    apart = plain.warp(field).float() - warp.warp(field).float()
    assert warp.factor > 1 and 10 * torch.log10(255**2 / apart.square().mean()) > 45


def test_the_painted_mouth_is_the_same(portrait, points):
    image, still = portrait.image, portrait.landmarks
    mouth, (outlines, shares) = LayeredMouth.from_photo(image, still), opened_mouth(points, still)
    expected = np.stack([image] * FRAMES)
    for about in zip(expected, points, outlines, shares, strict=True):
        mouth.paint(*about)
    made = torch.from_numpy(np.stack([image] * FRAMES)).permute(0, 3, 1, 2).contiguous()
    paint_mouths(made, mouth, points, outlines, shares)
    assert (expected != image).any()
    assert_alike(channels_last(made), expected, most=1, share=0)


def test_closing_lids_are_the_same(portrait, points):
    image, closures = portrait.image, Closures.from_photo(portrait.image, portrait.landmarks)
    expected = np.stack([image] * FRAMES)
    for frame, marks in zip(expected, points, strict=True):
        closures.paint(frame, marks)
    made = torch.from_numpy(np.stack([image] * FRAMES)).permute(0, 3, 1, 2).contiguous()
    paint_closures(made, closures, points)
    assert (expected[-1] != image).any() and (expected[0] == image).all()
    assert_alike(channels_last(made), expected, most=1, share=0)


def both(
    canvas: Canvas, points: np.ndarray, prior: str = "warp", poses: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Frames with residuals of noise, by tensors and by OpenCV."""
    rng, made = np.random.default_rng(0), []
    residuals = [torch.from_numpy(rng.normal(0, 0.1, (1, 3, FRAMES, s, s)).astype(np.float32)) for s in SIZES]
    unseen = [rng.random((FRAMES, s, s), np.float32) for s in SIZES]
    for pictures in (
        TensorFrames.from_canvas(canvas, prior, SIZES, CPU),
        HostFrames.from_canvas(canvas, prior, SIZES),
    ):
        moving = pictures.moving(canvas.to_canvas(points), poses)
        made.append(np.stack(list(pictures.finish(moving, residuals, unseen))))
    return made[0], made[1]


@pytest.mark.parametrize(
    ("output", "background"), [("photo", "keep"), ("photo", "green"), ("square", "matte"), ("crop", "keep")]
)
def test_frames_are_the_same(portrait, points, output, background):
    made, expected = both(make_canvas(portrait, points, output, background), points)
    assert_alike(made, expected, most=6, share=1e-3)


POSES = np.array([[2, 1, 1, 0.01, 0, 0.01]]) * np.arange(FRAMES)[:, None]  # up to ten degrees


@pytest.mark.parametrize(("output", "background"), [("photo", "keep"), ("square", "matte")])
def test_frames_of_a_head_that_turns_are_the_same(portrait, points, output, background):
    canvas = make_canvas(portrait, points, output, background, poses=POSES)
    made, expected = both(canvas, points, poses=POSES)
    assert_alike(made, expected, most=8, share=2e-3)


def test_a_pose_of_zeros_leaves_the_frame_as_it_is(portrait, points):
    canvas = make_canvas(portrait, points, poses=POSES)
    pictures = HostFrames.from_canvas(canvas, "warp", SIZES)
    made, still = pictures.moving(points, POSES), pictures.moving(points)
    np.testing.assert_array_equal(made[0], still[0])
    assert (np.abs(made[-1].astype(int) - still[-1]) > 8).mean() > 0.02


def test_what_lies_beside_a_head_that_turns_stays(portrait, points):
    canvas = make_canvas(portrait, points, poses=POSES)
    pictures = HostFrames.from_canvas(canvas, "warp", SIZES)
    made, still = (pictures.moving(points, poses)[-1].astype(int) for poses in (POSES, None))
    changes = np.abs(made - still).max(axis=-1) > 2
    assert changes.mean() > 0.02
    for corner in (changes[-40:, :40], changes[-40:, -40:]):
        assert not corner.any()


def test_the_mouth_view_holds_the_mouth_of_a_head_that_turns(portrait, points):
    canvas = make_canvas(portrait, points, poses=POSES)
    mouth = canvas.turn(points, POSES)[:, 48:]
    view = canvas.views[1]
    assert (mouth >= view[:2]).all() and (mouth <= view[2:]).all()
    assert np.abs(mouth - points[:, 48:]).max() > 10


def test_frames_of_the_papers_prior_are_the_same(portrait, points):
    made, expected = both(make_canvas(portrait, points), points, prior="identity")
    assert_alike(made, expected, most=1, share=0)


def test_frames_of_a_grey_photo_and_of_a_face_at_the_photos_edge_are_the_same(portrait, points):
    corner = (portrait.landmarks.min(axis=0) - 2).round()
    x, y = corner.astype(int)
    grey = np.repeat(portrait.image[y:, x:].mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    still = portrait.landmarks - corner
    cut = Portrait(np.ascontiguousarray(grey), still, crop_box(still))
    canvas = make_canvas(cut, points - corner)
    made, expected = both(canvas, points - corner)
    assert canvas.tone is not None and canvas.rect[0] < 0
    assert_alike(made, expected, most=6, share=1e-3)


@pytest.mark.parametrize("output", ["photo", "crop"])
def test_what_the_network_sees_is_the_same(portrait, points, output):
    canvas = make_canvas(portrait, points, output)
    pictures, host = (
        TensorFrames.from_canvas(canvas, "warp", SIZES, CPU),
        HostFrames.from_canvas(canvas, "warp", SIZES),
    )
    moving = host.moving(canvas.to_canvas(points))
    tensors = [torch.from_numpy(part).permute(2, 0, 1) for part in moving]
    for view in range(len(SIZES)):
        made, expected = (
            each.stack_prior(each.crop_views(parts, view))
            for each, parts in ((pictures, tensors), (host, moving))
        )
        assert made.shape == (1, 3, FRAMES, SIZES[view], SIZES[view])
        torch.testing.assert_close(made, expected, atol=1.01 / 127.5, rtol=0)
    assert pictures.crop_views([], 0) == []


def test_a_window_worked_on_in_parts_is_the_same(portrait, points, monkeypatch):
    canvas = make_canvas(portrait, points)
    whole, _ = both(canvas, points)
    x0, y0, x1, y1 = canvas.rect
    monkeypatch.setattr(tensor_frames, "_AT_ONCE", 4 * 3 * (y1 - y0) * (x1 - x0))
    parts, _ = both(canvas, points)
    assert_alike(parts, whole, most=6, share=1e-4)  # the field's finely sampled part is a window's own


class OneDevice(TorchDispatchMode):
    """Fails where an operation other than a copy has tensors of two devices."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor) and t.dim()]
        assert len({t.device for t in tensors}) < 2 or "copy" in function.__name__, function
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("output", ["photo", "crop"])
def test_nothing_is_mixed_between_devices(portrait, points, output):
    """On a device whose tensors have no contents, every step up to the one copy back."""
    canvas = make_canvas(portrait, points, output)
    canvas = replace(canvas, tone=np.zeros((256, 3), np.uint8))
    with OneDevice():
        pictures = TensorFrames.from_canvas(canvas, "warp", SIZES, torch.device("meta"))
        moving = pictures.moving(canvas.to_canvas(points))
        made = [pictures.stack_prior(pictures.crop_views(moving, view)) for view in range(len(SIZES))]
        residuals = [torch.zeros(FRAMES, 3, size, size, device="meta") for size in SIZES]
        masks = [torch.zeros(FRAMES, size, size, device="meta") for size in SIZES]
        made.append(pictures.composite.frames(torch.stack(moving), residuals, masks))
    assert all(each.is_meta for each in (*moving, *made))
    assert made[-1].dtype == torch.uint8 and len(made[-1]) == FRAMES


@pytest.mark.parametrize("name", ["starter", "paper-mead"])
def test_a_video_of_several_windows_is_the_same(portrait, points, name):
    """Through the renderer, which overlaps its windows and shows the network what the last one showed."""
    preset, identity = PRESETS[name], CompactIdentityEncoder((8, 8), 8)
    torch.manual_seed(0)
    small = {"block_out_channels": (8, 16), "patch_size": 4, "identity_dim": 8}
    shape = replace(preset.unet, **small, identity_fusion="channels")
    unet = IdentityUNet3DModel(**asdict(shape)).eval()
    torch.nn.init.normal_(unet.conv_out.weight, std=0.005)
    there_and_back = points[[*range(FRAMES), *range(FRAMES - 2, 0, -1)] * 3][: sum(FIRST_WINDOWS) + 2]
    sequence = LandmarkSequence(there_and_back, portrait.landmarks, np.zeros(64, np.float32))
    canvas = make_canvas(portrait, sequence.points, "crop", mouth=len(preset.view_sizes) > 1)
    made, expected = (
        np.stack(list(renderer.frames(portrait, sequence, canvas, 1, seed=0)))
        for renderer in (
            Renderer(unet, identity, make_scheduler(), preset, tensors) for tensors in (True, False)
        )
    )
    assert len(list(window_spans(len(made), preset.overlap))) == 3
    assert_alike(made, expected, most=6, share=1e-3)
    assert (expected != expected[0]).any()
