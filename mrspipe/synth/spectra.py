"""One scan's noise-free signals from what is true in it.

Amplitudes are in units of one proton at 1 mM, so that they obey the molar formula of water referencing
(Gasparovic 2006, doi 10.1002/mrm.20901; Near 2021, doi 10.1002/nbm.4257) read backwards::

    metabolite = molar (1 - f_csf) n_protons R_M        water = 2 * 55510 sum_x f_x d_x R_x

with ``R = exp(-TE / T2) (1 - exp(-TR / T1))``, ``f`` the volume fractions and ``d`` the water densities of the tissues.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mrspipe.basis.sequences import SequenceSettings
from mrspipe.basis.simulate import simulate_basis
from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.operators import broadened, to_spectrum
from mrspipe.core.results import TissueFractions
from mrspipe.physics.constants import METHYL_PROTONS, PURE_WATER_MMOL_PER_KG, WATER_PPM, WATER_PROTONS
from mrspipe.physics.macromolecules import MacromoleculeLine, macromolecule_lines
from mrspipe.physics.relaxation import metabolite_t2_s
from mrspipe.synth.cohort import ScanTruth
from mrspipe.synth.recipe import Recipe
from mrspipe.synth.relaxation import metabolite_attenuation, water_compartments
from mrspipe.synth.streams import Draws

# Peaks that count for the signal-to-noise ratio.
_SNR_RANGE_PPM = (0.2, 4.0)
# Broad humps of the baseline, assumed: in every spectrum at the same places with other heights.
_HUMPS_PPM = (0.8, 1.6, 2.4, 3.2, 4.0)
_HUMP_FWHM_PPM = 0.8
_LIPID_PPM = 1.3
_LIPID_FWHM_HZ = 20.0
_MIN_GAUSS_HZ = 0.5
# Random stream of the study's own macromolecule list, apart from those of the scans.
_LIST_STREAM = 77


@dataclass(frozen=True, slots=True)
class LineShape:
    """Widths in one scan: Lorentzian of all lines and of each metabolite (its T2 included), Gaussian; FWHM in Hz."""

    common_lorentz_hz: float
    lorentz_hz: Mapping[str, float]
    gauss_hz: float


@dataclass(frozen=True, slots=True, eq=False)
class CleanSpectrum:
    """Noise-free signals of one scan, each a complex array of shape (n_points,), in units of one proton at 1 mM.

    ``baseline`` holds the broad humps and the lipid line.
    """

    metabolites: ComplexArray
    macromolecules: ComplexArray
    baseline: ComplexArray
    water: ComplexArray
    line_shape: LineShape
    naa_methyl: float

    @property
    def without_water(self) -> ComplexArray:
        """Everything but water, shape (n_points,)."""
        return self.metabolites + self.macromolecules + self.baseline


def spectral_axis(recipe: Recipe) -> SpectralAxis:
    """Axis of every spectrum of the study, the transmitter on water."""
    m = recipe.measurement
    return SpectralAxis(m.n_points, 1.0 / m.bandwidth_hz, m.spectrometer_hz, WATER_PPM)


def make_basis(recipe: Recipe) -> BasisSet:
    """Simulate the study's metabolites, with no line width of their own."""
    m = recipe.measurement
    sequence = SequenceSettings(sequence=m.sequence, echo_time_s=m.echo_time_s)
    return simulate_basis(sequence, spectral_axis(recipe), metabolites=recipe.metabolites, linewidth_hz=0.0)


@dataclass(frozen=True, slots=True)
class _Draws:
    """Normal deviates of a scan, of which a part is that of the person."""

    scan: Draws
    person: Draws

    def normal(self, n: int, scan_part: float) -> FloatArray:
        own, common = self.scan.standard_normal(n), self.person.standard_normal(n)
        return scan_part * own + math.sqrt(1 - scan_part**2) * common


def synthesise(
    truth: ScanTruth,
    recipe: Recipe,
    basis: BasisSet,
    rng: Draws,
    person: Draws | None = None,
) -> CleanSpectrum:
    """Make the noise-free signals of one scan.

    Parameters
    ----------
    truth : ScanTruth
    recipe : Recipe
    basis : BasisSet
        From `make_basis`.
    rng : Draws
        Draws line shape, macromolecules and baseline.
    person : Draws, optional
        Draws what the scans of a person have in common, from the same state in each of them.

    Returns
    -------
    CleanSpectrum
    """
    shape = draw_line_shape(truth, recipe, rng)
    amplitudes = metabolite_amplitudes(truth, recipe)
    creatine = amplitudes["Cr"] + amplitudes["PCr"]
    draws = _Draws(rng, person or np.random.default_rng(0))
    return CleanSpectrum(
        metabolites=_metabolites(amplitudes, recipe, basis, shape, draws),
        macromolecules=_macromolecules(creatine, recipe, basis.axis, shape, draws),
        baseline=_baseline(creatine, recipe, basis.axis, shape, draws),
        water=_water(truth.tissue, recipe, basis.axis, shape),
        line_shape=shape,
        naa_methyl=METHYL_PROTONS * (amplitudes["NAA"] + amplitudes["NAAG"]),
    )


