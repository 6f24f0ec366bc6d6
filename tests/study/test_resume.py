"""What a run does again, and what it leaves alone."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from study_helpers import edit, request

from mrspipe.config import with_settings
from mrspipe.core.errors import InputError
from mrspipe.io import program
from mrspipe.io.bids import Selection
from mrspipe.io.locks import locked
from mrspipe.io.manifest import read_manifest
from mrspipe.io.program import NOT_FOR_SCANS, program_mark
from mrspipe.io.tables import read_json, read_table, write_json, write_table
from mrspipe.pipeline.again import compare_again, report_again
from mrspipe.pipeline.compare import compare_engines
from mrspipe.pipeline.learning import read_lesson
from mrspipe.pipeline.outputs import verify
from mrspipe.pipeline.plan import plan_study
from mrspipe.pipeline.power import PowerRequest, study_power
from mrspipe.pipeline.study import analyse_study


@pytest.fixture
def results(analysed, tmp_path) -> Path:
    """Results of the four participants, to be changed by the test."""
    return Path(shutil.copytree(analysed, tmp_path / "out"))


def written(folder):
    """When each result was written; notes of single runs do not count."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != "logs"]
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in paths}


def rewritten(folder, before):
    now = written(folder)
    # It says when the run was, to the second.
    return {name for name in now if before.get(name) != now[name] and name != "provenance.json"}


def test_a_repeated_run_writes_no_result_and_dates_of_files_do_not_count(study, results):
    asked = request(study, results, "two_groups")
    analyse_study(asked)
    for n, path in enumerate(study.rglob("*")):
        os.utime(path, (1e9 * (n % 4), 1e9 * (n % 4)))  # From 1970 to 2065.
    before = written(results)
    assert analyse_study(asked).n_reused == 4
    assert rewritten(results, before) == set()


def test_one_changed_sidecar_costs_that_scan_its_page_and_the_group(study, results):
    asked = request(study, results, "two_groups")
    analyse_study(asked)
    before = written(results)
    edit(study / "sub-02" / "mrs" / "sub-02_svs.json", RepetitionTime=2.4)
    assert analyse_study(asked).n_reused == 3
    changed = rewritten(results, before)
    assert {"sub-02.html", "group/measurements.tsv", "group/contrasts.tsv", "group.html"} <= changed
    assert not any(name.startswith(("sub-01", "sub-03", "sub-04")) for name in changed)


def test_other_source_code_computes_everything_again(pairs_study, results, monkeypatch):
    asked = request(pairs_study, results, "two_groups")
    assert plan_study(asked).waiting == ()
    package = shutil.copytree(program._PACKAGE, results.parent / "mrspipe", ignore=shutil.ignore_patterns("*.pyc"))
    monkeypatch.setattr(program, "_PACKAGE", package)
    program_mark.cache_clear()
    assert plan_study(asked).waiting == ()
    with (package / "fit" / "solver.py").open("a") as source:
        source.write("# changed\n")
    program_mark.cache_clear()
    assert len(plan_study(asked).waiting) == 4
    program_mark.cache_clear()


def test_what_does_not_count_for_a_scan_is_not_loaded_to_analyse_one():
    code = "import sys, mrspipe.pipeline.scan; print(*(m for m in sys.modules if m.startswith('mrspipe.')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "mrspipe.fit.solver" in loaded
    parts = {name.split(".")[1] for name in loaded} & {name.removesuffix(".py") for name in NOT_FOR_SCANS}
    # The configuration loads stats for the settings of the design, which are in no scan's fingerprint; the layers that
    # import-linter checks keep the stages of a scan from importing it.
    assert parts <= {"stats"}


def test_a_page_that_was_removed_or_edited_is_made_again(pairs_study, results):
    asked = request(pairs_study, results, "two_groups")
    analyse_study(asked)
    page = (results / "sub-03.html").read_bytes()
    (results / "sub-03.html").unlink()
    (results / "sub-04.html").write_text("edited")
    assert verify(results) == [("sub-03.html", "missing"), ("sub-04.html", "changed")]
    before = written(results)
    analyse_study(asked)
    assert rewritten(results, before) == {"sub-03.html", "sub-04.html"}
    assert (results / "sub-03.html").read_bytes() == page


