"""The settings and results of an analysis in words, for the methods text and the reporting checklist."""

from collections.abc import Iterable, Sequence

from mrspipe import __version__
from mrspipe.basis.settings import BasisSettings
from mrspipe.checks.catalogue import CheckSettings
from mrspipe.config import StudyConfig
from mrspipe.core.results import Concentration, QualityReport
from mrspipe.core.signal import Signal
from mrspipe.fit.settings import FitSettings
from mrspipe.qc import QcSettings
from mrspipe.quantify.settings import QuantifySettings
from mrspipe.report.methods_text import MethodsText, methods_text
from mrspipe.report.mrsinmrs import AnalysisFacts
from mrspipe.stats.design import Design


def methods_of(config: StudyConfig, models: Sequence[str] = ()) -> MethodsText:
    """Write the methods of an analysis from its settings and the statistical models that were used."""
    return methods_text(
        version=__version__,
        preprocessing=[step.step for step in config.preprocess.steps],
        basis=_basis(config.basis),
        fit=_fit(config.fit),
        quantification=[_quantification(config.quantify)],
        quality=_quality(config.qc) + _accepted(config.checks),
        statistics=models,
    )


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


def analysis_facts(
    config: StudyConfig, signal: Signal, levels: Sequence[Concentration], quality: QualityReport
) -> AnalysisFacts:
    """Say what the analysis adds to the reporting checklist."""
    corrections = dict.fromkeys(text for level in levels for text in level.corrections)
    return AnalysisFacts(
        software=f"mrspipe {__version__}",
        steps="; ".join(step.method for step in signal.history),
        output_measure=", ".join(config.quantify.quantities),
        assumptions="; ".join(corrections),
        fit_model=f"{_basis(config.basis)}; {_fit(config.fit)}",
        reported_quality=f"SNR {quality.metric('snr'):.0f}, line width {quality.metric('fwhm_hz'):.1f} Hz",
        exclusion_criteria=_quality(config.qc),
        fit_quality=f"residual {quality.metric('residual_ratio'):.2f} times the noise",
        sample_spectrum="this page",
    )


def _basis(settings: BasisSettings) -> str:
    if settings.file:
        return f"basis set {settings.file.rsplit('/', 1)[-1]}"
    return f"density-matrix simulation with {settings.pulses} pulses of the sequence and echo time of each scan"


def _fit(settings: FitSettings) -> str:
    low, high = settings.range_ppm
    return (
        f"penalised least squares of the real spectrum from {low:g} to {high:g} ppm; amplitudes eliminated by variable "
        "projection; P-spline baseline with stiffness from restricted maximum likelihood; macromolecules "
        + {
            "auto": "from the basis set where it has them, else as a smooth shape around the known resonances",
            "basis": "from the basis set with smooth deviations",
            "parametrised": "as a smooth shape around the known resonances",
            "study": "as a smooth shape that all scans of the study taught, blind to their labels",
        }[settings.mm]
        + "; soft ratio priors on weakly determined metabolites"
    )


def _quantification(settings: QuantifySettings) -> str:
    said = [", ".join(settings.quantities)]
    if set(settings.quantities) - {"ratio_tcr", "lcmodel"}:
        said.append(
            f"water-referenced values with relaxation constants of the set '{settings.relaxation}' and corrected for "
            "tissue and CSF"
        )
    if "lcmodel" in settings.quantities:
        said.append(
            f"lcmodel: scaled as LCModel does, WCONC {settings.lcmodel_wconc_mmol:g} mmol/L, "
            f"ATTH2O {settings.lcmodel_atth2o:g}, ATTMET {settings.lcmodel_attmet:g}"
        )
    return "; ".join(said)


def _quality(settings: QcSettings) -> str:
    return (
        f"left out below a signal-to-noise ratio of {settings.unusable_below_snr:g} or above a line width of "
        f"{settings.unusable_above_fwhm_ppm:g} ppm; doubtful below {settings.doubtful_below_snr:g} or above "
        f"{settings.doubtful_above_fwhm_ppm:g} ppm"
    )
