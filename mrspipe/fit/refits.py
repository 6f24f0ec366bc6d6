"""The same spectrum fitted in other reasonable ways, to see what an estimate owes to the choices made.

Short echo times depend most on the macromolecules and on how freely the baseline bends. A line width that differs
between conditions can pass for a change of concentration [1]_; so spectra can be broadened to a common width.

References
----------
.. [1] Bednarik et al. 2015, doi 10.1038/jcbfm.2014.233
"""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import MrspipeError
from mrspipe.core.results import FitResult
from mrspipe.core.signal import ProcessingStep, Signal
from mrspipe.fit.fitted import GENERIC_MODEL
from mrspipe.fit.learning import LearnedMacromolecules
from mrspipe.fit.settings import FitSettings
from mrspipe.fit.spectrum import fit_spectrum

# The stiffer baseline has this part of the effective dimension that was found.
_STIFFER = 0.5


def refits(
    signal: Signal,
    fit: FitResult,
    basis: BasisSet,
    settings: FitSettings,
    learned: LearnedMacromolecules | None = None,
) -> Iterator[tuple[str, FitResult]]:
    """Fit a spectrum in other reasonable ways; one that is not possible is left out.

    Parameters
    ----------
    signal : Signal
        The preprocessed FID.
    fit : FitResult
        Its fit with the settings.
    basis : BasisSet
    settings : FitSettings
    learned : LearnedMacromolecules, optional
        Nuisance model of the study that `fit` used.

    Yields
    ------
    choice : str
        What was chosen otherwise, in words.
    fit : FitResult
    """
    range_ppm = settings.range_ppm[1] - settings.range_ppm[0]
    found_ed = fit.nuisance["baseline_ed_per_ppm"] * range_ppm
    stiffer = (settings.baseline_ed_range[0], max(_STIFFER * found_ed, settings.baseline_ed_range[0] + 0.1))
    ways = [("stiffer baseline", settings.model_copy(update={"baseline_ed_range": stiffer}), learned)]
    if fit.macromolecule_model != GENERIC_MODEL:
        generic = settings.model_copy(update={"mm": "parametrised"})
        ways.append(("generic macromolecules", generic, None))
    for choice, chosen, nuisance in ways:
        with suppress(MrspipeError):
            yield choice, fit_spectrum(signal, basis, chosen, nuisance)


def broadened(signal: Signal, width_hz: float, target_hz: float) -> Signal:
    """Broaden lines to a full width at half maximum; those that are broader already stay.

    The first point, and with it every area, is unchanged. Widths of Gaussian lines add in quadrature, which is near
    enough for the Voigt lines of spectra.

    Parameters
    ----------
    signal : Signal
    width_hz, target_hz : float
        Width that the lines have, and that they are to have, in Hz.
    """
    if not width_hz < target_hz:
        return signal
    # A Gaussian of full width at half maximum w decays as exp(-(pi w t)^2 / (4 log 2)).
    added_hz = np.sqrt(target_hz**2 - width_hz**2)
    decay = np.exp(-((np.pi * added_hz * signal.axis.time_s) ** 2) / (4 * np.log(2)))
    step = ProcessingStep("broaden", {"gauss_hz": float(added_hz)})
    return signal.after(step, signal.samples * decay)
