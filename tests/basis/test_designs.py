"""Pulses against what they were designed for, and against analytic solutions."""

import numpy as np
import pytest

from mrspipe.basis.designs import ADIABATIC, adiabatic_pulse, inverse_slr, sinc_gauss_pulse, slr_pulse
from mrspipe.basis.pulses import cayley_klein, pulse_of, slice_profile, width_hz
from mrspipe.core.errors import ConfigError

DESIGNS = [
    (design, purpose, duration_s, bandwidth_hz)
    for design in (slr_pulse, sinc_gauss_pulse)
    for purpose, duration_s, bandwidth_hz in [
        ("excitation", 0.004, 2000.0),
        ("refocusing", 0.0065, 1200.0),
        ("inversion", 0.005, 2500.0),
    ]
]
SWEEPS = [("hs", 0.008, 2500.0), ("foci", 0.008, 5000.0), ("goia", 0.0045, 8000.0), ("goia", 0.0035, 20000.0)]


def scaled(pulse, factor):
    return pulse_of(pulse.rotation * factor, pulse.duration_s, pulse.gradient)


# --- Constant phase ---


@pytest.mark.parametrize(("design", "purpose", "duration_s", "bandwidth_hz"), DESIGNS)
def test_the_slice_is_as_wide_as_the_bandwidth(design, purpose, duration_s, bandwidth_hz):
    pulse = design(purpose, duration_s, bandwidth_hz)
    centre, edge = slice_profile(pulse, purpose, np.array([0.0, bandwidth_hz / 2]))
    assert edge == pytest.approx(centre / 2, rel=1e-4)


@pytest.mark.parametrize(("design", "purpose", "duration_s", "bandwidth_hz"), DESIGNS[:3])
def test_the_slice_of_an_slr_pulse_is_flat_inside_and_empty_outside(design, purpose, duration_s, bandwidth_hz):
    pulse = design(purpose, duration_s, bandwidth_hz)
    # The transition of a Hamming filter is 3.3 / duration wide.
    inside = np.linspace(0, bandwidth_hz / 2 - 1.7 / duration_s, 50)
    outside = np.linspace(bandwidth_hz / 2 + 1.7 / duration_s, bandwidth_hz * 2, 50)
    assert slice_profile(pulse, purpose, inside).min() > 0.97
    assert slice_profile(pulse, purpose, outside).max() < 0.01


def test_a_sinc_excites_its_slice_and_refocuses_it_less_well_than_an_slr_pulse():
    # Fourier's rule holds for small angles, and is why the SLR transform is used for 180 degrees (Pauly 1991).
    inside = np.linspace(0, 450, 50)
    excited = slice_profile(sinc_gauss_pulse("excitation", 0.0065, 1200.0), "excitation", inside)
    refocused = {
        design: slice_profile(design("refocusing", 0.0065, 1200.0), "refocusing", inside).mean()
        for design in (slr_pulse, sinc_gauss_pulse)
    }
    assert excited[:25].min() > 0.97
    assert refocused[sinc_gauss_pulse] < refocused[slr_pulse] - 0.03


@pytest.mark.parametrize(("design", "purpose", "duration_s", "bandwidth_hz"), DESIGNS)
def test_a_pulse_of_constant_phase_is_symmetric(design, purpose, duration_s, bandwidth_hz):
    rotation = design(purpose, duration_s, bandwidth_hz).rotation
    np.testing.assert_allclose(rotation, rotation[::-1], atol=1e-9)


def test_the_slr_transform_gives_a_pulse_with_the_wanted_polynomial():
    b = 0.6 * np.hanning(34)[1:-1] / np.hanning(34)[1:-1].sum()
    pulse = pulse_of(inverse_slr(b), 0.0032)
    offset_hz = np.linspace(-4000, 4000, 33)
    wanted = np.abs(np.exp(-2j * np.pi * np.outer(offset_hz, np.arange(32)) * pulse.dwell_s) @ b)
    np.testing.assert_allclose(np.abs(cayley_klein(pulse, offset_hz)[1]), wanted, atol=1e-9)


@pytest.mark.parametrize("design", [slr_pulse, sinc_gauss_pulse])
@pytest.mark.parametrize(("duration_s", "bandwidth_hz"), [(0.002, 400.0), (0.02, 4000.0)])
def test_a_bandwidth_that_the_duration_does_not_allow_is_refused(design, duration_s, bandwidth_hz):
    with pytest.raises(ConfigError, match="cannot be designed"):
        design("refocusing", duration_s, bandwidth_hz)


# --- Adiabatic ---


