"""The table of results: every contrast for every metabolite, what could not be computed with the reason.

Only rows that are included enter. `mrspipe.stats.multiplicity` says which p values are corrected together.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.design import ContrastSettings, Design, StatsSettings
from mrspipe.stats.effects import equivalence_p
from mrspipe.stats.factors import Factor
from mrspipe.stats.identify import run_order_note, what_coincides
from mrspipe.stats.model_columns import covariate_columns, model_data
from mrspipe.stats.models import TestResult, mean_level, mixed_model, paired_test, robust_regression, welch_test
from mrspipe.stats.multiplicity import NOT_ADJUSTED, Family, adjusted
from mrspipe.stats.other_tests import by_ranks, by_resampling, weighted
from mrspipe.stats.questions import resolve_contrasts
from mrspipe.stats.ratings import floor_note
from mrspipe.stats.rows import as_measured, measurement_rows, without_doubtful
from mrspipe.stats.samples import Sample, code_column, codes_of, differences, level_of, per_subject, select

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    *("contrast", "metabolite", "quantity", "model", "n_subjects", "n_scans", "estimate", "se", "ci_low", "ci_high"),
    *("statistic", "df", "p", "p_adjusted", "effect", "effect_name", "effect_ci_low", "effect_ci_high"),
    *("bf01", "tost_p", "tost_bound", "note", "n_reference", "n_other", "n_left_out", "family", "multiplicity"),
)
_NAN = float("nan")
_MISSING = "n/a"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
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
    rows, families = [], []
    for contrast in resolve_contrasts(design, tuple(contrasts), measurements):
        for metabolite, quantity, table in subjects_of(contrast, design, measurements, ratings):
            outcome = computed(table, design, contrast, settings)
            is_rating = contrast.of == "ratings"
            place = " ".join(filter(None, (_place(design, contrast), "" if is_rating else other_quantity)))
            is_outcome = is_rating or metabolite == design.outcome.metabolite
            bound = contrast.equivalence_bound if is_outcome and (is_rating or not other_quantity) else None
            names = (contrast.name, metabolite, quantity)
            rows.append(_row(names, outcome, contrast, design, place, bound, settings))
            families.append(_family(contrast, is_outcome=is_outcome))
    return pd.DataFrame(adjusted(rows, families, settings.multiplicity), columns=list(COLUMNS))


def _family(contrast: ContrastSettings, *, is_outcome: bool) -> Family:
    if contrast.primary and is_outcome:
        return Family("primary", "main contrasts")
    if contrast.of == "ratings" or contrast.check:
        return Family("none", "")
    if is_outcome:
        return Family("secondary", "supporting contrasts")
    return Family("secondary", "other metabolites", contrast.name)


def subjects_of(
    contrast: ContrastSettings, design: Design, measurements: "DataFrame", ratings: "DataFrame | None"
) -> list[tuple[str, str, "DataFrame"]]:
    """Give metabolite, quantity and rows of everything that a contrast is computed for."""
    if contrast.of == "ratings":
        name = design.ratings.name if design.ratings else _MISSING
        return [(_MISSING, name, measurements.iloc[:0] if ratings is None else ratings)]
    chosen = contrast.metabolites or design.metabolites
    return [(name, design.outcome.quantity, measurement_rows(measurements, design, name)) for name in chosen]


def computed(table: "DataFrame", design: Design, contrast: ContrastSettings, settings: StatsSettings) -> Outcome:
    """Compute a contrast, or say why it cannot be."""
    sample = None
    try:
        sample = select(table, design, contrast)
        _refuse_few(sample, contrast, settings)
        outcome = _TESTS[str(contrast.test)](sample, design, contrast, settings)
        sample = outcome.sample or sample
        _refuse_few(sample, contrast, settings)
    except AnalysisError as error:
        return Outcome(_MODELS[str(contrast.test)], sample, None, error.message)
    return outcome


def sample_of(table: "DataFrame", design: Design, contrast: ContrastSettings, settings: StatsSettings) -> Sample | None:
    """Give the scans that a contrast uses, without fitting a model; None where it cannot have any."""
    if contrast.test != "mixed":
        return computed(table, design, contrast, settings).sample
    sample = None
    try:
        sample = select(table, design, contrast)
        return model_data(sample, design)[1]
    except AnalysisError:
        return sample


def _refuse_few(sample: Sample, contrast: ContrastSettings, settings: StatsSettings) -> None:
    """Each combination of the levels that are compared needs participants."""
    compared = _compared(sample, contrast)
    for codes in itertools.product((-0.5, 0.5), repeat=len(compared)):
        n = sample.n_at({factor.name: code for factor, code in zip(compared, codes, strict=True)})
        if compared and n < settings.min_per_group:
            place = " and ".join(f"{f.column} {level_of(f, code)}" for f, code in zip(compared, codes, strict=True))
            who = f"{'Only ' if n else ''}{n or 'No'} participant{'' if n == 1 else 's'}"
            has = f"{'has' if n == 1 else 'have'} usable scans with {place}"
            text = f"{who} {has}; at least {settings.min_per_group} are asked for (stats.min_per_group)."
            raise AnalysisError(text, code="too-few")


def _compared(sample: Sample, contrast: ContrastSettings) -> list[Factor]:
    return [sample.factor(name) for name in contrast.compare or ()]


def _welch(sample: Sample, design: Design, contrast: ContrastSettings, settings: StatsSettings) -> Outcome:
    """Compare two groups: participants' means or, with a factor within participants, their changes."""
    compared = sorted(_compared(sample, contrast), key=lambda factor: not factor.is_between)
    within = compared[1] if len(compared) > 1 else None
    table, sample = per_subject(sample, within, complete=contrast.complete)
    codes = codes_of(sample, table, compared[0])
    values = differences(table) if within else table.mean(axis=1).to_numpy()
    result = welch_test(
        values[codes > 0], values[codes < 0], confidence=settings.confidence, jzs_scale=settings.jzs_scale
    )
    return Outcome(_MODELS["welch"] + (" of the changes" if within else ""), sample, result)


