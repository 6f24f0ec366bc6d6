"""Macromolecules learned from the spectra of a study.

One spectrum says little about where the macromolecule lines are and how broad; all spectra of a study together say
much, because the lines are nearly the same in all. Model of study and spectrum, for each line's area, shift and width::

    spectrum's value ~ N(study's value, between-spectra variance)
    study's value ~ N(generic value, generic variance)

Each spectrum enters with its likelihood, taken as Gaussian about its own fit, all correlations kept. The study's values
come out in closed form, the between-spectra variances by expectation maximisation (empirical Bayes: Efron and Morris
1975, doi 10.1080/01621459.1975.10479864; Dempster 1977, doi 10.1111/j.2517-6161.1977.tb01600.x). No label of any
spectrum is used, nor any order.

Gaussian lines are a model, too. Where true macromolecules have another shape, the lines that suit best take over parts
of metabolites, each spectrum in the same way, and learning would make the fits certain of it. Such lines give
themselves away: they leave the range of what is known of macromolecules. Then the generic list stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import ConfigError
from mrspipe.fit.priors import LinePriors
from mrspipe.fit.settings import FitPriors
from mrspipe.physics.macromolecules import macromolecule_lines

# Share of the generic standard deviations that is expected between the spectra of one study, and the number of spectra
# that this expectation is worth. Assumed; both only matter in small studies.
_WITHIN_STUDY = 0.4
_PRIOR_SPECTRA = 4.0
_MOST_STEPS = 200
_TOLERANCE = 1e-3
# Lines of a study drawn from the generic prior have a root mean square distance of 1 from it, and one above 1.3 in
# 1 of 100 studies (35 degrees of freedom: chi-squared of 57).
_LARGEST_DISTANCE = 1.3
# With fewer spectra learning gains little, and a wrong model cannot be told. Measured on synthetic studies.
_FEWEST_SPECTRA = 12
_KEYS = ("ppm", "ppm_sd", "log_fwhm_ppm", "log_fwhm_sd", "area", "area_sd")


@dataclass(frozen=True, eq=False)
class MacromoleculePosterior:
    """What one spectrum says about the macromolecule lines, everything else marginalised.

    The parameters are, for n lines, n areas relative to the expected ones, n shifts in ppm, n natural logarithms of
    relative widths.

    Parameters
    ----------
    mean : float array, shape (3 n,)
        Posterior mean, the priors of the lines included.
    covariance : float array, shape (3 n, 3 n)
        Posterior covariance.
    information : float array, shape (3 n, 3 n)
        Inverse covariance without the priors of the lines: the spectrum alone. It may be singular.
    moment : float array, shape (3 n,)
        ``information @ x``, where ``x`` is what the spectrum alone would say.
    """

    mean: FloatArray
    covariance: FloatArray
    information: FloatArray
    moment: FloatArray


@dataclass(frozen=True, eq=False)
class LearnedMacromolecules:
    """Macromolecule lines of a study, each array of shape (n_lines,).

    The standard deviations are those expected in a further spectrum: between spectra, and of the study's value.

    Parameters
    ----------
    names : tuple of str
    ppm, ppm_sd : float array
        Position.
    log_fwhm_ppm, log_fwhm_sd : float array
        Natural logarithm of the width in ppm.
    area, area_sd : float array
        Relative to a common amplitude.
    n_spectra : int
        Spectra it was learned from.
    distance : float
        Root mean square distance of what was learned from the generic list, relative to what the generic prior and the
        number of spectra let expect.
    """

    names: tuple[str, ...]
    ppm: FloatArray
    ppm_sd: FloatArray
    log_fwhm_ppm: FloatArray
    log_fwhm_sd: FloatArray
    area: FloatArray
    area_sd: FloatArray
    n_spectra: int
    distance: float = 0.0

    @property
    def trusted(self) -> bool:
        """Whether the lines are those of the study; false: they are generic, for lack of spectra or of plausibility."""
        return self.n_spectra >= _FEWEST_SPECTRA and self.distance <= _LARGEST_DISTANCE

    @property
    def line_priors(self) -> LinePriors:
        """The same relative to the generic list."""
        ppm, log_fwhm, ratio = _generic_lines()
        return LinePriors(
            area=self.area / ratio,
            area_sd=self.area_sd / ratio,
            shift_ppm=self.ppm - ppm,
            shift_sd_ppm=self.ppm_sd,
            log_width=self.log_fwhm_ppm - log_fwhm,
            log_width_sd=self.log_fwhm_sd,
        )


def learn_macromolecules(fits: Sequence[MacromoleculePosterior], priors: FitPriors) -> LearnedMacromolecules:
    """Estimate the macromolecule lines of a study.

    Each spectrum moves the generic list as far as it is informative; with too few of them the list stays as it is.

    Parameters
    ----------
    fits : sequence of MacromoleculePosterior
        In any order. Those that are not finite are left out.
    priors : FitPriors
        Generic widths of the priors.

    Returns
    -------
    LearnedMacromolecules
    """
    names = tuple(line.name for line in macromolecule_lines())
    generic = LinePriors.generic(len(names), priors)
    used = sorted((fit for fit in fits if np.isfinite(fit.information).all()), key=lambda fit: tuple(fit.moment))
    mean, sd, of_mean = _hierarchical_mean(used, generic.mean, generic.sd, len(names))
    distance = _distance(mean, of_mean, generic) if used else 0.0
    if len(used) < _FEWEST_SPECTRA or distance > _LARGEST_DISTANCE:
        mean, sd = generic.mean, generic.sd
    area, shift, log_width = np.split(mean, 3)
    area_sd, shift_sd, log_width_sd = np.split(sd, 3)
    ppm, log_fwhm, ratio = _generic_lines()
    return LearnedMacromolecules(
        names=names,
        ppm=ppm + shift,
        ppm_sd=shift_sd,
        log_fwhm_ppm=log_fwhm + log_width,
        log_fwhm_sd=log_width_sd,
        area=area * ratio,
        area_sd=area_sd * ratio,
        n_spectra=len(used),
        distance=distance,
    )


def to_json(learned: LearnedMacromolecules) -> dict[str, Any]:
    """Give a plain dictionary, for a file."""
    columns = zip(*(getattr(learned, key).tolist() for key in _KEYS), strict=True)
    return {
        "n_spectra": learned.n_spectra,
        "distance": learned.distance,
        "lines": [
            {"name": name, **dict(zip(_KEYS, values, strict=True))}
            for name, values in zip(learned.names, columns, strict=True)
        ],
    }


def from_json(content: Mapping[str, Any]) -> LearnedMacromolecules:
    """Read what `to_json` gave.

    Raises
    ------
    ConfigError
        It holds other lines than this version fits.
    """
    names = tuple(str(line["name"]) for line in content["lines"])
    known = tuple(line.name for line in macromolecule_lines())
    if names != known:
        raise ConfigError(
            f"The learned macromolecules are for other lines ({', '.join(names)}) than those of the fit.",
            cure="Learn them anew with this version.",
            code="macromolecules",
        )
    columns = {key: np.array([line[key] for line in content["lines"]], dtype=np.float64) for key in _KEYS}
    return LearnedMacromolecules(
        names=names, n_spectra=int(content["n_spectra"]), distance=float(content["distance"]), **columns
    )


def _distance(mean: FloatArray, sd: FloatArray, generic: LinePriors) -> float:
    """Root mean square distance from the generic list; a common area does not count.

    What is learned keeps ``sd`` of the generic uncertainty, so that it is expected to move by the rest.
    """
    scaled = mean.copy()
    n_lines = generic.area.size
    scaled[:n_lines] /= generic.common_area(mean[:n_lines])
    expected = np.maximum(generic.sd**2 - sd**2, 0.0)
    degrees = (mean.size - 1) / mean.size * np.sum(expected / generic.sd**2)
    return float(np.sqrt(np.sum(((scaled - generic.mean) / generic.sd) ** 2) / max(degrees, 1.0)))


def _generic_lines() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Positions in ppm, logarithms of the widths in ppm, and relative areas of the generic list."""
    lines = macromolecule_lines()
    return (
        np.array([line.ppm for line in lines]),
        np.log([line.fwhm_ppm for line in lines]),
        np.array([line.ratio for line in lines]),
    )


