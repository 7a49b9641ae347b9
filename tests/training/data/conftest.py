"""One Ray cluster for the tests of this folder."""

from collections.abc import Iterator

import pytest

from atldiff.training.data.engines import RayEngine, open_engine

STARTS = 3


@pytest.fixture(scope="package")
def ray_engine(tmp_path_factory) -> Iterator[RayEngine]:
    """A cluster of two processes on this machine, which leaves nothing in the home folder."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))  # its processes keep it
        engine = start_ray()
    with engine:
        yield engine
    assert [path.name for path in home.iterdir()] == []


def start_ray() -> RayEngine:
    """Starts Ray; skips the test if it is missing, or later than its 30 s on a busy machine."""
    ray = pytest.importorskip("ray")
    for _ in range(STARTS):
        try:
            return open_engine("ray", 2)
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
    pytest.skip("this machine is too busy to start Ray")
