"""Synthetic spectra whose truth is known, made on purpose by another model than the one that the fit assumes.

A family (`recovery.first_family`, `recovery.second_family`) draws what is random in a scan and makes its noise-free
parts. Here the people are drawn, and parts become an observed spectrum: noise, and the scanner's phase and shift. Each
spectrum also carries what an oracle is told: the shape of every signal in it, so that only amplitudes are unknown. It
is not told each metabolite's own random shift and width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np

from mrspipe.basis.sequences import SequenceSettings
from mrspipe.basis.simulate import simulate_basis
from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.operators import phased, shifted, to_spectrum
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.physics.constants import METHYL_PROTONS, WATER_PPM
from mrspipe.physics.relaxation import metabolite_relaxation

AXIS = SpectralAxis(2048, 1 / 2000, 127.7e6, WATER_PPM)
SEQUENCE = SequenceSettings(sequence="press", echo_time_s=0.030)
# Peaks that count for the signal-to-noise ratio, as in LCModel.
PEAK_RANGE_PPM = (0.2, 4.0)
# Share of the FID that the oracle uses, as the fit does: later points hold only noise.
_ORACLE_POINTS = 1024
_GLU_GLN_CORRELATION = 0.3  # assumed
_PHASE_SD_RAD = 0.2  # of the scanner; assumed
_SHIFT_SD_HZ = 1.5


@dataclass(frozen=True, slots=True)
class Level:
    """Concentration in mM and its coefficient of variation between people."""

    mean: float
    cv: float = 0.25


# Assumed; orientation: the ranges in Govindaraju 2000, doi
# 10.1002/1099-1492(200005)13:3<129::AID-NBM619>3.0.CO;2-V. The 10.8 % of Glu are the spread that Engeli 2021 reports
# (doi 10.1038/s41380-020-0828-z). Not the means of the fit's priors.
LEVELS: Mapping[str, Level] = {
    "Asc": Level(1.0),
    "Asp": Level(2.0),
    "Cr": Level(5.8, 0.07),
    "PCr": Level(5.2, 0.07),
    "GABA": Level(2.0),
    "GPC": Level(1.7, 0.11),
    "PCh": Level(0.8, 0.11),
    "GSH": Level(1.5),
    "Gln": Level(3.8, 0.20),
    "Glu": Level(11.4, 0.108),
    "Ins": Level(6.5, 0.12),
    "Lac": Level(0.7),
    "NAA": Level(10.0, 0.08),
    "NAAG": Level(1.3, 0.20),
    "PE": Level(1.5),
    "Tau": Level(1.5),
    "sIns": Level(0.3),
}
NAMES = tuple(LEVELS)
TYPICAL_NAA_METHYL = METHYL_PROTONS * LEVELS["NAA"].mean
"""FID amplitude of a typical NAA singlet: what the size of baselines and artefacts is relative to."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Quality of a study's spectra.

    Parameters
    ----------
    peak_to_noise : float
        Largest peak of metabolites and macromolecules over the SD of the noise, in the real spectrum without filter.
        LCModel's S/N is about half of it, by its definition.
    fwhm_hz : tuple of float
        Smallest and largest full width at half maximum of creatine's line, in Hz.
    baseline : float
        Size of the baseline, relative to what is usual in the family.
    """

    peak_to_noise: float = 40.0
    fwhm_hz: tuple[float, float] = (5.0, 9.0)
    baseline: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Noise-free parts of one spectrum, before the phase and shift of the scanner.

    Parameters
    ----------
    metabolites : complex array, shape (n_metabolites, n_points)
        At 1 mM, each with its line shape.
    expected_metabolites : complex array, shape (n_metabolites, n_points)
        The same without each metabolite's own random shift and width.
    macromolecules : complex array, shape (n_macromolecules, n_points)
        Signals that their sum is made of.
    macromolecule_amplitudes : float array, shape (n_macromolecules,)
    rest : complex array, shape (n_points,)
        Baseline and artefacts.
    rest_family : complex array, shape (n_rest, n_points)
        Signals that the oracle describes ``rest`` with.
    """

    metabolites: ComplexArray
    expected_metabolites: ComplexArray
    macromolecules: ComplexArray
    macromolecule_amplitudes: FloatArray
    rest: ComplexArray
    rest_family: ComplexArray


class Family(Protocol):
    """A kind of synthetic spectra. What is random in a scan is a value of its own, so that a scan can be repeated."""

    @property
    def noise_correlation(self) -> float:
        """Share of each noise sample that the next one repeats; 0 is white noise."""

    def draw(self, conditions: Conditions, rng: np.random.Generator) -> Any:
        """Draw what is random in a scan, apart from concentrations and noise."""

    def again(self, scan: Any, rng: np.random.Generator) -> Any:
        """Draw a second scan of the same subject."""

    def parts(self, scan: Any) -> Parts:
        """Make the noise-free parts."""

    def mean_macromolecules(self) -> ComplexArray:
        """Macromolecules of an average scan, shape (n_points,), as metabolite-nulled scans would measure them."""


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticSpectrum:
    """A spectrum with its truth.

    Parameters
    ----------
    signal : Signal
    truth : mapping of str to float
        Concentrations, in mM.
    noise_free : complex array, shape (n_points,)
        The signal without noise.
    columns : complex array, shape (n_columns, n_points)
        What the oracle is told: the expected metabolites at 1 mM, the macromolecules, baseline and artefacts.
    fwhm_hz : float
        Full width at half maximum of creatine's line, in Hz.
    """

    signal: Signal
    truth: Mapping[str, float]
    noise_free: ComplexArray
    columns: ComplexArray
    fwhm_hz: float

    def oracle(self) -> FloatArray:
        """Concentrations by linear least squares on complex data with all shapes known, in mM."""
        columns, fid = self.columns[:, :_ORACLE_POINTS], self.signal.fid[:_ORACLE_POINTS]
        design = np.concatenate([columns.real, columns.imag], axis=1).T
        amplitudes: FloatArray = np.linalg.lstsq(design, np.concatenate([fid.real, fid.imag]), rcond=None)[0]
        return amplitudes[: len(NAMES)]


