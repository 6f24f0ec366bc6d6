"""The budget of errors against many draws of what is uncertain, each put through the formulas again."""

from dataclasses import replace

import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.results import ErrorBudget, FitResult, TissueFractions
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.quantify.budget import tissue_covariance
from mrspipe.quantify.draws import draw_constants
from mrspipe.quantify.factors import Constants, Timing, conversion_factors
from mrspipe.quantify.levels import concentrations
from mrspipe.quantify.settings import QuantifySettings

N_DRAWS = 4000
# An SD from n normal draws has a relative SD of 1 / sqrt(2 n); the tolerance is four of them. First order misses three
# times the square of a relative error (the mean of 1 / (1 + x) over normal x goes on with x^3): 0.3 % at 3 %.
TOLERANCE = 4 / np.sqrt(2 * N_DRAWS) + 0.005

PRESS = Acquisition(sequence="press", echo_time_s=0.032, repetition_time_s=2.5)
TIMING = Timing(0.032, 2.5, 0.032, 2.5)
TISSUE = TissueFractions(0.55, 0.33, 0.12, sd=(0.010, 0.012, 0.006))
AMPLITUDES = np.array([1.1, 0.3])
COVARIANCE = np.array([[0.0025, -0.0010], [-0.0010, 0.0016]])
WATER_SD = 0.01
CONSTANTS = Constants(
    fractions=np.array([TISSUE.gm, TISSUE.wm, TISSUE.csf]),
    water_t1=np.array([1.331, 0.832, 3.817]),
    water_t2=np.array([0.110, 0.0792, 0.503]),
    water_content=np.array([0.78, 0.65, 0.97]),
)
SETTINGS = QuantifySettings(
    quantities=("molal", "molar", "institutional", "alpha_molar", "alpha_group_molar", "lcmodel"),
    alpha_group_fractions={"GM": 0.6, "WM": 0.3, "CSF": 0.1},
    t1_sd_fraction=0.02,
    t2_sd_fraction=0.03,
)


def glx(quantity, constants=CONSTANTS, amplitudes=AMPLITUDES, water=1.0):
    factors = conversion_factors(("Glu", "Gln"), quantity, constants, TIMING, SETTINGS)
    return float(np.dot(factors, amplitudes)) / water


def draws_of(source, quantity, rng):
    """Values of Glx when one source is drawn from its SD and all else is held."""
    if source == "fit":
        return [glx(quantity, amplitudes=a) for a in rng.multivariate_normal(AMPLITUDES, COVARIANCE, N_DRAWS)]
    if source == "water_fit":
        return [glx(quantity, water=1 + WATER_SD * one) for one in rng.standard_normal(N_DRAWS)]
    covariance = tissue_covariance(CONSTANTS.fractions, np.array(TISSUE.sd), SETTINGS.tissue_fraction_sd)
    drawn = (draw_constants(source, CONSTANTS, covariance, SETTINGS, rng) for _ in range(N_DRAWS))
    return [glx(quantity, constants=one) for one in drawn]


@pytest.fixture(scope="module")
def levels():
    axis = SpectralAxis(2048, 1 / 4000, 127.7e6, 4.65)
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((2, axis.n_points))
    fid = 2.0 * np.exp(-np.pi * 6.0 * axis.time_s) + 1e-3 * (noise[0] + 1j * noise[1])
    empty = np.zeros(4)
    fit = FitResult(
        ("Glu", "Gln"), AMPLITUDES, COVARIANCE, COVARIANCE, np.zeros(2), {}, *[empty] * 5, np.zeros((2, 4)), 1.0, 1.0
    )
    water = Signal(fid, ("time",), axis, PRESS)
    found = concentrations(fit, water, TISSUE, PRESS, SETTINGS)
    return {level.quantity: level for level in found if level.metabolite == "Glx"}


@pytest.mark.parametrize("quantity", ["molal", "molar", "institutional", "alpha_molar", "alpha_group_molar"])
@pytest.mark.parametrize("source", ["fit", "tissue", "water_relaxation", "metabolite_relaxation", "water_content"])
def test_the_budget_is_the_spread_of_values_drawn_from_each_source(levels, quantity, source):
    found = getattr(levels[quantity].budget, source) / levels[quantity].value
    drawn = np.array(draws_of(source, quantity, np.random.default_rng(2)))
    assert found == pytest.approx(drawn.std() / glx(quantity), rel=TOLERANCE, abs=1e-12)


def test_the_error_of_the_water_amplitude_is_relative_to_the_value(levels):
    # Relative errors of value and water amplitude are the same, to first order; 1 % here.
    drawn = np.array(draws_of("water_fit", "molar", np.random.default_rng(3)))
    assert drawn.std() / glx("molar") == pytest.approx(WATER_SD, rel=TOLERANCE)
    relative = {q: level.budget.water_fit / level.value for q, level in levels.items()}
    assert relative["molar"] > 0
    assert all(one == pytest.approx(relative["molar"]) for one in relative.values())


def test_own_and_shared_parts_add_up_to_the_total_in_quadrature(levels):
    for level in levels.values():
        parts = level.budget
        assert parts.own**2 == pytest.approx(parts.fit**2 + parts.water_fit**2 + parts.tissue**2)
        assert parts.own**2 + parts.shared**2 == pytest.approx(level.se_total**2)
        assert parts.fit == level.se_fit


def test_a_shared_error_cancels_from_a_ratio_of_two_scans():
    # Two scans with the same tissue and constants: whatever the constants, the ratio of their values stays.
    rng = np.random.default_rng(4)
    ratios = []
    for scale in 1 + 0.1 * rng.standard_normal(50):
        constants = replace(CONSTANTS, water_t2=CONSTANTS.water_t2 * scale, metabolite_t2_scale=scale)
        ratios.append(glx("molar", constants, 1.2 * AMPLITUDES) / glx("molar", constants))
    np.testing.assert_allclose(ratios, 1.2)


def test_molal_values_do_not_feel_how_much_water_there_is(levels):
    assert levels["molal"].budget.water_content == 0
    assert levels["molar"].budget.water_content / levels["molar"].value == pytest.approx(0.02)


def test_the_scaling_of_lcmodel_has_no_error_of_constants(levels):
    parts = levels["lcmodel"].budget
    assert (parts.tissue, parts.shared) == (0, 0)


def test_the_covariance_of_the_fractions_has_the_errors_of_maps_and_settings():
    covariance = tissue_covariance(CONSTANTS.fractions, np.array(TISSUE.sd), 0.0)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), TISSUE.sd)
    np.testing.assert_allclose(covariance.sum(axis=0), 0, atol=1e-15)
    wider = tissue_covariance(CONSTANTS.fractions, np.array(TISSUE.sd), 0.02)
    np.testing.assert_allclose(wider.sum(axis=0), 0, atol=1e-15)
    assert wider[2, 2] - covariance[2, 2] == pytest.approx(0.02**2)


def test_an_empty_budget_is_no_error():
    assert ErrorBudget().total == 0
