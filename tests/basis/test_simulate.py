"""The basis set: conventions, and agreement with sets that other programs made with real pulses."""

import time

import numpy as np
import pytest
from scipy.optimize import minimize

from mrspipe.basis.sequences import SequenceSettings
from mrspipe.basis.simulate import fid_of, line_list, simulate_basis, with_reference
from mrspipe.basis.spin_dynamics import LineList
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import ConfigError
from mrspipe.core.operators import broadened, shifted, to_spectrum
from mrspipe.io.basis_files import read_basis
from mrspipe.physics.constants import GAMMA_BAR_1H_HZ_PER_T
from mrspipe.physics.metabolites import KNOWN_METABOLITES, METABOLITES, spin_system

AXIS = SpectralAxis(4096, 1 / 4000, 127.7e6, 4.65)
PRESS_32 = SequenceSettings(sequence="press", echo_time_s=0.032)


@pytest.mark.parametrize(("name", "ppm", "protons"), [("Gly", 3.548, 2), ("sIns", 3.34, 6)])
def test_a_singlet_is_one_lorentzian_at_its_shift_with_the_area_of_its_protons(name, ppm, protons):
    basis = simulate_basis(PRESS_32, AXIS, metabolites=(name,), linewidth_hz=3.0)
    offset_hz = AXIS.frequency_hz - AXIS.offset_hz(ppm)
    lorentzian = protons / (np.pi * 3.0 + 2j * np.pi * offset_hz) / AXIS.dwell_s
    near = np.abs(offset_hz) < 100
    spectrum = to_spectrum(basis.fids[0])
    # The discrete transform differs from the continuous one by the aliases of the line, below 1/500 of the peak here.
    np.testing.assert_allclose(spectrum[near], lorentzian[near], atol=2e-3 * np.abs(lorentzian).max())


def test_frequency_rises_with_ppm():
    basis = simulate_basis(PRESS_32, AXIS, metabolites=("NAA",))
    assert AXIS.ppm[np.argmax(to_spectrum(basis.fids[0]).real)] == pytest.approx(2.008, abs=0.005)


def test_after_one_pulse_the_whole_first_point_is_the_number_of_protons():
    basis = simulate_basis(SequenceSettings(sequence="pulse_acquire"), AXIS)
    expected = [spin_system(name).n_protons for name in METABOLITES]
    # Lines below a millionth of the strongest are left out.
    np.testing.assert_allclose(basis.fids[:, 0], expected, rtol=1e-4)


@pytest.mark.parametrize("field_t", [1.5, 2.89, 7.0, 9.4])
@pytest.mark.parametrize("name", KNOWN_METABOLITES)
def test_every_known_metabolite_is_simulated_at_every_field(field_t, name):
    # One pulse gives all protons, at their shifts, whatever the field.
    lines = line_list(name, SequenceSettings(sequence="pulse_acquire"), field_t * GAMMA_BAR_1H_HZ_PER_T)
    system = spin_system(name)
    assert lines.amplitude.sum() == pytest.approx(system.n_protons, rel=1e-4)
    mean_ppm = sum(p.scale * np.dot(p.shifts_ppm, p.multiplicity) for p in system.parts) / system.n_protons
    found_hz = np.sum(lines.amplitude * lines.frequency_hz).real / system.n_protons
    assert found_hz / (field_t * GAMMA_BAR_1H_HZ_PER_T * 1e-6) == pytest.approx(mean_ppm, abs=1e-3)


def test_creatine_carries_three_and_two_protons():
    lines = line_list("Cr", PRESS_32, 127.7e6)
    np.testing.assert_allclose(np.sort(lines.amplitude.real), [2, 3], atol=1e-12)


def test_the_basis_set_says_how_it_was_made():
    basis = simulate_basis(PRESS_32, AXIS, metabolites=("Glu", "Cr"), linewidth_hz=2.0)
    assert (basis.names, basis.sequence, basis.echo_time_s) == (("Glu", "Cr"), "press", 0.032)
    assert (basis.proton_amplitude, basis.linewidth_hz) == (1.0, 2.0)


