"""Residual water, found as decaying oscillations near its frequency and subtracted (HSVD).

State-space decomposition of the FID's Hankel matrix (Barkhuijsen et al. 1987, doi 10.1016/0022-2364(87)90023-0; for
water removal van den Boogaart et al. 1994, in Magnetic Resonance Microscopy and Imaging). The matrix is never made:
its products with vectors are convolutions, done by FFT (Laudadio et al. 2002, doi 10.1006/jmre.2002.2593).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft, ifft, next_fast_len

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.noise import noise_sd

# Of any precision.
_Vectors = NDArray[np.complexfloating]
# svds works on squares, so that singular values below the root of the machine precision are rounding: a noise-free FID
# of fewer oscillations than asked for has such values.
_SMALLEST_SINGULAR = 1e-7
# Vectors beyond those wanted, and rounds of the subspace iteration: singular values that stand out are then exact to
# rounding, and those in the noise have no exact vectors anyway.
_OVERSAMPLING, _N_SUBSPACE_ITERATIONS = 10, 4
# Bins of 2 Hz over which a spectrum is compared with its surroundings, and how many standard deviations of complex
# noise it must differ: of noise alone, one spectrum in 40000 does.
_LAGS, _STANDS_OUT = (1, 2, 4, 8), 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Oscillations:
    """Decaying oscillations whose sum describes an FID.

    Parameters
    ----------
    poles : complex array, shape (n,)
        Factor from one point to the next.
    amplitudes : complex array, shape (n,)
        At time zero.
    """

    poles: ComplexArray
    amplitudes: ComplexArray

    def frequency_hz(self, axis: SpectralAxis) -> FloatArray:
        """Frequency of each oscillation, in Hz."""
        frequency: FloatArray = np.angle(self.poles) / (2 * np.pi * axis.dwell_s)
        return frequency

    def width_hz(self, axis: SpectralAxis) -> FloatArray:
        """Full width at half maximum of each oscillation's Lorentzian, in Hz."""
        # A pole of zero has decayed at the next point: its line is as wide as can be.
        width: FloatArray = -np.log(np.maximum(np.abs(self.poles), np.finfo(float).tiny)) / (np.pi * axis.dwell_s)
        return width

    def only(self, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> "Oscillations":
        """Keep some."""
        return Oscillations(self.poles[kept], self.amplitudes[kept])

    def fid(self, n_points: int) -> ComplexArray:
        """Their sum, shape (n_points,)."""
        return _powers(self.poles, n_points) @ self.amplitudes


def decomposed(fid: ComplexArray, *, n_components: int) -> Oscillations:
    """Decompose an FID into decaying oscillations.

    Parameters
    ----------
    fid : complex array, shape (n_points,)
    n_components : int
        Number of oscillations: signals, and a few for what is not Lorentzian.

    Returns
    -------
    Oscillations
        Growing ones are held constant.

    Examples
    --------
    >>> fid = 2.0 * np.exp((0.3j - 0.02) * np.arange(128)) + 1.0 * np.exp((-0.5j - 0.01) * np.arange(128))
    >>> found = decomposed(fid, n_components=2)
    >>> sorted(round(float(a), 6) for a in np.abs(found.amplitudes))
    [1.0, 2.0]
    """
    subspace = _signal_subspace(fid, n_components)
    # The signal subspace is the same one point later, up to the poles.
    step = np.linalg.lstsq(subspace[:-1], subspace[1:], rcond=None)[0]
    poles: ComplexArray = np.linalg.eigvals(step).astype(np.complex128)
    poles = poles / np.maximum(np.abs(poles), 1.0)
    amplitudes = np.linalg.lstsq(_powers(poles, len(fid)), fid, rcond=None)[0].astype(np.complex128)
    return Oscillations(poles, amplitudes)


def water_oscillations(
    fid: ComplexArray,
    axis: SpectralAxis,
    *,
    range_ppm: tuple[float, float] = (4.2, 5.1),
    max_width_hz: float = 50.0,
    n_components: int = 30,
    duration_s: float = 0.512,
) -> Oscillations:
    """Find the oscillations in a range of chemical shifts.

    Wide ones are left out: they describe macromolecules and the baseline, and reach far into the metabolites.

    Parameters
    ----------
    fid : complex array, shape (n_points,)
    axis : SpectralAxis
    range_ppm : tuple of float
        In ppm.
    max_width_hz : float
        Largest full width at half maximum, in Hz.
    n_components : int
        Number of oscillations that the whole FID is decomposed into.
    duration_s : float
        Part of the FID that is decomposed, in s.

    Returns
    -------
    Oscillations
        Subtract ``.fid(axis.n_points)`` to remove them.
    """
    n_used = min(round(duration_s / axis.dwell_s), axis.n_points)
    found = decomposed(fid[:n_used], n_components=min(n_components, n_used // 4))
    inside = _inside(found.frequency_hz(axis), axis, range_ppm)
    return found.only(inside & (found.width_hz(axis) <= max_width_hz))


def lines_stand_out(
    fid: ComplexArray, axis: SpectralAxis, *, range_ppm: tuple[float, float] = (4.2, 5.1), duration_s: float = 0.512
) -> bool:
    """Tell whether a line in a range of chemical shifts rises above the noise; what is smooth there is none.

    Second differences of the spectrum, over several distances, are compared with the noise at the end of the FID.

    Parameters
    ----------
    fid : complex array, shape (n_points,)
    axis : SpectralAxis
    range_ppm : tuple of float
        In ppm.
    duration_s : float
        Part of the FID that is looked at, in s.
    """
    n_used = min(round(duration_s / axis.dwell_s), axis.n_points)
    inside = _inside(np.fft.fftfreq(n_used, axis.dwell_s), axis, range_ppm)
    part = np.fft.fftshift(fft(fid[:n_used]))[np.fft.fftshift(inside)]
    limit = _STANDS_OUT * noise_sd(fid) * np.sqrt(2 * n_used) * np.sqrt(6)
    return any(
        bool((np.abs(part[: -2 * lag] - 2 * part[lag:-lag] + part[2 * lag :]) > limit).any())
        for lag in _LAGS
        if 2 * lag < part.size
    )


def _inside(hz: NDArray[np.floating], axis: SpectralAxis, range_ppm: tuple[float, float]) -> NDArray[np.bool_]:
    """Which frequencies lie in a range of chemical shifts."""
    low, high = axis.offset_hz(range_ppm[0]), axis.offset_hz(range_ppm[1])
    return np.asarray((hz >= low) & (hz <= high))


def _signal_subspace(fid: ComplexArray, n_components: int) -> ComplexArray:
    """Leading left singular vectors of the Hankel matrix ``H[i, j] = fid[i + j]``."""
    n_columns = len(fid) // 2
    n_rows = len(fid) + 1 - n_columns
    n_fft = next_fast_len(len(fid) + max(n_rows, n_columns))
    scale = float(np.abs(fid).max())
    exact = fft(fid / scale if scale > 0 else fid, n_fft)
    # Single precision is enough to find the subspace, and takes half the time; the last product refines it.
    rough = exact.astype(np.complex64)

    def times(vectors: _Vectors) -> ComplexArray:
        product: ComplexArray = ifft(rough * fft(vectors[:, ::-1], n_fft))
        return product[:, n_columns - 1 : n_columns - 1 + n_rows]

    def adjoint_times(vectors: _Vectors, transform: _Vectors) -> ComplexArray:
        # H is symmetric under transposition up to its shape, so H^H v = conj(H^T conj(v)).
        product: ComplexArray = ifft(transform * fft(vectors[:, ::-1].conj(), n_fft))
        return product[:, n_rows - 1 : n_rows - 1 + n_columns].conj()

    # Subspace iteration from a fixed random start (Halko 2011, doi 10.1137/090771806): all vectors at once.
    n_vectors = min(n_components + _OVERSAMPLING, n_rows, n_columns)
    start = np.random.default_rng(0).standard_normal((n_vectors, n_columns)).astype(np.complex64)
    basis: ComplexArray = _orthonormal(times(start))
    for _ in range(_N_SUBSPACE_ITERATIONS):
        basis = _orthonormal(times(_orthonormal(adjoint_times(basis, rough))))
    inner, singular, _ = np.linalg.svd(adjoint_times(basis.astype(np.complex128), exact).conj(), full_matrices=False)
    kept = singular[:n_components] > _SMALLEST_SINGULAR * singular[0]
    return np.asarray((inner[:, :n_components][:, kept].T @ basis).T)


def _orthonormal(rows: ComplexArray) -> ComplexArray:
    """Orthonormal basis of the space that rows span, as rows."""
    return np.asarray(np.linalg.qr(rows.T)[0].T)


def _powers(poles: ComplexArray, n_points: int) -> ComplexArray:
    """``poles ** n`` for n = 0, 1, ..., shape (n_points, n_poles)."""
    # A pole of zero has decayed at the next point.
    exponent = np.log(np.where(poles == 0, np.finfo(float).tiny, poles))
    return np.asarray(np.exp(np.arange(n_points)[:, None] * exponent))
