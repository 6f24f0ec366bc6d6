from dataclasses import replace

import numpy as np
import pytest
from brain_like import TRUTH, make_signal

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.signal import Signal
from mrspipe.fit.fitted import result_of
from mrspipe.fit.injection import recover, straight_line, unit_fid
from mrspipe.fit.reference import referenced
from mrspipe.fit.settings import FitPriors, FitSettings, RatioPrior
from mrspipe.fit.spectrum import fit_again, fit_point

# The lines of these spectra are equally broad for all metabolites.
SETTINGS = FitSettings(priors=FitPriors(t2_contrast=RatioPrior(mean=0.0, sd=0.3)))
STEPS = (5.0, 10.0, 20.0)


def with_priors(**changes):
    return SETTINGS.model_copy(update={"priors": SETTINGS.priors.model_copy(update=changes)})


def test_what_is_added_is_what_the_fit_sees_of_a_metabolite(basis):
    signal = make_signal(basis, noise=0.3, phase_deg=40, shift_hz=5)
    fitted = fit_point(signal, basis, SETTINGS)
    place = basis.names.index("Glu")
    unit = replace(signal, samples=unit_fid(signal, fitted, place))
    found = referenced(unit, fitted.reference, fitted.task.prepared.model)
    expected = fitted.solution.columns[:, place]
    # The fit's own columns are in single precision: 24 bits. Their signal goes on for one more point of the FID.
    model = fitted.task.prepared.model
    last = unit.fid[round(model.grid.duration_s / signal.axis.dwell_s) - 1]
    atol = 1e-6 * np.abs(expected).max() + signal.axis.dwell_s * np.abs(last)
    np.testing.assert_allclose(found, expected, atol=atol)


def test_what_is_added_does_not_depend_on_the_sampling_of_the_data(basis):
    finer = SpectralAxis(4096, 1 / 4000, 127.7e6, 4.65)
    coarse = make_signal(basis, noise=0.3)
    fitted = fit_point(coarse, basis, SETTINGS)
    place = basis.names.index("Glu")
    dense = unit_fid(Signal(np.zeros(4096, complex), ("time",), finer), fitted, place)
    np.testing.assert_allclose(dense[::2], unit_fid(coarse, fitted, place), atol=1e-9)


@pytest.mark.parametrize("noise", [0.001, 0.3])
def test_what_the_model_can_describe_comes_back_with_slope_one(basis, noise):
    signal = make_signal(basis, noise=noise, phase_deg=40, shift_hz=5)
    fitted = fit_point(signal, basis, SETTINGS)
    found = recover(signal, fitted, "Glu", STEPS)
    # A fit stops when an iteration gains less than the tolerance, that is up to sqrt(tolerance) standard errors from
    # the best point. Two ends that are off in opposite directions tilt the line by twice that over the largest step.
    result = result_of(fitted)
    se = np.sqrt(result.covariance[5, 5])
    step = 0.2 * result.weights("tCr") @ result.amplitudes
    assert found.slope == pytest.approx(1, abs=2 * np.sqrt(SETTINGS.tolerance) * se / step)
    assert found.slope == pytest.approx(1, abs=0.01)
    assert abs(found.offset_pct) < 100 * np.sqrt(SETTINGS.tolerance) * se / result.amplitudes[5]
    assert found.reason == ""


def test_a_narrow_prior_on_the_metabolite_holds_it_back_by_at_least_its_share(basis):
    ratios = {**SETTINGS.priors.ratios_to_tcr, "Glu": RatioPrior(mean=1.1, sd=0.05)}
    signal = make_signal(basis, noise=0.6, seed=1)
    fitted = fit_point(signal, basis, with_priors(ratios_to_tcr=ratios))
    found = recover(signal, fitted, "Glu", STEPS)
    # The share is the weight of the prior's mean in the estimate at fixed lines; lines that move give way further.
    share = result_of(fitted).prior_share[basis.names.index("Glu")]
    assert 0.1 < share < 0.3
    assert share < 1 - found.slope < 2 * share


