import json
import re
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from mrspipe.core.errors import AnalysisError
from mrspipe.core.operators import phased, shifted, to_spectrum
from mrspipe.core.signal import Acquisition, Scan, ScanKey, Signal
from mrspipe.preprocess.steps import (
    Average,
    PreprocessSettings,
    RejectTransients,
    RemoveWater,
    SplitCycling,
    combined,
    preprocess,
)

_DEFAULT = PreprocessSettings()


def _scan(axis, metabolites, dims, water=None, water_dims=("time",)):
    acquisition = Acquisition(n_transients=64, water_suppressed=True)
    return Scan(
        ScanKey("01"),
        Signal(metabolites, dims, axis, acquisition),
        None if water is None else Signal(water, water_dims, axis),
    )


def _coils(rng, n=8):
    return rng.uniform(0.3, 1.5, n) * np.exp(1j * rng.uniform(-np.pi, np.pi, n))


def _drifting(rng, fid, axis, n):
    shift = np.linspace(-1.5, 1.5, n) + rng.normal(0, 0.5, n)
    return phased(shifted(np.broadcast_to(fid, (n, axis.n_points)), axis, shift), rng.normal(0, 0.15, n))


def _amplitude(fid, line):
    """Least-squares amplitude of a line in an FID, whatever its phase."""
    return abs(np.vdot(line, fid)) / np.vdot(line, line).real


def _naa_per_water(mr, clean):
    """NAA relative to water, from three well separated lines fitted together; the phase comes with the amplitude."""
    lines = np.array([mr.line(ppm, 1.0, 5.0) for ppm in (2.01, 2.35, 3.03, 3.2, 3.55, 3.93)])
    naa = np.linalg.lstsq(lines.T, clean.metabolites.fid, rcond=None)[0][0]
    return abs(naa) / _amplitude(clean.water.fid, mr.line(4.65, 1.0, 7.0))


def _entries(signal, method):
    return [step.details for step in signal.history if step.method == method]


def _coil_scan(mr, rng, noise_sd):
    """8 coils, 32 transients with drift, a residual of water, eddy currents; the water reference with 4 transients."""
    eddy = np.exp(1j * 0.3 * (1 - np.exp(-mr.axis.time_s / 0.05)))
    s = _coils(rng)[:, None, None]
    suppressed = (mr.metabolites + 0.004 * mr.water * np.exp(0.8j)) * eddy
    metabolites = s * _drifting(rng, suppressed, mr.axis, 32) + mr.noise(rng, noise_sd, 8, 32)
    water = s * _drifting(rng, mr.water * eddy, mr.axis, 4) + mr.noise(rng, noise_sd, 8, 4)
    dims = ("coil", "transient", "time")
    return _scan(mr.axis, metabolites, dims, water, dims)


def test_coils_and_transients_keep_the_ratio_of_metabolites_to_water(mr):
    clean = preprocess(_coil_scan(mr, np.random.default_rng(1), 1e-4), _DEFAULT)
    assert clean.metabolites.dims == clean.water.dims == ("time",)
    assert _naa_per_water(mr, clean) == pytest.approx(1e-3, rel=0.002)


def test_coils_and_transients_with_noise_keep_the_ratio_of_metabolites_to_water(mr):
    clean = preprocess(_coil_scan(mr, np.random.default_rng(2), 0.3), _DEFAULT)
    # The noise of the combined, averaged FID gives NAA an SD of 0.2 %; alignment errors of 0.15 Hz cost far less.
    assert _naa_per_water(mr, clean) == pytest.approx(1e-3, rel=0.01)


def test_the_order_of_dimensions_does_not_matter(mr):
    scan = _coil_scan(mr, np.random.default_rng(3), 0.05)
    turned = replace(
        scan,
        metabolites=replace(
            scan.metabolites, samples=scan.metabolites.samples.swapaxes(0, 1), dims=("transient", "coil", "time")
        ),
    )
    one, other = preprocess(scan, _DEFAULT), preprocess(turned, _DEFAULT)
    np.testing.assert_allclose(one.metabolites.fid, other.metabolites.fid, atol=1e-9)


