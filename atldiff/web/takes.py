"""Takes: the videos of a visit, each with the settings that made it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atldiff.options import OPTIONS

MAX_TAKES = 4  # takes of a visit that the page shows
_FILES = {
    "landmarks": "landmarks of",
    "driving_video": "driven by",
    "poses": "turned by",
    "backdrop": "before",
    "answer": "answered by",
}


@dataclass(frozen=True)
class Take:
    """One video of a visit.

    Attributes:
        video: path of the file, named from photo and voice.
        values: the arguments of `animate` by name.
    """

    video: str
    values: dict[str, Any]

    @property
    def options(self) -> dict[str, Any]:
        """The settings, without the files."""
        return {name: value for name, value in self.values.items() if name in OPTIONS}

    def describe(self, usual: Mapping[str, Any]) -> str:
        """Describes the take: its name, and the settings that differ from the usual ones.

        Args:
            usual: values of the options that are not worth a word.
        """
        words = [
            f"{OPTIONS[name].metadata['label']} {'on' if value is True else value}"
            for name, value in self.options.items()
            if value != usual.get(name)
        ]
        words += [
            f"{text} {Path(self.values[name]).name}" for name, text in _FILES.items() if self.values.get(name)
        ]
        return f"{Path(self.video).stem}: {', '.join(words) or 'as usual'}"


def add_take(takes: list[Take], new: Take) -> list[Take]:
    """Puts a take before the earlier ones; drops the oldest, and those whose file is gone."""
    return [take for take in (new, *takes) if Path(take.video).is_file()][:MAX_TAKES]
