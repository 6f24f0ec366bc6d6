"""What is expected of everything in a spectrum but the amplitudes of its metabolites: the nuisance model.

It comes in two kinds. The generic one holds what is known before any spectrum is seen. The learned one is that of a
study (`mrspipe.fit.learning`): the same quantities with the study's means and the spread between its spectra.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.fit.lineshape import N_SHAPE
from mrspipe.fit.macromolecules import SmoothShape, spread
from mrspipe.fit.settings import FitPriors, RatioPrior


@dataclass(frozen=True, eq=False)
class Nuisance:
    """Means and standard deviations (SD) of the nuisance parameters.

    Parameters
    ----------
    smooth : SmoothShape
        Macromolecules.
    ratios : mapping of str to RatioPrior
        Weakly determined metabolites relative to tCr.
    t2 : RatioPrior
        How much of the widths that T2 lets expect is seen.
    shape_mean, shape_sd : float array, shape (N_SHAPE,)
        Deviation from a Voigt line, in rad.
    shifts_ppm, shifts_sd_ppm, widths_hz, widths_sd_hz : float array, shape (n_metabolites,)
    """

    smooth: SmoothShape
    ratios: Mapping[str, RatioPrior]
    t2: RatioPrior
    shape_mean: FloatArray
    shape_sd: FloatArray
    shifts_ppm: FloatArray
    shifts_sd_ppm: FloatArray
    widths_hz: FloatArray
    widths_sd_hz: FloatArray

    @classmethod
    def generic(cls, smooth_mean: FloatArray, metabolites: tuple[str, ...], priors: FitPriors) -> "Nuisance":
        """Take everything from the settings.

        Parameters
        ----------
        smooth_mean : float array, shape (n_smooth,)
            Expected macromolecules.
        metabolites : tuple of str
        priors : FitPriors
        """
        each = np.ones(len(metabolites))
        return cls(
            smooth=SmoothShape(smooth_mean, spread(smooth_mean, priors.mm_relative_sd, priors.mm_floor_sd)),
            ratios={name: priors.ratios_to_tcr[name] for name in metabolites if name in priors.ratios_to_tcr},
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
        """All means in a row: macromolecules, ratios, t2, shape, shifts, widths."""
        ratios = [ratio.mean for ratio in self.ratios.values()]
        return np.concatenate(
            [self.smooth.mean, ratios, [self.t2.mean], self.shape_mean, self.shifts_ppm, self.widths_hz]
        )

    @property
    def sd(self) -> FloatArray:
        """Standard deviations in the order of `mean`."""
        ratios = [ratio.sd for ratio in self.ratios.values()]
        return np.concatenate(
            [self.smooth.sd, ratios, [self.t2.sd], self.shape_sd, self.shifts_sd_ppm, self.widths_sd_hz]
        )

    @property
    def groups(self) -> tuple[slice, ...]:
        """Parameters of one kind, in the order of `mean`."""
        n = self.shifts_ppm.size
        sizes = [self.smooth.mean.size, len(self.ratios), 1, N_SHAPE, n, n]
        ends = np.cumsum(sizes)
        return tuple(slice(int(end - size), int(end)) for size, end in zip(sizes, ends, strict=True))

    def with_values(self, mean: FloatArray, sd: FloatArray) -> "Nuisance":
        """Replace all means and standard deviations; ratios keep theirs.

        A ratio's mean is learned, its standard deviation stays wide: how much people differ in weakly determined
        metabolites is not to be decided by this study.
        """
        smooth, ratios, t2, shape, shifts, widths = self.groups
        return Nuisance(
            smooth=SmoothShape(mean[smooth], sd[smooth]),
            ratios={
                name: RatioPrior(mean=float(value), sd=ratio.sd)
                for (name, ratio), value in zip(self.ratios.items(), mean[ratios], strict=True)
            },
            t2=RatioPrior(mean=float(mean[t2][0]), sd=float(sd[t2][0])),
            shape_mean=mean[shape],
            shape_sd=sd[shape],
            shifts_ppm=mean[shifts],
            shifts_sd_ppm=sd[shifts],
            widths_hz=mean[widths],
            widths_sd_hz=sd[widths],
        )