def _cycled(mr, rng, *, noise_sd=0.0, mismatch=0.0):
    shots = np.stack([(1 + mismatch) * mr.water + mr.metabolites, mr.water - mr.metabolites])
    disturbed = np.stack([_drifting(rng, shot, mr.axis, 16) for shot in shots], axis=1)
    return disturbed + mr.noise(rng, noise_sd, 16, 2)


def test_metabolite_cycling_gives_its_own_water_and_keeps_the_ratio(mr):
    rng = np.random.default_rng(4)
    samples = _coils(rng)[:, None, None, None] * _cycled(mr, rng) + mr.noise(rng, 0.01, 8, 16, 2)
    clean = preprocess(_scan(mr.axis, samples, ("coil", "transient", "cycle", "time")), _DEFAULT)
    assert clean.water is not None
    assert "cycled" in clean.water_note
    assert clean.water.acquisition.water_suppressed is False
    assert _naa_per_water(mr, clean) == pytest.approx(1e-3, rel=0.005)


def test_a_mismatch_of_the_cycle_leaves_no_water_behind(mr):
    rng = np.random.default_rng(5)
    samples = _cycled(mr, rng, noise_sd=0.1, mismatch=0.01)
    clean = preprocess(_scan(mr.axis, samples, ("transient", "cycle", "time")), _DEFAULT)
    details = _entries(clean.metabolites, "reconstruct metabolite cycle")[0]
    # The mismatch is 1 % plus twice the overlap of metabolites and water, which is about 0.1 %.
    assert details["amplitude_mismatch_pct"] == pytest.approx(1.0, abs=0.2)
    # The eddy step turns everything to the water's phase, which is that of the given metabolites.
    left = to_spectrum(clean.metabolites.fid - mr.metabolites)[mr.axis.slice_ppm(4.4, 4.9)]
    noise = to_spectrum(mr.noise(rng, 0.1 / np.sqrt(32)))
    assert np.linalg.norm(left) / np.sqrt(left.size) < 2 * np.std(noise)
    assert _naa_per_water(mr, clean) == pytest.approx(1e-3, rel=0.01)


def test_alternating_transients_become_pairs(mr):
    samples = _cycled(mr, np.random.default_rng(6), noise_sd=0.05)
    settings = PreprocessSettings(steps=(SplitCycling(), *_DEFAULT.steps))
    alternating = _scan(mr.axis, samples.reshape(32, -1), ("transient", "time"))
    paired = _scan(mr.axis, samples, ("transient", "cycle", "time"))
    one, other = preprocess(alternating, settings), preprocess(paired, _DEFAULT)
    np.testing.assert_array_equal(one.metabolites.fid, other.metabolites.fid)


def test_an_odd_number_of_alternating_transients_is_refused(mr):
    scan = _scan(mr.axis, np.tile(mr.metabolites, (3, 1)), ("transient", "time"))
    with pytest.raises(AnalysisError, match="3 transients cannot be split into pairs"):
        preprocess(scan, PreprocessSettings(steps=(SplitCycling(),)))


def test_a_corrupted_transient_is_rejected_and_counted(mr):
    rng = np.random.default_rng(7)
    fids = _drifting(rng, mr.metabolites, mr.axis, 32) + mr.noise(rng, 0.1, 32)
    fids[11] = -0.5 * fids[11] + mr.line(1.3, 4.0, 30)
    steps = [step for one in _DEFAULT.steps for step in ([RejectTransients(), one] if one.step == "average" else [one])]
    clean = preprocess(_scan(mr.axis, fids, ("transient", "time")), PreprocessSettings(steps=tuple(steps)))
    details = _entries(clean.metabolites, "reject transients")[0]
    assert details == {"n_rejected": 1, "rejected": [11], "n_kept": 31}
    assert _entries(clean.metabolites, "average transients")[0]["n_averaged"] == 31
    assert clean.metabolites.acquisition.n_transients == 64


