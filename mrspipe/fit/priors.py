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
class LinePriors:
    """What is known about the macromolecule lines relative to the generic list, each array of shape (n_lines,).

    Parameters
    ----------
    area, area_sd : float array
        Area relative to the generic ratio times an amplitude common to all lines.
    shift_ppm, shift_sd_ppm : float array
    log_width, log_width_sd : float array
        Natural logarithm of the relative width.
    """

    area: FloatArray
    area_sd: FloatArray
    shift_ppm: FloatArray
    shift_sd_ppm: FloatArray
    log_width: FloatArray
    log_width_sd: FloatArray

    @classmethod
    def generic(cls, n_lines: int, priors: FitPriors) -> "LinePriors":
        """Give every line the widths of the settings."""
        nothing, same = np.zeros(n_lines), np.ones(n_lines)
        return cls(
            area=same,
            area_sd=priors.mm_amplitude_sd * same,
            shift_ppm=nothing,
            shift_sd_ppm=priors.mm_shift_sd_ppm * same,
            log_width=nothing,
            log_width_sd=priors.mm_log_width_sd * same,
        )

    @property
    def mean(self) -> FloatArray:
        """Areas, shifts and logarithms of widths in a row, shape (3 n_lines,)."""
        return np.concatenate([self.area, self.shift_ppm, self.log_width])

    @property
    def sd(self) -> FloatArray:
        """Standard deviations in the order of `mean`."""
        return np.concatenate([self.area_sd, self.shift_sd_ppm, self.log_width_sd])

    @property
    def area_rows(self) -> FloatArray:
        """Rows that keep relative areas in proportion, shape (n_lines, n_lines); their target is zero.

        The common amplitude has a flat prior and is eliminated, which projects the rows away from it.
        """
        weighted = np.diag(1 / self.area_sd)
        along = self.area / self.area_sd
        return np.asarray(weighted - np.outer(along, along @ weighted) / (along @ along))

    def common_area(self, areas: FloatArray) -> float:
        """Amplitude common to the lines that suits their relative areas best."""
        along = self.area / self.area_sd
        return float(along @ (areas / self.area_sd) / (along @ along))


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


def amplitude_priors(
    roles: Roles, priors: FitPriors, lines: LinePriors, *, total_creatine: float, mm_amplitude: float
) -> AmplitudePriors:
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
    of_lines = _line_rows(roles, priors, lines, mm_amplitude)
    return AmplitudePriors(
        np.array([*rows, *of_lines]).reshape(-1, roles.n_linear), np.array([*targets, *([0.0] * len(of_lines))])
    )


def _line_rows(roles: Roles, priors: FitPriors, lines: LinePriors, mm_amplitude: float) -> list[FloatArray]:
    """Rows of the macromolecule lines: proportions, or with measured macromolecules deviations of mean zero."""
    if roles.line_ratio.size == 0:
        return []
    relative = np.eye(roles.n_linear)[roles.n_basis :] / (roles.line_ratio * mm_amplitude)[:, None]
    if roles.measured_mm:
        return list(relative / priors.mm_deviation_sd)
    return list(lines.area_rows @ relative)


def theta_priors(
    layout: Layout,
    priors: FitPriors,
    lines: LinePriors,
    *,
    hz_per_ppm: float,
    basis_width_hz: float,
    own_width_hz: FloatArray,
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
    mean[layout.line_shifts] = lines.shift_ppm * hz_per_ppm
    sd[layout.line_shifts] = lines.shift_sd_ppm * hz_per_ppm
    mean[layout.line_widths] = lines.log_width
    sd[layout.line_widths] = lines.log_width_sd
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
