"""Whether a dataset or a table has the columns and levels that the design names, before anything is computed."""

from typing import TYPE_CHECKING

from mrspipe.io.bids import StudyFiles, participants, sessions
from mrspipe.io.rows import scan_columns
from mrspipe.stats.design import MEASURED_COLUMNS, Design
from mrspipe.stats.factors import ENTITY_COLUMNS
from mrspipe.stats.levels import refuse_unknown_levels

if TYPE_CHECKING:
    from pandas import DataFrame


def refuse_unknown_labels(everything: StudyFiles, design: Design) -> None:
    """Refuse a design with a column or level that the whole dataset does not have.

    Parameters
    ----------
    everything : StudyFiles
        All scans of the dataset, not only those that were selected.
    design : Design

    Raises
    ------
    ConfigError
        The message names the column, the level and those that there are.
    """
    scans = [scan_columns(scan.key) for scan in everything.scans] + [failure.row() for failure in everything.failures]
    people, visits = participants(everything.root), sessions(everything.root)
    found = {str(name): list(table[name]) for table in (visits, people) for name in table.columns}
    found |= {name: [] for name in MEASURED_COLUMNS - set(found)}
    found |= {name: [scan.get(name) for scan in scans] for name in ENTITY_COLUMNS.values()}
    refuse_unknown_levels(design, found, where=str(everything.root), tables="participants.tsv or the sessions files")


def refuse_labels_not_in(table: "DataFrame", design: Design, *, where: str) -> None:
    """Refuse a design with a column or level that a table of measurements does not have.

    Raises
    ------
    ConfigError
        The message names the column, the level and those that there are.
    """
    found = {str(name): list(table[name]) for name in table.columns}
    refuse_unknown_levels(design, found, where=where, tables="the table")