def test_the_average_says_which_transients_counted_less_and_why(mr):
    rng = np.random.default_rng(17)
    pairs = _cycled(mr, rng, noise_sd=0.1)
    pairs[3, 1] *= 0.5
    # Of energy 0.7^2 / (2 pi 25 Hz 0.5 ms) = 6 beside 168 real values of noise, 1.7: 4.7 times the usual variance.
    pairs[5, 0] += mr.line(1.3, 0.7, 25)
    pairs[9, 0] *= 0.05
    clean = preprocess(_scan(mr.axis, pairs, ("transient", "cycle", "time")), _DEFAULT)
    details = _entries(clean.metabolites, "average transients")[0]
    # Numbered as acquired: two shots a pair.
    assert details["dropped"] == [18]
    assert {7, 18} <= set(details["changed_signal"])
    assert 10 in details["excess_residual"]
    assert details["n_dropped"] == 1
    assert details["n_averaged"] == 15
    assert details["effective_number"] < 15
    assert _naa_per_water(mr, clean) == pytest.approx(1e-3, rel=0.02)


def test_the_drift_is_measured(mr):
    rng = np.random.default_rng(8)
    fids = shifted(np.tile(mr.metabolites, (40, 1)), mr.axis, np.linspace(0, 4, 40)) + mr.noise(rng, 0.02, 40)
    clean = preprocess(_scan(mr.axis, fids, ("transient", "time")), _DEFAULT)
    assert _entries(clean.metabolites, "align transients")[0]["drift_hz"] == pytest.approx(4.0, abs=0.1)


def test_noise_of_the_average_falls_with_the_root_of_the_number(mr):
    fids = mr.noise(np.random.default_rng(9), 1.0, 64)
    clean = preprocess(_scan(mr.axis, fids, ("transient", "time")), PreprocessSettings(steps=(Average(),)))
    assert clean.metabolites.fid.real.std() == pytest.approx(1 / 8, rel=0.1)


def test_a_finished_signal_without_water_is_not_touched(mr):
    scan = _scan(mr.axis, mr.line(2.01, 1.0, 5.0), ("time",))
    clean = preprocess(scan, _DEFAULT)
    assert clean.metabolites.history == ()
    np.testing.assert_array_equal(clean.metabolites.fid, scan.metabolites.fid)


def test_dimensions_of_one_are_dropped(mr):
    scan = _scan(mr.axis, mr.line(2.01, 1.0, 5.0)[None, None], ("edit", "transient", "time"))
    assert preprocess(scan, _DEFAULT).metabolites.dims == ("time",)


@pytest.mark.parametrize("dim", ["edit", "phase_cycle", "other"])
def test_an_unsupported_dimension_is_named(mr, dim):
    scan = _scan(mr.axis, np.tile(mr.metabolites, (2, 1)), (dim, "time"))
    with pytest.raises(AnalysisError, match=re.escape(f"The metabolites have the dimension '{dim}'")):
        preprocess(scan, _DEFAULT)


def test_a_dimension_that_is_left_is_named(mr):
    scan = _scan(mr.axis, np.tile(mr.metabolites, (2, 1)), ("transient", "time"))
    with pytest.raises(AnalysisError, match="metabolites still have the dimension 'transient'"):
        preprocess(scan, PreprocessSettings(steps=()))


def test_steps_in_an_impossible_order_say_what_is_missing(mr):
    scan = _scan(mr.axis, np.tile(mr.metabolites, (2, 1)), ("transient", "time"))
    with pytest.raises(AnalysisError, match=re.escape("remove_water: The step cannot work on")):
        preprocess(scan, PreprocessSettings(steps=(RemoveWater(), Average())))


