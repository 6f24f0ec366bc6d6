"""Our estimates beside those of other programs: agreement, and the study's contrasts under each.

Values are compared scan by scan, and only where both are the same quantity. Scans that were left out of the group
analysis are left out here too. The contrasts use the same scans for both programs, so that they differ by the
estimates alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe import __version__
from mrspipe.config import StudyConfig, load_config
from mrspipe.core.errors import AnalysisError, InputError
from mrspipe.core.results import Failure
from mrspipe.io.bids import find_scans
from mrspipe.io.columns import CONTRASTS, MEASUREMENTS, Descriptions
from mrspipe.io.derivatives import results_exist
from mrspipe.io.engine_results import EngineSpectrum
from mrspipe.io.manifest import write_manifest
from mrspipe.io.tables import read_json, read_table, table_of, write_table
from mrspipe.pipeline.engine_values import (
    OURS,
    SAME_NAME,
    check_sources,
    engine_values,
    given_labels,
    placed,
    read_results,
    scans_of,
    side_by_side,
)
from mrspipe.pipeline.lcmodel_run import TIMEOUT_S, run_lcmodel
from mrspipe.pipeline.marks import of_measurements
from mrspipe.report.compare_page import ComparePage, EngineSection, Pairs, write_compare_page
from mrspipe.report.content import QUANTITIES
from mrspipe.stats.agreement import Agreement, Interval, agreement
from mrspipe.stats.contrasts import contrast_table
from mrspipe.stats.questions import resolve_contrasts
from mrspipe.stats.rows import as_measured

if TYPE_CHECKING:
    from pandas import DataFrame

_ERRORS = ("se_fit", "se_own", "se_shared", "se_total")
_REPEATED = "Some participants have several scans: the intervals of ICC and correlations take scans as independent."

_VALUES: Descriptions = {
    "engine": "Program that the values are from.",
    **{name: MEASUREMENTS[name] for name in ("participant_id", "session_id", "task_id", "run")},
    "metabolite": MEASUREMENTS["metabolite"],
    "quantity": "What value is, as in group/measurements.tsv; engine_units are the program's own and not compared.",
    "value": "The value, in the unit of quantity.",
    "crlb_pct": "Relative error as the program gives it, in percent.",
    "included": "false when the scan is left out of the group analysis.",
    "file": "File that the value was read from.",
}
_INTERVALS = {
    "difference": "Mean of the program's value minus ours, in the unit of quantity",
    "limit_low": "Lower limit of agreement (Bland and Altman)",
    "limit_high": "Upper limit of agreement (Bland and Altman)",
    "slope": "Slope of the difference on the mean of both: proportional bias",
    "icc_2_1": "Intraclass correlation of absolute agreement, ICC(2,1)",
    "icc_3_1": "Intraclass correlation of consistency, ICC(3,1)",
    "concordance": "Lin's concordance correlation",
    "pearson": "Pearson's correlation",
}
_AGREEMENT: Descriptions = {
    "engine": "Program that is compared with mrspipe.",
    "metabolite": MEASUREMENTS["metabolite"],
    "quantity": MEASUREMENTS["quantity"],
    "n": "Scans that have a value of both.",
    "n_subjects": "Participants of these scans.",
    "mean_mrspipe": "Mean of our values.",
    "mean_engine": "Mean of the program's values.",
    "sd_difference": "Standard deviation of a difference.",
    **{
        f"{name}{ending}": f"{text}{words}."
        for name, text in _INTERVALS.items()
        for ending, words in (("", ""), ("_ci_low", ": lower end of its interval"), ("_ci_high", ": upper end"))
    },
    "note": "What to know about this row, or why it could not be computed.",
}
_UNMATCHED: Descriptions = {
    "engine": "Program.",
    "file": "Its file, with the row where it has several; n/a for a scan without a result.",
    "scan": "The scan without a result; n/a for a file without a scan.",
    "reason": "Why they do not come together.",
}


@dataclass(frozen=True, slots=True, eq=False)
class CompareSummary:
    """What a comparison found.

    Parameters
    ----------
    agreement : list of dict
        Rows of ``agreement.tsv``.
    unmatched : list of dict
        Rows of ``unmatched.tsv``.
    main : tuple of (metabolite, quantity)
        Outcomes of the study's design, as they were compared, for each engine in turn.
    failures : tuple of Failure
        Scans that LCModel failed on.
    page : Path
    """

    agreement: list[dict[str, Any]]
    unmatched: list[dict[str, Any]]
    main: tuple[tuple[str, str], ...]
    failures: tuple[Failure, ...]
    page: Path


def compare_engines(
    out_dir: Path,
    sources: Sequence[tuple[str, Path]],
    *,
    match: Path | None = None,
    lcmodel: Path | None = None,
    timeout_s: float = TIMEOUT_S,
    n_procs: int | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> CompareSummary:
    """Compare an analysed study with results of other programs; writes the folder ``compare``.

    Parameters
    ----------
    out_dir : Path
        Results of ``mrspipe run``.
    sources : sequence of (name, path)
        A name of `ENGINES` and its folder, or table.
    match : Path, optional
        Table of ``file``, ``row`` and BIDS labels, for files whose path does not name their scan.
    lcmodel : Path, optional
        LCModel's executable, which is run on every scan first.
    timeout_s : float, optional
        For one spectrum in LCModel, in s.
    n_procs : int, optional
    progress : callable, optional

    Raises
    ------
    MrspipeError
        There are no results, or nothing to compare with.
    """
    config = _config(out_dir, n_procs)
    failures: tuple[Failure, ...] = ()
    if lcmodel is not None:
        folder = out_dir / "compare" / "lcmodel"
        failures = _run_lcmodel(out_dir, config, lcmodel, folder, timeout_s, progress)
        sources = [*sources, ("lcmodel", folder)]
    check_sources(sources)
    ours = read_table(out_dir / "group" / "measurements.tsv")
    scans = scans_of(ours)
    given = given_labels(match)
    values, unmatched, engines = [_our_values(ours)], [], []
    for name, path in sources:
        label = path.stem if name == "tsv" else name
        found, lost = placed(label, read_results(name, path, config), path, scans, given)
        unmatched += lost
        engines.append((label, found))
        values += engine_values(label, found, ours, scans)
    _write_values(out_dir, values)
    write_table(out_dir / "compare" / "unmatched.tsv", table_of(unmatched, _UNMATCHED), _UNMATCHED)
    sections, rows, contrasts = [], [], []
    for label, found in engines:
        both = side_by_side(ours, scans, found)
        agreeing = _agreement_rows(label, both)
        rows += [row for row, _ in agreeing]
        table = _contrasts(label, both, config)
        contrasts.append(table)
        sections.append(_section(label, found, both, agreeing, table, config, unmatched))
    write_table(out_dir / "compare" / "agreement.tsv", table_of(rows, _AGREEMENT), _AGREEMENT)
    _write_contrasts(out_dir, contrasts)
    page = out_dir / "compare" / "compare.html"
    title = config.title or "Comparison with other programs"
    write_compare_page(page, ComparePage(title, tuple(sections), __version__))
    written = [path for path in (out_dir / "compare").rglob("*") if path.is_file()]
    write_manifest(out_dir, "compare", of_measurements(out_dir, config), sorted(written))
    main = tuple(pair for section in sections for pair in section.main)
    return CompareSummary(rows, unmatched, main, failures, page)


def _config(out_dir: Path, n_procs: int | None) -> StudyConfig:
    from mrspipe.config import with_settings

    if not (out_dir / "config.toml").is_file():
        raise InputError(
            "There are no results of mrspipe run here.",
            where=str(out_dir),
            cure="Give the folder that mrspipe run wrote to.",
            code="no-results",
        )
    config = load_config(out_dir / "config.toml")
    return config if n_procs is None else with_settings(config, "engine", n_procs=n_procs)


def _run_lcmodel(
    out_dir: Path,
    config: StudyConfig,
    binary: Path,
    folder: Path,
    timeout_s: float,
    progress: Callable[[str, int, int], None],
) -> tuple[Failure, ...]:
    known = read_json(out_dir / "provenance.json")
    files = find_scans((out_dir / known["Source"]).resolve())
    analysed = [scan for scan in files.scans if results_exist(out_dir, scan.key)]
    return run_lcmodel(out_dir, analysed, config, binary, folder=folder, timeout_s=timeout_s, progress=progress)


def _our_values(ours: "DataFrame") -> "DataFrame":
    return ours.assign(engine=OURS, file="group/measurements.tsv")


def _write_values(out_dir: Path, values: Sequence["DataFrame"]) -> None:
    import pandas as pd

    table = pd.concat([one.astype(object) for one in values], ignore_index=True)
    names = [name for name in (*_VALUES, *SAME_NAME) if name in table]
    write_table(out_dir / "compare" / "measurements.tsv", table[list(dict.fromkeys(names))], _VALUES)


def _agreement_rows(label: str, both: "DataFrame") -> list[tuple[dict[str, Any], Pairs | None]]:
    rows: list[tuple[dict[str, Any], Pairs | None]] = []
    compared = both[np.isfinite(both["engine_value"])]
    for metabolite, quantity in dict.fromkeys(zip(compared["metabolite"], compared["quantity"], strict=True)):
        if (metabolite, quantity) == ("tCr", "ratio_tcr"):
            continue  # 1 by definition.
        chosen = both["is_common"] & (both["metabolite"] == metabolite) & (both["quantity"] == quantity)
        used = both[chosen]
        mine, theirs = used["value"].to_numpy(float), used["engine_value"].to_numpy(float)
        row: dict[str, Any] = {"engine": label, "metabolite": metabolite, "quantity": quantity, "n": len(used)}
        row |= {"n_subjects": used["participant_id"].nunique()}
        try:
            found = agreement(theirs, mine, used["participant_id"].tolist())
        except AnalysisError as error:
            rows.append((row | {"note": error.message}, None))
            continue
        row |= {"mean_mrspipe": mine.mean(), "mean_engine": theirs.mean(), "sd_difference": found.sd}
        row |= _intervals(found) | {"note": _REPEATED if found.n > found.n_subjects else ""}
        rows.append((row, Pairs(metabolite, quantity, mine, theirs, found)))
    return rows


def _intervals(found: Agreement) -> dict[str, float]:
    by_name: dict[str, Interval] = {
        "difference": found.difference,
        "limit_low": found.lower,
        "limit_high": found.upper,
        "slope": found.slope,
        "icc_2_1": found.icc_agreement,
        "icc_3_1": found.icc_consistency,
        "concordance": found.concordance,
        "pearson": found.pearson,
    }
    columns: dict[str, float] = {}
    for name, one in by_name.items():
        columns |= {name: one.value, f"{name}_ci_low": one.low, f"{name}_ci_high": one.high}
    return columns


def _contrasts(label: str, both: "DataFrame", config: StudyConfig) -> "DataFrame":
    """The study's contrasts by our values and by the program's, from the same scans."""
    import pandas as pd

    asked = tuple(one for one in resolve_contrasts(config.design, config.contrast) if one.of == "metabolites")
    if not asked or not both["is_common"].any():
        return pd.DataFrame()
    ours = both.assign(included=both["is_common"])
    blank = {name: np.nan for name in _ERRORS if name in both}
    theirs = ours.assign(value=both["engine_value"], **blank)
    tables = []
    for engine, table in ((OURS, ours), (label, theirs)):
        found = contrast_table(table.drop(columns=["engine_value", "is_common"]), config.design, asked, config.stats)
        found.insert(0, "engine", engine)
        found.insert(0, "compared_with", label)
        tables.append(found.astype(object))
    return pd.concat(tables, ignore_index=True)


def _write_contrasts(out_dir: Path, tables: Sequence["DataFrame"]) -> None:
    import pandas as pd

    columns: Descriptions = {
        "compared_with": "The other program: only scans that it and mrspipe have a value of are used.",
        "engine": "Program whose values the contrast is of.",
        **CONTRASTS,
    }
    found = [table for table in tables if len(table)]
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(columns))
    write_table(out_dir / "compare" / "contrasts.tsv", table, columns)


def _section(
    label: str,
    found: Mapping[int, EngineSpectrum],
    both: "DataFrame",
    agreeing: Sequence[tuple[dict[str, Any], Pairs | None]],
    contrasts: "DataFrame",
    config: StudyConfig,
    unmatched: Sequence[Mapping[str, Any]],
) -> EngineSection:
    design, other_quantity = as_measured(both.assign(included=both["is_common"]), config.design)
    quantity = design.outcome.quantity
    wanted = [(name, quantity) for name in design.metabolites]
    rows = {(row["metabolite"], row["quantity"]): (row, pairs) for row, pairs in agreeing}
    main = tuple(place for place in wanted if place in rows and rows[place][1] is not None)
    notes = list(dict.fromkeys(spectrum.note for spectrum in found.values() if spectrum.note))
    if other_quantity:
        wish = QUANTITIES.get(config.design.outcome.quantity, (config.design.outcome.quantity,))[0].lower()
        notes.append(f"{label} has no {wish}; ratios to total creatine are compared instead.")
    return EngineSection(
        engine=label,
        n_scans=len(found),
        rows=tuple(row for row, _ in agreeing),
        main=main,
        pairs=tuple(pairs for place in main if (pairs := rows[place][1]) is not None),
        contrasts=contrasts,
        outcome=(design.outcome.metabolite, quantity),
        questions={one.name: one.question for one in resolve_contrasts(config.design, config.contrast)},
        notes=tuple(notes),
        unmatched=tuple(row for row in unmatched if row["engine"] == label),
    )
