"""What an earlier run wrote and a later one would not: it goes, and nothing passes for current that is not."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from study_helpers import edit, request

from mrspipe.cli.main import main
from mrspipe.config import StudyConfig, config_toml, load_config, with_settings
from mrspipe.core.signal import ScanKey
from mrspipe.engine import Workers
from mrspipe.io.manifest import read_manifest, write_manifest
from mrspipe.io.tables import read_table
from mrspipe.pipeline.again import compare_again, report_again
from mrspipe.pipeline.compare import compare_engines
from mrspipe.pipeline.kept_rows import KeptRows
from mrspipe.pipeline.outputs import verify
from mrspipe.pipeline.power import PowerRequest, study_power
from mrspipe.pipeline.request import StudyRequest
from mrspipe.pipeline.study import analyse_study

# Names of files that say when or where, and not what.
TOLD = {"provenance.json", "dataset_description.json"}


@pytest.fixture
def results(analysed, tmp_path) -> Path:
    """Results of the four participants, to be changed by the test."""
    return Path(shutil.copytree(analysed, tmp_path / "out"))


def content(folder):
    paths = [p for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).parts[0] != "logs"]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths if p.name not in TOLD}


def without(asked: StudyRequest, stage: str, **changes) -> StudyRequest:
    return StudyRequest(asked.bids_dir, asked.out_dir, with_settings(asked.config, stage, **changes))


def test_a_step_that_writes_less_than_before_takes_the_rest_away(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    write_manifest(tmp_path, "step", "1", [tmp_path / "a", tmp_path / "b"])
    write_manifest(tmp_path, "step", "2", [tmp_path / "a"])
    assert not (tmp_path / "b").exists()
    assert verify(tmp_path) == []


def test_a_run_that_is_killed_while_results_are_set_aside_is_followed_by_one_that_ends_the_move(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    write_manifest(tmp_path, "step", "1", [tmp_path / "a", tmp_path / "b"])
    code = (
        "import os, pathlib, signal, sys\n"
        "from mrspipe.io.manifest import set_aside\n"
        "move, moves = pathlib.Path.replace, []\n"
        "def replace(self, target):\n"
        "    moves.append(target)\n"
        "    return os.kill(os.getpid(), signal.SIGKILL) if len(moves) == 2 else move(self, target)\n"
        "pathlib.Path.replace = replace\n"
        "set_aside(pathlib.Path(sys.argv[1]), 'step')\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "b").exists()
    subprocess.run([sys.executable, "-c", code.replace("== 2", "== 9"), tmp_path], check=True)
    assert not (tmp_path / "b").exists()
    assert read_manifest(tmp_path).entries == {}
    assert sorted(p.name for p in (tmp_path / "logs" / "outdated").iterdir()) == ["a", "b"]


@pytest.mark.slow
def test_a_participant_who_left_the_study_leaves_the_results_too(study, results, tmp_path):
    shutil.rmtree(study / "sub-02")
    analyse_study(request(study, results, "two_groups"))
    analyse_study(request(study, tmp_path / "anew", "two_groups"))
    assert content(results) == content(tmp_path / "anew")
    assert verify(results) == []
    assert (results / "logs" / "outdated" / "sub-02.html").exists()


@pytest.mark.slow
def test_what_the_settings_do_not_ask_for_any_more_is_not_left_as_if_it_were_current(pairs_study, results):
    asked = request(pairs_study, results, "two_groups")
    before = content(results)
    # Steps that were asked for once: fits with equal line widths, changes from a fit together, a learned model.
    for step, name in (("linewidths", "group/linewidths.tsv"), ("changes", "group/changes.tsv"),
                       ("learning", "macromolecules.json")):  # fmt: skip
        (results / name).write_text("old\n")
        write_manifest(results, step, "old", [results / name])
    analyse_study(without(asked, "robustness", enabled=False))
    names = set(content(results))
    assert set(before) - names == {
        f"group/{name}" for name in
        ("robustness.tsv", "robustness.json", "robustness_summary.tsv", "robustness_summary.json")
    } | {name for name in before if "fig-choices" in name}  # fmt: skip
    assert names <= set(before)
    assert verify(results) == []
    analyse_study(asked)
    assert content(results) == before


@pytest.mark.slow
def test_pages_and_words_are_the_same_when_the_raw_data_are_gone(study, results):
    analyse_study(request(study, results, "two_groups"))
    before = content(results)
    shutil.rmtree(study)
    for name in ("group.html", "methods.md", "group/contrasts.tsv", "figures/fig-quality.svg"):
        (results / name).unlink()
    compare_again(results, None)
    assert content(results) == before
    report_again(results)
    assert content(results) == before


@pytest.mark.slow
def test_another_comparison_of_the_tables_is_that_of_a_run_with_its_settings(study, results, tmp_path):
    other = request(study, tmp_path / "other", "two_groups").config
    design = other.design.model_copy(update={"ratings": None, "secondary": ("GABA",)})
    robustness = other.robustness.model_copy(update={"leave_one_out": False})
    other = other.model_copy(update={"design": design, "robustness": robustness, "title": "Another question"})
    (tmp_path / "other.toml").write_text(config_toml(other))
    for page in (True, False):
        if not page:
            shutil.rmtree(study)
        else:
            analyse_study(StudyRequest(study, tmp_path / "other", other))
            wanted = content(tmp_path / "other")
            wanted = {name: text for name, text in wanted.items() if not name.startswith("sub-")}
        compare_again(results, str(tmp_path / "other.toml"))
        assert {name: text for name, text in content(results).items() if not name.startswith("sub-")} == wanted
        assert verify(results) == []


@pytest.mark.slow
def test_ratings_follow_the_design_and_not_the_run_that_collected_the_tables(study, results):
    table = study / "participants.tsv"
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    rows = [[*row, *(("stress_low", "stress_high") if n == 0 else (str(n), str(2 * n)))] for n, row in enumerate(rows)]
    table.write_text("".join("\t".join(row) + "\n" for row in rows))
    asked = request(study, results, "two_groups")
    analyse_study(asked)
    assert not (results / "group" / "ratings.tsv").exists()
    text = config_toml(asked.config) + '\n[design.ratings]\nname = "stress"\ncolumns = { low = "stress_low" }\n'
    other = study.parent / "other.toml"
    other.write_text(text)
    assert load_config(other).design.ratings is not None
    compare_again(results, str(other))
    ratings = read_table(results / "group" / "ratings.tsv")
    assert dict(zip(ratings["participant_id"], ratings["value"], strict=True)) == {
        row[0]: n for n, row in enumerate(rows) if n
    }
    compare_again(results, "two_groups")
    assert not (results / "group" / "ratings.tsv").exists()
    assert verify(results) == []


@pytest.mark.slow
def test_blinded_pages_of_other_results_are_set_aside(pairs_study, results):
    asked = request(pairs_study, results, "two_groups")
    analyse_study(asked)
    report_again(results, blind=True)
    report_again(results)
    analyse_study(asked)
    assert (results / "blind" / "group.html").exists()
    assert verify(results) == []
    analyse_study(without(asked, "stats", min_per_group=3))
    assert not list((results / "blind").glob("*.html"))
    assert verify(results) == []


def test_what_other_commands_made_is_known_and_set_aside_when_the_study_asks_something_else(
    pairs_study, results, monkeypatch
):
    # Two participants a group are too few for a power; what its table holds does not matter here.
    monkeypatch.setattr("mrspipe.pipeline.power.power_rows", lambda *_: [])
    asked = request(pairs_study, results, "two_groups")
    rows = results / "ours.tsv"
    shutil.copy(results / "group" / "measurements.tsv", rows)
    compare_engines(results, [("tsv", rows)])
    study_power(PowerRequest(results))
    rows.unlink()
    assert verify(results) == []
    compare_again(results, None)
    assert (results / "compare" / "compare.html").exists()
    assert (results / "group" / "power.tsv").exists()
    other = without(asked, "stats", alpha=0.01)
    (results.parent / "other.toml").write_text(config_toml(other.config))
    compare_again(results, str(results.parent / "other.toml"))
    assert verify(results) == []
    assert not list((results / "compare").rglob("*.*"))
    assert not (results / "group" / "power.tsv").exists()


def test_without_raw_data_blinding_writes_the_page_of_the_study_alone(study, results):
    analyse_study(request(study, results, "two_groups"))
    shutil.rmtree(study)
    report_again(results, blind=True)
    assert [path.name for path in (results / "blind").iterdir()] == ["group.html"]


def test_pages_again_without_words_are_the_pages_of_the_study_and_not_blinded_ones(pairs_study, results, monkeypatch):
    (results / "group.html").unlink()
    monkeypatch.setattr(sys, "argv", ["mrspipe", "run", str(pairs_study), str(results), "--reports-only", "--quiet"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert (results / "group.html").exists()
    assert not (results / "blind").exists()


def test_a_page_shows_the_report_of_a_crash_as_it_is_now(study, tmp_path, monkeypatch):
    def broken_step(*_):
        raise ZeroDivisionError("a bug")

    asked = request(study, tmp_path / "out", "two_groups")
    monkeypatch.setattr("mrspipe.pipeline.scan.preprocess", broken_step)
    analyse_study(asked, levels=("participant",))
    report = tmp_path / "out" / "logs" / "crash-sub-01.txt"
    assert "ZeroDivisionError" in report.read_text()
    monkeypatch.setattr("mrspipe.pipeline.scan.preprocess", lambda *_: int("x" if os.environ else "y"))
    monkeypatch.setattr("mrspipe.pipeline.scan.atomic_write_text", lambda *_: report.write_text("another place"))
    analyse_study(asked, levels=("participant",))
    assert "another place" in (tmp_path / "out" / "sub-01.html").read_text()


@pytest.mark.slow
def test_the_page_of_the_study_is_about_the_scans_in_its_tables(study, results):
    asked = request(study, results, "two_groups")
    analyse_study(asked)
    before = content(results)
    # Another participant is analysed, but the tables are not collected.
    for path in sorted((study / "sub-02").rglob("*_svs.*")) + sorted((study / "sub-02").rglob("*_mrsref.*")):
        new = study / "sub-05" / "mrs" / path.name.replace("sub-02", "sub-05")
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, new)
    edit(study / "sub-05" / "mrs" / "sub-05_svs.json", ReferenceSignal="bids::sub-05/mrs/sub-05_mrsref.nii.gz",
         AnatomicalImage=None)  # fmt: skip
    accepting = StudyConfig.model_validate(json.loads(asked.config.model_dump_json()))
    accepting = with_settings(accepting, "checks", accept=("same-samples-subjects",))
    analyse_study(StudyRequest(study, results, accepting), levels=("participant",))
    (results / "config.toml").write_bytes(before["config.toml"])
    report_again(results)
    assert content(results)["group.html"] == before["group.html"]
    assert content(results)["methods.md"] == before["methods.md"]


def test_rows_of_other_subjects_are_kept_and_those_of_a_worker_that_died_are_sought_again(tmp_path):
    marks = {"01": "a", "02": "b"}
    keys = [ScanKey("02"), ScanKey("01")]
    asked = []

    def work(scans):
        asked.append(scans[0].sub)
        return [{"subject": scans[0].sub, "value": 0.1 + 0.2, "none": float("nan")}]

    def rows(worked=work, keys=keys):
        kept = KeptRows(tmp_path, "step", lambda some: marks[some[0].sub])
        with Workers(1) as workers:
            return kept.of_subjects(keys, lambda scans: scans, worked, workers, lambda *_: None)

    first = rows()
    assert [list(row.values()) for row in first] == [[None, "02", 0.1 + 0.2], [None, "01", 0.1 + 0.2]]
    assert rows() == first
    assert asked == ["02", "01"]
    marks["01"] = "c"
    assert rows(lambda _: None) == first[:1]
    assert rows() == first
    assert asked == ["02", "01", "01"]
