"""How many of the frames a machine makes in time: every one, every second, ... every sixth."""

STRIDES = 1, 2, 3, 4, 6
_WINDOW = 1.5  # seconds between two decisions
_WARM_UP = 2.0  # seconds of the first work that do not count
_FULL = 0.92  # share of the time from which on a thread cannot keep up
_CALM, _PATIENCE = 0.75, 4  # the share that more frames may need, and windows for which it must hold


class Pace:
    """Follows the load of a thread that makes frames."""

    def __init__(self) -> None:
        self._place, self._calm, self._is_warm = 0, 0, False
        self._worked = self._span = 0.0

    @property
    def stride(self) -> int:
        """One frame in so many can be made in time."""
        return STRIDES[self._place]

    def note(self, worked: float, span: float) -> None:
        """Notes seconds of work, and the seconds that there were for it."""
        self._worked, self._span = self._worked + worked, self._span + span
        if self._span >= (_WINDOW if self._is_warm else _WARM_UP):
            if self._is_warm:
                self._decide(self._worked / self._span)
            self._worked, self._span, self._is_warm = 0.0, 0.0, True

    def _decide(self, load: float) -> None:
        """Fewer frames at once where the thread cannot keep up, more again after some calm windows."""
        finer = STRIDES[max(self._place - 1, 0)]
        is_calm = load * self.stride < _CALM * finer and finer < self.stride
        self._calm = self._calm + 1 if is_calm else 0
        if load > _FULL:
            self._place = min(self._place + 1, len(STRIDES) - 1)
        elif self._calm >= _PATIENCE:
            self._place, self._calm = self._place - 1, 0
