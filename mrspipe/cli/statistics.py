"""Commands on tables: stats."""

from pathlib import Path
from typing import Annotated

import typer

from mrspipe.cli.app import app
from mrspipe.cli.options import ConfigOption, Quiet


@app.command(epilog="Example: mrspipe stats concentrations.tsv --config cocaine_nacc --out results")
def stats(
    table: Annotated[Path, typer.Argument(help="Table of concentrations, TSV or CSV.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables of results.", show_default=False)],
    config: ConfigOption = None,
    ratings: Annotated[
        Path | None, typer.Option("--ratings", help="Table of ratings, where they are not in the same table.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Compute the contrasts of a study from a table of concentrations, whichever program made them.

    The table is long (participant_id, metabolite, value, and the columns of the design) or wide (a row for each scan
    and a column for each metabolite). Rows that did not pass have 'fail' in a column qc, or 'false' in one 'included'.
    """
    from mrspipe.config import load_config
    from mrspipe.console import Console
    from mrspipe.pipeline.any_table import compare_table

    console = Console(quiet=quiet)
    console.comparison(compare_table(table, out, load_config(config), ratings))
    console.say(f"Tables: {out / 'contrasts.tsv'}, {out / 'exclusions.tsv'}")
