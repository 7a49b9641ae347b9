"""Splits of a corpus into training, validation and test: by speaker (the default), or by clip (the paper).

A split depends on names alone, so clips that are added later do not move earlier ones.
"""

import hashlib
from collections.abc import Iterable

TEST_SHARE = 0.1  # of all (Sec. 3.1: 90/10)
VALIDATION_SHARE = 0.1  # of the rest
SPLITS = ("train", "val", "test")
RULES = ("speakers", "clips")


def rank(name: str) -> int:
    """A pseudo-random number below 2**62 that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) >> 2


def clip_split(key: str) -> str:
    """The paper's split: a tenth of the clips for test, a tenth of the rest for validation; people overlap.

    The one-second pieces of a clip stay together.
    """
    place = rank(key) / 2**62
    if place < TEST_SHARE:
        return "test"
    return "val" if place < TEST_SHARE + (1 - TEST_SHARE) * VALIDATION_SHARE else "train"


def speaker_splits(speakers: Iterable[str], known: dict[str, str]) -> dict[str, str]:
    """The split of each speaker: a tenth for test, a tenth of the rest for validation.

    Three or more speakers give at least one to each split.

    Args:
        known: speakers with a split already, which stay where they are.

    Returns:
        {speaker: split} of all speakers.
    """
    splits = dict(known)
    new = sorted(set(speakers) - set(splits), key=rank)
    total = len(splits) + len(new)
    quota = {"test": 0, "val": 0}
    if total >= len(SPLITS):
        quota["test"] = max(1, round(TEST_SHARE * total))
        quota["val"] = max(1, round(VALIDATION_SHARE * (total - quota["test"])))
    for speaker in new:
        places = list(splits.values())
        short = [split for split, count in quota.items() if places.count(split) < count]
        splits[speaker] = short[0] if short else "train"
    return splits
