"""What other reasonable choices would have given for a scan: quantities, constants, and ways to fit."""

from collections.abc import Iterator

from mrspipe.config import StudyConfig
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.results import Alternative, Concentration, FitResult, Quantity
from mrspipe.core.signal import Scan
from mrspipe.fit.learning import LearnedMacromolecules
from mrspipe.fit.refits import refits
from mrspipe.physics.relaxation import water_sets
from mrspipe.quantify.levels import concentrations
from mrspipe.quantify.settings import QuantifySettings

_QUANTITIES: tuple[Quantity, ...] = ("ratio_tcr", "molal", "molar", "alpha_molar", "lcmodel")


def alternatives(
    clean: Scan,
    fit: FitResult,
    basis: BasisSet,
    config: StudyConfig,
    learned: LearnedMacromolecules | None = None,
) -> tuple[Alternative, ...]:
    """Quantify a scan under other choices than the configuration's; values that cannot be computed are left out.

    Parameters
    ----------
    clean : Scan
        After preprocessing.
    fit : FitResult
    basis : BasisSet
    config : StudyConfig
        Fits with other choices only where ``fit.refits.enabled``.
    learned : LearnedMacromolecules, optional
    """
    return tuple(
        Alternative(kind, choice or level.quantity, level.metabolite, level.quantity, level.value)
        for kind, choice, other, settings in _ways(clean, fit, basis, config, learned)
        for level in _levels(clean, other, settings)
        if level.value == level.value
    )


def _ways(
    clean: Scan, fit: FitResult, basis: BasisSet, config: StudyConfig, learned: LearnedMacromolecules | None
) -> Iterator[tuple[str, str, FitResult, QuantifySettings]]:
    """Give kind, choice (empty: named by its quantity), fit and settings of each way."""
    main = config.quantify
    others = tuple(name for name in _QUANTITIES if name not in main.quantities)
    yield "quantity", "", fit, main.model_copy(update={"quantities": others})
    if clean.tissue is not None or main.tissue_fractions is not None:
        referenced = tuple(name for name in main.quantities if name != "ratio_tcr")
        for name in water_sets():
            if name != main.relaxation:
                changed = main.model_copy(update={"relaxation": name, "quantities": referenced})
                yield "constants", f"water relaxation of {name}", fit, changed
    if config.fit.refits.enabled:
        for choice, other in refits(clean.metabolites, fit, basis, config.fit, learned):
            yield "fit", choice, other, main


def _levels(clean: Scan, fit: FitResult, settings: QuantifySettings) -> tuple[Concentration, ...]:
    if not settings.quantities:
        return ()
    return concentrations(fit, clean.water, clean.tissue, clean.metabolites.acquisition, settings)
