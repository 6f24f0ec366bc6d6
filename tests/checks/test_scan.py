from dataclasses import replace

import numpy as np
import pytest
from brain_like import make_basis, make_signal

from mrspipe.checks.catalogue import CheckSettings
from mrspipe.checks.pattern import pattern_of
from mrspipe.checks.scan import refuse, scan_findings
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import AnalysisError
from mrspipe.core.operators import broadened, shifted
from mrspipe.core.signal import Acquisition, Scan, ScanKey, Signal

AXIS = SpectralAxis(2048, 1 / 2000, 127.7e6, 4.65)
METABOLITES = make_signal(make_basis(AXIS), noise=1.0)
# 2000 times the height of NAA, which has about 27 protons here.
WATER = replace(METABOLITES, samples=5e4 * broadened(np.ones((1, 2048)), AXIS, lorentz_hz=6.0)[0] + 0j)


def scan(metabolites=METABOLITES, water=WATER):
    return Scan(ScanKey("01"), metabolites, water)


def codes(one):
    return [finding.code for finding in scan_findings(one)]


def conjugated(signal):
    return replace(signal, samples=signal.samples.conj())


def told(**changes):
    return replace(METABOLITES, acquisition=replace(METABOLITES.acquisition, **changes))


def test_nothing_is_wrong_with_a_good_scan():
    assert codes(scan()) == []


def test_a_mirrored_spectrum_is_conjugated():
    assert codes(scan(conjugated(METABOLITES))) == ["conjugated"]


@pytest.mark.parametrize("phase_deg", [0, 90, 200])
def test_the_phase_does_not_matter(phase_deg):
    turned = make_signal(make_basis(AXIS), noise=1.0, phase_deg=phase_deg)
    assert codes(scan(conjugated(turned))) == ["conjugated"]


def test_noise_is_not_taken_for_a_conjugated_brain():
    rng = np.random.default_rng(1)
    for _ in range(20):
        noise = rng.standard_normal(2048) + 1j * rng.standard_normal(2048)
        assert codes(scan(replace(METABOLITES, samples=noise))) == []


def test_coils_and_transients_need_no_combination():
    coils = np.array([1.0, 0.5j, -0.3])[:, None, None] * METABOLITES.samples[None, None]
    raw = Signal(np.repeat(coils, 4, axis=1), ("coil", "transient", "time"), AXIS, METABOLITES.acquisition)
    assert codes(scan(conjugated(raw), None)) == ["conjugated"]
    assert codes(scan(raw, None)) == []


@pytest.mark.parametrize("mismatch", [0.0, 0.02])
def test_the_water_of_cycled_shots_does_not_hide_a_mirrored_spectrum(mismatch):
    shots = np.stack([(1 + mismatch) * WATER.samples + METABOLITES.samples, WATER.samples - METABOLITES.samples])
    cycled = Signal(np.stack([shots, shots]), ("transient", "cycle", "time"), AXIS, METABOLITES.acquisition)
    assert codes(scan(cycled, None)) == []
    assert codes(scan(conjugated(cycled), None)) == ["conjugated"]


def test_lines_just_above_the_noise_are_seen():
    faint = make_signal(make_basis(AXIS), noise=25.0)
    assert pattern_of(faint).straight.strength < 10
    assert codes(scan(conjugated(faint), None)) == ["conjugated"]
    assert codes(scan(faint, None)) == []


def test_the_shift_that_was_put_in_is_found():
    off = replace(METABOLITES, samples=shifted(METABOLITES.samples, AXIS, 0.25 * AXIS.hz_per_ppm))
    assert pattern_of(off).straight.shift_ppm == pytest.approx(0.25, abs=0.02)
    assert codes(scan(off)) == ["ppm-offset"]


def test_water_in_place_of_the_scan_is_swapped():
    assert codes(scan(WATER, METABOLITES)) == ["swapped"]


def test_a_scan_as_its_own_reference_is_a_suppressed_reference():
    assert codes(scan(METABOLITES, METABOLITES)) == ["reference-suppressed"]


def test_a_reference_smaller_than_the_scan_is_told():
    assert codes(scan(water=replace(WATER, samples=WATER.samples / 5000))) == ["reference-small"]
    assert codes(scan(water=replace(WATER, samples=0 * WATER.samples))) == ["reference-small"]


def test_a_scan_without_signal_is_told():
    assert codes(scan(replace(METABOLITES, samples=0 * METABOLITES.samples))) == ["no-signal"]


def test_a_reference_of_another_sampling_is_a_doubt():
    samples = WATER.samples[:1024]
    assert codes(scan(water=Signal(samples, ("time",), replace(AXIS, n_points=1024)))) == ["reference-points"]
    assert codes(scan(water=replace(WATER, axis=replace(AXIS, dwell_s=1 / 2500)))) == ["reference-bandwidth"]


def test_a_reference_of_another_magnet_is_refused():
    assert codes(scan(water=replace(WATER, axis=replace(AXIS, spectrometer_hz=123.2e6)))) == ["reference-field"]


def test_a_reference_of_another_voxel_is_refused():
    here, there = np.diag([20.0, 20, 20, 1]), np.diag([20.0, 20, 20, 1])
    there[0, 3] = 15.0
    assert codes(scan(replace(METABOLITES, affine=here), replace(WATER, affine=there))) == ["reference-voxel"]
    assert codes(scan(replace(METABOLITES, affine=here), replace(WATER, affine=here))) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"repetition_time_s": 0.002}, "repetition-time-small"),
        ({"repetition_time_s": 0.15, "echo_time_s": 0.3}, "repetition-time-small"),
        ({"echo_time_s": 0.00003}, "echo-time-small"),
        ({"field_t": 7.0}, "field-frequency"),
    ],
)
def test_impossible_acquisitions_are_refused(changes, code):
    assert codes(scan(told(**changes))) == [code]


@pytest.mark.parametrize("field_t", [2.89, 3.0])
def test_the_names_of_magnets_are_taken(field_t):
    mhz = 123.2e6 if field_t == 3.0 else 127.7e6
    axis = replace(AXIS, spectrometer_hz=mhz)
    one = Scan(ScanKey("01"), replace(METABOLITES, axis=axis, acquisition=Acquisition(field_t=field_t)))
    assert codes(one) == []


def test_a_refusal_is_an_error_until_it_is_accepted():
    wrong = scan(conjugated(METABOLITES))
    with pytest.raises(AnalysisError, match="mirrored"):
        refuse(wrong, "one", CheckSettings())
    refuse(wrong, "one", CheckSettings(accept=("conjugated:one",)))


@pytest.mark.parametrize("dwell_s", [1 / 500, 1 / 200000])
def test_a_width_that_no_spectrum_has_is_refused(dwell_s):
    assert "bandwidth" in codes(scan(replace(METABOLITES, axis=replace(AXIS, dwell_s=dwell_s)), None))
