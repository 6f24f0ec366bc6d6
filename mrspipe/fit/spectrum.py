"""Fit one spectrum: reference, coarse fit, baseline stiffness, full fit, uncertainty."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mrspipe.core.arrays import FloatArray, IntArray
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import AnalysisError, ConfigError
from mrspipe.core.operators import phased, shifted
from mrspipe.core.results import FitResult
from mrspipe.core.signal import Signal
from mrspipe.fit.advice import advice_for, status_of
from mrspipe.fit.baseline import choose_stiffness
from mrspipe.fit.learning import LearnedMacromolecules, MacromoleculePosterior, of_one_study
from mrspipe.fit.limits import RELATIVE_WIDTHS, stopped
from mrspipe.fit.macromolecules import SmoothShape, spread
from mrspipe.fit.model import SpectralModel
from mrspipe.fit.nuisance import Nuisance
from mrspipe.fit.prepare import Prepared, prepare
from mrspipe.fit.priors import AmplitudePriors, Scale, amplitude_priors, theta_priors
from mrspipe.fit.reference import Reference, find_reference, noise_sd
from mrspipe.fit.settings import FitSettings
from mrspipe.fit.solver import Problem, Solution, at, at_same_place, balanced, curvature, minimise
from mrspipe.fit.uncertainty import (
    cramer_rao_bound,
    n_determined,
    nuisance_likelihood,
    posterior_covariance,
    prior_share,
)
from mrspipe.physics.lineshapes import voigt_fwhm

GENERIC_MODEL = "smooth shape"
"""Name of the macromolecule model that no study taught and no basis set brought."""

# Stiffness of the baseline in the coarse fit, and the parameters that it moves.
_COARSE_ED_PER_PPM = 3.0
# How much more freely the parts of the common line width are found there.
_COARSE_FREEDOM = 3.0
# Stages before the last may end when an iteration gains less than this times the tolerance.
_COARSER = 10.0
# A point further off than this many standard deviations of noise and misfit counts as if it were at this distance;
# noise alone gets there once in 16000 points.
_LARGEST_RESIDUAL = 4.0
# This many times as far, it counts as missing.
_BEYOND_DOUBT = 2.5
# As part of the metabolites' lines, before the coarse fit.
_COARSE_PART = 0.5
# The full fit in two stages: by how much it may end earlier, and that part. Learning from a study is content with one.
_STAGES = ((_COARSER, 0.2), (1.0, 0.05))
# A basis set of another field has other couplings in ppm; of another echo time, other multiplets.
_LARGEST_FIELD_DIFFERENCE = 0.02
_LARGEST_ECHO_TIME_DIFFERENCE_S = 0.001


@dataclass(frozen=True, eq=False)
class FitTask:
    """What is the same for all spectra of a study.

    Parameters
    ----------
    basis : BasisSet
    prepared : Prepared
    settings : FitSettings
    generic, nuisance : Nuisance
        The nuisance model, generic and used.
    integrated : Nuisance, optional
        What amplitudes are integrated over in the step to the average line shape; by default the one used.
    """

    basis: BasisSet
    prepared: Prepared
    settings: FitSettings
    generic: Nuisance
    nuisance: Nuisance
    integrated: Nuisance | None = None


@dataclass(frozen=True, eq=False)
class FittedSpectrum:
    """A spectrum's best point and what it is relative to.

    Parameters
    ----------
    signal : Signal
    task : FitTask
    problem : Problem
        In units of the noise; its data are those that the fit saw, outliers tamed.
    data : float array, shape (n_ppm,)
        As measured, in units of the noise.
    solution : Solution
    scale : Scale
    reference : Reference
    sigma : float
        Standard deviation of the noise.
    """

    signal: Signal
    task: FitTask
    problem: Problem
    data: FloatArray
    solution: Solution
    scale: Scale
    reference: Reference
    sigma: float

    @cached_property
    def hessian(self) -> FloatArray:
        """Half the Hessian of the objective, amplitudes before nonlinear parameters."""
        return curvature(self.problem, self.solution)[0]

    @cached_property
    def covariance(self) -> FloatArray:
        """Posterior covariance of amplitudes and nonlinear parameters for the noise alone."""
        return posterior_covariance(self.hessian)

    @cached_property
    def unexplained(self) -> float:
        """Residual in units of the noise, with the degrees of freedom that the parameters leave: about 1 for noise."""
        residual = _residual(self.problem, self.solution, self.problem.data)
        n_left = residual.size - n_determined(self.problem, self.solution, self.covariance)
        return float(np.linalg.norm(residual)) / math.sqrt(max(n_left, 1.0))

    @property
    def misfit(self) -> float:
        """Residual in units of the noise, at least 1: what the model misses widens the standard errors."""
        return max(1.0, self.unexplained)


def fit_spectrum(
    signal: Signal, basis: BasisSet, settings: FitSettings, learned: LearnedMacromolecules | None = None
) -> FitResult:
    """Fit a spectrum with a sum of metabolites, macromolecules and a smooth baseline.

    Parameters
    ----------
    signal : Signal
        One FID.
    basis : BasisSet
        Of any dwell time and length; its field and echo time must be those of the signal.
    settings : FitSettings
    learned : LearnedMacromolecules, optional
        Nuisance model of the study (`mrspipe.fit.learning`) in place of the generic one. Not used where it is not
        trusted, or where the basis set brings measured macromolecules.

    Returns
    -------
    FitResult
        A fit that did not converge is a result with a status.

    Raises
    ------
    ConfigError
        The basis set does not belong to the signal, or lacks a metabolite that was asked for.
    AnalysisError
        The spectrum is too narrow, or its noise cannot be measured.
    """
    return result_of(fit_point(signal, basis, settings, learned))


def fit_point(
    signal: Signal, basis: BasisSet, settings: FitSettings, learned: LearnedMacromolecules | None = None
) -> FittedSpectrum:
    """Fit a spectrum as `fit_spectrum` does, and give the point itself."""
    return _fit(signal, _task(signal, basis, settings, learned))


def fit_again(signal: Signal, fitted: FittedSpectrum) -> FittedSpectrum:
    """Fit another signal on the same axis from the start, with the basis set and all settings of an earlier fit."""
    return _fit(signal, fitted.task)


def fit_for_learning(
    signal: Signal, basis: BasisSet, settings: FitSettings, learned: LearnedMacromolecules | None = None
) -> MacromoleculePosterior:
    """Fit a spectrum for what it says about the macromolecules.

    Parameters
    ----------
    signal : Signal
        One FID.
    basis : BasisSet
    settings : FitSettings
    learned : LearnedMacromolecules, optional
        Of an earlier round; where the fit starts. What it knows is not in the answer's likelihood.

    Returns
    -------
    MacromoleculePosterior
        Not finite where the fit failed, so that learning leaves it out.

    Raises
    ------
    ConfigError, AnalysisError
        As `fit_spectrum`.
    """
    task = _task(signal, basis, settings.model_copy(update={"mm": "study"}), learned)
    # What is not known of the study's macromolecules is unknown once, not once more with every spectrum.
    task = replace(task, integrated=of_one_study(task.nuisance))
    fitted = _fit(signal, task, _STAGES[:1])
    misfit = fitted.misfit
    information, moment = nuisance_likelihood(
        fitted.problem, fitted.solution, fitted.hessian, task.prepared.roles, task.nuisance, fitted.scale, misfit
    )
    return MacromoleculePosterior(task.prepared.roles.metabolites, task.generic, information, moment, misfit**-2.0)


def _task(signal: Signal, basis: BasisSet, settings: FitSettings, learned: LearnedMacromolecules | None) -> FitTask:
    _check_basis(signal, basis, settings)
    prepared = prepare(basis, signal.axis, settings)
    roles, priors = prepared.roles, settings.priors
    if prepared.measured_smooth is not None:
        measured = Nuisance.generic(prepared.measured_smooth, roles.metabolites, priors, basis.linewidth_hz)
        deviation = spread(measured.smooth.mean, priors.mm_deviation_sd, priors.mm_deviation_floor_sd)
        measured = replace(measured, smooth=SmoothShape(measured.smooth.mean, deviation))
        return FitTask(basis, prepared, settings, measured, measured)
    generic = Nuisance.generic(prepared.generic_smooth, roles.metabolites, priors, basis.linewidth_hz)
    nuisance = learned.for_fit(roles.metabolites, generic) if learned is not None else generic
    return FitTask(basis, prepared, settings, generic, nuisance)


def _fit(signal: Signal, task: FitTask, stages: tuple[tuple[float, float], ...] = _STAGES) -> FittedSpectrum:
    model = task.prepared.model
    sigma = noise_sd(signal, model.grid)
    reference = _reference(signal, task)
    data = referenced(signal, reference, model) / sigma
    problem, solution, scale = staged_fit(data, reference.amplitude / sigma, task, stages)
    return FittedSpectrum(signal, task, problem, data, solution, scale, reference, sigma)


def _check_basis(signal: Signal, basis: BasisSet, settings: FitSettings) -> None:
    if settings.allow_basis_mismatch:
        return
    cure = "Use a basis set of the same field and echo time, or set fit.allow_basis_mismatch."
    ratio = basis.axis.spectrometer_hz / signal.axis.spectrometer_hz
    if abs(ratio - 1) > _LARGEST_FIELD_DIFFERENCE:
        raise ConfigError(
            f"The basis set is for {basis.axis.hz_per_ppm:.2f} MHz, the spectrum for {signal.axis.hz_per_ppm:.2f} MHz.",
            cure=cure,
            code="basis-field",
        )
    theirs, ours = basis.echo_time_s, signal.acquisition.echo_time_s
    if theirs is not None and ours is not None and abs(theirs - ours) > _LARGEST_ECHO_TIME_DIFFERENCE_S:
        raise ConfigError(
            f"The basis set is for an echo time of {1e3 * theirs:g} ms, the spectrum has {1e3 * ours:g} ms.",
            cure=cure,
            code="basis-echo-time",
        )


def _reference(signal: Signal, task: FitTask) -> Reference:
    grid, names = task.prepared.grid, task.prepared.roles.metabolites
    data = grid.to_time(grid.spectra(signal.fid, signal.axis))
    metabolites = task.prepared.model.basis_signals[: len(names)]
    reference = find_reference(data, metabolites, names, grid, task.settings.max_shift_ppm)
    if not reference.amplitude > 0:
        raise AnalysisError("No metabolite signal was found in the spectrum.", code="no-signal")
    return reference


def referenced(signal: Signal, reference: Reference, model: SpectralModel) -> FloatArray:
    """Real spectrum on the model's bins after shift and phase of the reference are taken out."""
    fid = phased(shifted(signal.fid, signal.axis, -reference.shift_hz), -reference.phase_rad)
    return model.grid.spectra(fid, signal.axis)[model.window].real


