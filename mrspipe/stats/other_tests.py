"""Other tests of the differences that Welch's and the paired t test are for: by ranks, by resampling, and weighted.

Weighted tests take the standard error that each scan has of its own (``se_own``, else ``se_fit``) as known, as in a
random-effects meta-regression: participants differ by a variance that is estimated, and the weight of each is the
inverse of the sum of both.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.design import ContrastSettings, StatsSettings
from mrspipe.stats.effects import Effect
from mrspipe.stats.factors import Factor
from mrspipe.stats.models import TestResult, mixed_model, weighted_test
from mrspipe.stats.ranks import RankTest, rank_sum_test, signed_rank_test
from mrspipe.stats.resampling import ResamplingTest, permutation_drawn, sign_flip_drawn
from mrspipe.stats.samples import SUBJECT, Sample, code_column, codes_of, differences, per_subject

if TYPE_CHECKING:
    from pandas import DataFrame

_NAN = float("nan")
# Of the resampling tests: fixed, so that the same table gives the same p value.
_SEED, _N_DRAWS = 0, 10_000
_ERRORS = ("se_own", "se_fit")
_Found = tuple[str, Sample, TestResult]


def by_ranks(sample: Sample, contrast: ContrastSettings, settings: StatsSettings) -> _Found:
    """Test by ranks: the rank sum test of two samples, or the signed rank test of paired differences."""
    values, sample, _ = _values(sample, contrast)
    if len(values) == 2:
        found = rank_sum_test(*values, confidence=settings.confidence)
        return "Wilcoxon rank sum test", sample, _of_ranks(found)
    return "Wilcoxon signed rank test", sample, _of_ranks(signed_rank_test(values[0], confidence=settings.confidence))


def _of_ranks(found: RankTest) -> TestResult:
    effect = Effect("rank-biserial r", found.rank_biserial, _NAN, _NAN, _NAN)
    note = "Estimate: Hodges-Lehmann." + ("" if found.is_exact else " p from the normal distribution.")
    return TestResult(
        found.estimate, _NAN, _NAN, found.statistic, found.p, found.ci_low, found.ci_high, effect, note=note
    )


def by_resampling(sample: Sample, contrast: ContrastSettings, settings: StatsSettings) -> _Found:
    """Test by labels of the groups, or signs of the differences, that are drawn at random."""
    values, sample, _ = _values(sample, contrast)
    rng = np.random.default_rng(_SEED)
    if len(values) == 2:
        found = permutation_drawn(values[0], values[1], rng, n_draws=_N_DRAWS, statistic="welch")
        difference = float(values[0].mean() - values[1].mean())
        return "permutation test of the Welch statistic", sample, _of_draws(found, difference)
    found = sign_flip_drawn(values[0], rng, n_draws=_N_DRAWS)
    return "sign flip test", sample, _of_draws(found, float(values[0].mean()))


def _of_draws(found: ResamplingTest, estimate: float) -> TestResult:
    nothing = Effect("n/a", _NAN, _NAN, _NAN, _NAN)
    note = f"p from {_N_DRAWS} draws, Monte Carlo error {found.mc_error:.2g}."
    return TestResult(estimate, _NAN, _NAN, found.statistic, found.p, _NAN, _NAN, nothing, note=note)


def weighted(sample: Sample, contrast: ContrastSettings, settings: StatsSettings) -> _Found:
    """Test with each participant weighted by the standard errors of the scans."""
    values, sample, factor = _values(sample, contrast)
    table = _subjects(sample, factor)
    variances = _variances(sample, table, factor)
    words = "weighted by standard errors; Kenward-Roger"
    if len(values) == 2:
        codes = codes_of(sample, table, factor)
        known = [variances[codes > 0], variances[codes < 0]]
        return f"meta-regression, {words}", sample, weighted_test(*values, *known, confidence=settings.confidence)
    columns = {"1": np.ones(len(values[0]))}
    model = mixed_model(values[0], columns, {}, known_variance=variances)
    return f"meta-analysis of the differences, {words}", sample, model.test("1", confidence=settings.confidence)


def _values(sample: Sample, contrast: ContrastSettings) -> tuple[list[FloatArray], Sample, Factor]:
    """Give the values of both groups, the other first, or the paired differences alone."""
    (name,) = contrast.compare or ()
    factor = sample.factor(name)
    within = None if factor.is_between else factor
    table, sample = per_subject(sample, within, complete=contrast.complete)
    if within is not None:
        return [differences(table)], sample, factor
    codes, values = codes_of(sample, table, factor), table.mean(axis=1).to_numpy()
    return [values[codes > 0], values[codes < 0]], sample, factor


def _subjects(sample: Sample, factor: Factor) -> "DataFrame":
    return per_subject(sample, None if factor.is_between else factor, complete=False)[0]


def _variances(sample: Sample, table: "DataFrame", factor: Factor) -> FloatArray:
    """Sampling variance of each participant's value: of the mean of the scans, or of a difference of such means."""
    known = [name for name in _ERRORS if name in sample.rows.columns]
    name = next((name for name in known if np.isfinite(sample.rows[name].astype(float)).all()), None)
    if name is None:
        raise AnalysisError("Not every scan has a standard error, so there are no weights.", code="column")
    keys = [SUBJECT] if factor.is_between else [SUBJECT, code_column(factor)]
    squares = sample.rows.assign(__square=sample.rows[name].astype(float) ** 2).groupby(keys)["__square"]
    of_means: Any = squares.sum() / squares.count() ** 2
    by_subject = of_means if factor.is_between else of_means.groupby(level=0).sum()
    return np.asarray(by_subject.reindex(table.index).to_numpy(dtype=np.float64))
