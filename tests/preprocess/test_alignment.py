import numpy as np
import pytest
from scipy.optimize import least_squares

from mrspipe.core.operators import phased, shifted
from mrspipe.preprocess.alignment import align, band_limited, register


def _disturbed(fid, axis, shift_hz, phase_rad):
    return phased(shifted(np.broadcast_to(fid, (len(shift_hz), fid.size)), axis, shift_hz), phase_rad)


def _centred_draw(rng, n, shift_sd_hz, phase_sd_rad):
    """Disturbances whose median shift and mean phase are zero, as an odd number of them allows exactly."""
    shift, phase = rng.normal(0, shift_sd_hz, n), rng.normal(0, phase_sd_rad, n)
    return shift - np.median(shift), phase - np.angle(np.mean(np.exp(1j * phase)))


def test_the_corrections_are_the_opposite_of_what_was_done(mr):
    rng = np.random.default_rng(1)
    shift, phase = rng.uniform(-15, 15, 20), rng.uniform(-3, 3, 20)
    found = register(_disturbed(mr.metabolites, mr.axis, shift, phase), mr.metabolites, mr.axis)
    np.testing.assert_allclose(found.shift_hz, -shift, atol=1e-7)
    np.testing.assert_allclose(found.phase_rad, -phase, atol=1e-7)


def test_aligned_and_averaged_noise_free_transients_equal_the_original(mr):
    shift, phase = _centred_draw(np.random.default_rng(2), 17, 3.0, 0.5)
    fids = _disturbed(mr.metabolites, mr.axis, shift, phase)
    mean = align(fids, mr.axis).applied(fids, mr.axis).mean(axis=0)
    np.testing.assert_allclose(mean, mr.metabolites, atol=1e-6)


def test_transients_of_any_phase_are_aligned(mr):
    rng = np.random.default_rng(3)
    fids = _disturbed(mr.metabolites, mr.axis, rng.normal(0, 1, 16), rng.uniform(-np.pi, np.pi, 16))
    aligned = align(fids, mr.axis).applied(fids, mr.axis)
    np.testing.assert_allclose(aligned, np.broadcast_to(aligned[0], aligned.shape), atol=1e-6)


def test_aligning_twice_changes_nothing_more(mr):
    rng = np.random.default_rng(4)
    shift, phase = _centred_draw(rng, 15, 2.0, 0.3)
    fids = _disturbed(mr.metabolites, mr.axis, shift, phase) + mr.noise(rng, 0.05, 15)
    once = align(fids, mr.axis).applied(fids, mr.axis)
    again = align(once, mr.axis)
    # The residue is what the median target still moves: far below the 0.1 Hz that noise makes here.
    assert np.abs(again.shift_hz).max() < 2e-3
    assert np.abs(again.phase_rad).max() < 2e-3


def test_estimates_equal_a_slow_least_squares_fit_of_each_transient(mr):
    rng = np.random.default_rng(5)
    shift, phase = rng.normal(0, 3, 8), rng.normal(0, 0.4, 8)
    fids = _disturbed(mr.metabolites, mr.axis, shift, phase) * rng.uniform(0.7, 1.3, 8)[:, None]
    fids = fids + mr.noise(rng, 0.2, 8)
    found = register(fids, mr.metabolites, mr.axis, duration_s=0.2)
    t, target = mr.axis.time_s[:400], mr.metabolites[:400]
    for fid, f, p, f0, p0 in zip(fids[:, :400], found.shift_hz, found.phase_rad, shift, phase, strict=True):

        def residual(x, fid=fid):
            difference = fid * np.exp(1j * (2 * np.pi * x[0] * t + x[1])) - target
            return np.concatenate([difference.real, difference.imag])

        slow = least_squares(residual, [-f0, -p0], xtol=1e-13, ftol=1e-13, gtol=1e-13).x
        np.testing.assert_allclose([f, p], slow, atol=2e-6)