def staged_fit(
    data: FloatArray, amplitude: float, task: FitTask, stages: tuple[tuple[float, float], ...] = _STAGES
) -> tuple[Problem, Solution, Scale]:
    """Fit coarsely, choose the baseline, fit everything, choose the baseline again, finish."""
    prepared, settings = task.prepared, task.settings
    layout = prepared.model.layout
    few = np.array([layout.PHASE0, layout.SHIFT, layout.LORENTZ, layout.GAUSS, layout.T2])
    everything = np.arange(layout.size)
    scale = _first_scale(amplitude, task)
    mean, sd = _theta_priors(task)
    # A line of any width is found first; then its shape is what is expected of one so broad.
    wide = np.where(np.isin(everything, [layout.LORENTZ, layout.GAUSS]), _COARSE_FREEDOM, 1.0)
    coarse_ed = _COARSE_ED_PER_PPM * (settings.range_ppm[1] - settings.range_ppm[0])
    problem = Problem(
        model=prepared.model,
        base=prepared.base,
        data=data,
        amplitude_prior=_rows(scale, task),
        theta_mean=mean,
        theta_sd=sd * wide,
        stiffness=prepared.base.stiffness_for(coarse_ed),
    )
    start = at(problem, mean)
    problem = replace(problem, data=_tamed(data, problem, start, _COARSE_PART))
    solution = _minimise(problem, start, few, settings, _COARSER)
    n_iterations = solution.n_iterations
    scale = replace(scale, width=_relative_width(solution, task))
    mean, sd = _theta_priors(task, scale.width)
    problem = replace(problem, theta_mean=mean, theta_sd=sd)
    known = None
    for coarser, largest_part in stages:
        scale = _scale_of(solution, scale, task)
        problem = replace(problem, data=_tamed(data, problem, solution, largest_part))
        problem = _with_chosen_baseline(problem, solution, scale, task, known)
        solution = _minimise(problem, solution, everything, settings, coarser)
        n_iterations += solution.n_iterations
        known = problem.stiffness
    over = None if task.integrated is None else _rows(scale, task, task.integrated)
    return problem, replace(balanced(problem, solution, over), n_iterations=n_iterations), scale


