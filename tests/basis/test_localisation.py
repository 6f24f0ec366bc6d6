"""PRESS with shaped pulses: laws, limits, and a brute-force sum over the voxel that shares no code with it."""

import time
from functools import reduce
from itertools import product

import numpy as np
import pytest
from scipy.linalg import expm

from mrspipe.basis import localisation
from mrspipe.basis.pulses import PulseSettings, excitation_pulse, refocusing_pulse
from mrspipe.basis.sequences import SequenceSettings
from mrspipe.basis.simulate import line_list, simulate_basis
from mrspipe.basis.spin_dynamics import coupled_spins, merged_lines
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import ConfigError
from mrspipe.physics.metabolites import METABOLITES, SpinPart, spin_system

F0 = 123.2e6
TIMES_S = (0.012, 0.018)
PULSES = PulseSettings()
SHAPED = SequenceSettings(sequence="press", echo_time_s=0.03, pulses="shaped")
LAC = spin_system("Lac").parts[0]


def lines_of(part, times_s=TIMES_S, pulses=PULSES, f0=F0):
    return merged_lines(localisation.press_lines(part, times_s, pulses, f0))


@pytest.mark.parametrize("ppm", [0.9, 2.01, 3.0, 4.65, 5.4])
@pytest.mark.parametrize("f0", [63.9e6, F0, 298e6])
def test_a_singlet_keeps_its_protons_wherever_it_resonates(ppm, f0):
    lines = lines_of(SpinPart((ppm,), (3,)), f0=f0)
    np.testing.assert_allclose(lines.frequency_hz, [ppm * f0 * 1e-6])
    # What is left out beyond the edges of the slice.
    np.testing.assert_allclose(lines.amplitude, [3.0], atol=3e-3)


def _shaped(product_of_duration_and_bandwidth, bandwidth_hz=4e5, **shapes):
    duration_s = product_of_duration_and_bandwidth / bandwidth_hz
    return PulseSettings(
        excitation_bandwidth_hz=bandwidth_hz,
        excitation_duration_s=duration_s,
        refocusing_bandwidth_hz=bandwidth_hz,
        refocusing_duration_s=duration_s,
        **shapes,
    )


def _fids(name, pulses):
    ideal = SequenceSettings(sequence="press", echo_time_s=0.03, te1_s=0.012)
    shaped = ideal.model_copy(update={"pulses": "shaped", "pulse_shapes": pulses})
    axis = SpectralAxis(512, 1 / 2000, F0, 4.65)
    return [simulate_basis(settings, axis, metabolites=(name,)).fids[0] for settings in (ideal, shaped)]


def _distance_from_ideal(name, pulses):
    ideal, shaped = _fids(name, pulses)
    return np.linalg.norm(shaped - ideal) / np.linalg.norm(ideal)


@pytest.mark.parametrize("name", ["Lac", "Glu", "Tau", "PE"])
def test_hard_pulses_are_ideal_pulses(name):
    # A hard pulse has no slice, so that the size of its voxel, and of the signal, has no meaning.
    hard = _shaped(1.0, bandwidth_hz=1e6, excitation_shape=(1.0,), refocusing_shape=(1.0,))
    ideal, shaped = _fids(name, hard)
    np.testing.assert_allclose(shaped * (ideal[0] / shaped[0]).real, ideal, atol=1e-4)


@pytest.mark.parametrize("name", ["Lac", "Glu", "Tau", "PE"])
def test_without_displacement_the_distance_from_ideal_pulses_is_that_of_the_edges_of_the_slices(name):
    # The edges take 3.3 / (duration bandwidth) of a slice: a quarter. There coupled spins are turned by less than 180
    # degrees.
    blurred, sharp = (_distance_from_ideal(name, _shaped(product)) for product in (8.0, 32.0))
    assert sharp == pytest.approx(blurred / 4, rel=0.35)


