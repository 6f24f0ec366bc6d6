"""The columns of the models: covariates, and factors crossed with each other."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.design import Design
from mrspipe.stats.factors import Factor, is_numeric, labels
from mrspipe.stats.identify import in_order, what_coincides
from mrspipe.stats.samples import SUBJECT, VISIT, Sample, code_column, level_of

if TYPE_CHECKING:
    from pandas import DataFrame

_PERIOD = "__period"


def covariate_columns(sample: Sample, names: tuple[str, ...]) -> tuple[dict[str, FloatArray], Sample, str]:
    """Give the covariates of each participant as columns of numbers; text becomes a column for each further level.

    Returns
    -------
    columns : dict of str to real array, shape (n_subjects,)
        Participants in sorted order; those without a value are left out.
    sample : Sample
    note : str
        Covariates that do not vary and are not in the model.

    Raises
    ------
    AnalysisError
        A covariate is not in the tables.
    """
    absent = [name for name in names if name not in sample.rows.columns]
    if absent:
        raise AnalysisError(
            f"The tables have no column '{absent[0]}', which the design names as covariate.", code="column"
        )
    for name in names:
        numeric = is_numeric(sample.rows[name])
        known = sample.rows[name].notna() if numeric else labels(sample.rows[name]) != ""
        without = set(sample.rows[SUBJECT]) - set(sample.rows.loc[known, SUBJECT])
        sample = sample.without(dict.fromkeys(without, f"{name} is missing"))
    if sample.rows.empty:
        raise AnalysisError("No participant has all covariates.", code="no-data")
    columns: dict[str, FloatArray] = {}
    constant = []
    for name in names:
        made = _covariate(sample.rows, name)
        columns |= made
        constant += [] if made else [name]
    return columns, sample, f"Not in the model because it does not vary: {', '.join(constant)}." if constant else ""


def _covariate(rows: "DataFrame", name: str) -> dict[str, FloatArray]:
    if is_numeric(rows[name]):
        values = rows.groupby(SUBJECT)[name].mean().to_numpy(dtype=float)
        return {name: values} if np.ptp(values) > 0 else {}
    spelled = labels(rows[name])
    levels = spelled[spelled != ""].groupby(rows[SUBJECT]).first()
    return {f"{name} {level}": np.asarray(levels == level, dtype=np.float64) for level in sorted(set(levels))[1:]}


@dataclass(frozen=True, slots=True, eq=False)
class ModelData:
    """What a mixed model takes.

    Parameters
    ----------
    y : real array, shape (n,)
    columns : dict of str to real array, shape (n,)
        Fixed effects by name; interactions are joined by ``:``.
    groupings : dict of str to sequence of str
        Random intercepts.
    formula : str
    """

    y: FloatArray
    columns: dict[str, FloatArray]
    groupings: dict[str, list[str]]
    formula: str


def model_data(sample: Sample, design: Design, *, random_condition: bool = True) -> tuple[ModelData, Sample]:
    """Average repeated runs, and write the columns of a mixed model with all factors crossed.

    With codes of plus and minus one half, a coefficient is a difference averaged over the levels of the other factors;
    a factor of more levels has a column for each but the first, with the mean of its levels subtracted. The period
    enters where the treatment does; the sequence is not crossed with the rest.

    Participants and their visits have random intercepts; and, with `random_condition`, so have each participant's
    conditions, where several visits have them.

    Raises
    ------
    AnalysisError
        Columns follow from each other; the message says which.
    """
    period = design.period if any(factor.name == "treatment" for factor in sample.factors) else None
    if period and period in sample.rows.columns:
        spelled = labels(sample.rows[period])
        unknown = tuple((at, f"{period} is missing") for at in spelled.index[spelled == ""])
        known = sample.rows.assign(**{_PERIOD: spelled})[spelled != ""]
        sample = replace(sample, rows=known, left_out=(*sample.left_out, *unknown))
    has_period = _PERIOD in sample.rows.columns and len(set(sample.rows[_PERIOD])) > 1
    keys = [code_column(factor) for factor in sample.factors]
    cells = sample.rows.groupby([SUBJECT, VISIT, *([_PERIOD] if has_period else []), *keys], sort=True)["value"].mean()
    table = cells.reset_index()
    crossed = tuple(factor for factor in sample.factors if factor.name != "sequence")
    columns = _crossed(table, crossed)
    if has_period:
        levels = in_order(set(table[_PERIOD]))
        columns |= {
            f"period {k}": np.asarray((table[_PERIOD] == k) - 1 / len(levels), dtype=np.float64) for k in levels[1:]
        }
    added = [factor for factor in sample.factors if factor not in crossed]
    columns |= {factor.name: table[code_column(factor)].to_numpy(dtype=np.float64) for factor in added}
    _refuse_aliased(columns, table, crossed)
    additive = [*(["period"] if has_period else []), *(factor.name for factor in added)]
    fixed = " + ".join([" * ".join(factor.name for factor in crossed), *additive])
    visits = table[SUBJECT] + "/" + table[VISIT]
    groupings = {"participant": list(table[SUBJECT]), "participant:visit": list(visits)}
    condition = next((factor for factor in crossed if factor.name == "condition"), None)
    if random_condition and condition is not None:
        conditions = table[SUBJECT] + "/" + table[code_column(condition)].astype(str)
        groupings["participant:condition"] = list(conditions)
    columns = {"1": np.ones(len(table))} | columns
    return ModelData(table["value"].to_numpy(dtype=float), columns, groupings, fixed), sample


def _crossed(table: "DataFrame", factors: tuple[Factor, ...]) -> dict[str, FloatArray]:
    made: dict[str, FloatArray] = {}
    for size in range(1, len(factors) + 1):
        for chosen in itertools.combinations(factors, size):
            for parts in itertools.product(*(_coded(table, factor).items() for factor in chosen)):
                made[":".join(name for name, _ in parts)] = np.asarray(np.prod([part for _, part in parts], axis=0))
    return made


def _coded(table: "DataFrame", factor: Factor) -> dict[str, FloatArray]:
    """A column for each level there is but the first, about the mean of the levels: of two, plus and minus half."""
    codes = table[code_column(factor)].to_numpy(dtype=np.float64)
    found = sorted(set(codes))
    names = [factor.name] if len(found) == 2 else [f"{factor.name} {level_of(factor, code)}" for code in found[1:]]
    pairs = zip(names, found[1:], strict=True)
    return {name: np.asarray((codes == code) - 1 / len(found), dtype=np.float64) for name, code in pairs}


def _refuse_aliased(columns: Mapping[str, FloatArray], table: "DataFrame", factors: tuple[Factor, ...]) -> None:
    said = what_coincides(columns)
    if said:
        gap = _empty_combination(table, factors)
        text = f"No usable scan has {gap}, so that {said}." if gap else f"{said[0].upper()}{said[1:]}."
        raise AnalysisError(text, code="rank")


def _empty_combination(table: "DataFrame", factors: tuple[Factor, ...]) -> str:
    """The smallest combination of levels that no scan has."""
    for size in range(2, len(factors) + 1):
        for chosen in itertools.combinations(factors, size):
            found = set(zip(*(table[code_column(factor)] for factor in chosen), strict=True))
            for codes in itertools.product(*(sorted(set(table[code_column(factor)])) for factor in chosen)):
                if codes not in found:
                    pairs = zip(chosen, codes, strict=True)
                    return " and ".join(f"{factor.column} {level_of(factor, code)}" for factor, code in pairs)
    return ""
