"""First family: slightly asymmetric lines, Gaussian macromolecules at places of their own, smooth random humps."""

import math
from dataclasses import dataclass, replace

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.operators import broadened, shifted
from mrspipe.physics.macromolecules import MacromoleculeLine, macromolecule_lines
from mrspipe.synth.spectra import gauss_for_fwhm
from recovery.generator import (
    AXIS,
    NAMES,
    TYPICAL_NAA_METHYL,
    Conditions,
    Parts,
    peak_height,
    t2_widths_hz,
    tone,
    undamped_basis,
)
from recovery.lines import with_fwhm

# All numbers of this family are assumed.
_JITTER_HZ = 0.25  # SD of each metabolite's own shift and of its own width
_LORENTZ_HZ, _LORENTZ_SD_HZ, _LEAST_LORENTZ_HZ = 2.5, 0.7, 1.0
# The line is a mixture of two Voigt lines: the second has this SD of its share and lies this far away, in widths.
_ASYMMETRY_SD, _ASYMMETRY_WIDTHS = 0.12, 0.35
_MM_AREA = 22.0  # of the line at 0.9 ppm, in mM of protons
_MM_LINE_CV, _MM_COMMON_CV = 0.12, 0.10
_N_HUMPS = 5
_HUMP_PPM, _HUMP_FWHM_PPM = (0.3, 4.1), (0.7, 1.3)
_HUMP_HEIGHT = 0.04  # SD, relative to NAA's peak
# The narrowest humps, close enough together to make up any other.
_FAMILY_PPM = np.arange(-0.4, 5.0, 0.3)
# Second scan of a subject.
_NARROWER_HZ, _HUMP_CHANGE = 0.2, 0.01
# How far a random list lies from the fit's: position, logarithms of width and area.
_RANDOM_PPM, _RANDOM_LOG_WIDTH, _RANDOM_LOG_AREA = 0.02, 0.15, 0.20

# Position in ppm, width in Hz at 127.7 MHz, area relative to the first: a list of its own, not the fit's.
_OTHER = (
    (0.91, 17, 1.00), (1.19, 20, 0.30), (1.39, 18, 0.75), (1.67, 20, 0.50), (2.04, 26, 1.25), (2.24, 22, 0.60),
    (2.56, 22, 0.18), (2.70, 20, 0.12), (2.99, 16, 0.45), (3.17, 20, 0.25), (3.72, 20, 0.70), (3.84, 18, 0.45),
    (3.97, 18, 0.50),
)  # fmt: skip


def other_lines() -> tuple[MacromoleculeLine, ...]:
    """Thirteen lines that are not those of the fit."""
    return tuple(MacromoleculeLine(f"{ppm}", ppm, fwhm / AXIS.hz_per_ppm, ratio) for ppm, fwhm, ratio in _OTHER)


def random_lines(seed: int) -> tuple[MacromoleculeLine, ...]:
    """Lines of a random study: those that the fit expects, each moved, widened and enlarged."""
    deviations = np.random.default_rng(seed).standard_normal((len(macromolecule_lines()), 3))
    return tuple(
        replace(
            line,
            ppm=line.ppm + _RANDOM_PPM * shift,
            fwhm_ppm=line.fwhm_ppm * math.exp(_RANDOM_LOG_WIDTH * width),
            ratio=line.ratio * math.exp(_RANDOM_LOG_AREA * area),
        )
        for line, (shift, width, area) in zip(macromolecule_lines(), deviations, strict=True)
    )


@dataclass(frozen=True, slots=True, eq=False)
class FirstScan:
    """What is random in a scan; humps by position and width in ppm and height relative to NAA's peak."""

    fwhm_hz: float
    lorentz_hz: float
    asymmetry: float
    shift_hz: FloatArray
    width_hz: FloatArray
    macromolecule_amplitudes: FloatArray
    hump_ppm: FloatArray
    hump_fwhm_ppm: FloatArray
    hump_height: FloatArray


