"""What must hold for whatever scan: shifts, phases, order and scale of coils, flips, offsets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrspipe.core.noise import noise_covariance
from mrspipe.core.operators import phased, shifted, to_spectrum
from mrspipe.core.signal import Scan, ScanKey, Signal
from mrspipe.preprocess.alignment import align, band_limited, register
from mrspipe.preprocess.coils import coil_weights
from mrspipe.preprocess.eddy import water_phase, without_phase
from mrspipe.preprocess.steps import PreprocessSettings, preprocess
from mrspipe.preprocess.water import water_oscillations

_N_USED = 400  # 0.2 s at 2 kHz
_BAND = (1.9, 3.4)
_PHASES = st.floats(-np.pi, np.pi)


def _peak_snr_to_sd(fid, snr):
    """Noise SD of a point of the FID that gives one spectrum an SNR: largest peak over twice the SD (LCModel's)."""
    return to_spectrum(fid).real.max() / (2 * snr * np.sqrt(fid.size))


def _bound(target, axis, sd):
    """Cramer-Rao bound of shift (Hz) and phase (rad) of ``r exp(i (2 pi f t + p))`` in complex noise."""
    design = np.stack([2 * np.pi * axis.time_s[:_N_USED], np.ones(_N_USED)])
    information = (design * np.abs(target[:_N_USED]) ** 2) @ design.T / sd**2
    return np.sqrt(np.diag(np.linalg.inv(information)))


def _turned(fid, axis, shift_hz, phase_rad):
    return phased(shifted(np.broadcast_to(fid, (len(shift_hz), fid.size)), axis, shift_hz), phase_rad)


@settings(max_examples=40, deadline=None)
@given(shift=st.floats(-15, 15), phase=_PHASES, snr=st.floats(3, 1000), seed=st.integers(0, 10**6))
def test_a_known_shift_and_phase_are_undone_at_any_snr_from_three(mr, shift, phase, snr, seed):
    sd = _peak_snr_to_sd(mr.metabolites, snr)
    fid = _turned(mr.metabolites, mr.axis, [shift], [phase]) + mr.noise(np.random.default_rng(seed), sd, 1)
    found = register(fid, mr.metabolites, mr.axis)
    # Five standard errors: one false alarm in 10^6 draws, of which Hypothesis makes 40.
    limit_hz, limit_rad = 5 * _bound(mr.metabolites, mr.axis, sd) + 1e-6
    assert abs(found.shift_hz[0] + shift) < limit_hz
    assert abs(np.angle(np.exp(1j * (found.phase_rad[0] + phase)))) < limit_rad


@pytest.mark.parametrize("snr", [1.0, 1.5, 2.0])
def test_at_snr_one_to_two_drift_and_phase_jumps_cost_what_the_bound_says(mr, snr):
    rng = np.random.default_rng(int(10 * snr))
    n = 128
    shift = np.linspace(-4, 4, n) + rng.normal(0, 0.5, n)
    # A jump of 90 degrees in the middle of the scan.
    phase = np.where(np.arange(n) < n // 2, 0.0, np.pi / 2) + rng.normal(0, 0.1, n)
    sd = _peak_snr_to_sd(mr.metabolites, snr)
    # With the lipids of a scalp, which stay out of the band.
    fids = _turned(mr.metabolites + mr.line(1.3, 3.0, 20), mr.axis, shift, phase) + mr.noise(rng, sd, n)
    found = align(fids, mr.axis, band_ppm=_BAND)
    error_hz = found.shift_hz + shift
    error_hz -= np.median(error_hz)
    limit_hz = _bound(band_limited(mr.metabolites, mr.axis, _BAND), mr.axis, sd)[0]
    # The target is an average of 128 and adds a part in the root of 128; single transients may leave the linear regime
    # of the bound, hence a robust scatter, whose own standard error for 128 draws is 10 %: four of them.
    scatter = 1.4826 * np.median(np.abs(error_hz))
    assert scatter < 1.4 * limit_hz
    # Two estimated parameters turn the signal by a mean squared angle of 2 sd^2 / energy, and half of it is lost.
    aligned = found.applied(_turned(mr.metabolites, mr.axis, shift, phase), mr.axis).mean(axis=0)
    left = abs(np.vdot(mr.metabolites, aligned)) / np.vdot(mr.metabolites, mr.metabolites).real
    seen = band_limited(mr.metabolites, mr.axis, _BAND)[:_N_USED]
    assert 1 - left < 1.4**2 * sd**2 / np.vdot(seen, seen).real


def _coils(rng, n):
    return rng.uniform(0.3, 1.5, n) * np.exp(1j * rng.uniform(-np.pi, np.pi, n))


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(6)), phases=st.lists(_PHASES, min_size=6, max_size=6))
def test_coil_combination_does_not_depend_on_the_order_or_the_phases_of_the_coils(mr, order, phases):
    rng = np.random.default_rng(1)
    mixing = np.eye(6) + 0.4 * rng.standard_normal((6, 6))
    coils = _coils(rng, 6)[:, None] * mr.water + np.tensordot(mixing, mr.noise(rng, 1.0, 6), axes=1)
    changed = (np.exp(1j * np.array(phases))[:, None] * coils)[list(order)]
    plain, other = (coil_weights(x, noise_covariance(x)).applied(x) for x in (coils, changed))
    # The phase is that of the strongest coil.
    turn = np.vdot(plain, other) / np.abs(np.vdot(plain, other))
    np.testing.assert_allclose(other, turn * plain, atol=1e-6 * np.abs(plain).max())


