"""Pulses against what they were designed for, and against a Bloch simulation that shares no code with them."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from mrspipe.basis.pulses import (
    PulseSettings,
    cayley_klein,
    designed_pulse,
    excitation_pulse,
    inverse_slr,
    refocusing_pulse,
    slice_profile,
)
from mrspipe.core.errors import ConfigError

DESIGNS = [("excitation", 0.004, 2000.0), ("refocusing", 0.0065, 1200.0), ("refocusing", 0.005, 2500.0)]


def bloch(pulse, magnetisation, offset_hz, rf_phase_rad=0.0, parts=1):
    """Magnetisation after a pulse about y (or the axis rf_phase further on), by rotations of vectors in space."""
    step_s = pulse.dwell_s / parts
    axis = np.array([-np.sin(rf_phase_rad), np.cos(rf_phase_rad), 0.0])
    for angle in np.repeat(pulse.angle_rad / parts, parts):
        if parts == 1:
            half = Rotation.from_rotvec([0.0, 0.0, np.pi * offset_hz * step_s])
            magnetisation = (half * Rotation.from_rotvec(angle * axis) * half).apply(magnetisation)
        else:
            field = angle * axis + np.array([0.0, 0.0, 2 * np.pi * offset_hz * step_s])
            magnetisation = Rotation.from_rotvec(field).apply(magnetisation)
    return magnetisation


@pytest.mark.parametrize(("purpose", "duration_s", "bandwidth_hz"), DESIGNS)
def test_the_slice_is_as_wide_as_the_bandwidth(purpose, duration_s, bandwidth_hz):
    pulse = designed_pulse(purpose, duration_s, bandwidth_hz)
    centre, edge = slice_profile(pulse, purpose, np.array([0.0, bandwidth_hz / 2]))
    assert edge == pytest.approx(centre / 2, rel=1e-4)


@pytest.mark.parametrize(("purpose", "duration_s", "bandwidth_hz"), DESIGNS)
def test_the_slice_is_flat_inside_and_empty_outside(purpose, duration_s, bandwidth_hz):
    pulse = designed_pulse(purpose, duration_s, bandwidth_hz)
    # The transition of a Hamming filter is 3.3 / duration wide.
    inside = np.linspace(0, bandwidth_hz / 2 - 1.7 / duration_s, 50)
    outside = np.linspace(bandwidth_hz / 2 + 1.7 / duration_s, bandwidth_hz * 2, 50)
    assert slice_profile(pulse, purpose, inside).min() > 0.97
    assert slice_profile(pulse, purpose, outside).max() < 0.01


@pytest.mark.parametrize(("purpose", "duration_s", "bandwidth_hz"), DESIGNS)
def test_a_linear_phase_pulse_is_symmetric(purpose, duration_s, bandwidth_hz):
    angle = designed_pulse(purpose, duration_s, bandwidth_hz).angle_rad
    np.testing.assert_allclose(angle, angle[::-1], atol=1e-9)


def test_the_slr_transform_gives_a_pulse_with_the_wanted_polynomial():
    b = 0.6 * np.hanning(34)[1:-1] / np.hanning(34)[1:-1].sum()
    pulse = type(designed_pulse(*DESIGNS[0]))(inverse_slr(b), 0.0032, 1000.0)
    offset_hz = np.linspace(-4000, 4000, 33)
    wanted = np.abs(np.exp(-2j * np.pi * np.outer(offset_hz, np.arange(32)) * pulse.dwell_s) @ b)
    np.testing.assert_allclose(np.abs(cayley_klein(pulse, offset_hz)[1]), wanted, atol=1e-9)


@pytest.mark.parametrize("offset_hz", [0.0, 150.0, 700.0, 1400.0])
def test_the_excited_magnetisation_is_that_of_a_bloch_simulation(offset_hz):
    pulse = excitation_pulse(PulseSettings())
    found = bloch(pulse, np.array([0.0, 0.0, 1.0]), offset_hz)
    a, b = cayley_klein(pulse, np.array(offset_hz))
    assert found[0] + 1j * found[1] == pytest.approx(complex(2 * a.conj() * b), abs=1e-9)
    assert found[2] == pytest.approx(float(abs(a) ** 2 - abs(b) ** 2), abs=1e-9)


@pytest.mark.parametrize("offset_hz", [0.0, 300.0, 600.0, 900.0])
def test_the_refocused_magnetisation_is_that_of_a_bloch_simulation_with_crushers(offset_hz):
    pulse = refocusing_pulse(PulseSettings())
    total = 0.0
    for phase in np.arange(8) * np.pi / 4:  # equal crushers on both sides
        before = np.array([np.cos(phase), np.sin(phase), 0.0])
        after = bloch(pulse, before, offset_hz)
        total += (after[0] + 1j * after[1]) * np.exp(1j * phase) / 8
    b = cayley_klein(pulse, np.array(offset_hz))[1]
    assert total == pytest.approx(complex(-(b**2)), abs=1e-9)


@pytest.mark.parametrize("offset_hz", [0.0, 400.0, 900.0])
def test_hard_rotations_are_close_to_a_field_that_is_on_all_the_time(offset_hz):
    pulse = refocusing_pulse(PulseSettings())
    start = np.array([0.0, 0.0, 1.0])
    hard, soft = bloch(pulse, start, offset_hz), bloch(pulse, start, offset_hz, parts=20)
    # Rotations in a train see no sinc(f dt), which is 0.986 at 900 Hz.
    assert hard[2] == pytest.approx(soft[2], abs=0.03)


def test_a_given_shape_turns_a_spin_on_resonance_by_its_angle():
    settings = PulseSettings(excitation_shape=(1.0, 2.0, 1.0), refocusing_shape=(1.0, 3.0, 1.0))
    assert excitation_pulse(settings).angle_rad.sum() == pytest.approx(np.pi / 2)
    assert refocusing_pulse(settings).angle_rad.sum() == pytest.approx(np.pi)
    np.testing.assert_allclose(refocusing_pulse(settings).angle_rad, np.pi * np.array([0.2, 0.6, 0.2]))


def test_a_shape_without_a_sum_is_refused():
    with pytest.raises(ValidationError, match="excitation_shape"):
        PulseSettings(excitation_shape=(1.0, -2.0, 1.0, 0.0))
    with pytest.raises(ValidationError, match="symmetric"):
        PulseSettings(refocusing_shape=(1.0, 2.0, 3.0))


def test_a_bandwidth_that_the_duration_does_not_allow_is_refused():
    with pytest.raises(ConfigError, match="cannot be designed"):
        designed_pulse("refocusing", 0.002, 400.0)
    with pytest.raises(ConfigError, match="cannot be designed"):
        designed_pulse("refocusing", 0.02, 4000.0)
