"""Figures as files for a paper: SVG, PDF and PNG, each with its numbers as a table beside it."""

from pathlib import Path
from typing import TYPE_CHECKING

from mrspipe.io.atomic import atomic_write_bytes, atomic_write_text
from mrspipe.io.tables import write_table
from mrspipe.report.svg import figure_file, svg_file

if TYPE_CHECKING:
    from mrspipe.report.group_figures import GroupFigure


def write_figures(folder: Path, figures: "list[GroupFigure]") -> None:
    """Write each figure as ``fig-NAME.svg``, ``.pdf`` and ``.png``, and its data as ``fig-NAME.tsv``.

    Figures of an earlier run that are no longer made are removed.
    """
    names = {f"fig-{figure.name}" for figure in figures}
    for old in folder.glob("fig-*") if folder.is_dir() else ():
        if old.stem not in names:
            old.unlink()
    for figure in figures:
        stem = folder / f"fig-{figure.name}"
        write_table(stem.with_suffix(".tsv"), figure.data)
        atomic_write_text(stem.with_suffix(".svg"), svg_file(figure.figure))
        atomic_write_bytes(stem.with_suffix(".pdf"), figure_file(figure.figure, "pdf"))
        atomic_write_bytes(stem.with_suffix(".png"), figure_file(figure.figure, "png"))
