"""Sequences with shaped pulses: laws, limits, and a brute-force sum over the voxel that shares no code with it."""

import time
from functools import reduce
from itertools import product

import numpy as np
import pytest
from scipy.linalg import expm

from mrspipe.basis import localisation, spin_dynamics
from mrspipe.basis.sequences import SequenceSettings
from mrspipe.basis.simulate import line_list, simulate_basis
from mrspipe.basis.spin_dynamics import coupled_spins, merged_lines
from mrspipe.basis.waveforms import PulseSettings, PulseShape, Waveform, shaped_pulse
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import ConfigError
from mrspipe.physics.metabolites import METABOLITES, SpinPart, spin_system

F0 = 123.2e6
SHAPED = {
    "press": SequenceSettings(sequence="press", echo_time_s=0.03, te1_s=0.012, pulses="shaped"),
    "steam": SequenceSettings(sequence="steam", echo_time_s=0.02, mixing_time_s=0.011, pulses="shaped"),
    "slaser": SequenceSettings(sequence="slaser", echo_time_s=0.036, pulses="shaped"),
    "special": SequenceSettings(sequence="special", echo_time_s=0.012, pulses="shaped"),
    "spin_echo": SequenceSettings(sequence="spin_echo", echo_time_s=0.02, pulses="shaped"),
}
LAC = spin_system("Lac").parts[0]


def press(times_s, pulses):
    return SequenceSettings(
        sequence="press", echo_time_s=sum(times_s), te1_s=times_s[0], pulses="shaped", pulse_shapes=pulses
    )


def lines_of(part, settings=SHAPED["press"], f0=F0):
    return merged_lines(localisation.lines_of(part, settings, f0))


@pytest.mark.parametrize("ppm", [0.9, 2.01, 3.0, 4.65, 5.4])
@pytest.mark.parametrize("f0", [63.9e6, F0, 298e6])
def test_a_singlet_keeps_its_protons_wherever_it_resonates(ppm, f0):
    lines = lines_of(SpinPart((ppm,), (3,)), f0=f0)
    np.testing.assert_allclose(lines.frequency_hz, [ppm * f0 * 1e-6])
    # What is left out beyond the edges of the slice.
    np.testing.assert_allclose(lines.amplitude, [3.0], atol=3e-3)


@pytest.mark.parametrize("name", SHAPED)
@pytest.mark.parametrize("ppm", [2.01, 3.91])
def test_a_singlet_has_the_amplitude_of_ideal_pulses_in_every_sequence(name, ppm):
    ideal = SHAPED[name].model_copy(update={"pulses": "ideal"})
    found, expected = (lines_of(SpinPart((ppm,), (3,)), settings).amplitude for settings in (SHAPED[name], ideal))
    # In a modulated gradient the slice is not only displaced: off the carrier, GOIA refocuses 1.5 % less.
    np.testing.assert_allclose(found, expected, rtol=0.02 if name == "slaser" else 1e-3)


def _shaped(product_of_duration_and_bandwidth, bandwidth_hz=4e5, **options):
    shape = PulseShape(bandwidth_hz=bandwidth_hz, duration_s=product_of_duration_and_bandwidth / bandwidth_hz)
    return PulseSettings(excitation=shape, refocusing=shape, **options)


def _distance_from_ideal(name, pulses):
    shaped = press((0.012, 0.018), pulses)
    axis = SpectralAxis(512, 1 / 2000, F0, 4.65)
    ideal, found = (
        simulate_basis(settings, axis, metabolites=(name,)).fids[0]
        for settings in (shaped.model_copy(update={"pulses": "ideal"}), shaped)
    )
    return np.linalg.norm(found - ideal) / np.linalg.norm(ideal)


@pytest.mark.parametrize("name", ["Lac", "Glu", "Tau", "PE"])
def test_without_displacement_the_distance_from_ideal_pulses_is_that_of_the_edges_of_the_slices(name):
    # The edges take 3.3 / (duration bandwidth) of a slice: a quarter. There coupled spins are turned by less than 180
    # degrees.
    blurred, sharp = (_distance_from_ideal(name, _shaped(product)) for product in (8.0, 32.0))
    assert sharp == pytest.approx(blurred / 4, rel=0.35)


def test_lactate_at_one_over_j_shows_the_displacement_of_its_voxels():
    # Of the methyl voxel the part (1 - d)^2 has CH refocused by both pulses and is inverted at TE = 1/J, the part d^2
    # by none and is upright, and the rest by one of two and is in antiphase: 2 d - 1 in all, for sharp edges
    # (Edden 2006, doi 10.1002/mrm.21030, on the loss of lactate in PRESS at 3 T).
    coupling_hz = 6.933
    te_s = 1 / coupling_hz
    pulses = PulseSettings(
        excitation=PulseShape(bandwidth_hz=20000.0, duration_s=0.0005),
        refocusing=PulseShape(bandwidth_hz=4000.0, duration_s=0.005),
        carrier_ppm=1.3142,
    )
    f0 = 400e6
    lines = lines_of(LAC, press((te_s / 2, te_s / 2), pulses), f0)
    methyl = np.abs(lines.frequency_hz - 1.3142 * f0 * 1e-6) < 50
    displacement = (4.0974 - 1.3142) * f0 * 1e-6 / 4000.0
    assert lines.amplitude[methyl].sum().real / 3 == pytest.approx(2 * displacement - 1, abs=0.05)


