"""Print how well a study on synthetic spectra recovers its truth.

Usage: python docs/recovery.py BIDS_DIR OUT_DIR
"""

import sys
from pathlib import Path

import numpy as np

from mrspipe.io.tables import read_table
from mrspipe.synth.study import truth_folder

METABOLITES = ("Glu", "Gln", "Glx", "tNAA", "tCr", "tCho", "Ins", "GABA", "GSH")
KEYS = ["participant_id", "session_id", "task_id", "metabolite"]


def main(bids_dir: Path, out_dir: Path) -> None:
    """Compare every included scan's molar concentrations with the truth."""
    measured = read_table(out_dir / "group" / "measurements.tsv")
    truth = read_table(truth_folder(bids_dir) / "truth.tsv")
    rows = measured[(measured["quantity"] == "molar") & measured["included"]].merge(truth[[*KEYS, "molar"]], on=KEYS)
    sys.stdout.write("| metabolite | scans | mean error % | SD of error % | correlation | 95 % intervals that hold |\n")
    sys.stdout.write("|---|---|---|---|---|---|\n")
    for name in METABOLITES:
        of = rows[rows["metabolite"] == name]
        error = 100 * (of["value"] / of["molar"] - 1)
        correlation = np.corrcoef(of["value"], of["molar"])[0, 1]
        held = 100 * ((of["value"] - of["molar"]).abs() < 1.96 * of["se_total"]).mean()
        sys.stdout.write(
            f"| {name} | {len(of)} | {error.mean():+.1f} | {error.std():.1f} | {correlation:.2f} | {held:.0f} % |\n"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
