"""What a fit says about itself."""

import pytest
from brain_like import make_signal

from mrspipe.fit.settings import FitPriors, FitSettings, RatioPrior
from mrspipe.fit.spectrum import fit_spectrum


def _prior_line(fit):
    return next((line for line in fit.advice if line.startswith("Mostly determined by their priors")), "")


@pytest.mark.parametrize(("sd", "told"), [(0.002, True), (2.0, False)])
def test_a_metabolite_is_told_when_its_prior_knows_more_than_the_spectrum(basis, sd, told):
    priors = FitPriors(ratios_to_tcr={"GABA": RatioPrior(mean=0.2, sd=sd)})
    fit = fit_spectrum(make_signal(basis, noise=0.3), basis, FitSettings(priors=priors))
    assert (fit.prior_share[fit.names.index("GABA")] > 0.5) == told
    assert ("GABA" in _prior_line(fit)) == told
