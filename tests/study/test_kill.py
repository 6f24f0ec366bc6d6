"""A run that is killed at any moment goes on where it was, and ends with the bytes of one that was not.

``MRSPIPE_KILLS`` sets how often the run is killed (5), ``MRSPIPE_KILL_SCANS`` how many scans the study has (8).
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from study_helpers import make_study

from mrspipe.pipeline.outputs import verify

# Names of files that say when or where, and not what.
TOLD = {"provenance.json", "dataset_description.json"}


def content(folder):
    paths = [p for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).parts[0] != "logs"]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths if p.name not in TOLD}


def start(bids_dir: Path, out_dir: Path) -> subprocess.Popen:
    words = ["run", bids_dir, out_dir, "--config", "two_groups", "--n-procs", "2", "--quiet"]
    return subprocess.Popen([sys.executable, "-m", "mrspipe", *words], start_new_session=True)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_gives_the_results_of_one_that_was_not(tmp_path):
    n_kills, n_scans = (int(os.environ.get(f"MRSPIPE_{name}", n)) for name, n in (("KILLS", 5), ("KILL_SCANS", 8)))
    bids_dir = make_study(tmp_path / "bids", "two_groups", n_scans // 2)
    begun = time.monotonic()
    assert start(bids_dir, tmp_path / "whole").wait() == 0
    whole_s = time.monotonic() - begun
    rng, killed = random.Random(1), 0
    out_dir = tmp_path / "out"
    while killed < n_kills:
        run = start(bids_dir, out_dir)
        try:
            run.wait(timeout=rng.uniform(0.02, 1.0) * whole_s)
            # It was done before, as it should be. The next begins anew, so that there is something to be killed.
            assert content(out_dir) == content(tmp_path / "whole")
            assert verify(out_dir) == []
            shutil.rmtree(out_dir)
        except subprocess.TimeoutExpired:
            killed += 1
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
    assert start(bids_dir, out_dir).wait() == 0
    assert content(out_dir).keys() == content(tmp_path / "whole").keys()
    assert content(out_dir) == content(tmp_path / "whole")
    assert verify(out_dir) == []
    assert not list(out_dir.rglob(".writing-*"))
