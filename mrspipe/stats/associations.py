"""What the outcome goes along with in the patients: covariates, ratings, and the change of one with that of the other.

Rank correlations, because amounts of use are skewed and ratings have a floor; each with an interval from resampling
participants, and adjusted for a covariate where the design names one. The tests are one family, in which the false
discovery rate is controlled.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.adjustment import benjamini_hochberg
from mrspipe.stats.association import bootstrap_correlation, partial_spearman, spearman
from mrspipe.stats.design import ContrastSettings, Design, StatsSettings
from mrspipe.stats.factors import FactorName
from mrspipe.stats.rows import as_measured, measurement_rows, without_doubtful
from mrspipe.stats.samples import SUBJECT, differences, per_subject, select

if TYPE_CHECKING:
    from pandas import DataFrame, Series

COLUMNS = (
    *("metabolite", "quantity", "of", "with", "participants", "n", "rho", "ci_low", "ci_high"),
    *("boot_ci_low", "boot_ci_high", "statistic", "df", "p", "p_adjusted"),
    *("adjusted_for", "partial_rho", "partial_n", "partial_p", "note"),
)
_SEED = 0
_Pair = tuple[str, str, "Series[Any]", "Series[Any]"]


def association_table(
    measurements: "DataFrame",
    ratings: "DataFrame | None",
    participants: "DataFrame",
    design: Design,
    settings: StatsSettings,
) -> "DataFrame":
    """Correlate the outcome with what the design names.

    Parameters
    ----------
    measurements, ratings : DataFrame
        As for `mrspipe.stats.contrasts.contrast_table`.
    participants : DataFrame
        One row each.
    design : Design
        ``associations`` names columns of the participants.
    settings : StatsSettings

    Returns
    -------
    DataFrame
        One row a pair; what could not be computed has a note.
    """
    import pandas as pd

    measurements = measurements if settings.include_doubtful else without_doubtful(measurements)
    design, _ = as_measured(measurements, design)
    outcome = design.outcome
    rows: list[dict[str, Any]] = []
    covariate = _by_subject(participants, design, design.associations_adjusted_for)
    for of, name, first, second in _pairs(measurements, ratings, participants, design):
        row = {"metabolite": outcome.metabolite, "quantity": outcome.quantity, "of": of, "with": name}
        row["participants"] = design.group.patient if design.group else "all"
        row |= _correlated(first, second, settings)
        if name in design.associations and name not in participants.columns:
            row["note"] = f"participants.tsv has no column '{name}'."
        rows.append(row | _adjusted(first, second, covariate, design.associations_adjusted_for, settings))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    known = table["p"].notna()
    if known.any():
        table["p_adjusted"] = table["p_adjusted"].astype(float)
        table.loc[known, "p_adjusted"] = benjamini_hochberg(table.loc[known, "p"].to_numpy(dtype=float))
    return table


def _pairs(
    measurements: "DataFrame", ratings: "DataFrame | None", participants: "DataFrame", design: Design
) -> Iterator[_Pair]:
    """Give what is correlated: names of both, and both by participant."""
    values = measurement_rows(measurements, design, design.outcome.metabolite)
    level = _baseline(values, design)
    for name in design.associations:
        yield "baseline", name, level, _by_subject(participants, design, name)
    if ratings is None or design.ratings is None or design.condition is None:
        return
    rating = design.ratings.name
    yield "baseline", f"baseline {rating}", level, _baseline(ratings, design)
    yield "change", f"change of {rating}", _change(values, design), _change(ratings, design)


def _held(design: Design, *free: str) -> dict[FactorName, str]:
    """Patients, and the reference level of every factor within participants."""
    held: dict[FactorName, str] = {f.name: f.reference for f in design.factors if not f.is_between}
    if design.group:
        held["group"] = design.group.patient
    return {name: level for name, level in held.items() if name not in free}


def _baseline(table: "DataFrame", design: Design) -> "Series[Any]":
    contrast = ContrastSettings(name="baseline", compare=(), test="mean", within=_held(design))
    return _or_none(lambda: per_subject(select(table, design, contrast), None)[0].mean(axis=1))


def _change(table: "DataFrame", design: Design) -> "Series[Any]":
    import pandas as pd

    contrast = ContrastSettings(name="change", compare=("condition",), test="paired", within=_held(design, "condition"))

    def changes() -> "Series[Any]":
        sample = select(table, design, contrast)
        subjects, _ = per_subject(sample, sample.factor("condition"))
        return pd.Series(differences(subjects), index=subjects.index)

    return _or_none(changes)


def _or_none(compute: Callable[[], "Series[Any]"]) -> "Series[Any]":
    import pandas as pd

    try:
        found: pd.Series[Any] = compute()
    except AnalysisError:
        return pd.Series(dtype=float)
    return found


def _by_subject(participants: "DataFrame", design: Design, name: str) -> "Series[Any]":
    import pandas as pd

    if not name or name not in participants.columns:
        return pd.Series(dtype=float)
    values = pd.to_numeric(participants[name], errors="coerce")
    return values.set_axis(participants[design.subject].astype(str)).rename_axis(SUBJECT)


def _correlated(first: "Series[Any]", second: "Series[Any]", settings: StatsSettings) -> dict[str, Any]:
    x, y = _shared(first, second)
    row: dict[str, Any] = {"n": len(x)}
    if len(x) < settings.min_per_group:
        return row | {"note": f"{len(x)} participants have both; {settings.min_per_group} are asked for."}
    try:
        found = spearman(x, y, confidence=settings.confidence)
        drawn = bootstrap_correlation(x, y, np.random.default_rng(_SEED), confidence=settings.confidence)
    except AnalysisError as error:
        return row | {"note": error.message}
    row |= {"rho": found.estimate, "ci_low": found.ci_low, "ci_high": found.ci_high, "p": found.p}
    row |= {"statistic": found.statistic, "df": found.df}
    return row | {"boot_ci_low": drawn.ci_low, "boot_ci_high": drawn.ci_high}


def _adjusted(
    first: "Series[Any]", second: "Series[Any]", covariate: "Series[Any]", name: str, settings: StatsSettings
) -> dict[str, Any]:
    x, y, other = _shared(first, second, covariate)
    if not name or len(x) < settings.min_per_group:
        return {}
    try:
        partial = partial_spearman(x, y, other, confidence=settings.confidence)
    except AnalysisError:
        return {}
    return {"adjusted_for": name, "partial_rho": partial.estimate, "partial_n": partial.n, "partial_p": partial.p}


def _shared(*series: "Series[Any]") -> list[FloatArray]:
    """Values of the participants who have all of them."""
    import pandas as pd

    return list(pd.concat(series, axis=1, join="inner").dropna().to_numpy(dtype=np.float64).T)