def metabolite_amplitudes(truth: ScanTruth, recipe: Recipe) -> dict[str, float]:
    """Amplitude of one proton of each metabolite: ``molar (1 - f_csf) R_M``."""
    m, tissue = recipe.measurement, truth.tissue
    return {
        name: level * (1 - tissue.csf) * metabolite_attenuation(name, tissue, m.echo_time_s, m.repetition_time_s)
        for name, level in truth.levels.items()
    }


def draw_line_shape(truth: ScanTruth, recipe: Recipe, rng: Draws) -> LineShape:
    """Draw the Lorentzian width; the Gaussian one brings creatine to the scan's FWHM."""
    settings = recipe.lineshape
    common = max(0.0, settings.lorentz_hz + settings.lorentz_sd_hz * rng.standard_normal())
    of = {name: name if settings.t2_widths else "Cr" for name in truth.levels}
    grey = truth.tissue.gm / (truth.tissue.gm + truth.tissue.wm)
    widths = {name: common + 1 / (math.pi * metabolite_t2_s(of[name], grey)) for name in truth.levels}
    return LineShape(common, widths, gauss_for_fwhm(truth.fwhm_hz, widths["Cr"]))


def gauss_for_fwhm(fwhm_hz: float, lorentz_hz: float) -> float:
    """Gaussian width that gives a Voigt line its FWHM; the inverse of `mrspipe.physics.lineshapes.voigt_fwhm`.

    Examples
    --------
    >>> gauss_for_fwhm(5.0, 0.0)
    5.0
    """
    rest = max(fwhm_hz - 0.5346 * lorentz_hz, 0.0) ** 2 - 0.2166 * lorentz_hz**2
    return max(_MIN_GAUSS_HZ, math.sqrt(max(rest, 0.0)))


def _metabolites(
    amplitudes: Mapping[str, float], recipe: Recipe, basis: BasisSet, shape: LineShape, draws: _Draws
) -> ComplexArray:
    amplitude = np.array([amplitudes[name] for name in basis.names])
    lorentz = np.array([shape.lorentz_hz[name] for name in basis.names]) - basis.linewidth_hz
    settings = recipe.lineshape
    shift = settings.shift_sd_ppm * basis.axis.hz_per_ppm * draws.normal(len(basis.names), settings.mm_scan_part)
    steps = np.exp((2j * shift - lorentz) * np.pi * basis.axis.dwell_s)
    lines = amplitude[:, None] * _powers(steps, basis.axis.n_points)
    return broadened(np.einsum("mt,mt->t", lines, basis.fids), basis.axis, gauss_hz=shape.gauss_hz)


def _powers(steps: ComplexArray, n: int) -> ComplexArray:
    """Powers 0 to n - 1 of each number, shape (n_steps, n): the decaying tones of a step from point to point.

    The n-th power is that of ``q r + s``, so only ``q`` and ``s`` need an exponential each.
    """
    r = math.isqrt(n - 1) + 1
    small, large = steps[:, None] ** np.arange(r), (steps**r)[:, None] ** np.arange(r)
    return np.asarray((large[:, :, None] * small[:, None, :]).reshape(len(steps), -1)[:, :n])


def _gaussian_line(axis: SpectralAxis, ppm: float, fwhm_hz: float) -> ComplexArray:
    tone = np.exp(2j * np.pi * axis.offset_hz(ppm) * axis.time_s)
    return broadened(tone, axis, gauss_hz=fwhm_hz)


@lru_cache(maxsize=8)
def _study_lines(seed: int, shift_sd_ppm: float, width_sd: float, area_sd: float) -> tuple[MacromoleculeLine, ...]:
    """The macromolecule lines of this study: not those of the fit, which must cope with what it does not know."""
    rng = np.random.default_rng([seed, _LIST_STREAM])
    return tuple(
        replace(
            line,
            ppm=line.ppm + shift_sd_ppm * shift,
            fwhm_ppm=line.fwhm_ppm * math.exp(width_sd * width),
            ratio=line.ratio * math.exp(area_sd * area),
        )
        for line, (shift, width, area) in zip(
            macromolecule_lines(), rng.standard_normal((len(macromolecule_lines()), 3)), strict=True
        )
    )


