"""What a fit says about itself."""

from dataclasses import replace

import numpy as np
import pytest
from brain_like import TRUTH, make_signal

from mrspipe.core.ratios import ratio_to_creatine
from mrspipe.fit.advice import advice_for
from mrspipe.fit.settings import FitPriors, FitSettings, RatioPrior
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
    (line,) = [line for line in advice_for(changed, FitSettings()) if "Glu and Gln" in line]
    glx = ratio_to_creatine(changed, "Glx")
    assert "correlation -0.85" in line
    assert "Glx is better determined than its parts" in line
    assert f"Glx/tCr {glx.value:.2f} +- {glx.se:.2f}" in line


def test_glx_is_not_praised_when_the_errors_of_glu_and_gln_add_up(fit):
    (line,) = [line for line in advice_for(_with_glu_gln(fit, 0.85), FitSettings()) if "Glu and Gln" in line]
    assert "better" not in line


def test_glu_and_gln_that_are_told_apart_need_no_advice(fit):
    assert not [line for line in advice_for(_with_glu_gln(fit, -0.5), FitSettings()) if "Glu and Gln" in line]


def test_without_creatine_the_advice_gives_no_ratio(fit):
    advice = advice_for(_with_glu_gln(fit, -0.85, creatine=-0.1), FitSettings())
    assert "Total creatine is not measurable in this scan, so there are no ratios to it." in advice
    assert not any("/tCr" in line for line in advice)


def test_a_spectrum_without_creatine_has_no_ratio(basis):
    truth = TRUTH | {"Cr": 0.0, "PCr": 0.0}
    found = fit_spectrum(make_signal(basis, noise=10.0, truth=truth), basis, FitSettings())
    ratio = ratio_to_creatine(found, "Glu")
    assert np.isnan(ratio.value)
    assert any("creatine is not measurable" in line for line in found.advice)
