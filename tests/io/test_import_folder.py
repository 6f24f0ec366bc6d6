"""Import of folders: every problem of a mapping at once, a failure that stops nothing, resuming, and drafts."""

import json
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import FileError, MrspipeError
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.io.import_draft import write_draft
from mrspipe.io.import_folder import REPORT, import_folder
from mrspipe.io.import_mapping import read_mapping
from mrspipe.io.nifti_mrs import write_signal
from mrspipe.io.tables import read_table
from mrspipe.io.vendor import ImportOptions

AXIS = SpectralAxis(256, 1 / 2000, 127.75e6, 4.65)
PRESS = Acquisition(sequence="press", echo_time_s=0.03, repetition_time_s=2.0)


def spectrum(path, amplitude=1.0):
    fid = amplitude * np.exp((2j * np.pi * 20.0 - 20.0) * AXIS.time_s)
    write_signal(path, Signal(fid, ("time",), AXIS, PRESS))
    return path


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    for person in ("a", "b", "c"):
        spectrum(folder / person / "scan.nii.gz")
        spectrum(folder / person / "water.nii.gz", amplitude=80.0)
    return folder


def mapping(path, *rows, header="file\tparticipant_id\treference"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def table(tmp_path, source):
    rows = [f"{person}/scan.nii.gz\t0{n}\t{person}/water.nii.gz" for n, person in enumerate("abc", start=1)]
    return mapping(tmp_path / "mapping.tsv", *rows)


def run(table, source, bids, **options):
    rows, problems = read_mapping(table, source)
    assert not problems
    return import_folder(rows, source, bids, ImportOptions(**options))


def statuses(outcomes):
    return [outcome.status for outcome in outcomes]


def content_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_becomes_a_dataset_with_a_report(tmp_path, source, table):
    outcomes = run(table, source, tmp_path / "bids")
    assert statuses(outcomes) == ["imported"] * 3
    report = read_table(tmp_path / "bids" / REPORT)
    assert list(report["target"]) == [f"sub-0{n}/mrs/sub-0{n}_svs.nii.gz" for n in (1, 2, 3)]
    assert list(report["reference"]) == [f"sub-0{n}/mrs/sub-0{n}_mrsref.nii.gz" for n in (1, 2, 3)]
    assert set(report["format"]) == {"NIfTI-MRS"}
    described = json.loads((tmp_path / "bids" / REPORT).with_suffix(".json").read_text())
    assert set(described) == set(report.columns)


def test_every_problem_of_a_mapping_is_told_at_once(tmp_path, source):
    table = mapping(
        tmp_path / "m.tsv",
        "a/scan.nii.gz\t0_1\t1\tx",
        "nowhere.dat\t02\t1\t30",
        "b/scan.nii.gz\tsub-03\t1\t30",
        "c/scan.nii.gz\t03\t01\t30",
        "a/scan.nii.gz\t\tone\t-5",
        "a/scan.nii.gz\t09",
        header="file\tparticipant_id\trun\tte_ms",
    )
    rows, problems = read_mapping(table, source)
    text = "\n".join(problems)
    for expected in (
        "line 2: participant_id: A BIDS label has only letters and digits, got '0_1'; for example 01.",
        "line 2: te_ms: 'x' is no number.",
        "line 3: file: there is no nowhere.dat",
        "line 5: sub-03/mrs/sub-03_run-01_svs.nii.gz is also the target of line 4.",
        "line 6: participant_id is empty.",
        "line 6: run: A BIDS label has only digits, got 'one'",
        "line 6: te_ms: -5 is not possible.",
        "line 7: it has 2 cells but the header has 4",
    ):
        assert expected in text
    assert len(problems) == 8
    assert [row.line for row in rows] == [4, 5]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("file\tparticipant\treference", "did you mean 'participant_id'?"),
        ("file\tparticipant_id\tcolour", "there are file, participant_id"),
        ("participant_id\tsession", "the column 'file' is missing"),
        ("file\tparticipant_id\tfile", "the column 'file' is there twice"),
    ],
)
def test_a_wrong_column_is_told_with_the_one_that_is_meant(tmp_path, source, header, expected):
    _, problems = read_mapping(mapping(tmp_path / "m.tsv", "x\ty\tz", header=header), source)
    assert expected in "\n".join(problems)


