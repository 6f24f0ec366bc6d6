"""The command that makes a BIDS dataset of scanners' files: import."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrspipe.cli.app import app
from mrspipe.cli.options import Quiet

if TYPE_CHECKING:
    from mrspipe.io.vendor import ImportOptions

_IDENTITY_WARNING = (
    "Warning: names, dates, ids, institutions, serial numbers and file names are kept (--keep-identity). "
    "Do not share this dataset."
)


@app.command(
    "import",
    epilog="Example: mrspipe import scanner_export my_study --map mapping.tsv. "
    "Example: mrspipe import scan.SDAT my_study --sub 01 --ref water.SDAT",
)
def import_(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="SOURCE_DIR and BIDS_DIR with --map; SOURCE_DIR with --draft; else vendor files or a folder of one "
            "scan, then BIDS_DIR.",
            metavar="SOURCE... BIDS_DIR",
        ),
    ],
    map_: Annotated[
        Path | None, typer.Option("--map", help="Table of all scans: file, participant_id, session, ...")
    ] = None,
    draft: Annotated[
        Path | None, typer.Option("--draft", help="Write a mapping of what is found, to complete.")
    ] = None,
    sub: Annotated[str | None, typer.Option("--sub", help="Participant label of one scan.")] = None,
    ses: Annotated[str | None, typer.Option("--ses", help="Session label.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="Task label.")] = None,
    acq: Annotated[str | None, typer.Option("--acq", help="Acquisition label.")] = None,
    run_: Annotated[str | None, typer.Option("--run", help="Run number.")] = None,
    inv: Annotated[str | None, typer.Option("--inv", help="Number of an inversion scan (metabolites nulled).")] = None,
    ref: Annotated[Path | None, typer.Option("--ref", help="Water reference.")] = None,
    t1w: Annotated[Path | None, typer.Option("--t1w", help="T1-weighted image (NIfTI).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files with other content.")] = False,
    keep_identity: Annotated[
        bool, typer.Option("--keep-identity", help="Keep names, dates, ids and places in the headers.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made, and write nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Convert vendor files to BIDS with complete sidecars, without what could identify a person."""
    from mrspipe.io.vendor import ImportOptions

    options = ImportOptions(overwrite=overwrite, keep_identity=keep_identity, dry_run=dry_run)
    if sum(given is not None for given in (map_, draft, sub)) != 1:
        raise typer.BadParameter("Give one of --map (a folder of scans), --draft (a first mapping), --sub (one scan).")
    if draft is not None:
        _draft(sources, draft, quiet=quiet)
        return
    if len(sources) < 2 or (map_ is not None and len(sources) > 2):
        raise typer.BadParameter(
            "Give the source folder, then the BIDS folder."
            if map_ is not None
            else "Give the vendor files first and the BIDS folder last.",
            param_hint="SOURCE... BIDS_DIR",
        )
    if keep_identity:
        typer.echo(_IDENTITY_WARNING, err=True)
    if map_ is not None:
        _folder(sources[0], sources[1], map_, options, quiet=quiet)
        return
    labels = {"sub": sub, "ses": ses, "task": task, "acq": acq, "run": run_, "inv": inv}
    _one_scan(sources, labels, ref, t1w, options, quiet=quiet)


def _one_scan(
    sources: list[Path],
    labels: dict[str, str | None],
    ref: Path | None,
    t1w: Path | None,
    options: "ImportOptions",
    *,
    quiet: bool,
) -> None:
    from mrspipe.console import Console
    from mrspipe.core.signal import ScanKey
    from mrspipe.io.vendor import import_files

    bare = {name: value.removeprefix(f"{name}-") for name, value in labels.items() if value is not None}
    report = import_files(sources[:-1], sources[-1], ScanKey(**bare), reference=ref, t1w=t1w, options=options)
    console = Console(quiet=quiet)
    for path in report.written:
        console.say(f"{'Would write' if options.dry_run else 'Wrote'} {path}")
    for note in report.notes:
        console.say(f"Note: {note}")


def _draft(sources: list[Path], path: Path, *, quiet: bool) -> None:
    from mrspipe.console import Console
    from mrspipe.io.import_draft import write_draft

    if len(sources) != 1:
        raise typer.BadParameter("Give the source folder alone.", param_hint="SOURCE_DIR")
    if path.exists():
        raise typer.BadParameter(f"{path} exists; name another file, so that your work in it is safe.")
    draft = write_draft(sources[0], path)
    console = Console(quiet=quiet)
    console.say(f"{path}: {draft.n_scans} scans ({', '.join(draft.formats)}).")
    for text in draft.unreadable:
        console.say(f"Not readable as it is: {text}")
    for note in draft.notes:
        console.say(f"Note: {note}")
    console.say(
        f"Complete participant_id and the other columns, then: mrspipe import {sources[0]} BIDS_DIR --map {path}"
    )


def _folder(source_dir: Path, bids_dir: Path, mapping: Path, options: "ImportOptions", *, quiet: bool) -> None:
    from mrspipe.console import Console
    from mrspipe.io.import_folder import REPORT, import_folder
    from mrspipe.io.import_mapping import read_mapping

    rows, problems = read_mapping(mapping, source_dir)
    if problems:
        for problem in problems:
            typer.echo(f"mrspipe: {mapping.name}: {problem}", err=True)
        typer.echo(f"Nothing was written: {len(problems)} problems in {mapping}.", err=True)
        raise typer.Exit(2)
    console = Console(quiet=quiet)
    with console.progress() as progress:
        outcomes = import_folder(rows, source_dir, bids_dir, options, progress)
    for outcome in outcomes:
        if outcome.report is not None and options.dry_run and outcome.status == "imported":
            console.say(f"Would import {outcome.row.file} as {outcome.row.target}")
        for note in () if outcome.report is None else outcome.report.notes:
            console.say(f"Note: line {outcome.row.line}: {note}")
        if outcome.error is not None:
            typer.echo(f"Failed: line {outcome.row.line} ({outcome.error.code}): {outcome.error}", err=True)
    counts = {name: sum(one.status == name for one in outcomes) for name in ("imported", "unchanged", "failed")}
    console.say(
        f"{counts['imported']} scans {'would be imported' if options.dry_run else 'imported'}, "
        f"{counts['unchanged']} there already, {counts['failed']} failed."
    )
    if not options.dry_run:
        console.say(f"Report: {bids_dir / REPORT}")
    raise typer.Exit(1 if counts["failed"] else 0)
