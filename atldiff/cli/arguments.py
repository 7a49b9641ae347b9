"""Number types for argparse; a number out of range ends in a sentence."""

from argparse import ArgumentTypeError
from collections.abc import Callable


def whole_number(least: int) -> Callable[[str], int]:
    """The type of a whole number from `least` on."""

    def read(text: str) -> int:
        """Reads the number."""
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise ArgumentTypeError(f"{text} is no whole number from {least} on")
        return value

    return read


def positive_number(text: str) -> float:
    """Reads a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ArgumentTypeError(f"{text} is no number above 0")
    return value
