"""Ray gives its own start 30 s, which a machine busy with other work may miss."""

from collections.abc import Callable

import pytest

STARTS = 3


def with_ray(call: Callable):
    """What `call`, which starts Ray, returns; skipped where Ray is missing or does not start in time."""
    ray = pytest.importorskip("ray")
    for _ in range(STARTS):
        try:
            return call()
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
    pytest.skip("this machine is too busy to start Ray")
