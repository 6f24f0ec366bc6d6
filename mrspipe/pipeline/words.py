"""The settings and results of an analysis in words, for the methods text and the reporting checklist.

What is said was done: steps, quantities and macromolecules are those of the scans, not those that the settings allow.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mrspipe import __version__
from mrspipe.basis.settings import BasisSettings
from mrspipe.checks.catalogue import CheckSettings
from mrspipe.config import StudyConfig
from mrspipe.core.results import Concentration, FitResult, QualityReport
from mrspipe.core.signal import Signal
from mrspipe.fit.settings import FitSettings
from mrspipe.physics.relaxation import metabolite_relaxation, water_relaxation
from mrspipe.qc import QcSettings
from mrspipe.quantify.settings import QuantifySettings
from mrspipe.report.methods_text import MethodsText, methods_text
from mrspipe.report.mrsinmrs import AnalysisFacts
from mrspipe.stats.design import Design

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """What was done to one scan.

    Parameters
    ----------
    label : str
        Of its files.
    steps : tuple of str
        Preprocessing steps, in their order.
    sequence : str
        Sequence and echo time, such as ``"PRESS, TE 35 ms"``; empty when not known.
    metabolites : tuple of str
        Those that were fitted.
    macromolecules : str
        Model of the macromolecules.
    measured : tuple of str
        Quantities with a value for at least one metabolite.
    missing : tuple of str
        Why quantities that were asked for have none, in words.
    corrections : tuple of str
    """

    label: str
    steps: tuple[str, ...]
    sequence: str
    metabolites: tuple[str, ...]
    macromolecules: str
    measured: tuple[str, ...]
    missing: tuple[str, ...]
    corrections: tuple[str, ...]


def scan_facts(label: str, signal: Signal, fit: FitResult, levels: Sequence[Concentration]) -> ScanFacts:
    """Collect what was done to a scan from its results."""
    acquisition = signal.acquisition
    echo = "" if acquisition.echo_time_s is None else f"TE {1e3 * acquisition.echo_time_s:g} ms"
    measured = _unique(level.quantity for level in levels if level.value == level.value)
    reasons: dict[str, list[str]] = {}
    for quantity in _unique(level.quantity for level in levels if level.quantity not in measured):
        why = next((level.reason for level in levels if level.quantity == quantity and level.reason), "no value")
        reasons.setdefault(why, []).append(_QUANTITY_WORDS[quantity].partition(" (")[0])
    return ScanFacts(
        label=label,
        steps=tuple(step.method for step in signal.history),
        sequence=" ".join(part for part in ((acquisition.sequence or "").upper(), echo) if part),
        metabolites=fit.names,
        macromolecules=fit.macromolecule_model,
        measured=measured,
        missing=tuple(f"no {' and '.join(names)}: {why}" for why, names in reasons.items()),
        corrections=_unique(text for level in levels for text in level.corrections),
    )


def methods_of(config: StudyConfig, scans: Sequence[ScanFacts], statistics: Sequence[str] = ()) -> MethodsText:
    """Write the methods of an analysis.

    Parameters
    ----------
    config : StudyConfig
    scans : sequence of ScanFacts
        Those that were analysed.
    statistics : sequence of str
        Models and procedures that were used on the group.
    """
    return methods_text(
        version=__version__,
        preprocessing=_steps(scans),
        basis=_basis(config.basis, scans),
        fit=_fit(config.fit, scans),
        quantification=_quantification(config.quantify, scans),
        quality=_quality(config.qc) + _accepted(config.checks),
        statistics=statistics,
    )


def procedures(contrasts: "DataFrame") -> list[str]:
    """Name the models and procedures that gave the numbers in a table of contrasts.

    A plain description, with nothing to compare, is no model.
    """
    models = [str(model) for model in dict.fromkeys(contrasts["model"].dropna()) if model != "mean"]
    effects = " and ".join(str(name) for name in dict.fromkeys(contrasts["effect_name"].dropna()))
    used = {
        f"effect sizes {effects}": bool(effects),
        "JZS Bayes factors": contrasts["bf01"].notna().any(),
        "equivalence by two one-sided tests (TOST)": contrasts["tost_p"].notna().any(),
    }
    corrections = correction_in_words(contrasts["multiplicity"])
    return [*models, *(text for text, said in used.items() if said), *corrections]


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _steps(scans: Sequence[ScanFacts]) -> list[str]:
    """Steps in the order of the scan that has most of them; one that not every scan had says so."""
    longest = max((scan.steps for scan in scans), key=len, default=())
    steps = _unique([*longest, *(step for scan in scans for step in scan.steps)])
    counts = {step: sum(step in scan.steps for scan in scans) for step in steps}
    return [_in_scans(step, n, len(scans)) for step, n in counts.items()]


def _in_scans(text: str, n: int, n_all: int) -> str:
    return text if n == n_all else f"{text} in {n} of {n_all} scans"


_QUANTITY_WORDS = {
    "ratio_tcr": "ratio to total creatine",
    "molal": "molality (mmol/kg tissue water)",
    "molar": "molarity (mmol/L tissue)",
    "alpha_molar": "alpha-corrected molarity (mmol/L)",
    "alpha_group_molar": "alpha-corrected molarity at the group's tissue (mmol/L)",
    "institutional": "institutional units",
    "lcmodel": "molarity in LCModel's scaling (mmol/L)",
}


def _accepted(settings: CheckSettings) -> str:
    return f"; these checks of the data were overridden: {', '.join(settings.accept)}" if settings.accept else ""


def correction_in_words(multiplicity: Iterable[str]) -> tuple[str, ...]:
    """Say how p values were corrected, from the column ``multiplicity`` of the contrasts."""
    used = list(dict.fromkeys(multiplicity))
    said = [
        f"p values of the {text.removeprefix('Holm over ')} together adjusted by the method of Holm"
        for text in used
        if text.startswith("Holm over ")
    ]
    sequence = [text for text in used if text.startswith("fixed sequence")]
    if sequence:
        n = sequence[0].rsplit(" ", maxsplit=1)[-1]
        said.append(
            f"the {n} main contrasts tested in a fixed sequence, in which each counts as a finding only if all before "
            "it do (adjusted p: the largest so far)"
        )
    if any(text.startswith("Benjamini-Hochberg") for text in used):
        said.append(
            "p values of the other contrasts of the outcome, and of the other metabolites within each contrast, "
            "adjusted by the method of Benjamini and Hochberg"
        )
    return tuple(said)


def design_in_words(design: Design) -> tuple[str, ...]:
    """Say what a study compares, a sentence each."""
    sentences = []
    for factor in design.factors:
        pair = f"{factor.other} against {factor.reference}"
        if len(factor.levels) > 2:
            sentences.append(f"{len(factor.levels)} visits in the order of time: {', '.join(factor.levels)}.")
            continue
        sentences.append(_FACTOR_SENTENCES[factor.name].format(pair=pair, column=factor.column))
    outcome = f"The main outcome is {design.outcome.metabolite} ({design.outcome.quantity.replace('_', ' ')})"
    others = f"; also {', '.join(design.secondary)}" if design.secondary else ""
    sentences.append(f"{outcome}{others}.")
    if design.ratings:
        sentences.append(f"Participants rated {design.ratings.name} in each condition.")
    return tuple(sentences)


_FACTOR_SENTENCES = {
    "group": "Two groups: {pair} (column {column}).",
    "arm": "Two parallel arms, each participant in one: {pair} (column {column}).",
    "condition": "Two conditions in every participant: {pair}.",
    "treatment": "A crossover of two treatments: {pair}.",
    "time": "Two visits: {pair}.",
}


def analysis_facts(config: StudyConfig, facts: ScanFacts, quality: QualityReport, page: str) -> AnalysisFacts:
    """Say what the analysis adds to the reporting checklist of a scan, whose spectrum is on ``page``."""
    reference = "reference: total creatine" if facts.measured == ("ratio_tcr",) else ""
    said = [reference, *facts.corrections, _basis(config.basis, [facts]), _fit(config.fit, [facts])]
    return AnalysisFacts(
        software=f"mrspipe {__version__}",
        steps="; ".join(facts.steps),
        output_measure="; ".join([*(_QUANTITY_WORDS[name] for name in facts.measured), *facts.missing]),
        fit_model="; ".join(text for text in said if text),
        reported_quality=f"{facts.label}: SNR {quality.metric('snr'):.0f} (highest peak over one SD of the noise), "
        f"line width {quality.metric('fwhm_hz'):.1f} Hz (full width at half maximum)",
        exclusion_criteria=_quality(config.qc),
        fit_quality=f"{facts.label}: residual {quality.metric('residual_ratio'):.2f} times the noise",
        sample_spectrum=page,
    )


def _basis(settings: BasisSettings, scans: Sequence[ScanFacts]) -> str:
    if settings.file:
        return f"basis set {settings.file.rsplit('/', 1)[-1]}"
    sequences = " and ".join(_unique(scan.sequence for scan in scans if scan.sequence)) or "each scan's sequence"
    first = ""
    if any(scan.sequence.startswith("PRESS") for scan in scans):
        first = ", the first echo of PRESS " + (
            f"{1e3 * settings.te1_s:g} ms" if settings.te1_s else "assumed (12 ms, at most half of TE)"
        )
    return f"density-matrix simulation of {sequences} with {settings.pulses} pulses{first}"


def _fit(settings: FitSettings, scans: Sequence[ScanFacts]) -> str:
    low, high = settings.range_ppm
    models = " and ".join(_MACROMOLECULES.get(name, name) for name in _unique(scan.macromolecules for scan in scans))
    said = [
        f"penalised least squares of the real spectrum from {low:g} to {high:g} ppm",
        "amplitudes eliminated by variable projection",
        "P-spline baseline with stiffness from restricted maximum likelihood",
        f"macromolecules as {models}" if models else "",
        "changes between the scans of a participant from a fit of them together" if settings.joint.enabled else "",
    ]
    held = ", ".join(name for name in settings.priors.ratios_to_tcr if any(name in scan.metabolites for scan in scans))
    said.append(f"soft priors on the ratio to total creatine of {held}" if held else "")
    return "; ".join(text for text in said if text)


_MACROMOLECULES = {
    "smooth shape": "a smooth shape around the known resonances",
    "study-learned smooth shape": "a smooth shape that all scans of the study taught, blind to their labels",
    "measured shape with deviations": "the measured spectrum in the basis set with smooth deviations",
}


def _quantification(settings: QuantifySettings, scans: Sequence[ScanFacts]) -> list[str]:
    measured = _unique(name for scan in scans for name in scan.measured)
    counts = {name: sum(name in scan.measured for scan in scans) for name in measured}
    said = [_in_scans(_QUANTITY_WORDS[name], n, len(scans)) for name, n in counts.items()]
    if set(measured) - {"ratio_tcr", "lcmodel"}:
        stated = _unique(
            text for scan in scans for text in scan.corrections if text.startswith("stated in the settings")
        )
        said.append(
            "values relative to tissue water, corrected for tissue and CSF, with constants of water "
            f"({_water_sources(settings)}) and relaxation times of the metabolites ({_metabolite_sources(scans)})"
        )
        said += stated
    if "lcmodel" in measured:
        said.append(
            f"lcmodel: scaled as LCModel does, WCONC {settings.lcmodel_wconc_mmol:g} mmol/L, "
            f"ATTH2O {settings.lcmodel_atth2o:g}, ATTMET {settings.lcmodel_attmet:g}"
        )
    return said


def _water_sources(settings: QuantifySettings) -> str:
    return _cited(water.source for water in water_relaxation(settings.relaxation).values())


def _metabolite_sources(scans: Sequence[ScanFacts]) -> str:
    names = _unique(name for scan in scans for name in scan.metabolites)
    return _cited(metabolite_relaxation(name, "GM").source for name in names)


def _cited(sources: Iterable[str]) -> str:
    """Name authors, year and DOI of the citations in texts, each once."""
    found = _unique(f"{one[0]}, doi {one[1]}" for source in sources for one in _CITATION.findall(source))
    return "; ".join(found)


# "Ernst, Kreis and Ross 1993, J Magn Reson B 102:1, doi 10..."; notes around it are not for a methods text.
_CITATION = re.compile(r"((?:[A-Z][a-z]+, )*[A-Z][a-z]+(?: et al\.| and [A-Z][a-z]+) \d{4}).*?, doi (10\.\S+?)(?=; |$)")


def _quality(settings: QcSettings) -> str:
    bounds = ", ".join(f"{name} {limit:g} %" for name, limit in settings.doubtful_above_crlb_pct.items())
    only_flags = f"; a relative Cramér-Rao bound above its limit ({bounds}) only flags" if bounds else ""
    unusable = [
        "without a converged fit",
        f"below a signal-to-noise ratio of {settings.unusable_below_snr:g}",
        f"above a line width of {settings.unusable_above_fwhm_ppm:g} ppm",
        f"above a standard error of total creatine of {settings.unusable_above_tcr_se_pct:g} %",
    ]
    doubtful = [
        f"below a signal-to-noise ratio of {settings.doubtful_below_snr:g}",
        f"above a line width of {settings.doubtful_above_fwhm_ppm:g} ppm",
        f"above a residual of {settings.doubtful_above_residual_ratio:g} times the noise",
        *(["at a limit of the fit"] if settings.doubtful_at_limit else []),
        *(
            [f"with a slope of added {settings.injection_metabolite} further than "
             f"{settings.doubtful_beyond_injection_slope:g} from 1"] if settings.injection else []
        ),
    ]  # fmt: skip
    return f"left out {', '.join(unusable)}; flagged as doubtful {', '.join(doubtful)}{only_flags}"
