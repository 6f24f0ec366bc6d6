import numpy as np
import pytest

from mrspipe.core.ratios import NOT_MEASURABLE, correlations, ratio_to_creatine, separability, standard_error
from mrspipe.core.results import FitResult


def made_fit(amplitudes, covariance):
    n = len(amplitudes)
    curves = [np.zeros(4)] * 5
    values = list(amplitudes.values())
    return FitResult(
        tuple(amplitudes), values, covariance, covariance, np.zeros(n), {}, *curves, np.zeros((n, 4)), 1.0, None
    )


def glu_gln(correlation, sd=(0.4, 0.4), creatine_sd=0.1):
    """Glu 9, Gln 3 and Cr 8, the first two correlated."""
    covariance = np.diag(np.square([*sd, creatine_sd]))
    covariance[0, 1] = covariance[1, 0] = correlation * sd[0] * sd[1]
    return made_fit({"Glu": 9.0, "Gln": 3.0, "Cr": 8.0}, covariance)


@pytest.mark.parametrize("creatine", [0.0, -3.0, 1.9, float("nan")])
def test_without_creatine_above_its_error_a_ratio_is_missing_with_a_reason(creatine):
    ratio = ratio_to_creatine(made_fit({"Glu": 9.0, "Cr": creatine}, np.eye(2)), "Glu")
    assert np.isnan([ratio.value, ratio.se]).all()
    assert ratio.reason == NOT_MEASURABLE == "total creatine is not measurable in this scan"


def test_creatine_just_above_its_error_gives_a_ratio():
    ratio = ratio_to_creatine(made_fit({"Glu": 9.0, "Cr": 2.0}, np.eye(2)), "Glu")
    assert (ratio.value, ratio.reason) == (4.5, "")


def test_it_is_total_creatine_that_must_be_measurable_not_its_parts():
    covariance = np.array([[1.0, -0.99], [-0.99, 1.0]])
    assert ratio_to_creatine(made_fit({"Cr": 1.0, "PCr": 1.0}, covariance), "Cr").value == 0.5


def test_no_covariance_no_ratio():
    fit = made_fit({"Glu": 9.0, "Cr": 8.0}, np.full((2, 2), np.nan))
    assert np.isnan(ratio_to_creatine(fit, "Glu").value)
    assert np.isnan(standard_error(np.ones(2), fit.covariance))


def test_correlations_are_the_covariance_in_units_of_the_errors():
    fit = made_fit({"Glu": 1.0, "Gln": 1.0, "Cr": 1.0}, [[4.0, -3.0, 0.0], [-3.0, 9.0, 0.0], [0.0, 0.0, 0.0]])
    expected = [[1.0, -0.5, np.nan], [-0.5, 1.0, np.nan], [np.nan] * 3]
    np.testing.assert_allclose(correlations(fit), expected)


def test_glx_is_better_determined_than_its_parts_when_their_errors_cancel():
    found = separability(glu_gln(-0.8))
    assert found.correlation == pytest.approx(-0.8)
    # Errors of 0.4 and 0.4: that of the sum is 0.4 sqrt(2 (1 - 0.8)); creatine adds (value / 8) 0.1, in quadrature.
    assert found.ratios["Glx"].se == pytest.approx(np.hypot(0.4 * np.sqrt(0.4), 1.5 * 0.1) / 8)
    assert found.sum_is_better


def test_glx_is_not_called_better_when_the_errors_of_its_parts_add_up():
    assert not separability(glu_gln(0.8)).sum_is_better


def test_a_part_that_is_not_positive_does_not_make_it_unclear_what_is_better():
    fit = made_fit({"Glu": 9.0, "Gln": -0.1, "Cr": 8.0}, np.diag([0.16, 0.16, 0.01]))
    assert separability(fit).ratios["Gln"].relative_se == np.inf
    assert not separability(fit).sum_is_better


def test_glu_alone_needs_no_telling_apart():
    assert separability(made_fit({"Glu": 9.0, "Cr": 8.0}, np.eye(2))) is None
