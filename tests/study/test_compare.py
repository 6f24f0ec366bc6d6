"""Comparison with other programs: known differences are found, units are never mixed, and LCModel is run as told."""

import math
import shutil
import stat
import sys

import numpy as np
import pandas as pd
import pytest

from mrspipe.basis.sequences import SequenceSettings
from mrspipe.basis.simulate import simulate_basis
from mrspipe.config import StudyConfig, config_toml, load_config
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import ConfigError, FileError, InputError
from mrspipe.core.signal import Acquisition, ScanKey, Signal
from mrspipe.io.bids import find_scans
from mrspipe.io.nifti_mrs import write_signal
from mrspipe.io.tables import read_table, write_json, write_table
from mrspipe.io.vendor import import_files
from mrspipe.pipeline.compare import compare_engines
from mrspipe.pipeline.lcmodel_run import run_lcmodel

CONFIG = """
[design]
group = { column = "group", control = "HC", patient = "P" }
outcome = { metabolite = "Glu", quantity = "molar" }
[basis]
metabolites = ["NAA", "Cr", "Glu"]
[engine]
n_procs = 1
"""
PEOPLE = [f"{n:02d}" for n in range(1, 13)]


@pytest.fixture
def study(tmp_path):
    """Tables of an analysed study of two groups of six: patients have 2 mmol/L more glutamate."""
    rng = np.random.default_rng(7)
    rows = []
    for n, person in enumerate(PEOPLE):
        for metabolite, quantity, level in (
            ("Glu", "molar", 10.0),
            ("Glu", "ratio_tcr", 1.2),
            ("tCr", "ratio_tcr", 1.0),
        ):
            effect = (2.0 if quantity == "molar" else 0.24) * (n >= 6) * (metabolite == "Glu")
            spread = 0.05 * level * rng.standard_normal() * (metabolite == "Glu")
            rows.append(
                {"participant_id": f"sub-{person}", "session_id": "n/a", "task_id": "n/a", "run": "n/a"}
                | {"metabolite": metabolite, "quantity": quantity, "value": level + effect + spread}
                | {"se_own": 0.1, "crlb_pct": 3.0, "verdict": "good", "included": True, "reason": "n/a"}
                | {"group": "P" if n >= 6 else "HC"}
            )
    out = tmp_path / "out"
    write_table(out / "group" / "measurements.tsv", pd.DataFrame(rows))
    (tmp_path / "study.toml").write_text(CONFIG)
    (out / "config.toml").write_text(config_toml(load_config(tmp_path / "study.toml")))
    return out


def tidy(path, study, change, quantity="molar", people=PEOPLE):
    """Another program's table: our values, changed."""
    ours = read_table(study / "group" / "measurements.tsv")
    ours = ours[(ours["quantity"] == quantity) & (ours["metabolite"] == "Glu")]
    ours = ours[ours["participant_id"].isin([f"sub-{one}" for one in people])]
    table = ours[["participant_id", "metabolite", "quantity"]].assign(value=change(ours["value"].to_numpy()))
    write_table(path, table)
    return path


def only(table, **wanted):
    for name, value in wanted.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_a_known_bias_is_found(study, tmp_path):
    noise = np.tile([0.1, -0.1], 6)
    compare_engines(study, [("tsv", tidy(tmp_path / "other.tsv", study, lambda v: v + 1.5 + noise))])
    row = only(read_table(study / "compare" / "agreement.tsv"), quantity="molar")
    assert row["difference"] == pytest.approx(1.5)
    assert row["sd_difference"] == pytest.approx(0.1 * math.sqrt(12 / 11))
    assert (row["n"], row["n_subjects"]) == (12, 12)
    assert row["icc_3_1"] > 0.98 > 0.8 > row["icc_2_1"]


def test_the_contrast_is_computed_under_each_program(study, tmp_path):
    compare_engines(study, [("tsv", tidy(tmp_path / "other.tsv", study, lambda v: 2 * v))])
    table = read_table(study / "compare" / "contrasts.tsv")
    ours = only(table, contrast="patients-controls", engine="mrspipe", metabolite="Glu")
    theirs = only(table, contrast="patients-controls", engine="other", metabolite="Glu")
    assert ours["quantity"] == theirs["quantity"] == "molar"
    assert theirs["estimate"] == pytest.approx(2 * ours["estimate"])
    assert theirs["p"] == pytest.approx(ours["p"])