@cache
def undamped_basis() -> BasisSet:
    """The metabolites without any line width; families broaden them."""
    return simulate_basis(SEQUENCE, AXIS, metabolites=NAMES, linewidth_hz=0.0)


@cache
def fitted_basis() -> BasisSet:
    """The metabolites as the pipeline gives them to the fit, 1 Hz broad."""
    return simulate_basis(SEQUENCE, AXIS, metabolites=NAMES, linewidth_hz=1.0)


def spectra(family: Family, n: int, conditions: Conditions, seed: int) -> tuple[SyntheticSpectrum, ...]:
    """Make one spectrum of each of ``n`` people."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        truth, scan = draw_person(rng), family.draw(conditions, rng)
        made.append(_observed(family, scan, truth, conditions, rng))
    return tuple(made)


def pairs(
    family: Family, n: int, conditions: Conditions, seed: int, *, glu_change: float = 0.055
) -> tuple[tuple[SyntheticSpectrum, SyntheticSpectrum], ...]:
    """Make two spectra of each of ``n`` people, of which the second has more Glu and nothing else.

    The default is the published rise of 5.5 % during drug cues in Engeli 2021 (doi 10.1038/s41380-020-0828-z).
    """
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        truth, scan = draw_person(rng), family.draw(conditions, rng)
        first = _observed(family, scan, truth, conditions, rng)
        changed = {**truth, "Glu": truth["Glu"] * (1 + glu_change)}
        made.append((first, _observed(family, family.again(scan, rng), changed, conditions, rng)))
    return tuple(made)


def draw_person(rng: np.random.Generator) -> dict[str, float]:
    """Draw one person's concentrations, in mM; those of Glu and Gln are correlated."""
    deviation = dict(zip(NAMES, rng.standard_normal(len(NAMES)), strict=True))
    r = _GLU_GLN_CORRELATION
    deviation["Gln"] = r * deviation["Glu"] + np.sqrt(1 - r**2) * deviation["Gln"]
    return {name: level.mean * max(1 + level.cv * deviation[name], 0.1) for name, level in LEVELS.items()}


def peak_height(fid: ComplexArray) -> float:
    """Largest real value of a spectrum between 0.2 and 4.0 ppm; zero-filled, so that no peak is cut."""
    fine = SpectralAxis(2 * AXIS.n_points, AXIS.dwell_s, AXIS.spectrometer_hz, AXIS.centre_ppm)
    spectrum = to_spectrum(np.pad(fid, (0, AXIS.n_points))).real
    return float(spectrum[fine.slice_ppm(*PEAK_RANGE_PPM)].max())


def t2_widths_hz() -> FloatArray:
    """Width of each metabolite beyond that of creatine, from T2 in equal parts of grey and white matter, in Hz.

    The fit expects those of a voxel with 60 % grey matter.
    """
    rates = {name: np.mean([1 / metabolite_relaxation(name, tissue).t2_s for tissue in ("GM", "WM")]) for name in NAMES}
    return np.array([(rates[name] - rates["Cr"]) / np.pi for name in NAMES])


def tone(ppm: float) -> ComplexArray:
    """Undamped oscillation of unit amplitude at a chemical shift, shape (n_points,)."""
    oscillation: ComplexArray = np.exp(2j * np.pi * AXIS.offset_hz(ppm) * AXIS.time_s)
    return oscillation


def _observed(
    family: Family, scan: Any, truth: Mapping[str, float], conditions: Conditions, rng: np.random.Generator
) -> SyntheticSpectrum:
    parts = family.parts(scan)
    wanted = np.array([truth[name] for name in NAMES]) @ parts.metabolites
    wanted = wanted + parts.macromolecule_amplitudes @ parts.macromolecules
    # White noise of SD s in the FID has SD s sqrt(n) in every real bin of the spectrum.
    noise_sd = peak_height(wanted) / (conditions.peak_to_noise * np.sqrt(AXIS.n_points))
    phase_rad, shift_hz = rng.normal(0, _PHASE_SD_RAD), rng.normal(0, _SHIFT_SD_HZ)
    columns = np.vstack([parts.expected_metabolites, parts.macromolecules, parts.rest_family])
    noise_free = phased(shifted(wanted + parts.rest, AXIS, shift_hz), phase_rad)
    return SyntheticSpectrum(
        signal=_signal(noise_free + noise_sd * _noise(rng, family.noise_correlation)),
        truth=truth,
        noise_free=noise_free,
        columns=phased(shifted(columns, AXIS, shift_hz), phase_rad),
        fwhm_hz=scan.fwhm_hz,
    )


def _noise(rng: np.random.Generator, correlation: float) -> ComplexArray:
    """Complex noise with unit variance of each part; each sample repeats a share of the one before."""
    white = rng.standard_normal((2, AXIS.n_points + 1))
    samples = white[0] + 1j * white[1]
    noise: ComplexArray = (samples[1:] + correlation * samples[:-1]) / np.sqrt(1 + correlation**2)
    return noise


def _signal(fid: ComplexArray) -> Signal:
    return Signal(fid, ("time",), AXIS, Acquisition(field_t=3.0, sequence="press", echo_time_s=SEQUENCE.echo_time_s))
