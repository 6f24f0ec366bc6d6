"""Lines against analytic spectra, and FIDs against a slow twin that shares no code with the simulation."""

from functools import reduce

import numpy as np
import pytest
from scipy.linalg import expm

from mrspipe.basis import localisation, spin_dynamics
from mrspipe.basis.designs import adiabatic_pulse, slr_pulse
from mrspipe.basis.pulses import cayley_klein, ideal_pulse
from mrspipe.basis.sequences import SequenceSettings
from mrspipe.basis.simulate import fid_of
from mrspipe.basis.spin_dynamics import (
    LineList,
    coupled_spins,
    evolved,
    in_equilibrium,
    merged_lines,
    propagators,
    rotation_matrix,
    turned,
)
from mrspipe.core.axis import SpectralAxis
from mrspipe.physics.metabolites import METABOLITES, SpinPart, spin_system

F0 = 127.7e6
AXIS = SpectralAxis(64, 1 / 2000, F0, 4.65)
PULSE_ACQUIRE = SequenceSettings(sequence="pulse_acquire")
PRESS = SequenceSettings(sequence="press", echo_time_s=0.035, te1_s=0.012)
STEAM = SequenceSettings(sequence="steam", echo_time_s=0.02, mixing_time_s=0.013)
SLASER = SequenceSettings(sequence="slaser", echo_time_s=0.04)
UNEQUAL_SLASER = SequenceSettings(sequence="slaser", echo_time_s=0.04, te1_s=0.012)
SPECIAL = SequenceSettings(sequence="special", echo_time_s=0.0085)


def lines_of(part, settings, f0=F0, **options):
    return merged_lines(localisation.lines_of(part, settings, f0), **options)


def spin_echo(echo_time_s):
    return SequenceSettings(sequence="spin_echo", echo_time_s=echo_time_s)


# --- Analytic spectra ---


def test_an_ab_quartet_has_the_analytic_positions_and_intensities():
    # Hore, Nuclear Magnetic Resonance: centre +- D/2 +- J/2 with D^2 = delta^2 + J^2, intensities 1 +- J/D.
    delta_hz, coupling = 0.1 * 127.7, 8.0
    lines = lines_of(SpinPart((2.0, 2.1), (1, 1), ((0, 1, coupling),)), PULSE_ACQUIRE)
    d = np.hypot(delta_hz, coupling)
    centre = 2.05 * 127.7
    expected = centre + np.array([-d - coupling, -d + coupling, d - coupling, d + coupling]) / 2
    np.testing.assert_allclose(lines.frequency_hz, expected, atol=1e-9)
    outer, inner = (1 - coupling / d) / 2, (1 + coupling / d) / 2
    np.testing.assert_allclose(lines.amplitude, [outer, inner, inner, outer], atol=1e-12)


def test_a_methyl_group_splits_its_neighbour_into_one_three_three_one():
    # At 10 GHz the coupling is weak, so that first-order intensities hold.
    part = spin_system("Lac").parts[0]
    lines = lines_of(part, PULSE_ACQUIRE, f0=1e10, weakest=1e-3, merge_hz=0.1)
    quartet, doublet = lines.frequency_hz > 2.7e4, lines.frequency_hz < 2.7e4
    np.testing.assert_allclose(lines.amplitude[quartet].real, np.array([1, 3, 3, 1]) / 8, rtol=2e-3)
    np.testing.assert_allclose(lines.amplitude[doublet].real, [1.5, 1.5], rtol=2e-3)
    np.testing.assert_allclose(np.diff(lines.frequency_hz[quartet]), 6.933, atol=1e-2)


@pytest.mark.parametrize("echo_time_s", [0.020, 0.0721, 0.1442, 0.288])
def test_a_doublet_evolves_with_the_cosine_of_its_coupling_in_a_spin_echo(echo_time_s):
    coupling = 6.933
    lines = lines_of(SpinPart((1.0, 5.0), (1, 1), ((0, 1, coupling),)), spin_echo(echo_time_s), f0=1e10, weakest=1e-3)
    phase = np.pi * coupling * echo_time_s
    # The lower line of a doublet turns backwards, the upper forwards; refocusing leaves only J.
    np.testing.assert_allclose(lines.amplitude, np.exp(1j * phase * np.array([-1, 1, -1, 1])) / 2, atol=1e-3)
    assert lines.amplitude.sum() == pytest.approx(2 * np.cos(phase), abs=2e-3)


