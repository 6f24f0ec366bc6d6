"""What a pulse does to one spin, against a Bloch simulation that shares no code with it."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mrspipe.basis.designs import adiabatic_pulse, slr_pulse
from mrspipe.basis.pulses import cayley_klein, ideal_pulse, pulse_of, slice_profile, width_hz

EXCITATION = slr_pulse("excitation", 0.004, 2000.0)
REFOCUSING = slr_pulse("refocusing", 0.0065, 1200.0)
HS = adiabatic_pulse("hs", 0.008, 2000.0)
GOIA = adiabatic_pulse("goia", 0.0045, 8000.0)


def bloch(pulse, magnetisation, position_hz, offset_hz=0.0, parts=1):
    """Magnetisation after a pulse, by rotations of vectors in space."""
    step_s = pulse.dwell_s / parts
    for rotation, gradient in zip(pulse.rotation, pulse.gradient, strict=True):
        angle, phase = np.abs(rotation) / parts, np.angle(rotation)
        turn = angle * np.array([-np.sin(phase), np.cos(phase), 0.0])
        precession = np.array([0.0, 0.0, 2 * np.pi * (offset_hz + gradient * position_hz) * step_s])
        half = Rotation.from_rotvec(precession / 2)
        step = half * Rotation.from_rotvec(turn) * half if parts == 1 else Rotation.from_rotvec(turn + precession)
        for _ in range(parts):
            magnetisation = step.apply(magnetisation)
    return magnetisation


@pytest.mark.parametrize("pulse", [EXCITATION, REFOCUSING, HS, GOIA], ids=["SLR 90", "SLR 180", "HS", "GOIA"])
@pytest.mark.parametrize(("position_hz", "offset_hz"), [(0.0, 0.0), (150.0, 0.0), (700.0, -200.0), (-1400.0, 120.0)])
def test_the_magnetisation_after_a_pulse_is_that_of_a_bloch_simulation(pulse, position_hz, offset_hz):
    found = bloch(pulse, np.array([0.0, 0.0, 1.0]), position_hz, offset_hz)
    a, b = cayley_klein(pulse, np.array(position_hz), offset_hz)
    assert found[0] + 1j * found[1] == pytest.approx(complex(2 * a.conj() * b), abs=1e-9)
    assert found[2] == pytest.approx(float(abs(a) ** 2 - abs(b) ** 2), abs=1e-9)


@pytest.mark.parametrize("pulse", [REFOCUSING, GOIA], ids=["SLR", "GOIA"])
@pytest.mark.parametrize("position_hz", [0.0, 300.0, 600.0, 900.0])
def test_the_refocused_magnetisation_is_that_of_a_bloch_simulation_with_crushers(pulse, position_hz):
    total = 0.0
    for phase in np.arange(8) * np.pi / 4:  # equal crushers on both sides
        before = np.array([np.cos(phase), np.sin(phase), 0.0])
        after = bloch(pulse, before, position_hz)
        total += (after[0] + 1j * after[1]) * np.exp(1j * phase) / 8
    b = cayley_klein(pulse, np.array(position_hz))[1]
    assert total == pytest.approx(complex(-(b**2)), abs=1e-9)


@pytest.mark.parametrize("pulse", [REFOCUSING, HS, GOIA], ids=["SLR", "HS", "GOIA"])
@pytest.mark.parametrize("position_hz", [0.0, 400.0, 900.0])
def test_hard_rotations_are_close_to_a_field_that_is_on_all_the_time(pulse, position_hz):
    start = np.array([0.0, 0.0, 1.0])
    hard, soft = bloch(pulse, start, position_hz), bloch(pulse, start, position_hz, parts=8)
    # Rotations in a train see no sinc(f dt), which is 0.986 at 900 Hz.
    assert hard[2] == pytest.approx(soft[2], abs=0.03)


@pytest.mark.parametrize("pulse", [EXCITATION, GOIA], ids=["SLR", "GOIA"])
def test_a_pulse_turns_and_does_not_lose_magnetisation(pulse):
    a, b = cayley_klein(pulse, np.linspace(-5000, 5000, 41), 100.0)
    np.testing.assert_allclose(np.abs(a) ** 2 + np.abs(b) ** 2, 1.0, atol=1e-12)


def test_consecutive_segments_are_the_whole_pulse():
    position_hz = np.linspace(-3000, 3000, 7)
    total = np.eye(2)[None]
    for segment in GOIA.segments(5):
        a, b = cayley_klein(segment, position_hz, 80.0)
        total = np.moveaxis(np.array([[a, -b.conj()], [b, a.conj()]]), -1, 0) @ total
    a, b = cayley_klein(GOIA, position_hz, 80.0)
    np.testing.assert_allclose(total[:, :, 0], np.stack([a, b], axis=1), atol=1e-12)
    assert sum(segment.duration_s for segment in GOIA.segments(5)) == pytest.approx(GOIA.duration_s)


@pytest.mark.parametrize(("purpose", "z"), [("excitation", 0.0), ("refocusing", -1.0), ("inversion", -1.0)])
def test_an_ideal_pulse_turns_by_its_angle_whatever_the_offset(purpose, z):
    a, b = cayley_klein(ideal_pulse(purpose), np.array([-5000.0, 0.0, 800.0]))
    np.testing.assert_allclose(np.abs(a) ** 2 - np.abs(b) ** 2, z, atol=1e-12)


def test_the_width_is_that_at_half_maximum():
    hz = width_hz(REFOCUSING, "refocusing")
    centre, edge = slice_profile(REFOCUSING, "refocusing", np.array([0.0, hz / 2]))
    assert edge == pytest.approx(centre / 2, rel=1e-3)


def test_a_pulse_without_a_slice_has_no_width():
    assert np.isnan(width_hz(pulse_of(np.array([np.pi]), 1e-4), "refocusing"))
