"""The step to the average line shape, on data that the priors of a real problem draw: theory, without any mismatch."""

from dataclasses import replace

import numpy as np
import pytest

from mrspipe.config import bundled, load_config
from mrspipe.fit.solver import Problem, at, balanced, minimise
from mrspipe.fit.spectrum import fit_point
from mrspipe.pipeline.basis import basis_for
from mrspipe.synth.cohort import draw_cohort
from mrspipe.synth.recipe import load_recipe
from mrspipe.synth.scanner import averaged_scan
from mrspipe.synth.spectra import make_basis


def problem_of_a_scan(fwhm_hz: float | None = None) -> Problem:
    """Data, priors and noise of a scan of a study like the paper's, fitted alone."""
    recipe, config = load_recipe(bundled("synthetic_data", "paper_like")), load_config("cocaine_nacc")
    scan = draw_cohort(recipe).scans[0]
    scan = replace(scan, fwhm_hz=scan.fwhm_hz if fwhm_hz is None else fwhm_hz)
    signal, _ = averaged_scan(scan, recipe, make_basis(recipe), 1)
    return fit_point(signal, basis_for(signal, config.basis), config.fit).problem


def drawn(problem, usual, rng):
    """Total creatine and data of a point of the priors; amplitudes without a prior are the usual ones."""
    model, base, prior, n = problem.model, problem.base, problem.amplitude_prior, problem.model.layout.n_basis
    theta = problem.theta_mean + problem.theta_sd * rng.standard_normal(problem.theta_sd.size)
    theta[[model.layout.PHASE0, model.layout.SHIFT]] = 0.0
    spectra = model.evaluate(np.clip(theta, *problem.limits)).spectra.real
    targets, smooth = prior.targets + rng.standard_normal(prior.targets.size), ~prior.rows[:, :n].any(axis=1)
    amplitudes = usual.copy()
    amplitudes[n:] = np.linalg.lstsq(prior.rows[smooth][:, n:], targets[smooth], rcond=None)[0]
    for row, target in zip(prior.rows, targets, strict=True):
        if np.count_nonzero(row) == 1 and row[:n].any():
            amplitudes[row != 0] = target / row[row != 0]
    bends = base.penalty > 0
    sd = 1 / np.sqrt(problem.stiffness * base.penalty[bends])
    curve = base.functions[:, bends] @ (sd * rng.standard_normal(sd.size))
    return prior.scale @ amplitudes, amplitudes @ spectra + curve + rng.standard_normal(curve.size)


@pytest.mark.slow
def test_areas_of_what_the_priors_draw_are_right_on_average_when_balanced_and_too_small_at_the_mode():
    problem, rng, n = problem_of_a_scan(), np.random.default_rng(5), 150
    start = np.clip(problem.theta_mean, *problem.limits)
    usual, everything, errors = at(problem, start).amplitudes, np.arange(start.size), []
    for _ in range(n):
        truth, data = drawn(problem, usual, rng)
        one = replace(problem, data=data)
        mode = minimise(one, at(one, start), free=everything, tolerance=1e-3, max_iterations=60)
        errors.append([one.amplitude_prior.scale @ p.amplitudes / truth - 1 for p in (mode, balanced(one, mode))])
    mean, se = np.mean(errors, axis=0), np.std(errors, axis=0, ddof=1) / np.sqrt(n)
    assert mean[0] + 3 * se[0] < -0.05
    # The integral over the amplitudes is Laplace's approximation, and the step is one: a little is left.
    assert abs(mean[1]) < abs(mean[0]) / 4


@pytest.mark.slow
@pytest.mark.parametrize("fwhm_hz", [None, 12.0, 16.0])
def test_one_step_ends_where_many_do(fwhm_hz):
    problem = problem_of_a_scan(fwhm_hz)
    start = at(problem, np.clip(problem.theta_mean, *problem.limits))
    mode = minimise(problem, start, free=np.arange(start.theta.size), tolerance=1e-3, max_iterations=60)
    points = [mode]
    for _ in range(8):
        points.append(balanced(problem, points[-1]))
    mode_pct, one_pct = (
        100
        * (problem.amplitude_prior.scale @ point.amplitudes)
        / (problem.amplitude_prior.scale @ points[-1].amplitudes)
        for point in points[:2]
    )
    assert mode_pct < 95
    assert abs(one_pct - 100) < 0.2 * (100 - mode_pct)
