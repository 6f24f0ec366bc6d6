"""Whether quality and tissue differ between what is compared, which could pass for a difference of concentration."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.counts import exact_test
from mrspipe.stats.design import ContrastSettings, Design
from mrspipe.stats.factors import Factor, labels
from mrspipe.stats.model_columns import model_data
from mrspipe.stats.models import mixed_model
from mrspipe.stats.samples import select

if TYPE_CHECKING:
    from pandas import DataFrame

METRICS = ("snr", "fwhm_hz", "crlb_glu_pct", "gm_fraction", "csf_fraction", "residual_ratio")
TEST_COLUMNS = ("metric", "term", "test", "n_subjects", "n_scans", "statistic", "num_df", "den_df", "p", "note")
CELL_COLUMNS = ("metric", "cell", "n_scans", "mean", "sd")
_Row = dict[str, Any]


def quality_test_table(quality: "DataFrame", design: Design) -> "DataFrame":
    """Test each measure of quality for every term of the design, and the share of scans that were left out.

    Mixed models with all factors crossed and the test of Kenward and Roger, as for the outcome, over all scans that
    are not unusable; exact tests of the counts of unusable scans. Not corrected: a check that is stricter is safer.

    Parameters
    ----------
    quality : DataFrame
        One row a scan with its verdict, the measures, and the design's columns.
    design : Design
    """
    import pandas as pd

    rows = [row for metric in METRICS if metric in quality.columns for row in _tests(quality, design, metric)]
    rows += _left_out(quality, design)
    return pd.DataFrame(rows, columns=list(TEST_COLUMNS))


def quality_cell_table(quality: "DataFrame", design: Design) -> "DataFrame":
    """Mean and SD of each measure of quality in every combination of the design's levels.

    Parameters
    ----------
    quality : DataFrame
    design : Design
    """
    import pandas as pd

    usable = _usable(quality)
    factors = [factor for factor in design.factors if factor.column in usable.columns]
    spelled = {factor.column: labels(usable[factor.column]) for factor in factors}
    rows: list[_Row] = []
    for metric in (name for name in METRICS if name in usable.columns):
        for levels in itertools.product(*(factor.levels for factor in factors)):
            chosen = np.full(len(usable), True)
            for factor, level in zip(factors, levels, strict=True):
                chosen &= (spelled[factor.column] == level).to_numpy()
            values = usable[metric][chosen].dropna()
            sd = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
            mean = float(values.mean()) if len(values) else float("nan")
            rows.append(dict(zip(CELL_COLUMNS, (metric, ", ".join(levels), len(values), mean, sd), strict=True)))
    return pd.DataFrame(rows, columns=list(CELL_COLUMNS))


def _usable(quality: "DataFrame") -> "DataFrame":
    return quality[quality["verdict"].astype(str) != "unusable"] if "verdict" in quality else quality


def _tests(quality: "DataFrame", design: Design, metric: str) -> Iterator[_Row]:
    usable = _usable(quality)
    table = usable.assign(value=usable[metric], included=True)
    factors = tuple(factor.name for factor in design.factors)
    if not factors or table["value"].isna().all():
        return
    everything = ContrastSettings(name="quality", compare=factors, test="mixed")
    try:
        sample = select(table, design, everything)
        data, sample = model_data(sample, design)
        model = mixed_model(data.y, data.columns, data.groupings)
    except AnalysisError as error:
        yield {"metric": metric, "term": "all", "test": "mixed model", "note": error.message}
        return
    for size in range(1, len(sample.factors) + 1):
        for chosen in itertools.combinations(sample.factors, size):
            term = ":".join(factor.name for factor in chosen)
            found = model.joint(_columns_of(term, model.columns))
            yield {
                "metric": metric, "term": term, "test": "mixed model", "n_subjects": sample.n_subjects,
                "n_scans": sample.n_scans, "statistic": found.statistic, "num_df": found.num_df,
                "den_df": found.den_df, "p": found.p,
            }  # fmt: skip


def _columns_of(term: str, columns: tuple[str, ...]) -> list[str]:
    """Columns of a term: those of its factors, each with the name of a level where it has more than two."""
    wanted = term.split(":")
    return [name for name in columns if [part.split(" ")[0] for part in name.split(":")] == wanted]


def _left_out(quality: "DataFrame", design: Design) -> Iterator[_Row]:
    if "verdict" not in quality.columns:
        return
    unusable = quality["verdict"].astype(str) == "unusable"
    for factor in design.factors:
        if factor.column in quality.columns:
            yield _counted(quality, factor, unusable.to_numpy())


def _counted(quality: "DataFrame", factor: Factor, unusable: "np.ndarray[Any, Any]") -> _Row:
    spelled = labels(quality[factor.column]).to_numpy()
    counts = [[int(((spelled == level) & (unusable == out)).sum()) for out in (False, True)] for level in factor.levels]
    row: _Row = {"metric": "unusable", "term": factor.name, "test": "Fisher exact test", "n_scans": int(np.sum(counts))}
    pairs = zip(factor.levels, counts, strict=True)
    words = ", ".join(f"{level}: {out} of {kept + out}" for level, (kept, out) in pairs)
    return row | {"p": exact_test(counts).p, "note": f"{words} scans unusable"}
