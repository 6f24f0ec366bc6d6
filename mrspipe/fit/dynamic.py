"""Spectra of one subject fitted together: what changed between them, with its standard error.

Two spectra of one subject share nearly everything: macromolecules, line shape, and the metabolites that nobody expects
to change. A fit of each alone cannot know that, and errors that both make do not cancel, because each is drawn anew by
noise. Here the likelihoods of the separate fits, each taken as Gaussian about its best point, meet one prior::

    value in a spectrum = value of the subject + difference of the spectrum
    value of the subject ~ N(generic or study's value, its variance)
    difference           ~ N(0, variance of the kind of parameter)

The metabolite whose change is asked for may differ freely; others are expected to stay within `JointPriors`. Phase,
shift, width and overall gain belong to each spectrum alone, so that narrower lines (blood oxygenation) or another
receiver gain are no change. Baselines are smooth curves of their own around a common one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import FloatArray, IntArray
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import ConfigError
from mrspipe.core.ratios import ratio_to_creatine
from mrspipe.core.results import SUMS, FitResult
from mrspipe.core.signal import Signal
from mrspipe.fit.definite import invert_definite
from mrspipe.fit.fitted import FittedSpectrum, result_of
from mrspipe.fit.learning import LearnedMacromolecules
from mrspipe.fit.macromolecules import spread
from mrspipe.fit.priors import smooth_rows
from mrspipe.fit.settings import FitSettings, JointPriors
from mrspipe.fit.spectrum import fit_point

# Amplitudes of the subject are left to the data: SD of a flat prior, relative to tCr.
_FLAT = 30.0
# Gains of the spectra may differ by this much, relative; far more than they do.
_GAIN = 1.0


@dataclass(frozen=True, eq=False)
class Change:
    """Change of a ratio to total creatine between two spectra, and its standard error (SE).

    Parameters
    ----------
    metabolite : str
    first, second : int
        Places of the spectra; the change is second minus first.
    value, se : float
        Change of the ratio.
    reference : float
        Ratio in the first spectrum.
    separate, separate_se : float
        The same from fits of each spectrum alone.
    """

    metabolite: str
    first: int
    second: int
    value: float
    se: float
    reference: float
    separate: float
    separate_se: float


@dataclass(frozen=True, eq=False)
class JointFit:
    """Spectra of one subject and what they say together.

    Parameters
    ----------
    fits : tuple of FitResult
        Each spectrum alone.
    """

    fits: tuple[FitResult, ...]
    _spectra: tuple["_Spectrum", ...]
    _priors: JointPriors

    @property
    def names(self) -> tuple[str, ...]:
        """Fitted metabolites."""
        return self.fits[0].names

    def ratios(self, metabolite: str) -> tuple[FloatArray, FloatArray] | None:
        """Ratio to tCr in each spectrum when this metabolite alone may change freely.

        Returns
        -------
        ratios : float array, shape (n_spectra,)
        covariance : float array, shape (n_spectra, n_spectra)
        None when the metabolite or creatine is not among those fitted.
        """
        members, creatine = self._members(metabolite), self._members("tCr")
        if not members.size or not creatine.size:
            return None
        mean, covariance = _posterior(self._spectra, members, self._priors)
        n_each = self._spectra[0].information.shape[0]
        values, slopes = [], np.zeros((len(self._spectra), mean.size))
        for s in range(len(self._spectra)):
            start = s * n_each
            total = mean[start + creatine].sum()
            ratio = mean[start + members].sum() / total
            slopes[s, start + members] += 1 / total
            slopes[s, start + creatine] -= ratio / total
            values.append(ratio)
        return np.array(values), slopes @ covariance @ slopes.T

    def change(self, metabolite: str, first: int = 0, second: int = 1) -> Change | None:
        """Change of the ratio to tCr from one spectrum to another; None when it was not fitted."""
        return next((one for one in self.changes(metabolite, first) if one.second == second), None)

    def changes(self, metabolite: str, first: int = 0) -> tuple[Change, ...]:
        """Changes from one spectrum to each of the others, in their order; none when it was not fitted."""
        found = self.ratios(metabolite)
        if found is None:
            return ()
        ratios, covariance = found
        alone = [ratio_to_creatine(fit, metabolite) for fit in self.fits]
        variance = np.diag(covariance)
        return tuple(
            Change(
                metabolite=metabolite,
                first=first,
                second=second,
                value=float(ratios[second] - ratios[first]),
                se=float(np.sqrt(variance[first] + variance[second] - 2 * covariance[first, second])),
                reference=float(ratios[first]),
                separate=alone[second].value - alone[first].value,
                separate_se=float(np.hypot(alone[first].se, alone[second].se)),
            )
            for second in range(len(ratios))
            if second != first
        )

    def _members(self, metabolite: str) -> IntArray:
        members = SUMS.get(metabolite, (metabolite,))
        return np.array([index for index, name in enumerate(self.names) if name in members], dtype=int)


def fit_jointly(
    signals: Sequence[Signal], basis: BasisSet, settings: FitSettings, learned: LearnedMacromolecules | None = None
) -> JointFit:
    """Fit spectra of one subject together.

    Parameters
    ----------
    signals : sequence of Signal
        At least two, on axes of one dwell time and length.
    basis : BasisSet
    settings : FitSettings
    learned : LearnedMacromolecules, optional
        Nuisance model of the study.

    Returns
    -------
    JointFit

    Raises
    ------
    ConfigError
        There are fewer than two spectra, or they were sampled differently.
    """
    if len(signals) < 2:
        raise ConfigError("A joint fit needs at least two spectra of a subject.", code="joint")
    sampling = {(signal.axis.n_points, signal.axis.dwell_s) for signal in signals}
    if len(sampling) > 1:
        raise ConfigError(
            "Spectra of one subject that were sampled differently cannot be fitted together.",
            cure="Fit them separately.",
            code="joint",
        )
    points = [fit_point(signal, basis, settings, learned) for signal in signals]
    spectra = tuple(_linearised(point) for point in points)
    return JointFit(tuple(result_of(point) for point in points), spectra, settings.joint)


@dataclass(frozen=True, eq=False)
class _Spectrum:
    """A spectrum's likelihood about its best point, in natural units.

    The parameters are amplitudes relative to tCr, macromolecules relative to their common amplitude, the nonlinear
    parameters, and the baseline's coefficients.
    """

    information: FloatArray
    moment: FloatArray
    mean: FloatArray
    sd: FloatArray
    smooth_rows: FloatArray
    best: FloatArray
    parts: "_Parts"


@dataclass(frozen=True)
class _Parts:
    """Where the parameters of a spectrum stand."""

    metabolites: slice
    smooth: slice
    own: slice
    shared: slice
    baseline: slice


def _linearised(point: FittedSpectrum) -> _Spectrum:
    problem, solution, roles = point.problem, point.solution, point.task.prepared.roles
    layout, base = problem.model.layout, problem.base
    n_linear, n_theta = solution.amplitudes.size, layout.size
    slopes = problem.model.derivative(solution.theta, solution.evaluation, solution.amplitudes)
    unit = np.ones(n_linear)
    unit[: roles.n_basis], unit[roles.n_basis :] = point.scale.total_creatine, point.scale.macromolecules
    jacobian = np.hstack([solution.columns * unit, slopes.T, base.functions])
    best = np.concatenate([solution.amplitudes / unit, solution.theta, np.zeros(base.penalty.size)])
    misfit = point.misfit
    at_zero = problem.data - solution.spectrum + jacobian @ best
    nuisance, names = point.task.nuisance, roles.metabolites
    mean, sd = np.zeros(n_linear), np.full(n_linear, _FLAT)
    for index, name in enumerate(names):
        if name in nuisance.ratios:
            mean[index], sd[index] = nuisance.ratios[name].mean, nuisance.ratios[name].sd
    # Stiffness times penalty is the inverse variance of a coefficient; straight lines are not penalised.
    with np.errstate(divide="ignore"):
        baseline_sd = misfit / np.sqrt(problem.stiffness * base.penalty)
    end = n_linear + n_theta
    parts = _Parts(
        metabolites=slice(0, roles.n_basis),
        smooth=slice(roles.n_basis, n_linear),
        own=slice(n_linear, n_linear + layout.T2),
        shared=slice(n_linear + layout.T2, end),
        baseline=slice(end, end + base.penalty.size),
    )
    return _Spectrum(
        information=jacobian.T @ jacobian / misfit**2,
        moment=jacobian.T @ at_zero / misfit**2,
        mean=np.concatenate([mean, problem.theta_mean, np.zeros(base.penalty.size)]),
        sd=np.concatenate([sd, problem.theta_sd, np.minimum(baseline_sd, 1e6)]),
        smooth_rows=smooth_rows(roles, nuisance),
        best=best,
        parts=parts,
    )


def _posterior(spectra: Sequence[_Spectrum], free: IntArray, priors: JointPriors) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance of all parameters of all spectra, one spectrum after the other."""
    n_spectra, n_each = len(spectra), spectra[0].information.shape[0]
    average = 1 / n_spectra
    subject, subject_mean = _subject_precision(spectra)
    difference = _difference_precision(spectra, free, priors)
    # Exchangeable spectra: the prior of their mean, and that of what is left when the mean is taken out.
    between = np.eye(n_spectra) - average
    precision = np.kron(np.full((n_spectra, n_spectra), average**2), subject) + np.kron(between, difference)
    moment = np.tile(subject @ subject_mean * average, n_spectra)
    for s, spectrum in enumerate(spectra):
        block = slice(s * n_each, (s + 1) * n_each)
        precision[block, block] += spectrum.information
        moment[block] += spectrum.moment
    scale = 1 / np.sqrt(np.diag(precision))
    covariance = invert_definite(precision * np.outer(scale, scale)) * np.outer(scale, scale)
    return covariance @ moment, covariance


