"""The engine on Dask workers, with a real scheduler and real workers that listen on this computer only."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from study_helpers import request

from mrspipe import cluster
from mrspipe.cluster import BatchSettings, batch_cluster
from mrspipe.config import with_settings
from mrspipe.core.errors import ConfigError, InputError
from mrspipe.engine import EngineSettings, Workers
from mrspipe.pipeline.study import analyse_study

pytest.importorskip("distributed", reason="the extra [cluster] is not installed")
pytest.importorskip("dask_jobqueue", reason="the extra [cluster] is not installed")
# Libraries of the cluster leave sockets to the collector.
pytestmark = pytest.mark.filterwarnings("default")

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}


def square(number):
    return number * number


def slow_square(number):
    time.sleep(0.3)
    return number * number


def negative(number):
    return -number


def die(number):
    if number == 2:
        os._exit(9)
    return number


def folder(_):
    return os.getcwd()


def time_out(_):
    raise TimeoutError("the disk does not answer")


def dask(*words):
    command = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def scheduler(tmp_path):
    """Address of a scheduler with two workers, and the processes: workers first, then the scheduler."""
    note = tmp_path / "scheduler.json"
    started = [dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(note))]
    options = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
    places = [("--local-directory", str(tmp_path / f"worker{n}")) for n in range(2)]
    started += [dask("worker", "--scheduler-file", str(note), *options, *place) for place in places]
    deadline = time.monotonic() + 60
    while not note.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    yield json.loads(note.read_text())["address"], [*started[1:], started[0]]
    for process in started:
        process.kill()
        process.wait(timeout=30)


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_no_result(scheduler):
    address, workers = scheduler
    seen = []

    def kill_one(result):
        seen.append(result)
        if len(seen) == 2:
            workers[0].kill()

    with Workers(EngineSettings(engine="dask", dask_address=address)) as pool:
        assert pool.run(square, range(5), lost=negative) == [n * n for n in range(5)]
        assert pool.run(slow_square, range(8), lost=negative, done=kill_one) == [n * n for n in range(8)]
        assert sorted(seen) == [n * n for n in range(8)]
        assert set(pool.run(folder, range(2), lost=negative)) == {os.getcwd()}
        with pytest.raises(OSError, match="the disk does not answer"):
            pool.run(time_out, range(2), lost=negative)


@pytest.mark.slow
@pytest.mark.parametrize("n_procs", [1, 2])
def test_a_job_that_takes_its_workers_with_it_is_lost_and_no_other(n_procs, tmp_path, monkeypatch):
    # With one worker, the jobs behind the deadly one wait on the worker that dies, each time that it is tried.
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    settings = EngineSettings(engine="dask", n_procs=n_procs, memory_limit="400MiB")
    with Workers(settings, work_dir=tmp_path) as pool:
        assert pool.run(die, [2, 1, 3, 4], lost=negative) == [-2, 1, 3, 4]


@pytest.mark.slow
def test_workers_that_dask_does_not_restart_are_replaced(tmp_path, monkeypatch):
    # As when a worker dies before it has started in full: its nanny leaves it at that.
    async def leave_it(self, exitcode):
        await self._unregister()

    monkeypatch.setattr("distributed.nanny.Nanny._on_worker_exit", leave_it)
    monkeypatch.setattr(cluster, "_LOOK_S", 0.5)
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    with Workers(EngineSettings(engine="dask", n_procs=2), work_dir=tmp_path) as pool:
        assert pool.run(die, [2, 1, 3, 4], lost=negative) == [-2, 1, 3, 4]


@pytest.mark.slow
def test_a_result_that_its_worker_takes_along_before_it_is_read_is_made_again(scheduler):
    from distributed import Client

    address, workers = scheduler
    seen = []

    def kill_one_when_all_is_done(result):
        seen.append(result)
        if len(seen) == 1:
            with Client(address, set_as_default=False) as looking:
                while any(looking.processing().values()):
                    time.sleep(0.05)
                workers[0].kill()
                while len(looking.nthreads()) > 1:
                    time.sleep(0.02)

    with Workers(EngineSettings(engine="dask", dask_address=address)) as pool:
        jobs = range(8)
        assert pool.run(slow_square, jobs, lost=negative, done=kill_one_when_all_is_done) == [n * n for n in jobs]
    assert sorted(seen) == [n * n for n in jobs]


@pytest.mark.slow
def test_a_scheduler_whose_last_worker_went_away_is_named(scheduler, monkeypatch):
    monkeypatch.setattr(cluster, "_LOOK_S", 0.2)
    monkeypatch.setattr(cluster, "_LONGEST_WAIT_S", 2)
    address, workers = scheduler

    def kill_all(_):
        for worker in workers[:2]:
            worker.kill()

    with (
        Workers(EngineSettings(engine="dask", dask_address=address)) as pool,
        pytest.raises(InputError, match="has no worker left"),
    ):
        pool.run(slow_square, range(12), lost=negative, done=kill_all)


@pytest.mark.slow
def test_a_scheduler_that_went_away_is_named(scheduler, monkeypatch):
    monkeypatch.setattr(cluster, "_LONGEST_WAIT_S", 2)
    address, processes = scheduler
    with (
        pytest.raises(InputError, match=f"{address}: The scheduler of the cluster went away"),
        Workers(EngineSettings(engine="dask", dask_address=address)) as pool,
    ):
        pool.run(slow_square, range(12), lost=negative, done=lambda _: processes[2].kill())


@pytest.mark.slow
def test_a_scheduler_that_goes_while_it_is_asked_is_named(scheduler, monkeypatch):
    from distributed import Future
    from distributed.comm.core import CommClosedError

    def reset(*_args, **_options):
        raise CommClosedError("in <TCP (closed)>: Connection reset by peer")

    monkeypatch.setattr(Future, "result", reset)
    with (
        pytest.raises(InputError, match="The scheduler of the cluster went away"),
        Workers(EngineSettings(engine="dask", dask_address=scheduler[0])) as pool,
    ):
        pool.run(square, range(2), lost=negative)


@pytest.mark.slow
def test_a_study_on_a_cluster_gives_the_same_bytes(scheduler, pairs_study, analysed, tmp_path):
    asked = request(pairs_study, tmp_path / "out", "two_groups")
    config = with_settings(asked.config, "engine", engine="dask", dask_address=scheduler[0])
    assert analyse_study(replace(asked, config=config)).failures == ()
    for path in (p for p in analysed.rglob("*") if p.is_file() and "logs" not in p.parts):
        name = path.relative_to(analysed)
        if path.name not in {"provenance.json", "dataset_description.json"}:
            assert (asked.out_dir / name).read_bytes() == path.read_bytes(), name


@pytest.mark.slow
def test_workers_of_another_version_are_refused(scheduler, monkeypatch):
    monkeypatch.setattr(cluster, "program_mark", lambda: "another")
    with (
        Workers(EngineSettings(engine="dask", dask_address=scheduler[0])) as pool,
        pytest.raises(ConfigError, match="another version of mrspipe"),
    ):
        pool.run(square, range(2), lost=negative)


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "_LONGEST_WAIT_S", 1)
    settings = EngineSettings(engine="dask", dask_address="tcp://127.0.0.1:9")
    with Workers(settings) as pool, pytest.raises(InputError, match=r"127\.0\.0\.1:9: The scheduler does not answer"):
        pool.run(square, range(2), lost=negative)


def test_without_dask_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with Workers(EngineSettings(engine="dask")) as pool, pytest.raises(ConfigError, match=r"mrspipe\[cluster\]"):
        pool.run(square, range(2), lost=negative)


@pytest.mark.parametrize(
    ("system", "lines"),
    [
        ("slurm", ("#SBATCH -A lab", "#SBATCH -p short", "#SBATCH -t 02:30:00", "#SBATCH --mem=3G")),
        ("pbs", ("#PBS -A lab", "#PBS -q short", "#PBS -l walltime=02:30:00")),
        ("lsf", ('#BSUB -P "lab"', "#BSUB -q short", "#BSUB -W 02:30")),
    ],
)
def test_the_job_script_asks_for_what_the_settings_say(tmp_path, system, lines):
    settings = BatchSettings(
        system=system, workers=3, memory="3GiB", walltime="02:30:00", queue="short", account="lab",
        directives=("--constraint=avx2",), prologue=("module load python",),
    )  # fmt: skip
    with batch_cluster(settings, tmp_path) as jobs:
        script = jobs.job_script()
    assert [line for line in lines if line not in script] == []
    assert "--constraint=avx2" in script
    assert "module load python" in script
    assert "--nthreads 1" in script


def test_one_process_runs_here_whatever_else_is_asked_for():
    with Workers(EngineSettings(engine="serial", n_procs=4)) as pool:
        assert set(pool.run(process, range(3), lost=negative)) == {os.getpid()}


def process(_):
    return os.getpid()
