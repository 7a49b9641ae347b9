"""Folds of the training people: cross-validation by person.

The people of one fold choose a run's best step and are not trained on. So the validation people, who score
the result, choose nothing.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from atldiff.errors import InputError
from atldiff.training.data.splits import rank
from atldiff.training.landmarks.clips import SpeechClip

CLIPS_A_PERSON = 2  # of a fold's clips that choose, so that no person outweighs the others


@dataclass(frozen=True)
class Fold:
    """One of the folds.

    Attributes:
        number: 0 to count - 1.
        count: number of folds, at least 2.
    """

    number: int
    count: int

    @classmethod
    def from_text(cls, text: str) -> "Fold":
        """The fold that a text such as "0/4" names.

        Raises:
            InputError: it names none.
        """
        number, _, count = text.partition("/")
        if number.isdecimal() and count.isdecimal() and int(number) < int(count) and int(count) > 1:
            return cls(int(number), int(count))
        raise InputError(f"{text!r} is no fold", "Write its number and the number of folds, such as 0/4")

    def holds(self, speaker: str) -> bool:
        """Is the person in this fold? It depends on the name alone."""
        return rank(speaker) % self.count == self.number


def held_out(clips: Iterable[SpeechClip], fold: Fold) -> list[SpeechClip]:
    """The fold's clips, at most CLIPS_A_PERSON of each person."""
    selection: list[SpeechClip] = []
    counts: Counter[str] = Counter()
    for clip in clips:
        if fold.holds(clip.speaker) and counts[clip.speaker] < CLIPS_A_PERSON:
            counts[clip.speaker] += 1
            selection.append(clip)
    return selection


def trained_on(speakers: Sequence[str], fold: Fold | None) -> list[bool]:
    """Which clips (N,) are trained on: those of people outside the fold; all without a fold."""
    return [fold is None or not fold.holds(speaker) for speaker in speakers]
