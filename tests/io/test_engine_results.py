"""Results of other programs: LCModel's own files, and the formats that FSL-MRS and Osprey write."""

import math

import pytest

from mrspipe.core.errors import FileError
from mrspipe.io.engine_results import OWN_UNITS, EngineSpectrum, EngineValue, matched, our_name, with_sums_and_ratios
from mrspipe.io.engine_tables import read_fsl_mrs_results, read_osprey_results, read_tidy_results
from mrspipe.io.lcmodel_results import WaterScale, read_lcmodel_results, read_lcmodel_table

# Lines as LCModel 6.3 prints them.
TABLE = """ LCModel (Version 6.3-1N)

$$CONC  8 lines in following concentration table = NCONC+1
    Conc.  %SD /Cr+PCr  Metabolite
 7.20E-08 166% 3.9E-02 Ala
    5.440  12%   0.800 Cr
    1.360  26%   0.200 PCr
    9.200   8%   1.353 Glu
    0.000 999%   0.000 -CrCH2
    6.800   3%   1.000 Cr+PCr
    0.500  30%   0.074+Lip13a+Lip13b

$$MISC  1 lines in following misc. output table
  FWHM = 0.084 ppm    S/N =  21

$$DIAG  0 lines in following diagnostic table:


$$INPU  2 lines in following table of input changes:
 {inputs}
 filraw='data.raw'
"""


def write_table_file(path, inputs=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TABLE.replace("{inputs}", inputs))
    return path


def values_of(spectrum):
    return {(one.metabolite, one.quantity): one.value for one in spectrum.values}


def test_the_columns_of_lcmodels_table_are_read_where_they_stand(tmp_path):
    table = read_lcmodel_table(write_table_file(tmp_path / "a.table"))
    assert table.rows[0] == ("Ala", 7.2e-8, 166.0, 0.039)
    assert table.rows[4] == ("-CrCH2", 0.0, 999.0, 0.0)
    # A sign before the name marks a ratio far from its prior; it is not part of the name.
    assert table.rows[6] == ("Lip13a+Lip13b", 0.5, 30.0, 0.074)
    assert (table.relative_to, table.fwhm_ppm, table.snr) == ("Cr+PCr", 0.084, 21.0)


def test_concentrations_are_a_quantity_of_ours_only_with_the_same_water_scaling(tmp_path):
    for name, inputs in (("none", "nunfil=1024"), ("same", "dows=T"), ("other", "dows=T\n wconc=43300")):
        write_table_file(tmp_path / name / "a.table", inputs)
    found = {one.place.split("/")[0]: one for one in read_lcmodel_results(tmp_path, WaterScale()).spectra}
    assert values_of(found["same"])["Glu", "lcmodel"] == 9.2
    for name in ("none", "other"):
        assert ("Glu", "lcmodel") not in values_of(found[name])
        assert values_of(found[name])["Glu", OWN_UNITS] == 9.2
        assert "only ratios are compared" in found[name].note
        assert values_of(found[name])["Glu", "ratio_tcr"] == 1.353


def test_an_estimate_at_its_bound_is_zero_without_a_relative_error(tmp_path):
    write_table_file(tmp_path / "a.table")
    (spectrum,) = read_lcmodel_results(tmp_path, WaterScale()).spectra
    (at_bound,) = [one for one in spectrum.values if one.metabolite == "-CrCH2" and one.quantity == "ratio_tcr"]
    assert at_bound.value == 0
    assert math.isnan(at_bound.sd_pct)


def test_a_table_is_read_and_not_the_coord_of_the_same_fit(tmp_path):
    write_table_file(tmp_path / "a.table")
    write_table_file(tmp_path / "a.COORD")
    write_table_file(tmp_path / "b.COORD")
    found = read_lcmodel_results(tmp_path, WaterScale())
    assert [one.file.name for one in found.spectra] == ["a.table", "b.COORD"]


