"""Whether quality and tissue differ between what is compared, which could pass for a difference of concentration."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.counts import exact_test
from mrspipe.stats.design import ContrastSettings, Design, StatsSettings
from mrspipe.stats.factors import Factor, labels
from mrspipe.stats.model_columns import model_data
from mrspipe.stats.models import MixedModel, mixed_model
from mrspipe.stats.questions import groups_without_arm
from mrspipe.stats.samples import Sample, select

if TYPE_CHECKING:
    from pandas import DataFrame

METRICS = ("snr", "fwhm_hz", "crlb_glu_pct", "gm_fraction", "csf_fraction", "residual_ratio")
TEST_COLUMNS = ("metric", "term", "test", "n_subjects", "n_scans", "statistic", "num_df", "den_df", "p", "note")
CELL_COLUMNS = ("metric", "cell", "n_scans", "mean", "sd")
_Row = dict[str, Any]


def quality_test_table(quality: "DataFrame", design: Design, settings: StatsSettings | None = None) -> "DataFrame":
    """Test each measure of quality for every term of the design, and the share of scans that were left out.

    Mixed models with all factors crossed, all times, and the test of Kenward and Roger over all scans that are not
    unusable. Random effects are those of the models of the outcome: what matters is a difference that those models
    would take for one of concentration, and scans of one visit share the position of the voxel, hence its tissue.
    Where only one group is in arms, the group is tested without the arms, and the arms among themselves. Exact tests
    of the counts of unusable scans take the scans as independent. Not corrected: a check that is stricter is safer.

    Parameters
    ----------
    quality : DataFrame
        One row a scan with its verdict, the measures, and the design's columns.
    design : Design
    settings : StatsSettings, optional
    """
    import pandas as pd

    settings = settings or StatsSettings()
    usable = _usable(quality)
    rows: list[_Row] = []
    for metric in (name for name in METRICS if name in usable.columns):
        for part, only in _parts(quality, design):
            rows += [
                row for row in _tests(usable, part, metric, settings) if only in row["term"].split(":") or not only
            ]
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
    # Who is in no arm has a cell too.
    armless = groups_without_arm(quality, design)
    levels_of = [(*factor.levels, "") if armless and factor.name == "arm" else factor.levels for factor in factors]
    cells = [cell for cell in itertools.product(*levels_of) if not armless or ("" in cell) == (armless[0] in cell)]
    rows: list[_Row] = []
    for metric in (name for name in METRICS if name in usable.columns):
        for levels in cells:
            chosen = np.full(len(usable), True)
            for factor, level in zip(factors, levels, strict=True):
                chosen &= (spelled[factor.column] == level).to_numpy()
            values = usable[metric][chosen].dropna()
            words = ", ".join(level or "no arm" for level in levels)
            sd = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
            mean = float(values.mean()) if len(values) else float("nan")
            rows.append(dict(zip(CELL_COLUMNS, (metric, words, len(values), mean, sd), strict=True)))
    return pd.DataFrame(rows, columns=list(CELL_COLUMNS))


def _usable(quality: "DataFrame") -> "DataFrame":
    return quality[quality["verdict"].astype(str) != "unusable"] if "verdict" in quality else quality


def _parts(quality: "DataFrame", design: Design) -> list[tuple[Design, str]]:
    """Give designs whose factors can be crossed, and the factor that the terms of interest have (empty: all terms)."""
    if not groups_without_arm(quality, design):
        return [(design, "")]
    return [(design.model_copy(update={"arm": None}), ""), (design.model_copy(update={"group": None}), "arm")]


def _tests(usable: "DataFrame", design: Design, metric: str, settings: StatsSettings) -> Iterator[_Row]:
    table = usable.assign(value=usable[metric], included=True)
    if not design.factors or table["value"].isna().all():
        return
    try:
        # Nothing is compared in particular, so that every level of the time is there.
        sample = select(table, design, ContrastSettings(name="quality", compare=()))
        if not sample.factors:
            raise AnalysisError("The usable scans have only one level of every factor.", code="level")
        data, sample = model_data(sample, design, random_condition=settings.random_condition)
        rows = term_tests(sample, mixed_model(data.y, data.columns, data.groupings))
    except AnalysisError as error:
        yield {"metric": metric, "term": "all", "test": "mixed model", "note": error.message}
        return
    counts = {"n_subjects": sample.n_subjects, "n_scans": sample.n_scans}
    absent = [factor.column for factor in design.factors if factor not in sample.factors]
    note = f"The usable scans have only one level of {', '.join(absent)}." if absent else None
    yield from ({"metric": metric, **row, **counts, "note": note} for row in rows)


def term_tests(sample: Sample, model: MixedModel) -> list[_Row]:
    """Test every term of the sample's factors: marginal F tests of Kenward and Roger.

    Parameters
    ----------
    sample : Sample
    model : MixedModel
        With the columns of `mrspipe.stats.model_columns.model_data`.
    """
    rows: list[_Row] = []
    for size in range(1, len(sample.factors) + 1):
        for chosen in itertools.combinations(sample.factors, size):
            term = ":".join(factor.name for factor in chosen)
            found = model.joint(_columns_of(term, model.columns))
            row: _Row = {"term": term, "test": "mixed model", "statistic": found.statistic}
            rows.append({**row, "num_df": found.num_df, "den_df": found.den_df, "p": found.p})
    return rows


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
