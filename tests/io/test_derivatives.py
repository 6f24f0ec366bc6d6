import json
import math
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import FileError
from mrspipe.core.results import SUMS, Concentration, ErrorBudget, Failure, FitResult, Metric, QualityReport
from mrspipe.core.scan_result import ScanResult
from mrspipe.core.signal import Acquisition, ProcessingStep, Scan, ScanKey, Signal
from mrspipe.core.volume import Volume
from mrspipe.io import columns
from mrspipe.io.derivatives import (
    concentration_rows,
    measurement_rows,
    quality_row,
    read_fit,
    read_levels,
    read_quality,
    results_exist,
    scan_dir,
    write_dataset_description,
    write_scan,
)
from mrspipe.io.nifti_mrs import read_signal
from mrspipe.io.tables import read_json, read_table, write_table

_KEY = ScanKey(sub="01", ses="2", task="cue")
_VALIDATOR = Path(sys.executable).parent / "bids-validator-deno"


def _signal():
    axis = SpectralAxis(64, 1 / 2000, 127.7e6, 4.65)
    rng = np.random.default_rng(5)
    acquisition = Acquisition(echo_time_s=0.032, repetition_time_s=2.0, sequence="press", n_transients=96)
    return Signal(
        rng.normal(size=64) + 1j * rng.normal(size=64), ("time",), axis, acquisition, (ProcessingStep("average"),)
    )


def _fit():
    rng = np.random.default_rng(6)
    names = ("NAA", "Cr", "Glu", "Gln")
    curves = {name: rng.normal(size=30) for name in ("data", "fit", "baseline", "macromolecules")}
    covariance = np.diag([0.04, 0.01, 0.09, 0.16])
    # Glu and Gln overlap: their sum is known better than each of them.
    covariance[2, 3] = covariance[3, 2] = -0.05
    return FitResult(
        names=names,
        amplitudes=[10 / 3, 4.0, 6.0, 2.0],
        covariance=covariance,
        crlb_covariance=np.diag([0.09, 0.04, 0.36, math.inf]),
        prior_share=[0.0, 1 / 3, 0.0, math.nan],
        nuisance={"shift_hz": 1 / 7, "lorentz_hz": math.nan},
        ppm=np.linspace(0.2, 4.2, 30),
        components=rng.normal(size=(4, 30)),
        noise_sd=0.1 + 0.2,
        proton_amplitude=None,
        advice=("The baseline is stiff.",),
        at_limit=("shift of Glu",),
        n_iterations=12,
        macromolecule_model="parametrised",
        **curves,
    )


_BUDGET = ErrorBudget(fit=0.5, water_fit=0.1, tissue=math.inf, water_content=0.2)
_LEVELS = (
    Concentration("Glu", "ratio_tcr", 1.5, 0.1, 0.1, 10.0, "tCr"),
    Concentration("Glu", "molal", math.nan, math.nan, math.nan, 10.0, "water", (), "no water reference"),
    Concentration("Glu", "molar", math.nan, math.nan, math.nan, 10.0, "water", (), "no water reference"),
    Concentration("NAA", "ratio_tcr", 1 / 3, 0.05, 0.06, math.inf, "tCr", ("T2",)),
    Concentration("NAA", "molal", 12.0, 0.5, 0.75, 3.0, "water", ("T1", "T2", "CSF"), "", _BUDGET),
)
_QUALITY = QualityReport(
    (Metric("snr", 40.5), Metric("fwhm_hz", 6.1, "Hz", "<= 12.8"), Metric("residual_ratio", math.nan, passed=False)),
    "doubtful",
    ("The residual could not be measured.",),
)


@pytest.fixture(scope="module")
def result():
    return ScanResult(_KEY, Scan(_KEY, _signal()), _fit(), _LEVELS, _QUALITY)


@pytest.fixture
def mask():
    rng = np.random.default_rng(7)
    return Volume(rng.uniform(size=(4, 5, 6)), np.diag([2.0, 2.0, 2.0, 1.0]))


# There and back


def test_the_files_lie_where_the_interface_says(tmp_path, result, mask):
    written = write_scan(tmp_path, result, mask=mask)
    folder = tmp_path / "sub-01" / "ses-2" / "mrs"
    assert scan_dir(tmp_path, _KEY) == folder
    assert sorted(written) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert {path.name for path in written} == {
        f"sub-01_ses-2_task-cue_desc-{end}"
        for end in (
            *("preproc_svs.nii.gz", "preproc_svs.json", "fit_mrs.tsv", "fit_mrs.json", "conc_mrs.tsv"),
            *(
                "conc_mrs.json",
                "budget_mrs.tsv",
                "budget_mrs.json",
                "alternatives_mrs.tsv",
                "alternatives_mrs.json",
                "qc_mrs.json",
                "voxel_mask.nii.gz",
                "voxel_mask.json",
            ),
        )
    }


def test_a_dataset_without_sessions_has_no_session_folder(tmp_path):
    assert scan_dir(tmp_path, ScanKey(sub="01")) == tmp_path / "sub-01" / "mrs"


