"""Print how LCModel and mrspipe recover the truth of the same synthetic spectra, with the same basis set.

Usage: python docs/beside_lcmodel.py --lcmodel PATH --family first measured --n 80

Macromolecules are not given to either: LCModel fits its own, mrspipe its expected ones (alone) or those that all
spectra taught (study). LCModel's error of a ratio is put together from its %SD of both parts. CPU times are those of
the fits, LCModel's with its start and files.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from recovery.evaluation import JUDGED, Estimates, Treatment, fitted, recovery_rows
from recovery.generator import Conditions, SyntheticSpectrum, fitted_basis, spectra
from recovery.studies import FAMILIES, family_of

from mrspipe.io.basis_files import write_basis
from mrspipe.io.lcmodel_files import control_text, spectrum_settings, write_raw
from mrspipe.io.lcmodel_results import read_lcmodel_table

_DATA = Path(__file__).parents[2] / "shared" / "data"
_SUMS = {"Glx": "Glu+Gln", "tNAA": "NAA+NAAG", "tCho": "GPC+PCh", "tCr": "Cr+PCr"}
_RANGE_PPM = (0.2, 4.0)
_N_SHOWN = 5
_TREATMENTS: dict[str, Treatment] = {"mrspipe, alone": "generic", "mrspipe, study": "study"}


def main() -> None:
    """Parse the arguments and print a table for each family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lcmodel", type=Path, required=True, help="LCModel's executable")
    parser.add_argument("--family", choices=FAMILIES, nargs="+", default=["first"], help="kinds of spectra")
    parser.add_argument("--n", type=int, default=80, help="spectra of each")
    parser.add_argument("--snr", type=float, default=36.0, help="peak over noise SD, twice LCModel's S/N")
    parser.add_argument("--seed", type=int, default=1, help="of all random numbers")
    parser.add_argument("--data", type=Path, default=_DATA, help="folder of the measured shapes")
    arguments = parser.parse_args()
    if not arguments.lcmodel.is_file():
        parser.error(f"There is no LCModel at {arguments.lcmodel}.")
    with threadpool_limits(1):
        for name in arguments.family:
            family = family_of(name, arguments.seed, arguments.data)
            made = spectra(family, arguments.n, Conditions(arguments.snr), arguments.seed)
            found, seconds = _by_lcmodel(made, arguments.lcmodel)
            _print_head(name)
            for program, treatment in _TREATMENTS.items():
                start = time.process_time()
                ours = fitted(made, family, treatment)
                _print_rows(program, ours, time.process_time() - start)
            _print_rows("LCModel", replace(ours, **found), seconds)


def _by_lcmodel(made: Sequence[SyntheticSpectrum], program: Path) -> tuple[dict[str, np.ndarray], float]:
    """Values of `JUDGED` with their standard errors, and CPU seconds."""
    before = os.times()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_basis(folder / "press.basis", fitted_basis())
        found = [_run(program.resolve(), folder, spectrum) for spectrum in made]
    after = os.times()
    value, se = np.array(found).transpose(1, 0, 2)
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return {"value": value, "se": se, "converged": np.ones(len(made), bool)}, seconds


def _run(program: Path, folder: Path, spectrum: SyntheticSpectrum) -> tuple[list[float], list[float]]:
    write_raw(folder / "data.RAW", spectrum.signal)
    (folder / "table").unlink(missing_ok=True)
    files = {"raw": "data.RAW", "basis": "press.basis", "table": "table"}
    control = spectrum_settings(spectrum.signal.axis, _RANGE_PPM, **files)
    subprocess.run([program], input=control_text(control).encode(), cwd=folder, capture_output=True, check=False)
    rows = {name: (level, sd_pct / 100) for name, level, sd_pct, _ in read_lcmodel_table(folder / "table").rows}
    *levels, (creatine, creatine_sd) = [rows[_SUMS.get(name, name)] for name in JUDGED]
    values = [level / creatine for level, _ in levels]
    se = [value * math.hypot(sd, creatine_sd) for value, (_, sd) in zip(values, levels, strict=True)]
    return [*values, creatine], [*se, creatine * creatine_sd]


def _print_head(family: str) -> None:
    titles = ("program", *JUDGED[:_N_SHOWN], "CPU s a spectrum")
    sys.stdout.write(
        f"\nFamily {family}: bias / SD / root mean square error in %, 95 % intervals that hold, slope\n\n"
        f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}\n"
    )


def _print_rows(program: str, estimates: Estimates, seconds: float) -> None:
    cells = [
        f"{row.bias_pct:+.1f} / {row.sd_pct:.1f} / {row.rmse_pct:.1f}, {row.coverage_pct:.0f} %, {row.slope:.2f}"
        for row in recovery_rows(estimates)[:_N_SHOWN]
    ]
    sys.stdout.write(f"| {program} | {' | '.join(cells)} | {seconds / len(estimates.value):.3g} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