def _ancova(sample: Sample, design: Design, contrast: ContrastSettings, settings: StatsSettings) -> Outcome:
    (factor,) = _compared(sample, contrast)
    _, sample = per_subject(sample, None, complete=contrast.complete)
    covariates, sample, note = covariate_columns(sample, design.covariates)
    _refuse_few(sample, contrast, settings)
    table, sample = per_subject(sample, None, complete=contrast.complete)
    codes = codes_of(sample, table, factor)
    if said := what_coincides({f"the {factor.name}": codes, **covariates}):
        raise AnalysisError(f"{said[0].upper()}{said[1:]}.", code="rank")
    values = table.mean(axis=1).to_numpy()
    result = robust_regression(values, codes, covariates, confidence=settings.confidence)
    model = f"linear regression: {factor.name} + {' + '.join(design.covariates)}; HC3 errors, t test"
    return Outcome(model, sample, replace(result, note=note))


def _paired(sample: Sample, design: Design, contrast: ContrastSettings, settings: StatsSettings) -> Outcome:
    (factor,) = _compared(sample, contrast)
    table, sample = per_subject(sample, factor, complete=contrast.complete)
    result = paired_test(differences(table), confidence=settings.confidence, jzs_scale=settings.jzs_scale)
    return Outcome(_MODELS["paired"], sample, result)


def _mixed(sample: Sample, design: Design, contrast: ContrastSettings, settings: StatsSettings) -> Outcome:
    data, sample = model_data(sample, design, random_condition=settings.random_condition)
    model = mixed_model(data.y, data.columns, data.groupings)
    random = " + ".join(f"(1 | {name})" for name in model.random) or "no random effect"
    column = ":".join(factor.name for factor in sample.factors if factor.name in (contrast.compare or ()))
    result = model.test(column, confidence=settings.confidence)
    if "treatment" in (contrast.compare or ()) and not design.period:
        note = f"The design names no period: a difference between the visits is not in the model. {result.note}"
        result = replace(result, note=note.strip())
    if thin := _thin_levels(sample, contrast, settings):
        result = replace(result, note=f"{thin} {result.note}".strip())
    return Outcome(f"mixed model: {data.formula} + {random}; REML, Kenward-Roger", sample, result)


def _thin_levels(sample: Sample, contrast: ContrastSettings, settings: StatsSettings) -> str:
    """Say which levels that are averaged over, with equal weights, hardly anybody has: too much rests on those."""
    said = []
    for factor in (one for one in sample.factors if one.name not in (contrast.compare or ())):
        for code in sorted(set(sample.rows[code_column(factor)])):
            n = sample.n_at({factor.name: code})
            if n < settings.min_per_group:
                said.append(f"{n} with {factor.column} {level_of(factor, code)}")
    return f"Averaged over levels that few participants have ({', '.join(said)}): not to be relied on." if said else ""


