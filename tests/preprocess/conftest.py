from types import SimpleNamespace

import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis

AXIS = SpectralAxis(1024, 1 / 2000, 127.7e6, 4.65)


def line(ppm: float, amplitude: float, width_hz: float, phase_rad: float = 0.0) -> np.ndarray:
    """A Lorentzian of the given full width at half maximum."""
    t = AXIS.time_s
    return amplitude * np.exp(1j * phase_rad + 2j * np.pi * AXIS.offset_hz(ppm) * t - np.pi * width_hz * t)


def noise(rng: np.random.Generator, sd: float, *shape: int) -> np.ndarray:
    """Complex noise; ``sd`` of the real and of the imaginary part."""
    return sd * (rng.standard_normal((*shape, AXIS.n_points)) + 1j * rng.standard_normal((*shape, AXIS.n_points)))


_SINGLETS = ((2.01, 1.0), (2.35, 0.4), (3.03, 0.8), (3.2, 0.6), (3.55, 0.5), (3.93, 0.6))


@pytest.fixture(scope="session")
def mr() -> SimpleNamespace:
    """A 3 T axis, a metabolite FID whose NAA has amplitude 1, a water FID a thousand times it, and their parts."""
    metabolites = np.sum([line(ppm, amplitude, 5.0) for ppm, amplitude in _SINGLETS], axis=0)
    water = line(4.65, 1000.0, 7.0)
    return SimpleNamespace(axis=AXIS, line=line, noise=noise, metabolites=metabolites, water=water)
