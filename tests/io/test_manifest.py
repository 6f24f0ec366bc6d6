import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import FileError
from mrspipe.core.signal import ScanKey
from mrspipe.io.digests import fingerprint, hash_file
from mrspipe.io.manifest import is_current, read_manifest, write_manifest
from mrspipe.settings import Settings

_KEY = ScanKey(sub="01", task="cue")


class _Options(Settings):
    order: int = 2


class _OtherOptions(Settings):
    order: int = 2


def test_a_hash_is_the_published_one(tmp_path):
    # FIPS 180-2, appendix B.1: SHA-256 of "abc".
    (tmp_path / "x").write_bytes(b"abc")
    assert hash_file(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_content_of_a_file_counts_and_not_its_name_or_date(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("same")
    two.write_text("same")
    os.utime(two, (0, 0))
    assert fingerprint(one) == fingerprint(two)
    two.write_text("Same")
    assert fingerprint(one) != fingerprint(two)


def test_a_file_that_is_not_there_has_no_fingerprint(tmp_path):
    with pytest.raises(FileError, match="cannot be read"):
        fingerprint(tmp_path / "absent")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (1, True),
        (0.0, float("nan")),
        ("1", 1),
        (None, "None"),
        (["a", "b"], ["ab"]),
        (["a", ["b"]], [["a"], "b"]),
        ({"a": 1}, {"a": 2}),
        (np.zeros(2), np.zeros((2, 1))),
        (np.zeros(2), np.zeros(2, dtype=complex)),
        (_Options(), _Options(order=3)),
        (_Options(), _OtherOptions()),
    ],
)
def test_different_content_has_another_fingerprint(left, right):
    assert fingerprint(left) != fingerprint(right)


def test_the_order_of_a_mapping_or_set_does_not_count():
    assert fingerprint({"a": 1, "b": 2}, {"x", "y"}) == fingerprint({"b": 2, "a": 1}, {"y", "x"})


def test_a_basis_set_counts_with_all_its_values():
    axis = SpectralAxis(8, 1e-3, 123e6, 4.65)
    basis = BasisSet(("NAA",), np.ones((1, 8)), axis)
    assert fingerprint(basis) == fingerprint(BasisSet(("NAA",), np.ones((1, 8)), axis))
    assert fingerprint(basis) != fingerprint(replace(basis, fids=2 * basis.fids))
    assert fingerprint(basis) != fingerprint(replace(basis, axis=replace(axis, dwell_s=2e-3)))


def test_an_object_without_content_is_refused():
    with pytest.raises(TypeError, match="no content"):
        fingerprint(object())


def test_a_fingerprint_is_the_same_in_another_process():
    code = "from mrspipe.io.digests import fingerprint; print(fingerprint({'a', 'b', 'c'}, 1.5))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert run.stdout.strip() == fingerprint({"a", "b", "c"}, 1.5)


@pytest.fixture
def finished(tmp_path):
    output = tmp_path / "sub-01" / "mrs" / "x.tsv"
    output.parent.mkdir(parents=True)
    output.write_text("a\n1\n")
    write_manifest(tmp_path, _KEY.label, fingerprint("inputs"), [output])
    return tmp_path


def test_a_finished_scan_is_current_for_the_same_inputs_only(finished):
    manifest = read_manifest(finished)
    assert is_current(manifest, _KEY.label, fingerprint("inputs"))
    assert not is_current(manifest, _KEY.label, fingerprint("other inputs"))
    assert not is_current(manifest, replace(_KEY, task="neutral").label, fingerprint("inputs"))


def test_a_scan_with_a_changed_or_lost_output_is_not_current(finished):
    output = finished / "sub-01" / "mrs" / "x.tsv"
    output.write_text("a\n2\n")
    assert not is_current(read_manifest(finished), _KEY.label, fingerprint("inputs"))
    output.unlink()
    assert not is_current(read_manifest(finished), _KEY.label, fingerprint("inputs"))


def test_a_broken_entry_counts_as_not_finished(finished):
    for text in ("{", "{}", '{"fingerprint": 1, "outputs": {"a": "b"}}', '{"fingerprint": "x", "outputs": {}}'):
        (finished / "logs" / "manifest" / f"{_KEY.label}.json").write_text(text)
        assert read_manifest(finished).entries == {}


def test_a_finished_folder_can_be_moved(finished, tmp_path_factory):
    moved = tmp_path_factory.mktemp("moved") / "results"
    finished.rename(moved)
    assert is_current(read_manifest(moved), _KEY.label, fingerprint("inputs"))


def test_nothing_is_finished_in_a_new_folder(tmp_path):
    assert read_manifest(tmp_path).entries == {}