def _mean(sample: Sample, design: Design, contrast: ContrastSettings, settings: StatsSettings) -> Outcome:
    table, sample = per_subject(sample, None)
    result = mean_level(table.mean(axis=1).to_numpy(), confidence=settings.confidence)
    return Outcome(_MODELS["mean"], sample, replace(result, note="There is nothing to compare with: no test."))


def _other(test: Callable[[Sample, ContrastSettings, StatsSettings], tuple[str, Sample, TestResult]]) -> "_Test":
    def computed_by(sample: Sample, _: Design, contrast: ContrastSettings, settings: StatsSettings) -> Outcome:
        return Outcome(*test(sample, contrast, settings))

    return computed_by


_Test = Callable[[Sample, Design, ContrastSettings, StatsSettings], Outcome]
_TESTS: Mapping[str, _Test] = {
    "welch": _welch,
    "ancova": _ancova,
    "paired": _paired,
    "mixed": _mixed,
    "mean": _mean,
    "ranks": _other(by_ranks),
    "resampling": _other(by_resampling),
    "weighted": _other(weighted),
}
_MODELS = {
    "welch": "Welch t test",
    "ancova": "linear regression with covariates; HC3 errors, t test",
    "paired": "paired t test",
    "mixed": "mixed model; REML, Kenward-Roger",
    "mean": "mean",
    "ranks": "rank test",
    "resampling": "resampling test",
    "weighted": "weighted by standard errors",
}


def _place(design: Design, contrast: ContrastSettings) -> str:
    """Say at which levels the scans were held."""
    held = ", ".join(f"{f.column} {contrast.within[f.name]}" for f in design.factors if f.name in contrast.within)
    return f"Scans with {held}." if held else ""


def _row(
    names: tuple[str, str, str],
    outcome: Outcome,
    contrast: ContrastSettings,
    design: Design,
    place: str,
    bound: float | None,
    settings: StatsSettings,
) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS, _NAN)
    row |= {**dict(zip(COLUMNS, names, strict=False)), "model": outcome.model, "multiplicity": NOT_ADJUSTED}
    row |= {"n_subjects": 0, "n_scans": 0, "n_left_out": 0, "effect_name": _MISSING, "note": outcome.note}
    if outcome.sample is not None:
        row |= _counts(outcome.sample, contrast)
    if outcome.result is None or outcome.sample is None:
        return row
    found, effect = outcome.result, outcome.result.effect
    row |= {
        "estimate": found.estimate, "se": found.standard_error, "ci_low": found.ci_low, "ci_high": found.ci_high,
        "statistic": found.statistic, "df": found.df, "p": found.p, "effect": effect.value,
        "effect_name": effect.name, "effect_ci_low": effect.ci_low, "effect_ci_high": effect.ci_high,
        "bf01": found.bf01,
    }  # fmt: skip
    floor = floor_note(outcome.sample, contrast, design.ratings) if contrast.of == "ratings" and design.ratings else ""
    order = [run_order_note(outcome.sample.rows, factor) for factor in _compared(outcome.sample, contrast)]
    notes = [place, found.note, *order, floor, _left_out_note(outcome.sample)]
    if np.isfinite(found.standard_error) and np.isfinite(found.p):
        width = bound or settings.equivalence_bound_sd * effect.sd
        row |= {"tost_bound": width, "tost_p": equivalence_p(found.estimate, found.standard_error, found.df, width)}
        notes.append("" if bound else f"Equivalence bound: {settings.equivalence_bound_sd:g} SD.")
    return row | {"note": " ".join(text for text in notes if text)}


def _counts(sample: Sample, contrast: ContrastSettings) -> dict[str, float]:
    """Participants and scans; the two sides are those of the factor between participants, if one is compared."""
    counts: dict[str, float] = {
        "n_subjects": sample.n_subjects,
        "n_scans": sample.n_scans,
        "n_left_out": sample.n_left_out,
    }
    compared = sorted(_compared(sample, contrast), key=lambda factor: not factor.is_between)
    if compared:
        reference, other = (sample.n_at({compared[0].name: code}) for code in (-0.5, 0.5))
        counts |= {"n_reference": reference, "n_other": other}
    return counts


def _left_out_note(sample: Sample) -> str:
    n = len(sample.left_out)
    return f"{n} scan{'s' if n > 1 else ''} left out as incomplete." if n else ""
