"""Random streams: each part of a synthetic study has one of its own, so that nothing depends on the order of making."""

from typing import Any

import numpy as np

GROUPS, PEOPLE, SCANS, SPECTRA, IMAGES, ARMS, NUISANCE = range(7)


class Mirrored:
    """A generator whose normal and uniform numbers are those of another one, reflected about their means.

    What is nearly linear in such numbers has next to no error left in the mean of a pair of draws (antithetic
    variates; Hammersley and Morton 1956, doi 10.1017/S0305004100031455).

    Parameters
    ----------
    rng : Generator

    Examples
    --------
    >>> a, b = np.random.default_rng(1), Mirrored(np.random.default_rng(1))
    >>> bool(a.standard_normal() == -b.standard_normal()), round(a.uniform(2, 4) + b.uniform(2, 4), 9)
    (True, 6.0)
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.generator = rng

    def standard_normal(self, size: Any = None) -> Any:
        """Reflect normal numbers about 0."""
        return -self.generator.standard_normal(size)

    def random(self, size: Any = None) -> Any:
        """Reflect numbers from 0 to 1 about 0.5."""
        return 1.0 - self.generator.random(size)

    def uniform(self, low: float, high: float, size: Any = None) -> Any:
        """Reflect numbers between two limits about their middle."""
        return low + high - self.generator.uniform(low, high, size)


Draws = np.random.Generator | Mirrored


def unmirrored(draws: Draws) -> np.random.Generator:
    """Give the generator itself, for what is the same in both of a mirrored pair."""
    return draws.generator if isinstance(draws, Mirrored) else draws


def stream(seed: int, *path: int) -> np.random.Generator:
    """Random stream of one part of the study, named by ``path``."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=path))
