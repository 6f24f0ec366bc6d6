import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_helpers import make_study, request

from mrspipe.config import bundled, load_config, with_settings
from mrspipe.io.bids import Selection
from mrspipe.io.tables import read_table
from mrspipe.pipeline.any_table import compare_table
from mrspipe.pipeline.plan import plan_study
from mrspipe.pipeline.study import analyse_study
from mrspipe.synth.recipe import load_recipe
from mrspipe.synth.study import truth_folder, write_study

TABLES = ("measurements", "quality", "contrasts", "exclusions", "failures")


def validator_errors(folder: Path) -> list[str]:
    program = Path(sys.executable).with_name("bids-validator-deno")
    if not program.exists():
        pytest.skip("bids-validator-deno is not installed")
    done = subprocess.run([program, folder, "--json"], capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    return [f"{issue['code']} {issue.get('location', '')}" for issue in issues if issue["severity"] == "error"]


def test_every_participant_has_a_page_and_the_study_has_one(analysed):
    pages = {path.name for path in analysed.glob("*.html")}
    assert pages == {"group.html", *(f"sub-0{n}.html" for n in range(1, 5))}
    assert "before and after preprocessing" in (analysed / "sub-01.html").read_text(encoding="utf-8")


def test_every_scan_has_its_files(analysed):
    names = {path.name.removeprefix("sub-01_") for path in (analysed / "sub-01" / "mrs").iterdir()}
    endings = ("preproc_svs.nii.gz", "preproc_svs.json", "fit_mrs.json", "fit_mrs.tsv", "conc_mrs.tsv", "qc_mrs.json")
    assert {f"desc-{ending}" for ending in (*endings, "voxel_mask.nii.gz")} <= names


def test_the_tables_hold_a_row_for_every_scan_metabolite_and_quantity(analysed):
    table = read_table(analysed / "group" / "measurements.tsv")
    assert table["participant_id"].nunique() == 4
    counts = table.groupby(["participant_id", "quantity"]).size()
    assert set(table["quantity"]) == {"ratio_tcr", "molal", "molar"}
    assert len(counts) == 12
    assert counts.min() == counts.max()
    assert {"group", "age", "sex", "gm_fraction"} <= set(table.columns)


def test_both_trees_are_valid_bids(pairs_study, analysed):
    assert validator_errors(pairs_study) == []
    assert validator_errors(analysed) == []


def test_tables_and_pages_do_not_depend_on_the_number_of_workers(pairs_study, analysed, tmp_path):
    analyse_study(request(pairs_study, tmp_path / "two", "two_groups", n_procs=2))
    for name in TABLES:
        path = Path("group") / f"{name}.tsv"
        assert (tmp_path / "two" / path).read_bytes() == (analysed / path).read_bytes()
    for page in analysed.glob("*.html"):
        assert (tmp_path / "two" / page.name).read_bytes() == page.read_bytes()


def test_the_table_of_measurements_gives_the_same_contrasts_as_the_run(analysed, tmp_path):
    table = analysed / "group" / "measurements.tsv"
    compare_table(table, tmp_path, load_config(analysed / "config.toml"))
    for name in ("contrasts.tsv", "contrasts.json", "exclusions.tsv", "exclusions.json"):
        assert (tmp_path / name).read_bytes() == (analysed / "group" / name).read_bytes()


def test_a_second_run_computes_only_what_changed(study, tmp_path):
    asked = request(study, tmp_path / "out", "two_groups")
    analyse_study(asked)
    assert plan_study(asked).waiting == ()
    sidecar = study / "sub-02" / "mrs" / "sub-02_svs.json"
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "RepetitionTime": 2.4}))
    assert [job.files.key.sub for job in plan_study(asked).waiting] == ["02"]
    assert analyse_study(asked).n_reused == 3


def test_a_changed_setting_of_a_stage_computes_everything_again_but_one_of_the_group_does_not(analysed, pairs_study):
    other_contrasts = request(pairs_study, analysed, "single_group")
    assert plan_study(other_contrasts).waiting == ()
    changed = request(pairs_study, analysed, "fitting_challenge")
    assert len(plan_study(changed).waiting) == 4


def test_a_result_that_was_changed_by_hand_is_computed_again(pairs_study, analysed, tmp_path):
    copy = shutil.copytree(analysed, tmp_path / "copy")
    (copy / "sub-03" / "mrs" / "sub-03_desc-conc_mrs.tsv").write_text("edited\n")
    assert [job.files.key.sub for job in plan_study(request(pairs_study, copy, "two_groups")).waiting] == ["03"]


def test_a_single_participant_can_be_run_and_the_group_uses_all_there_are(pairs_study, analysed, tmp_path):
    copy = shutil.copytree(analysed, tmp_path / "copy")
    one = replace(request(pairs_study, copy, "two_groups"), selection=Selection(participants=("01",)))
    assert analyse_study(one).n_scans == 1
    assert (copy / "group" / "measurements.tsv").read_bytes() == (analysed / "group" / "measurements.tsv").read_bytes()


