"""What a fit needs and does not depend on the data: the basis and the macromolecules on the grid of the fit."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import AnalysisError, ConfigError
from mrspipe.fit.baseline import Spline, spline
from mrspipe.fit.grid import BandGrid
from mrspipe.fit.model import SpectralModel, gaussian_decay
from mrspipe.fit.priors import Roles
from mrspipe.fit.settings import FitSettings
from mrspipe.physics.macromolecules import macromolecule_lines

# Sampling of the macromolecule lines, fine enough that their spectra are those of a continuous signal.
_LINE_DWELL_S = 1e-4
_N_STIFFNESSES = 36


@dataclass(frozen=True, eq=False)
class Prepared:
    """Model, baseline functions and roles of the columns for one axis and one basis set.

    Parameters
    ----------
    grid : BandGrid
    model : SpectralModel
    base : Spline
    stiffnesses : float array, shape (36,)
        Candidates for the baseline, from flexible to stiff.
    roles : Roles
    measured_scale : float
        Common amplitude of the macromolecule lines that resembles a measured macromolecule spectrum of amplitude 1;
        zero without a measured one.
    """

    grid: BandGrid
    model: SpectralModel
    base: Spline
    stiffnesses: FloatArray
    roles: Roles
    measured_scale: float


def prepare(basis: BasisSet, axis: SpectralAxis, settings: FitSettings) -> Prepared:
    """Bring a basis set to the grid of the data; repeated calls for the same basis set and axis are free."""
    return _prepare(
        basis,
        axis,
        settings.metabolites,
        settings.range_ppm,
        settings.duration_s,
        settings.mm,
        settings.spline_functions_per_ppm,
        settings.baseline_ed_range,
    )


@lru_cache(maxsize=16)
def _prepare(
    basis: BasisSet,
    axis: SpectralAxis,
    metabolites: tuple[str, ...],
    range_ppm: tuple[float, float],
    duration_s: float,
    macromolecules: Literal["auto", "parametrised", "study", "basis"],
    functions_per_ppm: float,
    ed_range: tuple[float, float],
) -> Prepared:
    _check_range(axis, range_ppm)
    grid = BandGrid.of(axis, duration_s)
    window = grid.slice_ppm(*range_ppm)
    names = metabolites or tuple(name for name in basis.names if name not in basis.macromolecule_names)
    measured = _measured_macromolecules(basis, macromolecules)
    lines = macromolecule_lines()
    roles = Roles(names, measured is not None, np.array([line.ratio for line in lines]))
    fids = basis.only([*names, *([measured] if measured else [])]).fids
    widths_hz = np.array([line.fwhm_ppm for line in lines]) * axis.hz_per_ppm
    model = SpectralModel(
        grid=grid,
        window=window,
        basis_signals=grid.to_time(grid.spectra(fids, basis.axis)),
        line_signals=_line_signals(grid, np.array([line.ppm for line in lines]), 0.5 * widths_hz),
        line_fwhm_hz=widths_hz,
    )
    base = spline(model.ppm, functions_per_ppm)
    return Prepared(
        grid=grid,
        model=model,
        base=base,
        stiffnesses=np.array(
            [base.stiffness_for(ed) for ed in np.geomspace(min(ed_range), max(ed_range), _N_STIFFNESSES)]
        ),
        roles=roles,
        measured_scale=_measured_scale(model, roles),
    )


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


def _line_signals(grid: BandGrid, ppm: FloatArray, fwhm_hz: FloatArray) -> ComplexArray:
    """Band-limited Gaussian lines of unit amplitude at time zero."""
    n_points = round(grid.duration_s / _LINE_DWELL_S)
    axis = SpectralAxis(n_points, _LINE_DWELL_S, grid.hz_per_ppm * 1e6, grid.centre_ppm)
    offset_hz = (ppm - axis.centre_ppm) * axis.hz_per_ppm
    fids = np.exp(2j * np.pi * offset_hz[:, None] * axis.time_s) * gaussian_decay(fwhm_hz[:, None] ** 2, axis.time_s**2)
    return grid.to_time(grid.spectra(fids, axis))


def _measured_scale(model: SpectralModel, roles: Roles) -> float:
    if not roles.measured_mm:
        return 0.0
    evaluation = model.evaluate(np.zeros(model.layout.size))
    measured = evaluation.spectra[roles.n_basis - 1].real
    lines = roles.line_ratio @ evaluation.spectra[roles.n_basis :].real
    return float(abs(measured @ lines) / (lines @ lines))
