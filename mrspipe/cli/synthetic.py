"""Commands on synthetic studies: synth."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mrspipe.cli.app import app
from mrspipe.cli.options import Quiet


class Level(StrEnum):
    """How close to the scanner a synthetic study is."""

    concentrations = "concentrations"
    averaged = "averaged"
    raw = "raw"


@app.command(epilog="Example: mrspipe synth small my_cohort")
def synth(
    recipe: Annotated[str, typer.Argument(help="TOML recipe, or the name of a bundled one.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="New folder for the BIDS dataset, or the tables.", show_default=False)],
    level: Annotated[
        Level,
        typer.Option(
            "--level",
            help="raw: coils, transients, drift, motion. averaged: one spectrum and its water a scan. concentrations: "
            "no spectra, the tables of an analysis, for mrspipe stats.",
        ),
    ] = Level.raw,
    random_seed: Annotated[int | None, typer.Option("--random-seed", min=0, help="Instead of the recipe's.")] = None,
    quiet: Quiet = False,
) -> None:
    """Make a synthetic study; its truth is written beside it, to OUT_truth."""
    from mrspipe.config import bundled
    from mrspipe.console import Console
    from mrspipe.synth.concentrations import write_concentrations
    from mrspipe.synth.recipe import load_recipe
    from mrspipe.synth.study import truth_folder, write_study

    console, made = Console(quiet=quiet), load_recipe(bundled("synthetic_data", recipe))
    if level is Level.concentrations:
        write_concentrations(made, out, seed=random_seed)
        console.say(f"Tables: {out}\nTruth:  {truth_folder(out)}")
        return
    with console.progress() as progress:
        write_study(
            made,
            out,
            seed=random_seed,
            level="raw" if level is Level.raw else "averaged",
            progress=lambda done, total: progress("Synthetic scans", done, total),
        )
    console.say(f"Dataset: {out}\nTruth:   {truth_folder(out)}")
