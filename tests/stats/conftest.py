"""Tables as the pipeline gives them, from made-up numbers."""

import numpy as np
import pandas as pd
import pytest

from mrspipe.stats.design import Design

DESIGN = {
    "group": {"column": "group", "control": "HC", "patient": "CAI"},
    "condition": {"entity": "task", "control": "neutral", "active": "cue"},
    "treatment": {"column": "drug", "control": "placebo", "active": "nac", "period": "period"},
    "covariates": ["age", "smoker"],
    "secondary": ["Glx"],
    "ratings": {"name": "craving", "columns": {"neutral": "craving_neutral", "cue": "craving_cue"}},
}


def make_study(n_per_group=8, seed=1, metabolites=("Glu", "Glx")):
    """A crossover of two groups, two films and two drugs; patients are lower and rise during the cue."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(2 * n_per_group):
        patient = number < n_per_group
        own, age = rng.normal(0, 0.9), round(rng.normal(32, 7), 1)
        smoker = "yes" if rng.random() < 0.6 else "no"
        for period in (1, 2):
            visit = rng.normal(0, 0.4)
            for task in ("neutral", "cue"):
                shift = patient * (-1.5 + 1.2 * (task == "cue"))
                rows += [
                    {
                        "participant_id": f"sub-{number + 1:02d}", "session_id": f"ses-{period}", "task_id": task,
                        "run": np.nan, "metabolite": name, "quantity": "molar",
                        "value": 12 + shift + own + visit + rng.normal(0, 0.5), "included": True, "reason": np.nan,
                        "group": "CAI" if patient else "HC", "age": age, "smoker": smoker,
                        "drug": "nac" if (period == 1) == (number % 2 == 0) else "placebo", "period": period,
                    }
                    for name in metabolites
                ]  # fmt: skip
    return pd.DataFrame(rows)


def make_visits(study, seed=2):
    """Rows of the sessions files with ratings, joined with the participants."""
    rng = np.random.default_rng(seed)
    visits = study[["participant_id", "session_id", "group", "drug", "period"]].drop_duplicates().reset_index(drop=True)
    rise = 20 * (visits["group"] == "CAI")
    neutral = rng.uniform(0, 30, len(visits))
    return visits.assign(craving_neutral=neutral, craving_cue=neutral + rise + rng.normal(0, 5, len(visits)))


@pytest.fixture(scope="session")
def design():
    return Design(**DESIGN)


@pytest.fixture(scope="session")
def study():
    return make_study()


@pytest.fixture(scope="session")
def visits(study):
    return make_visits(study)
