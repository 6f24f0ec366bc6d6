"""What is found out about a spectrum before it is fitted: its noise, its shift and its phase."""

from dataclasses import dataclass

import numpy as np
from scipy.fft import fft, next_fast_len

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.core.operators import phased, shifted
from mrspipe.core.signal import Signal
from mrspipe.fit.grid import BandGrid
from mrspipe.fit.model import SpectralModel

# A typical brain at short echo time, relative to tCr; the strong singlets decide. Assumed.
_TYPICAL = {
    "NAA": 1.2, "NAAG": 0.15, "Cr": 0.53, "PCr": 0.47, "GPC": 0.15, "PCh": 0.1, "Glu": 1.2, "Gln": 0.35, "Ins": 0.8,
}  # fmt: skip
_LORENTZ_HZ = 2.0
_GAUSS_HZ = 4.0
# Broad signals (macromolecules, baseline) have decayed after this time; the template is silent before.
_RISE_S = 0.012


def noise_sd(signal: Signal, grid: BandGrid) -> float:
    """Standard deviation of the real part of the spectrum on the grid, from its signal-free ends.

    First differences take out slow trends; their root mean square is sqrt(2) times the standard deviation. Bins are
    taken without zero-filling, so that neighbours are independent.
    """
    axis = signal.axis
    n_used = round(grid.duration_s / axis.dwell_s)
    weighted = np.array(signal.fid[:n_used])
    weighted[0] *= 0.5
    spectrum = np.fft.fftshift(np.fft.fft(weighted)) * axis.dwell_s
    ppm = axis.centre_ppm + np.fft.fftshift(np.fft.fftfreq(n_used, axis.dwell_s)) / axis.hz_per_ppm
    edge = 0.47 * axis.bandwidth_hz / axis.hz_per_ppm
    inside = np.abs(ppm - axis.centre_ppm) < edge
    ends = [spectrum[inside & (ppm > 8.5)], spectrum[inside & (ppm < -2.0)]]
    differences = np.concatenate([np.diff(end) for end in ends if end.size > 1] or [np.zeros(0, complex)])
    if differences.size < 20:
        raise AnalysisError(
            f"Only {differences.size} signal-free points lie above 8.5 or below -2.0 ppm: the noise is unknown.",
            cure="Use data with a spectral width of at least 12 ppm, and at least 0.1 s of them (fit.duration_s).",
            code="noise",
        )
    sd = float(np.sqrt(np.mean(np.concatenate([differences.real, differences.imag]) ** 2) / 2))
    if not sd > 0:
        raise AnalysisError("The spectrum has no noise at all, so no uncertainty can be given.", code="noise")
    return sd


@dataclass(frozen=True)
class Reference:
    """Shift and phase of a spectrum relative to the basis set, and its overall amplitude.

    ``amplitude`` is the amplitude of total creatine if the spectrum were the typical mix.
    """

    shift_hz: float
    phase_rad: float
    amplitude: float


def find_reference(
    data: ComplexArray, basis_signals: ComplexArray, names: tuple[str, ...], grid: BandGrid, max_shift_ppm: float
) -> Reference:
    """Find shift and phase from one FFT.

    The largest modulus of ``c(f) = integral y(t) conj(template(t)) exp(-2 pi i f t) dt`` gives the shift, its angle the
    phase.

    Parameters
    ----------
    data : complex array, shape (n_bins,)
        Band-limited time signal.
    basis_signals : complex array, shape (n_basis, n_bins)
    names : tuple of str
    grid : BandGrid
    max_shift_ppm : float
    """
    time = grid.time_s
    typical = np.array([_TYPICAL.get(name, 0.0) for name in names])
    if not typical.any():
        typical = np.ones(len(names))
    decay = np.exp(-np.pi * _LORENTZ_HZ * time - (np.pi * _GAUSS_HZ * time) ** 2 / (4 * np.log(2)))
    rise = 1 - np.exp(-((np.maximum(time, 0) / _RISE_S) ** 2))
    return matched(data, (typical @ basis_signals) * decay * rise, grid, max_shift_ppm)


def matched(data: ComplexArray, template: ComplexArray, grid: BandGrid, max_shift_ppm: float) -> Reference:
    """Find shift, phase and amplitude of a template in a band-limited time signal, both of shape (n_bins,)."""
    # Eight-fold zero-filling: the remaining error of the shift is far below the line width.
    n_fine = next_fast_len(8 * grid.n_bins)
    correlation = fft(data * template.conj(), n_fine)
    shift = np.fft.fftfreq(n_fine, 1 / (grid.n_bins * grid.spacing_hz))
    modulus = np.where(np.abs(shift) <= max_shift_ppm * grid.hz_per_ppm, np.abs(correlation), 0.0)
    best = int(np.argmax(modulus))
    energy = float(np.sum(np.abs(template) ** 2))
    return Reference(float(shift[best]), float(np.angle(correlation[best])), float(modulus[best]) / energy)


def referenced(signal: Signal, reference: Reference, model: SpectralModel) -> FloatArray:
    """Real spectrum on the model's bins after shift and phase of the reference are taken out."""
    fid = phased(shifted(signal.fid, signal.axis, -reference.shift_hz), -reference.phase_rad)
    return model.grid.spectra(fid, signal.axis)[model.window].real