@pytest.mark.parametrize("echo_time_s", [0.010, 0.0377, 0.0721, 0.135])
@pytest.mark.parametrize("delta_hz", [0.0, 4.0, 12.0, 300.0])
def test_a_strongly_coupled_pair_evolves_as_its_analytic_solution_says(echo_time_s, delta_hz):
    # From the two by two Hamiltonian of the states of opposite spins, with D^2 = delta^2 + J^2 and t = TE:
    # S = cos(pi J t) (1 - 2 (J / D)^2 sin^2(pi D t / 2)) + (J / D) sin(pi J t) sin(pi D t).
    coupling = 8.0
    part = SpinPart((2.0, 2.0 + delta_hz / 127.7), (1, 1), ((0, 1, coupling),))
    d = np.hypot(delta_hz, coupling)
    phase, swing = np.pi * coupling * echo_time_s, np.pi * d * echo_time_s
    expected = np.cos(phase) * (1 - 2 * (coupling / d) ** 2 * np.sin(swing / 2) ** 2)
    expected += coupling / d * np.sin(phase) * np.sin(swing)
    assert lines_of(part, spin_echo(echo_time_s)).amplitude.sum() / 2 == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("echo_time_s", [0.020, 0.0721, 0.1442])
def test_the_neighbour_of_a_methyl_group_evolves_with_the_cube_of_the_cosine(echo_time_s):
    coupling = 6.933
    lines = lines_of(spin_system("Lac").parts[0], spin_echo(echo_time_s), f0=1e10, weakest=1e-3)
    cosine = np.cos(np.pi * coupling * echo_time_s)
    quartet = lines.frequency_hz > 2.7e4
    assert lines.amplitude[quartet].sum().real == pytest.approx(cosine**3, abs=5e-3)
    assert lines.amplitude[~quartet].sum().real == pytest.approx(3 * cosine, abs=5e-3)


@pytest.mark.parametrize("settings", [PRESS, SLASER, spin_echo(0.03)], ids=lambda s: s.sequence)
def test_an_uncoupled_line_is_fully_refocused_real_and_positive(settings):
    lines = lines_of(SpinPart((2.008,), (3,)), settings)
    np.testing.assert_allclose(lines.frequency_hz, [2.008 * 127.7], atol=1e-9)
    np.testing.assert_allclose(lines.amplitude, [3.0], atol=1e-12)


def test_steam_gives_half_of_the_spin_echo_for_an_uncoupled_line():
    np.testing.assert_allclose(lines_of(SpinPart((3.2,), (9,)), STEAM).amplitude, [4.5], atol=1e-12)


@pytest.mark.parametrize("name", METABOLITES)
def test_after_one_pulse_all_lines_add_up_to_the_number_of_protons(name):
    system = spin_system(name)
    total = sum(lines_of(part, PULSE_ACQUIRE, weakest=0.0).amplitude.sum() for part in system.parts)
    assert total == pytest.approx(system.n_protons, rel=1e-12)


def test_phosphorus_splits_by_its_coupling_and_is_refocused_by_an_echo():
    part = SpinPart((4.0,), (2,), phosphorus_hz=(6.0,))
    for settings in (PULSE_ACQUIRE, spin_echo(0.05)):
        lines = lines_of(part, settings)
        np.testing.assert_allclose(lines.frequency_hz, 4.0 * 127.7 + np.array([-3.0, 3.0]), atol=1e-9)
        np.testing.assert_allclose(lines.amplitude, [1.0, 1.0], atol=1e-12)


def test_nitrogen_splits_into_three_equal_lines():
    lines = lines_of(SpinPart((4.0,), (3,), nitrogen_hz=(2.0,)), PULSE_ACQUIRE)
    np.testing.assert_allclose(lines.frequency_hz, 4.0 * 127.7 + np.array([-2.0, 0.0, 2.0]), atol=1e-9)
    np.testing.assert_allclose(lines.amplitude, [1.0, 1.0, 1.0], atol=1e-12)


def test_merging_keeps_the_sum_and_moves_no_line_out_of_its_cluster():
    rng = np.random.default_rng(1)
    clusters = np.arange(50.0)
    frequency = (clusters[:, None] + rng.uniform(0, 1e-3, (50, 4))).ravel()
    amplitude = rng.normal(size=200) + 1j * rng.normal(size=200)
    merged = merged_lines([LineList(frequency, amplitude)], weakest=0.0, merge_hz=1e-3)
    np.testing.assert_allclose(merged.frequency_hz, clusters, atol=1e-3)
    np.testing.assert_allclose(merged.amplitude, amplitude.reshape(50, 4).sum(axis=1))


def test_lines_below_the_weakest_are_dropped():
    lines = LineList(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1e-4, 1e-2], dtype=complex))
    np.testing.assert_allclose(merged_lines([lines], weakest=1e-3).frequency_hz, [1.0, 3.0])