@pytest.mark.parametrize("silent", ["zeros", "noise"])
def test_a_dead_coil_changes_nothing(mr, silent):
    rng = np.random.default_rng(2)
    s = _coils(rng, 5)
    coils = s[:, None, None] * mr.water + mr.noise(rng, 1.0, 5, 16)
    dead = np.zeros((1, 16, 1024), dtype=complex) if silent == "zeros" else mr.noise(rng, 1.0, 1, 16)
    both = np.concatenate([coils[:2], dead, coils[2:]])
    plain, other = (coil_weights(x, noise_covariance(x)) for x in (coils, both))
    assert np.isfinite(other.weights).all()
    expected = plain.applied(coils).mean(axis=0)
    # A coil of pure noise has a weight of its noise over the water's energy; the covariance is known to
    # sqrt(5 / 2048) or 5 %, which costs its square of the SNR.
    np.testing.assert_allclose(other.applied(both).mean(axis=0), expected, atol=2e-3 * np.abs(expected).max())


@settings(max_examples=25, deadline=None)
@given(start=st.floats(-1.0, 1.0), decay_s=st.floats(0.02, 0.2), offset=st.floats(-30, 30), phase=_PHASES)
def test_a_known_eddy_phase_is_undone(mr, start, decay_s, offset, phase):
    turn = np.exp(1j * (start * np.exp(-mr.axis.time_s / decay_s) + 2 * np.pi * offset * mr.axis.time_s + phase))
    found = without_phase(mr.metabolites * turn, mr.axis, water_phase(mr.water * turn, mr.axis), water_ppm=4.65)
    np.testing.assert_allclose(found, mr.metabolites, atol=1e-8)


_DEFAULT = PreprocessSettings()
_OFFSET_PPM = 0.17


@pytest.mark.parametrize("disturbance", ["flip", "offset", "both"])
@pytest.mark.parametrize("cycled", [True, False])
def test_a_flip_and_an_offset_of_the_whole_scan_survive(mr, disturbance, cycled):
    rng = np.random.default_rng(3)
    sign = -1.0 if disturbance != "offset" else 1.0
    shift = _OFFSET_PPM * mr.axis.hz_per_ppm if disturbance != "flip" else 0.0
    kinds = [mr.water + mr.metabolites, mr.water - mr.metabolites] if cycled else [mr.metabolites]
    raw = np.stack([_turned(one, mr.axis, rng.normal(0, 1, 24), rng.normal(0, 0.1, 24)) for one in kinds], axis=1)
    fids = sign * shifted(raw, mr.axis, shift) + mr.noise(rng, 0.1, 24, len(kinds))
    water = None if cycled else Signal(sign * shifted(mr.water, mr.axis, shift), ("time",), mr.axis)
    clean = preprocess(Scan(ScanKey("01"), Signal(fids, ("transient", "cycle", "time"), mr.axis), water), _DEFAULT)
    level = np.vdot(mr.metabolites, clean.metabolites.fid) / np.vdot(mr.metabolites, mr.metabolites)
    # With cycling both have one phase. Without, that of the metabolites is the mean of 24 phases of SD 0.1 rad, their
    # frequency the median of 24 shifts of SD 1 Hz: 0.26 Hz, 0.1 rad after a decay time of 60 ms. Four of both: 0.4 rad.
    assert abs(level) == pytest.approx(1.0, abs=0.02)
    assert abs(np.angle(level)) < (0.02 if cycled else 0.4)


@settings(max_examples=40, deadline=None)
@given(
    size=st.floats(1, 1000), ppm=st.floats(4.5, 4.8), width_hz=st.floats(2, 25), phase=_PHASES,
    seed=st.integers(0, 10**6),
)  # fmt: skip
def test_residual_water_of_any_size_place_width_and_phase_goes_and_naa_stays(mr, size, ppm, width_hz, phase, seed):
    given_noise = mr.noise(np.random.default_rng(seed), 0.03)
    water = mr.line(ppm, size, width_hz, phase)
    scan = mr.metabolites + water + given_noise
    left = scan - water_oscillations(scan, mr.axis).fid(mr.axis.n_points) - mr.metabolites - given_noise
    naa = mr.line(2.01, 1.0, 5)
    # Removal does less to NAA than the noise does: its SD over the norm of NAA.
    assert abs(np.vdot(naa, left)) / np.vdot(naa, naa).real < 0.03 / np.linalg.norm(naa)
