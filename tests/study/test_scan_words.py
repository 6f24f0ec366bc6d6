"""The words about a run say what was done to its scans, and nothing else."""

import tomllib
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from brain_like import make_basis, make_signal

from mrspipe.config import StudyConfig, with_settings
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.signal import Scan, ScanKey
from mrspipe.io.nifti_mrs import read_signal
from mrspipe.io.vendor import import_files
from mrspipe.pipeline.scan import analyse_scan
from mrspipe.pipeline.study import StudyRequest, analyse_study
from mrspipe.pipeline.words import analysis_facts, methods_of, procedures, scan_facts

CONFIG = StudyConfig()


@pytest.fixture(scope="module")
def result():
    basis = make_basis(SpectralAxis(2048, 1 / 2000, 127.7e6, 4.65))
    return analyse_scan(Scan(ScanKey("01"), make_signal(basis, noise=0.3)), basis, CONFIG)


@pytest.fixture(scope="module")
def facts(result):
    return scan_facts("sub-01", result.clean.metabolites, result.fit, result.levels)


def _text(config, *scans):
    return " ".join(methods_of(config, scans).paragraphs)


def test_steps_of_the_settings_that_did_not_run_are_not_claimed(facts):
    # One FID without water: nothing to combine, to align, to reconstruct; the settings list all of it.
    assert {step.step for step in CONFIG.preprocess.steps} >= {"combine_coils", "align", "reconstruct_cycling"}
    text = _text(CONFIG, facts)
    for claim in ("Preprocessing", "coil", "align", "cycl", "eddy", "Hock", "Rodgers"):
        assert claim not in text
    cleaned = replace(facts, steps=("remove residual water",))
    assert "Preprocessing, in this order: remove residual water (Barkhuijsen et al. 1987)." in _text(CONFIG, cleaned)


def test_a_step_of_some_scans_says_of_how_many(facts):
    more = replace(facts, steps=("align transients", *facts.steps))
    assert "align transients in 1 of 3 scans (Near et al. 2015)" in _text(CONFIG, facts, more, facts)


def test_quantities_without_a_value_are_not_claimed_and_the_checklist_says_why(result, facts):
    assert "Quantification: ratio to total creatine." in _text(CONFIG, facts)
    assert "tissue water" not in _text(CONFIG, facts)
    said = analysis_facts(CONFIG, facts, result.quality, "sub-01.html")
    assert said.output_measure.startswith("ratio to total creatine; no molality and molarity: no water")
    assert said.fit_model.startswith("reference: total creatine; ")


def test_the_constants_of_molar_values_are_cited_from_the_table_that_gave_them(facts):
    scan = replace(facts, measured=("molar",), corrections=("stated in the settings: water T1",))
    text = _text(CONFIG, scan)
    # Sources of the set "gannet" for water, and of Glu among the metabolites (mrspipe/physics/relaxation.toml).
    assert "Wansapura et al. 1999, doi 10.1002/(SICI)1522-2586(199904)9:4<531::AID-JMRI4>3.0.CO;2-L; " in text
    assert "Ernst, Kreis and Ross 1993, doi 10.1006/jmrb.1993.1055" in text
    assert "Wyss et al. 2018, doi 10.1002/mrm.27067" in text
    assert "stated in the settings: water T1" in text
    other = with_settings(CONFIG, "quantify", relaxation="fsl")
    assert "Wansapura" not in _text(other, scan)
    assert "(Clarke et al. 2021, doi 10.1002/mrm.28630; " in _text(other, scan)


@pytest.mark.parametrize("name", ["gannet", "fsl"])
def test_no_source_of_a_constant_is_lost_in_the_methods(facts, name):
    table = tomllib.loads(files("mrspipe.physics").joinpath("relaxation.toml").read_text(encoding="utf-8"))
    rows = [*table["visible_water"], *table["metabolite"], *(row for row in table["water"] if row["set"] == name)]
    metabolites = tuple(row["name"] for row in table["metabolite"])
    scan = replace(facts, measured=("molar",), metabolites=metabolites)
    text = _text(with_settings(CONFIG, "quantify", relaxation=name), scan)
    for key in {key for row in rows for key in row["source"]}:
        assert table["sources"][key]["doi"] in text