def _bound(target, axis, sd):
    """Cramer-Rao bound of shift (Hz) and phase (rad) of ``r exp(i (2 pi f t + p))`` in complex noise."""
    design = np.stack([2 * np.pi * axis.time_s[:400], np.ones(400)])
    information = (design * np.abs(target[:400]) ** 2) @ design.T / sd**2
    return np.sqrt(np.diag(np.linalg.inv(information)))


def test_register_reaches_the_cramer_rao_bound(mr):
    rng = np.random.default_rng(6)
    n, sd = 800, 0.1
    shift, phase = rng.normal(0, 2, n), rng.normal(0, 0.2, n)
    fids = _disturbed(mr.metabolites, mr.axis, shift, phase) + mr.noise(rng, sd, n)
    found = register(fids, mr.metabolites, mr.axis)
    errors = np.array([np.std(found.shift_hz + shift), np.std(found.phase_rad + phase)])
    # The SD of 800 draws is known to 1 / sqrt(1600) = 2.5 %: ten per cent are four of its standard errors.
    np.testing.assert_allclose(errors / _bound(mr.metabolites, mr.axis, sd), 1, atol=0.1)


def test_align_without_a_known_target_comes_within_a_fifth_of_the_bound(mr):
    rng = np.random.default_rng(7)
    n, sd = 255, 0.1
    shift, phase = _centred_draw(rng, n, 2.0, 0.2)
    fids = _disturbed(mr.metabolites, mr.axis, shift, phase) + mr.noise(rng, sd, n)
    found = align(fids, mr.axis)
    errors = np.array([np.std(found.shift_hz + shift), np.std(found.phase_rad + phase)])
    np.testing.assert_allclose(errors / _bound(mr.metabolites, mr.axis, sd), 1, atol=0.2)


def test_a_band_keeps_changing_residual_water_from_pulling_the_metabolites(mr):
    rng = np.random.default_rng(8)
    n = 31
    shift, phase = _centred_draw(rng, n, 1.0, 0.1)
    fids = _disturbed(mr.metabolites, mr.axis, shift, phase)
    water = np.stack([mr.line(4.65, a, 8, p) for a, p in zip(rng.normal(0, 5, n), rng.uniform(-3, 3, n), strict=True)])
    plain, banded = align(fids + water, mr.axis), align(fids + water, mr.axis, band_ppm=(1.9, 3.4))
    error = {name: np.std(a.shift_hz + shift) for name, a in (("plain", plain), ("banded", banded))}
    assert error["banded"] < 0.1
    assert error["plain"] > 5 * error["banded"]


def test_one_huge_transient_does_not_hijack_the_others(mr):
    shift, phase = _centred_draw(np.random.default_rng(9), 15, 2.0, 0.2)
    fids = _disturbed(mr.metabolites, mr.axis, shift, phase)
    fids[4] = mr.line(1.3, 500.0, 20)
    found = align(fids, mr.axis)
    others = np.delete(np.arange(15), 4)
    differences = (found.shift_hz + shift)[others]
    assert np.ptp(differences) < 1e-3


def test_a_silent_transient_is_left_alone(mr):
    fids = np.stack([mr.metabolites, np.zeros_like(mr.metabolites), mr.metabolites])
    assert np.isfinite(align(fids, mr.axis).applied(fids, mr.axis)).all()


@pytest.mark.parametrize(("ppm", "kept"), [(2.5, 1.0), (4.65, 0.0), (0.9, 0.0)])
def test_a_band_keeps_what_is_inside_once_the_fid_has_risen(mr, ppm, kept):
    line = mr.line(ppm, 1.0, 5.0)
    found = band_limited(line, mr.axis, (1.9, 3.4))[40:800]
    np.testing.assert_allclose(found, kept * line[40:800], atol=0.01)


def test_no_band_keeps_everything(mr):
    assert band_limited(mr.metabolites, mr.axis, None) is mr.metabolites
