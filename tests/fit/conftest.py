import pytest
from brain_like import make_basis

from mrspipe.core.axis import SpectralAxis


@pytest.fixture(scope="session")
def axis():
    return SpectralAxis(2048, 1 / 2000, 127.7e6, 4.65)


@pytest.fixture(scope="session")
def basis(axis):
    return make_basis(axis)