@lru_cache(maxsize=8)
def _broad_lines(lines: tuple[MacromoleculeLine, ...], axis: SpectralAxis) -> ComplexArray:
    fids = np.array([line.ratio * _gaussian_line(axis, line.ppm, line.fwhm_ppm * axis.hz_per_ppm) for line in lines])
    fids.flags.writeable = False
    return fids


@lru_cache(maxsize=8)
def _baseline_parts(axis: SpectralAxis) -> tuple[ComplexArray, ComplexArray]:
    """The humps, shape (n_humps, n_points), and the lipid line, shape (n_points,), each of area 1."""
    humps = np.array([_gaussian_line(axis, ppm, _HUMP_FWHM_PPM * axis.hz_per_ppm) for ppm in _HUMPS_PPM])
    lipid = _gaussian_line(axis, _LIPID_PPM, _LIPID_FWHM_HZ)
    humps.flags.writeable = lipid.flags.writeable = False
    return humps, lipid


def _macromolecules(
    creatine: float, recipe: Recipe, axis: SpectralAxis, shape: LineShape, draws: _Draws
) -> ComplexArray:
    settings = recipe.lineshape
    lines = _study_lines(
        recipe.seed, settings.mm_list_shift_sd_ppm, settings.mm_list_width_sd, settings.mm_list_area_sd
    )
    total = (
        settings.mm_ratio * creatine * max(0.0, 1 + settings.mm_cv * float(draws.normal(1, settings.mm_scan_part)[0]))
    )
    spread = np.maximum(1 + settings.mm_line_cv * draws.normal(len(lines), settings.mm_scan_part), 0.0)
    fid = total * spread @ _broad_lines(lines, axis)
    return broadened(fid, axis, lorentz_hz=shape.common_lorentz_hz, gauss_hz=shape.gauss_hz)


def _baseline(creatine: float, recipe: Recipe, axis: SpectralAxis, shape: LineShape, draws: _Draws) -> ComplexArray:
    settings = recipe.lineshape
    humps, lipid_line = _baseline_parts(axis)
    areas = settings.baseline_sd * creatine * draws.normal(len(_HUMPS_PPM), settings.baseline_scan_part)
    lipid = settings.lipid_max * creatine * draws.scan.random() * lipid_line
    return np.asarray(areas @ humps + broadened(lipid, axis, gauss_hz=shape.gauss_hz))


def _water(tissue: TissueFractions, recipe: Recipe, axis: SpectralAxis, shape: LineShape) -> ComplexArray:
    m = recipe.measurement
    parts = water_compartments(m.relaxation, tissue, m.echo_time_s, m.repetition_time_s)
    decay = sum((part.amount * np.exp(-axis.time_s / part.t2_s) for part in parts), np.zeros(axis.n_points))
    fid = WATER_PROTONS * PURE_WATER_MMOL_PER_KG * decay * np.exp(2j * np.pi * axis.offset_hz(WATER_PPM) * axis.time_s)
    return broadened(fid, axis, lorentz_hz=shape.common_lorentz_hz, gauss_hz=shape.gauss_hz)


def noise_sd(clean: CleanSpectrum, axis: SpectralAxis, snr: float) -> float:
    """Noise that gives the fully combined spectrum its signal-to-noise ratio (SNR).

    SNR by LCModel's definition (its source): the largest peak above the baseline over twice the SD of the residual,
    in the real spectrum.

    Parameters
    ----------
    clean : CleanSpectrum
    axis : SpectralAxis
    snr : float

    Returns
    -------
    float
        SD of the real part, and of the imaginary part, of each point of the FID.
    """
    # White noise of SD s in the FID has SD s sqrt(n) in every real bin of the spectrum.
    return peak_height(clean, axis) / (2 * snr * math.sqrt(axis.n_points))


def peak_height(clean: CleanSpectrum, axis: SpectralAxis) -> float:
    """Largest peak of metabolites and macromolecules between 0.2 and 4.0 ppm; zero-filled, so that no peak is cut."""
    fine = SpectralAxis(2 * axis.n_points, axis.dwell_s, axis.spectrometer_hz, axis.centre_ppm)
    fid = np.pad(clean.metabolites + clean.macromolecules, (0, axis.n_points))
    spectrum: FloatArray = to_spectrum(fid).real[fine.slice_ppm(*_SNR_RANGE_PPM)]
    return float(spectrum.max())