def test_verify_names_what_is_missing_changed_foreign_and_unfinished(results):
    assert verify(results) == []
    (results / "group" / "contrasts.tsv").write_text("edited\n")
    (results / "sub-01" / "mrs" / "sub-01_desc-qc_mrs.json").unlink()
    (results / "notes.txt").write_text("mine")
    (results / "sub-02" / ".writing-abc.json").write_text("half")
    assert verify(results) == [
        ("group/contrasts.tsv", "changed"),
        ("notes.txt", "foreign"),
        ("sub-01/mrs/sub-01_desc-qc_mrs.json", "missing"),
        ("sub-02/.writing-abc.json", "unfinished"),
    ]


def test_one_job_a_participant_and_then_the_group_give_the_same_results(pairs_study, analysed, tmp_path):
    asked = request(pairs_study, tmp_path / "out", "two_groups")
    for label in ("03", "01", "04", "02"):
        with locked(asked.out_dir, frozenset({"another"})):
            one = replace(asked, selection=Selection(participants=(label,)))
            assert analyse_study(one, levels=("participant",)).failures == ()
    assert not (asked.out_dir / "group").exists()
    assert analyse_study(asked, levels=("group",)).n_reused == 4
    assert verify(asked.out_dir) == []
    for path in (p for p in analysed.rglob("*") if p.is_file() and "logs" not in p.parts):
        name = path.relative_to(analysed).as_posix()
        if name not in {"provenance.json", "dataset_description.json"}:
            assert (asked.out_dir / name).read_bytes() == path.read_bytes(), name


def test_a_run_of_everything_waits_for_nobody(pairs_study, results):
    asked = request(pairs_study, results, "two_groups")
    with locked(results, frozenset({"02"})):
        with pytest.raises(InputError, match="Another run writes here"):
            analyse_study(asked)
        one = replace(asked, selection=Selection(participants=("01",)))
        assert analyse_study(one, levels=("participant",)).n_reused == 1


def test_the_group_and_the_pages_need_no_raw_data(study, results):
    analyse_study(request(study, results, "two_groups"))
    contrasts = (results / "group" / "contrasts.tsv").read_bytes()
    shutil.rmtree(study)
    for name in ("group/contrasts.tsv", "group.html"):
        (results / name).unlink()
    summary = compare_again(results, None)
    assert (results / "group" / "contrasts.tsv").read_bytes() == contrasts
    assert "stay as they are" in summary.notes[0]
    assert report_again(results).group_page == results / "group.html"
    assert verify(results) == []


def test_tables_that_were_edited_are_compared_as_they_are(study, results):
    table = results / "group" / "measurements.tsv"
    lines = table.read_text().splitlines(keepends=True)
    before = (results / "group" / "contrasts.tsv").read_bytes()
    table.write_text("".join(line for line in lines if not line.startswith("sub-01")))
    compare_again(results, None)
    assert (results / "group" / "contrasts.tsv").read_bytes() != before


def test_another_comparison_is_noted_in_the_manifest(study, results):
    analyse_study(request(study, results, "two_groups"))
    compare_again(results, "single_group")
    assert verify(results) == []


