"""From the contrasts of many cohorts to rates: how often each test finds what is there, and what is not.

A test is *null* when the recipe holds nothing for it to find: its true value is less than a tenth of its standard
error, which moves the rate of a test at the level of 5 % by about 0.1 % (``z phi(z) delta^2`` with ``delta = 0.1``).
Rates have binomial Monte Carlo errors, with two successes and two failures added so that a rate of 0 or 1 has one too
(Agresti and Coull 1998, doi 10.1080/00031305.1998.10480550).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrspipe.calibrate.cohorts import NUMBERS, PlayedCohort
from mrspipe.calibrate.truth import same_things_are_compared, true_value
from mrspipe.calibrate.worlds import ORACLE, World
from mrspipe.core.arrays import FloatArray
from mrspipe.stats.adjustment import holm
from mrspipe.stats.design import ContrastSettings, Design
from mrspipe.stats.questions import resolve_contrasts

_NULL = 0.1
PATTERN = "published-pattern"
HOLM, SEQUENCE = "main-contrasts-holm", "main-contrasts-fixed-sequence"


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One test at one level in all cohorts.

    Parameters
    ----------
    contrast : ContrastSettings
    metabolite, quantity, level : str
    values : mapping of str to real array, shape (n_cohorts,)
        By the names of `mrspipe.calibrate.cohorts.NUMBERS`; NaN where the test could not be computed.
    truth : float
    truth_from : str
        ``recipe``, or ``oracle`` for the mean of the oracle's estimates.
    is_null : bool
    is_outcome : bool
        It is a test of the main outcome, or of ratings.
    """

    contrast: ContrastSettings
    metabolite: str
    quantity: str
    level: str
    values: dict[str, FloatArray]
    truth: float
    truth_from: str
    is_null: bool
    is_outcome: bool

    @property
    def is_main(self) -> bool:
        """One of the study's main questions."""
        return bool(self.contrast.primary) and self.is_outcome and self.contrast.of == "metabolites"

    def significant(self, alpha: float, column: str = "p") -> NDArray[np.bool_]:
        """Tell in which cohorts the test is significant; one without a result is not."""
        return np.asarray(self.values[column] < alpha)


def records_of(world: World, cohorts: Sequence[PlayedCohort]) -> list[Record]:
    """Sort the rows of all cohorts by test and level.

    Parameters
    ----------
    world : World
    cohorts : sequence of PlayedCohort

    Returns
    -------
    list of Record
        Tests in the order of the contrast table; for each the level of the calibration, then the oracle.
    """
    design = world.config.design
    asked = {one.name: one for one in resolve_contrasts(design, world.config.contrast)}
    by_level: dict[str, dict[tuple[str, str, str], dict[str, FloatArray]]] = {}
    for level in (world.level, ORACLE):
        tests = by_level.setdefault(level, {})
        for at, cohort in enumerate(cohorts):
            for row in cohort.contrasts[level]:
                key = (str(row["contrast"]), str(row["metabolite"]), str(row["quantity"]))
                found = tests.setdefault(key, {name: np.full(len(cohorts), math.nan) for name in NUMBERS})
                for name in NUMBERS:
                    found[name][at] = math.nan if row[name] is None else row[name]
    records = []
    for key, values in by_level[world.level].items():
        contrast, oracle = asked[key[0]], by_level[ORACLE].get(key)
        truth, source = _truth(contrast, world, key[1], key[2], oracle)
        is_outcome = contrast.of == "ratings" or key[1] == design.outcome.metabolite
        is_null = bool(abs(truth) < _NULL * np.nanmean(values["se"])) if np.isfinite(values["se"]).any() else False
        for level, tests in by_level.items():
            if key in tests:
                records.append(Record(contrast, key[1], key[2], level, tests[key], truth, source, is_null, is_outcome))
    return records


def _truth(
    contrast: ContrastSettings, world: World, metabolite: str, quantity: str, oracle: dict[str, FloatArray] | None
) -> tuple[float, str]:
    design, recipe = world.config.design, world.recipe
    if contrast.of == "ratings" or quantity == "molar":
        return true_value(contrast, design, recipe, metabolite), "recipe"
    if (contrast.compare or ()) and same_things_are_compared(contrast, design, recipe, metabolite):
        return 0.0, "recipe"
    return (float(np.nanmean(oracle["estimate"])), "oracle") if oracle else (math.nan, "n/a")


def calibration_rows(records: Sequence[Record], design: Design, alpha: float) -> list[dict[str, Any]]:
    """Give the rows of ``calibration.tsv``.

    Parameters
    ----------
    records : sequence of Record
    design : Design
    alpha : float
        Below this a p value is significant.

    Returns
    -------
    list of dict
    """
    rows = [row for record in records for row in _rows_of(record, records, alpha)]
    for level in dict.fromkeys(record.level for record in records):
        main = [record for record in records if record.level == level and record.is_main]
        if main:
            rows += _families(main, level, alpha)
        rows += _pattern(records, design, level, alpha)
    return rows


