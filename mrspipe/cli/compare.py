"""The command that compares a study with other programs: compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrspipe.cli.app import app
from mrspipe.cli.options import OutDir, Processes, Quiet

if TYPE_CHECKING:
    from mrspipe.console import Console
    from mrspipe.pipeline.compare import CompareSummary

_MOST_LINES = 5


@app.command(epilog="Example: mrspipe compare my_study/derivatives/mrspipe --with lcmodel=lcmodel_results")
def compare(
    out_dir: OutDir,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", help="lcmodel=DIR, osprey=DIR, fslmrs=DIR or tsv=TABLE; may be repeated."),
    ] = None,
    match: Annotated[
        Path | None, typer.Option("--match", help="Table of file and BIDS labels, where paths do not name the scans.")
    ] = None,
    run_lcmodel: Annotated[
        Path | None, typer.Option("--run-lcmodel", help="LCModel's executable, to run on every scan first.")
    ] = None,
    timeout_s: Annotated[float, typer.Option("--timeout-s", min=1, help="For one spectrum in LCModel, in s.")] = 600.0,
    n_procs: Processes = None,
    quiet: Quiet = False,
) -> None:
    """Compare a study's estimates with those of LCModel, Osprey, FSL-MRS or any table."""
    from mrspipe.console import Console
    from mrspipe.pipeline.compare import compare_engines

    console = Console(quiet=quiet)
    sources = [_source(text) for text in with_ or ()]
    with console.progress() as progress:
        summary = compare_engines(
            out_dir,
            sources,
            match=match,
            lcmodel=run_lcmodel,
            timeout_s=timeout_s,
            n_procs=n_procs,
            progress=progress,
        )
    _say(console, summary)
    raise typer.Exit(1 if summary.failures else 0)


def _source(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator or not path:
        raise typer.BadParameter(f"'{text}' is not NAME=PATH, such as lcmodel=results.", param_hint="--with")
    return name.strip().lower(), Path(path)


def _say(console: "Console", summary: "CompareSummary") -> None:
    for row in summary.agreement:
        if (row["metabolite"], row["quantity"]) in summary.main and "difference" in row:
            console.say(
                f"{row['engine']}: {row['metabolite']} ({row['quantity']}), {row['n']} scans: difference "
                f"{row['difference']:.3g}, limits of agreement {row['limit_low']:.3g} to {row['limit_high']:.3g}, "
                f"ICC(2,1) {row['icc_2_1']:.2f}, ICC(3,1) {row['icc_3_1']:.2f}"
            )
    for row in summary.unmatched[:_MOST_LINES]:
        console.say(f"Not compared ({row['engine']}): {row.get('file') or row.get('scan')}: {row['reason']}")
    if len(summary.unmatched) > _MOST_LINES:
        console.say(f"... and {len(summary.unmatched) - _MOST_LINES} more, in compare/unmatched.tsv.")
    console.failures(summary.failures)
    console.say(f"Report: {summary.page}")
