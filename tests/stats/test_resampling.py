import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.resampling import (
    bootstrap_interval,
    permutation_drawn,
    permutation_exact,
    sign_flip_drawn,
    sign_flip_exact,
)

whole = st.lists(st.integers(-50, 50), min_size=2, max_size=6)


def by_listing(first, second):
    both = np.concatenate([first, second])
    chosen = [list(one) for one in itertools.combinations(range(len(both)), len(first))]
    sums = np.array([both[one].sum() for one in chosen])
    differences = sums / len(first) - (both.sum() - sums) / len(second)
    return np.mean(np.abs(differences) >= abs(first.mean() - second.mean()) - 1e-9)


@given(whole, whole)
@settings(max_examples=60, deadline=None)
def test_the_exact_permutation_p_is_the_share_of_all_arrangements(first, second):
    first, second = np.array(first, dtype=float), np.array(second, dtype=float)
    if np.ptp([*first, *second]) == 0:
        first[0] += 1
    test = permutation_exact(first, second, resolution=1.0)
    assert test.p == pytest.approx(by_listing(first, second), rel=1e-12)


@given(whole, whole, st.integers(-1000, 1000), st.sampled_from([-2.0, 0.5, 3.0]))
@settings(max_examples=40, deadline=None)
def test_the_permutation_p_does_not_change_with_the_origin_or_unit(first, second, shift, factor):
    first, second = np.array(first, dtype=float), np.array(second, dtype=float)
    if np.ptp([*first, *second]) == 0:
        first[0] += 1
    p = permutation_exact(first, second, resolution=0.5).p
    assert permutation_exact(first + shift, second + shift, resolution=0.5).p == pytest.approx(p, rel=1e-12)
    scaled = permutation_exact(factor * first, factor * second, resolution=0.5 * abs(factor))
    assert scaled.p == pytest.approx(p, rel=1e-12)
    assert permutation_exact(second, first, resolution=0.5).p == pytest.approx(p, rel=1e-12)


@given(st.lists(st.integers(-30, 30), min_size=1, max_size=10))
@settings(max_examples=60, deadline=None)
def test_the_exact_sign_flip_p_is_the_share_of_all_signs(values):
    differences = np.array(values, dtype=float)
    if not differences.any():
        differences[0] = 1.0
    signs = np.array(list(itertools.product([-1, 1], repeat=len(differences))))
    expected = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9)
    test = sign_flip_exact(differences, resolution=1.0)
    assert test.p == pytest.approx(expected, rel=1e-12)
    assert sign_flip_exact(-differences, resolution=1.0).p == test.p


@pytest.mark.parametrize("statistic", ["difference", "welch"])
def test_drawn_arrangements_estimate_the_share_and_depend_on_the_seed_alone(statistic):
    rng = np.random.default_rng(2)
    first, second = np.round(rng.normal(0.6, 1, 12), 3), np.round(rng.normal(0, 1, 14), 3)
    draw = lambda seed: permutation_drawn(  # noqa: E731
        first, second, np.random.default_rng(seed), n_draws=20_000, statistic=statistic
    )
    assert draw(1) == draw(1)
    exact = permutation_exact(first, second, resolution=1e-3).p if statistic == "difference" else draw(99).p
    test = draw(1)
    assert test.p == pytest.approx(exact, abs=6 * test.mc_error)
    assert test.mc_error == pytest.approx((test.p * (1 - test.p) / 20_000) ** 0.5)


def test_drawn_signs_estimate_the_share_of_all_signs():
    differences = np.round(np.random.default_rng(3).normal(0.4, 1, 18), 3)
    drawn = sign_flip_drawn(differences, np.random.default_rng(1), n_draws=40_000)
    assert drawn.p == pytest.approx(sign_flip_exact(differences, resolution=1e-3).p, abs=4 * drawn.mc_error)


def test_an_effect_no_draw_reaches_still_has_a_p_above_zero():
    test = permutation_drawn(np.arange(20.0) + 1000, np.arange(20.0), np.random.default_rng(1), n_draws=999)
    assert test.p == pytest.approx(1 / 1000)


def means(samples):
    return samples[:, :, 0].mean(axis=1)


def test_the_bca_interval_is_that_of_scipy():
    values = np.random.default_rng(4).exponential(1.0, 40)
    for method, name in (("bca", "BCa"), ("percentile", "percentile")):
        found = bootstrap_interval(values[:, None], means, np.random.default_rng(5), n_resamples=40_000, method=method)
        other = stats.bootstrap((values,), np.mean, n_resamples=40_000, method=name, rng=np.random.default_rng(6))
        # Two sets of draws: their quantiles differ by a few per cent of the standard error.
        tolerance = 0.06 * found.standard_error
        assert found.ci_low == pytest.approx(other.confidence_interval.low, abs=tolerance)
        assert found.ci_high == pytest.approx(other.confidence_interval.high, abs=tolerance)
        assert found.standard_error == pytest.approx(values.std() / 40**0.5, rel=0.03)


def test_groups_keep_their_sizes_when_they_are_strata():
    group = np.repeat([0, 1], [5, 15])
    data = np.column_stack([np.random.default_rng(7).normal(size=20), group])
    sizes = []

    def count(samples):
        sizes.append(samples[:, :, 1].sum(axis=1))
        return means(samples)

    bootstrap_interval(data, count, np.random.default_rng(8), n_resamples=200, method="percentile", strata=group)
    assert all((one == 15).all() for one in sizes)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_the_bootstrap_interval_of_a_mean_covers_the_truth(method):
    rng, covered, n_cohorts = np.random.default_rng(9), 0, 600
    for _ in range(n_cohorts):
        found = bootstrap_interval(rng.normal(1, 1, (40, 1)), means, rng, n_resamples=1000, method=method)
        covered += found.ci_low <= 1 <= found.ci_high
    # At 40 participants the interval is narrow by about 2.5 %, the factor sqrt(39/40) and the normal for the t.
    expected = 2 * stats.t.cdf(1.96 * (39 / 40) ** 0.5, 39) - 1
    assert covered / n_cohorts == pytest.approx(expected, abs=4 * (0.06 * 0.94 / n_cohorts) ** 0.5)


@pytest.mark.parametrize(
    ("compute", "why"),
    [
        (lambda: permutation_exact(np.ones(1), np.arange(3.0)), "at least two"),
        (lambda: permutation_exact(np.ones(3), np.ones(3)), "do not vary"),
        (lambda: permutation_exact(np.arange(40.0), np.arange(40.0), resolution=1e-6), "too many sums"),
        (lambda: sign_flip_exact(np.zeros(3)), "are zero"),
        (lambda: sign_flip_exact(np.ones(0)), "no pairs"),
        (lambda: sign_flip_exact(np.full(9, 1e3), resolution=1e-9), "too many sums"),
        (lambda: bootstrap_interval(np.ones((2, 1)), means, np.random.default_rng(1)), "too few"),
        (lambda: bootstrap_interval(np.ones((9, 1)), lambda s: np.log(0 * means(s) - 1), np.random.default_rng(1)),
         "have a value"),
    ],
)  # fmt: skip
def test_samples_without_an_answer_are_refused(compute, why):
    with pytest.raises(AnalysisError, match=why), np.errstate(invalid="ignore"):
        compute()
