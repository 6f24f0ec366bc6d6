from dataclasses import replace

import numpy as np
import pytest
from brain_like import make_basis, make_signal

from mrspipe.core.axis import SpectralAxis
from mrspipe.fit.nuisance import Nuisance
from mrspipe.fit.prepare import prepare
from mrspipe.fit.priors import Scale, amplitude_priors, theta_priors
from mrspipe.fit.settings import FitSettings
from mrspipe.fit.solver import Problem


@pytest.fixture(scope="session")
def axis():
    return SpectralAxis(2048, 1 / 2000, 127.7e6, 4.65)


@pytest.fixture(scope="session")
def basis(axis):
    return make_basis(axis)


@pytest.fixture(scope="session")
def prepared(basis, axis):
    return prepare(basis, axis, FitSettings())


@pytest.fixture(scope="session")
def nuisance(basis, prepared):
    settings = FitSettings()
    return Nuisance.generic(
        prepared.generic_smooth, prepared.roles.metabolites, settings.priors, basis_width_hz=basis.linewidth_hz
    )


@pytest.fixture(scope="session")
def problem(basis, prepared, nuisance):
    settings = FitSettings()
    signal = make_signal(basis, noise=0.3)
    # Double precision, so that differences tell slopes.
    model = replace(prepared.model, precision=np.complex128)
    sigma = 0.3 * np.sqrt(prepared.grid.duration_s * signal.axis.dwell_s)
    mean, sd = theta_priors(prepared.model.layout, nuisance, settings.priors, hz_per_ppm=127.7)
    scale = Scale(total_creatine=8 / sigma, creatine_proton=8 / sigma, macromolecules=3 / sigma)
    rows = amplitude_priors(prepared.roles, nuisance, settings.priors.creatine_fraction, scale)
    data = prepared.grid.spectra(signal.fid, signal.axis)[prepared.model.window].real / sigma
    return Problem(model, prepared.base, data, rows, mean, sd, prepared.base.stiffness_for(6.0))
