"""What is known before the data are seen, as rows and as means with standard deviations."""

from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import SUMS
from mrspipe.fit.model import Layout
from mrspipe.fit.settings import FitPriors
from mrspipe.physics.relaxation import FIELD_T, metabolite_relaxation

# Phase and shift are found from the data; these only keep the Levenberg steps within reason.
_PHASE0_SD_RAD = 2.0
_SHIFT_SD_HZ = 20.0
# The table of T2 holds for fields this close to 3 T, in T (whole-body magnets are 2.89 to 3.0 T).
_FIELD_TOLERANCE_T = 0.3


@dataclass(frozen=True)
class Roles:
    """Which linear column is what.

    Parameters
    ----------
    metabolites : tuple of str
        The first columns.
    measured_mm : bool
        The column after the metabolites is a measured macromolecule spectrum.
    line_ratio : float array, shape (n_lines,)
        Expected areas of the macromolecule lines relative to the first, the columns after that.
    """

    metabolites: tuple[str, ...]
    measured_mm: bool
    line_ratio: FloatArray

    @property
    def n_basis(self) -> int:
        """Number of columns that come from the basis set."""
        return len(self.metabolites) + self.measured_mm

    @property
    def n_linear(self) -> int:
        """Number of linear columns."""
        return self.n_basis + self.line_ratio.size

    @property
    def total_creatine(self) -> FloatArray:
        """Row that sums Cr and PCr, shape (n_linear,)."""
        return np.array(
            [float(name in SUMS["tCr"]) for name in self.metabolites] + [0.0] * (self.n_linear - len(self.metabolites))
        )


@dataclass(frozen=True, eq=False)
class AmplitudePriors:
    """What is known about the amplitudes: ``rows @ amplitudes`` is expected to be ``targets`` +- 1.

    Parameters
    ----------
    rows : float array, shape (n_rows, n_linear)
    targets : float array, shape (n_rows,)
    """

    rows: FloatArray
    targets: FloatArray

    def without(self, n_leading: int) -> "AmplitudePriors":
        """Leave out every row that touches the leading amplitudes."""
        kept = ~self.rows[:, :n_leading].any(axis=1)
        return AmplitudePriors(self.rows[kept], self.targets[kept])


def amplitude_priors(roles: Roles, priors: FitPriors, *, total_creatine: float, mm_amplitude: float) -> AmplitudePriors:
    """Turn ratios and macromolecule areas into rows.

    A ratio ``c / tCr = mean +- sd`` is the row ``c / (sd S)`` with target ``mean / sd``, where ``S`` is the tCr of the
    preliminary fit. A row ``c - mean tCr`` would leave out ``S``, but every metabolite below its mean would then pull
    creatine down.
    """
    rows, targets = [], []
    creatine = roles.total_creatine
    each = np.eye(roles.n_linear)
    for index, name in enumerate(roles.metabolites):
        ratio = priors.ratios_to_tcr.get(name)
        if ratio is not None and creatine.any():
            rows.append(each[index] / (ratio.sd * total_creatine))
            targets.append(ratio.mean / ratio.sd)
        if name == "Cr" and "PCr" in roles.metabolites:
            fraction = priors.creatine_fraction
            rows.append((each[index] - fraction.mean * creatine) / (fraction.sd * total_creatine))
            targets.append(0.0)
    lines = _line_rows(roles, priors, mm_amplitude)
    return AmplitudePriors(
        np.array([*rows, *lines]).reshape(-1, roles.n_linear), np.array([*targets, *([0.0] * len(lines))])
    )


def _line_rows(roles: Roles, priors: FitPriors, mm_amplitude: float) -> list[FloatArray]:
    """Rows of the macromolecule lines.

    Measured macromolecules: each line is a deviation with mean zero. Else the areas keep their expected ratios to a
    common amplitude ``A`` that has a flat prior; ``A`` is eliminated, which leaves the rows' projection away from it.
    """
    first = roles.n_basis
    lines = np.eye(roles.n_linear)[first:]
    if roles.line_ratio.size == 0:
        return []
    if roles.measured_mm:
        return list(lines / (priors.mm_deviation_sd * roles.line_ratio * mm_amplitude)[:, None])
    weighted = lines / (priors.mm_amplitude_sd * roles.line_ratio * mm_amplitude)[:, None]
    # In these units every row is (a_j / r_j - A) / const, so eliminating A subtracts the mean row.
    return list(weighted - weighted.mean(axis=0))


def theta_priors(
    layout: Layout, priors: FitPriors, *, hz_per_ppm: float, basis_width_hz: float, own_width_hz: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Means and standard deviations of the nonlinear parameters, each of shape (n_theta,).

    ``own_width_hz``, shape (n_basis,), is each signal's expected Lorentzian width beyond the common one.
    """
    mean, sd = np.zeros(layout.size), np.empty(layout.size)
    mean[layout.LORENTZ] = priors.lorentz_hz - basis_width_hz
    mean[layout.GAUSS] = priors.gauss_hz**2
    mean[layout.widths] = own_width_hz
    sd[layout.PHASE0] = _PHASE0_SD_RAD
    sd[layout.PHASE1] = np.deg2rad(priors.phase1_sd_deg_per_ppm)
    sd[layout.SHIFT] = _SHIFT_SD_HZ
    sd[layout.LORENTZ] = priors.lorentz_sd_hz
    sd[layout.GAUSS] = 2 * priors.gauss_hz * priors.gauss_sd_hz
    sd[layout.shifts] = priors.shift_sd_ppm * hz_per_ppm
    sd[layout.widths] = priors.width_sd_hz
    sd[layout.line_shifts] = priors.mm_shift_sd_ppm * hz_per_ppm
    sd[layout.line_widths] = priors.mm_log_width_sd
    return mean, sd


def own_widths_hz(roles: Roles, priors: FitPriors, field_t: float) -> FloatArray:
    """Lorentzian width of each basis signal that its T2 implies, relative to creatine, shape (n_basis,).

    Definition: ``1 / (pi T2) - 1 / (pi T2_Cr)``, T2 in grey matter. Zero for macromolecules, and away from 3 T, for
    which there is no table.
    """
    widths = np.zeros(roles.n_basis)
    if not priors.t2_widths or abs(field_t - FIELD_T) > _FIELD_TOLERANCE_T:
        return widths
    names = roles.metabolites
    t2_s = np.array([metabolite_relaxation(name, "GM").t2_s for name in (*names, "Cr")])
    rate = 1 / (np.pi * t2_s)
    widths[: len(names)] = rate[:-1] - rate[-1]
    return widths