def _rows_of(record: Record, records: Sequence[Record], alpha: float) -> Iterator[dict[str, Any]]:
    values = record.values
    computed = np.isfinite(values["estimate"])
    n, n_all = int(computed.sum()), len(computed)

    def row(kind: str, rate: float, error: float, n: int = n) -> dict[str, Any]:
        return _row(record.contrast.name, kind, record.level, n, rate, error) | {
            "metabolite": record.metabolite,
            "quantity": record.quantity,
            "truth": record.truth,
            "truth_from": record.truth_from,
        }

    if n < n_all:
        yield row("not_computed", *_share(~computed), n=n_all)
    if n < 2:
        return
    tested = np.isfinite(values["p"])
    if tested.any():
        kind = "false_positive" if record.is_null else "power"
        found = record.significant(alpha)[tested]
        yield row(kind, *_share(found), n=int(tested.sum()))
        if record.is_main:
            main = [one for one in records if one.level == record.level and one.is_main]
            by_holm = _significant_by_holm(main, alpha)[main.index(record)]
            yield row(f"{kind}_holm", *_share(by_holm[tested]), n=int(tested.sum()))
        yield row("median_p", *_median(values["p"][tested]), n=int(tested.sum()))
        if record.contrast.equivalence_bound is not None and record.is_outcome:
            yield row("equivalence", *_share(record.significant(alpha, "tost_p")[tested]), n=int(tested.sum()))
        if record.level != ORACLE and not record.is_null:
            gained = _gained(record, records, alpha)
            yield row("power_lost", float(np.mean(gained)), float(np.std(gained, ddof=1)) / math.sqrt(n_all), n=n_all)
    estimates = values["estimate"][computed]
    sd = float(np.std(estimates, ddof=1))
    if math.isfinite(record.truth):
        covered = (values["ci_low"] <= record.truth) & (record.truth <= values["ci_high"])
        yield row("coverage", *_share(covered[computed]))
        bias, error = float(np.mean(estimates)) - record.truth, sd / math.sqrt(n)
        yield row("bias", bias, error)
        if not record.is_null:
            yield row("bias_relative", bias / abs(record.truth), error / abs(record.truth))
    yield row("estimate_sd", sd, sd / math.sqrt(2 * (n - 1)))
    errors = values["se"][computed]
    yield row("se_mean", float(np.mean(errors)), float(np.std(errors, ddof=1)) / math.sqrt(n))


def _gained(record: Record, records: Sequence[Record], alpha: float) -> FloatArray:
    """What the measurement costs: in each cohort, whether the oracle finds it minus whether this test does."""
    (oracle,) = (
        other
        for other in records
        if other.level == ORACLE
        and (other.contrast.name, other.metabolite) == (record.contrast.name, record.metabolite)
    )
    return np.asarray(oracle.significant(alpha).astype(float) - record.significant(alpha))


def _significant_by_holm(main: Sequence[Record], alpha: float) -> NDArray[np.bool_]:
    """Tell which main contrasts Holm's method finds in each cohort, shape (n_tests, n_cohorts).

    From the p values as they are: the configuration may ask for another correction.
    """
    p = np.array([record.values["p"] for record in main])
    adjusted = np.full(p.shape, math.nan)
    for cohort in range(p.shape[1]):
        tested = np.isfinite(p[:, cohort])
        adjusted[tested, cohort] = holm(p[tested, cohort])
    return np.asarray(adjusted < alpha)


def _families(main: Sequence[Record], level: str, alpha: float) -> Iterator[dict[str, Any]]:
    """Probability of any false finding among the main contrasts, and of each finding in their fixed sequence."""
    n = len(main[0].values["p"])
    null = [record for record in main if record.is_null]
    by_holm = _significant_by_holm(main, alpha)
    false = [found for record, found in zip(main, by_holm, strict=True) if record.is_null]
    open_so_far = np.ones(n, dtype=bool)
    in_sequence = []
    for record in main:
        open_so_far &= record.significant(alpha)
        kind = "false_positive" if record.is_null else "power"
        names = {"metabolite": record.metabolite, "quantity": record.quantity}
        truth = {"truth": record.truth, "truth_from": record.truth_from}
        yield _row(record.contrast.name, f"{kind}_fixed_sequence", level, n, *_share(open_so_far)) | names | truth
        if record.is_null:
            in_sequence.append(open_so_far.copy())
    if null:
        yield _row(HOLM, "familywise", level, n, *_share(np.any(false, axis=0)))
        yield _row(SEQUENCE, "familywise", level, n, *_share(np.any(in_sequence, axis=0)))


def _pattern(records: Sequence[Record], design: Design, level: str, alpha: float) -> list[dict[str, Any]]:
    """Joint probability of the published pattern: group and condition significant, the treatment in no way."""
    found = {r.contrast.compare: r for r in records if r.level == level and r.is_main}
    here = {r.contrast.name: r for r in records if r.level == level and r.is_outcome}
    group, condition, treatment = (found.get((name,)) for name in ("group", "condition", "treatment"))
    if group is None or condition is None or treatment is None or not design.condition or not design.treatment:
        return []
    absent = [treatment, here.get(f"{design.condition.active}-by-{design.treatment.active}")]
    seen = group.significant(alpha) & condition.significant(alpha)
    for record in absent:
        if record is not None:
            seen &= ~record.significant(alpha)
    return [_row(PATTERN, "joint", level, len(seen), *_share(seen))]


def _row(test: str, kind: str, level: str, n: int, rate: float, error: float) -> dict[str, Any]:
    return {"test": test, "kind": kind, "level": level, "cohorts": n, "rate": rate, "mc_se": error}


def _share(found: NDArray[np.bool_]) -> tuple[float, float]:
    n, k = len(found), int(found.sum())
    smoothed = (k + 2) / (n + 4)
    return k / n, math.sqrt(smoothed * (1 - smoothed) / (n + 4))


def _median(values: FloatArray) -> tuple[float, float]:
    """Median, with the error that the order statistics one binomial SD to either side give."""
    ordered, n = np.sort(values), len(values)
    reach = math.sqrt(n) / 2
    low, high = (int(np.clip(round((n - 1) / 2 + side * reach), 0, n - 1)) for side in (-1, 1))
    return float(np.median(values)), float(ordered[high] - ordered[low]) / 2
