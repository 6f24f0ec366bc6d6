"""The spectrum as a function of its parameters, with the analytic derivative.

Re{ exp(i (phi0 + phi1 (ppm - 2.2))) F[ (sum_m c_m B_m(t) exp((2 pi i d_m - pi l_m - pi e_m u) t)
                                         + sum_j a_j G_j(t)) L(t) ] }

``L(t) = exp(2 pi i f0 t - pi l0 t - pi^2 g t^2 / (4 ln 2)) exp(sum_k s_k h_k(t))`` is the line shape common to all: a
Voigt line and a smooth phase (`mrspipe.fit.lineshape`). ``B_m`` is a basis signal with its own shift ``d_m``
and width ``l_m``; ``e_m`` is the width that its T2 lets expect, relative to creatine, and ``u`` how much of that is
seen. ``G_j`` are the functions of the macromolecules (`mrspipe.fit.macromolecules`). Amplitudes enter linearly, the
rest is the vector ``theta``, laid out by `Layout`. The baseline is not part of it: see `mrspipe.fit.baseline`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.fft import fft

from mrspipe.core.arrays import ComplexArray, FloatArray, IntArray
from mrspipe.fit.grid import BandGrid, first_early, signed_points
from mrspipe.fit.lineshape import N_SHAPE, shape_functions

_GAUSS = np.pi**2 / (4 * np.log(2))


def gaussian_decay(fwhm_squared: FloatArray | float, time_squared: FloatArray) -> FloatArray:
    """Decay of a Gaussian line: ``exp(-pi^2 fwhm^2 t^2 / (4 ln 2))``, ``fwhm`` in Hz and ``t`` in s."""
    return np.asarray(np.exp(-_GAUSS * fwhm_squared * time_squared))


@dataclass(frozen=True)
class Layout:
    """Where the nonlinear parameters stand in ``theta``.

    ``theta`` = phi0 [rad], phi1 [rad/ppm], f0 [Hz], l0 [Hz], g [Hz^2], u [1], the phases of the line shape [rad],
    then per basis signal the shifts [Hz] and the widths [Hz].
    """

    n_basis: int

    PHASE0 = 0
    PHASE1 = 1
    SHIFT = 2
    LORENTZ = 3
    GAUSS = 4
    T2 = 5
    SHAPE = slice(6, 6 + N_SHAPE)
    N_SHARED = SHAPE.stop

    @property
    def size(self) -> int:
        """Length of ``theta``."""
        return self.N_SHARED + 2 * self.n_basis

    @property
    def shifts(self) -> slice:
        """Shifts of the basis signals."""
        return slice(self.N_SHARED, self.N_SHARED + self.n_basis)

    @property
    def widths(self) -> slice:
        """Lorentzian widths of the basis signals."""
        return slice(self.shifts.stop, self.shifts.stop + self.n_basis)


@dataclass(frozen=True, eq=False)
class Copies:
    """One signal at many frequencies, whose spectra are one spectrum read at other places.

    Parameters
    ----------
    signal : complex array, shape (n_bins,)
        On the time points of a `BandGrid`.
    steps : int array, shape (n_copies,)
        Frequency of each copy, in parts of a bin: there are `N_PARTS`.
    """

    signal: ComplexArray
    steps: IntArray

    N_PARTS = 16

    @cached_property
    def signals(self) -> ComplexArray:
        """All of them, shape (n_copies, n_bins)."""
        n_bins = self.signal.size
        turns = np.outer(self.steps, signed_points(n_bins)) / (n_bins * self.N_PARTS)
        return np.asarray(self.signal * np.exp(2j * np.pi * turns))

    def places(self, window: slice) -> IntArray:
        """Where `fine_spectrum` holds the bins of each copy, shape (n_copies, n_window)."""
        n_bins = self.signal.size
        return np.asarray((self.N_PARTS * np.arange(n_bins)[window] - self.steps[:, None]) % (self.N_PARTS * n_bins))

    def fine_spectrum(self, signal: ComplexArray) -> ComplexArray:
        """Spectrum of a signal at every part of a bin, shape (n_bins * N_PARTS,)."""
        n_bins, early = signal.size, first_early(signal.size)
        longer = np.zeros(n_bins * self.N_PARTS, signal.dtype)
        longer[:early], longer[early - n_bins :] = signal[:early], signal[early:]
        return np.asarray(fft(longer))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The model at one ``theta``.

    Parameters
    ----------
    signals : complex array, shape (n_basis, n_bins)
        Time signals of the basis at unit amplitude, with alternating signs.
    line : complex array, shape (n_bins,)
        Line shape common to all.
    spectra : complex array, shape (n_linear, n_ppm)
        Spectra of unit amplitude on the fitted bins, phased.
    phase : complex array, shape (n_ppm,)
    """

    signals: ComplexArray
    line: ComplexArray
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
    smooth : Copies
        Functions of the macromolecules.
    t2_widths_hz : float array, shape (n_basis,)
        Lorentzian width that each signal's T2 lets expect, relative to creatine.
    precision : complex type
        Of signals and transforms. Single precision moves an estimate by less than a hundred-thousandth of its standard
        error and takes half the time.
    """

    grid: BandGrid
    window: slice
    basis_signals: ComplexArray
    smooth: Copies
    t2_widths_hz: FloatArray
    precision: type[np.complexfloating] = np.complex64

    @cached_property
    def layout(self) -> Layout:
        """Layout of ``theta``."""
        return Layout(len(self.basis_signals))

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

    @cached_property
    def _signs(self) -> FloatArray:
        return np.asarray(1.0 - 2.0 * (np.arange(self.grid.n_bins) % 2))

    @cached_property
    def _centred(self) -> tuple[ComplexArray, ComplexArray]:
        """Basis and smooth signals with alternating signs, so that their transforms start at the lowest frequency."""
        signs = self._signs
        return (self.basis_signals * signs).astype(self.precision), (self.smooth.signals * signs).astype(self.precision)

    @cached_property
    def _one_smooth(self) -> tuple[ComplexArray, IntArray]:
        """The signal that all smooth ones are copies of, centred, and where its fine spectrum holds theirs."""
        return (self.smooth.signal * self._signs).astype(self.precision), self.smooth.places(self.window)

    @cached_property
    def _shape_functions(self) -> ComplexArray:
        return shape_functions(self.grid.time_s)

    @cached_property
    def _shared_factors(self) -> ComplexArray:
        """What turns the sum of all signals into slopes of what they share: shift and width, Gaussian width, shape."""
        time = [self.grid.time_s, self._time_squared]
        return np.concatenate([time, self._shape_functions]).astype(self.precision)

    def evaluate(self, theta: FloatArray) -> Evaluation:
        """Compute all signals and spectra of unit amplitude."""
        at, time = self.layout, self.grid.time_s
        exponent = (2j * np.pi * theta[at.SHIFT] - np.pi * theta[at.LORENTZ]) * time
        exponent -= _GAUSS * theta[at.GAUSS] * self._time_squared
        exponent += theta[at.SHAPE] @ self._shape_functions
        widths = theta[at.widths] + theta[at.T2] * self.t2_widths_hz
        own = self._oscillations(2 * np.pi * theta[at.shifts], np.pi * widths)
        line = np.exp(exponent).astype(self.precision)
        signals = self._centred[0] * own
        signals *= line
        phase = np.exp(1j * (theta[at.PHASE0] + theta[at.PHASE1] * self._from_centre_ppm)).astype(self.precision)
        spectra = self._unit_spectra(signals, line, phase)
        return Evaluation(signals, line, spectra, phase)

    def width_slopes(self, at_theta: Evaluation) -> tuple[FloatArray, FloatArray]:
        """Derivatives of the real unit spectra with respect to both common widths, each of shape (n_linear, n_ppm)."""
        time = self.grid.time_s
        lorentz, gauss = (
            self._unit_spectra(at_theta.signals * factor, at_theta.line * factor, at_theta.phase).real
            for factor in (
                (-np.pi * time).astype(self.precision),
                (-_GAUSS * self._time_squared).astype(self.precision),
            )
        )
        return lorentz, gauss

    def derivative(self, theta: FloatArray, at_theta: Evaluation, amplitudes: FloatArray) -> FloatArray:
        """Derivative of the real spectrum with respect to ``theta``, shape (n_theta, n_ppm).

        ``F[t X]`` serves shift and width of every signal; what all signals share needs one transform of their sum each.
        """
        at, n_basis, time = self.layout, self.layout.n_basis, self.grid.time_s
        own = at_theta.signals * (amplitudes[:n_basis, None] * time).astype(self.precision)
        each = amplitudes.astype(self.precision)
        total = each[:n_basis] @ at_theta.signals + (each[n_basis:] @ self._centred[1]) * at_theta.line
        shared = total * self._shared_factors
        first = at_theta.phase * self._spectra(np.concatenate([own, shared]))
        own, (first_total, second_total), shape = first[:n_basis], first[n_basis : n_basis + 2], first[n_basis + 2 :]
        turned = (each @ at_theta.spectra).imag
        slopes = np.empty((at.size, self.ppm.size))
        slopes[at.PHASE0] = -turned
        slopes[at.PHASE1] = -self._from_centre_ppm * turned
        slopes[at.SHIFT] = -2 * np.pi * first_total.imag
        slopes[at.LORENTZ] = -np.pi * first_total.real
        slopes[at.GAUSS] = -_GAUSS * second_total.real
        slopes[at.SHAPE] = shape.real
        slopes[at.shifts] = -2 * np.pi * own.imag
        slopes[at.widths] = -np.pi * own.real
        slopes[at.T2] = self.t2_widths_hz @ slopes[at.widths]
        return slopes

    def _unit_spectra(self, signals: ComplexArray, line: ComplexArray, phase: ComplexArray) -> ComplexArray:
        """Phased spectra of basis signals and of the smooth ones, which are copies with a common line."""
        one, places = self._one_smooth
        spectra = np.empty((len(signals) + len(places), self.ppm.size), self.precision)
        spectra[: len(signals)] = self._spectra(signals)
        np.take(self.smooth.fine_spectrum(one * line), places, out=spectra[len(signals) :])
        spectra *= phase
        return spectra

    def _oscillations(self, turn: FloatArray, decay: FloatArray) -> ComplexArray:
        """``exp((i turn - decay) t)``, shape (n, n_bins).

        Real functions, because the complex exponential takes five times as long.
        """
        time = self.grid.time_s.astype(np.dtype(self.precision).type(0).real.dtype)
        angle, size = turn.astype(time.dtype)[:, None] * time, np.exp(-decay.astype(time.dtype)[:, None] * time)
        result = np.empty(angle.shape, self.precision)
        np.multiply(np.cos(angle), size, out=result.real)
        np.multiply(np.sin(angle), size, out=result.imag)
        return result

    def _spectra(self, signals: ComplexArray) -> ComplexArray:
        return np.asarray(fft(signals, axis=-1)[..., self.window])
