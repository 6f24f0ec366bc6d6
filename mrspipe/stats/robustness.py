"""The same contrast under every reasonable choice: a specification curve.

A result that hangs on one choice is worth less than one that does not. Each choice differs from the study's main
analysis in one thing; leaving out one participant at a time is listed beside them.

References
----------
.. [1] Simonsohn, Simmons and Nelson 2020, doi 10.1038/s41562-020-0912-z
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.stats.contrasts import computed
from mrspipe.stats.design import ContrastSettings, Design, RobustnessSettings, StatsSettings
from mrspipe.stats.questions import compares_changes, resolve_contrasts
from mrspipe.stats.rows import SCAN_COLUMNS, as_measured, is_included, is_usable, measurement_rows, without_doubtful
from mrspipe.stats.samples import SUBJECT, Sample

if TYPE_CHECKING:
    from pandas import DataFrame

MAIN = "main"
_NUMBERS = ("n_subjects", "n_scans", "estimate", "se", "ci_low", "ci_high", "effect", "p")
COLUMNS = (
    *("contrast", "metabolite", "quantity", "kind", "choice", *_NUMBERS, "keeps_sign", "is_significant", "note"),
)
SUMMARY_COLUMNS = (
    *("contrast", "n_choices", "n_computed", "n_keep_sign", "n_significant", "lowest_effect", "highest_effect"),
    *("n_left_out", "n_left_out_keep_sign", "n_left_out_significant"),
)
_LEAVE_ONE_OUT, _SCANS = "leave one out", "scans"
# Adjusted for one at a time: tissue, and the line width, which can pass for a difference of concentration.
_MEASURED_COVARIATES = ("gm_fraction", "fwhm_hz")
# Factors whose levels each participant has only one of.
_BETWEEN = frozenset({"group", "arm", "sequence"})
_OTHER_TESTS = {"ranks": "rank test", "resampling": "resampling test", "weighted": "weighted by standard errors"}
# Relative bound of Cramer and Rao above which some leave values out, in %.
_CRLB_PCT = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Specification:
    """One choice: what differs from the main analysis."""

    kind: str
    choice: str
    measurements: "DataFrame"
    design: Design
    contrast: ContrastSettings
    settings: StatsSettings


def robustness_table(
    measurements: "DataFrame",
    alternatives: "DataFrame",
    design: Design,
    contrasts: Sequence[ContrastSettings],
    settings: StatsSettings,
    choices: RobustnessSettings,
) -> "DataFrame":
    """Compute the outcome's contrasts under every choice.

    Parameters
    ----------
    measurements : DataFrame
        As for `mrspipe.stats.contrasts.contrast_table`.
    alternatives : DataFrame
        Values under other choices: ``participant_id session_id task_id run kind choice metabolite quantity value``.
        May be empty.
    design : Design
    contrasts : sequence of ContrastSettings
        Empty: those that follow from the design. Contrasts of ratings are left out.
    settings : StatsSettings
    choices : RobustnessSettings

    Returns
    -------
    DataFrame
        One row a contrast and choice, that of the main analysis first. ``keeps_sign`` and ``is_significant`` compare
        the estimate's sign with the main one's, and p with ``alpha``; no correction for the number of tests. What
        could not be computed is missing, with a note.
    """
    import pandas as pd

    design, _ = as_measured(measurements, design)
    design = design.model_copy(update={"secondary": ()})
    if "metabolite" in measurements:
        measurements = measurements[measurements["metabolite"].astype(str) == design.outcome.metabolite]
    rows = []
    for contrast in resolve_contrasts(design, tuple(contrasts), measurements):
        if contrast.of != "metabolites" or not contrast.compare:
            continue
        if contrast.metabolites and design.outcome.metabolite not in contrast.metabolites:
            continue
        contrast = contrast.model_copy(update={"metabolites": ()})
        start = Specification(MAIN, MAIN, measurements, design, contrast, settings)
        main, sample = _computed(start)
        of_contrast = [main]
        for one in _specifications(start, sample, alternatives, choices):
            row, _ = _computed(one)
            # A rule that leaves out no scan of this contrast is no other choice.
            if one.kind != _SCANS or any(row[name] != main[name] for name in ("n_scans", "estimate", "se")):
                of_contrast.append(row)
        rows += [_compared(row, main, settings.alpha) for row in of_contrast]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def robustness_summary(table: "DataFrame") -> "DataFrame":
    """Count, for each contrast, the choices that keep sign and significance; the main analysis is not counted.

    Parameters
    ----------
    table : DataFrame
        Of `robustness_table`.
    """
    import pandas as pd

    rows = []
    for name, of_contrast in table.groupby("contrast", sort=False):
        computed = of_contrast[of_contrast["estimate"].notna()]
        is_left_out = computed["kind"] == _LEAVE_ONE_OUT
        chosen, left_out = computed[~is_left_out & (computed["kind"] != MAIN)], computed[is_left_out]
        asked = of_contrast[~of_contrast["kind"].isin([MAIN, _LEAVE_ONE_OUT])]
        counts = [len(asked), len(chosen), chosen["keeps_sign"].sum(), chosen["is_significant"].sum()]
        range_ = [chosen["effect"].min(), chosen["effect"].max()]
        others = [len(left_out), left_out["keeps_sign"].sum(), left_out["is_significant"].sum()]
        rows.append([name, *counts, *range_, *others])
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def _specifications(
    start: Specification, sample: Sample | None, alternatives: "DataFrame", choices: RobustnessSettings
) -> Iterator[Specification]:
    """Give every choice but the main one, of which `sample` is what it used."""
    yield from _other_values(start, alternatives)
    yield from _other_rules(start)
    yield from _other_models(start)
    if choices.leave_one_out and start.contrast.primary and sample is not None:
        yield from _without_each(start, sample)


def _changed(start: Specification, kind: str, choice: str, **changes: Any) -> Specification:
    fields = {name: getattr(start, name) for name in ("measurements", "design", "contrast", "settings")}
    return Specification(kind, choice, **{**fields, **changes})


def _other_values(start: Specification, alternatives: "DataFrame") -> Iterator[Specification]:
    """Other quantities that were measured, other constants, other fits."""
    outcome = start.design.outcome
    measured = start.measurements
    for quantity in dict.fromkeys(measured.get("quantity", ())):
        if quantity != outcome.quantity:
            design = _in_quantity(start.design, quantity)
            if is_usable(measurement_rows(measured, design, outcome.metabolite)).any():
                yield _changed(start, "quantity", quantity, design=design)
    if alternatives.empty:
        return
    mine = alternatives[alternatives["metabolite"].astype(str) == outcome.metabolite]
    for (kind, choice, quantity), values in mine.groupby(["kind", "choice", "quantity"], sort=False):
        # A way to fit or a constant is judged in the quantity of the main analysis.
        if kind == "quantity" or quantity == outcome.quantity:
            replaced = _with_values(measurement_rows(measured, start.design, outcome.metabolite), values)
            design = _in_quantity(start.design, str(quantity))
            replaced = replaced.assign(quantity=str(quantity))
            yield _changed(start, str(kind), str(choice), measurements=replaced, design=design)


def _in_quantity(design: Design, quantity: str) -> Design:
    return design.model_copy(update={"outcome": design.outcome.model_copy(update={"quantity": quantity})})


def _with_values(rows: "DataFrame", values: "DataFrame") -> "DataFrame":
    """Put other values in place of the outcome's, scan by scan; a scan without one has none."""
    keys = [name for name in SCAN_COLUMNS if name in rows.columns and name in values.columns]
    by_scan = dict(zip(_scans(values, keys), values["value"], strict=True))
    return rows.assign(value=[by_scan.get(scan, float("nan")) for scan in _scans(rows, keys)])


