"""Arguments and options that several commands take, and what they stand for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mrspipe.config import StudyConfig
    from mrspipe.pipeline.study import StudyRequest

BidsDir = Annotated[Path, typer.Argument(help="Root of the BIDS dataset.", show_default=False)]
OutDir = Annotated[Path, typer.Argument(help="Where the results are written.", show_default=False)]
ConfigOption = Annotated[
    str | None,
    typer.Option("--config", "--config-file", help="TOML file, or the name of a bundled one (cocaine_nacc)."),
]
Participants = Annotated[
    list[str] | None,
    typer.Option("--participant-label", "--participant_label", help="Only this participant; may be repeated."),
]
Sessions = Annotated[
    list[str] | None, typer.Option("--session-label", "--session_label", help="Only this session; may be repeated.")
]
Tasks = Annotated[list[str] | None, typer.Option("--task-id", "--task_id", help="Only this task; may be repeated.")]
Filters = Annotated[
    Path | None, typer.Option("--bids-filter-file", "--bids_filter_file", help="JSON with entities to select.")
]
Derivatives = Annotated[
    list[str] | None,
    typer.Option(
        "-d",
        "--derivatives",
        help="NAME=PATH of tissue maps or labels (fMRIPrep, SPM, FAST, FreeSurfer, SynthSeg); may be repeated.",
    ),
]
Processes = Annotated[
    int | None,
    typer.Option("--n-procs", "--nprocs", "--n_procs", min=0, help="Worker processes; 0: one for each core."),
]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="Where scans run: serial, local (processes), or dask.")
]
DaskAddress = Annotated[
    str | None,
    typer.Option("--dask-address", "--dask_address", help="Address of a running Dask scheduler; chooses dask."),
]
ClusterConfig = Annotated[
    Path | None,
    typer.Option(
        "--cluster-config",
        "--cluster_config",
        help="TOML that asks a batch system (slurm, pbs, lsf) for workers; chooses dask.",
    ),
]
WorkDir = Annotated[
    Path | None,
    typer.Option("-w", "--work-dir", "--work_dir", help="For what is not a result; by default OUT_DIR/logs."),
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Also say what each scan and step took.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]


def with_processes(config: "StudyConfig", n_procs: int | None) -> "StudyConfig":
    """Set the number of worker processes, where the command line names one."""
    from mrspipe.config import with_settings

    return config if n_procs is None else with_settings(config, "engine", n_procs=n_procs)


def with_engine(
    config: "StudyConfig", engine: str | None, address: str | None, cluster_config: Path | None
) -> "StudyConfig":
    """Set where scans run, where the command line says so."""
    from mrspipe.config import with_settings
    from mrspipe.settings import read_toml

    changes: dict[str, object] = {}
    if address is not None or cluster_config is not None:
        changes["engine"] = "dask"
    if engine is not None:
        changes["engine"] = engine
    if address is not None:
        changes["dask_address"] = address
    if cluster_config is not None:
        changes["batch"] = read_toml(cluster_config)
    return with_settings(config, "engine", **changes) if changes else config


def study_request(
    bids_dir: Path,
    out_dir: Path | None,
    config: str | None,
    participants: list[str] | None,
    sessions: list[str] | None,
    tasks: list[str] | None,
    filter_file: Path | None,
    derivatives: list[str] | None,
    n_procs: int | None,
) -> "StudyRequest":
    """Give the study that a command line names."""
    from mrspipe.config import load_config
    from mrspipe.io.bids import Selection
    from mrspipe.io.tables import read_json
    from mrspipe.pipeline.study import StudyRequest

    return StudyRequest(
        bids_dir=bids_dir,
        out_dir=out_dir or bids_dir / "derivatives" / "mrspipe",
        config=with_processes(load_config(config), n_procs),
        selection=Selection(
            tuple(participants or ()),
            tuple(sessions or ()),
            tuple(tasks or ()),
            read_json(filter_file) if filter_file else {},
        ),
        derivatives=dict(_named_path(text) for text in derivatives or ()),
    )


def _named_path(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator:
        return Path(text).name, Path(text)
    return name, Path(path)
