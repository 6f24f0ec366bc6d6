"""The one place where axes and signs are defined.

Convention in memory: **frequency rises with ppm**. A resonance at ``p`` ppm precesses as
``exp(+2 pi i (p - centre_ppm) f0 t)`` with ``f0`` the spectrometer frequency per ppm, so water (4.65 ppm)
has a higher frequency than NAA (2.01 ppm), and the arrays ``ppm`` and ``frequency_hz`` both ascend.
On paper spectra are drawn with ppm falling from left to right, which puts water 2.64 ppm left of NAA.

NIfTI-MRS on disk has the opposite sign (Levitt 1997, doi 10.1006/jmre.1997.1161): higher ppm is a more
negative frequency. ``mrspipe.io`` conjugates on reading and on writing; nobody else does.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mrspipe.core.arrays import FloatArray, frozen_float
from mrspipe.core.errors import HeaderError


@dataclass(frozen=True)
class SpectralAxis:
    """Time, frequency and chemical-shift axes of one free induction decay (FID).

    Parameters
    ----------
    n_points : int
        Number of time points.
    dwell_s : float
        Time between points, in s.
    spectrometer_hz : float
        Resonance frequency of the nucleus, in Hz (not MHz).
    centre_ppm : float
        Chemical shift at zero frequency, in ppm. 4.65 for 1H with the transmitter on water at 37 C.

    Examples
    --------
    >>> axis = SpectralAxis(1024, 1 / 2000, 127.7e6, 4.65)
    >>> axis.bandwidth_hz
    2000.0
    >>> round(float(axis.ppm[512]), 2)
    4.65
    """

    n_points: int
    dwell_s: float
    spectrometer_hz: float
    centre_ppm: float

    def __post_init__(self) -> None:
        if self.n_points < 2:
            raise HeaderError(f"n_points must be at least 2, got {self.n_points}.")
        if not 1e-6 < self.dwell_s < 0.1:
            raise HeaderError(
                f"dwell_s must be in s, got {self.dwell_s}.", cure="If this is us or ms, convert it.", code="dwell-unit"
            )
        if not 1e6 < self.spectrometer_hz < 2e9:
            raise HeaderError(
                f"spectrometer_hz must be in Hz, got {self.spectrometer_hz}.",
                cure=f"If this is MHz, pass {self.spectrometer_hz * 1e6:.0f}.",
                code="frequency-unit",
            )
        if not -100 < self.centre_ppm < 100:
            raise HeaderError(f"centre_ppm must be in ppm, got {self.centre_ppm}.")

    @property
    def bandwidth_hz(self) -> float:
        """Spectral width. Definition: 1 / dwell_s. Unit: Hz."""
        return 1.0 / self.dwell_s

    @property
    def hz_per_ppm(self) -> float:
        """Definition: spectrometer_hz / 1e6. Unit: Hz/ppm."""
        return self.spectrometer_hz * 1e-6

    @property
    def duration_s(self) -> float:
        """Definition: n_points * dwell_s. Unit: s."""
        return self.n_points * self.dwell_s

    @cached_property
    def time_s(self) -> FloatArray:
        """Time of each point from the start of the FID, shape (n_points,). Unit: s."""
        return frozen_float(np.arange(self.n_points) * self.dwell_s)

    @cached_property
    def frequency_hz(self) -> FloatArray:
        """Ascending frequency of each spectral bin, shape (n_points,). Unit: Hz."""
        return frozen_float(np.fft.fftshift(np.fft.fftfreq(self.n_points, self.dwell_s)))

    @cached_property
    def ppm(self) -> FloatArray:
        """Ascending chemical shift of each spectral bin, shape (n_points,). Unit: ppm."""
        return frozen_float(self.centre_ppm + self.frequency_hz / self.hz_per_ppm)

    def slice_ppm(self, low_ppm: float, high_ppm: float) -> slice:
        """Bins with ``low_ppm <= ppm <= high_ppm``, as a slice of the spectral axis."""
        if low_ppm >= high_ppm:
            raise ValueError(f"low_ppm must be below high_ppm, got {low_ppm} and {high_ppm}.")
        return slice(
            int(np.searchsorted(self.ppm, low_ppm, side="left")),
            int(np.searchsorted(self.ppm, high_ppm, side="right")),
        )

    def offset_hz(self, ppm: float) -> float:
        """Frequency of a chemical shift relative to the centre. Unit: Hz."""
        return (ppm - self.centre_ppm) * self.hz_per_ppm