def _hierarchical_mean(
    fits: Sequence[MacromoleculePosterior], generic_mean: FloatArray, generic_sd: FloatArray, n_lines: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean of the study, standard deviation of a further spectrum around it, and of the mean alone."""
    expected = (_WITHIN_STUDY * generic_sd) ** 2
    study_precision = 1 / (generic_sd**2 - expected)
    between, mean, covariance = expected, generic_mean, np.diag(1 / study_precision)
    if not fits:
        return mean, generic_sd, generic_sd
    information = np.array([fit.information for fit in fits])
    moment = np.array([fit.moment for fit in fits])
    for _ in range(_MOST_STEPS):
        info, moved = _without_common_area(information, moment, mean, n_lines)
        own = np.linalg.inv(info + np.diag(1 / between))
        share = own / between
        # (between + 1 / info)^-1: how well each spectrum knows the study's value.
        weight = np.diag(1 / between) - share / between[:, None]
        covariance = np.linalg.inv(weight.sum(axis=0) + np.diag(study_precision))
        pull = np.einsum("sji,sj->i", share, moved)
        mean = covariance @ (pull + study_precision * generic_mean)
        gap = share - np.eye(mean.size)
        deviation = np.einsum("sij,sj->si", own, moved) + gap @ mean
        spread = deviation**2 + np.einsum("sii->si", own) + np.einsum("sij,jk,sik->si", gap, covariance, gap)
        before, between = between, (spread.sum(axis=0) + _PRIOR_SPECTRA * expected) / (len(fits) + _PRIOR_SPECTRA)
        if np.max(np.abs(np.log(between / before))) < _TOLERANCE:
            break
    of_mean = _relative_variance(covariance, mean, n_lines)
    return mean, np.sqrt(between + of_mean), np.sqrt(of_mean)


def _relative_variance(covariance: FloatArray, mean: FloatArray, n_lines: int) -> FloatArray:
    """Variance of the study's values with the areas relative to their sum, because their scale means nothing."""
    scale = np.where(np.arange(mean.size) < n_lines, 1 / mean[:n_lines].sum(), 0.0)
    relative = np.eye(mean.size) - np.outer(np.where(np.arange(mean.size) < n_lines, mean, 0.0), scale)
    return np.asarray(np.einsum("ij,jk,ik->i", relative, covariance, relative))


def _without_common_area(
    information: FloatArray, moment: FloatArray, mean: FloatArray, n_lines: int
) -> tuple[FloatArray, FloatArray]:
    """Marginalise over the amplitude common to all lines of a spectrum, which has a flat prior."""
    common = np.where(np.arange(mean.size) < n_lines, mean, 0.0)
    along = information @ common
    strength = np.maximum(along @ common, np.finfo(float).tiny)
    along_each = along / strength[:, None]
    return information - along[:, :, None] * along_each[:, None, :], moment - along_each * (moment @ common)[:, None]
