"""What the spectra of a study teach about everything that is not a concentration: the nuisance model.

One spectrum says little about the shape of the macromolecules, the widths of lines or how they differ from a Voigt
line; all spectra of a study together say much, because these are nearly the same in all. Model of study and spectrum::

    spectrum's value ~ N(study's value, between-spectra variance)
    study's value ~ N(generic value, generic variance)

Each spectrum enters with its likelihood, taken as Gaussian about its own fit, all correlations kept. A few steps of
expectation maximisation (EM; Dempster 1977, doi 10.1111/j.2517-6161.1977.tb01600.x) move means and spreads. No label of
any spectrum is used, nor any order.

Few steps, on purpose: a step moves what the spectra know well nearly all the way, and what they hardly know hardly.
What they hardly know is where macromolecules and broad multiplets can be exchanged, and there the small errors that the
spectra of a study have in common would add up until the model trusts them (docs/decisions/0007).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import ConfigError
from mrspipe.fit.lineshape import N_SHAPE
from mrspipe.fit.macromolecules import CENTRES_PPM, SmoothShape, spread
from mrspipe.fit.nuisance import Nuisance
from mrspipe.fit.settings import FitPriors, RatioPrior

_N_STEPS = 8
_N_SPREAD_STEPS = 5
# Spread of the macromolecules between the spectra of one study, as a shape; learning its size begins here. Assumed.
_WITHIN_RELATIVE, _WITHIN_FLOOR = 0.1, 0.017
# Number of spectra that the generic spread is worth, so that a small study does not become certain. Assumed.
_PRIOR_SPECTRA = 2.0
# A study's macromolecules may differ this much from the generic shape, relative to it and to its largest value; a
# study's line widths this much in Hz; its use of the T2 differences this much. Assumed, wide.
_STUDY_LORENTZ_SD_HZ = 2.0
_STUDY_RELATIVE, _STUDY_FLOOR, _STUDY_WIDTH_SD_HZ, _STUDY_T2_SD = 0.67, 0.25, 0.8, 0.7
# With fewer spectra learning gains little, and a wrong model cannot be told. Measured on synthetic studies.
_FEWEST_SPECTRA = 12
_ARRAYS = ("line_mean", "line_sd", "shape_mean", "shape_sd", "shifts_ppm", "shifts_sd_ppm", "widths_hz", "widths_sd_hz")


@dataclass(frozen=True, eq=False)
class MacromoleculePosterior:
    """What one spectrum says about the nuisance parameters in the order of `Nuisance.mean`, all else marginalised.

    Parameters
    ----------
    metabolites : tuple of str
    generic : Nuisance
        What was known before any spectrum.
    information : float array, shape (n, n)
        Inverse covariance without the priors of these parameters: the spectrum alone. It may be singular.
    moment : float array, shape (n,)
        ``information @ x``, where ``x`` is what the spectrum alone would say.
    weight : float
        Less than 1 for a spectrum with a residual above the noise.
    """

    metabolites: tuple[str, ...]
    generic: Nuisance
    information: FloatArray
    moment: FloatArray
    weight: float = 1.0

    @property
    def kind(self) -> tuple[tuple[str, ...], ...]:
        """What must agree between spectra that are learned from together."""
        return self.metabolites, tuple(self.generic.ratios)


@dataclass(frozen=True, eq=False)
class LearnedMacromolecules:
    """Nuisance model of a study.

    Parameters
    ----------
    metabolites : tuple of str
    nuisance : Nuisance or None
        None when there was nothing to learn from.
    n_spectra : int
        Spectra it was learned from.
    """

    metabolites: tuple[str, ...] = ()
    nuisance: Nuisance | None = None
    n_spectra: int = 0

    @property
    def trusted(self) -> bool:
        """Whether there were enough spectra; false: spectra are fitted with the generic nuisance model."""
        return self.nuisance is not None and self.n_spectra >= _FEWEST_SPECTRA

    def for_fit(self, metabolites: tuple[str, ...], generic: Nuisance) -> Nuisance:
        """Nuisance model for a spectrum: the study's where it holds for these metabolites, else the generic one."""
        same = self.nuisance is not None and (self.metabolites, tuple(self.nuisance.ratios)) == (
            metabolites,
            tuple(generic.ratios),
        )
        return self.nuisance if self.nuisance is not None and self.trusted and same else generic


