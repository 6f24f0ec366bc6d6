"""Commands on what a study can find: calibrate, power."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from mrspipe.cli.app import app
from mrspipe.cli.options import ConfigOption, Processes, Quiet, with_processes


@app.command(epilog="Example: mrspipe calibrate null --cohorts 200")
def calibrate(
    recipe: Annotated[str, typer.Argument(help="TOML recipe, or the name of a bundled one.", show_default=False)],
    cohorts: Annotated[int, typer.Option("--cohorts", min=2, help="Synthetic cohorts to analyse.")] = 200,
    level: Annotated[
        str,
        typer.Option(
            "--level",
            help="concentrations (no spectra), averaged (one FID a scan) or raw (a study on disk): less than a "
            "second, minutes or many minutes a cohort.",
        ),
    ] = "concentrations",
    config: ConfigOption = "cocaine_nacc",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the results; calibration_RECIPE by default.")
    ] = None,
    random_seed: Annotated[int | None, typer.Option("--random-seed", min=0, help="Instead of the recipe's.")] = None,
    all_metabolites: Annotated[
        bool, typer.Option("--all-metabolites", help="Also the secondary metabolites of the design.")
    ] = False,
    n_procs: Processes = None,
    quiet: Quiet = False,
) -> None:
    """Analyse many synthetic cohorts: false positives, power, coverage and bias of every test. Resumes."""
    from mrspipe.calibrate.run import CalibrationRequest, calibrate
    from mrspipe.calibrate.worlds import LEVELS, Level
    from mrspipe.config import bundled, load_config
    from mrspipe.console import Console
    from mrspipe.synth.recipe import load_recipe

    if level not in LEVELS:
        raise typer.BadParameter(f"'{level}' is none of {', '.join(get_args(Level))}.", param_hint="--level")
    path = bundled("synthetic_data", recipe)
    request = CalibrationRequest(
        recipe=load_recipe(path),
        config=with_processes(load_config(config), n_procs),
        level=level,
        n_cohorts=cohorts,
        out_dir=out or Path(f"calibration_{path.stem}"),
        seed=random_seed,
        all_metabolites=all_metabolites,
    )
    console = Console(quiet=quiet)
    with console.progress() as progress:
        found = calibrate(request, progress)
    console.calibration(found)


@app.command(epilog="Example: mrspipe power my_study/derivatives/mrspipe --effect 0.6")
def power(
    out_dir: Annotated[Path, typer.Argument(help="Results of mrspipe run.", show_default=False)],
    config: ConfigOption = None,
    effect: Annotated[
        list[float] | None,
        typer.Option("--effect", help="Effect that sample sizes are asked for, in the outcome's unit; repeatable."),
    ] = None,
    target: Annotated[float, typer.Option("--power", help="Power that is asked for.")] = 0.8,
    quiet: Quiet = False,
) -> None:
    """Smallest effects that a study can find, and sample sizes for the next one, from its own variances."""
    from mrspipe.console import Console
    from mrspipe.pipeline.power import POWER_TABLE, PowerRequest, study_power

    rows = study_power(PowerRequest(out_dir, config, target, tuple(effect or ())))
    Console(quiet=quiet).power(rows, out_dir / POWER_TABLE)