def test_a_run_that_stopped_is_a_problem_and_not_a_result(tmp_path):
    (tmp_path / "a.table").write_text("***** FATAL ERROR MYBASI 3 *****\n")
    found = read_lcmodel_results(tmp_path, WaterScale())
    assert found.spectra == ()
    assert "FATAL ERROR MYBASI 3" in found.problems[0][1]
    with pytest.raises(FileError):
        read_lcmodel_table(tmp_path / "a.table")


@pytest.mark.real
def test_real_files_of_lcmodel_say_the_same(real_data):
    folder = real_data / "lcmodel_test"
    table, coord = (read_lcmodel_table(folder / f"svs_97.{ending}") for ending in ("TABLE", "COORD"))
    assert table.rows == coord.rows
    assert len(table.rows) == 37
    assert ("Glu", 3.27e-2, 55.0, 0.131) in table.rows
    assert table.inputs["hzpppm"] == "123.226103"
    assert table.water_scale is None


def test_ratios_of_fsl_mrs_are_to_total_creatine_whatever_it_used(tmp_path):
    (tmp_path / "sub-01_task-cue").mkdir()
    # As `fsl_mrs --internal_ref NAA` writes it: ratios to NAA.
    (tmp_path / "sub-01_task-cue" / "summary.csv").write_text(
        "Metab,/NAA,/NAA CRLB,mMol/kg,mMol/kg CRLB,mM,mM CRLB,%CRLB,SNR,FWHM\n"
        "NAA,1.0,0.01,12.0,0.1,11.0,0.1,1.0,50,6\nCr,0.3,0.01,3.6,0.1,3.3,0.1,5.0,20,6\n"
        "PCr,0.5,0.01,6.0,0.1,5.5,0.1,4.0,20,6\nGlu,1.2,0.01,14.4,0.1,13.2,0.1,3.0,20,6\n"
    )
    (spectrum,) = read_fsl_mrs_results(tmp_path).spectra
    values = values_of(spectrum)
    assert values["Glu", "ratio_tcr"] == pytest.approx(1.2 / 0.8)
    assert values["Glu", "molal"] == 14.4
    assert values["tCr", "molar"] == pytest.approx(8.8)
    assert spectrum.labels == {"sub": "01", "task": "cue"}


def test_the_two_header_lines_of_fsl_mrs_concentrations(tmp_path):
    (tmp_path / "sub-02").mkdir()
    (tmp_path / "sub-02" / "concentrations.csv").write_text(
        "Metabs,mean,mean,mean,std,std,std\n,raw,internal,molality,raw,internal,molality\n"
        "Cr,3.0,0.375,3.6,0.3,0.03,0.3\nPCr,5.0,0.625,6.0,0.3,0.03,0.3\nGlu,12.0,1.5,14.4,0.6,0.1,0.7\n"
        "Cr+PCr,8.0,1.0,9.6,0.1,0.01,0.1\n"
    )
    (tmp_path / "sub-02" / "qc.csv").write_text("Metab,SNR,FWHM\n")
    (spectrum,) = read_fsl_mrs_results(tmp_path).spectra
    assert values_of(spectrum)["Glu", "ratio_tcr"] == pytest.approx(1.5)
    assert values_of(spectrum)["tCr", "molal"] == 9.6
    (glu,) = [one for one in spectrum.values if (one.metabolite, one.quantity) == ("Glu", "ratio_tcr")]
    assert glu.sd_pct == pytest.approx(5.0)