def _subject_precision(spectra: Sequence[_Spectrum]) -> tuple[FloatArray, FloatArray]:
    """Prior precision and mean of the average over the spectra."""
    first = spectra[0]
    sd = np.mean([spectrum.sd for spectrum in spectra], axis=0)
    mean = np.mean([spectrum.mean for spectrum in spectra], axis=0)
    precision = np.diag(sd**-2.0)
    smooth = first.parts.smooth
    precision[smooth, smooth] = first.smooth_rows.T @ first.smooth_rows
    return precision, mean


def _difference_precision(spectra: Sequence[_Spectrum], free: IntArray, priors: JointPriors) -> FloatArray:
    """Prior precision of a spectrum's difference from the average."""
    first, parts = spectra[0], spectra[0].parts
    average = np.mean([spectrum.best for spectrum in spectra], axis=0)
    sd = first.sd.copy()
    relative = np.maximum(np.abs(average[parts.metabolites]), priors.floor_of_tcr)
    sd[parts.metabolites] = priors.metabolites * relative
    sd[free] = _FLAT
    sd[parts.smooth] = spread(average[parts.smooth], priors.macromolecules, 0.1 * priors.macromolecules)
    sd[parts.shared] *= priors.line_shape
    sd[parts.baseline] = priors.baseline * np.mean([spectrum.sd[parts.baseline] for spectrum in spectra], axis=0)
    precision = np.diag(sd**-2.0)
    # A gain of its own multiplies all amplitudes of a spectrum: a direction with next to no prior.
    gain = np.zeros_like(sd)
    amplitudes = slice(parts.metabolites.start, parts.smooth.stop)
    gain[amplitudes] = average[amplitudes]
    along = precision @ gain
    return np.asarray(precision - np.outer(along, along) / (gain @ along + _GAIN**-2))
