"""Why a test finds what is not there: which quality of a scan moves its error, and how much of that differs by group.

The relative error of each scan's outcome is regressed on line width, signal-to-noise ratio, grey-matter fraction and
group together. A slope times the difference of the groups in that quality is what leaks into the comparison; the slope
on the group itself is what none of them explains.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mrspipe.calibrate.cohorts import CONFOUNDS, PlayedCohort
from mrspipe.calibrate.rates import Record
from mrspipe.calibrate.worlds import ORACLE, World
from mrspipe.core.arrays import FloatArray

_UNITS = {"fwhm_hz": "Hz", "snr": "1", "gm_fraction": "1", "group": "other minus reference"}
# How a slope is told: per so much of the term.
_STEP = {
    "fwhm_hz": (0.5, "{:g} Hz broader lines"),
    "snr": (5.0, "A signal-to-noise ratio higher by {:g}"),
    "gm_fraction": (0.05, "A grey-matter fraction higher by {:g}"),
}


def leak_rows(world: World, cohorts: Sequence[PlayedCohort]) -> list[dict[str, Any]]:
    """Regress the errors of all scans on what may move them.

    Parameters
    ----------
    world : World
    cohorts : sequence of PlayedCohort

    Returns
    -------
    list of dict
        Rows of ``leaks.tsv``; empty where no spectra were made, or there are too few scans.
    """
    error, terms, clusters = _columns(world, cohorts)
    names = [name for name, values in terms.items() if np.ptp(values) > 0] if len(error) else []
    if not names or len(error) < 10 * len(names):
        return []
    centred = np.column_stack([np.ones(len(error)), *(terms[name] - terms[name].mean() for name in names)])
    slopes, errors = clustered_regression(error, centred, clusters)
    side = terms["group"]
    has_groups = bool(np.ptp(side) > 0)
    rows = []
    for i, name in enumerate(names, start=1):
        apart = float(terms[name][side > 0].mean() - terms[name][side < 0].mean()) if has_groups else math.nan
        rows.append(
            {
                "level": world.level,
                "term": name,
                "slope_pct": float(slopes[i]),
                "se_pct": float(errors[i]),
                "unit": _UNITS[name],
                "group_difference": apart,
                "leak_pct": float(slopes[i]) * apart,
                "scans": len(error),
            }
        )
    return rows


def _columns(world: World, cohorts: Sequence[PlayedCohort]) -> tuple[FloatArray, dict[str, FloatArray], FloatArray]:
    """Errors, terms by name, and the cohort of each scan; groups are coded as -0.5 and 0.5, others left out."""
    group = world.config.design.group
    codes = {group.control: -0.5, group.patient: 0.5} if group else {"": 0.0}
    rows = [
        (codes[label], error, cohort.number, *values)
        for cohort in cohorts
        if cohort.scans
        for label, error, *values in zip(
            cohort.scans["group"], cohort.scans["error_pct"], *(cohort.scans[name] for name in CONFOUNDS), strict=True
        )
        if label in codes and error is not None
    ]
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 3 + len(CONFOUNDS))
    terms = {name: table[:, 3 + i] for i, name in enumerate(CONFOUNDS)}
    return table[:, 1], {**terms, "group": table[:, 0]}, table[:, 2]


def clustered_regression(y: FloatArray, x: FloatArray, clusters: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Least squares with standard errors that hold where rows of one cluster are alike.

    Sandwich of Liang and Zeger 1986 (doi 10.1093/biomet/73.1.13) with the factor ``G / (G - 1) (n - 1) / (n - p)``;
    with a single cluster, errors that hold for unequal variances (HC1).

    Parameters
    ----------
    y : real array, shape (n,)
    x : real array, shape (n, p)
    clusters : real array, shape (n,)

    Returns
    -------
    coefficients, errors : real array, shape (p,)
    """
    n, p = x.shape
    bread = np.linalg.inv(x.T @ x)
    coefficients = bread @ x.T @ y
    pulls = x * (y - x @ coefficients)[:, None]
    labels, at = np.unique(clusters, return_inverse=True)
    factor = n / (n - p)
    if len(labels) > 1:
        sums = np.zeros((len(labels), p))
        np.add.at(sums, at, pulls)
        pulls, factor = sums, len(labels) / (len(labels) - 1) * (n - 1) / (n - p)
    covariance = factor * bread @ (pulls.T @ pulls) @ bread
    return coefficients, np.sqrt(np.diag(covariance))


def statements(records: Sequence[Record], leaks: Sequence[dict[str, Any]], alpha: float) -> list[str]:
    """Say in plain words which tests find what is not there, and what of the spectra leaks into them.

    A rate is too high when it lies above ``alpha`` by more than three of the Monte Carlo errors that it would have at
    ``alpha``.

    Parameters
    ----------
    records : sequence of Record
    leaks : sequence of dict
        As from `leak_rows`.
    alpha : float

    Returns
    -------
    list of str
    """
    said = []
    for record in records:
        tested = np.isfinite(record.values["p"])
        n = int(tested.sum())
        if not record.is_null or record.level == ORACLE or n == 0:
            continue
        rate, error = float(record.significant(alpha)[tested].mean()), math.sqrt(alpha * (1 - alpha) / n)
        if rate > alpha + 3 * error:
            said.append(
                f"{record.contrast.name} ({record.metabolite}) finds what is not there in {100 * rate:.1f} % of "
                f"{n} cohorts, more than {100 * alpha:g} % by {(rate - alpha) / error:.1f} Monte Carlo errors."
            )
            if "group" in (record.contrast.compare or ()):
                said += _largest(leaks)
    return list(dict.fromkeys(said))


def _largest(leaks: Sequence[dict[str, Any]]) -> list[str]:
    known = [row for row in leaks if row["term"] in _STEP and abs(row["slope_pct"]) > 2 * row["se_pct"]]
    if not known:
        return []
    worst = max(known, key=lambda row: abs(row["leak_pct"]))
    step, words = _STEP[worst["term"]]
    return [
        f"{words.format(step)} move the outcome by {step * worst['slope_pct']:+.2f} ± {step * worst['se_pct']:.2f} %; "
        f"the groups differ by {worst['group_difference']:+.3g}, which makes {worst['leak_pct']:+.2f} %."
    ]
