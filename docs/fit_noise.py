"""Print what the fit of a noisy spectrum adds to the spread of concentrations, in mM.

Usage: python docs/fit_noise.py RECIPE [--n 100] [--config cocaine_nacc]

Every spectrum is an average of a person whose concentrations and tissue are the recipe's means. Signal-to-noise ratio
and line width are the recipe's means too. What differs is noise, macromolecules, baseline, line shape, phase, shift and
the error of the water reference. The SD of the molar estimates is then the fit's. Every spectrum is fitted alone, with
the general macromolecules.
"""

import argparse
import sys
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from mrspipe.config import bundled, load_config
from mrspipe.core.results import TissueFractions
from mrspipe.core.signal import Scan
from mrspipe.pipeline.basis import basis_for
from mrspipe.pipeline.scan import analyse_scan
from mrspipe.synth.cohort import draw_cohort, with_sums
from mrspipe.synth.recipe import load_recipe
from mrspipe.synth.scanner import averaged_scan
from mrspipe.synth.spectra import make_basis


def main() -> None:
    """Fit the spectra and print a row for each metabolite of the recipe's levels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="recipe, or the name of a bundled one")
    parser.add_argument("--n", type=int, default=100, help="spectra")
    parser.add_argument("--config", default="cocaine_nacc", help="settings of the fit")
    parser.add_argument("--seed", type=int, default=1, help="of all random numbers")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        errors, truths = _errors(arguments)
    sys.stdout.write(
        "| metabolite | true mM | mean error mM | SD of error mM | 95 % interval of the SD |\n|---|---|---|---|---|\n"
    )
    for name, values in errors.items():
        sd = np.std(values, ddof=1)
        # Of a normal sample; the log of its SD has the standard error 1 / sqrt(2 (n - 1)).
        factor = np.exp(1.96 / np.sqrt(2 * (len(values) - 1)))
        cells = (name, f"{truths[name]:.2f}", f"{np.mean(values):+.2f}", f"{sd:.2f}")
        sys.stdout.write(f"| {' | '.join(cells)} | {sd / factor:.2f} to {sd * factor:.2f} |\n")


def _errors(arguments: argparse.Namespace) -> tuple[dict[str, list[float]], dict[str, float]]:
    recipe, config = load_recipe(bundled("synthetic_data", arguments.recipe)), load_config(arguments.config)
    made = make_basis(recipe)
    tissue = TissueFractions(gm=recipe.tissue.gm_mean, wm=1 - recipe.tissue.gm_mean, csf=0.0, source="truth")
    levels = {
        member: part * level.mean
        for name, level in recipe.levels.items()
        for member, part in recipe.parts(name).items()
    }
    truth = replace(
        draw_cohort(recipe).scans[0],
        levels=levels,
        tissue=tissue,
        displacement_mm=0.0,
        snr=recipe.quality.snr_mean,
        fwhm_hz=recipe.quality.fwhm_mean_hz,
    )
    truths = with_sums(levels)
    errors: dict[str, list[float]] = {name: [] for name in (*recipe.levels, "Glx")}
    basis = None
    for number in range(arguments.n):
        metabolites, water = averaged_scan(replace(truth, index=(number, 0, 0)), recipe, made, arguments.seed)
        basis = basis or basis_for(metabolites, config.basis)
        result = analyse_scan(Scan(truth.key, metabolites, water=water, tissue=tissue), basis, config)
        for one in result.levels:
            if one.quantity == "molar" and one.metabolite in errors:
                errors[one.metabolite].append(one.value - truths[one.metabolite])
    return errors, truths


if __name__ == "__main__":
    main()
