"""The comparison of the groups, from the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrspipe import __version__
from mrspipe.config import StudyConfig
from mrspipe.core.results import Failure
from mrspipe.io.columns import CONTRASTS, EXCLUSIONS
from mrspipe.io.tables import read_table, write_table
from mrspipe.pipeline.supporting import read_robustness, with_factors, write_robustness, write_supporting
from mrspipe.pipeline.tables import write_ratings
from mrspipe.pipeline.words import correction_in_words, design_in_words
from mrspipe.report.content import QUANTITIES, Factor, GroupPage, Outcome, SampleCount
from mrspipe.report.methods_text import MethodsText
from mrspipe.stats.contrasts import contrast_table
from mrspipe.stats.design import Design
from mrspipe.stats.exclusions import exclusion_table, why_no_group_test
from mrspipe.stats.questions import resolve_contrasts
from mrspipe.stats.rows import as_measured

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The tables of a study and what they say.

    Parameters
    ----------
    measurements, quality, contrasts, exclusions : DataFrame
    ratings : DataFrame or None
    why_no_test : str or None
        In plain words, why no group test was possible.
    questions : mapping of str to str
        What each contrast asks, by its name.
    outcome : tuple of str
        Metabolite and quantity of the study's main question, as they were analysed.
    primary : tuple of str
        Contrasts that are the study's main questions, and the change of the ratings.
    robustness : DataFrame or None
        The outcome's contrasts under every choice; None where that was not asked for.
    """

    measurements: "DataFrame"
    quality: "DataFrame"
    contrasts: "DataFrame"
    exclusions: "DataFrame"
    ratings: "DataFrame | None"
    why_no_test: str | None
    questions: dict[str, str]
    outcome: tuple[str, str]
    primary: tuple[str, ...]
    robustness: "DataFrame | None" = None

    @property
    def models(self) -> list[str]:
        """Statistical models that were used, each once, and how their p values were corrected."""
        tested = self.contrasts[self.contrasts["estimate"].notna()]
        models = [str(model) for model in dict.fromkeys(tested["model"].dropna())]
        return [*models, *correction_in_words(str(text) for text in tested["multiplicity"].dropna())]

    def main_rows(self) -> list[dict[str, Any]]:
        """Contrasts of the main outcome and of the ratings."""
        rows = [{str(name): value for name, value in row.items()} for row in self.contrasts.to_dict("records")]
        return [
            row
            for row in rows
            if (row["metabolite"], row["quantity"]) == self.outcome or row["quantity"] not in QUANTITIES
        ]


def compare(out_dir: Path, config: StudyConfig) -> None:
    """Compute the contrasts of a study from its tables, and write them with all that goes with them.

    Parameters
    ----------
    out_dir : Path
        With the tables of `mrspipe.pipeline.tables.collect`.
    config : StudyConfig

    Raises
    ------
    FileError
        The tables are not there.
    """
    folder = out_dir / "group"
    measurements, ratings = read_table(folder / "measurements.tsv"), write_ratings(folder, config.design)
    write_contrasts(folder, measurements, ratings, config)
    write_supporting(folder, measurements, ratings, config)


def write_contrasts(folder: Path, measurements: "DataFrame", ratings: "DataFrame | None", config: StudyConfig) -> None:
    """Compute the contrasts of measurements, and write ``contrasts.tsv`` and ``exclusions.tsv``."""
    asked = resolve_contrasts(config.design, config.contrast, measurements)
    contrasts = contrast_table(measurements, config.design, asked, config.stats, ratings=ratings)
    exclusions = exclusion_table(measurements, config.design, asked, config.stats)
    write_table(folder / "contrasts.tsv", contrasts, CONTRASTS)
    write_table(folder / "exclusions.tsv", exclusions, EXCLUSIONS)
    write_robustness(folder, measurements, config)


def read_comparison(out_dir: Path, config: StudyConfig) -> Comparison:
    """Read what `compare` wrote.

    Raises
    ------
    FileError
        The tables are not there.
    """
    folder = out_dir / "group"
    quality = read_table(folder / "quality.tsv")
    return comparison_of(folder, read_table(folder / "measurements.tsv"), quality, _ratings(folder), config)


