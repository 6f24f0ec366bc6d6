"""What is expected of everything in a spectrum but the amplitudes of its metabolites: the nuisance model.

It comes in two kinds. The generic one holds what is known before any spectrum is seen. The learned one is that of a
study (`mrspipe.fit.learning`): the same quantities with the study's means and the spread between its spectra.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.fit.lineshape import N_SHAPE
from mrspipe.fit.macromolecules import SmoothShape, spread
from mrspipe.fit.settings import FitPriors, RatioPrior


class Groups(NamedTuple):
    """Where the parameters of each kind stand in `Nuisance.mean`."""

    smooth: slice
    ratios: slice
    lorentz: slice
    gauss: slice
    t2: slice
    shape: slice
    shifts: slice
    widths: slice

    @property
    def common_line(self) -> slice:
        """Both parts of the common line's width."""
        return slice(self.lorentz.start, self.gauss.stop)


@dataclass(frozen=True, eq=False)
class Nuisance:
    """Means and standard deviations (SD) of the nuisance parameters.

    Parameters
    ----------
    smooth : SmoothShape
        Macromolecules.
    level : RatioPrior
        Their common amplitude, in protons of tCr.
    ratios : mapping of str to RatioPrior
        Weakly determined metabolites relative to tCr.
    line_mean, line_sd : float array, shape (2,)
        Common Lorentzian width beyond that of the basis set, in Hz, and squared common Gaussian width, in Hz^2, of a
        spectrum whose lines are as broad as expected; see `mrspipe.fit.priors.width_units`.
    t2 : RatioPrior
        How much of the widths that T2 lets expect is seen.
    shape_mean, shape_sd : float array, shape (N_SHAPE,)
        Deviation from a Voigt line, in rad.
    shifts_ppm, shifts_sd_ppm, widths_hz, widths_sd_hz : float array, shape (n_metabolites,)
    """

    smooth: SmoothShape
    level: RatioPrior
    ratios: Mapping[str, RatioPrior]
    line_mean: FloatArray
    line_sd: FloatArray
    t2: RatioPrior
    shape_mean: FloatArray
    shape_sd: FloatArray
    shifts_ppm: FloatArray
    shifts_sd_ppm: FloatArray
    widths_hz: FloatArray
    widths_sd_hz: FloatArray

    @classmethod
    def generic(
        cls, smooth_mean: FloatArray, metabolites: tuple[str, ...], priors: FitPriors, basis_width_hz: float
    ) -> "Nuisance":
        """Take everything from the settings.

        Parameters
        ----------
        smooth_mean : float array, shape (n_smooth,)
            Expected macromolecules.
        metabolites : tuple of str
        priors : FitPriors
        basis_width_hz : float
            Lorentzian width that is already in the basis set, in Hz.
        """
        each = np.ones(len(metabolites))
        return cls(
            smooth=SmoothShape(smooth_mean, spread(smooth_mean, priors.mm_relative_sd, priors.mm_floor_sd)),
            level=priors.mm_level,
            ratios={name: priors.ratios_to_tcr[name] for name in metabolites if name in priors.ratios_to_tcr},
            line_mean=np.array([priors.lorentz_hz - basis_width_hz, priors.gauss_hz**2]),
            line_sd=np.array([priors.lorentz_sd_hz, 2 * priors.gauss_hz * priors.gauss_sd_hz]),
            t2=priors.t2_contrast,
            shape_mean=np.zeros(N_SHAPE),
            shape_sd=np.full(N_SHAPE, priors.shape_phase_sd_rad),
            shifts_ppm=0.0 * each,
            shifts_sd_ppm=priors.shift_sd_ppm * each,
            widths_hz=0.0 * each,
            widths_sd_hz=priors.width_sd_hz * each,
        )

    @property
    def mean(self) -> FloatArray:
        """All means in a row: macromolecules, ratios, line, t2, shape, shifts, widths."""
        ratios = [ratio.mean for ratio in self.ratios.values()]
        return np.concatenate(
            [self.smooth.mean, ratios, self.line_mean, [self.t2.mean], self.shape_mean, self.shifts_ppm, self.widths_hz]
        )

    @property
    def sd(self) -> FloatArray:
        """Standard deviations in the order of `mean`."""
        ratios = [ratio.sd for ratio in self.ratios.values()]
        return np.concatenate(
            [self.smooth.sd, ratios, self.line_sd, [self.t2.sd], self.shape_sd, self.shifts_sd_ppm, self.widths_sd_hz]
        )

    @property
    def groups(self) -> Groups:
        """Parameters of one kind, in the order of `mean`."""
        n = self.shifts_ppm.size
        sizes = [self.smooth.mean.size, len(self.ratios), 1, 1, 1, N_SHAPE, n, n]
        ends = np.cumsum(sizes)
        return Groups(*(slice(int(end - size), int(end)) for size, end in zip(sizes, ends, strict=True)))

    def with_values(self, mean: FloatArray, sd: FloatArray) -> "Nuisance":
        """Replace all means and standard deviations; ratios keep theirs.

        A ratio's mean is learned, its standard deviation stays wide: how much people differ in weakly determined
        metabolites is not to be decided by this study.
        """
        at = self.groups
        return Nuisance(
            smooth=SmoothShape(mean[at.smooth], sd[at.smooth]),
            level=self.level,
            ratios={
                name: RatioPrior(mean=float(value), sd=ratio.sd)
                for (name, ratio), value in zip(self.ratios.items(), mean[at.ratios], strict=True)
            },
            line_mean=mean[at.common_line],
            line_sd=sd[at.common_line],
            t2=RatioPrior(mean=float(mean[at.t2][0]), sd=float(sd[at.t2][0])),
            shape_mean=mean[at.shape],
            shape_sd=sd[at.shape],
            shifts_ppm=mean[at.shifts],
            shifts_sd_ppm=sd[at.shifts],
            widths_hz=mean[at.widths],
            widths_sd_hz=sd[at.widths],
        )
