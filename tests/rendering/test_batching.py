"""Windows of several requests in one batch: each gets the same answer as alone."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from atldiff import ATLDiffPipeline, Options
from atldiff.portrait.portrait import load_portrait
from atldiff.rendering.batching import WindowBatcher
from atldiff.rendering.diffusion.unet3d import IdentityUNet3DModel
from atldiff.sequence import LandmarkSequence

LONG = 60.0  # seconds; a batch that is to be full waits no shorter


@pytest.fixture(scope="module")
def unet() -> IdentityUNet3DModel:
    torch.manual_seed(0)
    shape = {"block_out_channels": (8, 16), "patch_size": 2, "guide_channels": 3, "identity_dim": 6}
    unet = IdentityUNet3DModel(**shape, emotion_dim=4, style_dim=2).eval()
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return unet


def window(seed: int, frames: int = 3, batch: int = 1) -> tuple:
    """The arguments of one call, each window with its own timestep."""
    draw = torch.Generator().manual_seed(seed)
    shapes = [(3, frames, 16, 16), (3, frames, 16, 16), (6,), (4,), (3, frames, 16, 16), (2,)]
    sample, *others = (torch.randn(batch, *shape, generator=draw) for shape in shapes)
    return sample, torch.tensor(100 * seed), *others


class Counted:
    """A network that records the windows of each call, and fails if a window is infinite."""

    device, dtype, config = torch.device("cpu"), torch.float32, SimpleNamespace(emotion_dim=4)

    def __init__(self, unet: IdentityUNet3DModel) -> None:
        self.unet, self.sizes = unet, []

    def __call__(self, sample, *others):
        self.sizes.append(len(sample))
        if not torch.isfinite(sample).all():
            raise ValueError("infinite")
        return self.unet(sample, *others)


def called(network, windows: list[tuple]) -> list:
    """Calls the network from one thread a window; returns the answers or errors."""
    with ThreadPoolExecutor(len(windows)) as threads:
        calls = [threads.submit(lambda w=w: network(*w).sample) for w in windows]
        return [call.exception() or call.result() for call in calls]


def test_a_batch_of_different_requests_answers_each_as_alone(unet):
    counted, windows = Counted(unet), [window(seed) for seed in range(4)]
    answers = called(WindowBatcher(counted, most=4, patience=LONG), windows)
    assert counted.sizes == [4]
    for answer, alone in zip(answers, windows, strict=True):
        with torch.no_grad():
            torch.testing.assert_close(answer, unet(*alone).sample, atol=1e-5, rtol=1e-5)


def test_no_batch_is_larger_than_allowed_and_calls_may_bring_several_windows(unet):
    counted, windows = Counted(unet), [window(seed, batch=2) for seed in range(6)]
    answers = called(WindowBatcher(counted, most=2, patience=LONG), windows)
    assert counted.sizes == [4, 4, 4] and all(len(answer) == 2 for answer in answers)


def test_windows_of_other_shapes_wait_for_no_one(unet):
    counted = Counted(unet)
    network = WindowBatcher(counted, most=8, patience=0.0)
    answers = called(network, [window(0, frames=3), window(1, frames=5), window(2, frames=3)])
    assert [answer.shape[2] for answer in answers] == [3, 5, 3] and sum(counted.sizes) == 3


def test_one_that_fails_fails_alone(unet):
    counted, windows = Counted(unet), [window(seed) for seed in range(3)]
    windows[1] = (torch.full_like(windows[1][0], torch.inf), *windows[1][1:])
    first, failed, last = called(WindowBatcher(counted, most=3, patience=LONG), windows)
    assert isinstance(failed, ValueError) and counted.sizes == [3, 1, 1, 1]
    with torch.no_grad():
        torch.testing.assert_close(first, unet(*windows[0]).sample)
        torch.testing.assert_close(last, unet(*windows[2]).sample)


def test_videos_made_side_by_side_are_those_made_alone_though_one_is_cancelled(portrait_path):
    pipeline = ATLDiffPipeline.from_preset()
    torch.nn.init.normal_(pipeline.unet.conv_out.weight, std=0.02)  # so that something is added to the prior
    portrait = load_portrait(portrait_path)
    emotion = np.zeros(pipeline.unet.config.emotion_dim, np.float32)
    still = LandmarkSequence(np.stack([portrait.landmarks] * 12), portrait.landmarks, emotion)
    moved = replace(still, points=still.points + np.linspace(0, 4, 12, dtype=np.float32)[:, None, None])
    jobs = [(still, Options(seed=1, output="crop")), (moved, Options(seed=2, steps=2, output="crop"))]

    def video(job: tuple) -> np.ndarray:
        return np.stack(list(pipeline.render(portrait, *job)))

    alone = [video(job) for job in jobs]
    pipeline.batch_windows()
    cancelled = pipeline.render(portrait, *jobs[0])
    with ThreadPoolExecutor(3) as threads:
        made = [threads.submit(video, job) for job in jobs]
        threads.submit(lambda: (next(cancelled), cancelled.close())).result()
        for future, expected in zip(made, alone, strict=True):
            assert np.abs(future.result().astype(int) - expected).max() <= 1
