"""Glances away from the viewer and back, between phrases.

- A speaker looks at the listener for some 3 s, then away for some 0.9 s. Most glances go to the side or down.
  Lee, Badler and Badler, "Eyes Alive" (2002) count 94 and 28 frames at 30 a second.
- The eyes leave as a pause or a phrase begins. They come back as the phrase goes on (Kendon 1967).
- In a pause of seconds they leave by themselves, too.
- A frame depends on the voice up to it, never on what follows.
"""

import numpy as np

CONTACT, AWAY = 94, 28  # mean frames at the viewer, and away
LEAST_CONTACT, LEAST_AWAY = 30, 12  # frames
LEAST_ANGLE, MORE, MOST_ANGLE = 5.0, 6.9, 14.0  # degrees: least, mean of what is added, most
SPOKEN = 0.5  # voice activity from which on somebody speaks
IDLE = 90  # frames of silence after which the eyes may leave without a phrase
_SACCADE = 2  # frames of a jump of the eyes: 20 ms and 2.4 ms a degree
# How often eyes go right, right up, up, left up, left, left down, down, right down; percent (same source).
_WAYS = (15.5, 6.5, 17.7, 7.4, 16.8, 7.9, 20.4, 7.8)


def glance_angles(activity: np.ndarray, rate: float, seed: int) -> np.ndarray:
    """Where the eyes look.

    Args:
        activity: (F,) of the voice, 0 to 1.
        rate: 1 = as often as people, 0 = always at the viewer.
        seed: the same one gives the same glances.

    Returns:
        (F, 2) degrees away from the viewer, to the picture's right and down.
    """
    return Glances(rate, seed).push(activity)


class Glances:
    """`glance_angles` of a voice that is still being heard; it needs no frame of what follows."""

    def __init__(self, rate: float, seed: int) -> None:
        self._rate, self._rng = rate, np.random.default_rng([seed, 4])
        self._silent = 0  # frames since somebody spoke
        self._spoke = False  # whether somebody spoke in the frame before
        self._since = 0  # frames at the viewer, or away
        self._stays = self._draw_contact()  # frames to go on so, at least
        self._from = self._to = np.zeros(2)
        self._is_away = False

    def push(self, activity: np.ndarray) -> np.ndarray:
        """Takes the activity (n,) of further frames; gives the (n, 2) angles of the same frames."""
        return np.array([self._next(value >= SPOKEN) for value in activity]).reshape(-1, 2)

    def _next(self, speaks: bool) -> np.ndarray:
        turn, self._spoke = speaks != self._spoke, speaks  # a phrase begins or ends
        self._since, self._silent = self._since + 1, 0 if speaks else self._silent + 1
        may = self._is_away or turn or self._silent >= IDLE
        if self._rate > 0 and self._since >= self._stays and may:
            self._jump()
        share = min(self._since / _SACCADE, 1.0)
        return self._from + (self._to - self._from) * share * share * (3 - 2 * share)

    def _jump(self) -> None:
        self._is_away = not self._is_away
        self._from, self._since = self._to, 0
        if self._is_away:
            self._to = self._draw_angle()
            self._stays = LEAST_AWAY + self._rng.exponential(AWAY - LEAST_AWAY)
        else:
            self._to, self._stays = np.zeros(2), self._draw_contact()

    def _draw_contact(self) -> float:
        most = (CONTACT - LEAST_CONTACT) / max(self._rate, 1e-6)
        return LEAST_CONTACT + self._rng.exponential(most / 2)  # then it waits for a phrase to begin or end

    def _draw_angle(self) -> np.ndarray:
        size = min(LEAST_ANGLE + self._rng.exponential(MORE), MOST_ANGLE)
        way = np.pi / 4 * self._rng.choice(len(_WAYS), p=np.array(_WAYS) / sum(_WAYS))
        return size * np.array([np.cos(way), -np.sin(way)])
