"""Statistics and pages of a study again from what is in its output folder; the raw data need not be there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from mrspipe.config import StudyConfig, config_toml, load_config
from mrspipe.core.errors import InputError
from mrspipe.core.results import Failure
from mrspipe.engine import Progress, Workers
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.bids import ScanFiles, StudyFiles, find_scans
from mrspipe.io.derivatives import results_exist
from mrspipe.io.file_hashes import FileHashes
from mrspipe.io.locks import locked
from mrspipe.io.manifest import read_entry, write_manifest
from mrspipe.io.rows import keys_of
from mrspipe.io.tables import read_json, read_table
from mrspipe.pipeline.group import Comparison, read_comparison
from mrspipe.pipeline.labels import refuse_labels_not_in
from mrspipe.pipeline.outputs import Outputs, results_of
from mrspipe.pipeline.pages import (
    BLIND_DIR,
    Pages,
    blinded_study,
    study_parts,
    write_blinded_page,
    write_checklist,
    write_study_page,
    write_subject_pages,
    write_words,
)
from mrspipe.pipeline.preflight import notes_of_scans, read_checks
from mrspipe.pipeline.request import StudySummary
from mrspipe.pipeline.study import compared, tables_of
from mrspipe.pipeline.study_facts import study_facts
from mrspipe.pipeline.tables import failures_of
from mrspipe.pipeline.words import procedures


def compare_again(out_dir: Path, config: str | None) -> StudySummary:
    """Compare the groups of an analysed study again from its tables, and write the page of the study.

    Parameters
    ----------
    out_dir : Path
        Results of an earlier run.
    config : str or None
        Another configuration; by default that of the run.

    Raises
    ------
    MrspipeError
        There are no results, or the configuration is wrong.
    """
    _check_results(out_dir)
    settings = load_config(config or out_dir / "config.toml")
    if config is not None:
        # The pages are made from what is written here.
        before = load_config(out_dir / "config.toml")
        kept = {name: getattr(settings, name) for name in ("design", "contrast", "stats", "robustness")}
        settings = before.model_copy(update=kept | {"title": settings.title or before.title})
    table = out_dir / "group" / "measurements.tsv"
    refuse_labels_not_in(read_table(table), settings.design, where=str(table))
    with locked(out_dir, None):
        if config is not None:
            _write_settings(out_dir, settings)
        outputs = Outputs(out_dir, FileHashes())
        return _described_again(outputs, settings, compared(outputs, settings), lambda *_: None, anew=False)


def report_again(out_dir: Path, progress: Progress = lambda *_: None, *, blind: bool = False) -> StudySummary:
    """Write the pages of an analysed study again; nothing is computed.

    Without the raw data, which the pages of the subjects show, only the page of the study is written.

    Parameters
    ----------
    out_dir : Path
    progress : callable, optional
    blind : bool, optional
        Write them without what tells the groups apart, into the folder ``blind``.

    Raises
    ------
    MrspipeError
        There are no results.
    """
    _check_results(out_dir)
    settings = load_config(out_dir / "config.toml")
    with locked(out_dir, None):
        outputs = Outputs(out_dir, FileHashes())
        comparison = read_comparison(out_dir, settings)
        return _described_again(outputs, settings, comparison, progress, anew=True, blind=blind)


def _check_results(out_dir: Path) -> None:
    if not all((out_dir / name).is_file() for name in ("config.toml", "group/measurements.tsv", "provenance.json")):
        raise InputError(
            "There are no results of mrspipe run here.",
            where=str(out_dir),
            cure="Give the folder that mrspipe run wrote to, after a run at the level of the group.",
            code="no-results",
        )


def _record(out_dir: Path) -> Mapping[str, Any]:
    """Read what made the results.

    Raises
    ------
    InputError
        An earlier version of the program made them, and did not note what is needed.
    """
    path = out_dir / "provenance.json"
    record = read_json(path)
    if not {"Source", "SourceName", "Derivatives"} <= record.keys():
        raise InputError(
            "An earlier version of mrspipe made these results.",
            where=str(path),
            cure="Run mrspipe run again; it computes what has to be computed.",
            code="old-results",
        )
    return record


def _write_settings(out_dir: Path, config: StudyConfig) -> None:
    """Change ``config.toml``, and what the manifest says of it; a run writes it anew."""
    entry = read_entry(out_dir, "description")
    atomic_write_text(out_dir / "config.toml", config_toml(config))
    if entry is not None:
        write_manifest(out_dir, "description", "", [out_dir / path for path in entry.outputs])


def _described_again(
    outputs: Outputs,
    config: StudyConfig,
    comparison: Comparison,
    progress: Progress,
    *,
    anew: bool,
    blind: bool = False,
) -> StudySummary:
    out_dir = outputs.out_dir
    record, failures = _record(out_dir), failures_of(out_dir)
    files = _raw(out_dir, record)
    title = config.title or str(record["SourceName"])
    pages = Pages(outputs, config, title, failures, notes_of_scans(read_checks(out_dir)), anew)
    known = outputs.manifest().entries
    scans = files.scans if files else ()
    finished = [scan for scan in scans if scan.key.label in known and results_exist(out_dir, scan.key)]
    # The page of the study is about the scans in its tables, also where others were analysed meanwhile.
    keys = [key for key in keys_of(comparison.quality) if key.label in known and results_exist(out_dir, key)]
    results, tables = results_of(outputs.manifest(), keys), tables_of(outputs)
    with Workers(config.engine) as workers:
        facts = cache(lambda: study_facts(out_dir, keys, workers))
        if blind:
            parts = study_parts(pages, tables, results)
            blinded = blinded_study(pages, comparison)
            pages = replace(pages, folder=BLIND_DIR, title=blinded.title, failures=tuple(blinded.failures))
        if files is not None:
            write_subject_pages(pages, finished, _subjects(finished, pages.failures), workers, progress)
        if blind:
            page = write_blinded_page(pages, blinded, parts, facts)
        else:
            write_words(pages, procedures(comparison.contrasts), results, facts)
            if files is not None:
                write_checklist(pages, [scan for scan in finished if scan.key in set(keys)], results)
            page = write_study_page(pages, comparison, tables, results, facts)
    if files is None:
        note = f"The dataset is not at {out_dir / record['Source']}: the pages of the subjects stay as they are."
        n_scans = len(comparison.quality) + len(failures)
        return StudySummary(n_scans, n_scans, failures, (), comparison, page, notes=(note,))
    n_scans = len(files.scans) + len(files.failures)
    return StudySummary(n_scans, n_scans, failures, files.skipped, comparison, page)


def _subjects(finished: Sequence[ScanFiles], failures: Sequence[Failure]) -> set[str]:
    return {scan.key.sub for scan in finished} | {f.entities["sub"] for f in failures if "sub" in f.entities}


def _raw(out_dir: Path, record: Mapping[str, Any]) -> StudyFiles | None:
    """Find the scans of the dataset; None when it is not where it was."""
    root = (out_dir / record["Source"]).resolve()
    if not root.is_dir():
        return None
    derivatives = {name: (out_dir / path).resolve() for name, path in record["Derivatives"].items()}
    return find_scans(root, derivatives={name: path for name, path in derivatives.items() if path.is_dir()})
