"""Fixtures that more than one folder of tests uses."""

from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

_REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real spectra; the test skips where it is absent."""
    if not _REAL_DATA.is_dir():
        pytest.skip("the real spectra are not in ../shared/data")
    return _REAL_DATA
