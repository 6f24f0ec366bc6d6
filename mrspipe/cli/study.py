"""Commands on whole studies: demo, run, check, group, report, verify."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mrspipe.cli.app import app
from mrspipe.cli.options import (
    BidsDir,
    ClusterConfig,
    ConfigOption,
    DaskAddress,
    Derivatives,
    EngineOption,
    Filters,
    OutDir,
    Participants,
    Processes,
    Quiet,
    Sessions,
    Tasks,
    Verbose,
    WorkDir,
    study_request,
    with_engine,
    with_processes,
)


@app.command(epilog="Example: mrspipe demo my_demo")
def demo(
    out: Annotated[Path, typer.Argument(help="Folder for the cohort and its results.")] = Path("mrspipe_demo"),
    recipe: Annotated[
        str, typer.Option("--recipe", help="Recipe of the cohort: a bundled one (moment_matched), or a TOML file.")
    ] = "small",
    config: Annotated[
        str, typer.Option("--config", "--config-file", help="Analysis: a bundled one, or a TOML file.")
    ] = "cocaine_nacc",
    n_procs: Processes = None,
    quiet: Quiet = False,
) -> None:
    """Make a synthetic cohort of the cocaine study, a small one by default, and analyse it."""
    from mrspipe.config import bundled, load_config
    from mrspipe.console import Console
    from mrspipe.pipeline.study import StudyRequest, analyse_study
    from mrspipe.synth.recipe import load_recipe
    from mrspipe.synth.study import write_study

    console = Console(quiet=quiet)
    bids_dir = out / "bids"
    with console.progress() as progress:
        if not bids_dir.exists():
            cohort = load_recipe(bundled("synthetic_data", recipe))
            write_study(cohort, bids_dir, progress=lambda done, total: progress("Synthetic scans", done, total))
        settings = with_processes(load_config(config), n_procs)
        summary = analyse_study(StudyRequest(bids_dir, out / "derivatives", settings), progress=progress)
    console.study(summary)
    raise typer.Exit(1 if summary.failures else 0)


@app.command(epilog="Example: mrspipe run my_study my_study/derivatives/mrspipe --config cocaine_nacc")
def run(
    bids_dir: BidsDir,
    out_dir: OutDir,
    level: Annotated[str | None, typer.Argument(help="participant or group; both without it.")] = None,
    config: ConfigOption = None,
    participant_label: Participants = None,
    session_label: Sessions = None,
    task_id: Tasks = None,
    bids_filter_file: Filters = None,
    derivatives: Derivatives = None,
    n_procs: Processes = None,
    engine: EngineOption = None,
    dask_address: DaskAddress = None,
    cluster_config: ClusterConfig = None,
    work_dir: WorkDir = None,
    relearn: Annotated[
        bool, typer.Option("--relearn", help="Learn the nuisance model of the study anew (fit.mm = study).")
    ] = False,
    stop_on_first_crash: Annotated[
        bool,
        typer.Option("--stop-on-first-crash", "--stop_on_first_crash", help="End at the first unexpected error."),
    ] = False,
    reports_only: Annotated[
        bool, typer.Option("--reports-only", "--reports_only", help="Make the pages again, and do nothing else.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "--dry_run", help="Say what would be done, and do nothing.")
    ] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Analyse a study: every scan, then the group, then the pages. A second run computes only what changed.

    Runs of different participants at the level participant may write to one OUT_DIR at the same time.
    """
    from mrspipe.console import Console
    from mrspipe.pipeline.plan import preview_study
    from mrspipe.pipeline.study import LEVELS, analyse_study

    console = Console(quiet=quiet, verbose=verbose)
    if level is not None and level not in LEVELS:
        raise typer.BadParameter(f"'{level}' is neither participant nor group.", param_hint="LEVEL")
    if reports_only:
        report(out_dir, quiet=quiet)
        return
    if level == "group" and not bids_dir.exists() and out_dir.is_dir():
        group(out_dir, config, quiet=quiet)
        return
    request = study_request(
        bids_dir, out_dir, config, participant_label, session_label, task_id, bids_filter_file, derivatives, n_procs
    )
    request = replace(
        request,
        config=with_engine(request.config, engine, dask_address, cluster_config),
        work_dir=work_dir,
        relearn=relearn,
        stop_on_first_crash=stop_on_first_crash,
    )
    if dry_run:
        console.plan(preview_study(request))
        return
    with console.progress() as progress:
        summary = analyse_study(request, levels=(level,) if level else LEVELS, progress=progress)
    console.study(summary)
    raise typer.Exit(1 if summary.failures else 0)


@app.command(epilog="Example: mrspipe check my_study")
def check(
    bids_dir: BidsDir,
    config: ConfigOption = None,
    participant_label: Participants = None,
    derivatives: Derivatives = None,
    quiet: Quiet = False,
) -> None:
    """List the scans with their water reference and anatomy, and every doubt, before anything is computed."""
    from mrspipe.console import Console
    from mrspipe.pipeline.preflight import check_study

    request = study_request(bids_dir, None, config, participant_label, None, None, None, derivatives, None)
    report = check_study(request.bids_dir, request.config, request.selection, request.derivatives)
    Console(quiet=quiet).preflight(report)
    raise typer.Exit(1 if report.failures else 0)


@app.command(epilog="Example: mrspipe group my_study/derivatives/mrspipe --config cocaine_nacc")
def group(
    out_dir: Annotated[Path, typer.Argument(help="Results of mrspipe run.", show_default=False)],
    config: ConfigOption = None,
    quiet: Quiet = False,
) -> None:
    """Compare the groups again from the tables, without fitting."""
    from mrspipe.console import Console
    from mrspipe.pipeline.again import compare_again

    Console(quiet=quiet).study(compare_again(out_dir, config))


@app.command(epilog="Example: mrspipe report my_study/derivatives/mrspipe")
def report(
    out_dir: Annotated[Path, typer.Argument(help="Results of mrspipe run.", show_default=False)],
    blind: Annotated[
        bool, typer.Option("--blind", help="Write pages on quality that do not tell the groups apart, into blind/.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Make the pages again, without computing anything."""
    from mrspipe.console import Console
    from mrspipe.pipeline.again import report_again

    console = Console(quiet=quiet)
    with console.progress() as progress:
        summary = report_again(out_dir, progress, blind=blind)
    console.pages(summary)


@app.command(epilog="Example: mrspipe verify my_study/derivatives/mrspipe")
def verify(
    out_dir: Annotated[Path, typer.Argument(help="Results of mrspipe run.", show_default=False)],
    quiet: Quiet = False,
) -> None:
    """Compare every file of a results folder with what the run wrote: missing, changed and foreign files."""
    from mrspipe.console import Console
    from mrspipe.pipeline.outputs import verify as compare_with_manifest

    problems = compare_with_manifest(out_dir)
    Console(quiet=quiet).verified(problems)
    raise typer.Exit(1 if problems else 0)
