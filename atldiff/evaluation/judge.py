"""A classifier two-sample test of generated against real mouths, on disjoint sets of people.

- A small convolutional judge learns on mouth crops of some people, real and generated at the same moments.
- The measure is the area under its ROC curve on other people: 0.5 = no difference, 1 = always correct.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atldiff import landmarks as lm
from atldiff.portrait.photo import crop_square
from atldiff.rendering.levels import to_signed

CROP = 64  # pixels of a judged crop
REACH = 0.8  # its side in inter-ocular distances
EPOCHS, BATCH, LEARNING_RATE = 12, 64, 1e-3


@dataclass(frozen=True, eq=False)
class Mouths:
    """Crops of mouths.

    Attributes:
        real: (N, 64, 64, 3) uint8.
        generated: (N, 64, 64, 3) uint8, of the same moments.
        people: (N,) str, name of the person.
    """

    real: np.ndarray
    generated: np.ndarray
    people: np.ndarray


class Judge(nn.Module):
    """A convolutional classifier: crops (N, 3, 64, 64) in [-1, 1] -> logits (N,), positive for "real"."""

    def __init__(self, channels: Sequence[int] = (32, 64, 96, 128)) -> None:
        super().__init__()
        layers, width = [], 3
        for out in channels:
            layers += [nn.Conv2d(width, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
            layers += [nn.Conv2d(out, out, 3, stride=2, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
            width = out
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * width, 1))

    def forward(self, crops: Tensor) -> Tensor:
        """Logits (N,) of crops (N, 3, 64, 64)."""
        h = self.layers(crops)
        return self.head(torch.cat([h.mean(dim=(2, 3)), h.amax(dim=(2, 3))], dim=1))[:, 0]


def mouth_crops(frames: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Mouth crops (F, 64, 64, 3) of frames (F, H, W, 3) uint8 with landmarks (F, 68, 2) in pixels."""
    crops = []
    for frame, marks in zip(frames, points, strict=True):
        side = REACH * float(lm.inter_ocular_distance(marks))
        crops.append(crop_square(frame, lm.square_box(marks[lm.MOUTH].mean(axis=0), side), CROP))
    return np.stack(crops)


def two_sample_auc(train: Mouths, test: Mouths, seed: int = 0, epochs: int = EPOCHS) -> float:
    """Area under the ROC curve of a judge that is trained on `train` and tested on `test`, other people."""
    assert not set(train.people) & set(test.people), "people must be kept apart"
    crops = np.concatenate([train.real, train.generated])
    labels = np.repeat([1.0, 0.0], [len(train.real), len(train.generated)])
    judge = train_judge(crops, labels, seed, epochs)
    return area_under_curve(judge_scores(judge, test.real), judge_scores(judge, test.generated))


def shuffled_auc(train: Mouths, test: Mouths, seed: int = 0, epochs: int = EPOCHS) -> float:
    """The control: the same judge on real mouths against other people's real mouths.

    A value far from 0.5 means that the judge recognises people, not generated pictures.
    """
    rng = np.random.default_rng(seed)
    halves = [_random_half(mouths.people, rng) for mouths in (train, test)]
    judge = train_judge(train.real, halves[0].astype(float), seed, epochs)
    scores = judge_scores(judge, test.real)
    return area_under_curve(scores[halves[1]], scores[~halves[1]])


def train_judge(crops: np.ndarray, labels: np.ndarray, seed: int, epochs: int) -> Judge:
    """Trains a judge on crops (N, 64, 64, 3) uint8 with labels (N,), 1 = real."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        judge, pictures = Judge().train(), _to_tensor(crops)
        targets = torch.from_numpy(labels).float()
        steps = epochs * max(1, len(crops) // BATCH)
        optimizer = torch.optim.AdamW(judge.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2 * LEARNING_RATE, total_steps=steps)
        for _ in range(steps):
            batch = torch.randint(len(crops), (min(BATCH, len(crops)),))
            loss = F.binary_cross_entropy_with_logits(judge(_augment(pictures[batch])), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return judge.eval()


def judge_scores(judge: Judge, crops: np.ndarray) -> np.ndarray:
    """The judge's logits (N,) of crops (N, 64, 64, 3) uint8, averaged over crop and mirror image."""
    scores = []
    with torch.no_grad():
        for pictures in _to_tensor(crops).split(256):
            scores.append((judge(pictures) + judge(pictures.flip(-1))) / 2)
    return torch.cat(scores).numpy()


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> float:
    """Area under the ROC curve: how often a positive score exceeds a negative one; ties count half.

    Args:
        positive, negative: (N,), (M,) scores.
    """
    values = np.concatenate([positive, negative])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    wins = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(wins / (len(positive) * len(negative)))


def _random_half(people: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) bool, members of a random half of the people."""
    names = np.unique(people)
    return np.isin(people, rng.permutation(names)[: len(names) // 2])


def _augment(pictures: Tensor) -> Tensor:
    """Mirrors (N, 3, H, W) at random, moves them by up to four pixels, and changes their light."""
    count = len(pictures)
    pictures = torch.where(torch.rand(count, 1, 1, 1) < 0.5, pictures.flip(-1), pictures)
    dy, dx = (int(v) for v in torch.randint(-4, 5, (2,)))
    pictures = pictures.roll((dy, dx), dims=(2, 3))
    gain = 1 + 0.3 * (torch.rand(count, 1, 1, 1) - 0.5)
    return pictures * gain + 0.3 * (torch.rand(count, 3, 1, 1) - 0.5)


def _to_tensor(crops: np.ndarray) -> Tensor:
    return to_signed(torch.from_numpy(crops).permute(0, 3, 1, 2))