def test_the_hyperbolic_secant_inverts_as_its_analytic_solution_says():
    # Hioe 1984, doi 10.1103/PhysRevA.30.2100: for B = B0 sech(beta t) and F = mu beta tanh(beta t) / (2 pi), with
    # d = pi offset / beta, Mz = tanh(d + pi mu / 2) tanh(d - pi mu / 2) + cos(pi sqrt((w / beta)^2 - mu^2))
    # sech(d + pi mu / 2) sech(d - pi mu / 2).
    duration_s, bandwidth_hz, peak_hz = 0.010, 1800.0, 800.0
    pulse = adiabatic_pulse("hs", duration_s, bandwidth_hz, peak_hz)
    beta = 2 * np.arccosh(100) / duration_s
    mu = np.pi * bandwidth_hz / beta
    position_hz = np.linspace(-1500, 1500, 61)
    upper, lower = (np.pi * (np.pi * position_hz / beta + sign * mu / 2) for sign in (1, -1))
    wave = np.cos(np.pi * np.sqrt((2 * np.pi * peak_hz / beta) ** 2 - mu**2 + 0j)).real
    expected = np.tanh(upper) * np.tanh(lower) + wave / np.cosh(upper) / np.cosh(lower)
    a, b = cayley_klein(pulse, position_hz)
    # The analytic pulse is infinitely long, this one is cut off at 1 % of its amplitude.
    np.testing.assert_allclose(np.abs(a) ** 2 - np.abs(b) ** 2, expected, atol=0.05)


@pytest.mark.parametrize(("design", "duration_s", "bandwidth_hz"), SWEEPS)
def test_the_sweep_is_the_width_of_the_slice(design, duration_s, bandwidth_hz):
    pulse = adiabatic_pulse(design, duration_s, bandwidth_hz)
    assert width_hz(pulse, "inversion") == pytest.approx(bandwidth_hz, rel=0.02)


@pytest.mark.parametrize("strength", [1.0, 1.2, 1.6, 2.0])
@pytest.mark.parametrize(("design", "duration_s", "bandwidth_hz"), SWEEPS)
def test_inversion_and_refocusing_do_not_depend_on_the_strength_of_the_rf_field(
    design, duration_s, bandwidth_hz, strength
):
    pulse = scaled(adiabatic_pulse(design, duration_s, bandwidth_hz), strength)
    inside = np.linspace(-0.35, 0.35, 41) * bandwidth_hz
    # |b|^2 is what is inverted, and its size what is refocused. Not all of it: the ends of a sweep are cut off.
    assert slice_profile(pulse, "inversion", inside).min() > 0.95
    assert slice_profile(pulse, "inversion", inside).mean() > 0.98


@pytest.mark.parametrize(("design", "duration_s", "bandwidth_hz"), SWEEPS)
def test_nothing_is_inverted_far_outside_the_slice(design, duration_s, bandwidth_hz):
    pulse = adiabatic_pulse(design, duration_s, bandwidth_hz)
    outside = np.linspace(0.7, 1.0, 20) * bandwidth_hz
    assert slice_profile(pulse, "inversion", np.concatenate([-outside, outside])).max() < 0.02


def _adiabaticity(design):
    time = np.linspace(-0.8, 0.8, 4001)
    amplitude, gradient, path = ADIABATIC[design](time)
    return amplitude**2 / (gradient * np.gradient(path, time))


@pytest.mark.parametrize("design", ["hs", "goia"])
def test_the_adiabaticity_is_the_same_all_over_the_slice(design):
    # FOCI is more adiabatic at its flanks, by its larger RF field and gradient.
    found = _adiabaticity(design)[1:-1]
    np.testing.assert_allclose(found, found.mean(), rtol=0.01)


@pytest.mark.parametrize("design", ADIABATIC)
def test_a_sweep_runs_through_the_slice_once_and_is_odd_in_time(design):
    time = (np.arange(2000) + 0.5) / 1000 - 1
    amplitude, gradient, path = ADIABATIC[design](time)
    assert (np.diff(path) >= 0).all()
    np.testing.assert_allclose(path, -path[::-1], atol=1e-9)
    np.testing.assert_allclose([amplitude, gradient], [amplitude[::-1], gradient[::-1]], atol=1e-9)
    assert path[-1] == pytest.approx(1.0, abs=1e-3)


def test_gradient_modulation_saves_rf_amplitude():
    # That is why GOIA and FOCI exist.
    def peak(design):
        pulse = adiabatic_pulse(design, 0.005, 6000.0)
        return np.abs(pulse.rotation).max() / pulse.dwell_s

    assert peak("goia") < 0.5 * peak("hs")
    assert peak("foci") < 0.5 * peak("hs")


def test_a_field_too_weak_to_be_adiabatic_is_refused_with_one_that_is_not():
    with pytest.raises(ConfigError, match=r"100 Hz inverts only \d+%.*at least \d+ Hz"):
        adiabatic_pulse("hs", 0.008, 2500.0, 100.0)


@pytest.mark.parametrize("bandwidth_hz", [500.0, 1e5])
def test_a_sweep_that_the_duration_does_not_allow_is_refused(bandwidth_hz):
    with pytest.raises(ConfigError, match="cannot be designed"):
        adiabatic_pulse("goia", 0.005, bandwidth_hz)