def _theta_priors(task: FitTask, width: float = 1.0) -> tuple[FloatArray, FloatArray]:
    prepared = task.prepared
    layout, hz_per_ppm = prepared.model.layout, prepared.grid.hz_per_ppm
    return theta_priors(layout, task.nuisance, task.settings.priors, hz_per_ppm=hz_per_ppm, width=width)


def _relative_width(solution: Solution, task: FitTask) -> float:
    """Width of the common line relative to the width that is expected."""
    layout, own_hz = task.prepared.model.layout, task.basis.linewidth_hz

    def width_hz(lorentz_hz: float, gauss_hz2: float) -> float:
        return voigt_fwhm(max(lorentz_hz + own_hz, 0.0), math.sqrt(max(gauss_hz2, 0.0)))

    found = width_hz(solution.theta[layout.LORENTZ], solution.theta[layout.GAUSS])
    return float(np.clip(found / width_hz(*task.nuisance.line_mean), *RELATIVE_WIDTHS))


def _tamed(data: FloatArray, problem: Problem, solution: Solution, part: float) -> FloatArray:
    """Bring points that no fit can reach to the edge of what noise and misfit explain.

    Least squares on such pseudo-data is Huber's estimator (Huber 1981, doi 10.1002/0471725250, ch. 7.8): a point far
    off pulls no more than one at the edge, and one beyond all doubt not at all. What it tames are lines of nothing that
    the model knows. Near a metabolite's line, ``part`` of it is never too far, because early stages have not found the
    line shape yet.
    """
    residual = _residual(problem, solution, data)
    spread = 1.4826 * float(np.median(np.abs(residual)))
    n_basis = problem.model.layout.n_basis
    metabolites = np.abs(solution.amplitudes[:n_basis] @ solution.evaluation.spectra[:n_basis])
    limit = np.maximum(_LARGEST_RESIDUAL * max(1.0, spread), part * metabolites)
    tamed = np.where(np.abs(residual) > _BEYOND_DOUBT * limit, 0.0, np.clip(residual, -limit, limit))
    return np.asarray(data - residual + tamed)


