"""How well the fit recovers the truth of synthetic spectra: ratios to tCr, beside those of an oracle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.operators import broadened
from mrspipe.core.results import SUMS, FitResult
from mrspipe.core.signal import Signal
from mrspipe.fit.dynamic import fit_jointly
from mrspipe.fit.learning import LearnedMacromolecules, learn_macromolecules
from mrspipe.fit.settings import FitSettings
from mrspipe.fit.spectrum import fit_for_learning, fit_spectrum
from recovery.generator import AXIS, NAMES, Family, SyntheticSpectrum, fitted_basis

# Glu first: it is what changes within a person.
METABOLITES = ("Glu", "Glx", "tNAA", "tCho", "Ins", "Gln", "GABA", "GSH")
"""Whose ratio to tCr is judged."""
JUDGED = (*METABOLITES, "tCr")
"""These, and the amount of tCr itself."""
Treatment = Literal["generic", "study", "given"]
"""Macromolecules of the fit: its general list, lines learned from all spectra, or a measured entry of the basis set."""
TREATMENTS: tuple[Treatment, ...] = get_args(Treatment)
# As the pipeline does.
_LEARNING_ROUNDS = 2
# Of 95 % intervals.
_Z = 1.96


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """Values of `JUDGED`, each array of shape (n_spectra, n_judged): ratios to tCr, and tCr in mM.

    Parameters
    ----------
    truth, value, oracle : float array
    se : float array
        Stated standard error of ``value``.
    converged : bool array, shape (n_spectra,)
    """

    truth: FloatArray
    value: FloatArray
    se: FloatArray
    oracle: FloatArray
    converged: np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class RecoveryRow:
    """How well one ratio to tCr, or tCr itself, is recovered. Errors are relative to each spectrum's truth.

    Parameters
    ----------
    metabolite : str
    n : int
        Number of spectra.
    bias_pct, sd_pct, rmse_pct : float
        Mean, SD and root mean square of the error, in percent.
    oracle_rmse_pct : float
        Root mean square error of the oracle.
    se_pct : float
        Median of the stated standard error.
    coverage_pct : float
        How many intervals of +- 1.96 standard errors hold the truth.
    slope : float
        Of the estimated ratio on the true one, across people.
    """

    metabolite: str
    n: int
    bias_pct: float
    sd_pct: float
    rmse_pct: float
    oracle_rmse_pct: float
    se_pct: float
    coverage_pct: float
    slope: float


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """How well a change of Glu/tCr within people is recovered, in percent of the first scan's truth.

    Parameters
    ----------
    n : int
        Number of people.
    bias_pct, sd_pct : float
        Of the error of the change.
    oracle_sd_pct : float
    se_pct : float
        Median stated standard error of the change, from two fits that do not know of each other.
    coverage_pct : float
    """

    n: int
    bias_pct: float
    sd_pct: float
    oracle_sd_pct: float
    se_pct: float
    coverage_pct: float


def fitted(
    spectra: Sequence[SyntheticSpectrum],
    family: Family,
    treatment: Treatment,
    learned: LearnedMacromolecules | None = None,
) -> Estimates:
    """Fit spectra of one study, and compare with truth and oracle; ``learned``: of more spectra than these."""
    fits = _fits([spectrum.signal for spectrum in spectra], family, treatment, learned)
    truths = np.array([[spectrum.truth[name] for name in NAMES] for spectrum in spectra])
    found = [judged_values(fit.names, fit.amplitudes, fit.covariance) for fit in fits]
    return Estimates(
        truth=_values_of(truths),
        value=np.array([value for value, _ in found]),
        se=np.array([se for _, se in found]),
        oracle=_values_of(np.array([spectrum.oracle() for spectrum in spectra])),
        converged=np.array([fit.status == "converged" for fit in fits]),
    )


def joined(parts: Sequence[Estimates]) -> Estimates:
    """Put estimates of several studies together."""
    return Estimates(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("truth", "value", "se", "oracle", "converged")
        )
    )


def recovery_rows(estimates: Estimates) -> tuple[RecoveryRow, ...]:
    """Bias, spread, coverage and slope of each of `JUDGED`."""
    return tuple(_recovery_row(estimates, column) for column in range(len(JUDGED)))


def change_row(first: Estimates, second: Estimates) -> ChangeRow:
    """How well separate fits recover the change of Glu/tCr from the first to the second scan of each person."""
    change, se = (second.value - first.value)[:, 0], np.hypot(first.se[:, 0], second.se[:, 0])
    return _change_row(first, second, change, se)


def change_rows(
    people: Sequence[tuple[SyntheticSpectrum, SyntheticSpectrum]], family: Family, treatment: Treatment
) -> tuple[ChangeRow, ChangeRow]:
    """How well fits of each scan alone, and joint fits, recover the change of Glu/tCr in people scanned twice.

    The treatment is generic, or study: all scans together teach the nuisance model.
    """
    basis, learned = fitted_basis(), None
    if treatment == "study":
        learned = learned_from([one.signal for scans in people for one in scans])
    first, second = (fitted(one, family, treatment, learned) for one in zip(*people, strict=True))
    settings = FitSettings(mm="parametrised" if learned is None else "study")
    joint = [fit_jointly([one.signal for one in scans], basis, settings, learned).change("Glu") for scans in people]
    found = np.array([[change.value, change.se] for change in joint if change is not None])
    return change_row(first, second), _change_row(first, second, found[:, 0], found[:, 1])


def _change_row(first: Estimates, second: Estimates, change: FloatArray, se: FloatArray) -> ChangeRow:
    scale = 100 / first.truth[:, 0]
    true = (second.truth - first.truth)[:, 0]
    error = scale * (change - true)
    return ChangeRow(
        n=len(error),
        bias_pct=float(error.mean()),
        sd_pct=float(error.std(ddof=1)),
        oracle_sd_pct=float(np.std(scale * ((second.oracle - first.oracle)[:, 0] - true), ddof=1)),
        se_pct=float(np.median(scale * se)),
        coverage_pct=float(100 * np.mean(np.abs(error) < _Z * scale * se)),
    )


def judged_values(
    names: Sequence[str], amplitudes: FloatArray, covariance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Values of `JUDGED` and their standard errors; of a ratio by the delta method: d(a/c) = (da - (a/c) dc) / c."""
    weights = _weights(names)
    total = weights[-1] @ amplitudes
    values, gradient = weights @ amplitudes, weights.copy()
    values[:-1] /= total
    gradient[:-1] = (weights[:-1] - values[:-1, None] * weights[-1]) / total
    return values, np.sqrt(np.einsum("ij,jk,ik->i", gradient, covariance, gradient))


