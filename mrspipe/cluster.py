"""Workers of a Dask cluster: on this computer, at the address of a scheduler, or as jobs of a batch system.

Every worker must see the dataset and the output folder under the same paths, and have the same mrspipe; the second is
checked with every job. A job whose worker dies is given to another one.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal, TypeVar

from mrspipe.core.errors import ConfigError, InputError
from mrspipe.io.program import program_mark
from mrspipe.settings import Settings

Job = TypeVar("Job")
Result = TypeVar("Result")

# A job is given to another worker this often before it is lost.
_RETRIES = 2
_LONGEST_WAIT_S = 60
# How often a run that waits looks whether anybody works for it.
_LOOK_S = 10
_CLASSES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}


class BatchSettings(Settings):
    """Jobs of a batch system, each of which runs one worker with one thread."""

    system: Literal["slurm", "pbs", "lsf"]
    """Batch system."""
    workers: int
    """Number of jobs to ask for."""
    memory: str = "2GiB"
    """Memory of a job, with its unit."""
    walltime: str = "04:00:00"
    """Longest time of a job, as hours:minutes:seconds; scans that were cut short run again in another job."""
    queue: str = ""
    """Queue or partition; empty: the default one."""
    account: str = ""
    """Account or project that pays; empty: the default one."""
    directives: tuple[str, ...] = ()
    """More directives of the batch system, such as --constraint=avx2, without #SBATCH."""
    prologue: tuple[str, ...] = ()
    """Lines of shell before the worker starts, such as module load."""


def batch_cluster(settings: BatchSettings, work_dir: Path) -> Any:
    """Make the Dask cluster that submits jobs to a batch system; none is submitted yet.

    Parameters
    ----------
    settings : BatchSettings
    work_dir : Path
        Where the jobs write their logs and what does not fit into memory.

    Raises
    ------
    ConfigError
        dask-jobqueue is not installed.
    """
    try:
        import dask_jobqueue
    except ImportError as error:
        raise _not_installed("dask-jobqueue") from error

    account = {"slurm": "account", "pbs": "account", "lsf": "project"}[settings.system]
    # LSF counts time in hours and minutes.
    walltime = settings.walltime.rpartition(":")[0] if settings.system == "lsf" else settings.walltime
    return getattr(dask_jobqueue, _CLASSES[settings.system])(
        cores=1,
        processes=1,
        memory=settings.memory,
        walltime=walltime,
        queue=settings.queue or None,
        job_extra_directives=list(settings.directives),
        job_script_prologue=["export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1", *settings.prologue],
        log_directory=str(work_dir / "jobs"),
        local_directory=str(work_dir / "dask"),
        **{account: settings.account or None},
    )