def test_a_joint_fit_is_named_only_where_there_was_one(facts):
    joint = with_settings(CONFIG, "fit", joint={"enabled": True})
    assert "from a fit of them together" in _text(joint, facts)
    assert "from a fit of them together" not in _text(CONFIG, facts)


def test_macromolecules_and_priors_are_those_of_the_fit(facts):
    assert "macromolecules as a smooth shape around the known resonances;" in _text(CONFIG, facts)
    # The only one of the brain-like set that has a prior.
    assert "soft priors on the ratio to total creatine of GABA." in _text(CONFIG, facts)


def test_a_first_echo_that_nobody_stated_is_said_to_be_assumed(facts):
    press = replace(facts, sequence="PRESS TE 35 ms")
    assert "simulation of PRESS TE 35 ms with ideal pulses, the first echo of PRESS assumed" in _text(CONFIG, press)
    known = with_settings(CONFIG, "basis", te1_s=0.014)
    assert "the first echo of PRESS 14 ms" in _text(known, press)


def test_every_rule_that_leaves_a_scan_out_is_in_the_checklist(result, facts):
    criteria = analysis_facts(CONFIG, facts, result.quality, "sub-01.html").exclusion_criteria
    left_out = criteria.partition(";")[0]
    for rule in ("converged", "signal-to-noise ratio of 8", "0.15 ppm", "total creatine of 25 %"):
        assert rule in left_out


def test_the_checklist_names_the_scan_that_its_numbers_are_of_and_the_page_with_its_spectrum(result, facts):
    said = analysis_facts(CONFIG, facts, result.quality, "sub-01.html")
    assert said.sample_spectrum == "sub-01.html"
    assert said.reported_quality.startswith("sub-01: SNR ")
    assert said.fit_quality.startswith("sub-01: ")


def test_a_description_without_a_test_is_no_statistics():
    columns = ["model", "multiplicity", "effect_name", "bf01", "tost_p"]
    described = pd.DataFrame([("mean", "none", None, np.nan, np.nan)], columns=columns)
    assert procedures(described) == []
    tested = pd.DataFrame([("Welch t test", "Holm over 4 main contrasts", "Hedges g", 0.3, 0.9)], columns=columns)
    assert procedures(tested) == [
        "Welch t test",
        "effect sizes Hedges g",
        "JZS Bayes factors",
        "equivalence by two one-sided tests (TOST)",
        "p values of the 4 main contrasts together adjusted by the method of Holm",
    ]


@pytest.mark.real
def test_methods_of_a_real_philips_scan_claim_what_was_done_to_it(real_data, tmp_path):
    folder = real_data / "philips_press35"
    scan, water = (folder / f"sub-01_PRESS_35_{name}.sdat" for name in ("act", "ref"))
    import_files([scan], tmp_path / "bids", ScanKey("01"), reference=water)
    analyse_study(StudyRequest(tmp_path / "bids", tmp_path / "out", CONFIG))
    methods = (tmp_path / "out" / "methods.md").read_text()
    steps = [step.method for step in read_signal(next((tmp_path / "out").rglob("*desc-preproc_svs.nii.gz"))).history]
    assert steps == ["first point doubled", "eddy-current correction", "remove residual water"]
    for step in steps:
        assert step in methods
    for claim in ("coil", "align", "cycl", "molal", "Statistics"):
        assert claim not in methods
    checklist = pd.read_csv(tmp_path / "out" / "mrsinmrs.tsv", sep="\t").set_index("number")["value"]
    assert checklist["1c"] == "3.2.2 ; .2.2"
    assert checklist["2d"] == "TR 2000 ms, TE 35 ms"
    assert checklist["3c"] == "ratio to total creatine; no molality and molarity: no tissue fractions (no tissue maps)"