def with_measured_macromolecules(basis: BasisSet, family: Family) -> BasisSet:
    """Add the family's mean macromolecules to a basis set, 1 Hz broad as its other entries."""
    mean = broadened(family.mean_macromolecules(), AXIS, lorentz_hz=basis.linewidth_hz)
    return replace(basis, names=(*basis.names, "Mac"), fids=np.vstack([basis.fids, mean]))


def learned_from(signals: Sequence[Signal]) -> LearnedMacromolecules:
    """Nuisance model of a study, learned as the pipeline does."""
    basis, settings = fitted_basis(), FitSettings(mm="study")
    learned = learn_macromolecules([], settings.priors)
    for _ in range(_LEARNING_ROUNDS):
        posteriors = [fit_for_learning(signal, basis, settings, learned) for signal in signals]
        learned = learn_macromolecules(posteriors, settings.priors)
    return learned


def _fits(
    signals: Sequence[Signal], family: Family, treatment: Treatment, learned: LearnedMacromolecules | None
) -> list[FitResult]:
    basis = fitted_basis()
    if treatment == "given":
        basis, settings = with_measured_macromolecules(basis, family), FitSettings(mm="basis")
        return [fit_spectrum(signal, basis, settings) for signal in signals]
    if treatment == "generic":
        return [fit_spectrum(signal, basis, FitSettings(mm="parametrised")) for signal in signals]
    known = learned_from(signals) if learned is None else learned
    return [fit_spectrum(signal, basis, FitSettings(mm="study"), known) for signal in signals]


def _recovery_row(estimates: Estimates, column: int) -> RecoveryRow:
    truth, value, se = (getattr(estimates, name)[:, column] for name in ("truth", "value", "se"))
    error, oracle_error = 100 * (value / truth - 1), 100 * (estimates.oracle[:, column] / truth - 1)
    return RecoveryRow(
        metabolite=JUDGED[column],
        n=len(truth),
        bias_pct=float(error.mean()),
        sd_pct=float(error.std(ddof=1)),
        rmse_pct=_root_mean_square(error),
        oracle_rmse_pct=_root_mean_square(oracle_error),
        se_pct=float(np.median(100 * se / truth)),
        coverage_pct=float(100 * np.mean(np.abs(value - truth) < _Z * se)),
        slope=float(np.polyfit(truth, value, 1)[0]),
    )


def _root_mean_square(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _values_of(amplitudes: FloatArray) -> FloatArray:
    """Values of `JUDGED` from amplitudes of `NAMES`, shape (n_spectra, n_judged)."""
    values: FloatArray = amplitudes @ _weights(NAMES).T
    values[:, :-1] /= values[:, -1:]
    return values


def _weights(names: Sequence[str]) -> FloatArray:
    """Rows of 0 and 1 that pick `JUDGED` out of the amplitudes of ``names``."""
    return np.array([[float(name in SUMS.get(wanted, (wanted,))) for name in names] for wanted in JUDGED])
