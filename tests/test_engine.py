import os

import pytest

from mrspipe.engine import run_jobs, usable_cores


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


def test_a_worker_uses_one_thread_for_linear_algebra():
    assert run_jobs(threads, [1, 2], 2, lost=threads) == [1, 1]


def test_no_jobs_give_no_results():
    assert run_jobs(square, [], 2, lost=square) == []


def test_there_is_a_core():
    assert usable_cores() >= 1
