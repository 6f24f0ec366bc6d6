"""What the engine costs: scans a second, its share of the time, memory of a worker, and planning of thousands of scans.

``python tests/benchmarks/engine.py scans --n 8`` analyses a small synthetic study with one and two processes.
``python tests/benchmarks/engine.py scheduler --n 2000`` times jobs that do nothing, in local processes and on Dask.
``python tests/benchmarks/engine.py plan --n 10000`` clones an analysed scan and times finding, planning, collecting.
The machine should have nothing else to do; the load is printed.
"""

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).parents[1]))

from study_helpers import make_study, request

from mrspipe.engine import EngineSettings, Workers
from mrspipe.io.bids import Selection, find_scans
from mrspipe.io.digests import hash_file
from mrspipe.io.file_hashes import FileHashes
from mrspipe.pipeline.marks import Marks
from mrspipe.pipeline.outputs import Outputs
from mrspipe.pipeline.study import analyse_study
from mrspipe.pipeline.tables import collect


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def timed(what: str, n: int) -> Iterator[None]:
    """Print wall and processor time of a block, of this process, and the processor time per item."""
    wall, cpu = perf_counter(), process_time()
    yield
    wall, cpu = perf_counter() - wall, process_time() - cpu
    say(f"{what:44s} {wall:8.2f} s wall {cpu:8.2f} s processor {1e3 * cpu / n:9.3f} ms each")


def scans(n: int, folder: Path) -> None:
    """Scans a second with one and two processes, and the share of the time that is not work on a scan."""
    bids_dir = make_study(folder / "bids", "two_groups", n // 2)
    for n_procs in (1, 2):
        asked = request(bids_dir, folder / f"out{n_procs}", "two_groups", n_procs=n_procs)
        begun, cpu = perf_counter(), _processor_s()
        summary = analyse_study(asked, levels=("participant",))
        wall, cpu = perf_counter() - begun, _processor_s() - cpu
        work = sum(seconds for name, seconds in summary.seconds.items() if name.startswith("sub-"))
        stage = summary.seconds["scans"]
        say(
            f"{n_procs} processes: {n / stage:.2f} scans/s; work on a scan {work / n:.2f} s; "
            f"{100 * (1 - work / (n_procs * stage)):.0f} % of the processes' time is start, transfer and waiting; "
            f"checks {summary.seconds['checks']:.1f} s, pages {summary.seconds['pages']:.1f} s, all {wall:.1f} s wall, "
            f"{cpu / n:.2f} s processor a scan"
        )
    # Linux counts in kB. The largest child so far: a worker that analysed, checked and drew.
    say(f"largest worker: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB")
    size = sum(path.stat().st_size for path in (folder / "out1").rglob("*") if path.is_file())
    n_files = sum(path.is_file() for path in (folder / "out1").rglob("*"))
    say(f"output: {size / n / 1e6:.2f} MB and {n_files / n:.0f} files a scan")
    begun = perf_counter()
    analyse_study(request(bids_dir, folder / "out1", "two_groups", n_procs=1), levels=("participant",))
    say(f"again, with nothing to do: {perf_counter() - begun:.2f} s")


def _processor_s() -> float:
    """Processor time of this process and of its children that have ended."""
    return process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def nothing(number: int) -> int:
    """Give the number."""
    return number


def scheduler(n: int, folder: Path) -> None:
    """Cost of a job that does nothing."""
    for name in ("local", "dask"):
        with Workers(EngineSettings(engine=name, n_procs=2), work_dir=folder) as workers:
            with timed(f"{name}: start of two workers", 1):
                workers.run(nothing, range(2), lost=nothing)
            with timed(f"{name}: {n} empty jobs", n):
                workers.run(nothing, range(n), lost=nothing)


def plan(n: int, folder: Path) -> None:
    """Finding, planning and collecting of many scans, all of them clones of one."""
    bids_dir = make_study(folder / "one", "two_groups", 1)
    asked = replace(request(bids_dir, folder / "out", "two_groups"), selection=Selection(participants=("01",)))
    analyse_study(asked, levels=("participant",))
    many = replace(asked, bids_dir=folder / "many", out_dir=folder / "results", selection=Selection())
    say(f"cloning {n} scans")
    labels = [f"{i:05}" for i in range(n)]
    shutil.copy(bids_dir / "dataset_description.json", _made(many.bids_dir))
    (many.bids_dir / "participants.tsv").write_text(
        "participant_id\tgroup\n" + "".join(f"sub-{label}\tHC\n" for label in labels)
    )
    _clone(bids_dir, many.bids_dir, labels, lambda path: "sub-01" in path.parts, sidecars=True)
    _clone(asked.out_dir, many.out_dir, labels, lambda path: path.parts[0] == "sub-01", sidecars=False)
    with timed("find the scans", n):
        files = find_scans(many.bids_dir)
    hashes = FileHashes(folder / "memory.json")
    marks = Marks(many.config, hashes)
    with timed("fingerprints, every file read", n):
        expected = {scan.key.label: marks.scan(scan, None) for scan in files.scans}
    outputs = sorted((asked.out_dir / "sub-01").rglob("*.*"))
    digests = {path.relative_to(asked.out_dir).as_posix(): hash_file(path) for path in outputs}
    folder_of_entries = _made(many.out_dir / "logs" / "manifest")
    for label in labels:
        renamed = {name.replace("sub-01", f"sub-{label}"): digest for name, digest in digests.items()}
        entry = {"fingerprint": expected[f"sub-{label}"], "outputs": renamed, "inputs": {}}
        (folder_of_entries / f"sub-{label}.json").write_text(json.dumps(entry))
    results = Outputs(many.out_dir, hashes)
    for memory in ("outputs read", "outputs remembered"):
        with timed(f"which scans are done, {memory}", n):
            manifest = results.manifest()
            done = [s for s in files.scans if results.is_current(manifest, s.key.label, marks.scan(s, None))]
        assert len(done) == n
    with timed("write the memory of hashes", n):
        hashes.save()
    with timed("read it, and fingerprints from it", n):
        fresh = Marks(many.config, FileHashes(folder / "memory.json"))
        assert [fresh.scan(scan, None) for scan in files.scans] == list(expected.values())
    with timed("collect the tables", n):
        collect(many.out_dir, many.bids_dir, done)
    say(f"this process at its largest: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _clone(source: Path, target: Path, labels: list[str], wanted: Callable[[Path], bool], *, sidecars: bool) -> None:
    """Copy the files of sub-01 for every label; with ``sidecars``, JSON files name the subject."""
    files = [path for path in source.rglob("*") if path.is_file() and wanted(path.relative_to(source))]
    content = {path.relative_to(source).as_posix(): path.read_bytes() for path in files}
    for label in labels:
        for name, data in content.items():
            path = target / name.replace("sub-01", f"sub-{label}")
            path.parent.mkdir(parents=True, exist_ok=True)
            rename = sidecars and name.endswith(".json")
            path.write_bytes(data.replace(b"sub-01", f"sub-{label}".encode()) if rename else data)


def main() -> None:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("scans", "scheduler", "plan"))
    parser.add_argument("--n", type=int, required=True)
    given = parser.parse_args()
    say(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as folder:
        {"scans": scans, "scheduler": scheduler, "plan": plan}[given.what](given.n, Path(folder))


if __name__ == "__main__":
    main()
