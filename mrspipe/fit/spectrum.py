"""Fit one spectrum: reference, coarse fit, baseline stiffness, full fit, uncertainty."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mrspipe.core.arrays import FloatArray, IntArray
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import AnalysisError, ConfigError
from mrspipe.core.operators import phased, shifted
from mrspipe.core.results import FitResult
from mrspipe.core.signal import Signal
from mrspipe.fit.advice import advice_for, status_of
from mrspipe.fit.baseline import choose_stiffness
from mrspipe.fit.learning import LearnedMacromolecules, MacromoleculePosterior
from mrspipe.fit.prepare import Prepared, prepare
from mrspipe.fit.priors import AmplitudePriors, LinePriors, amplitude_priors, own_widths_hz, theta_priors
from mrspipe.fit.reference import Reference, find_reference, noise_sd
from mrspipe.fit.settings import FitSettings
from mrspipe.fit.solver import Problem, Solution, minimise
from mrspipe.fit.uncertainty import amplitude_covariance, cramer_rao_bound, macromolecule_posterior
from mrspipe.physics.constants import GAMMA_BAR_1H_HZ_PER_T

# Stiffness of the baseline in the coarse fit, and the parameters that it moves.
_COARSE_ED_PER_PPM = 3.0
# A basis set of another field has other couplings in ppm; of another echo time, other multiplets.
_LARGEST_FIELD_DIFFERENCE = 0.02
_LARGEST_ECHO_TIME_DIFFERENCE_S = 0.001


@dataclass(frozen=True)
class _Scale:
    """Amplitudes that the priors are relative to: total creatine and the first macromolecule line."""

    total_creatine: float
    macromolecules: float


@dataclass(frozen=True, eq=False)
class _Task:
    """What is the same for all spectra of a study."""

    basis: BasisSet
    prepared: Prepared
    settings: FitSettings
    lines: LinePriors


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A spectrum's best point and what it is relative to."""

    problem: Problem
    solution: Solution
    scale: _Scale
    reference: Reference
    sigma: float


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
        Macromolecules of the study (`mrspipe.fit.learning`) in place of the generic list. Not used where they are not
        trusted, or where the basis set brings measured ones.

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
    task = _task(signal, basis, settings, learned)
    line_model = "study-learned Gaussian lines" if learned is not None and learned.trusted else "Gaussian lines"
    return _result(_fit(signal, task), task, line_model)


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
    fitted = _fit(signal, task)
    return macromolecule_posterior(
        fitted.problem,
        fitted.solution,
        task.prepared.roles,
        task.lines,
        common_area=fitted.scale.macromolecules,
        misfit=_misfit(fitted.problem, fitted.solution),
    )


def _task(signal: Signal, basis: BasisSet, settings: FitSettings, learned: LearnedMacromolecules | None) -> _Task:
    _check_basis(signal, basis, settings)
    prepared = prepare(basis, signal.axis, settings)
    lines = LinePriors.generic(prepared.roles.line_ratio.size, settings.priors)
    if learned is not None and learned.trusted and not prepared.roles.measured_mm:
        lines = learned.line_priors
    return _Task(basis, prepared, settings, lines)


def _fit(signal: Signal, task: _Task) -> _Fitted:
    sigma = noise_sd(signal, task.prepared.grid)
    reference = _reference(signal, task)
    data = _referenced(signal, reference, task.prepared) / sigma
    problem, solution, scale = _staged_fit(data, reference.amplitude / sigma, task)
    return _Fitted(problem, solution, scale, reference, sigma)


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


def _reference(signal: Signal, task: _Task) -> Reference:
    grid, names = task.prepared.grid, task.prepared.roles.metabolites
    data = grid.to_time(grid.spectra(signal.fid, signal.axis))
    metabolites = task.prepared.model.basis_signals[: len(names)]
    reference = find_reference(data, metabolites, names, grid, task.settings.max_shift_ppm)
    if not reference.amplitude > 0:
        raise AnalysisError("No metabolite signal was found in the spectrum.", code="no-signal")
    return reference


def _referenced(signal: Signal, reference: Reference, prepared: Prepared) -> FloatArray:
    """Real spectrum on the fitted bins after shift and phase of the reference are taken out."""
    fid = phased(shifted(signal.fid, signal.axis, -reference.shift_hz), -reference.phase_rad)
    return prepared.grid.spectra(fid, signal.axis)[prepared.model.window].real


def _staged_fit(data: FloatArray, amplitude: float, task: _Task) -> tuple[Problem, Solution, _Scale]:
    """Fit coarsely, choose the baseline, fit everything, choose the baseline again, finish."""
    prepared, settings = task.prepared, task.settings
    layout = prepared.model.layout
    few = np.array([layout.PHASE0, layout.SHIFT, layout.LORENTZ, layout.GAUSS])
    everything = np.arange(layout.size)
    scale = _first_scale(amplitude, task.basis, prepared)
    hz_per_ppm = prepared.grid.hz_per_ppm
    mean, sd = theta_priors(
        layout,
        settings.priors,
        task.lines,
        hz_per_ppm=hz_per_ppm,
        basis_width_hz=task.basis.linewidth_hz,
        own_width_hz=own_widths_hz(prepared.roles, settings.priors, hz_per_ppm * 1e6 / GAMMA_BAR_1H_HZ_PER_T),
    )
    coarse_ed = _COARSE_ED_PER_PPM * (settings.range_ppm[1] - settings.range_ppm[0])
    problem = Problem(
        model=prepared.model,
        base=prepared.base,
        data=data,
        amplitude_prior=_rows(scale, task),
        theta_mean=mean,
        theta_sd=sd,
        stiffness=prepared.base.stiffness_for(coarse_ed),
    )
    solution = _minimise(problem, mean, few, settings)
    n_iterations = solution.n_iterations
    for _ in range(2):
        scale = _scale_of(solution, scale, task)
        problem = _with_chosen_baseline(problem, solution, scale, task)
        solution = _minimise(problem, solution.theta, everything, settings)
        n_iterations += solution.n_iterations
    return problem, replace(solution, n_iterations=n_iterations), scale