def learn_macromolecules(fits: Sequence[MacromoleculePosterior], priors: FitPriors) -> LearnedMacromolecules:
    """Estimate the nuisance model of a study.

    Parameters
    ----------
    fits : sequence of MacromoleculePosterior
        In any order. Those that are not finite are left out, and those with other metabolites than most.
    priors : FitPriors
        Generic widths of the priors.

    Returns
    -------
    LearnedMacromolecules
    """
    finite = [fit for fit in fits if np.isfinite(fit.information).all()]
    if not finite:
        return LearnedMacromolecules()
    counts = Counter(fit.kind for fit in finite)
    kind = max(sorted(counts), key=lambda one: counts[one])
    used = sorted((fit for fit in finite if fit.kind == kind), key=lambda fit: tuple(fit.moment))
    return LearnedMacromolecules(kind[0], _expectation_maximisation(used), len(used))


def of_one_study(nuisance: Nuisance) -> Nuisance:
    """Take the macromolecules to differ no more than those of spectra of one study do."""
    smooth = nuisance.smooth
    expected = spread(smooth.mean, _WITHIN_RELATIVE, _WITHIN_FLOOR)
    return replace(nuisance, smooth=SmoothShape(smooth.mean, np.minimum(smooth.sd, expected)))


def _expectation_maximisation(fits: Sequence[MacromoleculePosterior]) -> Nuisance:
    generic = fits[0].generic
    smooth, line, n_fits = generic.groups.smooth, generic.groups.common_line, len(fits)
    information = np.array([fit.information for fit in fits])
    moment = np.array([fit.moment for fit in fits])
    weight = np.array([fit.weight for fit in fits])
    weight = weight / weight.sum()
    study_precision, mean, sd = _study_sd(generic) ** -2.0, generic.mean, generic.sd
    for _ in range(_N_STEPS):
        own_mean, own_variance = _each(information, moment, mean, sd, smooth)
        precision = n_fits / sd**2
        average = weight @ own_mean
        mean = (precision * average + study_precision * generic.mean) / (precision + study_precision)
        # No line is narrower than nothing, whatever Gaussian likelihoods say.
        mean[line] = np.maximum(mean[line], 0.0)
        variance = weight @ ((own_mean - mean) ** 2 + own_variance)
        sd = _between(variance, mean, generic, n_fits)
    sd[smooth] = _spread_of_shapes(information, moment, weight, mean, sd, generic)
    return generic.with_values(mean, sd)


def _study_sd(generic: Nuisance) -> FloatArray:
    """How far a study's values may lie from the generic ones."""
    at = generic.groups
    sd = generic.sd.copy()
    sd[at.smooth] = spread(generic.smooth.mean, _STUDY_RELATIVE, _STUDY_FLOOR)
    sd[at.lorentz], sd[at.t2], sd[at.widths] = _STUDY_LORENTZ_SD_HZ, _STUDY_T2_SD, _STUDY_WIDTH_SD_HZ
    return sd


def _each(
    information: FloatArray, moment: FloatArray, mean: FloatArray, sd: FloatArray, smooth: slice
) -> tuple[FloatArray, FloatArray]:
    """Posterior mean and variance of each spectrum's values given the study's, macromolecules at a common scale."""
    shape = SmoothShape(mean[smooth], sd[smooth])
    prior = np.diag(sd**-2.0)
    prior[smooth, smooth] = shape.rows.T @ shape.rows
    expected = mean.copy()
    expected[smooth] = 0.0
    covariance = np.linalg.inv(information + prior)
    own = np.einsum("sij,sj->si", covariance, moment + prior @ expected)
    variance = np.einsum("sii->si", covariance).copy()
    scale = np.array([shape.common(values) for values in own[:, smooth]])[:, None]
    own[:, smooth] /= scale
    variance[:, smooth] /= scale**2
    return own, variance