def test_a_missing_mapping_says_how_to_make_one(tmp_path, source):
    with pytest.raises(FileError, match="--draft"):
        read_mapping(tmp_path / "none.tsv", source)


def test_a_mapping_may_not_reach_outside_the_source_folder(tmp_path, source):
    spectrum(tmp_path / "other.nii.gz")
    _, problems = read_mapping(mapping(tmp_path / "m.tsv", "../other.nii.gz\t01\tn/a"), source)
    assert "lies outside" in problems[0]


def test_one_failure_stops_nothing_and_is_in_the_report(tmp_path, source, table):
    (source / "b" / "scan.nii.gz").write_bytes(b"broken")
    outcomes = run(table, source, tmp_path / "bids")
    assert statuses(outcomes) == ["imported", "failed", "imported"]
    row = read_table(tmp_path / "bids" / REPORT).set_index("status").loc["failed"]
    assert isinstance(row["message"], str)
    assert not (tmp_path / "bids" / "sub-02").exists()
    people = (tmp_path / "bids" / "participants.tsv").read_text()
    assert "sub-02" not in people


def test_an_import_is_resumed_by_the_same_command(tmp_path, source, table):
    good = (source / "b" / "scan.nii.gz").read_bytes()
    (source / "b" / "scan.nii.gz").write_bytes(b"broken")
    run(table, source, tmp_path / "bids")
    (source / "b" / "scan.nii.gz").write_bytes(good)
    before = content_of(tmp_path / "bids" / "sub-01")
    assert statuses(run(table, source, tmp_path / "bids")) == ["unchanged", "imported", "unchanged"]
    assert content_of(tmp_path / "bids" / "sub-01") == before
    run(table, source, tmp_path / "whole")
    left, right = content_of(tmp_path / "bids"), content_of(tmp_path / "whole")
    assert {name: c for name, c in left.items() if name.startswith("sub-")} == {
        name: c for name, c in right.items() if name.startswith("sub-")
    }


def test_other_content_is_replaced_only_with_overwrite(tmp_path, source, table):
    run(table, source, tmp_path / "bids")
    before = content_of(tmp_path / "bids" / "sub-02")
    spectrum(source / "b" / "scan.nii.gz", amplitude=2.0)
    outcomes = run(table, source, tmp_path / "bids")
    assert statuses(outcomes) == ["unchanged", "failed", "unchanged"]
    assert outcomes[1].error.code == "exists"
    assert "--overwrite" in outcomes[1].error.cure
    assert content_of(tmp_path / "bids" / "sub-02") == before
    assert statuses(run(table, source, tmp_path / "bids", overwrite=True)) == ["unchanged", "imported", "unchanged"]
    assert content_of(tmp_path / "bids" / "sub-02") != before


def test_a_dry_run_writes_nothing(tmp_path, source, table):
    assert statuses(run(table, source, tmp_path / "bids", dry_run=True)) == ["imported"] * 3
    assert not (tmp_path / "bids").exists()


def test_participants_never_lose_rows_or_columns(tmp_path, source, table):
    bids = tmp_path / "bids"
    bids.mkdir()
    (bids / "participants.tsv").write_text("participant_id\tage\tgroup\nsub-02\t30\tCAI\nsub-77\t41\tHC\n")
    run(table, source, bids)
    people = read_table(bids / "participants.tsv").set_index("participant_id")
    assert list(people.columns) == ["age", "group"]
    assert set(people.index) == {"sub-01", "sub-02", "sub-03", "sub-77"}
    assert people.loc["sub-02", "group"] == "CAI"


def test_the_report_keeps_what_earlier_imports_brought(tmp_path, source, table):
    run(table, source, tmp_path / "bids")
    other = mapping(tmp_path / "more.tsv", "a/scan.nii.gz\t09\tn/a")
    run(other, source, tmp_path / "bids")
    assert len(read_table(tmp_path / "bids" / REPORT)) == 4