def test_the_first_crash_can_stop_the_run(study, tmp_path, monkeypatch):
    def broken_step(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("mrspipe.pipeline.scan.preprocess", broken_step)
    summary = analyse_study(replace(request(study, tmp_path / "out", "two_groups"), stop_on_first_crash=True))
    assert [failure.code for failure in summary.failures] == ["crash"]
    assert "Stopped at the first crash" in summary.notes[0]
    assert "Unexpected ZeroDivisionError: a bug" in (tmp_path / "out" / "sub-01.html").read_text()
    assert "failed: preprocess, crash" in (tmp_path / "out" / "logs" / "sub-01.log").read_text()
    assert not (tmp_path / "out" / "group").exists()


def test_what_was_computed_from_what_is_recorded_and_no_user_or_computer(study, results, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mrspipe", "run", str(Path.home() / "bids"), "out"])
    analyse_study(request(study, results, "two_groups"))
    record = json.loads((results / "provenance.json").read_text())
    assert record["Command"][2] == "~/bids"
    assert record["Source"] == "../bids"
    entry = read_manifest(results).entries["sub-01"]
    image = "sub-01/mrs/sub-01_svs.nii.gz"
    assert record["Inputs"][image] == entry.inputs[image]
    assert {"participants.tsv", "derivatives/tissue/sub-01/anat/sub-01_label-GM_probseg.nii.gz"} <= set(
        record["Inputs"]
    )
    text = (results / "provenance.json").read_text()
    assert not any(name in text for name in (os.uname().nodename, str(results)))
    assert [json.loads(path.read_text())["Seconds"].keys() for path in (results / "logs" / "runs").iterdir()]


def lesson(folder, taught_by, now, settings="s"):
    content = {"settings": "s", "taught_by": taught_by, "n_spectra": len(taught_by), "metabolites": []}
    (folder / "macromolecules.json").write_text(json.dumps(content))
    return read_lesson(folder, now, settings)


def scans(n, visits=1):
    return {f"sub-{i:02}_ses-{v}": "same" for i in range(n) for v in range(visits)}


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ({}, True),
        ({"sub-00_ses-0": "new", "sub-00_ses-1": "new", "sub-00_ses-2": "new"}, True),
        ({"sub-00_ses-0": "new", "sub-01_ses-0": "new"}, True),
        ({f"sub-0{i}_ses-0": "new" for i in range(3)}, True),
        ({f"sub-0{i}_ses-0": "new" for i in range(4)}, False),
        ({"sub-77_ses-0": "new"}, True),
    ],
)
def test_a_learned_model_is_kept_for_one_participant_or_a_tenth_of_the_scans(tmp_path, changed, kept):
    # 30 scans; a tenth is 3.
    taught = scans(10, 3)
    found = lesson(tmp_path, taught, taught | changed)
    assert (found is not None) == kept
    if found is not None:
        assert set(found.changed) == set(changed)


def test_a_learned_model_of_other_settings_is_not_kept(tmp_path):
    assert lesson(tmp_path, scans(3), scans(3), settings="other") is None


@pytest.mark.slow
def test_with_a_learned_model_one_changed_sidecar_costs_that_scan_alone_unless_all_are_asked_for(study, tmp_path):
    asked = request(study, tmp_path / "out", "two_groups")
    asked = replace(asked, config=with_settings(asked.config, "fit", mm="study"))
    analyse_study(asked)
    before = (tmp_path / "out" / "macromolecules.json").read_bytes()
    edit(study / "sub-02" / "mrs" / "sub-02_svs.json", RepetitionTime=2.4)
    assert [job.files.key.sub for job in plan_study(asked).waiting] == ["02"]
    summary = analyse_study(asked)
    assert summary.n_reused == 3
    assert "sub-02" in summary.notes[0]
    assert (tmp_path / "out" / "macromolecules.json").read_bytes() == before
    assert json.loads((tmp_path / "out" / "provenance.json").read_text())["NuisanceModel"]["ChangedSince"] == ["sub-02"]
    assert analyse_study(replace(asked, relearn=True)).notes == ()
    assert analyse_study(asked).n_reused == 4


def test_tables_of_power_and_of_other_programs_are_no_foreign_files(results, tmp_path):
    study_power(PowerRequest(results))
    table = read_table(results / "group" / "measurements.tsv")
    write_table(tmp_path / "other.tsv", table[table["quantity"] == "molar"])
    compare_engines(results, [("tsv", tmp_path / "other.tsv")])
    assert verify(results) == []


def test_results_of_an_earlier_version_are_told_in_one_line(results):
    path = results / "provenance.json"
    record = read_json(path)
    write_json(path, {name: value for name, value in record.items() if name != "SourceName"})
    with pytest.raises(InputError, match=r"provenance\.json: An earlier version of mrspipe made these results\."):
        report_again(results)
