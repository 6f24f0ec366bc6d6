from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mrspipe.core.results import FitResult
from mrspipe.core.signal import ScanKey
from mrspipe.pipeline.mean_spectra import mean_spectra, scan_spectrum
from mrspipe.report.content import Factor

_PPM = np.linspace(0.0, 4.5, 901)


def _fit(height, creatine=2.0):
    flat = np.full(_PPM.size, height)
    zero = np.zeros(_PPM.size)
    return FitResult(
        names=("Cr",), amplitudes=np.array([creatine]), covariance=0.01 * np.eye(1), crlb_covariance=0.01 * np.eye(1),
        prior_share=np.zeros(1), nuisance={}, ppm=_PPM, data=flat, fit=flat + 0.1, baseline=zero, macromolecules=zero,
        components=np.zeros((1, _PPM.size)), noise_sd=0.1, proton_amplitude=1.0,
    )  # fmt: skip


def _measurements(rows):
    columns = ["participant_id", "session_id", "task_id", "run", "group", "included"]
    return pd.DataFrame(rows, columns=columns)


def test_scans_are_averaged_within_subjects_first_and_only_included_ones_count():
    keys = [ScanKey("01", task="a"), ScanKey("01", task="b"), ScanKey("02", task="a"), ScanKey("03", task="a")]
    spectra = [scan_spectrum(key, _fit(height)) for key, height in zip(keys, (2.0, 4.0, 9.0, 100.0), strict=True)]
    table = _measurements([
        ("sub-01", np.nan, "a", np.nan, "P", True), ("sub-01", np.nan, "b", np.nan, "P", True),
        ("sub-02", np.nan, "a", np.nan, "P", True), ("sub-03", np.nan, "a", np.nan, "P", False),
    ])  # fmt: skip
    (one,) = mean_spectra(spectra, table, Factor("group", {"P": "Patients", "C": "Controls"}))
    # In creatine: (2 + 4) / 2 / 2 = 1.5 for the first, 4.5 for the second; mean 3, SD 3 / sqrt(2).
    assert (one.group, one.n_subjects) == ("P", 2)
    np.testing.assert_allclose(one.mean, 3.0)
    np.testing.assert_allclose(one.sd, 3.0 / np.sqrt(2.0))
    np.testing.assert_allclose(one.fit - one.mean, 0.05)


def test_a_scan_without_measurable_creatine_has_no_place_on_the_common_scale():
    fit = _fit(1.0, creatine=0.1)
    assert scan_spectrum(ScanKey("01"), fit) is None
    assert scan_spectrum(ScanKey("01"), replace(fit, names=("NAA",))) is None


def test_without_a_group_all_subjects_are_one():
    spectra = [scan_spectrum(ScanKey(sub), _fit(1.0)) for sub in ("01", "02")]
    table = _measurements([(f"sub-{sub}", np.nan, np.nan, np.nan, "P", True) for sub in ("01", "02")])
    (one,) = mean_spectra(spectra, table, None)
    assert (one.group, one.n_subjects) == ("", 2)
    assert one.ppm[0] == pytest.approx(0.2)
    assert one.ppm[-1] == pytest.approx(4.2)
