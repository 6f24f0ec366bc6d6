"""Where scans run: in this process or in local worker processes.

Results come back in the order of the jobs, so a table does not depend on the number of workers. Linear algebra uses one
thread in every worker: processes are the parallelism, and threads beside them only fight for the cores.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
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
    """Run ``work`` on every job, with workers for this call alone: as `Workers.run`.

    Parameters
    ----------
    work : callable
    jobs : sequence
    n_procs : int
        Worker processes; 0: one for each core this process may use, 1: no workers.
    lost, done : callable
    """
    with Workers(n_procs) as workers:
        return workers.run(work, jobs, lost=lost, done=done)


def counted(progress: Callable[[str, int, int], None], what: str, n_all: int) -> Callable[[object], None]:
    """Give a function for ``done`` that tells ``progress`` how many jobs are done."""
    n_done = 0

    def count(_: object) -> None:
        nonlocal n_done
        n_done += 1
        progress(what, n_done, n_all)

    return count


class Workers:
    """Worker processes that stay from one `run` to the next, until the ``with`` block ends.

    Parameters
    ----------
    n_procs : int
        Worker processes; 0: one for each core this process may use, 1: no workers.
    """

    def __init__(self, n_procs: int) -> None:
        self._n_procs = n_procs or usable_cores()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def run(
        self,
        work: Callable[[Job], Result],
        jobs: Sequence[Job],
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
        lost : callable
            Gives the result of a job whose worker died, as when the machine runs out of memory.
        done : callable, optional
            Called in this process with each result as soon as it is there, in any order.

        Returns
        -------
        list
            One result a job, in the order of the jobs.
        """
        if min(self._n_procs, len(jobs)) <= 1:
            return [_reported(_single_threaded(work, job), done) for job in jobs]
        results: dict[int, Result] = {}
        # A worker that dies takes its pool with it, and with it the jobs of the others. They get a second pool; what
        # breaks that too runs alone, and only a job whose own worker dies is lost.
        for _ in range(2):
            if len(results) < len(jobs):
                self._run_pool(work, {i: job for i, job in enumerate(jobs) if i not in results}, results, done)
        for index, job in enumerate(jobs):
            if index not in results:
                self._run_pool(work, {index: job}, results, done)
            if index not in results:
                results[index] = _reported(lost(job), done)
        return [results[index] for index in range(len(jobs))]

    def _run_pool(
        self,
        work: Callable[[Job], Result],
        jobs: Mapping[int, Job],
        results: dict[int, Result],
        done: Callable[[Result], None],
    ) -> None:
        """Run jobs in the pool and add their results; those of a pool that broke stay away."""
        pool = self._pool = self._pool or ProcessPoolExecutor(self._n_procs, mp_context=get_context("spawn"))
        waiting: dict[Future[Result], int] = {}
        try:
            with suppress(BrokenProcessPool):
                for index, job in jobs.items():
                    waiting[pool.submit(_single_threaded, work, job)] = index
            for future in as_completed(waiting):
                with suppress(BrokenProcessPool):
                    results[waiting[future]] = _reported(future.result(), done)
        except BaseException:
            self._abandon()
            raise
        if not jobs.keys() <= results.keys():
            self._close()

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = None

    def _abandon(self) -> None:
        """Interrupted: workers are ended, because waiting for them could take as long as the study."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None
        for worker in active_children():
            worker.terminate()


def _single_threaded(work: Callable[[Job], Result], job: Job) -> Result:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return work(job)


def _reported(result: Result, done: Callable[[Result], None]) -> Result:
    done(result)
    return result