def _scans(table: "DataFrame", keys: list[str]) -> list[tuple[str, ...]]:
    return list(table[keys].astype(str).itertuples(index=False, name=None))


def _other_rules(start: Specification) -> Iterator[Specification]:
    """Other rules of which scans enter."""
    measured = start.measurements
    doubtful = not start.settings.include_doubtful
    words = "with doubtful scans" if doubtful else "without doubtful scans"
    if "verdict" in measured and (measured["verdict"] == "doubtful").any():
        changed = start.settings.model_copy(update={"include_doubtful": doubtful})
        yield _changed(start, _SCANS, words, settings=changed)
    if "included" in measured and "verdict" in measured:
        unusable = (measured["verdict"] == "unusable") & measured["value"].notna()
        everything = measured.assign(included=is_included(measured) | unusable)
        yield _changed(start, _SCANS, "without any rule of quality", measurements=everything)
    if "crlb_pct" in measured and "included" in measured:
        limited = measured.assign(included=is_included(measured) & ~(measured["crlb_pct"] > _CRLB_PCT))
        yield _changed(start, _SCANS, f"only CRLB up to {_CRLB_PCT:g} %", measurements=limited)


def _other_models(start: Specification) -> Iterator[Specification]:
    """Other covariates, and the other test for the same question."""
    contrast, design = start.contrast, start.design
    if contrast.compare in (("group",), ("arm",)):
        own = design.covariates if contrast.test == "ancova" else ()
        for names in dict.fromkeys(((), *((name,) for name in _MEASURED_COVARIATES), design.covariates)):
            known = all(name in start.measurements for name in names)
            if known and set(own) != set(names):
                test = "ancova" if names else "welch"
                changed = contrast.model_copy(update={"test": test})
                words = f"adjusted for {', '.join(names)}" if names else "without covariates"
                adjusted = design.model_copy(update={"covariates": names})
                yield _changed(start, "model", words, design=adjusted, contrast=changed)
    if contrast.test in {"welch", "paired"} and len(contrast.compare or ()) == 1:
        for test, words in _OTHER_TESTS.items():
            yield _changed(start, "model", words, contrast=contrast.model_copy(update={"test": test}))
    other = {"paired": "mixed", "mixed": "paired"}.get(str(contrast.test))
    if contrast.test == "mixed" and compares_changes(contrast):
        yield _changed(
            start, "model", "Welch test of the changes", contrast=contrast.model_copy(update={"test": "welch"})
        )
    within = [name for name in contrast.compare or () if name not in _BETWEEN]
    if other and len(within) == len(contrast.compare or ()) == 1:
        words = "mixed model" if other == "mixed" else "paired test"
        yield _changed(start, "model", words, contrast=contrast.model_copy(update={"test": other}))


