"""What a fit needs and does not depend on the data: the basis and the macromolecules on the grid of the fit."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import AnalysisError, ConfigError
from mrspipe.fit.baseline import Spline, spline
from mrspipe.fit.grid import BandGrid
from mrspipe.fit.macromolecules import CENTRES_PPM, generic_mean, grid_functions, projected
from mrspipe.fit.model import SpectralModel
from mrspipe.fit.priors import Roles, own_widths_hz
from mrspipe.fit.settings import FitSettings
from mrspipe.physics.constants import GAMMA_BAR_1H_HZ_PER_T

_N_STIFFNESSES = 20
_FEWEST_INTERVALS = 4


@dataclass(frozen=True, eq=False)
class Prepared:
    """Model, baseline functions and roles of the columns for one axis and one basis set.

    Parameters
    ----------
    grid : BandGrid
    model : SpectralModel
    shown : SpectralModel
        The same on the finer grid on which results are shown.
    base : Spline
    shown_functions : float array, shape (n_shown, n_functions)
        The baseline's functions on the finer grid.
    stiffnesses : float array
        Candidates for the baseline, from flexible to stiff.
    roles : Roles
    generic_smooth : float array, shape (n_smooth,)
        Known macromolecules on their grid.
    measured_smooth : float array, shape (n_smooth,), or None
        A measured macromolecule spectrum of amplitude 1 on the same grid.
    """

    grid: BandGrid
    model: SpectralModel
    shown: SpectralModel
    base: Spline
    shown_functions: FloatArray
    stiffnesses: FloatArray
    roles: Roles
    generic_smooth: FloatArray
    measured_smooth: FloatArray | None


def prepare(basis: BasisSet, axis: SpectralAxis, settings: FitSettings) -> Prepared:
    """Bring a basis set to the grid of the data; repeated calls for the same basis set and axis are free."""
    return _prepare(
        basis,
        axis,
        settings.metabolites,
        settings.range_ppm,
        settings.duration_s,
        settings.shown_duration_s,
        settings.mm,
        settings.spline_functions_per_ppm,
        settings.baseline_ed_range,
        settings.priors.grey_matter,
    )


@lru_cache(maxsize=16)
def _prepare(
    basis: BasisSet,
    axis: SpectralAxis,
    metabolites: tuple[str, ...],
    range_ppm: tuple[float, float],
    duration_s: float,
    shown_duration_s: float,
    macromolecules: Literal["auto", "parametrised", "study", "basis"],
    functions_per_ppm: float,
    ed_range: tuple[float, float],
    grey_matter: float,
) -> Prepared:
    _check_range(axis, range_ppm)
    grid = BandGrid.of(axis, duration_s)
    names = metabolites or tuple(name for name in basis.names if name not in basis.macromolecule_names)
    measured = _measured_macromolecules(basis, macromolecules)
    fitted = basis.only([*names, *([measured] if measured else [])])
    roles = Roles(names, measured is not None, CENTRES_PPM.size)
    field_t = grid.hz_per_ppm * 1e6 / GAMMA_BAR_1H_HZ_PER_T
    widths_hz = own_widths_hz(roles, field_t, grey_matter)
    model = _model(grid, range_ppm, fitted, widths_hz)
    shown = _model(BandGrid.of(axis, shown_duration_s), (model.ppm[0], model.ppm[-1]), fitted, widths_hz)
    signals, smooth = model.basis_signals, model.smooth
    # From the range that was asked for: where its first and last bin lie shall not change the number of functions.
    base = spline(model.ppm, max(_FEWEST_INTERVALS, round((range_ppm[1] - range_ppm[0]) * functions_per_ppm)))
    dimensions = np.geomspace(min(ed_range), max(ed_range), _N_STIFFNESSES)
    return Prepared(
        grid=grid,
        model=model,
        shown=shown,
        base=base,
        shown_functions=base.functions_at(shown.ppm),
        stiffnesses=np.array([base.stiffness_for(dimension) for dimension in dimensions]),
        roles=roles,
        generic_smooth=generic_mean(grid, smooth.signals),
        measured_smooth=projected(grid, smooth.signals, signals[-1], model.window) if measured else None,
    )


def _model(grid: BandGrid, range_ppm: tuple[float, float], basis: BasisSet, t2_widths_hz: FloatArray) -> SpectralModel:
    signals = grid.to_time(grid.spectra(basis.fids, basis.axis))
    return SpectralModel(grid, grid.slice_ppm(*range_ppm), signals, grid_functions(grid), t2_widths_hz)


def _check_range(axis: SpectralAxis, range_ppm: tuple[float, float]) -> None:
    low, high = range_ppm
    if not low < high:
        raise ConfigError(f"range_ppm must ascend, got {low} to {high}.", where="fit.range_ppm")
    if low < axis.ppm[0] or high > axis.ppm[-1]:
        raise AnalysisError(
            f"The spectrum covers {axis.ppm[0]:.2f} to {axis.ppm[-1]:.2f} ppm, "
            f"which does not hold the fitted range {low} to {high} ppm.",
            code="range",
        )


def _measured_macromolecules(basis: BasisSet, wanted: str) -> str | None:
    names = basis.macromolecule_names
    if wanted in ("parametrised", "study") or (wanted == "auto" and len(names) != 1):
        return None
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise ConfigError(
            f"Fitting macromolecules from the basis set needs exactly one entry named MM... or Mac..., found {found}.",
            where="fit.mm",
            cure="Use mm = 'parametrised'.",
            code="macromolecules",
        )
    return names[0]
