"""Where scans run: in this process or in local worker processes.

Results come back in the order of the jobs, so a table does not depend on the number of workers. Linear algebra uses one
thread in every worker: processes are the parallelism, and threads beside them only fight for the cores.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    n_procs: int,
    *,
    lost: Callable[[Job], Result],
    done: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Run ``work`` on every job.

    Parameters
    ----------
    work : callable
        A function of a module; it returns its failures instead of raising them.
    jobs : sequence
    n_procs : int
        Worker processes; 0: one for each core this process may use, 1: no workers.
    lost : callable
        Gives the result of a job whose worker died, as when the machine runs out of memory.
    done : callable, optional
        Called in this process with each result as soon as it is there, in any order.

    Returns
    -------
    list
        One result a job, in the order of the jobs.
    """
    n_workers = min(n_procs or usable_cores(), len(jobs))
    if n_workers <= 1:
        return [_reported(_single_threaded(work, job), done) for job in jobs]
    results: dict[int, Result] = {}
    # A worker that dies takes its pool with it, and with it the jobs of the others. They get a second pool; what breaks
    # that too runs alone, and only a job whose own worker dies is lost.
    for workers in (n_workers, n_workers):
        _run_pool(work, {i: job for i, job in enumerate(jobs) if i not in results}, workers, results, done)
    for index, job in enumerate(jobs):
        if index not in results:
            _run_pool(work, {index: job}, 1, results, done)
        if index not in results:
            results[index] = _reported(lost(job), done)
    return [results[index] for index in range(len(jobs))]


def _run_pool(
    work: Callable[[Job], Result],
    jobs: Mapping[int, Job],
    n_workers: int,
    results: dict[int, Result],
    done: Callable[[Result], None],
) -> None:
    """Run jobs in a pool and add their results; those of a pool that broke stay away."""
    if not jobs:
        return
    pool = ProcessPoolExecutor(min(n_workers, len(jobs)), mp_context=get_context("spawn"))
    try:
        waiting = {pool.submit(_single_threaded, work, job): index for index, job in jobs.items()}
        for future in as_completed(waiting):
            try:
                results[waiting[future]] = _reported(future.result(), done)
            except BrokenProcessPool:
                continue
    except BaseException:
        # Interrupted: workers are ended, because waiting for them could take as long as the study.
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in active_children():
            worker.terminate()
        raise
    pool.shutdown()


def _single_threaded(work: Callable[[Job], Result], job: Job) -> Result:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return work(job)


def _reported(result: Result, done: Callable[[Result], None]) -> Result:
    done(result)
    return result