def test_a_file_that_the_mapping_names_is_the_scan_whatever_its_name(tmp_path, source):
    spectrum(source / "d" / "mr_water.nii.gz")
    (outcome,) = run(mapping(tmp_path / "m.tsv", "d/mr_water.nii.gz\t01\tn/a"), source, tmp_path / "bids")
    assert outcome.status == "imported"


def test_a_draft_pairs_by_name_and_by_strength_and_guesses_no_person(tmp_path):
    source = tmp_path / "source"
    spectrum(source / "sub-07" / "ses-2" / "press.nii.gz")
    spectrum(source / "sub-07" / "ses-2" / "press_ref.nii.gz", amplitude=50.0)
    image = nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4))
    nib.save(image, source / "sub-07" / "ses-2" / "x_T1w.nii.gz")
    spectrum(source / "second" / "one.nii.gz", amplitude=50.0)
    spectrum(source / "second" / "two.nii.gz")
    (source / "second" / "bad.nii").write_bytes(b"")
    (source / "second" / "notes.txt").write_text("hello")
    draft = write_draft(source, tmp_path / "draft.tsv")
    table = read_table(tmp_path / "draft.tsv").astype(object).fillna("n/a").set_index("file")
    assert table.loc["sub-07/ses-2/press.nii.gz", "participant_id"] == "07"
    assert table.loc["sub-07/ses-2/press.nii.gz", "session"] == "2"
    assert table.loc["sub-07/ses-2/press.nii.gz", "reference"] == "sub-07/ses-2/press_ref.nii.gz"
    assert table.loc["sub-07/ses-2/press.nii.gz", "t1w"] == "sub-07/ses-2/x_T1w.nii.gz"
    assert "second/bad.nii" in table.index
    assert any("bad.nii" in text for text in draft.unreadable)
    assert any("notes.txt" in text for text in draft.notes)
    _, problems = read_mapping(tmp_path / "draft.tsv", source)
    assert any("participant_id is empty" in text for text in problems)


def test_the_stronger_of_two_spectra_in_a_folder_is_the_water(tmp_path):
    spectrum(tmp_path / "s" / "x" / "one.nii.gz", amplitude=50.0)
    spectrum(tmp_path / "s" / "x" / "two.nii.gz")
    spectrum(tmp_path / "s" / "y" / "one.nii.gz", amplitude=2.0)
    spectrum(tmp_path / "s" / "y" / "two.nii.gz")
    write_draft(tmp_path / "s", tmp_path / "draft.tsv")
    table = read_table(tmp_path / "draft.tsv").astype(object).fillna("n/a").set_index("file")
    assert table["reference"].to_dict() == {
        "x/two.nii.gz": "x/one.nii.gz",
        "y/one.nii.gz": "n/a",
        "y/two.nii.gz": "n/a",
    }


def test_a_folder_without_scans_has_no_draft(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MrspipeError, match="no file here that is a scan"):
        write_draft(tmp_path / "empty", tmp_path / "draft.tsv")


@pytest.mark.real
def test_real_scans_of_two_vendors_become_a_valid_dataset_from_their_draft(tmp_path, real_data):
    pytest.importorskip("spec2nii")
    validator = shutil.which("bids-validator-deno", path=f"{sys.prefix}/bin") or shutil.which("bids-validator-deno")
    if validator is None:
        pytest.skip("bids-validator-deno is not installed")
    source = tmp_path / "source"
    for name in ("philips_press35", "philips_press30_mm", "siemens"):
        shutil.copytree(real_data / name, source / name)
    write_draft(source, tmp_path / "draft.tsv")
    table = read_table(tmp_path / "draft.tsv").astype(object).fillna("n/a")
    assert len(table) == 6
    numbers = iter("123456")
    table["participant_id"] = [f"0{next(numbers)}" for _ in range(6)]
    lines = ["\t".join(table.columns), *("\t".join(map(str, row)) for row in table.to_numpy())]
    (tmp_path / "mapping.tsv").write_text("\n".join(lines) + "\n")
    assert statuses(run(tmp_path / "mapping.tsv", source, tmp_path / "bids")) == ["imported"] * 6
    done = subprocess.run([validator, str(tmp_path / "bids"), "--json"], capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
