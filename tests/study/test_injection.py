import numpy as np
from brain_like import make_basis, make_signal

from mrspipe.config import StudyConfig, with_settings
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.signal import Scan, ScanKey
from mrspipe.io.derivatives import quality_row
from mrspipe.pipeline.scan import analyse_scan
from mrspipe.preprocess.steps import PreprocessSettings

CONFIG = StudyConfig(preprocess=PreprocessSettings(steps=()))


def _result(**qc):
    basis = make_basis(SpectralAxis(2048, 1 / 2000, 127.7e6, 4.65))
    scan = Scan(ScanKey("01"), make_signal(basis, noise=0.3))
    return analyse_scan(scan, basis, with_settings(CONFIG, "qc", **qc))


def test_a_study_gets_the_columns_of_the_addition_only_when_it_asks():
    without, with_it = _result(), _result(injection=True)
    names = {"injection_slope", "injection_slope_se", "injection_offset_pct"}
    assert not names & set(quality_row(without.key, without.quality))
    row = quality_row(with_it.key, with_it.quality)
    assert names <= set(row)
    assert abs(row["injection_slope"] - 1) < 0.02
    # The addition does not touch the result itself.
    np.testing.assert_array_equal(without.fit.amplitudes, with_it.fit.amplitudes)


def test_what_is_not_in_the_basis_set_makes_the_scan_doubtful_with_the_reason():
    quality = _result(injection=True, injection_metabolite="Lac").quality
    assert quality.verdict == "doubtful"
    assert "Lac is not in the basis set" in quality.reasons[-1]
