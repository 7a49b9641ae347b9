"""Starts Ray in tests; a busy machine may exceed its time limit of 30 s."""

from collections.abc import Callable

import pytest

STARTS = 3


def with_ray(call: Callable):
    """Returns the result of `call`, which starts Ray; skips the test if Ray is missing or starts too late."""
    ray = pytest.importorskip("ray")
    for _ in range(STARTS):
        try:
            return call()
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
    pytest.skip("this machine is too busy to start Ray")
