"""What the pages show: frozen values that hold finished results, and how numbers and contrasts are put in words.

Tables are those of the files beside the pages, with the same column names; nothing is worked out from them here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import Concentration, Failure, FitResult, QualityReport, TissueFractions
from mrspipe.core.signal import ProcessingStep
from mrspipe.core.volume import Volume
from mrspipe.report.mrsinmrs import MrsinmrsRow

if TYPE_CHECKING:
    from pandas import DataFrame

Row = Mapping[str, Any]

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

METRICS: Mapping[str, str] = {
    "snr": "Signal to noise",
    "fwhm_hz": "Line width",
    "fwhm_ppm": "Line width",
    "residual_ratio": "Residual relative to noise",
    "snr_lcmodel": "Signal to noise, LCModel's definition",
    "crlb_glu_pct": "CRLB of Glu",
    "crlb_glx_pct": "CRLB of Glx",
    "crlb_tnaa_pct": "CRLB of tNAA",
    "crlb_tcr_pct": "CRLB of tCr",
    "crlb_tcho_pct": "CRLB of tCho",
    "residual_water_ratio": "Residual water relative to the metabolites",
    "water_fwhm_hz": "Line width of water",
    "gm_fraction": "Grey matter",
    "wm_fraction": "White matter",
    "csf_fraction": "Cerebrospinal fluid",
    "shift_hz": "Frequency shift",
    "baseline_ed_per_ppm": "Baseline flexibility",
    "n_transients_used": "Transients used",
}

_UNIT_ENDINGS: Mapping[str, str] = {"pct": "%", "hz": "Hz", "ppm": "ppm", "deg": "°", "s": "s", "mm": "mm"}

MISSING = "n/a"


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


def number(value: object, digits: int = 3) -> str:
    """Spell a number with the given count of significant digits and a true minus sign.

    Examples
    --------
    >>> [number(value) for value in (11.893, -0.03125, 1234.5, float("nan"), 4)]
    ['11.9', '−0.0312', '1234', 'n/a', '4']
    >>> number(3.21e-7)
    '3.21 × 10⁻⁷'
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).replace("-", "−")
    real = _real(value)
    if math.isnan(real):
        return MISSING
    if math.isinf(real):
        return "∞" if real > 0 else "−∞"
    mantissa, power = f"{real:.{digits - 1}e}".split("e")
    if real and not -5 < int(power) < 6:
        return f"{mantissa} × 10{_raised(int(power))}".replace("-", "−")
    return f"{real:.{max(0, digits - 1 - int(power))}f}".replace("-", "−")


def fixed(value: object, decimals: int) -> str:
    """Spell a number with a fixed count of decimals and a true minus sign."""
    real = _real(value)
    return MISSING if math.isnan(real) else f"{real:.{decimals}f}".replace("-", "−")


def decimals_for(error: object) -> int:
    """Decimals that show two significant digits of an error, at most four; two when there is none."""
    real = abs(_real(error))
    if math.isnan(real) or math.isinf(real) or real == 0:
        return 2
    return min(4, max(0, 1 - int(f"{real:.1e}".split("e")[1])))


def measured(value: object, error: object) -> str:
    """Spell a value with its standard error, both to the error's second significant digit.

    Examples
    --------
    >>> measured(11.8934, 0.4312)
    '11.89 ± 0.43'
    """
    decimals = decimals_for(error)
    return f"{fixed(value, decimals)} ± {fixed(error, decimals)}" if is_number(value) else MISSING


def p_value(value: object) -> str:
    """Spell a p value with two significant digits.

    Examples
    --------
    >>> p_value(0.00823), p_value(0.48), p_value(3.2e-7)
    ('0.0082', '0.48', '3.2 × 10⁻⁷')
    """
    real = _real(value)
    return "< 10⁻¹⁵" if real < 1e-15 else number(real, 2)


def count(value: object) -> str:
    """Spell a whole number; ``n/a`` when there is none."""
    return number(round(_real(value))) if is_number(value) else MISSING


def is_number(value: object) -> bool:
    """Tell whether a cell holds a finite number."""
    return math.isfinite(_real(value))


def words(value: object) -> str:
    """Spell a cell of text; ``n/a`` when it is empty or missing."""
    text = "" if value is None or value != value else " ".join(str(value).split())
    return text if text and text not in {"<NA>", "NaT"} else MISSING


def metric_label(name: str) -> str:
    """Name of a quality metric without its unit."""
    if name in METRICS:
        return METRICS[name]
    stem, _, ending = name.rpartition("_")
    return humanised(stem if stem and ending in _UNIT_ENDINGS else name)


def metric_unit(name: str) -> str:
    """Unit that the name of a metric ends with."""
    return _UNIT_ENDINGS.get(name.rpartition("_")[2], "")


def humanised(name: str) -> str:
    """Turn a name of code into words: ``combine_coils`` becomes ``Combine coils``."""
    text = name.replace("_", " ").replace("-", " ").strip()
    return text[:1].upper() + text[1:]


def records(table: "DataFrame") -> list[dict[str, Any]]:
    """Give the rows of a table as mappings of column to value."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def split_contrasts(page: GroupPage) -> tuple[list[Row], list[Row]]:
    """Split the contrasts into main and secondary ones."""
    rows = records(page.contrasts)
    if page.primary:
        main = [name for name in page.primary if any(row.get("contrast") == name for row in rows)]
        chosen = [row for name in main for row in rows if row.get("contrast") == name and _is_main(row, page)]
    else:
        chosen = [row for row in rows if of_outcome(row, page.outcome)]
    return list(chosen), [row for row in rows if all(row is not other for other in chosen)]


def of_outcome(row: Row, outcome: Outcome) -> bool:
    """Tell whether a row is about the study's outcome, in its quantity."""
    return row.get("metabolite") == outcome.metabolite and row.get("quantity") == outcome.quantity


