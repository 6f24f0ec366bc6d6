"""The table of results: every contrast for every metabolite, what could not be computed with the reason.

Only rows that are included enter. p values of the main contrasts of the outcome are adjusted by Holm's method, all
others by that of Benjamini and Hochberg; each is one family.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.design import ContrastSettings, Design, StatsSettings, resolve_contrasts
from mrspipe.stats.effects import equivalence_p
from mrspipe.stats.models import (
    TestResult,
    mean_level,
    mixed_model,
    paired_test,
    robust_regression,
    welch_test,
)
from mrspipe.stats.samples import (
    SCAN_COLUMNS,
    Sample,
    as_measured,
    codes_of,
    covariate_columns,
    differences,
    is_included,
    is_usable,
    label_or_missing,
    measurement_rows,
    model_data,
    per_subject,
    reasons_in,
    scan_of,
    select,
    without_doubtful,
)

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    *("contrast", "metabolite", "quantity", "model", "n_subjects", "n_scans", "estimate", "se", "ci_low", "ci_high"),
    *("statistic", "df", "p", "p_adjusted", "effect", "effect_name", "effect_ci_low", "effect_ci_high"),
    *("bf01", "tost_p", "tost_bound", "note"),
)
_NAN = float("nan")
_MISSING = "n/a"


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    """What a test gave: the model in words, the scans it used, and the result or why there is none."""

    model: str
    sample: Sample | None
    result: TestResult | None
    note: str = ""


def contrast_table(
    measurements: "DataFrame",
    design: Design,
    contrasts: Sequence[ContrastSettings] = (),
    settings: StatsSettings | None = None,
    *,
    ratings: "DataFrame | None" = None,
) -> "DataFrame":
    """Compute the contrasts of a study.

    Parameters
    ----------
    measurements : DataFrame
        One row for each scan, metabolite and quantity, with the columns of participants and visits joined on.
    design : Design
    contrasts : sequence of ContrastSettings
        Empty: those that follow from the design.
    settings : StatsSettings, optional
    ratings : DataFrame, optional
        As from `mrspipe.stats.design.ratings_table`.

    Returns
    -------
    DataFrame
        Columns of ``contrasts.tsv``; contrasts in their order, and for each the outcome and then the other metabolites.

    Raises
    ------
    ConfigError
        A contrast does not fit the design. What the data lack is a row with a note.
    """
    import pandas as pd

    settings = settings or StatsSettings()
    measurements = measurements if settings.include_doubtful else without_doubtful(measurements)
    design, other_quantity = as_measured(measurements, design)
    rows, is_primary = [], []
    for contrast in resolve_contrasts(design, tuple(contrasts), measurements):
        for metabolite, quantity, table in _subjects_of(contrast, design, measurements, ratings):
            outcome = _computed(table, design, contrast, settings)
            is_rating = contrast.of == "ratings"
            place = " ".join(filter(None, (_place(design, contrast), "" if is_rating else other_quantity)))
            is_outcome = is_rating or metabolite == design.outcome.metabolite
            bound = contrast.equivalence_bound if is_outcome and (is_rating or not other_quantity) else None
            rows.append(_row((contrast.name, metabolite, quantity), outcome, place, bound, settings))
            is_primary.append(bool(contrast.primary) and is_outcome)
    return pd.DataFrame(_adjusted(rows, is_primary), columns=list(COLUMNS))


def _subjects_of(
    contrast: ContrastSettings, design: Design, measurements: "DataFrame", ratings: "DataFrame | None"
) -> list[tuple[str, str, "DataFrame"]]:
    """Give metabolite, quantity and rows of everything that a contrast is computed for."""
    if contrast.of == "ratings":
        name = design.ratings.name if design.ratings else _MISSING
        return [(_MISSING, name, measurements.iloc[:0] if ratings is None else ratings)]
    chosen = contrast.metabolites or design.metabolites
    return [(name, design.outcome.quantity, measurement_rows(measurements, design, name)) for name in chosen]


def _computed(table: "DataFrame", design: Design, contrast: ContrastSettings, settings: StatsSettings) -> _Outcome:
    sample = None
    try:
        sample = select(table, design, contrast)
        return _TESTS[str(contrast.test)](sample, design, contrast, settings)
    except AnalysisError as error:
        return _Outcome(_MODELS[str(contrast.test)], sample, None, error.message)


def _welch(sample: Sample, design: Design, contrast: ContrastSettings, settings: StatsSettings) -> _Outcome:
    table, sample = per_subject(sample, None)
    codes = codes_of(sample, table, design.factor("group"))
    values = table.mean(axis=1).to_numpy()
    result = welch_test(
        values[codes > 0], values[codes < 0], confidence=settings.confidence, jzs_scale=settings.jzs_scale
    )
    return _Outcome(_MODELS["welch"], sample, result)


def _ancova(sample: Sample, design: Design, contrast: ContrastSettings, settings: StatsSettings) -> _Outcome:
    _, sample = per_subject(sample, None)
    covariates, sample, note = covariate_columns(sample, design.covariates)
    table, sample = per_subject(sample, None)
    codes = codes_of(sample, table, design.factor("group"))
    if min((codes > 0).sum(), (codes < 0).sum()) < 2:
        raise AnalysisError("A group has fewer than two participants with all covariates.", code="too-few")
    values = table.mean(axis=1).to_numpy()
    result = robust_regression(values, codes, covariates, confidence=settings.confidence)
    model = f"linear regression: group + {' + '.join(design.covariates)}; HC3 errors, t test"
    return _Outcome(model, sample, replace(result, note=note))


def _paired(sample: Sample, design: Design, contrast: ContrastSettings, settings: StatsSettings) -> _Outcome:
    (name,) = contrast.compare or ()
    table, sample = per_subject(sample, design.factor(name))
    result = paired_test(differences(table), confidence=settings.confidence, jzs_scale=settings.jzs_scale)
    return _Outcome(_MODELS["paired"], sample, result)


def _mixed(sample: Sample, design: Design, contrast: ContrastSettings, settings: StatsSettings) -> _Outcome:
    data, sample = model_data(sample, design)
    model = mixed_model(data.y, data.columns, data.groupings)
    random = " + ".join(f"(1 | {name})" for name in model.random) or "no random effect"
    column = ":".join(factor.name for factor in sample.factors if factor.name in (contrast.compare or ()))
    result = model.test(column, confidence=settings.confidence)
    return _Outcome(f"mixed model: {data.formula} + {random}; REML, Kenward-Roger", sample, result)


def _mean(sample: Sample, design: Design, contrast: ContrastSettings, settings: StatsSettings) -> _Outcome:
    table, sample = per_subject(sample, None)
    result = mean_level(table.mean(axis=1).to_numpy(), confidence=settings.confidence)
    return _Outcome(_MODELS["mean"], sample, replace(result, note="There is nothing to compare with: no test."))


_TESTS: Mapping[str, Callable[[Sample, Design, ContrastSettings, StatsSettings], _Outcome]] = {
    "welch": _welch,
    "ancova": _ancova,
    "paired": _paired,
    "mixed": _mixed,
    "mean": _mean,
}
_MODELS = {
    "welch": "Welch t test",
    "ancova": "linear regression with covariates; HC3 errors, t test",
    "paired": "paired t test",
    "mixed": "mixed model; REML, Kenward-Roger",
    "mean": "mean",
}


def _place(design: Design, contrast: ContrastSettings) -> str:
    """Say at which levels the scans were held."""
    held = ", ".join(f"{f.column} {contrast.within[f.name]}" for f in design.factors if f.name in contrast.within)
    return f"Scans with {held}." if held else ""


def _row(
    names: tuple[str, str, str], outcome: _Outcome, place: str, bound: float | None, settings: StatsSettings
) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS, _NAN)
    row |= {**dict(zip(COLUMNS, names, strict=False)), "model": outcome.model}
    row |= {"n_subjects": 0, "n_scans": 0, "effect_name": _MISSING, "note": outcome.note}
    if outcome.sample is not None:
        row |= {"n_subjects": outcome.sample.n_subjects, "n_scans": outcome.sample.n_scans}
    if outcome.result is None or outcome.sample is None:
        return row
    found, effect = outcome.result, outcome.result.effect
    row |= {
        "estimate": found.estimate, "se": found.standard_error, "ci_low": found.ci_low, "ci_high": found.ci_high,
        "statistic": found.statistic, "df": found.df, "p": found.p, "effect": effect.value,
        "effect_name": effect.name, "effect_ci_low": effect.ci_low, "effect_ci_high": effect.ci_high,
        "bf01": found.bf01,
    }  # fmt: skip
    notes = [place, found.note, _left_out_note(outcome.sample)]
    if np.isfinite(found.p):
        width = bound or settings.equivalence_bound_sd * effect.sd
        row |= {"tost_bound": width, "tost_p": equivalence_p(found.estimate, found.standard_error, found.df, width)}
        notes.append("" if bound else f"Equivalence bound: {settings.equivalence_bound_sd:g} SD.")
    return row | {"note": " ".join(text for text in notes if text)}


def _left_out_note(sample: Sample) -> str:
    n = len(sample.left_out)
    return f"{n} scan{'s' if n > 1 else ''} left out as incomplete." if n else ""


def _adjusted(rows: list[dict[str, Any]], is_primary: list[bool]) -> list[dict[str, Any]]:
    from statsmodels.stats.multitest import multipletests

    for primary, method, words in (
        (True, "holm", "p adjusted by Holm over {} main contrasts."),
        (False, "fdr_bh", "p adjusted by Benjamini-Hochberg over {} further tests."),
    ):
        family = [i for i, row in enumerate(rows) if is_primary[i] is primary and np.isfinite(row["p"])]
        if not family:
            continue
        adjusted = multipletests([rows[i]["p"] for i in family], method=method)[1]
        for i, p in zip(family, adjusted, strict=True):
            note = f"{rows[i]['note']} {words.format(len(family))}".strip() if len(family) > 1 else rows[i]["note"]
            rows[i] = rows[i] | {"p_adjusted": float(p), "note": note}
    return rows


def exclusion_table(
    measurements: "DataFrame",
    design: Design,
    contrasts: Sequence[ContrastSettings] = (),
    settings: StatsSettings | None = None,
) -> "DataFrame":
    """List what was left out: rows that are not included, and scans that a contrast could not use.

    Parameters
    ----------
    measurements : DataFrame
    design : Design
    contrasts : sequence of ContrastSettings
        Empty: those that follow from the design.
    settings : StatsSettings, optional

    Returns
    -------
    DataFrame
        ``participant_id session_id task_id run metabolite analysis reason``; only metabolites and the quantity of the
        design. ``analysis`` is ``all`` or the name of a contrast.
    """
    import pandas as pd

    settings = settings or StatsSettings()
    measurements = measurements if settings.include_doubtful else without_doubtful(measurements)
    design, _ = as_measured(measurements, design)
    found: list[dict[str, str]] = []
    for metabolite in design.metabolites:
        table = measurement_rows(measurements, design, metabolite)
        unused = table[~is_usable(table)]
        for (_, row), included in zip(unused.iterrows(), is_included(unused), strict=True):
            reason = label_or_missing(row.get("reason"))
            if reason == _MISSING:
                reason = "there is no value" if included else "marked as not included"
            found.append({**scan_of(row), "metabolite": metabolite, "analysis": "all", "reason": reason})
    for contrast in resolve_contrasts(design, tuple(contrasts), measurements):
        if contrast.of == "metabolites":
            found += _incomplete(measurements, design, contrast)
    columns = [*SCAN_COLUMNS, "metabolite", "analysis", "reason"]
    table = pd.DataFrame(found, columns=columns)
    return table.sort_values(["analysis", "metabolite", *SCAN_COLUMNS], kind="stable").reset_index(drop=True)


def _incomplete(measurements: "DataFrame", design: Design, contrast: ContrastSettings) -> list[dict[str, str]]:
    found = []
    for metabolite, _, table in _subjects_of(contrast, design, measurements, None):
        table = table.reset_index(drop=True)
        sample = _computed(table, design, contrast, StatsSettings()).sample
        for at, reason in sample.left_out if sample else ():
            place = scan_of(table.loc[at])
            found.append({**place, "metabolite": metabolite, "analysis": contrast.name, "reason": reason})
    return found


def why_no_group_test(
    measurements: "DataFrame", design: Design, contrasts: Sequence[ContrastSettings] = ()
) -> str | None:
    """Say in plain words why nothing could be tested; None when a test of the outcome was possible.

    Parameters
    ----------
    measurements : DataFrame
    design : Design
    contrasts : sequence of ContrastSettings
        Empty: those that follow from the design.

    Returns
    -------
    str or None
    """
    if not design.factors:
        return (
            "The design names neither groups nor conditions, treatments or times, so there is nothing to compare. "
            "Add design.group, design.condition, design.treatment or design.time to the configuration."
        )
    design, _ = as_measured(measurements, design)
    name, quantity = design.outcome.metabolite, design.outcome.quantity
    values = measurement_rows(measurements, design, name)
    if not is_usable(values).any():
        return f"No scan has a usable value of {name} ({quantity}). {reasons_in(values)}".strip()
    table = contrast_table(measurements, design.model_copy(update={"secondary": ()}), contrasts)
    table = table[table["metabolite"] == name]
    if table["p"].notna().any():
        return None
    problems = list(dict.fromkeys(str(note) for note in table["note"]))
    return f"The design compares {_compared(design)}. {' '.join(problems)}"


def _compared(design: Design) -> str:
    words = {"group": "patients ({}) with controls ({})"}
    return " and ".join(words.get(f.name, "{} with {}").format(f.other, f.reference) for f in design.factors)
