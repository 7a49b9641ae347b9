"""Which clips train, validate and test: by speaker (the default), or by clip as in the paper.

Both are functions of names alone, so a corpus that is still being downloaded keeps its splits: clips that
come later never move those that were there.
"""

import hashlib
from collections.abc import Iterable

TEST_SHARE = 0.1  # of all (Sec. 3.1: 90/10)
VALIDATION_SHARE = 0.1  # of what is left
SPLITS = ("train", "val", "test")
RULES = ("speakers", "clips")


def rank(name: str) -> int:
    """A number below 2**62 that looks random and depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) >> 2


def clip_split(key: str) -> str:
    """The paper's split: a tenth of the clips tests, a tenth of the rest validates; people are in all three.

    The one-second pieces of a clip stay together.
    """
    place = rank(key) / 2**62
    if place < TEST_SHARE:
        return "test"
    return "val" if place < TEST_SHARE + (1 - TEST_SHARE) * VALIDATION_SHARE else "train"


def speaker_splits(speakers: Iterable[str], known: dict[str, str]) -> dict[str, str]:
    """The split of each speaker: a tenth of them tests, a tenth of the rest validates; at least one each of
    three or more.

    Args:
        known: speakers that were placed before; they stay.

    Returns:
        All speakers, the known ones as they were.
    """
    placed = dict(known)
    new = sorted(set(speakers) - set(placed), key=rank)
    total = len(placed) + len(new)
    wanted = {"test": 0, "val": 0}
    if total >= len(SPLITS):
        wanted["test"] = max(1, round(TEST_SHARE * total))
        wanted["val"] = max(1, round(VALIDATION_SHARE * (total - wanted["test"])))
    for speaker in new:
        held = list(placed.values())
        short = [split for split, count in wanted.items() if held.count(split) < count]
        placed[speaker] = short[0] if short else "train"
    return placed