def _minimise(problem: Problem, theta: FloatArray, free: IntArray, settings: FitSettings) -> Solution:
    return minimise(problem, theta, free=free, tolerance=settings.tolerance, max_iterations=settings.max_iterations)


def _with_chosen_baseline(problem: Problem, solution: Solution, scale: _Scale, task: _Task) -> Problem:
    rows, prepared = _rows(scale, task), task.prepared
    stiffness = choose_stiffness(prepared.base, solution.columns, problem.data, rows, prepared.stiffnesses)
    return replace(problem, amplitude_prior=rows, stiffness=stiffness)


def _rows(scale: _Scale, task: _Task) -> AmplitudePriors:
    return amplitude_priors(
        task.prepared.roles,
        task.settings.priors,
        task.lines,
        total_creatine=scale.total_creatine,
        mm_amplitude=scale.macromolecules,
    )


def _first_scale(amplitude: float, basis: BasisSet, prepared: Prepared) -> _Scale:
    """Scale from the reference alone: MM09 is about as large as two protons of creatine (assumed, only a start)."""
    if prepared.roles.measured_mm:
        return _Scale(amplitude, amplitude * prepared.measured_scale)
    proton = basis.proton_amplitude
    if proton is None:
        # Creatine has five visible protons.
        creatine = next((name for name in ("Cr", "PCr") if name in basis.names), basis.names[0])
        proton = float(np.abs(basis.only([creatine]).fids[0, 0])) / 5
    return _Scale(amplitude, 2.0 * amplitude * proton)


def _scale_of(solution: Solution, before: _Scale, task: _Task) -> _Scale:
    """Scale from a fit; an implausible one (not positive) is not taken over."""
    roles = task.prepared.roles
    creatine = float(roles.total_creatine @ solution.amplitudes)
    common = task.lines.common_area(solution.amplitudes[roles.n_basis :] / roles.line_ratio)
    if roles.measured_mm:
        common = task.prepared.measured_scale * float(solution.amplitudes[roles.n_basis - 1])
    return _Scale(
        creatine if creatine > 0.1 * before.total_creatine else before.total_creatine,
        common if common > 0.1 * before.macromolecules else before.macromolecules,
    )


def _result(fitted: _Fitted, task: _Task, line_model: str) -> FitResult:
    problem, solution, sigma = fitted.problem, fitted.solution, fitted.sigma
    prepared, roles = task.prepared, task.prepared.roles
    n_names = len(roles.metabolites)
    parts = (solution.columns * solution.amplitudes).T * sigma
    without_baseline = parts.sum(axis=0)
    data = problem.data * sigma
    baseline = problem.base.curve(data - without_baseline, problem.stiffness)
    result = FitResult(
        names=roles.metabolites,
        amplitudes=solution.amplitudes[:n_names] * sigma,
        covariance=amplitude_covariance(problem, solution, n_names) * sigma**2 * _misfit(problem, solution) ** 2,
        crlb_covariance=cramer_rao_bound(problem, solution, n_names) * sigma**2,
        nuisance=_nuisance(problem, solution, fitted.reference, task.basis),
        ppm=prepared.model.ppm,
        data=data,
        fit=without_baseline + baseline,
        baseline=baseline,
        macromolecules=parts[n_names:].sum(axis=0),
        components=parts[:n_names],
        noise_sd=sigma,
        proton_amplitude=task.basis.proton_amplitude,
        n_iterations=solution.n_iterations,
        macromolecule_model="measured shape with deviations" if roles.measured_mm else line_model,
    )
    result = replace(result, status=status_of(result, converged=solution.converged))
    return replace(result, advice=advice_for(result, fitted.scale.total_creatine * sigma, task.settings))


def _misfit(problem: Problem, solution: Solution) -> float:
    """Residual in units of the noise, at least 1: what the model misses widens the standard errors."""
    rest = problem.data - solution.spectrum
    residual = rest - problem.base.curve(rest, problem.stiffness)
    return max(1.0, float(np.std(residual)))


def _nuisance(problem: Problem, solution: Solution, reference: Reference, basis: BasisSet) -> Mapping[str, float]:
    layout, theta = problem.model.layout, solution.theta
    width_ppm = problem.model.ppm[-1] - problem.model.ppm[0]
    phase = np.rad2deg(reference.phase_rad + theta[layout.PHASE0])
    return {
        "shift_hz": float(reference.shift_hz + theta[layout.SHIFT]),
        "phase0_deg": float((phase + 180) % 360 - 180),
        "phase1_deg_per_ppm": float(np.rad2deg(theta[layout.PHASE1])),
        "lorentz_hz": float(theta[layout.LORENTZ] + basis.linewidth_hz),
        "gauss_hz": float(np.sqrt(max(theta[layout.GAUSS], 0.0))),
        "baseline_ed_per_ppm": float(problem.base.effective_dimension(problem.stiffness) / width_ppm),
    }