def _is_main(row: Row, page: GroupPage) -> bool:
    """A main contrast is of the outcome, or of something that is no concentration, such as a rating."""
    return of_outcome(row, page.outcome) or row.get("quantity") not in QUANTITIES


def _unit(row: Row, page: GroupPage) -> str:
    if of_outcome(row, page.outcome):
        return page.outcome.unit
    return QUANTITIES.get(str(row.get("quantity")), ("", ""))[1]


def _measure(row: Row) -> str:
    quantity = words(row.get("quantity"))
    name = QUANTITIES.get(quantity, (humanised(quantity),))[0].lower()
    metabolite = words(row.get("metabolite"))
    return name.capitalize() if metabolite == MISSING else f"{metabolite} ({name})"


def contrast_answer(row: Row, page: GroupPage) -> dict[str, str]:
    """Say in a sentence what a contrast found, then with which numbers, then what it does not say."""
    name = str(row.get("contrast"))
    question = page.questions.get(name, f"{name}.")
    if not is_number(row.get("estimate")):
        return {"question": question, "finding": "This could not be tested.", "numbers": "", "caution": _note(row)}
    unit = _unit(row, page)
    estimate = fixed(row["estimate"], decimals_for(row.get("se"))) + (f" {unit}" if unit else "")
    decisive = _real(row["p_adjusted"] if is_number(row.get("p_adjusted")) else row.get("p"))
    subject = words(row.get("metabolite")) if words(row.get("metabolite")) != MISSING else page.ratings_label
    if math.isnan(decisive):
        finding, caution = f"{subject}: estimate {estimate}, without a test.", _note(row)
    elif decisive < page.alpha:
        finding, caution = f"{subject}: an effect was found, {estimate}.", ""
    else:
        finding, caution = (
            f"{subject}: no effect was shown; the estimate is {estimate}.",
            _about_absence(row, page, unit),
        )
    return {"question": question, "finding": finding, "numbers": _numbers(row, page), "caution": caution}


def _note(row: Row) -> str:
    text = words(row.get("note"))
    return "" if text == MISSING else text


def _about_absence(row: Row, page: GroupPage, unit: str) -> str:
    bound = f"±{number(row.get('tost_bound'))}{f' {unit}' if unit else ''}"
    if is_number(row.get("tost_p")) and float(row["tost_p"]) < page.alpha:
        return f"The effect is smaller than {bound} (equivalence test, p = {p_value(row['tost_p'])})."
    return "That no effect was shown does not mean that there is none; the interval says how large it could be."


def _numbers(row: Row, page: GroupPage) -> str:
    decimals = decimals_for(row.get("se"))
    ends = " to ".join(fixed(row.get(end), decimals) for end in ("ci_low", "ci_high"))
    adjusted = f" (adjusted {p_value(row['p_adjusted'])})" if is_number(row.get("p_adjusted")) else ""
    sign = "" if p_value(row.get("p")).startswith("<") else "= "
    parts = [f"{page.confidence_pct:g} % CI {ends}", f"p {sign}{p_value(row.get('p'))}{adjusted}"]
    if is_number(row.get("effect")):
        parts.append(f"{words(row.get('effect_name'))} {fixed(row['effect'], 2)}")
    return "; ".join([*parts, f"{count(row.get('n_subjects'))} subjects, {count(row.get('n_scans'))} scans"])


def contrast_cells(row: Row, page: GroupPage) -> dict[str, str]:
    """Spell a row of ``contrasts.tsv`` for the table of the page."""
    decimals = decimals_for(row.get("se"))
    unit = _unit(row, page)
    estimate = measured(row.get("estimate"), row.get("se"))
    return {
        "contrast": words(row.get("contrast")),
        "measure": _measure(row),
        "model": words(row.get("model")),
        "note": _note(row),
        "estimate": f"{estimate} {unit}" if unit and estimate != MISSING else estimate,
        "interval": _span(row, "ci_low", "ci_high", decimals),
        "statistic": fixed(row.get("statistic"), 2),
        "df": fixed(row.get("df"), 1),
        "p": p_value(row.get("p")),
        "p_adjusted": p_value(row.get("p_adjusted")),
        "effect": f"{words(row.get('effect_name'))} {fixed(row['effect'], 2)}"
        if is_number(row.get("effect"))
        else MISSING,
        "effect_interval": _span(row, "effect_ci_low", "effect_ci_high", 2, missing=""),
        "bf01": number(row.get("bf01")),
        "equivalence": p_value(row.get("tost_p")),
        "bound": f"±{number(row['tost_bound'])}" if is_number(row.get("tost_bound")) else "",
        "n_subjects": count(row.get("n_subjects")),
        "n_scans": count(row.get("n_scans")),
    }


def _span(row: Row, low: str, high: str, decimals: int, *, missing: str = MISSING) -> str:
    if not (is_number(row.get(low)) and is_number(row.get(high))):
        return missing
    return f"{fixed(row[low], decimals)} to {fixed(row[high], decimals)}"


def _real(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _raised(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
