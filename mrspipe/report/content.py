"""What the pages show: frozen values that hold finished results.

Tables are those of the files beside the pages, with the same column names; nothing is worked out from them here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import Concentration, Failure, FitResult, QualityReport, TissueFractions
from mrspipe.core.signal import ProcessingStep
from mrspipe.core.volume import Volume
from mrspipe.report.mrsinmrs import MrsinmrsRow

if TYPE_CHECKING:
    from pandas import DataFrame

# What a quantity is called, and its unit.
QUANTITIES: Mapping[str, tuple[str, str]] = {
    "ratio_tcr": ("Ratio to tCr", ""),
    "molal": ("Molality", "mmol/kg"),
    "molar": ("Molarity", "mmol/L"),
    "alpha_molar": ("Alpha-corrected molarity", "mmol/L"),
    "alpha_group_molar": ("Alpha-corrected molarity at the group's tissue", "mmol/L"),
    "institutional": ("Institutional units", "i.u."),
    "lcmodel": ("LCModel's scaling", "mmol/L"),
}


@dataclass(frozen=True, slots=True, eq=False)
class ScanSection:
    """One scan on its subject's page.

    Parameters
    ----------
    label : str
        Unique on the page, such as ``"sub-01_task-cue"``; it becomes the anchor of the section.
    title : str
        What a reader calls this scan, such as ``"Cue, session 2"``.
    fit : FitResult
    levels : tuple of Concentration
    quality : QualityReport
    history, water_history : tuple of ProcessingStep
        What was done to the metabolite signal and to the water signal.
    tissue : TissueFractions or None
    notes : tuple of str
        What else the reader should know, such as why there is no water signal.
    anatomy, mask : Volume or None
        T1-weighted image and the share of the voxel in each of its elements, on one grid.
    voxel_note : str
        Why there is no picture of the voxel.
    preprocessing : BeforeAndAfter or None
        None where the raw data are not at hand.
    files : str
        What the names of the scan's files begin with, relative to the folder of results:
        ``"sub-01/mrs/sub-01_task-cue"``; empty: not known, and no number names its table.
    """

    label: str
    title: str
    fit: FitResult
    levels: tuple[Concentration, ...]
    quality: QualityReport
    history: tuple[ProcessingStep, ...] = ()
    water_history: tuple[ProcessingStep, ...] = ()
    tissue: TissueFractions | None = None
    notes: tuple[str, ...] = ()
    anatomy: Volume | None = None
    mask: Volume | None = None
    voxel_note: str = ""
    preprocessing: "BeforeAndAfter | None" = None
    files: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class BeforeAndAfter:
    """What preprocessing did to a spectrum.

    Parameters
    ----------
    ppm : float array, shape (n_ppm,)
        Ascending.
    before, after : float array, shape (n_ppm,)
        Real spectra on one scale and with one phase: transients combined as they were, and preprocessed.
    shift_hz, phase_deg : float array, shape (n_transients,)
        Frequency and phase of each transient relative to the others; empty for a single one.
    dropped : tuple of int
        Transients that were left out.
    """

    ppm: FloatArray
    before: FloatArray
    after: FloatArray
    shift_hz: FloatArray
    phase_deg: FloatArray
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SubjectPage:
    """All scans of one subject.

    Parameters
    ----------
    participant_id : str
        With its prefix: ``"sub-01"``.
    scans : tuple of ScanSection
    study_title, version : str
    mrsinmrs : tuple of MrsinmrsRow
    methods : tuple of str
        Paragraphs.
    failures : tuple of Failure
        Scans of this subject that could not be analysed.
    crashes : mapping of str to str
        Name and text of the report of each crash.
    group_page : str
        Link to the study's page; empty when there is none.
    date : str
        Written into the page as it is given; the page has no date of its own.
    """

    participant_id: str
    scans: tuple[ScanSection, ...]
    study_title: str = ""
    version: str = ""
    mrsinmrs: tuple[MrsinmrsRow, ...] = ()
    methods: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    crashes: Mapping[str, str] = field(default_factory=dict)
    group_page: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of the design: its column in the tables, and what its values are called, in the order of the page."""

    column: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the study measures, such as ``Outcome("Glu", "molar", "mmol/L")``."""

    metabolite: str
    quantity: str
    unit: str = ""

    @property
    def label(self) -> str:
        """Name and unit for an axis."""
        return f"{self.metabolite} ({self.unit})" if self.unit else f"{self.metabolite} / tCr"


@dataclass(frozen=True, slots=True)
class SampleCount:
    """How many subjects and scans there are, and how many of them the analysis uses."""

    label: str
    subjects: int
    subjects_included: int
    scans: int
    scans_included: int


@dataclass(frozen=True, slots=True, eq=False)
class MeanSpectrum:
    """Mean of the processed spectra of a group, each relative to its total creatine.

    Parameters
    ----------
    group : str
        Value of the group's column; empty: all subjects.
    ppm, mean, sd, fit : float array, shape (n_ppm,)
        Chemical shift, ascending; mean over subjects, its standard deviation between subjects, mean of their fits.
    n_subjects : int
    """

    group: str
    ppm: FloatArray
    mean: FloatArray
    sd: FloatArray
    fit: FloatArray
    n_subjects: int


@dataclass(frozen=True, slots=True, eq=False)
class GroupPage:
    """The study's page.

    Parameters
    ----------
    title : str
    design : tuple of str
        What was compared, in words; a paragraph each.
    sample : SampleCount
        The whole study.
    sample_by_group : tuple of SampleCount
    contrasts, measurements, quality, exclusions : DataFrame
        Columns as in the files ``contrasts.tsv``, ``measurements.tsv``, ``quality.tsv``, ``exclusions.tsv``; the
        columns of `group`, `condition` and `treatment` are joined on.
    ratings : DataFrame or None
        One row a rating: the subject's column, the factors' columns, and the value in ``ratings_column``.
    failures : tuple of Failure
    why_no_test : str or None
        In plain words, why no group test was possible.
    outcome : Outcome
    subject_column : str
    group, condition, treatment : Factor or None
    ratings_column, ratings_label : str
    questions : mapping of str to str
        What each contrast asks, in words, by its name.
    primary : tuple of str
        Names of the main contrasts; empty: all contrasts of the outcome.
    confidence_pct, alpha : float
        Level of the confidence intervals in percent, and of the tests.
    version : str
    methods, references : tuple of str
        Paragraphs, and one reference each.
    date : str
        Written into the page as it is given.
    spectra : tuple of MeanSpectrum
    robustness : DataFrame or None
        As in ``robustness.tsv``: what the contrasts give under other choices of the analysis.
    limits : mapping of metric to (mapping of verdict to float)
        Where a metric begins to make a scan doubtful or unusable.
    supporting : mapping of str to DataFrame
        Tables beside the contrasts by the names of their files: ``demographics``, ``associations``, ``quality_tests``.
    blinded : bool
        The groups have no names, and nothing that tells them apart is shown.
    """

    title: str
    design: tuple[str, ...]
    sample: SampleCount
    contrasts: "DataFrame"
    measurements: "DataFrame"
    quality: "DataFrame"
    exclusions: "DataFrame"
    outcome: Outcome
    sample_by_group: tuple[SampleCount, ...] = ()
    ratings: "DataFrame | None" = None
    failures: tuple[Failure, ...] = ()
    why_no_test: str | None = None
    subject_column: str = "participant_id"
    group: Factor | None = None
    condition: Factor | None = None
    treatment: Factor | None = None
    ratings_column: str = "rating"
    ratings_label: str = "Craving rating"
    questions: Mapping[str, str] = field(default_factory=dict)
    primary: tuple[str, ...] = ()
    confidence_pct: float = 95.0
    alpha: float = 0.05
    version: str = ""
    methods: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    date: str = ""
    spectra: tuple[MeanSpectrum, ...] = ()
    robustness: "DataFrame | None" = None
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    supporting: "Mapping[str, DataFrame]" = field(default_factory=dict)
    blinded: bool = False