def test_the_large_bandwidth_of_adiabatic_pulses_keeps_lactate_inverted():
    # The reason for semi-LASER: at TE = 1/J the displacement between pulses of 10 kHz leaves most of the doublet, and
    # that between pulses of 1.2 kHz little.
    settings = SequenceSettings(sequence="slaser", echo_time_s=1 / 6.933, pulses="shaped")
    lines = lines_of(LAC, settings)
    methyl = np.abs(lines.frequency_hz - 1.3142 * F0 * 1e-6) < 50
    pressed = lines_of(LAC, press((1 / 13.866, 1 / 13.866), PulseSettings()))
    in_press = np.abs(pressed.frequency_hz - 1.3142 * F0 * 1e-6) < 50
    assert lines.amplitude[methyl].sum().real / 3 < -0.7
    assert pressed.amplitude[in_press].sum().real / 3 > -0.5


@pytest.mark.parametrize("lobes", [2, 3])
def test_lactate_at_two_over_j_loses_what_was_calculated_and_measured_at_one_and_a_half_tesla(lobes):
    # Symmetric PRESS, Hamming-filtered sinc pulses, 2 mT/m and 20 mm: 78 % by theory, 82 % measured; with pulses of
    # sharp edges 44 % (doi 10.1006/jmre.2001.2420; the number of lobes is not known).
    bandwidth_hz = 42.58e6 * 2e-3 * 20e-3
    time_of_lobe = lobes * (2 * (np.arange(64) + 0.5) / 64 - 1)
    sinc = tuple(np.sinc(time_of_lobe) * (0.54 + 0.46 * np.cos(np.pi * time_of_lobe / lobes)))
    shape = PulseShape(waveform=Waveform(duration_s=2.0 * lobes / bandwidth_hz, amplitude=sinc))
    blurred = PulseSettings(excitation=shape, refocusing=shape, carrier_ppm=1.3142)
    sharp = _shaped(24.0, bandwidth_hz, carrier_ppm=1.3142)
    loss = {}
    for name, pulses in (("blurred", blurred), ("sharp", sharp)):
        lines = lines_of(LAC, press((1 / 6.933, 1 / 6.933), pulses), 63.9e6)
        methyl = np.abs(lines.frequency_hz - 1.3142 * 63.9) < 50
        loss[name] = 1 - abs(lines.amplitude[methyl].sum()) / 3
    assert loss["blurred"] == pytest.approx(0.78, abs=0.08)
    assert loss["sharp"] == pytest.approx(0.44, abs=0.08)


# --- Brute force: Kronecker products, matrix exponentials, and all combinations of three positions ---