def _spread_of_shapes(
    information: FloatArray, moment: FloatArray, weight: FloatArray, mean: FloatArray, sd: FloatArray, generic: Nuisance
) -> FloatArray:
    """Spread of the macromolecules between spectra, shape (n_smooth,), begun at what is expected of one study.

    Steps of expectation maximisation hardly move a spread that the spectra hardly know. The steps before this began at
    the generic spread, which is how little is known of a study's macromolecules, not how much its spectra differ.
    """
    smooth, n_fits = generic.groups.smooth, len(moment)
    expected = spread(mean[smooth], _WITHIN_RELATIVE, _WITHIN_FLOOR)
    others = np.setdiff1d(np.arange(mean.size), np.arange(mean.size)[smooth])
    # The other parameters keep their spreads, so they are integrated out once.
    known = information[:, others[:, None], others] + np.diag(sd[others] ** -2.0)
    cross = information[:, others, smooth]
    gain = np.linalg.solve(known, cross).transpose(0, 2, 1)
    information = information[:, smooth, smooth] - gain @ cross
    expected_others = moment[:, others] + mean[others] * sd[others] ** -2.0
    moment = moment[:, smooth] - np.einsum("sij,sj->si", gain, expected_others)
    mean, size = mean[smooth], 1.0
    for _ in range(_N_SPREAD_STEPS):
        own_mean, own_variance = _each(information, moment, mean, expected * np.sqrt(size), slice(None))
        size = float(np.mean(weight @ ((own_mean - mean) ** 2 + own_variance) / expected**2))
    unknown = float(np.mean((generic.sd[smooth] / expected) ** 2))
    found = expected * np.sqrt((n_fits * size + _PRIOR_SPECTRA * unknown) / (n_fits + _PRIOR_SPECTRA))
    return np.asarray(np.minimum(found, generic.sd[smooth]))


def _between(variance: FloatArray, mean: FloatArray, generic: Nuisance, n_fits: int) -> FloatArray:
    """Spread between spectra: one size for each kind of parameter, on what is expected of the kind."""
    expected = generic.sd.copy()
    smooth = generic.groups.smooth
    expected[smooth] = spread(mean[smooth], _WITHIN_RELATIVE, _WITHIN_FLOOR)
    sd = np.empty_like(expected)
    for group in generic.groups:
        sd[group] = expected[group] * np.sqrt(np.mean(variance[group] / expected[group] ** 2)) if sd[group].size else 0
    pooled = np.sqrt((n_fits * sd**2 + _PRIOR_SPECTRA * generic.sd**2) / (n_fits + _PRIOR_SPECTRA))
    # A study knows at least what is known without it; a larger spread comes from fits that went astray.
    return np.asarray(np.minimum(pooled, generic.sd))


def to_json(learned: LearnedMacromolecules) -> dict[str, Any]:
    """Give a plain dictionary, for a file."""
    content: dict[str, Any] = {"n_spectra": learned.n_spectra, "metabolites": list(learned.metabolites)}
    nuisance = learned.nuisance
    if nuisance is None:
        return content
    return content | {
        "macromolecules": {
            "ppm": CENTRES_PPM.round(6).tolist(),
            "protons_of_tcr": {"mean": nuisance.level.mean, "sd": nuisance.level.sd},
            "mean": nuisance.smooth.mean.tolist(),
            "sd": nuisance.smooth.sd.tolist(),
        },
        "ratios_to_tcr": [
            {"name": name, "mean": ratio.mean, "sd": ratio.sd} for name, ratio in nuisance.ratios.items()
        ],
        "t2_contrast": {"mean": nuisance.t2.mean, "sd": nuisance.t2.sd},
        **{name: getattr(nuisance, name).tolist() for name in _ARRAYS},
    }


def from_json(content: Mapping[str, Any]) -> LearnedMacromolecules:
    """Read what `to_json` gave.

    Raises
    ------
    ConfigError
        It is for another grid of macromolecules or another line shape than this version's.
    """
    metabolites, n_spectra = tuple(content["metabolites"]), int(content["n_spectra"])
    if "macromolecules" not in content:
        return LearnedMacromolecules(metabolites, None, n_spectra)
    arrays = {name: np.array(content[name], dtype=np.float64) for name in _ARRAYS}
    same_grid = content["macromolecules"]["ppm"] == CENTRES_PPM.round(6).tolist()
    if not same_grid or arrays["shape_mean"].size != N_SHAPE:
        raise ConfigError(
            "What was learned from the study is for another model of macromolecules and line shape.",
            cure="Learn it anew with this version.",
            code="macromolecules",
        )
    smooth = SmoothShape(*(np.array(content["macromolecules"][key], dtype=np.float64) for key in ("mean", "sd")))
    ratios = {one["name"]: RatioPrior(mean=one["mean"], sd=one["sd"]) for one in content["ratios_to_tcr"]}
    level = RatioPrior(**content["macromolecules"]["protons_of_tcr"])
    t2 = RatioPrior(**content["t2_contrast"])
    nuisance = Nuisance(smooth=smooth, level=level, ratios=ratios, t2=t2, **arrays)
    return LearnedMacromolecules(metabolites, nuisance, n_spectra)