@pytest.mark.parametrize("ending", ["", "_Basis_1"])
def test_rows_of_osprey_get_the_names_of_the_spectra_that_were_not_excluded(tmp_path, ending):
    results = tmp_path / "QuantifyResults"
    results.mkdir()
    (tmp_path / "subject_names_and_excluded.tsv").write_text(
        "group\tsubject\texclude\n1\tsub-01\t0\n1\tsub-02\t1\n1\tsub-03\t0\n"
    )
    (results / f"A_tCr_Voxel_1{ending}.tsv").write_text("tCr\tmI\tGlu\tGln\n1\t0.7\t1.1\t0.3\n1\t0.8\t1.2\t0.4\n")
    (results / f"A_TissCorrWaterScaled_Voxel_1{ending}.tsv").write_text("tCr\tmI\tGlu\tGln\n8\t6\t9\t2\n8\t6\t10\t3\n")
    (results / f"A_rawWaterScaled_Voxel_1{ending}.tsv").write_text("tCr\tmI\tGlu\tGln\n7\t5\t8\t1\n7\t5\t9\t2\n")
    first, second = read_osprey_results(tmp_path).spectra
    assert (first.labels, second.labels) == ({"sub": "01"}, {"sub": "03"})
    values = values_of(second)
    assert (values["Glu", "ratio_tcr"], values["Glu", "molal"], values["Ins", "molal"]) == (1.2, 10, 6)
    assert values["Glx", "ratio_tcr"] == pytest.approx(1.6)
    # Raw water scaling assumes white matter: it is none of our quantities.
    assert values["Glu", OWN_UNITS] == 9


def test_rows_of_osprey_without_names_are_told_by_their_number(tmp_path):
    (tmp_path / "A_tCr_Voxel_1.tsv").write_text("tCr\tGlu\n1\t1.1\n1\t1.2\n")
    first, second = read_osprey_results(tmp_path).spectra
    assert (first.row, second.row) == (1, 2)
    assert first.labels == {}


def test_a_tidy_table_is_read_as_it_is(tmp_path):
    (tmp_path / "t.tsv").write_text(
        "participant_id\tsession_id\ttask_id\tmetabolite\tquantity\tvalue\n"
        "sub-01\tses-1\tcue\tGlu\tmolar\t9.5\nsub-01\tses-1\tcue\tGln\tmolar\t2.5\nsub-02\tn/a\tcue\tGlu\tmolar\t8\n"
    )
    first, second = read_tidy_results(tmp_path / "t.tsv").spectra
    assert first.labels == {"sub": "01", "ses": "1", "task": "cue"}
    assert values_of(first)["Glx", "molar"] == 12.0
    assert second.labels == {"sub": "02", "task": "cue"}
    (tmp_path / "bad.tsv").write_text("participant_id\tmetabolite\tvalue\nsub-01\tGlu\t1\n")
    with pytest.raises(FileError, match="quantity"):
        read_tidy_results(tmp_path / "bad.tsv")


def test_ratios_need_total_creatine():
    values = with_sums_and_ratios([], [EngineValue("Glu", "amplitude", 2.0), EngineValue("Cr", "amplitude", 1.0)])
    assert values == ()


@pytest.mark.parametrize(("name", "expected"), [("PCr+Cr", "tCr"), ("GPC_PCh", "tCho"), ("Ins+Gly", "Ins+Gly")])
def test_sums_have_our_names(name, expected):
    assert our_name(name) == expected


SCANS = (
    {"sub": "01", "ses": "1", "task": "cue"},
    {"sub": "01", "ses": "1", "task": "neutral"},
    {"sub": "02", "ses": "1", "task": "cue", "run": "01"},
)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("sub-01_ses-1_task-cue/lcmodel.table", 0),
        ("sub-01/ses-1/task-neutral.table", 1),
        ("sub-02_run-1.table", 2),
        # A label that no scan of the study has does not count.
        ("sub-02_desc-fit_acq-press.table", 2),
        ("sub-01_ses-1.table", None),
        ("sub-03.table", None),
        ("person1.table", None),
    ],
)
def test_a_file_is_of_the_scan_that_its_path_names(tmp_path, place, expected):
    found, reason = matched(EngineSpectrum(tmp_path / place, place, ()), SCANS)
    assert found == expected
    assert bool(reason) is (expected is None)


def test_what_the_user_says_counts_before_the_path(tmp_path):
    spectrum = EngineSpectrum(tmp_path, "sub-01_ses-1_task-cue.table", ())
    assert matched(spectrum, SCANS, {"sub": "02"})[0] == 2
