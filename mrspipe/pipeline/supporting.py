"""Tables beside the contrasts: the same under other choices, who was compared, what goes along, and quality."""

from pathlib import Path
from typing import TYPE_CHECKING

from mrspipe.config import StudyConfig
from mrspipe.io.columns import (
    ASSOCIATIONS,
    PEOPLE,
    QUALITY_CELLS,
    QUALITY_TESTS,
    ROBUSTNESS,
    ROBUSTNESS_SUMMARY,
    SCAN_ALTERNATIVES,
)
from mrspipe.io.tables import read_table, write_table
from mrspipe.report.supporting_view import SUPPORTING
from mrspipe.stats.associations import association_table
from mrspipe.stats.people import people_table
from mrspipe.stats.quality_tests import quality_cell_table, quality_test_table
from mrspipe.stats.questions import resolve_contrasts
from mrspipe.stats.robustness import robustness_summary, robustness_table

if TYPE_CHECKING:
    from pandas import DataFrame

_KEYS = ["participant_id", "session_id", "task_id", "run"]


def write_robustness(folder: Path, measurements: "DataFrame", config: StudyConfig) -> None:
    """Write ``robustness.tsv`` and ``robustness_summary.tsv``, where the configuration asks for them."""
    import pandas as pd

    if not config.robustness.enabled:
        return
    names = ["alternatives.tsv", *(["linewidths.tsv"] if config.fit.refits.enabled else [])]
    tables = [read_table(folder / name) for name in names if (folder / name).exists()]
    alternatives = pd.concat([pd.DataFrame(columns=list(SCAN_ALTERNATIVES)), *tables], ignore_index=True)
    asked = resolve_contrasts(config.design, config.contrast, measurements)
    table = robustness_table(measurements, alternatives, config.design, asked, config.stats, config.robustness)
    write_table(folder / "robustness.tsv", table, ROBUSTNESS)
    write_table(folder / "robustness_summary.tsv", robustness_summary(table), ROBUSTNESS_SUMMARY)


def read_robustness(folder: Path, config: StudyConfig) -> "DataFrame | None":
    """Read what `write_robustness` wrote; None where it was not asked for."""
    path = folder / "robustness.tsv"
    return read_table(path) if config.robustness.enabled and path.exists() else None


def write_supporting(folder: Path, measurements: "DataFrame", ratings: "DataFrame | None", config: StudyConfig) -> None:
    """Write ``demographics.tsv``, ``associations.tsv``, ``quality_tests.tsv`` and ``quality_cells.tsv``.

    Parameters
    ----------
    folder : Path
        With ``participants.tsv`` and ``quality.tsv``.
    measurements, ratings : DataFrame
    config : StudyConfig
    """
    design = config.design
    participants = read_table(folder / "participants.tsv")
    quality = with_factors(read_table(folder / "quality.tsv"), measurements, config)
    people = people_table(participants, design)
    associated = association_table(measurements, ratings, participants, design, config.stats)
    write_table(folder / "demographics.tsv", people, PEOPLE)
    write_table(folder / "associations.tsv", associated, ASSOCIATIONS)
    write_table(folder / "quality_tests.tsv", quality_test_table(quality, design, config.stats), QUALITY_TESTS)
    write_table(folder / "quality_cells.tsv", quality_cell_table(quality, design), QUALITY_CELLS)


def read_supporting(folder: Path) -> "dict[str, DataFrame]":
    """Read those tables that the page of the study shows, by their names."""
    paths = {name: folder / f"{name}.tsv" for name in SUPPORTING}
    return {name: read_table(path) for name, path in paths.items() if path.exists()}


def with_factors(quality: "DataFrame", measurements: "DataFrame", config: StudyConfig) -> "DataFrame":
    """Join the columns of the design's factors to the table of quality."""
    wanted = [factor.column for factor in config.design.factors]
    wanted += [config.design.period] if config.design.period else []
    known_columns = set(measurements.columns) - set(quality.columns)
    new = [name for name in dict.fromkeys(wanted) if name in known_columns]
    if not new:
        return quality
    known = measurements[[*_KEYS, *new]].drop_duplicates(_KEYS)
    return quality.merge(known, "left", on=_KEYS)