SX, SY, SZ = np.array([[0, 1], [1, 0]]) / 2, np.array([[0, -1j], [1j, 0]]) / 2, np.diag([0.5, -0.5])
POSITIONS_HZ = (-700.0, -200.0, 150.0, 600.0)
# Purpose, direction, coherence order afterwards, and middle in ms of each pulse; then the time of the FID.
TIMES = {
    "press": ([("excitation", 0, -1, 0), ("refocusing", 1, 1, 6), ("refocusing", 2, -1, 21)], 30),
    "steam": ([("excitation", 0, 1, 0), ("excitation", 1, 0, 10), ("excitation", 2, -1, 21)], 31),
    "slaser": (
        [
            ("excitation", 0, -1, 0),
            *(("refocusing", 1 + k // 2, (-1) ** k, 4.5 + 9 * k) for k in range(4)),
        ],
        36,
    ),
    "spin_echo": ([("excitation", 0, 1, 0), ("refocusing", 1, -1, 10)], 20),
}


def _total(single, n):
    return sum(reduce(np.kron, [single if k == i else np.eye(2) for k in range(n)]) for i in range(n))


def _propagator(hamiltonian, pulse, position_hz, n):
    """Whole pulse, its slice gradient rephased to the middle on both sides."""
    u = np.eye(2**n)
    for rotation, gradient in zip(pulse.rotation, pulse.gradient, strict=True):
        half = expm(-1j * np.pi * (hamiltonian + gradient * position_hz * _total(SZ, n)) * pulse.dwell_s)
        phase = np.angle(rotation)
        axis = np.cos(phase) * _total(SY, n) - np.sin(phase) * _total(SX, n)
        u = half @ expm(-1j * abs(rotation) * axis) @ half @ u
    rephase = expm(1j * np.pi * position_hz * pulse.gradient.sum() * pulse.dwell_s * _total(SZ, n))
    return rephase @ u @ rephase


def _brute_force(part, turns, end_ms, pulses):
    """Signal at the first point, summed over all positions in three dimensions."""
    n = len(part.shifts_ppm)
    single = [[reduce(np.kron, [s if k == i else np.eye(2) for k in range(n)]) for s in (SX, SY, SZ)] for i in range(n)]
    h = sum((ppm - 3.0) * F0 * 1e-6 * single[i][2] for i, ppm in enumerate(part.shifts_ppm))
    h = h + sum(j * sum(single[a][k] @ single[b][k] for k in range(3)) for a, b, j in part.couplings_hz)
    m = np.diag(_total(SZ, n)).real
    order = np.round(m[:, None] - m[None, :])
    us = {(name, p): _propagator(h, pulse, p, n) for name, pulse in pulses.items() for p in POSITIONS_HZ}
    signal = 0.0
    n_directions = 1 + max(direction for _, direction, _, _ in turns)
    for place in product(POSITIONS_HZ, repeat=n_directions):
        rho, clock_s = _total(SZ, n), -np.inf
        for name, direction, kept, middle_ms in turns:
            start_s = 1e-3 * middle_ms - pulses[name].duration_s / 2
            wait = expm(-2j * np.pi * h * (start_s - clock_s)) if np.isfinite(clock_s) else np.eye(2**n)
            u = us[name, place[direction]] @ wait
            rho, clock_s = np.where(order == kept, u @ rho @ u.conj().T, 0), start_s + pulses[name].duration_s
        u = expm(-2j * np.pi * h * (1e-3 * end_ms - clock_s))
        signal += np.trace(u @ rho @ u.conj().T @ _total(SX + 1j * SY, n)) * 4 / 2**n
    return signal


@pytest.mark.parametrize("name", TIMES)
def test_the_product_of_sums_over_directions_is_the_sum_over_all_positions(monkeypatch, name):
    monkeypatch.setattr(localisation, "_positions_hz", lambda *_: np.array(POSITIONS_HZ))
    monkeypatch.setattr(spin_dynamics, "_n_segments", lambda _, pulse: pulse.rotation.size)
    part = SpinPart((3.7, 2.1, 2.4), (1, 1, 1), ((0, 1, 7.3), (1, 2, -14.8)))
    (spins,) = coupled_spins(part, F0, carrier_hz=3.0 * F0 * 1e-6)
    found = spins.weight * np.trace(localisation.density_matrix(spins, SHAPED[name]) @ spins.raising)
    turns, end_ms = TIMES[name]
    pulses = {purpose: shaped_pulse(purpose, PulseSettings(), in_pairs=name == "slaser") for purpose, *_ in turns}
    # The largest error of splitting coupling and precession within a sample.
    assert found == pytest.approx(_brute_force(part, turns, end_ms, pulses), rel=1e-4)


def test_special_is_the_spin_echo_of_an_inverted_slice():
    # Inside the slice the difference of the two shots is the whole magnetisation, outside nothing.
    (spins,) = coupled_spins(SpinPart((3.0,), (1,)), F0, carrier_hz=3.0 * F0 * 1e-6)
    special = SHAPED["special"]
    echo = special.model_copy(update={"sequence": "spin_echo"})
    with_inversion, without = (localisation.density_matrix(spins, settings)[1, 0] for settings in (special, echo))
    inversion = special.pulse_shapes.inversion
    spacing_hz = localisation._SPACING / inversion.duration_s
    assert (with_inversion / without).real == pytest.approx(inversion.bandwidth_hz / spacing_hz, rel=0.03)


# --- Settings ---


@pytest.mark.parametrize("name", SHAPED)
def test_finer_positions_change_nothing(monkeypatch, name):
    coarse = lines_of(LAC, SHAPED[name])
    localisation._lone_spin.cache_clear()
    monkeypatch.setattr(localisation, "_SPACING", 0.1)
    monkeypatch.setattr(localisation, "_BEYOND", 5.0)
    fine = lines_of(LAC, SHAPED[name])
    localisation._lone_spin.cache_clear()
    assert fine.amplitude.sum() == pytest.approx(coarse.amplitude.sum(), abs=5e-3)


@pytest.mark.parametrize(
    "settings",
    [
        press((0.008, 0.022), PulseSettings()),
        SHAPED["slaser"].model_copy(update={"echo_time_s": 0.016}),
        SHAPED["steam"].model_copy(update={"mixing_time_s": 0.003}),
        SHAPED["special"].model_copy(update={"echo_time_s": 0.0085}),
    ],
    ids=lambda settings: settings.sequence,
)
def test_pulses_that_do_not_fit_into_the_echoes_are_refused(settings):
    with pytest.raises(ConfigError, match="do not fit"):
        lines_of(LAC, settings)


def test_the_basis_set_says_that_its_pulses_were_shaped():
    axis = SpectralAxis(512, 1 / 2000, F0, 4.65)
    assert "shaped pulses" in simulate_basis(SHAPED["press"], axis, metabolites=("Cr",)).made_by


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPED)
def test_twenty_metabolites_take_less_than_a_minute(name):
    line_list.cache_clear()
    start = time.process_time()
    for metabolite in METABOLITES:
        line_list(metabolite, SHAPED[name], F0)
    assert time.process_time() - start < 60