def test_a_fit_comes_back(tmp_path, result):
    write_scan(tmp_path, result)
    back, fit = read_fit(tmp_path, _KEY), result.fit
    for name in (field.name for field in fields(FitResult)):
        left, right = getattr(back, name), getattr(fit, name)
        if name == "nuisance":
            assert left == pytest.approx(right, rel=0, abs=0, nan_ok=True)
        elif isinstance(right, np.ndarray):
            # Curves are tables with ten significant digits; all else is exact.
            is_curve = right.shape[-1] == fit.ppm.size
            np.testing.assert_allclose(left, right, rtol=5e-10 if is_curve else 0)
        else:
            assert left == right


def test_the_curves_of_a_fit_are_a_table_for_everyone(tmp_path, result):
    write_scan(tmp_path, result)
    table = read_table(scan_dir(tmp_path, _KEY) / f"{_KEY.label}_desc-fit_mrs.tsv")
    assert table.columns.tolist() == ["ppm", "data", "fit", "baseline", "macromolecules", "NAA", "Cr", "Glu", "Gln"]
    described = read_json(scan_dir(tmp_path, _KEY) / f"{_KEY.label}_desc-fit_mrs.json")
    assert all(described[name]["Description"] for name in table.columns)


def test_correlations_are_written_by_name_and_glu_against_gln_with_them(tmp_path, result):
    write_scan(tmp_path, result)
    found = read_json(scan_dir(tmp_path, _KEY) / f"{_KEY.label}_desc-fit_mrs.json")["Parameters"]
    # Cov(Glu, Gln) = -0.05, variances 0.09 and 0.16.
    assert found["correlations"]["Glu"]["Gln"] == found["correlations"]["Gln"]["Glu"] == pytest.approx(-0.05 / 0.12)
    assert found["correlations"]["NAA"] == pytest.approx({"NAA": 1.0, "Cr": 0.0, "Glu": 0.0, "Gln": 0.0})
    assert found["glu_gln"]["correlation"] == pytest.approx(-0.05 / 0.12)
    assert [found["glu_gln"]["ratios"][name]["value"] for name in ("Glu", "Gln", "Glx")] == [1.5, 0.5, 2.0]
    assert found["prior_share"] == [0.0, 1 / 3, 0.0, None]


def test_concentrations_come_back_exactly(tmp_path, result):
    write_scan(tmp_path, result)
    # NaN is not equal to itself, its text is; the text of a float is exact.
    assert repr(read_levels(tmp_path, _KEY)) == repr(_LEVELS)


def test_quality_comes_back_exactly(tmp_path, result):
    write_scan(tmp_path, result)
    assert repr(read_quality(tmp_path, _KEY)) == repr(_QUALITY)


def test_the_preprocessed_signal_is_one_that_can_be_read(tmp_path, result):
    path = write_scan(tmp_path, result)[0]
    signal = read_signal(path)
    np.testing.assert_allclose(signal.fid, result.clean.metabolites.fid, rtol=1e-6)
    sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert sidecar["SpectrometerFrequency"] == [pytest.approx(127.7)]
    assert sidecar["EchoTime"] == 0.032


def test_results_exist_when_all_of_them_are_there(tmp_path, result):
    assert not results_exist(tmp_path, _KEY)
    *_, quality = write_scan(tmp_path, result)
    assert results_exist(tmp_path, _KEY)
    assert not results_exist(tmp_path, replace(_KEY, task="neutral"))
    quality.unlink()
    assert not results_exist(tmp_path, _KEY)


def test_the_same_result_gives_the_same_bytes(tmp_path, result, mask):
    first = write_scan(tmp_path / "1", result, mask=mask)
    second = write_scan(tmp_path / "2", result, mask=mask)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize(("read", "name"), [(read_fit, "fit"), (read_levels, "conc"), (read_quality, "qc")])
def test_a_lost_or_broken_file_is_told_with_its_name(tmp_path, result, read, name):
    with pytest.raises(FileError, match=f"desc-{name}_mrs.json"):
        read(tmp_path, _KEY)
    write_scan(tmp_path, result)
    (scan_dir(tmp_path, _KEY) / f"{_KEY.label}_desc-{name}_mrs.json").write_text('{"Levels": [{}], "Parameters": {}}')
    with pytest.raises(FileError, match="not what mrspipe writes"):
        read(tmp_path, _KEY)


# Rows


def test_each_metabolite_and_sum_has_a_row_with_the_columns_of_the_interface(result):
    rows = concentration_rows(result)
    assert [row["metabolite"] for row in rows] == ["NAA", "Cr", "Glu", "Gln", "tNAA", "tCr", "Glx"]
    assert all(list(row) == list(columns.CONCENTRATIONS) for row in rows)
    assert {row["spectrum"] for row in rows} == {_KEY.label}
    assert concentration_rows(result, "mine")[0]["spectrum"] == "mine"