def _minimise(problem: Problem, start: Solution, free: IntArray, settings: FitSettings, coarser: float) -> Solution:
    start = at_same_place(problem, start)
    tolerance = coarser * settings.tolerance
    return minimise(problem, start, free=free, tolerance=tolerance, max_iterations=settings.max_iterations)


def _with_chosen_baseline(
    problem: Problem, solution: Solution, scale: Scale, task: FitTask, known: float | None
) -> Problem:
    rows, prepared = _rows(scale, task), task.prepared
    stiffness = choose_stiffness(prepared.base, solution.columns, problem.data, rows, prepared.stiffnesses, known)
    return replace(problem, amplitude_prior=rows, stiffness=stiffness)


def _rows(scale: Scale, task: FitTask, nuisance: Nuisance | None = None) -> AmplitudePriors:
    known = task.nuisance if nuisance is None else nuisance
    return amplitude_priors(task.prepared.roles, known, task.settings.priors.creatine_fraction, scale)


def _first_scale(amplitude: float, task: FitTask) -> Scale:
    """Scale from the reference alone."""
    proton = amplitude * proton_amplitude(task.basis)
    common, measured = task.nuisance.level.mean * proton, task.prepared.measured_smooth
    if measured is not None:
        generic = Nuisance.generic(task.prepared.generic_smooth, (), task.settings.priors, task.basis.linewidth_hz)
        common /= abs(generic.smooth.common(measured))
    return Scale(amplitude, proton, common)


def proton_amplitude(basis: BasisSet) -> float:
    """Amplitude at time zero of one proton of a metabolite of amplitude 1."""
    if basis.proton_amplitude is not None:
        return basis.proton_amplitude
    # Creatine has five visible protons.
    creatine = next((name for name in ("Cr", "PCr") if name in basis.names), basis.names[0])
    return float(np.abs(basis.only([creatine]).fids[0, 0])) / 5


