import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.signal import Acquisition
from mrspipe.report.mrsinmrs import NOT_REPORTED, AnalysisFacts, mrsinmrs_rows


def _values(*args, **kwargs):
    return {row.number: row.value for row in mrsinmrs_rows(*args, **kwargs)}


def test_what_is_not_known_is_not_reported():
    rows = mrsinmrs_rows(Acquisition(), {})
    assert {row.value for row in rows} == {NOT_REPORTED}
    assert not any(row.reported for row in rows)


def test_all_four_sections_of_the_checklist_are_there_in_order():
    numbers = [row.number for row in mrsinmrs_rows(Acquisition(), {})]
    # Lin et al. 2021, doi 10.1002/nbm.4484: hardware a-e, acquisition a-i, analysis a-d, quality a-d.
    assert numbers == [f"{section}{letter}" for section, letters in
                       ((1, "abcde"), (2, "abcdefghi"), (3, "abcd"), (4, "abcd")) for letter in letters]  # fmt: skip


def test_times_are_given_in_ms_and_a_missing_one_is_named():
    assert _values(Acquisition(echo_time_s=0.032, repetition_time_s=2.5), {})["2d"] == "TR 2500 ms, TE 32 ms"
    assert _values(Acquisition(echo_time_s=0.02, mixing_time_s=0.01), {})["2d"] == "TR not reported, TE 20 ms, TM 10 ms"


def test_the_sidecar_fills_what_the_header_does_not_know():
    sidecar = {
        "ManufacturersModelName": "Achieva", "SoftwareVersions": "5.3", "ReceiveCoilName": "32 channel head",
        "BodyPart": "BRAIN", "BodyPartDetails": "left nucleus accumbens", "WaterSuppression": False,
        "AcquisitionVoxelSize": [9.4, 18.8, 8.4], "NumberOfTransients": 512, "SpectralWidth": 2000,
        "B0ShimmingTechnique": "FASTERMAP",
    }  # fmt: skip
    values = _values(Acquisition(sequence="press", field_t=3.0), sidecar)
    assert values["1a"] == "3 T"
    assert values["1c"] == "Achieva; 5.3"
    assert values["1d"] == "1H; 32 channel head"
    assert values["2a"] == "PRESS"
    assert values["2b"] == "BRAIN; left nucleus accumbens"
    assert values["2c"] == "9.4 × 18.8 × 8.4 mm"
    assert values["2e"] == "512 transients"
    assert values["2g"] == "not suppressed"
    assert values["2h"] == "FASTERMAP"


def test_the_axis_gives_width_and_points_when_the_sidecar_does_not():
    axis = SpectralAxis(1024, 1 / 2000, 127.7e6, 4.65)
    assert _values(Acquisition(), {}, axis=axis)["2f"] == "2000 Hz; 1024 points"


@pytest.mark.parametrize("suppressed", ["unknown", None, 1])
def test_a_water_suppression_that_is_not_yes_or_no_is_not_reported(suppressed):
    assert _values(Acquisition(), {"WaterSuppression": suppressed})["2g"] == NOT_REPORTED


def test_the_analysis_fills_sections_three_and_four():
    facts = AnalysisFacts(software="mrspipe 1.0", assumptions="tissue water", fit_model="simulated basis set")
    values = _values(Acquisition(), {}, analysis=facts)
    assert values["3a"] == "mrspipe 1.0"
    assert values["3d"] == "tissue water; simulated basis set"
    assert values["4a"] == NOT_REPORTED


def test_separators_that_a_header_leaves_at_the_end_are_dropped():
    assert _values(Acquisition(), {"SoftwareVersions": "3.2.2 ; .2.2 ;"})["1c"] == "3.2.2 ; .2.2"