def test_the_error_of_a_sum_knows_that_its_members_overlap(result):
    glx = concentration_rows(result)[-1]
    assert glx["amplitude"] == 8.0
    # Var(Glu + Gln) = 0.09 + 0.16 - 2 * 0.05.
    assert glx["se_fit"] == pytest.approx(math.sqrt(0.15))


def test_the_bound_is_relative_to_the_amplitude(result):
    assert concentration_rows(result)[0]["crlb_pct"] == pytest.approx(100 * 0.3 / (10 / 3))


def test_the_bound_of_what_is_not_there_is_not_a_number(result):
    nothing = replace(result, fit=replace(result.fit, amplitudes=np.zeros(4)))
    assert math.isnan(concentration_rows(nothing)[0]["crlb_pct"])


def test_units_that_could_not_be_measured_have_a_reason_and_no_value(result):
    naa, _, glu, *_ = concentration_rows(result)
    assert math.isnan(glu["molar"])
    assert glu["unit_reason"] == "molal, molar: no water reference"
    assert (naa["molal"], naa["molal_se"], naa["unit_reason"]) == (12.0, 0.75, "")


def test_a_measurement_is_a_row_with_the_columns_of_the_interface():
    rows = measurement_rows(_KEY, _LEVELS, _QUALITY)
    assert [list(row) for row in rows] == [list(columns.MEASUREMENTS)] * len(_LEVELS)
    first = rows[0]
    assert (first["participant_id"], first["session_id"], first["task_id"], first["run"]) == (
        "sub-01",
        "ses-2",
        "cue",
        "n/a",
    )
    assert (first["value"], first["snr"], first["included"], first["reason"]) == (1.5, 40.5, True, "")


def test_what_was_not_measured_is_not_included_and_says_why():
    row = measurement_rows(_KEY, _LEVELS, _QUALITY)[1]
    assert (row["included"], row["reason"]) == (False, "no water reference")


def test_an_unusable_scan_is_not_included_and_says_why():
    unusable = replace(_QUALITY, verdict="unusable", reasons=("Lines too wide.", "Noise too high."))
    rows = measurement_rows(_KEY, _LEVELS, unusable)
    assert not any(row["included"] for row in rows)
    assert rows[0]["reason"] == "Lines too wide.; Noise too high."
    assert rows[1]["reason"] == "no water reference; Lines too wide.; Noise too high."


def test_two_regions_of_one_visit_can_be_told_apart():
    rows = [measurement_rows(replace(_KEY, voi=voi), _LEVELS, _QUALITY)[0] for voi in ("acc", "pcc")]
    assert [row["voi"] for row in rows] == ["acc", "pcc"]


def test_quality_is_a_row_with_a_column_per_metric():
    row = quality_row(_KEY, _QUALITY)
    assert row["reasons"] == "The residual could not be measured."
    assert (row["snr"], row["fwhm_hz"]) == (40.5, 6.1)
    assert math.isnan(row["residual_ratio"])
    assert set(row) <= set(columns.QUALITY)


def test_rows_of_failures_have_the_columns_that_are_described():
    assert list(Failure().row()) == list(columns.FAILURES)


def test_every_sum_is_described():
    assert all(name in str(columns.CONCENTRATIONS["metabolite"]) for name in SUMS)


# BIDS


def test_the_source_is_written_so_that_both_folders_can_be_moved(tmp_path):
    write_dataset_description(tmp_path / "my study" / "derivatives" / "mrspipe", tmp_path / "my study", "1.2")
    text = (tmp_path / "my study" / "derivatives" / "mrspipe" / "dataset_description.json").read_text()
    assert json.loads(text)["SourceDatasets"] == [{"URL": "../.."}]
    assert str(tmp_path) not in text


@pytest.mark.skipif(not _VALIDATOR.exists(), reason="bids-validator-deno is not installed beside this Python")
def test_the_bids_validator_finds_no_error(tmp_path, result, mask):
    out = tmp_path / "out"
    write_dataset_description(out, tmp_path / "study", "0.1")
    for sub in ("01", "02"):
        write_scan(out, replace(result, key=replace(_KEY, sub=sub)), mask=mask)
    write_scan(out, replace(result, key=ScanKey(sub="03")))
    for name in ("sub-01.html", "group.html", "config.toml", "provenance.json", "methods.md", "references.bib"):
        (out / name).write_text("x")
    rows = measurement_rows(_KEY, _LEVELS, _QUALITY)
    write_table(out / "group" / "measurements.tsv", pd.DataFrame(rows), columns.MEASUREMENTS)
    write_table(out / "mrsinmrs.tsv", pd.DataFrame({"item": ["1"]}))
    (out / "logs" / "manifest").mkdir(parents=True)
    (out / "logs" / "manifest" / "sub-01.json").write_text("{}")
    run = subprocess.run([_VALIDATOR, "--format", "json", out], capture_output=True, text=True, check=False)
    issues = json.loads(run.stdout)["issues"]["issues"]
    assert [(i["code"], i.get("location")) for i in issues if i["severity"] == "error"] == []
    assert run.returncode == 0