@dataclass(frozen=True, slots=True)
class FirstFamily:
    """Spectra of one study.

    Parameters
    ----------
    lines : tuple of MacromoleculeLine
        Mean macromolecules of the study.
    t2_widths : bool
        Each metabolite's line is as broad as its T2 makes it; false: all are alike.
    deviation : float
        Size of each metabolite's own random shift and width, relative to what is usual.
    noise_correlation : float
        As in `recovery.generator.Family`.
    """

    lines: tuple[MacromoleculeLine, ...] = other_lines()
    t2_widths: bool = False
    deviation: float = 1.0
    noise_correlation: float = 0.0

    def draw(self, conditions: Conditions, rng: np.random.Generator) -> FirstScan:
        """Draw line shape, macromolecules and humps."""
        ratios = np.array([line.ratio for line in self.lines])
        spread = np.maximum(1 + _MM_LINE_CV * rng.standard_normal(len(self.lines)), 0.0)
        return FirstScan(
            fwhm_hz=rng.uniform(*conditions.fwhm_hz),
            lorentz_hz=max(_LEAST_LORENTZ_HZ, rng.normal(_LORENTZ_HZ, _LORENTZ_SD_HZ)),
            asymmetry=rng.normal(0, _ASYMMETRY_SD),
            shift_hz=self.deviation * _JITTER_HZ * rng.standard_normal(len(NAMES)),
            width_hz=self.deviation * _JITTER_HZ * rng.standard_normal(len(NAMES)),
            macromolecule_amplitudes=_MM_AREA * (1 + _MM_COMMON_CV * rng.standard_normal()) * spread * ratios,
            hump_ppm=rng.uniform(*_HUMP_PPM, _N_HUMPS),
            hump_fwhm_ppm=rng.uniform(*_HUMP_FWHM_PPM, _N_HUMPS),
            hump_height=conditions.baseline * _HUMP_HEIGHT * rng.standard_normal(_N_HUMPS),
        )

    def again(self, scan: FirstScan, rng: np.random.Generator) -> FirstScan:
        """The line is a little narrower, each hump another by about 1 % of NAA's peak."""
        height = scan.hump_height + _HUMP_CHANGE * rng.standard_normal(_N_HUMPS)
        return replace(scan, fwhm_hz=scan.fwhm_hz - _NARROWER_HZ, hump_height=height)

    def parts(self, scan: FirstScan) -> Parts:
        """Make the noise-free parts."""
        decay = _line(scan)
        expected = undamped_basis().fids * decay
        if self.t2_widths:
            expected = expected * np.exp(-np.pi * t2_widths_hz()[:, None] * AXIS.time_s)
        own = np.exp(-np.pi * scan.width_hz[:, None] * AXIS.time_s)
        humps = np.array(list(map(_gaussian, scan.hump_ppm, scan.hump_fwhm_ppm)))
        naa = peak_height(TYPICAL_NAA_METHYL * decay * tone(2.0))
        heights = np.array([peak_height(hump) for hump in humps])
        return Parts(
            metabolites=shifted(expected * own, AXIS, scan.shift_hz),
            expected_metabolites=expected,
            macromolecules=self._unit_lines() * decay,
            macromolecule_amplitudes=scan.macromolecule_amplitudes,
            rest=(scan.hump_height * naa / heights) @ humps,
            rest_family=np.array([_gaussian(ppm, _HUMP_FWHM_PPM[0]) for ppm in _FAMILY_PPM]),
        )

    def mean_macromolecules(self) -> ComplexArray:
        """Mean of what `parts` draws, without the broadening by the line shape."""
        mean: ComplexArray = _MM_AREA * np.array([line.ratio for line in self.lines]) @ self._unit_lines()
        return mean

    def _unit_lines(self) -> ComplexArray:
        return np.array([_gaussian(line.ppm, line.fwhm_ppm) for line in self.lines])


def _line(scan: FirstScan) -> ComplexArray:
    """Decay of the common line shape: two Voigt lines, brought to the stated width."""
    gauss_hz = gauss_for_fwhm(scan.fwhm_hz, scan.lorentz_hz)
    voigt = broadened(np.ones(AXIS.n_points, complex), AXIS, lorentz_hz=scan.lorentz_hz, gauss_hz=gauss_hz)
    second = shifted(voigt, AXIS, _ASYMMETRY_WIDTHS * scan.fwhm_hz)
    return with_fwhm((1 - scan.asymmetry) * voigt + scan.asymmetry * second, AXIS, scan.fwhm_hz)


def _gaussian(ppm: float, fwhm_ppm: float) -> ComplexArray:
    return broadened(tone(ppm), AXIS, gauss_hz=fwhm_ppm * AXIS.hz_per_ppm)
