"""What is known before the data are seen, as rows and as means with standard deviations."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import SUMS
from mrspipe.fit.model import Layout
from mrspipe.fit.nuisance import Nuisance
from mrspipe.fit.settings import FitPriors, RatioPrior
from mrspipe.physics.relaxation import is_tabulated, metabolite_t2_s

# Phase and shift are found from the data; these only keep the Levenberg steps within reason.
_PHASE0_SD_RAD = 2.0
_SHIFT_SD_HZ = 20.0


@dataclass(frozen=True)
class Roles:
    """Which linear column is what.

    Parameters
    ----------
    metabolites : tuple of str
        The first columns.
    measured_mm : bool
        The column after the metabolites is a measured macromolecule spectrum.
    n_smooth : int
        Functions of the macromolecules, the columns after that.
    """

    metabolites: tuple[str, ...]
    measured_mm: bool
    n_smooth: int

    @property
    def n_basis(self) -> int:
        """Number of columns that come from the basis set."""
        return len(self.metabolites) + self.measured_mm

    @property
    def n_linear(self) -> int:
        """Number of linear columns."""
        return self.n_basis + self.n_smooth

    @property
    def total_creatine(self) -> FloatArray:
        """Row that sums Cr and PCr, shape (n_linear,)."""
        return np.array(
            [float(name in SUMS["tCr"]) for name in self.metabolites] + [0.0] * (self.n_linear - len(self.metabolites))
        )


@dataclass(frozen=True)
class Scale:
    """What the priors are relative to.

    The first three are amplitudes: of tCr, of one proton of it, and the common one of the macromolecules. ``width`` is
    that of the lines relative to what is expected.
    """

    total_creatine: float
    creatine_proton: float
    macromolecules: float
    width: float = 1.0


@dataclass(frozen=True, eq=False)
class AmplitudePriors:
    """What is known about the amplitudes: ``rows @ amplitudes`` is expected to be ``targets`` +- 1.

    Parameters
    ----------
    rows : float array, shape (n_rows, n_linear)
    targets : float array, shape (n_rows,)
    scale : float array, shape (n_linear,)
        Row that gives total creatine, or all metabolites together where there is none: the unknown size of a spectrum.
    n_relative : int
        Number of amplitudes that are known relative to it: the metabolites.
    """

    rows: FloatArray
    targets: FloatArray
    scale: FloatArray
    n_relative: int

    @cached_property
    def gram(self) -> FloatArray:
        """``rows' rows``, shape (n_linear, n_linear)."""
        return np.asarray(self.rows.T @ self.rows)

    @cached_property
    def moment(self) -> FloatArray:
        """``rows' targets``, shape (n_linear,)."""
        return np.asarray(self.rows.T @ self.targets)

    def without(self, n_leading: int) -> "AmplitudePriors":
        """Leave out every row that touches the leading amplitudes."""
        kept = ~self.rows[:, :n_leading].any(axis=1)
        return replace(self, rows=self.rows[kept], targets=self.targets[kept])


def amplitude_priors(roles: Roles, nuisance: Nuisance, creatine_fraction: RatioPrior, scale: Scale) -> AmplitudePriors:
    """Turn ratios and macromolecules into rows.

    A ratio ``c / tCr = mean +- sd`` is the row ``c / (sd S)`` with target ``mean / sd``, where ``S`` is the tCr of the
    preliminary fit. A row ``c - mean tCr`` would leave out ``S``, but every metabolite below its mean would then pull
    creatine down. ``scale`` is that of the preliminary fit.
    """
    rows, targets = [], []
    creatine = roles.total_creatine
    each = np.eye(roles.n_linear)
    for index, name in enumerate(roles.metabolites):
        ratio = nuisance.ratios.get(name)
        if ratio is not None and creatine.any():
            rows.append(each[index] / (ratio.sd * scale.total_creatine))
            targets.append(ratio.mean / ratio.sd)
        if name == "Cr" and "PCr" in roles.metabolites:
            part = creatine_fraction
            rows.append((each[index] - part.mean * creatine) / (part.sd * scale.total_creatine))
            targets.append(0.0)
    if not roles.measured_mm:
        level = nuisance.level
        rows.append(nuisance.smooth.common_row @ each[roles.n_basis :] / (level.sd * scale.creatine_proton))
        targets.append(level.mean / level.sd)
    smooth = smooth_rows(roles, nuisance) @ each[roles.n_basis :] / scale.macromolecules
    n_names = len(roles.metabolites)
    return AmplitudePriors(
        rows=np.vstack([*rows, smooth]),
        targets=np.array([*targets, *([0.0] * roles.n_smooth)]),
        scale=creatine if creatine.any() else each[:n_names].sum(axis=0),
        n_relative=n_names,
    )