def test_the_signal_does_not_depend_on_the_centre_of_the_axis():
    other = SpectralAxis(AXIS.n_points, AXIS.dwell_s, AXIS.spectrometer_hz, 3.0)
    here = simulate_basis(PRESS_32, AXIS, metabolites=("Glu",)).fids
    there = simulate_basis(PRESS_32, other, metabolites=("Glu",)).fids
    np.testing.assert_allclose(shifted(there, AXIS, (3.0 - 4.65) * AXIS.hz_per_ppm), here, atol=1e-9)


def test_the_separable_sum_is_the_plain_sum_of_lines():
    axis = SpectralAxis(1000, 1 / 2000, 123.2e6, 4.65)
    lines = LineList(np.array([250.0, 460.3]), np.array([1.0, 0.5j]))
    plain = sum(
        a * np.exp(2j * np.pi * (f - 4.65 * 123.2) * axis.time_s)
        for f, a in zip(lines.frequency_hz, lines.amplitude, strict=True)
    )
    np.testing.assert_allclose(fid_of(lines, axis), plain, atol=1e-10)


def test_line_lists_are_remembered_and_cannot_be_changed():
    lines = line_list("Lac", PRESS_32, 127.7e6)
    assert line_list("Lac", PRESS_32, 127.7e6) is lines
    with pytest.raises(ValueError, match="read-only"):
        lines.amplitude[0] = 0


def test_an_unknown_metabolite_is_refused():
    with pytest.raises(ConfigError, match="no spin system"):
        simulate_basis(PRESS_32, AXIS, metabolites=("Unobtainium",))


def test_all_metabolites_are_simulated_within_two_seconds():
    line_list.cache_clear()
    start = time.process_time()
    simulate_basis(PRESS_32, AXIS)
    assert time.process_time() - start < 2.0


def test_the_reference_is_a_singlet_of_one_proton_at_0_ppm():
    basis = simulate_basis(PRESS_32, AXIS, metabolites=("NAA", "Cr"))
    added = to_spectrum(with_reference(basis).fids - basis.fids)
    assert AXIS.ppm[np.argmax(added[0].real)] == pytest.approx(0.0, abs=0.01)
    np.testing.assert_allclose((with_reference(basis).fids - basis.fids)[:, 0], 1.0, atol=1e-12)


def test_without_nitrogen_choline_compounds_are_as_if_they_had_none():
    settings = PRESS_32.model_copy(update={"nitrogen": False})
    with_, without = (line_list("PCh", one, 127.7e6) for one in (PRESS_32, settings))
    # Three states of 14N split the lines of the CH2 groups.
    assert with_.frequency_hz.size > 2 * without.frequency_hz.size
    np.testing.assert_array_equal(
        line_list("Glu", settings, 127.7e6).amplitude, line_list("Glu", PRESS_32, 127.7e6).amplitude
    )


# --- Real basis sets ---

# Pulses, echo time, TE1 and least correlation of each metabolite. The Siemens set was simulated with ideal pulses
# (GAMMA) and has its TE1 in the header: 0.999, but for metabolites with other spin systems. The pulses of the others
# are not known, and TE1 is the one, to half a millisecond, at which the coupled metabolites agree best. The challenge
# set agrees with ideal pulses and not with the usual shaped ones (lactate 1.000 and 0.947), the Philips set with
# shaped ones (lactate 0.997 and 0.899). Below 0.995 remain:
# - GABA and GSH, whose spin systems differ between the three sets: GSH is 0.9995 here and 0.965 there. So does Asc:
#   0.9999 here and 0.939 there, where it is 0.9994 with J(0, 3) = 4.6 Hz.
# - PCh, Asp and Gln of the challenge set and Asp and PE of the Philips set, whose multiplets depend most on pulses.
REAL = {
    "siemens_press30_3T": (
        "ideal",
        0.030,
        0.0108,
        {
            "Glu": 0.999, "Gln": 0.999, "Ins": 0.999, "NAA": 0.999, "Tau": 0.999, "Lac": 0.999, "Asp": 0.999,
            "Glc": 0.999, "Ala": 0.999, "PCh": 0.999, "Cr": 0.999, "PCr": 0.999, "sIns": 0.999, "NAAG": 0.997,
            "GPC": 0.995, "GABA": 0.98, "GSH": 0.96,
        },
    ),
    "challenge_press30_3T_measuredMM": (
        "ideal",
        0.030,
        0.011,
        {
            "Ins": 0.999, "NAA": 0.999, "Lac": 0.999, "Asc": 0.999, "PE": 0.999, "Ala": 0.999, "GPC": 0.999,
            "Cr": 0.999, "PCr": 0.999, "Gly": 0.999, "sIns": 0.999, "Glu": 0.998, "Glc": 0.998, "NAAG": 0.998,
            "Tau": 0.998, "GABA": 0.995, "PCh": 0.994, "Asp": 0.99, "Gln": 0.99, "GSH": 0.97,
        },
    ),
    "philips_press35_3T": (
        "shaped",
        0.035,
        0.013,
        {
            "Tau": 0.999, "GPC": 0.999, "PCh": 0.999, "Cr": 0.999, "PCr": 0.999, "sIns": 0.999, "Ins": 0.999,
            "NAA": 0.999, "GSH": 0.999, "NAAG": 0.998, "Glu": 0.997, "Lac": 0.996, "Gln": 0.996, "PE": 0.99,
            "Asp": 0.985, "GABA": 0.985, "Asc": 0.93,
        },
    ),
}  # fmt: skip