def _scale_of(solution: Solution, before: Scale, task: FitTask) -> Scale:
    """Scale from a fit; an implausible one (not positive) is not taken over."""
    roles = task.prepared.roles
    creatine = float(roles.total_creatine @ solution.amplitudes)
    common = task.nuisance.smooth.common(solution.amplitudes[roles.n_basis :])
    if roles.measured_mm:
        common = float(solution.amplitudes[roles.n_basis - 1])
    if creatine <= 0.1 * before.total_creatine:
        creatine = before.total_creatine
    return Scale(
        creatine,
        before.creatine_proton * creatine / before.total_creatine,
        common if common > 0.1 * before.macromolecules else before.macromolecules,
        before.width,
    )


def result_of(fitted: FittedSpectrum) -> FitResult:
    """Amplitudes, covariances, curves and advice of a fitted spectrum."""
    task = fitted.task
    problem, solution, sigma = fitted.problem, fitted.solution, fitted.sigma
    prepared, roles, shown = task.prepared, task.prepared.roles, task.prepared.shown
    n_names = len(roles.metabolites)
    unit, amplitudes = shown.evaluate(solution.theta).spectra.real, solution.amplitudes * sigma
    components, macromolecules = amplitudes[:n_names, None] * unit[:n_names], amplitudes[n_names:] @ unit[n_names:]
    smooth = problem.base.coefficients(problem.data - solution.spectrum, problem.stiffness)
    baseline = prepared.shown_functions @ (smooth * sigma)
    covariance = fitted.covariance[:n_names, :n_names]
    result = FitResult(
        names=roles.metabolites,
        amplitudes=amplitudes[:n_names],
        covariance=covariance * sigma**2 * fitted.misfit**2,
        crlb_covariance=cramer_rao_bound(problem, solution, n_names) * sigma**2,
        prior_share=prior_share(covariance, problem.amplitude_prior.rows[:, :n_names]),
        nuisance=_nuisance(fitted),
        ppm=shown.ppm,
        data=referenced(fitted.signal, fitted.reference, shown),
        fit=components.sum(axis=0) + macromolecules + baseline,
        baseline=baseline,
        macromolecules=macromolecules,
        components=components,
        noise_sd=noise_sd(fitted.signal, shown.grid),
        proton_amplitude=task.basis.proton_amplitude,
        n_iterations=solution.n_iterations,
        macromolecule_model=_macromolecule_model(task),
        at_limit=stopped(problem, solution.theta, prepared, fitted.scale.width),
    )
    result = replace(result, status=status_of(result, converged=solution.converged))
    return replace(result, advice=advice_for(result))


def _macromolecule_model(task: FitTask) -> str:
    if task.prepared.roles.measured_mm:
        return "measured shape with deviations"
    return GENERIC_MODEL if task.nuisance is task.generic else "study-learned smooth shape"


def _residual(problem: Problem, solution: Solution, data: FloatArray) -> FloatArray:
    """What model and baseline leave of ``data``, the baseline that of the fit."""
    without_baseline = problem.data - solution.spectrum
    baseline = problem.base.curve(without_baseline, problem.stiffness)
    return data - solution.spectrum - baseline


def _nuisance(fitted: FittedSpectrum) -> Mapping[str, float]:
    problem, theta = fitted.problem, fitted.solution.theta
    layout = problem.model.layout
    width_ppm = problem.model.ppm[-1] - problem.model.ppm[0]
    phase = np.rad2deg(fitted.reference.phase_rad + theta[layout.PHASE0])
    return {
        "shift_hz": float(fitted.reference.shift_hz + theta[layout.SHIFT]),
        "phase0_deg": float((phase + 180) % 360 - 180),
        "phase1_deg_per_ppm": float(np.rad2deg(theta[layout.PHASE1])),
        "lorentz_hz": float(theta[layout.LORENTZ] + fitted.task.basis.linewidth_hz),
        "gauss_hz": float(np.sqrt(max(theta[layout.GAUSS], 0.0))),
        "t2_contrast": float(theta[layout.T2]),
        "shape_distance": float(np.sqrt(np.mean((theta[layout.SHAPE] / problem.theta_sd[layout.SHAPE]) ** 2))),
        "baseline_ed_per_ppm": float(problem.base.effective_dimension(problem.stiffness) / width_ppm),
        "misfit": fitted.misfit,
        "outlier_pct": float(100 * np.mean(np.abs(fitted.data - problem.data) > 1e-9)),
    }