class Cluster:
    """A connection to Dask workers.

    Parameters
    ----------
    n_workers : int
        Workers on this computer, where neither an address nor a batch system is given.
    address : str, optional
        Of a scheduler that is running, such as ``tcp://10.0.0.5:8786``.
    batch : BatchSettings, optional
        Batch system to ask for workers.
    memory_limit : str, optional
        Of each worker on this computer; a worker that needs more is ended, and started again.
    work_dir : Path
        Where workers keep what does not fit into memory.

    Raises
    ------
    ConfigError
        Dask is not installed.
    InputError
        Code ``cluster``: the scheduler does not answer, or has no worker.
    """

    def __init__(
        self,
        n_workers: int,
        work_dir: Path,
        *,
        address: str = "",
        batch: BatchSettings | None = None,
        memory_limit: str = "",
    ) -> None:
        try:
            import dask
            from distributed import Client
        except ImportError as error:
            raise _not_installed("distributed") from error
        self._open = ExitStack()
        with ExitStack() as opened:
            opened.enter_context(
                dask.config.set(
                    {
                        "distributed.scheduler.allowed-failures": _RETRIES,
                        "distributed.comm.timeouts.connect": _LONGEST_WAIT_S,
                    }
                )
            )
            started = None if address else opened.enter_context(_cluster(n_workers, work_dir, batch, memory_limit))
            target = started or address
            self._own_workers = (started, n_workers) if batch is None and started is not None else None
            self._waits_for_batch = batch is not None
            try:
                self._client = opened.enter_context(Client(target, timeout=_LONGEST_WAIT_S, set_as_default=False))
                if batch is None:
                    self._client.wait_for_workers(1, timeout=_LONGEST_WAIT_S)
            except (OSError, TimeoutError, ValueError) as error:
                raise InputError(
                    f"The scheduler does not answer, or has no worker ({' '.join(str(error).split())}).",
                    where=address or "Dask",
                    cure="Start dask scheduler and dask worker, and give the address that the scheduler prints.",
                    code="cluster",
                ) from error
            self._open = opened.pop_all()

    def run(
        self,
        work: Callable[[Job], Result],
        jobs: Mapping[int, Job],
        results: dict[int, Result],
        done: Callable[[Result], None],
    ) -> None:
        """Run jobs and add their results; those whose workers died stay away.

        The scheduler blames every job that was given to a worker which died, also those that had yet to begin.

        Raises
        ------
        InputError
            Code ``cluster``: the scheduler went away, or has no worker left.
        ConfigError
            Code ``cluster-version``: a worker has another mrspipe.
        """
        run_one = partial(_on_worker, os.getcwd(), program_mark(), work)
        futures = self._client.map(run_one, list(jobs.values()), pure=False)
        index_of = {future.key: index for future, index in zip(futures, jobs, strict=True)}
        try:
            for key, result in self._as_they_end(futures):
                results[index_of[key]] = result
                done(result)
        finally:
            self._client.cancel(futures)

    def _as_they_end(self, futures: Iterable[Any]) -> Iterator[tuple[str, Any]]:
        """Give key and result of futures as they end, and see to it that there are workers for the rest."""
        from distributed import as_completed

        waiting, last_seen = set(futures), monotonic()
        while waiting:
            with suppress(TimeoutError):
                for future in as_completed(tuple(waiting), loop=self._client.loop, timeout=_LOOK_S):
                    outcome = self._outcome(future)
                    waiting.discard(future)
                    yield from ((future.key, result) for result in outcome)
            try:
                n_workers = len(self._client.nthreads()) if waiting else 1
            except OSError as error:
                raise self._broken("went away", "Run") from error
            if n_workers:
                last_seen = monotonic()
            elif self._own_workers is not None:
                self._replace_workers(*self._own_workers)
            elif not self._waits_for_batch and monotonic() - last_seen > _LONGEST_WAIT_S:
                raise self._broken("has no worker left", "Start dask worker again, and run")

    def _outcome(self, future: Any) -> tuple[Any, ...]:
        """Result of a future that ended; nothing where its workers died.

        Raises
        ------
        TimeoutError
            It runs again, because its worker went away with the result.
        InputError
            Code ``cluster``: the scheduler went away.
        Exception
            What the job raised.
        """
        from distributed import CancelledError, KilledWorker
        from distributed.comm.core import CommClosedError

        try:
            return (future.result(timeout=_LOOK_S),)
        except KilledWorker:
            return ()
        except (CancelledError, CommClosedError) as error:
            # The second where the scheduler goes while it is asked for the result.
            raise self._broken("went away", "Run") from error
        except TimeoutError as error:
            if future.status == "error":
                # The job's own, which must not pass for a result that is not there yet.
                raise OSError(str(error)) from error
            raise

    def _broken(self, what: str, cure: str) -> InputError:
        return InputError(
            f"The scheduler of the cluster {what}.",
            where=str(self._client.scheduler.address if self._client.scheduler else "Dask"),
            cure=f"{cure} the same command again to go on.",
            code="cluster",
        )

    def _replace_workers(self, cluster: Any, n_workers: int) -> None:
        """Start workers anew: Dask does not restart one that died before it had started in full."""
        cluster.scale(0)
        deadline = monotonic() + _LONGEST_WAIT_S
        while cluster.workers and monotonic() < deadline:
            sleep(0.1)
        cluster.scale(n_workers)
        try:
            self._client.wait_for_workers(1, timeout=_LONGEST_WAIT_S)
        except TimeoutError as error:
            raise self._broken("has no worker left", "Free memory on this computer, and run") from error

    def close(self) -> None:
        """Leave the scheduler; workers that were started here end."""
        self._open.close()


def _cluster(n_workers: int, work_dir: Path, batch: BatchSettings | None, memory_limit: str) -> Any:
    from distributed import LocalCluster

    if batch is not None:
        jobs = batch_cluster(batch, work_dir)
        jobs.scale(jobs=batch.workers)
        return jobs
    return LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=True,
        memory_limit=memory_limit or "auto",
        local_directory=str(work_dir / "dask"),
        dashboard_address=None,
        silence_logs=50,
    )


def _on_worker(folder: str, mark: str, work: Callable[[Job], Result], job: Job) -> Result:
    """Run a job in a worker, which keeps to one thread and resolves relative paths as the run does."""
    from threadpoolctl import threadpool_limits

    if program_mark() != mark:
        raise ConfigError(
            "A worker of the cluster has another version of mrspipe than this run.",
            where="Dask",
            cure="Start the workers in the environment of this run.",
            code="cluster-version",
        )
    os.chdir(folder)
    with threadpool_limits(1):
        return work(job)


def _not_installed(name: str) -> ConfigError:
    return ConfigError(
        f"{name} is not installed.", where="engine", cure='Run pip install "mrspipe[cluster]".', code="not-installed"
    )
