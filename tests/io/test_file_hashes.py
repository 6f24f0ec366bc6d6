import os
import time

import pytest

from mrspipe.core.errors import FileError
from mrspipe.io import file_hashes
from mrspipe.io.digests import hash_file
from mrspipe.io.file_hashes import FileHashes


@pytest.fixture
def counted(monkeypatch):
    """Names of the files that were read."""
    read = []

    def counting(path):
        read.append(path.name)
        return hash_file(path)

    monkeypatch.setattr(file_hashes, "hash_file", counting)
    # As if every file had been written long ago.
    monkeypatch.setattr(time, "time_ns", lambda: 1 << 62)
    return read


def test_a_file_is_read_once_in_two_runs(tmp_path, counted):
    file = tmp_path / "x"
    file.write_text("content")
    first = FileHashes(tmp_path / "memory.json")
    assert first.of(file) == first.of(file) == hash_file(file)
    first.save()
    assert FileHashes(tmp_path / "memory.json").of(file) == hash_file(file)
    assert counted == ["x"]


def test_other_content_of_the_same_size_with_the_old_date_is_noticed(tmp_path, counted):
    file = tmp_path / "x"
    file.write_text("content")
    hashes = FileHashes()
    hashes.of(file)
    before = file.stat()
    time.sleep(0.02)  # Longer than a tick of the file system's clock.
    file.write_text("CONTENT")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashes.of(file) == hash_file(file)
    assert counted == ["x", "x"]


def test_a_file_that_was_just_written_is_not_remembered(tmp_path, monkeypatch):
    file = tmp_path / "x"
    file.write_text("content")
    hashes = FileHashes(tmp_path / "memory.json")
    hashes.of(file)
    hashes.save()
    assert not (tmp_path / "memory.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 0, "files": {"x": ["wrong"]}}'])
def test_a_memory_that_cannot_be_read_is_no_memory(tmp_path, text):
    (tmp_path / "memory.json").write_text(text)
    (tmp_path / "x").write_text("content")
    assert FileHashes(tmp_path / "memory.json").of(tmp_path / "x") == hash_file(tmp_path / "x")


def test_a_file_that_is_not_there_has_no_hash(tmp_path):
    with pytest.raises(FileError, match="cannot be read"):
        FileHashes().of(tmp_path / "absent")