def comparison_of(
    folder: Path, measurements: "DataFrame", quality: "DataFrame", ratings: "DataFrame | None", config: StudyConfig
) -> Comparison:
    """Read the contrasts of measurements, with what they were computed from."""
    design, _ = as_measured(measurements, config.design)
    asked = resolve_contrasts(config.design, config.contrast, measurements)
    contrasts = read_table(folder / "contrasts.tsv")
    return Comparison(
        measurements=measurements,
        quality=quality,
        contrasts=contrasts,
        exclusions=read_table(folder / "exclusions.tsv"),
        ratings=ratings,
        why_no_test=why_no_group_test(measurements, config.design, asked, config.stats, results=contrasts),
        questions={one.name: one.question for one in asked},
        outcome=(design.outcome.metabolite, design.outcome.quantity),
        primary=tuple(
            one.name for one in asked if one.primary or (one.of == "ratings" and len(one.compare or ()) == 1)
        ),
        robustness=read_robustness(folder, config),
    )


def _ratings(folder: Path) -> "DataFrame | None":
    path = folder / "ratings.tsv"
    return read_table(path) if path.exists() else None


def _why_ratios(design: Design, comparison: Comparison) -> tuple[str, ...]:
    """Say why ratios stand in for what the design asks for, where they do."""
    asked, table = design.outcome.quantity, comparison.measurements
    if comparison.outcome[1] == asked:
        return ()
    reasons = table.loc[table["quantity"] == asked, "reason"].dropna().unique()
    why = "; ".join(sorted(str(reason) for reason in reasons))
    return (f"No scan has a {asked} concentration ({why}), so ratios to total creatine stand in for them.",)


def group_page(
    comparison: Comparison, config: StudyConfig, title: str, failures: Sequence[Failure], methods: MethodsText
) -> GroupPage:
    """Fill the page of a study."""
    design, _ = as_measured(comparison.measurements, config.design)
    metabolite, quantity = comparison.outcome
    group = _factor(design, "group") or _factor(design, "arm")
    return GroupPage(
        title=title,
        design=(*design_in_words(design), *_why_ratios(config.design, comparison)),
        sample=_count(comparison, "All", slice(None)),
        sample_by_group=_counts_by_group(comparison, group),
        contrasts=comparison.contrasts,
        measurements=comparison.measurements,
        quality=with_factors(comparison.quality, comparison.measurements, config),
        exclusions=comparison.exclusions,
        outcome=Outcome(metabolite, quantity, QUANTITIES.get(quantity, ("", ""))[1]),
        ratings=comparison.ratings,
        failures=tuple(failures),
        why_no_test=comparison.why_no_test,
        group=group,
        condition=_factor(design, "condition") or _factor(design, "time"),
        treatment=_factor(design, "treatment"),
        ratings_column="value",
        ratings_label=f"{design.ratings.name.capitalize()} rating" if design.ratings else "Rating",
        questions=comparison.questions,
        primary=comparison.primary,
        confidence_pct=100 * config.stats.confidence,
        alpha=config.stats.alpha,
        version=__version__,
        methods=methods.paragraphs,
        references=tuple(reference.text for reference in methods.references),
    )


def _factor(design: Design, name: str) -> Factor | None:
    found = [factor for factor in design.factors if factor.name == name]
    if not found:
        return None
    # Tables hold sessions with their prefix, designs name them without.
    prefix = "ses-" if found[0].column == "session_id" else ""
    return Factor(found[0].column, {f"{prefix}{level}": level for level in found[0].levels})


def _count(comparison: Comparison, label: str, rows: Any) -> SampleCount:
    table = comparison.measurements[rows]
    used = table[table["included"].astype(bool)]
    scan = ["participant_id", "session_id", "task_id", "run"]
    return SampleCount(
        label=label,
        subjects=table["participant_id"].nunique(),
        subjects_included=used["participant_id"].nunique(),
        scans=len(table.drop_duplicates(scan)),
        scans_included=len(used.drop_duplicates(scan)),
    )


def _counts_by_group(comparison: Comparison, group: Factor | None) -> tuple[SampleCount, ...]:
    if group is None or group.column not in comparison.measurements:
        return ()
    column = comparison.measurements[group.column].astype(str)
    return tuple(_count(comparison, label, column == value) for value, label in group.labels.items())
