"""The spectrum as a function of its parameters, with the analytic derivative.

Re{ exp(i (phi0 + phi1 (ppm - 2.2))) F[ sum_m c_m B_m(t) exp((2 pi i d_m - pi l_m) t) L(t) + sum_j a_j G_j(t) L(t) ] }

``L(t) = exp(2 pi i f0 t - pi l0 t - pi^2 g t^2 / (4 ln 2))`` is the line shape common to all, ``B_m`` a basis signal
with its own shift ``d_m`` and width ``l_m``, ``G_j`` a macromolecule line, a Gaussian with its own shift and width.
Amplitudes enter linearly, the rest is the vector ``theta``, laid out by `Layout`. The baseline is not part of it: see
`mrspipe.fit.baseline`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.fft import fft, fftshift

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.fit.grid import BandGrid

_GAUSS = np.pi**2 / (4 * np.log(2))


def gaussian_decay(fwhm_squared: FloatArray | float, time_squared: FloatArray) -> FloatArray:
    """Decay of a Gaussian line: ``exp(-pi^2 fwhm^2 t^2 / (4 ln 2))``, ``fwhm`` in Hz and ``t`` in s."""
    return np.asarray(np.exp(-_GAUSS * fwhm_squared * time_squared))


@dataclass(frozen=True)
class Layout:
    """Where the nonlinear parameters stand in ``theta``.

    ``theta`` = phi0 [rad], phi1 [rad/ppm], f0 [Hz], l0 [Hz], g [Hz^2], then per basis signal the shifts [Hz] and the
    widths [Hz], then per macromolecule line the shifts [Hz] and the natural logarithms of the relative widths.
    """

    n_basis: int
    n_lines: int

    PHASE0 = 0
    PHASE1 = 1
    SHIFT = 2
    LORENTZ = 3
    GAUSS = 4
    N_SHARED = 5

    @property
    def size(self) -> int:
        """Length of ``theta``."""
        return self.N_SHARED + 2 * self.n_basis + 2 * self.n_lines

    @property
    def shifts(self) -> slice:
        """Shifts of the basis signals."""
        return slice(self.N_SHARED, self.N_SHARED + self.n_basis)

    @property
    def widths(self) -> slice:
        """Lorentzian widths of the basis signals."""
        return slice(self.shifts.stop, self.shifts.stop + self.n_basis)

    @property
    def line_shifts(self) -> slice:
        """Shifts of the macromolecule lines."""
        return slice(self.widths.stop, self.widths.stop + self.n_lines)

    @property
    def line_widths(self) -> slice:
        """Logarithms of the relative widths of the macromolecule lines."""
        return slice(self.line_shifts.stop, self.line_shifts.stop + self.n_lines)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The model at one ``theta``.

    Parameters
    ----------
    signals : complex array, shape (n_linear, n_bins)
        Time signals of unit amplitude.
    spectra : complex array, shape (n_linear, n_ppm)
        Their spectra on the fitted bins, phased.
    phase : complex array, shape (n_ppm,)
    """

    signals: ComplexArray
    spectra: ComplexArray
    phase: ComplexArray


@dataclass(frozen=True, eq=False)
class SpectralModel:
    """Everything about the model that does not depend on the data.

    Parameters
    ----------
    grid : BandGrid
    window : slice
        Fitted bins of the grid.
    basis_signals : complex array, shape (n_basis, n_bins)
    line_signals : complex array, shape (n_lines, n_bins)
        Macromolecule lines at half their expected width; the fit broadens them.
    line_fwhm_hz : float array, shape (n_lines,)
        Expected width.
    """

    grid: BandGrid
    window: slice
    basis_signals: ComplexArray
    line_signals: ComplexArray
    line_fwhm_hz: FloatArray

    @cached_property
    def layout(self) -> Layout:
        """Layout of ``theta``."""
        return Layout(len(self.basis_signals), len(self.line_signals))

    @cached_property
    def ppm(self) -> FloatArray:
        """Chemical shift of the fitted bins, shape (n_ppm,)."""
        return self.grid.ppm[self.window]

    @cached_property
    def _from_centre_ppm(self) -> FloatArray:
        return self.ppm - self.grid.centre_ppm

    @cached_property
    def _time_squared(self) -> FloatArray:
        return np.asarray(self.grid.time_s**2)

    def evaluate(self, theta: FloatArray) -> Evaluation:
        """Compute all signals and spectra of unit amplitude."""
        at, time = self.layout, self.grid.time_s
        shape = np.exp((2j * np.pi * theta[at.SHIFT] - np.pi * theta[at.LORENTZ]) * time)
        shape *= gaussian_decay(theta[at.GAUSS], self._time_squared)
        own = np.exp((2j * np.pi * theta[at.shifts] - np.pi * theta[at.widths])[:, None] * time)
        extra = self._width_squared(theta) - (0.5 * self.line_fwhm_hz) ** 2
        lines = np.exp(2j * np.pi * theta[at.line_shifts][:, None] * time)
        lines *= gaussian_decay(np.maximum(extra, 0.0)[:, None], self._time_squared)
        signals = np.concatenate([self.basis_signals * own, self.line_signals * lines]) * shape
        phase = np.exp(1j * (theta[at.PHASE0] + theta[at.PHASE1] * self._from_centre_ppm))
        return Evaluation(signals, phase * self._spectra(signals), phase)

    def derivative(self, theta: FloatArray, at_theta: Evaluation, amplitudes: FloatArray) -> FloatArray:
        """Derivative of the real spectrum with respect to ``theta``, shape (n_ppm, n_theta).

        ``F[t X]`` serves shift and width of every signal, ``F[t^2 X]`` the Gaussian ones.
        """
        at, n_basis = self.layout, self.layout.n_basis
        first = at_theta.phase * self._spectra(at_theta.signals * self.grid.time_s) * amplitudes[:, None]
        lines = at_theta.signals[n_basis:] * amplitudes[n_basis:, None]
        total = np.asarray(amplitudes @ at_theta.signals)
        second = at_theta.phase * self._spectra(np.vstack([total, lines]) * self._time_squared)
        spectrum, first_total = amplitudes @ at_theta.spectra, first.sum(axis=0)
        jacobian = np.empty((self.ppm.size, at.size))
        jacobian[:, at.PHASE0] = -spectrum.imag
        jacobian[:, at.PHASE1] = -self._from_centre_ppm * spectrum.imag
        jacobian[:, at.SHIFT] = -2 * np.pi * first_total.imag
        jacobian[:, at.LORENTZ] = -np.pi * first_total.real
        jacobian[:, at.GAUSS] = -_GAUSS * second[0].real
        jacobian[:, at.shifts] = -2 * np.pi * first[:n_basis].imag.T
        jacobian[:, at.widths] = -np.pi * first[:n_basis].real.T
        jacobian[:, at.line_shifts] = -2 * np.pi * first[n_basis:].imag.T
        widths = self._width_squared(theta)
        slope = np.where(widths > (0.5 * self.line_fwhm_hz) ** 2, -2 * _GAUSS * widths, 0.0)
        jacobian[:, at.line_widths] = (slope[:, None] * second[1:].real).T
        return jacobian

    def _width_squared(self, theta: FloatArray) -> FloatArray:
        return np.asarray((self.line_fwhm_hz * np.exp(theta[self.layout.line_widths])) ** 2)

    def _spectra(self, signals: ComplexArray) -> ComplexArray:
        return np.asarray(fftshift(fft(signals, axis=-1), axes=-1)[..., self.window])
