"""Made-up data for tests of mixed models."""

import numpy as np


def crossover(rng, n_subjects=12, lost=5, sds=(1.0, 0.5, 0.8)):
    """A crossover of two treatments with two conditions a visit; some scans are lost."""
    subject = np.repeat(np.arange(n_subjects), 4)
    visit = np.tile([0, 0, 1, 1], n_subjects) + 2 * subject
    drug = np.tile([-0.5, -0.5, 0.5, 0.5], n_subjects) * np.where(subject % 2, 1, -1)
    cue = np.tile([-0.5, 0.5], 2 * n_subjects)
    y = 10 + 0.5 * cue + rng.normal(0, sds[0], n_subjects)[subject] + rng.normal(0, sds[1], 2 * n_subjects)[visit]
    y = y + rng.normal(0, sds[2], len(y))
    kept = np.sort(rng.permutation(len(y))[: len(y) - lost])
    X = np.column_stack([np.ones(len(y)), cue, drug, cue * drug])
    return y[kept], X[kept], subject[kept], visit[kept]
