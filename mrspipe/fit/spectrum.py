"""Fit one spectrum: reference, coarse fit, baseline stiffness, full fit, uncertainty."""

import math
from dataclasses import replace

import numpy as np

from mrspipe.core.arrays import FloatArray, IntArray
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import AnalysisError, ConfigError
from mrspipe.core.results import FitResult
from mrspipe.core.signal import Signal
from mrspipe.fit.baseline import choose_stiffness
from mrspipe.fit.fitted import FitTask, FittedSpectrum, result_of
from mrspipe.fit.learning import LearnedMacromolecules, MacromoleculePosterior, of_one_study
from mrspipe.fit.limits import RELATIVE_WIDTHS
from mrspipe.fit.macromolecules import SmoothShape, spread
from mrspipe.fit.nuisance import Nuisance
from mrspipe.fit.prepare import prepare
from mrspipe.fit.priors import AmplitudePriors, Scale, amplitude_priors, theta_priors
from mrspipe.fit.reference import Reference, find_reference, noise_sd, referenced
from mrspipe.fit.settings import FitSettings
from mrspipe.fit.solver import Problem, Solution, at, at_same_place, balanced, minimise, residual_of
from mrspipe.fit.uncertainty import nuisance_likelihood
from mrspipe.physics.lineshapes import voigt_fwhm

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
        fitted.problem,
        fitted.solution,
        fitted.curvature.hessian,
        task.prepared.roles,
        task.nuisance,
        fitted.scale,
        misfit,
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
    residual = residual_of(problem, solution, data)
    spread = 1.4826 * float(np.median(np.abs(residual)))
    n_basis = problem.model.layout.n_basis
    metabolites = np.abs(solution.amplitudes[:n_basis] @ solution.evaluation.spectra[:n_basis])
    limit = np.maximum(_LARGEST_RESIDUAL * max(1.0, spread), part * metabolites)
    tamed = np.where(np.abs(residual) > _BEYOND_DOUBT * limit, 0.0, np.clip(residual, -limit, limit))
    return np.asarray(data - residual + tamed)


def _minimise(problem: Problem, start: Solution, free: IntArray, settings: FitSettings, coarser: float) -> Solution:
    # Limits move with the width of the lines between stages.
    within = np.clip(start.theta, *problem.limits)
    start = at_same_place(problem, start) if (within == start.theta).all() else at(problem, within)
    tolerance = coarser * settings.tolerance
    return minimise(problem, start, free=free, tolerance=tolerance, max_iterations=settings.max_iterations)


def _with_chosen_baseline(
    problem: Problem, solution: Solution, scale: Scale, task: FitTask, known: float | None
) -> Problem:
    rows, prepared = _rows(scale, task), task.prepared
    stiffness = choose_stiffness(prepared.base, solution.linear, problem.data, rows, prepared.stiffnesses, known)
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