def test_pulses_turn_and_do_not_lose_magnetisation():
    (spins,) = [s for s in coupled_spins(LAC, F0, carrier_hz=3.0 * F0 * 1e-6) if s.energy_hz.size == 8]
    turn = localisation._propagators(spins, refocusing_pulse(PULSES), np.array([-400.0, 0.0, 900.0]))
    for k in range(3):
        np.testing.assert_allclose(turn[:, k] @ turn[:, k].conj().T, np.eye(8), atol=1e-12)


def test_lactate_at_one_over_j_shows_the_displacement_of_its_voxels():
    # Of the methyl voxel the part (1 - d)^2 has CH refocused by both pulses and is inverted at TE = 1/J, the part d^2
    # by none and is upright, and the rest by one of two and is in antiphase: 2 d - 1 in all, for sharp edges
    # (Edden 2006, doi 10.1002/mrm.21030, on the loss of lactate in PRESS at 3 T).
    coupling_hz = 6.933
    te_s = 1 / coupling_hz
    pulses = PulseSettings(
        excitation_bandwidth_hz=20000.0,
        excitation_duration_s=0.0005,
        refocusing_bandwidth_hz=4000.0,
        refocusing_duration_s=0.005,
        carrier_ppm=1.3142,
    )
    f0 = 400e6
    lines = lines_of(LAC, (te_s / 2, te_s / 2), pulses, f0)
    methyl = np.abs(lines.frequency_hz - 1.3142 * f0 * 1e-6) < 50
    displacement = (4.0974 - 1.3142) * f0 * 1e-6 / pulses.refocusing_bandwidth_hz
    assert lines.amplitude[methyl].sum().real / 3 == pytest.approx(2 * displacement - 1, abs=0.05)


@pytest.mark.parametrize("lobes", [2, 3])
def test_lactate_at_two_over_j_loses_what_was_calculated_and_measured_at_one_and_a_half_tesla(lobes):
    # Symmetric PRESS, Hamming-filtered sinc pulses, 2 mT/m and 20 mm: 78 % by theory, 82 % measured; with pulses of
    # sharp edges 44 % (doi 10.1006/jmre.2001.2420; the number of lobes is not known).
    bandwidth_hz = 42.58e6 * 2e-3 * 20e-3
    time_of_lobe = lobes * (2 * (np.arange(64) + 0.5) / 64 - 1)
    sinc = tuple(np.sinc(time_of_lobe) * (0.54 + 0.46 * np.cos(np.pi * time_of_lobe / lobes)))
    blurred = _shaped(2.0 * lobes, bandwidth_hz, excitation_shape=sinc, refocusing_shape=sinc, carrier_ppm=1.3142)
    sharp = _shaped(24.0, bandwidth_hz, carrier_ppm=1.3142)
    loss = {}
    for name, pulses in (("blurred", blurred), ("sharp", sharp)):
        lines = lines_of(LAC, (1 / 6.933, 1 / 6.933), pulses, 63.9e6)
        methyl = np.abs(lines.frequency_hz - 1.3142 * 63.9) < 50
        loss[name] = 1 - abs(lines.amplitude[methyl].sum()) / 3
    assert loss["blurred"] == pytest.approx(0.78, abs=0.08)
    assert loss["sharp"] == pytest.approx(0.44, abs=0.08)


# --- Brute force: Kronecker products, matrix exponentials, and all combinations of three positions ---

SX, SY, SZ = np.array([[0, 1], [1, 0]]) / 2, np.array([[0, -1j], [1j, 0]]) / 2, np.diag([0.5, -0.5])


def _total(single, n):
    return sum(reduce(np.kron, [single if k == i else np.eye(2) for k in range(n)]) for i in range(n))


def _pulse(hamiltonian, pulse, position_hz, n):
    level = hamiltonian + position_hz * _total(SZ, n)
    half = expm(-1j * np.pi * level * pulse.dwell_s)
    turns = [half @ expm(-1j * angle * _total(SY, n)) @ half for angle in pulse.angle_rad]
    return reduce(lambda total, turn: turn @ total, turns, np.eye(2**n))