def test_only_scans_that_both_have_enter_the_contrasts(study, tmp_path):
    compare_engines(study, [("tsv", tidy(tmp_path / "other.tsv", study, lambda v: v, people=PEOPLE[:-2]))])
    table = read_table(study / "compare" / "contrasts.tsv")
    assert set(table.loc[table["metabolite"] == "Glu", "n_subjects"]) == {10}
    unmatched = read_table(study / "compare" / "unmatched.tsv")
    assert list(unmatched["scan"]) == ["sub-11", "sub-12"]


def test_ratios_are_never_compared_with_concentrations(study, tmp_path):
    summary = compare_engines(study, [("tsv", tidy(tmp_path / "other.tsv", study, lambda v: v, quantity="ratio_tcr"))])
    table = read_table(study / "compare" / "agreement.tsv")
    assert set(table["quantity"]) == {"ratio_tcr"}
    assert only(table, metabolite="Glu")["difference"] == 0
    # The study asks for molar; the other program has none, so both are compared as ratios.
    assert set(read_table(study / "compare" / "contrasts.tsv")["quantity"]) == {"ratio_tcr"}
    assert summary.main == (("Glu", "ratio_tcr"),)


def test_two_programs_stand_on_one_page(study, tmp_path):
    first, second = (tidy(tmp_path / f"{name}.tsv", study, lambda v: 1.1 * v) for name in ("alpha", "beta"))
    summary = compare_engines(study, [("tsv", first), ("tsv", second)])
    text = summary.page.read_text()
    assert text.count("<svg") == 2
    assert "alpha minus mrspipe" in text
    assert "beta minus mrspipe" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    values = read_table(study / "compare" / "measurements.tsv")
    assert set(values["engine"]) == {"mrspipe", "alpha", "beta"}


def test_the_same_comparison_gives_the_same_bytes(study, tmp_path):
    source = ("tsv", tidy(tmp_path / "other.tsv", study, lambda v: 1.1 * v))
    compare_engines(study, [source])
    before = {path.name: path.read_bytes() for path in (study / "compare").iterdir()}
    compare_engines(study, [source])
    assert {path.name: path.read_bytes() for path in (study / "compare").iterdir()} == before


def test_a_table_says_which_row_is_which_scan(study, tmp_path):
    folder = tmp_path / "osprey"
    folder.mkdir()
    (folder / "A_tCr_Voxel_1.tsv").write_text("tCr\tGlu\n1\t1.1\n1\t1.2\n1\t1.3\n")
    match = tmp_path / "match.tsv"
    match.write_text(
        "file\trow\tparticipant_id\nA_tCr_Voxel_1.tsv\t1\tsub-03\nA_tCr_Voxel_1.tsv\t2\t05\nA_tCr_Voxel_1.tsv\t3\t99\n"
    )
    compare_engines(study, [("osprey", folder)], match=match)
    values = read_table(study / "compare" / "measurements.tsv")
    found = values[(values["engine"] == "osprey") & (values["metabolite"] == "Glu")].set_index("participant_id")[
        "value"
    ]
    assert found.to_dict() == {"sub-03": 1.1, "sub-05": 1.2}
    assert "no scan of the study is sub-99" in set(read_table(study / "compare" / "unmatched.tsv")["reason"])


@pytest.mark.parametrize(
    ("sources", "kind"),
    [([], ConfigError), ([("tarquin", "x")], ConfigError), ([("lcmodel", "nowhere")], FileError)],
)
def test_nothing_to_compare_with_is_an_error_with_a_cure(study, tmp_path, sources, kind):
    with pytest.raises(kind) as caught:
        compare_engines(study, [(name, tmp_path / path) for name, path in sources])
    assert caught.value.cure


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="no results"):
        compare_engines(tmp_path, [])


FAKE = """#!{python}
import pathlib, re, sys, time
control = sys.stdin.read()
said = dict(re.findall(r"^ (\\w+)='?([^'\\n]*)'?$", control, re.M))
assert said["key"] == "210387309" and control.splitlines()[0] == " $LCMODL"
for name in ("filraw", "filbas", "filh2o"):
    assert name not in said or pathlib.Path(said[name]).is_file(), name
if "sub-02" in said["title"]:
    sys.exit("FATAL ERROR")
if "sub-03" in said["title"]:
    time.sleep(30)
pathlib.Path(said["filtab"]).write_text(
    "$$CONC  4 lines in following concentration table = NCONC+1\\n"
    "    Conc.  %SD /Cr+PCr  Metabolite\\n"
    "   12.000   8%   1.500 Glu\\n"
    "    8.000   3%   1.000 Cr+PCr\\n\\n"
    "$$INPU  1 lines in following table of input changes:\\n dows = " + said.get("dows", "F") + "\\n"
)
"""
AXIS = SpectralAxis(512, 1 / 2000, 127.7e6, 4.65)
PRESS = Acquisition(sequence="press", echo_time_s=0.03, repetition_time_s=2.0)


