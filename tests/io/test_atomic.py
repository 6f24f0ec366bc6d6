import pytest

from mrspipe.io.atomic import atomic_path, atomic_write_bytes, atomic_write_text


def test_a_file_is_written_with_its_folders(tmp_path):
    target = tmp_path / "a" / "b" / "note.txt"
    atomic_write_text(target, "line\n")
    assert target.read_bytes() == b"line\n"


def _write_half(target):
    with atomic_path(target) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "note.txt"
    atomic_write_text(target, "old")
    with pytest.raises(RuntimeError):
        _write_half(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "note.txt"
    atomic_write_text(target, "old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


def test_the_temporary_file_ends_like_the_target_and_is_hidden(tmp_path):
    with atomic_path(tmp_path / "sub-01_svs.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        assert temporary.name.startswith(".")


def test_others_may_read_what_was_written(tmp_path):
    atomic_write_bytes(tmp_path / "x", b"1")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644