def _brute_force(part, positions_hz, times_s, carrier_hz):
    """Signal at the first point, summed over all positions in three dimensions."""
    n = len(part.shifts_ppm)
    single = [[reduce(np.kron, [s if k == i else np.eye(2) for k in range(n)]) for s in (SX, SY, SZ)] for i in range(n)]
    h = sum((ppm * F0 * 1e-6 - carrier_hz) * single[i][2] for i, ppm in enumerate(part.shifts_ppm))
    h = h + sum(j * sum(single[a][k] @ single[b][k] for k in range(3)) for a, b, j in part.couplings_hz)
    m = np.diag(_total(SZ, n)).real
    order = np.round(m[:, None] - m[None, :])
    excite, refocus = excitation_pulse(PULSES), refocusing_pulse(PULSES)
    excitations = {p: _pulse(h, excite, p, n) for p in positions_hz}
    turns = {p: _pulse(h, refocus, p, n) for p in positions_hz}
    waits = [
        expm(-2j * np.pi * h * t)
        for t in (
            (times_s[0] - excite.duration_s - refocus.duration_s) / 2,
            sum(times_s) / 2 - refocus.duration_s,
            (times_s[1] - refocus.duration_s) / 2,
        )
    ]
    signal = 0.0
    for x, y, z in product(positions_hz, repeat=3):
        rewind = expm(1j * np.pi * x * excite.duration_s * _total(SZ, n))
        u = waits[0] @ rewind @ excitations[x]
        rho = np.where(order == -1, u @ _total(SZ, n) @ u.conj().T, 0)
        u = waits[1] @ turns[y]
        rho = np.where(order == 1, u @ rho @ u.conj().T, 0)
        u = waits[2] @ turns[z]
        rho = np.where(order == -1, u @ rho @ u.conj().T, 0)
        signal += np.trace(rho @ _total(SX + 1j * SY, n)) * 4 / 2**n
    return signal


def test_the_product_of_three_sums_is_the_sum_over_all_positions(monkeypatch):
    positions_hz = np.array([-700.0, -200.0, 150.0, 600.0])
    monkeypatch.setattr(localisation, "_positions_hz", lambda pulse, offsets_hz: positions_hz)
    part = SpinPart((3.7, 2.1, 2.4), (1, 1, 1), ((0, 1, 7.3), (1, 2, -14.8)))
    carrier_hz = 3.0 * F0 * 1e-6
    (spins,) = coupled_spins(part, F0, carrier_hz=carrier_hz)
    offsets_hz = tuple(np.array(part.shifts_ppm) * F0 * 1e-6 - carrier_hz)
    rho = localisation._after_press(spins, offsets_hz, TIMES_S, PULSES)
    found = spins.weight * np.trace(rho @ spins.raising)
    assert found == pytest.approx(_brute_force(part, positions_hz, TIMES_S, carrier_hz), rel=1e-8)


# --- Settings ---


def test_finer_positions_change_nothing(monkeypatch):
    coarse = lines_of(LAC)
    localisation._lone_spin.cache_clear()
    monkeypatch.setattr(localisation, "_SPACING", 0.1)
    monkeypatch.setattr(localisation, "_BEYOND", 5.0)
    fine = lines_of(LAC)
    localisation._lone_spin.cache_clear()
    assert fine.amplitude.sum() == pytest.approx(coarse.amplitude.sum(), abs=5e-3)


def test_pulses_that_do_not_fit_into_the_echoes_are_refused():
    with pytest.raises(ConfigError, match="do not fit"):
        lines_of(LAC, (0.008, 0.022))


def test_shaped_pulses_are_for_press_alone():
    with pytest.raises(ConfigError, match="press alone"):
        SequenceSettings(sequence="special", echo_time_s=0.03, pulses="shaped")


def test_the_basis_set_says_that_its_pulses_were_shaped():
    axis = SpectralAxis(512, 1 / 2000, F0, 4.65)
    assert "shaped pulses" in simulate_basis(SHAPED, axis, metabolites=("Cr",)).made_by


@pytest.mark.slow
def test_twenty_metabolites_take_less_than_a_minute():
    line_list.cache_clear()
    start = time.process_time()
    for name in METABOLITES:
        line_list(name, SHAPED, F0)
    assert time.process_time() - start < 60
