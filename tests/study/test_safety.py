"""Hostile or broken surroundings: each ends in one line that says what happened, and nothing outside is written."""

import errno
import gzip
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from study_helpers import edit, request

from mrspipe.cli.main import main
from mrspipe.core.errors import FileError, InputError
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.bids import Selection, find_scans
from mrspipe.io.nifti_files import load_nifti
from mrspipe.io.tables import read_table
from mrspipe.pipeline.outputs import verify
from mrspipe.pipeline.plan import find_study, plan_study
from mrspipe.pipeline.study import analyse_study


def svs(study, label="01"):
    return study / f"sub-{label}" / "mrs" / f"sub-{label}_svs.nii.gz"


def only(label, study, out_dir):
    return replace(request(study, out_dir, "two_groups"), selection=Selection(participants=(label,)))


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["mrspipe", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 300 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", place], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_costs_the_scan_in_one_line_and_leaves_no_half_file(monkeypatch, capsys, study, small_disk):
    words = ("run", study, small_disk / "out", "participant", "--config", "two_groups", "--n-procs", "1")
    assert call(monkeypatch, *words) in (1, 2)
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "Traceback" not in said
    assert not list(small_disk.rglob(".writing-*"))


def test_a_full_disk_leaves_the_old_file(small_disk):
    atomic_write_text(small_disk / "x", "old")
    with pytest.raises(OSError, match="No space left"):
        atomic_write_text(small_disk / "x", "new" * 200_000)
    assert (small_disk / "x").read_text() == "old"
    assert list(small_disk.iterdir()) == [small_disk / "x"]


def test_an_error_while_a_file_takes_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    atomic_write_text(tmp_path / "x", "old")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_file_where_a_folder_should_be_is_named(tmp_path):
    (tmp_path / "x").write_text("a file")
    with pytest.raises(OSError, match="/x'"):
        atomic_write_text(tmp_path / "x" / "y", "new")


def test_an_output_folder_that_cannot_be_written_is_one_line(monkeypatch, capsys, study, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert call(monkeypatch, "run", study, small_disk / "out", "--config", "two_groups") == 2
    said = capsys.readouterr().err
    assert "Read-only file system" in said
    assert said.count("\n") == 1


def test_links_that_go_round_do_no_harm(study):
    (study / "sub-01" / "ses-loop").symlink_to(study / "sub-01")
    (study / "sub-self").symlink_to(study / "sub-self")
    (study / "derivatives" / "loop").symlink_to(study / "derivatives")
    (study / "sub-02" / "mrs" / "up").symlink_to(study)
    found = find_scans(study, derivatives={"tissue": study / "derivatives" / "tissue"})
    assert [scan.key.label for scan in found.scans] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    assert {failure.code for failure in found.failures} <= {"wrong-folder"}


@pytest.mark.parametrize("key", ["ReferenceSignal", "AnatomicalImage"])
@pytest.mark.parametrize("link", ["bids::../../etc/passwd", "../../../etc/passwd", "/etc/passwd"])
def test_a_link_out_of_the_dataset_is_not_followed(study, key, link):
    edit(study / "sub-01" / "mrs" / "sub-01_svs.json", **{key: link, "IntendedFor": "bids::../../../../etc/passwd"})
    assert [(f.entities["sub"], f.code) for f in find_scans(study).failures] == [("01", "link")]


def header_of(path):
    return bytearray(gzip.decompress(path.read_bytes()))


def test_a_header_that_declares_huge_dimensions_takes_no_memory(study):
    content = header_of(svs(study))
    struct.pack_into("<8q", content, 16, 4, 30000, 30000, 30000, 30000, 1, 1, 1)  # NIfTI-2: dim begins at byte 16.
    svs(study).write_bytes(gzip.compress(content))
    tracemalloc.start()
    with pytest.raises(FileError, match="is cut short"):
        load_nifti(svs(study))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_a_file_that_unpacks_to_far_more_than_it_declares_takes_no_memory(study):
    whole = bytes(header_of(svs(study)))
    svs(study).write_bytes(gzip.compress(whole + bytes(300_000_000), compresslevel=9))
    tracemalloc.start()
    image = load_nifti(svs(study))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.shape[:3] == (1, 1, 1)
    assert peak < 10e6


def test_a_file_that_declares_more_than_any_scan_has_is_refused_before_it_is_unpacked(tmp_path):
    # 6 GB of zeros as gzip members that are repeated, so that the test need not pack them.
    header = bytearray(540)
    struct.pack_into("<i", header, 0, 540)
    header[4:12] = b"n+2\0\r\n\x1a\n"
    struct.pack_into("<hh8q", header, 12, 2, 8, 3, 6_000_000_000, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<q", header, 168, 544)
    part = gzip.compress(bytes(10_000_000), compresslevel=9)
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(header) + 600 * part)
    with pytest.raises(FileError, match="more than 4 GiB"):
        load_nifti(tmp_path / "x.nii.gz")


def test_a_table_that_is_not_utf_8_is_named(study):
    (study / "participants.tsv").write_bytes("participant_id\tname\nsub-01\tJosé\n".encode("latin-1"))
    with pytest.raises(
        FileError, match=r"participants\.tsv: The table cannot be read: 'utf-8' codec.*Save it as UTF-8"
    ):
        plan_study(request(study, study.parent / "out", "two_groups"))


def test_windows_line_ends_change_nothing(study):
    plain = read_table(study / "participants.tsv")
    for path in [study / "participants.tsv", *study.rglob("*.json")]:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_table(study / "participants.tsv").equals(plain)
    assert len(find_scans(study).scans) == 4


@pytest.mark.parametrize(
    ("name", "code"), [("svs.nii.gz", "truncated"), ("mrsref.nii.gz", "truncated"), ("svs.json", "json")]
)
def test_an_empty_file_costs_its_scan(study, tmp_path, name, code):
    (study / "sub-01" / "mrs" / f"sub-01_{name}").write_bytes(b"")
    summary = analyse_study(only("01", study, tmp_path / "out"), levels=("participant",))
    assert [(failure.entities["sub"], failure.code) for failure in summary.failures] == [("01", code)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["svs", "mrsref"])
def test_a_sample_that_is_no_number_costs_its_scan_and_no_other(study, tmp_path, name, bad):
    path = study / "sub-01" / "mrs" / f"sub-01_{name}.nii.gz"
    content = header_of(path)
    # The last sample, complex64: its imaginary part.
    content[-4:] = struct.pack("<f", bad)
    path.write_bytes(gzip.compress(content))
    both = replace(only("01", study, tmp_path / "out"), selection=Selection(participants=("01", "02")))
    summary = analyse_study(both, levels=("participant",))
    assert [(f.entities["sub"], f.code) for f in summary.failures] == [("01", "not-finite")]
    assert summary.failures[0].message == f"sub-01_{name}.nii.gz: The signal holds values that are not finite."


def test_an_empty_table_of_participants_is_named(study):
    (study / "participants.tsv").write_bytes(b"")
    with pytest.raises(FileError, match=r"participants\.tsv: The table is empty"):
        find_study(request(study, study.parent / "out", "two_groups"))


def test_contradicting_rows_of_a_participant_or_a_session_cost_that_participant(study, tmp_path):
    with (study / "participants.tsv").open("a") as table:
        width = len((study / "participants.tsv").read_text().splitlines()[0].split("\t"))
        table.write("\t".join(["sub-01", *["n/a"] * (width - 1)]) + "\n")
    for path in sorted((study / "sub-02" / "mrs").iterdir()):
        new = study / "sub-02" / "ses-1" / "mrs" / path.name.replace("sub-02_", "sub-02_ses-1_")
        new.parent.mkdir(parents=True, exist_ok=True)
        path.rename(new)
    edit(study / "sub-02" / "ses-1" / "mrs" / "sub-02_ses-1_svs.json", ReferenceSignal=None)
    (study / "sub-02" / "sub-02_sessions.tsv").write_text("session_id\tdrug\nses-1\tnac\nses-1\tplacebo\n")
    asked = replace(request(study, tmp_path / "out", "two_groups"), selection=Selection(participants=("01", "02")))
    summary = analyse_study(asked, levels=("participant",))
    assert [failure.code for failure in summary.failures] == ["participant-twice", "session-twice"]


def test_the_dataset_is_not_touched(study, tmp_path):
    def state():
        paths = [study, *study.rglob("*")]
        return {p: (p.stat().st_mtime_ns, p.stat().st_ctime_ns, p.read_bytes() if p.is_file() else b"") for p in paths}

    before, outside = state(), set(tmp_path.iterdir())
    analyse_study(only("01", study, tmp_path / "out"))
    assert state() == before
    assert set(tmp_path.iterdir()) - outside == {tmp_path / "out"}


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def test_what_tables_and_sidecars_say_is_text_on_every_page(study, analysed, tmp_path):
    out_dir = Path(shutil.copytree(analysed, tmp_path / "out"))
    table = study / "participants.tsv"
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    rows = [[*row, "note" if n == 0 else HOSTILE] for n, row in enumerate(rows)]
    table.write_text("".join("\t".join(row) + "\n" for row in rows))
    edit(study / "sub-01" / "mrs" / "sub-01_svs.json", Manufacturer=HOSTILE, PulseSequenceDetails=HOSTILE)
    edit(study / "dataset_description.json", Name=HOSTILE)
    analyse_study(request(study, out_dir, "two_groups"))
    pages = {path.name: path.read_text(encoding="utf-8") for path in out_dir.glob("*.html")}
    assert len(pages) == 5
    for name, text in pages.items():
        assert "<script>alert" not in text, name
        assert "<img src=x" not in text, name
    assert "&lt;/script&gt;" in pages["sub-01.html"]
    assert verify(out_dir) == []


def test_an_output_folder_below_a_subject_is_refused(study):
    with pytest.raises(InputError, match="raw data"):
        plan_study(request(study, study / "sub-01" / "out", "two_groups"))