def test_a_cycle_of_three_is_refused(mr):
    scan = _scan(mr.axis, np.tile(mr.water, (3, 1)), ("cycle", "time"))
    with pytest.raises(AnalysisError, match="A metabolite cycle has 2 shots, this one 3"):
        preprocess(scan, _DEFAULT)


def test_water_with_other_coils_is_not_used_and_the_note_says_why(mr):
    rng = np.random.default_rng(10)
    samples = _coils(rng, 4)[:, None] * mr.metabolites + mr.noise(rng, 0.01, 4)
    clean = preprocess(_scan(mr.axis, samples, ("coil", "time"), mr.water), _DEFAULT)
    assert clean.water is None
    assert "1 coil(s) and the metabolites have 4" in clean.water_note


def test_water_that_is_noise_is_not_used_and_the_note_says_why(mr):
    noise = mr.noise(np.random.default_rng(11), 1.0)
    clean = preprocess(_scan(mr.axis, mr.metabolites, ("time",), noise), _DEFAULT)
    assert clean.water is None
    assert "noise" in clean.water_note


def test_the_history_is_json_with_six_significant_digits(mr):
    clean = preprocess(_coil_scan(mr, np.random.default_rng(12), 0.1), _DEFAULT)
    methods = [step.method for step in clean.metabolites.history]
    assert methods == [
        "combine coils",
        "align transients",
        "average transients",
        "eddy-current correction",
        "remove residual water",
    ]
    for step in clean.metabolites.history:
        details = dict(step.details)
        assert json.loads(json.dumps(details, allow_nan=False)) == details
        assert all(float(f"{v:.6g}") == v for v in details.values() if isinstance(v, float))


def test_the_scan_given_is_not_changed(mr):
    scan = _coil_scan(mr, np.random.default_rng(13), 0.1)
    before = scan.metabolites.samples.copy()
    preprocess(scan, _DEFAULT)
    np.testing.assert_array_equal(scan.metabolites.samples, before)
    assert scan.metabolites.history == ()


def test_settings_read_from_a_table_choose_the_step_by_its_name():
    settings = PreprocessSettings.model_validate({"steps": [{"step": "align", "band_ppm": [0.5, 4.0]}]})
    assert settings.steps[0].step == "align"
    assert settings.steps[0].band_ppm == (0.5, 4.0)


def test_default_settings_survive_json():
    assert PreprocessSettings.model_validate_json(_DEFAULT.model_dump_json()) == _DEFAULT


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ({"step": "aline"}, "aline"),
        ({"step": "align", "bands": 1}, "steps.0.align.bands"),
        ({"step": "align", "band_ppm": [3.4, 1.9]}, "swap them"),
    ],
)
def test_a_wrong_option_is_reported_with_its_place(table, where):
    with pytest.raises(ValidationError, match=re.escape(where)):
        PreprocessSettings.model_validate({"steps": [table]})


def test_every_option_has_a_description():
    for kind in {type(step) for step in (*_DEFAULT.steps, SplitCycling())} | {PreprocessSettings}:
        assert all(field.description for field in kind.model_fields.values()), kind


def test_what_preprocessing_starts_from_is_the_plain_mean_of_the_transients(mr):
    rng = np.random.default_rng(4)
    fids = mr.metabolites + mr.noise(rng, 0.05, 16)
    # One that the weighted average would drop.
    fids[3] = 0.1 * fids[3] + mr.noise(rng, 2.0, 1)[0]
    scan = Scan(ScanKey("01"), Signal(fids, ("transient", "time"), mr.axis))
    np.testing.assert_allclose(combined(scan, PreprocessSettings()).metabolites.fid, fids.mean(axis=0), atol=1e-12)
    weighted = preprocess(scan, PreprocessSettings()).metabolites.fid
    assert np.abs(weighted - fids.mean(axis=0)).max() > 0.01
