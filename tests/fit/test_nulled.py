from dataclasses import replace

import numpy as np
import pytest
from brain_like import TRUTH, make_signal

from mrspipe.core.errors import AnalysisError, ConfigError
from mrspipe.core.operators import broadened, to_spectrum
from mrspipe.fit.nulled import NAME, with_macromolecules
from mrspipe.fit.settings import FitSettings
from mrspipe.fit.spectrum import fit_spectrum
from mrspipe.physics.macromolecules import macromolecule_lines


def tone_at(axis, ppm):
    return np.exp(2j * np.pi * axis.offset_hz(ppm) * axis.time_s)


def other_lines(axis):
    """Macromolecules that are not those of the list: every other one is half as large again."""
    fid = np.zeros(axis.n_points, complex)
    for number, line in enumerate(macromolecule_lines()):
        tone = tone_at(axis, line.ppm)
        gain = 1.5 if number % 2 else 1.0
        fid += gain * line.ratio * broadened(tone, axis, gauss_hz=line.fwhm_ppm * axis.hz_per_ppm)
    return fid


def in_vivo(fid, axis):
    return broadened(fid, axis, lorentz_hz=2.0, gauss_hz=4.5)


def nulled_signal(basis, seed=0, **changes):
    """Macromolecules and a twentieth of the metabolites, upside down."""
    left = {name: -0.05 * value for name, value in TRUTH.items()}
    signal = make_signal(basis, noise=0.3, seed=seed, truth=left, macromolecules=0.0, **changes)
    return replace(signal, samples=signal.fid + 3.0 * in_vivo(other_lines(basis.axis), basis.axis))


@pytest.fixture(scope="module")
def measured(basis):
    return with_macromolecules(basis, nulled_signal(basis), FitSettings())


def test_the_entry_is_nearer_to_the_truth_than_the_list_it_starts_from(basis, measured):
    axis = basis.axis
    shown = axis.slice_ppm(0.5, 4.2)
    listed = sum(
        line.ratio * broadened(tone_at(axis, line.ppm), axis, gauss_hz=line.fwhm_ppm * axis.hz_per_ppm)
        for line in macromolecule_lines()
    )
    true, found, expected = (
        to_spectrum(broadened(fid, axis, gauss_hz=4.5)).real[shown]
        for fid in (other_lines(axis), measured.only([NAME]).fids[0], listed)
    )
    unexplained = [1 - np.corrcoef(true, one)[0, 1] ** 2 for one in (found, expected)]
    assert unexplained[0] < 0.5 * unexplained[1]


def test_fits_with_the_measured_macromolecules_have_smaller_errors(basis, measured):
    judged, errors = ("Glu", "Gln", "NAA", "Ins", "GABA"), []
    for used, mm in ((basis, "parametrised"), (measured, "basis")):
        found = []
        for seed in range(8):
            signal = make_signal(basis, noise=0.3, seed=seed, macromolecules=0.0)
            signal = replace(signal, samples=signal.fid + 3.0 * in_vivo(other_lines(basis.axis), basis.axis))
            fit = fit_spectrum(signal, used, FitSettings(mm=mm))
            found.append([fit.amplitudes[fit.names.index(name)] / TRUTH[name] - 1 for name in judged])
        errors.append(np.sqrt(np.mean(np.square(found), axis=0)))
    assert (errors[1] < errors[0]).all()


def test_a_basis_set_with_macromolecules_is_refused(basis, measured):
    with pytest.raises(ConfigError, match="has macromolecules already"):
        with_macromolecules(measured, nulled_signal(basis), FitSettings())


def test_a_scan_of_noise_is_refused(basis):
    noise = make_signal(basis, noise=1.0, truth=dict.fromkeys(TRUTH, 0.0), macromolecules=0.0)
    with pytest.raises(AnalysisError):
        with_macromolecules(basis, noise, FitSettings())


def test_a_scan_without_nulling_is_refused(basis):
    # The macromolecules of the signal are those of the list, so that only the metabolites tell.
    with pytest.raises(AnalysisError, match="not metabolite-nulled"):
        with_macromolecules(basis, make_signal(basis, noise=0.3), FitSettings())
