"""The contrasts of a study from a table of concentrations that any program wrote."""

from pathlib import Path
from typing import TYPE_CHECKING

from mrspipe.config import StudyConfig
from mrspipe.io.foreign_tables import read_foreign_table
from mrspipe.pipeline.group import Comparison, comparison_of, write_contrasts
from mrspipe.pipeline.labels import refuse_labels_not_in
from mrspipe.stats.questions import resolve_contrasts
from mrspipe.stats.tidy import measurements_of, ratings_of

if TYPE_CHECKING:
    from pandas import DataFrame


def compare_table(path: Path, out_dir: Path, config: StudyConfig, ratings: Path | None = None) -> Comparison:
    """Compute the contrasts of a design from a table; write ``contrasts.tsv`` and ``exclusions.tsv``.

    Parameters
    ----------
    path : Path
        Long or wide: see `mrspipe.stats.tidy.measurements_of`.
    out_dir : Path
    config : StudyConfig
        Its design, contrasts and statistics; the rest is not used.
    ratings : Path, optional
        Table of ratings; by default they are looked for in the table itself.

    Raises
    ------
    MrspipeError
        The table cannot be used, or has not the columns and levels of the design.
    """
    resolve_contrasts(config.design, config.contrast)
    table = read_foreign_table(path)
    measurements = measurements_of(table, config.design, config.stats.table, where=str(path))
    refuse_labels_not_in(measurements, config.design, where=str(path))
    rated, place = (read_foreign_table(ratings), str(ratings)) if ratings else (table, str(path))
    scores = ratings_of(rated, config.design, config.stats.table, where=place)
    if scores is not None:
        scores = _with_columns_of(measurements, scores, config)
    write_contrasts(out_dir, measurements, scores, config)
    return comparison_of(out_dir, measurements, measurements.iloc[:0], scores, config)


def _with_columns_of(measurements: "DataFrame", ratings: "DataFrame", config: StudyConfig) -> "DataFrame":
    """Add the factors that a table of ratings leaves to the table of concentrations: by visit, else by participant."""
    wanted = [factor.column for factor in config.design.factors if factor.column not in ratings.columns]
    wanted += [name for name in (config.design.period,) if name and name not in ratings.columns]
    subject = config.design.subject
    for name in wanted:
        visit = [key for key in (subject, "session_id") if key in ratings.columns]
        for keys in (visit, [subject]):
            known = measurements[[*keys, name]].dropna().drop_duplicates()
            if not known.duplicated(keys).any():
                ratings = ratings.merge(known, "left", on=keys)
                break
    return ratings