def smooth_rows(roles: Roles, nuisance: Nuisance) -> FloatArray:
    """Rows of the macromolecules' functions, shape (n_smooth, n_smooth).

    With measured macromolecules the functions are deviations of mean zero; else they share an amplitude.
    """
    return np.diag(1 / nuisance.smooth.sd) if roles.measured_mm else nuisance.smooth.rows


def theta_priors(
    layout: Layout, nuisance: Nuisance, priors: FitPriors, *, hz_per_ppm: float, width: float = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Means and standard deviations of the nonlinear parameters, each of shape (n_theta,).

    What is known of a line is its shape, more than its width, which depends on the shim: ``width`` (`Scale`) makes both
    parts of the common line broader alike.
    """
    mean, sd = np.zeros(layout.size), np.empty(layout.size)
    sd[layout.PHASE0] = _PHASE0_SD_RAD
    sd[layout.PHASE1] = np.deg2rad(priors.phase1_sd_deg_per_ppm)
    sd[layout.SHIFT] = _SHIFT_SD_HZ
    line = [layout.LORENTZ, layout.GAUSS]
    mean[line], sd[line] = width_units(width) * [nuisance.line_mean, nuisance.line_sd]
    mean[layout.T2], sd[layout.T2] = nuisance.t2.mean, nuisance.t2.sd
    mean[layout.SHAPE], sd[layout.SHAPE] = nuisance.shape_mean, nuisance.shape_sd
    # Measured macromolecules come after the metabolites and move like any of them.
    sd[layout.shifts], sd[layout.widths] = priors.shift_sd_ppm * hz_per_ppm, priors.width_sd_hz
    first_shift, first_width, n = layout.shifts.start, layout.widths.start, nuisance.shifts_ppm.size
    mean[first_shift : first_shift + n] = nuisance.shifts_ppm * hz_per_ppm
    sd[first_shift : first_shift + n] = nuisance.shifts_sd_ppm * hz_per_ppm
    mean[first_width : first_width + n], sd[first_width : first_width + n] = nuisance.widths_hz, nuisance.widths_sd_hz
    return mean, sd


def width_units(width: float) -> FloatArray:
    """Units of the common Lorentzian width and of the squared Gaussian one, for a line so much broader, shape (2,)."""
    return np.array([width, width**2])


def own_widths_hz(roles: Roles, field_t: float, grey_matter: float) -> FloatArray:
    """Lorentzian width of each basis signal that its T2 implies, relative to creatine, shape (n_basis,).

    Definition: ``1 / (pi T2) - 1 / (pi T2_Cr)``, T2 in tissue of which the part ``grey_matter`` is grey and the rest
    white. Zero for macromolecules, and away from 3 T, for which there is no table.
    """
    widths = np.zeros(roles.n_basis)
    if not is_tabulated(field_t):
        return widths
    names = roles.metabolites
    t2_s = np.array([metabolite_t2_s(name, grey_matter) for name in (*names, "Cr")])
    rate = 1 / (np.pi * t2_s)
    widths[: len(names)] = rate[:-1] - rate[-1]
    return widths