def _without_each(start: Specification, sample: Sample) -> Iterator[Specification]:
    rows = measurement_rows(start.measurements, start.design, start.design.outcome.metabolite)
    for name in sorted(set(sample.rows[SUBJECT])):
        kept = rows[rows[start.design.subject].astype(str) != name]
        yield _changed(start, _LEAVE_ONE_OUT, f"without {name}", measurements=kept)


def _computed(one: Specification) -> tuple[dict[str, Any], Sample | None]:
    outcome = one.design.outcome
    measured = one.measurements if one.settings.include_doubtful else without_doubtful(one.measurements)
    found = computed(measurement_rows(measured, one.design, outcome.metabolite), one.design, one.contrast, one.settings)
    row: dict[str, Any] = {"kind": one.kind, "choice": one.choice, "contrast": one.contrast.name}
    row |= {"metabolite": outcome.metabolite, "quantity": outcome.quantity, **dict.fromkeys(_NUMBERS, float("nan"))}
    row |= {"n_subjects": 0, "n_scans": 0, "note": found.note}
    if found.sample is not None:
        row |= {"n_subjects": found.sample.n_subjects, "n_scans": found.sample.n_scans}
    if found.result is None:
        return row, found.sample
    result = found.result
    row |= {"estimate": result.estimate, "se": result.standard_error, "effect": result.effect.value, "p": result.p}
    row["effect_name"] = result.effect.name
    return row | {"ci_low": result.ci_low, "ci_high": result.ci_high}, found.sample


def _compared(row: dict[str, Any], main: dict[str, Any], alpha: float) -> dict[str, Any]:
    is_known = bool(np.isfinite(row["estimate"]))
    # Effects of another kind, such as a rank correlation, are no points of the same scale.
    alike = row.get("effect_name") == main.get("effect_name")
    row = {**row, "effect": row["effect"] if alike else float("nan"), "note": "" if is_known else row["note"]}
    keeps = bool(np.sign(row["estimate"]) == np.sign(main["estimate"])) if np.isfinite(main["estimate"]) else None
    is_significant = bool(row["p"] < alpha) if np.isfinite(row["p"]) else None
    return {**row, "keeps_sign": keeps if is_known else None, "is_significant": is_significant}