@pytest.fixture
def analysed(tmp_path):
    """Three raw scans with their water, and what preprocessing left of them."""
    raw, bids, out = tmp_path / "raw", tmp_path / "bids", tmp_path / "results"
    basis = simulate_basis(SequenceSettings(sequence="press", echo_time_s=0.03), AXIS, metabolites=("NAA", "Cr", "Glu"))
    rng = np.random.default_rng(3)
    fid = (np.array([10, 8, 9]) @ basis.fids) * np.exp(-12 * AXIS.time_s)
    fid = fid + 0.02 * (rng.standard_normal(512) + 1j * rng.standard_normal(512))
    scan = Signal(fid, ("time",), AXIS, PRESS)
    write_signal(raw / "a.nii.gz", scan)
    write_signal(raw / "a_ref.nii.gz", Signal(8e4 * np.exp(-12 * AXIS.time_s), ("time",), AXIS, PRESS))
    for sub in ("01", "02", "03"):
        import_files([raw], bids, ScanKey(sub=sub))
        path = out / f"sub-{sub}" / "mrs" / f"sub-{sub}_desc-preproc_svs.nii.gz"
        write_signal(path, scan)
        write_json(path.with_name(path.name.replace(".nii.gz", ".json")), {})
    return bids, out


@pytest.fixture
def config(tmp_path):
    (tmp_path / "study.toml").write_text(CONFIG)
    return load_config(tmp_path / "study.toml")


def test_lcmodel_gets_what_it_needs_and_its_failures_are_rows(analysed, config, tmp_path):
    bids, out = analysed
    fake = tmp_path / "lcmodel"
    fake.write_text(FAKE.replace("{python}", sys.executable))
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    folder = out / "compare" / "lcmodel"
    failures = run_lcmodel(out, find_scans(bids).scans, config, fake, folder=folder, timeout_s=5)
    assert [(one.entities["sub"], one.code) for one in failures] == [
        ("02", "lcmodel-failed"),
        ("03", "lcmodel-timeout"),
    ]
    assert "FATAL ERROR" in failures[0].message
    control = (folder / "sub-01" / "control").read_text()
    assert " dows=T\n" in control
    assert " deltat=5.000000000e-04\n" in control
    assert " nunfil=512\n" in control
    # One basis set for all three scans.
    assert len(list(folder.glob("basis-*.basis"))) == 1


def test_a_program_that_is_not_there_is_told_before_anything_runs(analysed, config, tmp_path):
    bids, out = analysed
    with pytest.raises(InputError, match="no such program"):
        run_lcmodel(out, find_scans(bids).scans, config, tmp_path / "none", folder=tmp_path / "lcmodel")
    assert not (tmp_path / "lcmodel").exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("lcmodel") is None, reason="LCModel (lcmodel) is not on the PATH")
def test_lcmodel_itself_finds_the_ratios_that_are_in_the_spectrum(analysed, config):
    from mrspipe.io.lcmodel_results import WaterScale, read_lcmodel_results

    bids, out = analysed
    folder = out / "compare" / "lcmodel"
    assert run_lcmodel(out, find_scans(bids).scans[:1], config, "lcmodel", folder=folder) == ()
    (spectrum,) = read_lcmodel_results(folder, WaterScale()).spectra
    values = {(one.metabolite, one.quantity): one.value for one in spectrum.values}
    # Its own baseline and macromolecules may take a part: within a tenth.
    assert values["NAA", "lcmodel"] / values["Cr", "lcmodel"] == pytest.approx(10 / 8, rel=0.1)
    assert values["Glu", "lcmodel"] / values["Cr", "lcmodel"] == pytest.approx(9 / 8, rel=0.1)


def test_the_settings_of_a_study_survive(study):
    assert isinstance(load_config(study / "config.toml"), StudyConfig)
