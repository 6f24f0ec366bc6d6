"""Where scans run: in this process, in local worker processes, or on a Dask cluster.

Results come back in the order of the jobs, so a table does not depend on the number of workers. Linear algebra uses one
thread in every worker: processes are the parallelism, and threads beside them only fight for the cores.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import cache
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from mrspipe.cluster import BatchSettings, Cluster
from mrspipe.settings import Settings

Job = TypeVar("Job")
Result = TypeVar("Result")
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""
# Until a worker has loaded what it needs. Measured.
_WORKER_START_S = 1.0


class EngineSettings(Settings):
    """Where scans run, and how many at the same time. Results do not depend on it."""

    engine: Literal["serial", "local", "dask"] = "local"
    """serial: in one process; local: in worker processes of this computer; dask: on a Dask cluster."""
    n_procs: Annotated[int, Field(ge=0)] = 0
    """Worker processes; 0: one for each core this process may use, 1: no workers."""
    dask_address: str = ""
    """Address of a Dask scheduler that is running; empty: workers are started for the run."""
    memory_limit: str = ""
    """Memory of each Dask worker on this computer, such as 1GiB; empty: an equal share of what there is."""
    batch: BatchSettings | None = None
    """Batch system that the Dask workers are jobs of."""


def usable_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    engine: EngineSettings | int,
    *,
    lost: Callable[[Job], Result],
    done: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Run ``work`` on every job, with workers for this call alone: as `Workers.run`.

    Parameters
    ----------
    work : callable
    jobs : sequence
    engine : EngineSettings or int
        Or the number of local worker processes; 0: one for each core this process may use, 1: no workers.
    lost, done : callable
    """
    with Workers(engine) as workers:
        return workers.run(work, jobs, lost=lost, done=done)


def counted(progress: Progress, what: str, n_all: int) -> Callable[[object], None]:
    """Give a function for ``done`` that tells ``progress`` how many jobs are done."""
    n_done = 0

    def count(_: object) -> None:
        nonlocal n_done
        n_done += 1
        progress(what, n_done, n_all)

    return count


class Workers:
    """Workers that stay from one `run` to the next, until the ``with`` block ends.

    Parameters
    ----------
    engine : EngineSettings or int
        Or the number of local worker processes; 0: one for each core this process may use, 1: no workers.
    sparing : bool, optional
        With ``n_procs`` 0, jobs begin in this process, and workers start where what is left takes longer without them.
        A job that ends its process then ends this one.
    work_dir : Path, optional
        Where Dask workers keep what does not fit into memory.
    """

    def __init__(self, engine: EngineSettings | int, *, sparing: bool = False, work_dir: Path = Path("logs")) -> None:
        self._settings = EngineSettings(n_procs=engine) if isinstance(engine, int) else engine
        self._n_procs = 1 if self._settings.engine == "serial" else self._settings.n_procs or usable_cores()
        self._sparing = sparing and self._settings.engine == "local" and not self._settings.n_procs
        self._work_dir = work_dir
        self._pool: ProcessPoolExecutor | None = None
        self._cluster: Cluster | None = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None:
        self._close()
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

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
            Called in this process with each result as soon as it is there, in any order. What it raises stops the rest.

        Returns
        -------
        list
            One result a job, in the order of the jobs.
        """
        if len(jobs) < 2 or (self._n_procs == 1 and self._settings.engine != "dask"):
            return _run_here(work, jobs, done)
        results = dict(enumerate(self._begun_here(work, jobs, done)))
        # A worker that dies takes the jobs of others with it: those of its whole pool, which get a second one, or those
        # that a Dask worker had yet to begin, which the scheduler gives to others itself. What is not done then runs
        # alone, and only a job whose own worker dies is lost.
        run_some, n_rounds = (self._dask().run, 1) if self._settings.engine == "dask" else (self._run_pool, 2)
        for _ in range(n_rounds):
            if len(results) < len(jobs):
                run_some(work, {i: job for i, job in enumerate(jobs) if i not in results}, results, done)
        for index, job in enumerate(jobs):
            if index not in results:
                run_some(work, {index: job}, results, done)
            if index not in results:
                results[index] = _reported(lost(job), done)
        return [results[index] for index in range(len(jobs))]

    def _begun_here(
        self, work: Callable[[Job], Result], jobs: Sequence[Job], done: Callable[[Result], None]
    ) -> list[Result]:
        """Results of the first jobs, or of all, as far as they are not worth the start of workers."""
        if not self._sparing or self._pool is not None:
            return []
        # The first job loads libraries and fills caches; the second one tells how long each takes.
        first = _run_here(work, jobs[:1], done)
        start = time.perf_counter()
        second = _run_here(work, jobs[1:2], done)
        saved_s = (time.perf_counter() - start) * len(jobs[2:]) * (1 - 1 / self._n_procs)
        rest = _run_here(work, jobs[2:], done) if saved_s < _WORKER_START_S else []
        return [*first, *second, *rest]

    def _dask(self) -> Cluster:
        self._cluster = self._cluster or Cluster(
            self._n_procs,
            self._work_dir,
            address=self._settings.dask_address,
            batch=self._settings.batch,
            memory_limit=self._settings.memory_limit,
        )
        return self._cluster

    def _run_pool(
        self,
        work: Callable[[Job], Result],
        jobs: Mapping[int, Job],
        results: dict[int, Result],
        done: Callable[[Result], None],
    ) -> None:
        """Run jobs in the pool and add their results; those of a pool that broke stay away."""
        pool = self._pool = self._pool or ProcessPoolExecutor(
            self._n_procs, mp_context=get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),)
        )
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


def _run_here(work: Callable[[Job], Result], jobs: Sequence[Job], done: Callable[[Result], None]) -> list[Result]:
    results: list[Result] = []
    with ExitStack() as limits:
        n_modules = 0
        for job in jobs:
            # Libraries come with modules; to look for them is slow beside a quick job.
            if len(sys.modules) > n_modules:
                limits.enter_context(_one_thread())
                n_modules = len(sys.modules)
            results.append(_reported(work(job), done))
    return results


def _end_with(parent: int) -> None:
    """Let a worker end with the process that started it, also when that is killed and cannot say so.

    Otherwise it would wait for jobs for ever, or go on writing beside the next run.
    """
    if sys.platform == "linux":
        # PR_SET_PDEATHSIG of prctl(2): the kernel sends the signal when the parent is gone.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _single_threaded(work: Callable[[Job], Result], job: Job) -> Result:
    """Run a job in a worker, which keeps to one thread until it ends."""
    _keep_one_thread(len(sys.modules))
    return work(job)


@cache
def _keep_one_thread(_n_modules: int) -> None:
    _one_thread()


def _one_thread() -> AbstractContextManager[object]:
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits


def _reported(result: Result, done: Callable[[Result], None]) -> Result:
    done(result)
    return result
