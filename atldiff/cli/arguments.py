"""The command line's numbers: what `type=` of an option is, so that one out of range ends in a sentence."""

from argparse import ArgumentTypeError
from collections.abc import Callable


def whole_number(least: int) -> Callable[[str], int]:
    """Reads a whole number that is no smaller than `least`."""

    def read(text: str) -> int:
        """The number of what was typed."""
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise ArgumentTypeError(f"{text} is no whole number from {least} on")
        return value

    return read


def positive_number(text: str) -> float:
    """Reads a number above nought."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ArgumentTypeError(f"{text} is no number above 0")
    return value
