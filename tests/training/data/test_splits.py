"""Splits by names alone."""

from collections import Counter

import pytest

from atldiff.training.data.splits import clip_split, speaker_splits


@pytest.mark.parametrize(
    ("people", "counts"), [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (91, (74, 8, 9))]
)
def test_a_tenth_of_the_speakers_tests_and_a_tenth_of_the_rest_validates(people, counts):
    placed = speaker_splits([f"{1001 + n}" for n in range(people)], {})
    found = Counter(placed.values())
    assert tuple(found[split] for split in ("train", "val", "test")) == counts


def test_speakers_stay_where_they_were():
    early = speaker_splits(["1001", "1007", "1042", "1050"], {})
    late = speaker_splits([f"{1001 + n}" for n in range(91)], early)
    assert all(late[who] == split for who, split in early.items())
    assert Counter(late.values()) == {"train": 74, "val": 8, "test": 9}


def test_order_does_not_matter():
    people = [f"M{n:03d}" for n in range(30)]
    assert speaker_splits(people, {}) == speaker_splits(reversed(people), {})


def test_clips_split_as_in_the_paper():
    found = Counter(clip_split(f"VideoFlash/{n}") for n in range(7442))
    assert found["test"] / 7442 == pytest.approx(0.10, abs=0.015)
    assert found["val"] / 7442 == pytest.approx(0.09, abs=0.015)
