"""The data sets, the rows that enter each analysis, and the results of R."""

import functools
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = ("estimate", "se", "df", "statistic", "p", "ci_low", "ci_high")
# The level that is not the reference, and R's names of its column in three codings.
OTHER = {"group": "CAI", "task": "cue", "drug": "NAC", "period": 2, "sequence": "NAC-placebo"}
CODES = {"treatment": (0.0, 1.0), "sum": (1.0, -1.0), "half": (-0.5, 0.5)}
R_NAMES = {
    "treatment": {name: f"{name}{level}" for name, level in OTHER.items()},
    "sum": {name: f"{name}1" for name in OTHER},
    "half": {"group": "g", "task": "t", "drug": "r", "period": "pe"},
}


class Reference:
    """A data set, and what R found in it."""

    def __init__(self, folder: Path, name: str):
        self.name = name
        self.data = pd.read_csv(folder / f"dataset_{name}.tsv", sep="\t", na_values="n/a")
        self.results = pd.read_csv(folder / f"reference_{name}.tsv", sep="\t")
        self.cache: dict[tuple, object] = {}

    def rows(self, analysis):
        """Results of an analysis: numbers that are there, by term; those of the column `extra` by their names."""
        return {row["term"]: numbers(row) for row in self._rows(analysis)}

    def _rows(self, analysis):
        return self.results[self.results["analysis"] == analysis].to_dict("records")

    def shuffled(self, seed):
        """Give the same data in another order of rows."""
        other = object.__new__(Reference)
        other.name, other.results, other.cache = self.name, self.results, {}
        other.data = self.data.sample(frac=1.0, random_state=seed).reset_index(drop=True)
        return other

    @functools.cached_property
    def usable(self):
        return self.data[(self.data["qc"] == "pass") & self.data["glu"].notna()].assign(
            ratio=lambda table: table["glu"] / table["tcr"]
        )

    @functools.cached_property
    def rated(self):
        return self.data[self.data["vas"].notna()]

    @functools.cached_property
    def participants(self):
        return self.data.sort_values(["participant_id", "session", "task"]).drop_duplicates("participant_id")


def numbers(row):
    """Numbers of a row of results, with those of its column `extra`."""
    found = {name: row[name] for name in COLUMNS if pd.notna(row[name])}
    for pair in str(row["extra"]).split(";"):
        key, _, text = pair.partition("=")
        try:
            found[key] = float(text)
        except ValueError:
            continue
    return found


def at(table, **levels):
    """Rows at some levels."""
    for column, level in levels.items():
        table = table[table[column] == level]
    return table


def groups(table, value="glu"):
    """Values of the patients and of the controls."""
    return tuple(table.loc[table["group"] == level, value].to_numpy(dtype=float) for level in ("CAI", "HC"))


def pairs(table, by, value="glu"):
    """Values at the reference and at the other level, of those who have both."""
    wide = table.pivot_table(index="participant_id", columns=by, values=value).dropna()
    other = wide[OTHER[by]].to_numpy()
    (reference,) = [level for level in wide.columns if level != OTHER[by]]
    return wide[reference].to_numpy(), other


def column(table, term, coding):
    """Column of a model: the product of a term's factors in a coding; of no factors, ones."""
    low, high = CODES[coding]
    parts = [np.where(table[name] == OTHER[name], high, low) for name in term.split(":") if name != "1"]
    return np.prod([np.ones(len(table)), *parts], axis=0)


def r_name(term, coding):
    """R's name of a term in a coding."""
    return "(Intercept)" if term == "1" else ":".join(R_NAMES[coding][part] for part in term.split(":"))