# --- Pulses ---


@pytest.mark.parametrize("spin", [0.5, 1.0, 1.5, 4.5])
def test_a_rotation_of_any_spin_is_the_exponential_of_its_generators(spin):
    m = np.arange(spin, -spin - 0.5, -1.0)
    raising = np.diag(np.sqrt(spin * (spin + 1) - m[1:] * (m[1:] + 1)), k=1)
    x, y, z = (raising + raising.T) / 2, (raising - raising.T) / 2j, np.diag(m)
    axis = np.array([0.3, -1.7, 0.9])
    half = expm(-1j * sum(n * s for n, s in zip(axis, (SX, SY, SZ), strict=True)))
    expected = expm(-1j * sum(n * s for n, s in zip(axis, (x, y, z), strict=True)))
    np.testing.assert_allclose(rotation_matrix(spin, half[:1, 0], half[1:, 0])[0], expected, atol=1e-12)


@pytest.mark.parametrize("pulse", [slr_pulse("refocusing", 0.0065, 1200.0), adiabatic_pulse("goia", 0.0045, 8000.0)])
def test_pulses_turn_and_do_not_lose_magnetisation(pulse):
    for spins in coupled_spins(GLU, F0, carrier_hz=3.0 * F0 * 1e-6):
        turn = propagators(spins, pulse, np.array([-400.0, 0.0, 900.0]))
        unity = turn @ turn.conj().swapaxes(1, 2)
        np.testing.assert_allclose(unity, np.broadcast_to(np.eye(32), unity.shape), atol=1e-12)


def test_delays_and_pulses_conserve_trace_and_length_of_the_density_matrix():
    pulse = slr_pulse("refocusing", 0.0065, 1200.0)
    for spins in coupled_spins(GLU, F0, carrier_hz=3.0 * F0 * 1e-6):
        rho = in_equilibrium(spins) + 0.1 * np.eye(32)
        later = turned(evolved(spins, rho, 0.0123), propagators(spins, pulse, np.array([150.0])))[0]
        assert np.trace(later) == pytest.approx(np.trace(rho))
        assert np.linalg.norm(later) == pytest.approx(np.linalg.norm(rho))


def test_a_delay_conserves_energy_and_z_magnetisation():
    (spins,) = coupled_spins(FOUR_SPINS, F0)
    rho = turned(in_equilibrium(spins), propagators(spins, ideal_pulse("excitation"), np.zeros(1)))[0]
    later = evolved(spins, rho, 0.0123)
    for conserved in (spins.energy_hz, spins.momentum):
        assert np.diag(later) @ conserved == pytest.approx(np.diag(rho) @ conserved, abs=1e-9)


def test_segments_of_a_pulse_converge_to_the_whole_hamiltonian(monkeypatch):
    # Strang's splitting: four times shorter segments, sixteen times smaller errors.
    pulse = slr_pulse("refocusing", 0.0065, 1200.0)
    (spins,) = coupled_spins(FOUR_SPINS, F0, carrier_hz=3.0 * F0 * 1e-6)
    found = []
    for n in (4, 16, 64):
        monkeypatch.setattr(spin_dynamics, "_n_segments", lambda *_, n=n: n)
        found.append(propagators(spins, pulse, np.array([200.0])))
    coarse, fine = (np.linalg.norm(one - found[-1]) / np.linalg.norm(found[-1]) for one in found[:-1])
    assert fine < coarse / 10
    assert fine < 5e-3


def test_a_lone_spin_is_turned_by_the_parameters_of_the_pulse():
    pulse = adiabatic_pulse("goia", 0.0045, 8000.0)
    (spins,) = coupled_spins(SpinPart((3.5,), (1,)), F0, carrier_hz=3.0 * F0 * 1e-6)
    a, b = cayley_klein(pulse, np.array([300.0]), 0.5 * F0 * 1e-6)
    turn = propagators(spins, pulse, np.array([300.0]))[0]
    np.testing.assert_allclose(np.abs(turn[:, 0]), np.abs([a[0], b[0]]), atol=1e-12)


# --- The slow twin: Kronecker products of spins 1/2, matrix exponentials, crushers as averages over phases ---

SX, SY, SZ = np.array([[0, 1], [1, 0]]) / 2, np.array([[0, -1j], [1j, 0]]) / 2, np.diag([0.5, -0.5])


def _kron(single, position, n):
    return reduce(np.kron, [single if k == position else np.eye(2) for k in range(n)])


