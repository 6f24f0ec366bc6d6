"""Print how well the fit recovers the truth of synthetic spectra that its own model did not make.

Usage: python docs/fit_recovery.py --family second --treatment study given --snr 20 40 80 --fwhm 5-7 7-9

A table for each treatment of the macromolecules: ratios to total creatine, and its amount in mM, under all conditions
that are named, and one for the change of Glu between two scans of a person.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from recovery.evaluation import (
    TREATMENTS,
    ChangeRow,
    RecoveryRow,
    Treatment,
    change_rows,
    fitted,
    joined,
    recovery_rows,
)
from recovery.generator import Conditions, pairs, spectra
from recovery.studies import FAMILIES, family_of

_DATA = Path(__file__).parents[2] / "shared" / "data"
_RECOVERY = (
    "peak/noise", "width Hz", "baseline", "metabolite", "n", "bias %", "SD %", "RMSE %", "RMSE of the oracle %",
    "stated SE %", "95 % intervals that hold", "slope",
)  # fmt: skip
_CHANGE = (
    "peak/noise", "width Hz", "baseline", "fits", "people", "bias %", "SD %", "SD of the oracle %", "stated SE %",
    "95 % intervals that hold",
)  # fmt: skip


def main() -> None:
    """Parse the arguments and print the tables."""
    arguments = _arguments()
    every = [Conditions(*one) for one in itertools.product(arguments.snr, arguments.fwhm, arguments.baseline)]
    with threadpool_limits(1):
        for treatment in arguments.treatment:
            title = f"Family {arguments.family}, macromolecules {treatment}, studies: {arguments.studies}"
            _print_table(title, _RECOVERY, _recovery(arguments, treatment, every))
            # Changes are not asked of a basis set with measured macromolecules.
            if arguments.pairs and treatment != "given":
                title = f"Family {arguments.family}, macromolecules {treatment}, change of Glu within people"
                _print_table(title, _CHANGE, _changes(arguments, treatment, every))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, default="first", help="kind of spectra")
    parser.add_argument("--treatment", choices=TREATMENTS, nargs="+", default=["study"], help="macromolecules")
    parser.add_argument("--n", type=int, default=20, help="spectra of each study")
    parser.add_argument("--studies", type=int, default=1, help="studies, each with macromolecules of its own")
    parser.add_argument("--pairs", type=int, default=20, help="people scanned twice; 0: leave that table out")
    parser.add_argument("--seed", type=int, default=1, help="of all random numbers")
    parser.add_argument(
        "--snr", type=float, nargs="+", default=[20.0, 40.0, 80.0], help="peak over noise SD, twice LCModel's S/N"
    )
    parser.add_argument("--fwhm", type=_interval, nargs="+", default=[(5.0, 9.0)], help="line widths in Hz: 5-9")
    parser.add_argument("--baseline", type=float, nargs="+", default=[1.0], help="size relative to what is usual")
    parser.add_argument("--data", type=Path, default=_DATA, help="folder of the measured shapes")
    return parser.parse_args()


def _interval(text: str) -> tuple[float, float]:
    low, high = (float(part) for part in text.split("-"))
    return low, high


def _recovery(
    arguments: argparse.Namespace, treatment: Treatment, every: Sequence[Conditions]
) -> Iterator[tuple[str, ...]]:
    for conditions in every:
        parts = []
        for seed in range(arguments.seed, arguments.seed + arguments.studies):
            family = family_of(arguments.family, seed, arguments.data)
            parts.append(fitted(spectra(family, arguments.n, conditions, seed), family, treatment))
        for row in recovery_rows(joined(parts)):
            yield (*_named(conditions), *_recovery_cells(row))


def _changes(
    arguments: argparse.Namespace, treatment: Treatment, every: Sequence[Conditions]
) -> Iterator[tuple[str, ...]]:
    family = family_of(arguments.family, arguments.seed, arguments.data)
    for conditions in every:
        people = pairs(family, arguments.pairs, conditions, arguments.seed)
        for kind, row in zip(("separate", "joint"), change_rows(people, family, treatment), strict=True):
            yield (*_named(conditions), kind, *_change_cells(row))


def _named(conditions: Conditions) -> tuple[str, ...]:
    low, high = conditions.fwhm_hz
    return f"{conditions.peak_to_noise:g}", f"{low:g}-{high:g}", f"{conditions.baseline:g}"


def _recovery_cells(row: RecoveryRow) -> tuple[str, ...]:
    sizes = (row.sd_pct, row.rmse_pct, row.oracle_rmse_pct, row.se_pct)
    cells = [f"{size:.1f}" for size in sizes]
    return row.metabolite, f"{row.n}", f"{row.bias_pct:+.1f}", *cells, f"{row.coverage_pct:.0f}", f"{row.slope:.2f}"


def _change_cells(row: ChangeRow) -> tuple[str, ...]:
    cells = [f"{size:.1f}" for size in (row.sd_pct, row.oracle_sd_pct, row.se_pct)]
    return f"{row.n}", f"{row.bias_pct:+.1f}", *cells, f"{row.coverage_pct:.0f}"


def _print_table(title: str, header: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    """Write a Markdown table, each row as soon as it is known."""
    sys.stdout.write(f"\n{title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}\n")
    for row in rows:
        sys.stdout.write(f"| {' | '.join(row)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
