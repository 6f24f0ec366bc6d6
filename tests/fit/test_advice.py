"""What a fit says about itself."""

from dataclasses import replace

import numpy as np
import pytest
from brain_like import TRUTH, make_signal

from mrspipe.core.operators import broadened, shifted
from mrspipe.core.ratios import ratio_to_creatine
from mrspipe.fit.advice import advice_for, status_of
from mrspipe.fit.limits import BASELINE, stopped
from mrspipe.fit.model import Layout
from mrspipe.fit.prepare import prepare
from mrspipe.fit.settings import FitPriors, FitSettings, RatioPrior
from mrspipe.fit.solver import FARTHEST_SD
from mrspipe.fit.spectrum import fit_spectrum


@pytest.fixture(scope="module")
def fit(basis):
    return fit_spectrum(make_signal(basis, noise=0.3), basis, FitSettings())


def _prior_line(fit):
    return next((line for line in fit.advice if line.startswith("Mostly determined by their priors")), "")


@pytest.mark.parametrize(("sd", "told"), [(0.002, True), (2.0, False)])
def test_a_metabolite_is_told_when_its_prior_knows_more_than_the_spectrum(basis, sd, told):
    priors = FitPriors(ratios_to_tcr={"GABA": RatioPrior(mean=0.2, sd=sd)})
    fit = fit_spectrum(make_signal(basis, noise=0.3), basis, FitSettings(priors=priors))
    assert (fit.prior_share[fit.names.index("GABA")] > 0.5) == told
    assert ("GABA" in _prior_line(fit)) == told


def _with_glu_gln(fit, correlation, creatine=None):
    """The fit with another correlation of Glu and Gln, and another amplitude of Cr."""
    sd = np.sqrt(np.diag(fit.covariance))
    covariance, amplitudes = np.diag(sd**2), fit.amplitudes.copy()
    glu, gln = fit.names.index("Glu"), fit.names.index("Gln")
    covariance[glu, gln] = covariance[gln, glu] = correlation * sd[glu] * sd[gln]
    if creatine is not None:
        amplitudes[[fit.names.index("Cr"), fit.names.index("PCr")]] = creatine
    return replace(fit, covariance=covariance, amplitudes=amplitudes)


def test_glu_and_gln_that_can_be_exchanged_are_told_with_numbers(fit):
    changed = _with_glu_gln(fit, -0.85)
    (line,) = [line for line in advice_for(changed) if "Glu and Gln" in line]
    glx = ratio_to_creatine(changed, "Glx")
    assert "correlation -0.85" in line
    assert "Glx is better determined than its parts" in line
    assert f"Glx/tCr {glx.value:.2f} +- {glx.se:.2f}" in line


def test_glx_is_not_praised_when_the_errors_of_glu_and_gln_add_up(fit):
    (line,) = [line for line in advice_for(_with_glu_gln(fit, 0.85)) if "Glu and Gln" in line]
    assert "better" not in line


def test_glu_and_gln_that_are_told_apart_need_no_advice(fit):
    assert not [line for line in advice_for(_with_glu_gln(fit, -0.5)) if "Glu and Gln" in line]


def test_without_creatine_the_advice_gives_no_ratio(fit):
    advice = advice_for(_with_glu_gln(fit, -0.85, creatine=-0.1))
    assert "Total creatine is not measurable in this scan, so there are no ratios to it." in advice
    assert not any("/tCr" in line for line in advice)


def test_a_spectrum_without_creatine_has_no_ratio(basis):
    truth = TRUTH | {"Cr": 0.0, "PCr": 0.0}
    found = fit_spectrum(make_signal(basis, noise=10.0, truth=truth), basis, FitSettings())
    ratio = ratio_to_creatine(found, "Glu")
    assert np.isnan(ratio.value)
    assert any("creatine is not measurable" in line for line in found.advice)


# Limits


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (Layout.PHASE0, "zero-order phase"),
        (Layout.PHASE1, "first-order phase"),
        (Layout.SHIFT, "common shift"),
        (Layout.LORENTZ, "common Lorentzian width"),
        (Layout.GAUSS, "common Gaussian width"),
        (Layout.T2, "T2 contrast"),
        (Layout.SHAPE.stop - 1, "phase of the line shape (6 of 6)"),
        (Layout.N_SHARED, "shift of NAA"),
        (-1, "width of GABA"),
    ],
)
def test_a_parameter_at_its_limit_is_called_by_its_name(problem, basis, axis, index, name):
    prepared = prepare(basis, axis, FitSettings())
    theta = problem.theta_mean.copy()
    theta[index] -= FARTHEST_SD * problem.theta_sd[index]
    assert stopped(problem, theta, prepared) == (name,)


def test_a_baseline_that_can_bend_no_further_is_named(problem, basis, axis):
    prepared = prepare(basis, axis, FitSettings())
    bent = replace(problem, stiffness=prepared.stiffnesses[-1])
    assert stopped(bent, problem.theta_mean, prepared) == (BASELINE,)
    assert stopped(problem, problem.theta_mean, prepared) == ()


def test_a_metabolite_that_stands_elsewhere_in_the_basis_set_is_named(basis, axis):
    # Glu of the basis set lies 3 Hz from that of the spectrum; 5 SD of 0.004 ppm are 2.6 Hz.
    moved = np.array(basis.fids)
    glu = basis.names.index("Glu")
    moved[glu] = shifted(moved[glu], axis, 3.0)
    found = fit_spectrum(make_signal(basis, noise=1.0), replace(basis, fids=moved), FitSettings())
    assert "shift of Glu" in found.at_limit
    assert any("Stopped where it becomes implausible" in line and "shift of Glu" in line for line in found.advice)


def test_lines_broader_than_any_brain_are_named(basis):
    # 17 Hz of Lorentzian and 4 Hz of Gaussian width are 18 Hz; what is believed ends at 2.5 times the expected 6.6 Hz.
    clean, noisy = (make_signal(basis, noise=noise) for noise in (0.0, 0.3))
    broad = broadened(clean.fid, clean.axis, lorentz_hz=15.0) + noisy.fid - clean.fid
    found = fit_spectrum(replace(clean, samples=broad), basis, FitSettings())
    assert "common line width" in found.at_limit
    assert any("Stopped where it becomes implausible: common line width" in line for line in found.advice)


# How it ended


def test_a_fit_that_is_stopped_early_says_so(basis):
    found = fit_spectrum(make_signal(basis, noise=0.3), basis, FitSettings(max_iterations=1))
    assert found.status == "not-converged"
    assert any("still moving" in line for line in found.advice)


def test_amplitudes_that_are_not_determined_are_told(fit):
    lost = replace(fit, covariance=np.full_like(fit.covariance, np.nan), prior_share=np.full(len(fit.names), np.nan))
    lost = replace(lost, status=status_of(lost, converged=True))
    assert lost.status == "undetermined"
    assert any("do not determine" in line for line in advice_for(lost))


@pytest.mark.parametrize(("lorentz_hz", "gauss_hz"), [(-1.0, 4.0), (20.0, 8.0), (0.1, 0.1)])
def test_a_width_that_no_brain_has_is_told_with_its_numbers(fit, lorentz_hz, gauss_hz):
    nuisance = dict(fit.nuisance) | {"lorentz_hz": lorentz_hz, "gauss_hz": gauss_hz}
    assert any(f"({lorentz_hz:.1f} Hz Lorentzian" in line for line in advice_for(replace(fit, nuisance=nuisance)))


def test_a_good_fit_needs_no_advice(fit):
    assert (fit.status, fit.advice) == ("converged", ())
