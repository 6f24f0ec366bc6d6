"""Commands on whole studies: demo, run, check, group, report."""

from pathlib import Path
from typing import Annotated

import typer

from mrspipe.cli.app import app
from mrspipe.cli.options import (
    BidsDir,
    ConfigOption,
    Derivatives,
    Filters,
    OutDir,
    Participants,
    Processes,
    Quiet,
    Sessions,
    Tasks,
    study_request,
    with_processes,
)


@app.command(epilog="Example: mrspipe demo my_demo")
def demo(
    out: Annotated[Path, typer.Argument(help="Folder for the cohort and its results.")] = Path("mrspipe_demo"),
    n_procs: Processes = None,
    quiet: Quiet = False,
) -> None:
    """Make a small synthetic cohort of the cocaine study and analyse it."""
    from mrspipe.config import bundled, load_config
    from mrspipe.console import Console
    from mrspipe.pipeline.study import StudyRequest, analyse_study
    from mrspipe.synth.recipe import load_recipe
    from mrspipe.synth.study import write_study

    console = Console(quiet=quiet)
    bids_dir = out / "bids"
    with console.progress() as progress:
        if not bids_dir.exists():
            recipe = load_recipe(bundled("synthetic_data", "small"))
            write_study(recipe, bids_dir, progress=lambda done, total: progress("Synthetic scans", done, total))
        config = with_processes(load_config("cocaine_nacc"), n_procs)
        summary = analyse_study(StudyRequest(bids_dir, out / "derivatives", config), progress=progress)
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Analyse a study: every scan, then the group, then the pages. A second run computes only what changed."""
    from mrspipe.console import Console
    from mrspipe.pipeline.study import LEVELS, analyse_study, find_refused, plan_study

    console = Console(quiet=quiet)
    if level is not None and level not in LEVELS:
        raise typer.BadParameter(f"'{level}' is neither participant nor group.", param_hint="LEVEL")
    request = study_request(
        bids_dir, out_dir, config, participant_label, session_label, task_id, bids_filter_file, derivatives, n_procs
    )
    if dry_run:
        console.plan(plan_study(request, find_refused(request)))
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
    from mrspipe.pipeline.study import compare_again

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
    from mrspipe.pipeline.study import report_again

    console = Console(quiet=quiet)
    with console.progress() as progress:
        page = report_again(out_dir, progress, blind=blind)
    console.say(f"Report: {page}")
