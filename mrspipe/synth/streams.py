"""Random streams: each part of a synthetic study has one of its own, so that nothing depends on the order of making."""

import numpy as np

GROUPS, PEOPLE, SCANS, SPECTRA, IMAGES, ARMS, NUISANCE = range(7)


def stream(seed: int, *path: int) -> np.random.Generator:
    """Random stream of one part of the study, named by ``path``."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=path))