class Twin:
    def __init__(self, part, axis):
        group = np.repeat(np.arange(len(part.multiplicity)), part.multiplicity)
        n = group.size
        self.n, self.axis = n, axis
        self.x, self.y, self.z = ([_kron(s, k, n) for k in range(n)] for s in (SX, SY, SZ))
        couplings = {(i, j): value for i, j, value in part.couplings_hz}
        self.h = sum(axis.offset_hz(part.shifts_ppm[g]) * self.z[k] for k, g in enumerate(group)).astype(complex)
        for a in range(n):
            for b in range(a + 1, n):
                coupling = couplings.get((group[a], group[b]), 0.0)
                self.h = self.h + coupling * sum(s[a] @ s[b] for s in (self.x, self.y, self.z))

    def delay(self, rho, seconds):
        u = expm(-2j * np.pi * self.h * seconds)
        return u @ rho @ u.conj().T

    def pulse(self, rho, angle, axis):
        u = expm(-1j * angle * sum(axis))
        return u @ rho @ u.conj().T

    def acquire(self, rho):
        detector = sum(self.x) + 1j * sum(self.y)
        u = expm(-2j * np.pi * self.h * self.axis.dwell_s)
        fid = []
        for _ in range(self.axis.n_points):
            fid.append(np.trace(rho @ detector) * 4 / 2**self.n)
            rho = u @ rho @ u.conj().T
        return np.array(fid)

    def press(self, te1, te2):
        rho = self.delay(self.pulse(sum(self.z), np.pi / 2, self.y), te1 / 2)
        rho = self.delay(self.pulse(rho, np.pi, self.x), (te1 + te2) / 2)
        return self.acquire(self.delay(self.pulse(rho, np.pi, self.x), te2 / 2))

    def slaser(self, te1, te2):
        rho = self.pulse(sum(self.z), np.pi / 2, self.y)
        for te in (te1, te1, te2, te2):
            rho = self.delay(self.pulse(self.delay(rho, te / 4), np.pi, self.x), te / 4)
        return self.acquire(rho)

    def special(self, te):
        def shot(inversion):
            rho = self.pulse(self.pulse(sum(self.z), inversion, self.x), np.pi / 2, self.y)
            return self.delay(self.pulse(self.delay(rho, te / 2), np.pi, self.x), te / 2)

        return self.acquire((shot(0.0) - shot(np.pi)) / 2)

    def steam(self, te, tm):
        # 4 phases tell orders +1 and -1 apart, 8 phases all orders of five spins from 0.
        total, fz = 0.0, sum(self.z)
        after_excitation = self.delay(self.pulse(fz, np.pi / 2, self.y), te / 2)
        for te_phase in np.arange(4) * np.pi / 2:
            before = self.pulse(self._crushed(after_excitation, te_phase), -np.pi / 2, self.y)
            in_tm = self.delay(before, tm)
            for tm_phase in np.arange(8) * np.pi / 4:
                rho = self.pulse(self._crushed(in_tm, tm_phase), np.pi / 2, self.y)
                total = total + self._crushed(rho, te_phase)
        return self.acquire(self.delay(total / 32, te / 2))

    def _crushed(self, rho, phase):
        u = np.exp(-1j * phase * np.diag(sum(self.z)))
        return rho * np.outer(u, u.conj())


GLU = spin_system("Glu").parts[0]
FOUR_SPINS = SpinPart(
    (3.75, 2.10, 2.13, 2.35), (1, 1, 1, 1), ((0, 1, 7.3), (0, 2, 4.7), (1, 2, -14.8), (1, 3, 6.4), (2, 3, 8.5))
)
LAC = spin_system("Lac").parts[0]


@pytest.mark.parametrize("part", [GLU, FOUR_SPINS, LAC], ids=["Glu", "four spins", "CH-CH3"])
@pytest.mark.parametrize(
    "settings", [PRESS, STEAM, SLASER, UNEQUAL_SLASER, SPECIAL, PULSE_ACQUIRE], ids=lambda s: s.sequence
)
def test_the_fid_is_that_of_the_slow_twin(part, settings):
    twin = Twin(part, AXIS)
    expected = {
        "press": lambda: twin.press(0.012, 0.023),
        "steam": lambda: twin.steam(0.02, 0.013),
        "slaser": lambda: twin.slaser(settings.te1_s or 0.02, 0.04 - (settings.te1_s or 0.02)),
        "special": lambda: twin.special(0.0085),
        "pulse_acquire": lambda: twin.acquire(sum(twin.x)),
    }[settings.sequence]()
    fid = fid_of(lines_of(part, settings, weakest=0.0, merge_hz=1e-9), AXIS)
    np.testing.assert_allclose(fid, expected, atol=1e-8)