def test_macromolecules_are_learned_from_all_scans_once_and_blind_to_the_selection(tmp_path):
    bids_dir = make_study(tmp_path / "bids", "two_groups", 6)
    plain = request(bids_dir, tmp_path / "one", "two_groups", n_procs=0)
    learning = replace(plain, config=with_settings(plain.config, "fit", mm="study"))
    assert plan_study(learning).must_learn
    alone = replace(learning, out_dir=tmp_path / "two", selection=Selection(participants=("01",)))
    analyse_study(learning)
    analyse_study(alone, levels=("participant",))
    first, second = (json.loads((tmp_path / name / "macromolecules.json").read_text()) for name in ("one", "two"))
    assert first == second
    assert first["n_spectra"] == 12
    fitted = json.loads((tmp_path / "one" / "sub-01" / "mrs" / "sub-01_desc-fit_mrs.json").read_text())
    assert fitted["Parameters"]["macromolecule_model"] == "study-learned smooth shape"
    again = plan_study(learning)
    assert again.waiting == ()
    assert not again.must_learn
    assert validator_errors(tmp_path / "one") == []
    # One participant is too few to move what was learned; of more than a tenth of the scans it is learned anew.
    for label in ("04", "05"):
        (bids_dir / f"sub-{label}" / "mrs" / f"sub-{label}_svs.nii.gz").unlink()
        plan = plan_study(learning)
        assert plan.must_learn == (label == "05")
        assert len(plan.waiting) == (10 if plan.must_learn else 0)


@pytest.mark.parametrize(
    ("config", "recipe", "contrasts"),
    [
        ("cocaine_nacc", "small", {"patients-controls", "cue-baseline", "group-by-cue", "nac-placebo", "craving"}),
        ("pre_post", "pre_post", {"post-pre"}),
        ("single_group", "single_group", {"mean"}),
    ],
)
def test_every_study_configuration_runs_on_a_synthetic_study_of_its_design(tmp_path, config, recipe, contrasts):
    bids_dir = make_study(tmp_path / "bids", recipe, 3)
    summary = analyse_study(request(bids_dir, tmp_path / "out", config, n_procs=0))
    assert summary.failures == ()
    table = summary.comparison.contrasts
    main = table[(table["metabolite"] == "Glu") | table["metabolite"].isna()]
    assert contrasts <= set(main.loc[main["estimate"].notna(), "contrast"])
    changes = tmp_path / "out" / "group" / "changes.tsv"
    assert changes.is_file() == (config == "cocaine_nacc")
    if changes.is_file():
        # From the first of a participant's scans to each of the others, for eight metabolites and sums.
        n_later = (table_of_scans := read_table(tmp_path / "out" / "group" / "quality.tsv")).shape[0]
        n_later -= table_of_scans["participant_id"].nunique()
        assert len(read_table(changes)) == 8 * n_later


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_was_and_gives_the_same_tables(tmp_path):
    bids_dir, out_dir = make_study(tmp_path / "bids", "two_groups", 6), tmp_path / "out"
    command = [sys.executable, "-m", "mrspipe", "run", bids_dir, out_dir, "--config", "two_groups", "--n-procs", "2"]
    # A shell may start its children deaf to this signal.
    listen = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **listen)
    deadline = time.monotonic() + 60
    while not list(out_dir.glob("logs/manifest/sub-*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Run the same command again" in said
    asked = request(bids_dir, out_dir, "two_groups")
    assert 0 < len(plan_study(asked).waiting) < 12
    analyse_study(asked)
    analyse_study(request(bids_dir, tmp_path / "whole", "two_groups"))
    for name in TABLES:
        path = Path("group") / f"{name}.tsv"
        assert (out_dir / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()


@pytest.mark.slow
def test_the_demo_study_recovers_its_truth(tmp_path):
    write_study(load_recipe(bundled("synthetic_data", "small")), tmp_path / "bids")
    summary = analyse_study(request(tmp_path / "bids", tmp_path / "out", "cocaine_nacc", n_procs=0))
    table = summary.comparison.measurements
    molar = table[(table["quantity"] == "molar") & table["included"]]
    keys = ["participant_id", "session_id", "task_id", "metabolite"]
    both = molar.merge(read_table(truth_folder(tmp_path / "bids") / "truth.tsv")[[*keys, "molar"]], on=keys)
    glu = both[both["metabolite"] == "Glu"]
    # 1.28 mM between subjects and conditions against a standard error near 1.4 mM of the fit, most of which the
    # spectra share: the correlation of theory is above sd / sqrt(sd^2 + se^2) = 0.67.
    assert np.corrcoef(glu["value"], glu["molar"])[0, 1] > 0.67
    assert abs(np.mean(glu["value"] / glu["molar"]) - 1) < 0.10
    inside = (both["value"] - both["molar"]).abs() < 1.96 * both["se_total"]
    assert inside.groupby(both["metabolite"]).mean().loc[["Glu", "Glx", "tNAA", "tCr", "tCho", "Ins"]].min() > 0.85
    cue = summary.comparison.contrasts.set_index(["contrast", "metabolite"]).loc[("cue-baseline", "Glu")]
    assert isinstance(cue, pd.Series)
    assert cue["ci_low"] < 1.8 < cue["ci_high"]
