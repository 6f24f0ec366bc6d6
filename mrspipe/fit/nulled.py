"""Macromolecules from a metabolite-nulled scan: inversion recovery while the metabolites pass zero.

The spectrum is fitted as any other, with two differences: it is referenced by the macromolecules themselves, and what
is left of the metabolites is expected to be next to nothing, of either sign. What the fit calls macromolecules, freed
of noise, baseline, metabolites, phase and the line shape of that scan, becomes an entry of a basis set.
"""

from dataclasses import replace

import numpy as np

from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import AnalysisError, ConfigError
from mrspipe.core.signal import Signal
from mrspipe.fit.fitted import FitTask
from mrspipe.fit.macromolecules import grid_fid
from mrspipe.fit.model import gaussian_decay
from mrspipe.fit.nuisance import Nuisance
from mrspipe.fit.prepare import prepare
from mrspipe.fit.reference import matched, noise_sd, referenced
from mrspipe.fit.settings import FitSettings, RatioPrior
from mrspipe.fit.spectrum import proton_amplitude, staged_fit

NAME = "Mac"
"""Of the entry."""
# Left of a metabolite after inversion recovery, relative to what tCr would be, at either sign. Assumed.
_LEFT = RatioPrior(mean=0.0, sd=0.1)
# The shape is measured here, so that less is expected of it than elsewhere; the level is whatever inversion leaves.
_RELATIVE_SD, _FLOOR_SD = 0.3, 0.1
_ANY_LEVEL_SD = 1e3
_FIXED = 1e-3
_TYPICAL_GAUSS_HZ = 5.0
# Height of the macromolecules in noise SD below which they are no measurement.
_LEAST_PEAK = 10.0
# Highest peak of the metabolites over that of the macromolecules above which a scan is not nulled: a brain at a short
# echo time has about eight without nulling, and the in vivo scan that this was tried with has a third with it.
_HIGHEST_LEFT = 1.5


def with_macromolecules(basis: BasisSet, nulled: Signal, settings: FitSettings) -> BasisSet:
    """Add the macromolecules of a metabolite-nulled scan to a basis set.

    Parameters
    ----------
    basis : BasisSet
        Without macromolecules; of the scan's field. Its echo time should be that of the scan.
    nulled : Signal
        Preprocessed: one FID.
    settings : FitSettings

    Returns
    -------
    BasisSet
        With one more entry, ``Mac``. It is as large as the expected shape is whose line at 0.92 ppm has the area of
        one proton; a nulled scan has no other scale.

    Raises
    ------
    ConfigError
        The basis set has macromolecules already.
    AnalysisError
        No macromolecules were found in the scan.
    """
    if basis.macromolecule_names:
        raise ConfigError(
            f"The basis set has macromolecules already ({', '.join(basis.macromolecule_names)}).",
            cure="Give one without.",
            code="macromolecules",
        )
    wide = settings.priors.model_copy(update={"mm_relative_sd": _RELATIVE_SD, "mm_floor_sd": _FLOOR_SD})
    settings = settings.model_copy(update={"mm": "parametrised", "priors": wide})
    prepared = prepare(basis, nulled.axis, settings)
    grid, names = prepared.grid, prepared.roles.metabolites
    generic = Nuisance.generic(prepared.generic_smooth, names, wide, basis.linewidth_hz)
    proton = proton_amplitude(basis)
    unknown = RatioPrior(mean=generic.level.mean, sd=_ANY_LEVEL_SD)
    # Nothing in the scan is narrow enough to tell the width of a line; a free one would turn metabolites into
    # macromolecules.
    nuisance = replace(
        generic,
        ratios=dict.fromkeys(names, _LEFT),
        level=unknown,
        line_sd=_FIXED * generic.line_sd,
        t2=RatioPrior(mean=generic.t2.mean, sd=_FIXED),
    )
    sigma = noise_sd(nulled, grid)
    data = grid.to_time(grid.spectra(nulled.fid, nulled.axis))
    template = (prepared.generic_smooth @ prepared.model.smooth.signals) * gaussian_decay(
        _TYPICAL_GAUSS_HZ**2, grid.time_s**2
    )
    reference = matched(data, template, grid, settings.max_shift_ppm)
    task = FitTask(basis, prepared, settings, generic, nuisance)
    creatine = reference.amplitude / (generic.level.mean * proton)
    _, solution, _ = staged_fit(referenced(nulled, reference, prepared.model) / sigma, creatine / sigma, task)
    amplitudes = solution.amplitudes[prepared.roles.n_basis :]
    common = generic.smooth.common(amplitudes)
    peak = float((solution.columns[:, prepared.roles.n_basis :] @ amplitudes).max())
    left = float(np.abs(solution.columns[:, : len(names)] @ solution.amplitudes[: len(names)]).max())
    if not (solution.converged and common > 0 and peak > _LEAST_PEAK):
        raise AnalysisError(
            "No macromolecules were found in the nulled scan.",
            cure="Check that it is a metabolite-nulled scan with a positive signal at 0.9 ppm.",
            code="no-macromolecules",
        )
    if left > _HIGHEST_LEFT * peak:
        raise AnalysisError(
            f"The scan is not metabolite-nulled: metabolites are {left / peak:.0f} times as high as macromolecules.",
            cure="Give the scan whose inversion time nulls the metabolites.",
            code="no-macromolecules",
        )
    fid = grid_fid(np.asarray(amplitudes * (proton / common)), basis.axis)
    return replace(basis, names=(*basis.names, NAME), fids=np.vstack([basis.fids, fid]))
