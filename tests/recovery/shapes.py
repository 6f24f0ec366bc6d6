"""Lines and macromolecules of the second family: invented ones, or ones measured in vivo.

The measured ones come from files that are not part of the repository: unsuppressed water as line shapes, and the
spectrum of an inversion-nulled acquisition as macromolecules (example data of Osprey, doi
10.1016/j.jneumeth.2020.108827).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrspipe.core.arrays import ComplexArray
from mrspipe.core.operators import to_spectrum
from mrspipe.core.signal import Signal
from mrspipe.io.vendor import read_vendor
from mrspipe.preprocess.water import decomposed
from recovery.generator import AXIS, tone
from recovery.lines import centred

# Heights are relative to the macromolecule peak in this range.
MM09_PPM = (0.80, 1.05)
_WATER_FILES = (
    "philips_press35/sub-01_PRESS_35_ref.sdat",
    "philips_press30_mm/sub-01_ses-01_PRESS_raw-ref_noID.SDAT",
    "philips_press30_mm/sub-01_ses-01_PRESS-Inverted_TI-600_raw-ref_noID.SDAT",
)
_NULLED_FILE = "philips_press30_mm/sub-01_ses-01_PRESS-Inverted_TI-600_raw-act_noID.SDAT"
# The nulled spectrum as damped oscillations: those of the macromolecules, not of residual water and metabolites.
_N_OSCILLATIONS, _N_POINTS = 40, 1024
_KEPT_PPM, _KEPT_WIDTH_HZ = (0.4, 4.12), (11.0, 250.0)
# Of the nulled scan; brings the part below 0.6 ppm, where there are no macromolecules, to zero.
_NULLED_PHASE_DEG = -65.0
# Points from which size and phase of the start of a water FID are found: 20 ms.
_N_NEAR = 40

# Invented lines. Share of the widths that is Lorentzian in Hz, shape and scale in Hz of a gamma distribution of
# fields: its skewness is 2 / sqrt(shape), to higher or lower frequency by the sign of the scale. Assumed.
_FIELDS = ((2.0, 3.0, 1.4), (2.5, 5.0, -1.0), (1.5, 8.0, 0.9))
# Invented macromolecules: position in ppm, width in Hz, height relative to the first, mean in Hz of the exponential
# distribution of shifts that skews the line. Assumed; places after the naming of Cudalbu 2021, doi 10.1002/nbm.4393.
_INVENTED = (
    (0.90, 14, 1.00, 5), (1.21, 14, 0.55, -4), (1.40, 17, 0.85, 6), (1.63, 20, 0.70, -8), (1.86, 20, 0.50, 6),
    (2.03, 18, 1.10, 5), (2.15, 20, 0.55, 8), (2.31, 22, 0.50, -9), (2.57, 24, 0.20, 0), (2.72, 20, 0.18, 5),
    (2.98, 15, 0.38, 4), (3.20, 24, 0.12, -6), (3.69, 18, 0.42, 8), (3.80, 16, 0.40, -4), (3.93, 20, 0.42, 6),
)  # fmt: skip
# Exponent p of the decay exp(-(2 w t)^p), which is between Lorentzian (1) and Gaussian (2).
_EXPONENT = 1.4


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """What a study's spectra are mixed from.

    Parameters
    ----------
    lines : complex array, shape (n_lines, n_points)
        Decays with their peak at frequency zero.
    macromolecules : complex array, shape (n_points,)
        Real spectrum with a height of 1 at 0.9 ppm.
    """

    lines: ComplexArray
    macromolecules: ComplexArray


def invented_shapes() -> Shapes:
    """Lines of skewed field distributions; macromolecules of skewed lines between Lorentzian and Gaussian."""
    time = AXIS.time_s
    lines = [
        np.exp(-np.pi * lorentz * time) * (1 - 2j * np.pi * scale * time) ** -shape for lorentz, shape, scale in _FIELDS
    ]
    fids = [height * _macromolecule(ppm, width, skew) for ppm, width, height, skew in _INVENTED]
    return Shapes(np.array([centred(line, AXIS) for line in lines]), _of_height_one(np.sum(fids, axis=0)))


def measured_shapes(folder: Path) -> Shapes:
    """Three water lines and one spectrum of macromolecules, measured in vivo.

    Parameters
    ----------
    folder : Path
        Holds ``philips_press35`` and ``philips_press30_mm``.
    """
    waters = [_sampled_as_ours(read_vendor([folder / name])) for name in _WATER_FILES]
    nulled = _sampled_as_ours(read_vendor([folder / _NULLED_FILE]))
    return Shapes(np.array([_water_line(water) for water in waters]), _nulled(nulled, waters[-1]))


def _macromolecule(ppm: float, width_hz: float, skew_hz: float) -> ComplexArray:
    """A line of about unit area times width, neither Lorentzian nor Gaussian nor symmetric."""
    decay = np.exp(-((2.0 * width_hz * AXIS.time_s) ** _EXPONENT))
    # An exponential distribution of shifts with its mean, the skew, taken out again.
    skew = 2j * np.pi * skew_hz * AXIS.time_s
    return width_hz * tone(ppm) * decay * np.exp(-skew) / (1 - skew)


def _sampled_as_ours(signal: Signal) -> ComplexArray:
    if (signal.axis.n_points, signal.axis.dwell_s) != (AXIS.n_points, AXIS.dwell_s):
        raise ValueError(f"A measured shape must be sampled as {AXIS}, got {signal.axis}.")
    return signal.fid


def _water_line(water: ComplexArray) -> ComplexArray:
    """Water as a line shape, on resonance and in phase; what phase changes with time are eddy currents, and stay."""
    # The first point gets the size that the next ones say: of this scanner's FIDs it is up to 5 % off.
    near = np.arange(2, _N_NEAR)
    size = np.polynomial.Polynomial.fit(near, np.log(np.abs(water[near])), 2)
    start = np.exp(size(0) + 1j * np.angle(water[0]))
    line = centred(np.concatenate([[start], water[1:]]), AXIS)
    return line * np.exp(-1j * np.angle(line[:_N_NEAR].sum()))


def _nulled(fid: ComplexArray, water: ComplexArray) -> ComplexArray:
    """The macromolecules of a nulled scan: eddy currents and phase corrected, other signals left out."""
    fid = fid * np.exp(-1j * np.unwrap(np.angle(water)))
    found = decomposed(fid[:_N_POINTS], n_components=_N_OSCILLATIONS)
    ppm, width = AXIS.centre_ppm + found.frequency_hz(AXIS) / AXIS.hz_per_ppm, found.width_hz(AXIS)
    kept = (ppm > _KEPT_PPM[0]) & (ppm < _KEPT_PPM[1]) & (width > _KEPT_WIDTH_HZ[0]) & (width < _KEPT_WIDTH_HZ[1])
    return _of_height_one(found.only(kept).fid(AXIS.n_points) * np.exp(1j * np.deg2rad(_NULLED_PHASE_DEG)))


def _of_height_one(fid: ComplexArray) -> ComplexArray:
    return fid / to_spectrum(fid).real[AXIS.slice_ppm(*MM09_PPM)].max()