def _correlation(simulated, real, axis):
    """Best correlation of the spectra between 0.5 and 4.2 ppm over shift and line width."""
    window = axis.slice_ppm(0.5, 4.2)
    target = to_spectrum(broadened(real, axis, gauss_hz=4.0))[window]

    def correlation(parameters):
        shift_hz, gauss_hz, lorentz_hz = parameters
        moved = shifted(simulated, axis, shift_hz)
        model = to_spectrum(broadened(moved, axis, gauss_hz=gauss_hz, lorentz_hz=abs(lorentz_hz)))[window]
        return abs(np.vdot(model, target)) / np.linalg.norm(model) / np.linalg.norm(target)

    simplex = np.array([[0.0, 4.0, 1.0], [0.8, 4.0, 1.0], [0.0, 3.0, 1.0], [0.0, 4.0, 2.0]])
    options = {"fatol": 1e-5, "xatol": 0.02, "initial_simplex": simplex}
    best = minimize(lambda p: -correlation(p), simplex[0], method="Nelder-Mead", options=options)
    return float(-best.fun), float(best.x[0] / axis.hz_per_ppm)


@pytest.mark.real
@pytest.mark.parametrize("file", REAL)
def test_simulated_metabolites_look_like_those_of_a_real_basis_set(real_data, file):
    pulses, echo_time_s, te1_s, claims = REAL[file]
    real = read_basis(real_data / "basis" / f"{file}.basis")
    sequence = SequenceSettings(sequence="press", echo_time_s=echo_time_s, te1_s=te1_s, pulses=pulses)
    simulated = simulate_basis(sequence, real.axis, metabolites=tuple(claims), linewidth_hz=0.0)
    found = {
        name: _correlation(simulated.fids[i], real.fids[real.names.index(name)], real.axis)
        for i, name in enumerate(claims)
    }
    too_low = {name: value for name, (value, _) in found.items() if value < claims[name]}
    assert not too_low, found
    # Sets differ by their choice of shifts, less than a hundredth of a ppm.
    assert all(abs(shift_ppm) < 0.01 for _, shift_ppm in found.values()), found


# The Philips set was simulated with real pulses. Its pulses are not known: the usual bandwidths of the vendor's PRESS
# (assumed) explain most of what ideal pulses do not.
@pytest.mark.real
def test_shaped_pulses_come_closer_to_a_set_that_was_simulated_with_pulses(real_data):
    real = read_basis(real_data / "basis" / "philips_press35_3T.basis")
    names = ("Lac", "Asp", "GABA", "NAA", "Glu", "Gln", "GSH")
    ideal = SequenceSettings(sequence="press", echo_time_s=0.035, te1_s=0.013)
    shaped = ideal.model_copy(update={"pulses": "shaped"})
    found = {}
    for settings in (ideal, shaped):
        simulated = simulate_basis(settings, real.axis, metabolites=names, linewidth_hz=0.0)
        found[settings.pulses] = np.array(
            [
                _correlation(fid, real.fids[real.names.index(name)], real.axis)[0]
                for name, fid in zip(names, simulated.fids, strict=True)
            ]
        )
    missing = {pulses: 1 - correlation for pulses, correlation in found.items()}
    assert (missing["shaped"] < 0.5 * missing["ideal"]).all(), found
    assert found["shaped"][0] > 0.99