def test_lines_that_the_fit_believes_to_be_broader_than_they_are_change_the_slope(basis):
    # The lines of a good fit are added; a fit that is made to believe in lines twice as broad sees too large an area.
    signal = make_signal(basis, noise=0.3, seed=1)
    place = basis.names.index("Glu")
    good = fit_point(signal, basis, SETTINGS)
    broad = {"lorentz_hz": 6.0, "lorentz_sd_hz": 0.05, "gauss_hz": 9.0, "gauss_sd_hz": 0.05, "width_sd_hz": 0.01}
    wrong = fit_point(signal, basis, with_priors(**broad))
    added = 8.0 * np.array([0.0, *STEPS]) / 100

    def response(fitted):
        unit = unit_fid(signal, good, place)
        fits = [fit_again(replace(signal, samples=signal.fid + size * unit), fitted) for size in added]
        return straight_line(added, np.array([fit.solution.amplitudes[place] * fit.sigma for fit in fits]))[0]

    assert response(good) == pytest.approx(1, abs=0.01)
    assert response(wrong) > 1.2


def recovery_without(basis, lacking, truth, seed=1):
    """How added Glu comes back where the basis set lacks a metabolite, and the bias of the estimate itself."""
    signal = make_signal(basis, noise=0.3, seed=seed, truth=TRUTH | truth)
    fewer = basis.only([name for name in basis.names if name != lacking])
    fitted = fit_point(signal, fewer, SETTINGS)
    estimate = fitted.solution.amplitudes[fewer.names.index("Glu")] * fitted.sigma
    return recover(signal, fitted, "Glu", STEPS), abs(estimate / TRUTH["Glu"] - 1)


LACKING = (("Ins", {}), ("GABA", {"GABA": 4.0}))


@pytest.mark.parametrize(("lacking", "truth"), LACKING)
def test_a_metabolite_that_the_basis_lacks_bends_the_slope_by_less_than_it_biases_the_estimate(basis, lacking, truth):
    # Most of the bias does not depend on the amount of Glu, and the slope cannot see it.
    found, bias = recovery_without(basis, lacking, truth)
    assert abs(found.slope - 1) < bias


@pytest.mark.parametrize(("lacking", "truth"), LACKING)
def test_a_metabolite_that_the_basis_lacks_takes_slopes_away_from_one(basis, lacking, truth):
    # Line shape and baseline make up for what is missing, and a part of that depends on the amount of Glu: for GABA
    # always to the same side, for Ins to either. Four spectra know a root mean square to a third of itself.
    def distance(*of):
        return np.sqrt(np.mean([(recovery_without(basis, *of, seed)[0].slope - 1) ** 2 for seed in (1, 2, 3, 4)]))

    assert distance(lacking, truth) > 3 * distance("", {})


@pytest.mark.parametrize(("lacking", "truth"), LACKING)
def test_a_metabolite_that_the_basis_lacks_bends_the_slope(basis, lacking, truth):
    found, _ = recovery_without(basis, lacking, truth)
    assert 5 * found.slope_se < abs(found.slope - 1)


def test_what_cannot_be_measured_is_nan_with_a_reason(basis):
    signal = make_signal(basis, noise=0.3)
    fitted = fit_point(signal, basis, SETTINGS)
    found = recover(signal, fitted, "PE", STEPS)
    assert np.isnan(found.slope)
    assert found.reason == "PE is not in the basis set"
    without = make_signal(basis, noise=0.3, truth=dict.fromkeys(basis.names, 0.0) | {"NAA": 9.0, "Glu": -3.0})
    found = recover(without, fit_point(without, basis, SETTINGS), "Glu", STEPS)
    assert np.isnan(found.slope)
    assert "not positive" in found.reason


def test_a_refit_that_does_not_converge_gives_no_slope(basis):
    signal = make_signal(basis, noise=0.3)
    hasty = SETTINGS.model_copy(update={"max_iterations": 1, "tolerance": 1e-12})
    found = recover(signal, fit_point(signal, basis, hasty), "Glu", STEPS)
    assert np.isnan(found.slope)
    assert "did not converge" in found.reason


def test_the_same_spectrum_gives_the_same_slope(basis: BasisSet):
    signal = make_signal(basis, noise=0.3)
    first, second = (recover(signal, fit_point(signal, basis, SETTINGS), "Glu", STEPS) for _ in range(2))
    assert first == second


def test_the_line_and_its_error_are_those_of_least_squares():
    # Regression of Anscombe's first data set (Anscombe 1973, doi 10.1080/00031305.1973.10478966).
    x = np.array([10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5.0])
    y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
    slope, offset, se = straight_line(x, y)
    assert (slope, offset, se) == pytest.approx((0.5001, 3.0001, 0.1179), abs=1e-4)
    with pytest.raises(ValueError, match="3 points"):
        straight_line(x[:2], y[:2])
