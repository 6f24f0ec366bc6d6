"""A fitted spectrum, and the result that is read off it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.results import FitResult
from mrspipe.core.signal import Signal
from mrspipe.fit.advice import advice_for, status_of
from mrspipe.fit.limits import stopped
from mrspipe.fit.nuisance import Nuisance
from mrspipe.fit.prepare import Prepared
from mrspipe.fit.priors import Scale
from mrspipe.fit.reference import Reference, noise_sd, referenced
from mrspipe.fit.settings import FitSettings
from mrspipe.fit.solver import Curvature, Problem, Solution, curvature, residual_of
from mrspipe.fit.uncertainty import cramer_rao_bound, n_determined, posterior_covariance, prior_share

GENERIC_MODEL = "smooth shape"
"""Name of the macromolecule model that no study taught and no basis set brought."""


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
    def curvature(self) -> Curvature:
        """How the objective bends there, amplitudes before nonlinear parameters."""
        return curvature(self.problem, self.solution)

    @cached_property
    def covariance(self) -> FloatArray:
        """Posterior covariance of amplitudes and nonlinear parameters for the noise alone."""
        return posterior_covariance(self.curvature.hessian)

    @cached_property
    def unexplained(self) -> float:
        """Residual in units of the noise, with the degrees of freedom that the parameters leave: about 1 for noise."""
        residual = residual_of(self.problem, self.solution, self.problem.data)
        n_left = residual.size - n_determined(self.problem, self.solution, self.curvature, self.covariance)
        return float(np.linalg.norm(residual)) / math.sqrt(max(n_left, 1.0))

    @property
    def misfit(self) -> float:
        """Residual in units of the noise, at least 1: what the model misses widens the standard errors."""
        return max(1.0, self.unexplained)


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
