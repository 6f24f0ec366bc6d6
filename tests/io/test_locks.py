import json
import os
import re
import socket
import subprocess
import sys

import pytest

from mrspipe.core.errors import InputError
from mrspipe.io.locks import locked

ONE, OTHER = frozenset({"01"}), frozenset({"02"})


def notes(folder):
    return list((folder / "logs" / "locks").glob("*.json"))


@pytest.mark.parametrize(("first", "second"), [(None, None), (None, ONE), (ONE, None), (ONE, ONE | OTHER)])
def test_runs_that_overlap_are_refused_and_the_other_is_named(tmp_path, first, second):
    place = f"process {os.getpid()} on {re.escape(socket.gethostname())}, since 20"
    with locked(tmp_path, first):
        with pytest.raises(InputError, match=place), locked(tmp_path, second):
            pass
        assert len(notes(tmp_path)) == 1
    assert notes(tmp_path) == []


def test_runs_of_different_subjects_go_on_together(tmp_path):
    with locked(tmp_path, ONE), locked(tmp_path, OTHER):
        assert len(notes(tmp_path)) == 2


def test_after_an_error_the_folder_is_free(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path, None):
        raise RuntimeError
    with locked(tmp_path, None):
        pass


def leave(folder, **changes):
    """A note that a run has left behind."""
    with locked(folder, None):
        content = json.loads(notes(folder)[0].read_text())
    path = folder / "logs" / "locks" / "left.json"
    path.write_text(json.dumps(content | changes))
    return path


def test_a_run_that_was_killed_is_taken_over_and_what_it_had_begun_removed(tmp_path):
    code = "import os, sys, pathlib; from mrspipe.io.locks import locked"
    code += "\nwith locked(pathlib.Path(sys.argv[1]), None): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == 9
    assert len(notes(tmp_path)) == 1
    begun = tmp_path / "sub-01" / ".writing-x.json"
    begun.parent.mkdir()
    begun.write_text("half")
    with locked(tmp_path, None):
        assert len(notes(tmp_path)) == 1
    assert not begun.exists()


def test_a_process_that_has_the_number_of_a_killed_run_is_not_taken_for_it(tmp_path):
    leave(tmp_path, started="1")
    with locked(tmp_path, None):
        # Its own; that of the killed run is gone.
        assert len(notes(tmp_path)) == 1


def test_a_run_on_another_computer_may_be_alive(tmp_path):
    path = leave(tmp_path, host="elsewhere", pid=1)
    with (
        pytest.raises(InputError, match=f"process 1 on elsewhere.*remove logs/locks/{path.name}"),
        locked(tmp_path, ONE),
    ):
        pass


def test_what_another_run_is_writing_stays(tmp_path):
    leave(tmp_path, started="1", subjects=["01"])
    mine, others = (tmp_path / f"sub-{label}" / ".writing-x.json" for label in ("01", "02"))
    for path in (mine, others):
        path.parent.mkdir()
        path.write_text("half")
    with locked(tmp_path, ONE):
        pass
    assert (mine.exists(), others.exists()) == (False, True)
