"""Injection and recovery: a known amount of a metabolite is added to the user's own spectrum and looked for again.

What is added has the line shape, phase and shift that the fit found, so it differs from the metabolite in the voxel by
its known amount alone. The refits see the same noise, baseline and macromolecules; a line through what they find,

    recovered = offset + slope * added,

tells how the fit responds to a change of the metabolite. Slope 1: a difference between scans comes out in full. Below
1, priors, baseline or macromolecules take part of it. It is what analytical chemistry calls standard addition (Saxberg
and Kowalski 1979, doi 10.1021/ac50043a059).

The slope is about changes, not about levels. What adds the same error at every amount, such as most of what a
metabolite causes that the basis set lacks, moves all the fits alike and is not seen. The stated error is the scatter
around the line: all the fits share the noise of the scan, which therefore does not scatter them.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.core.operators import phased, shifted
from mrspipe.core.results import Recovery
from mrspipe.core.signal import Signal
from mrspipe.fit.fitted import FittedSpectrum
from mrspipe.fit.spectrum import fit_again

# A slope, an offset and one point more, so that the scatter around the line can be measured.
_FEWEST_POINTS = 3


def recover(signal: Signal, fitted: FittedSpectrum, metabolite: str, steps_pct: Sequence[float]) -> Recovery:
    """Add a metabolite to a spectrum in known steps, fit again, and compare what is found with what was added.

    Parameters
    ----------
    signal : Signal
        The FID that was fitted.
    fitted : FittedSpectrum
        Its fit, which gives the line shape and the estimate without an addition.
    metabolite : str
        One of the basis set, such as ``"Glu"``.
    steps_pct : sequence of float
        What is added, in percent of the amplitude of total creatine; at least two steps.

    Returns
    -------
    Recovery
        NaN with a reason where the metabolite or creatine was not found, or a refit failed.
    """
    names = fitted.task.prepared.roles.metabolites
    if metabolite not in names:
        return Recovery(metabolite, reason=f"{metabolite} is not in the basis set")
    place = names.index(metabolite)
    creatine = float(fitted.task.prepared.roles.total_creatine @ fitted.solution.amplitudes) * fitted.sigma
    alone = _amplitude(fitted, place)
    if not (creatine > 0 and alone > 0):
        return Recovery(metabolite, reason=f"{metabolite} or total creatine is not positive in this scan")
    added = creatine * np.array([0.0, *steps_pct]) / 100
    unit = unit_fid(signal, fitted, place)
    try:
        again = [fit_again(replace(signal, samples=signal.fid + size * unit), fitted) for size in added[1:]]
    except AnalysisError as error:
        return Recovery(metabolite, reason=f"a spectrum with an addition could not be fitted: {error.message}")
    if not all(one.solution.converged for one in again):
        return Recovery(metabolite, reason="the fit of a spectrum with an addition did not converge")
    found = np.array([alone, *(_amplitude(one, place) for one in again)])
    slope, offset, slope_se = straight_line(added, found)
    return Recovery(metabolite, slope, slope_se, 100 * (offset - alone) / alone)


def unit_fid(signal: Signal, fitted: FittedSpectrum, place: int) -> ComplexArray:
    """FID of one metabolite of amplitude 1 as it is in a fitted spectrum, shape (n_points,).

    The fit is made of real spectra, so this is the causal FID with the real spectrum that the metabolite has in the fit
    (as the imaginary part its Hilbert transform), at the sampling, phase and shift of the data. It ends with the part
    of the FID that is fitted.

    Parameters
    ----------
    signal : Signal
        The FID that was fitted.
    fitted : FittedSpectrum
    place : int
        Number of the metabolite in the fit.
    """
    grid, model = fitted.task.prepared.grid, fitted.task.prepared.model
    whole = replace(model, window=slice(None), precision=np.complex128)
    spectrum = whole.evaluate(fitted.solution.theta).spectra[place].real
    axis = signal.axis
    n_used = min(axis.n_points, round(grid.duration_s / axis.dwell_s))
    time = axis.time_s[:n_used]
    # The inverse transform of a real spectrum runs both ways in time; twice its later half has the same real part.
    turns = np.exp(2j * np.pi * np.outer(time, (grid.ppm - axis.centre_ppm) * axis.hz_per_ppm))
    fid = np.zeros(axis.n_points, dtype=np.complex128)
    fid[:n_used] = 2 * grid.spacing_hz * (turns @ spectrum)
    return phased(shifted(fid, axis, fitted.reference.shift_hz), fitted.reference.phase_rad)


def straight_line(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """Slope and offset by least squares, and the standard error of the slope from the scatter around the line.

    Parameters
    ----------
    x, y : float array, shape (n,)
        At least three points.

    Examples
    --------
    >>> straight_line(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]))
    (2.0, 1.0, 0.0)
    """
    if x.size < _FEWEST_POINTS:
        raise ValueError(f"A line and its error need {_FEWEST_POINTS} points, got {x.size}.")
    distance = x - x.mean()
    spread = float(distance @ distance)
    slope = float(distance @ y) / spread
    offset = float(y.mean() - slope * x.mean())
    rest = y - offset - slope * x
    return slope, offset, float(np.sqrt(rest @ rest / (x.size - 2) / spread))


def _amplitude(fitted: FittedSpectrum, place: int) -> float:
    return float(fitted.solution.amplitudes[place] * fitted.sigma)
