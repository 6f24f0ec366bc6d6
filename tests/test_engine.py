import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mrspipe.engine import Workers, counted, run_jobs, usable_cores

PATHS = {"PYTHONPATH": str(Path(__file__).parents[1])}


def square(number):
    return number * number


def die(number):
    if number == 2:
        os._exit(9)
    return number


def threads(_):
    import numpy as np
    from threadpoolctl import threadpool_info

    np.eye(2) @ np.eye(2)
    return max((pool["num_threads"] for pool in threadpool_info()), default=1)


@pytest.mark.parametrize("n_procs", [0, 1, 2])
def test_results_come_in_the_order_of_the_jobs(n_procs):
    assert run_jobs(square, range(7), n_procs, lost=square) == [n * n for n in range(7)]


@pytest.mark.parametrize("n_procs", [1, 2])
def test_every_result_is_reported_once_as_it_is_done(n_procs):
    seen = []
    run_jobs(square, range(5), n_procs, lost=square, done=seen.append)
    assert sorted(seen) == [0, 1, 4, 9, 16]


def test_a_worker_that_dies_costs_its_job_alone():
    assert run_jobs(die, [1, 2, 3, 4], 2, lost=lambda number: -number) == [1, -2, 3, 4]


def process(_):
    return os.getpid()


PARENT = """
import sys, time
from mrspipe.engine import Workers

def told(number):
    import os
    # In one call: two workers write to the same place.
    os.write(1, b"%d\\n" % os.getpid())
    time.sleep(60)

if __name__ == "__main__":
    with Workers(2) as workers:
        workers.run(told, [1, 2], lost=told)
"""


def test_workers_end_with_a_run_that_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    run = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=os.environ | PATHS)
    workers = [int(run.stdout.readline()) for _ in range(2)]
    run.kill()
    run.communicate(timeout=20)
    deadline = time.monotonic() + 20
    while any(running(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(running(worker) for worker in workers)


def running(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_workers_stay_from_one_call_to_the_next():
    with Workers(2) as workers:
        first, second = (set(workers.run(process, range(4), lost=process)) for _ in range(2))
    assert os.getpid() not in first | second
    assert len(first | second) <= 2


def test_after_a_worker_died_the_next_call_has_new_ones():
    with Workers(2) as workers:
        workers.run(die, [2, 2], lost=lambda number: -number)
        assert workers.run(square, [1, 2, 3], lost=square) == [1, 4, 9]


def slow_process(_):
    time.sleep(0.02)
    return os.getpid()


@pytest.mark.parametrize(
    # With two workers 8 further jobs of 0.02 s are done 0.08 s sooner.
    ("start_s", "n_here"),
    [(0.01, 2), (10.0, 10)],
)
def test_a_sparing_run_starts_workers_where_they_are_done_first(monkeypatch, start_s, n_here):
    monkeypatch.setattr("mrspipe.engine._WORKER_START_S", start_s)
    monkeypatch.setattr("mrspipe.engine.usable_cores", lambda: 2)
    seen = []
    with Workers(0, sparing=True) as workers:
        ran_in = workers.run(slow_process, range(10), lost=process, done=seen.append)
        # Workers that are there are used.
        again = workers.run(slow_process, range(3), lost=process)
    assert [one == os.getpid() for one in ran_in] == [True] * n_here + [False] * (10 - n_here)
    assert sorted(seen) == sorted(ran_in)
    assert (os.getpid() in again) == (n_here == 10)


def test_workers_that_were_asked_for_start_at_once_also_in_a_sparing_run():
    with Workers(2, sparing=True) as workers:
        assert os.getpid() not in workers.run(process, range(3), lost=process)


def test_progress_counts_the_jobs_that_are_done():
    seen = []
    run_jobs(square, [1, 2], 1, lost=square, done=counted(lambda *told: seen.append(told), "Squares", 2))
    assert seen == [("Squares", 1, 2), ("Squares", 2, 2)]


def test_a_worker_uses_one_thread_for_linear_algebra():
    assert run_jobs(threads, [1, 2], 2, lost=threads) == [1, 1]


def test_no_jobs_give_no_results():
    assert run_jobs(square, [], 2, lost=square) == []


def test_there_is_a_core():
    assert usable_cores() >= 1
