"""Second family, different in kind: no Voigt lines, no Gaussian macromolecules, and artefacts.

Lines are mixed from `recovery.shapes`, and each metabolite's is as broad as its T2 makes it. Macromolecules vary
smoothly along the spectrum. There are eddy currents, residual water, lipids in a third of the spectra, a broad decaying
baseline, slightly coloured noise, and a spurious echo in a tenth.
"""

from dataclasses import dataclass, replace

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.operators import broadened, shifted, to_spectrum
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
from recovery.shapes import MM09_PPM, Shapes

# All numbers of this family are assumed.
_SHIFT_SD_HZ, _WIDTH_SD_HZ = 0.25, 0.20  # of each metabolite's own
_MM_HEIGHT = 0.22  # of the peak at 0.9 ppm, relative to NAA's, both broadened by a typical line
_TYPICAL_FWHM_HZ = 7.0
# Macromolecules are cut into overlapping pieces this far apart, so that they can vary smoothly.
_PIECES_PPM, _PIECE_STEP_PPM = np.arange(0.35, 4.4, 0.35), 0.35
_MM_PIECE_CV, _MM_COMMON_CV, _MM_SHIFT_SD_HZ, _MM_WIDTH_SD_HZ = 0.10, 0.08, 0.5, 1.0
_STUDY_CV = 0.10  # of each piece, between studies
_N_BASELINE, _BASELINE_HEIGHT, _BASELINE_PPM, _BASELINE_DECAY_S = 3, 0.02, (0.5, 4.0), (0.002, 0.006)
_BASELINE_PHASE_SD_RAD = 0.3
_LIPIDS_IN, _LIPID_SIZE, _LIPID_PPM, _LIPID_PPM_SD, _LIPID_FWHM_HZ = 1 / 3, (0.03, 0.25), 1.30, 0.02, (10.0, 25.0)
_LIPID_PHASE_SD_RAD = 0.5
_N_WATER, _WATER_SIZE, _WATER_PPM_SD, _WATER_FWHM_HZ = 2, (0.1, 1.0), 0.04, (4.0, 12.0)
_ECHO_IN, _ECHO_SIZE, _ECHO_AT_S, _ECHO_SD_S = 0.1, (0.02, 0.06), (0.05, 0.25), 0.015
_EDDY_DEG, _EDDY_DECAY_S = 15.0, (0.02, 0.08)
# Second scan of a subject.
_NARROWER_HZ, _BASELINE_CHANGE = 0.2, 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Artefacts:
    """Signals beside metabolites and macromolecules: each has a shape and a complex amplitude.

    Parameters
    ----------
    shapes : complex array, shape (n, n_points)
    amplitudes : complex array, shape (n,)
    """

    shapes: ComplexArray
    amplitudes: ComplexArray


@dataclass(frozen=True, slots=True, eq=False)
class SecondScan:
    """What is random in a scan; baseline heights are relative to NAA's peak."""

    fwhm_hz: float
    mixture: FloatArray
    shift_hz: FloatArray
    width_hz: FloatArray
    macromolecule_amplitudes: FloatArray
    macromolecule_shift_hz: float
    macromolecule_width_hz: float
    baseline: ComplexArray
    baseline_height: ComplexArray
    artefacts: Artefacts
    eddy_rad: float
    eddy_decay_s: float


@dataclass(frozen=True, slots=True, eq=False)
class SecondFamily:
    """Spectra of one study.

    Parameters
    ----------
    lines : complex array, shape (n_lines, n_points)
        What the line shapes are mixed from.
    pieces : complex array, shape (n_pieces, n_points)
        What the macromolecules are made up of; their sum is the study's mean.
    deviation : float
        Size of each metabolite's own random shift and width, relative to what is usual.
    noise_correlation : float
        As in `recovery.generator.Family`.
    """

    lines: ComplexArray
    pieces: ComplexArray
    deviation: float = 1.0
    noise_correlation: float = 0.05

    @classmethod
    def of(cls, shapes: Shapes, seed: int) -> "SecondFamily":
        """Give the family of a random study, whose mean macromolecules deviate smoothly from the shape."""
        naa = peak_height(TYPICAL_NAA_METHYL * _typical() * tone(2.0))
        height = to_spectrum(shapes.macromolecules * _typical()).real[AXIS.slice_ppm(*MM09_PPM)].max()
        pieces = _pieces(_MM_HEIGHT * naa / height * shapes.macromolecules)
        deviation = _STUDY_CV * np.random.default_rng(seed).standard_normal(len(pieces))
        return cls(shapes.lines, pieces * (1 + deviation[:, None]))

    def draw(self, conditions: Conditions, rng: np.random.Generator) -> SecondScan:
        """Draw line shape, macromolecules and artefacts."""
        common = 1 + _MM_COMMON_CV * rng.standard_normal()
        return SecondScan(
            fwhm_hz=rng.uniform(*conditions.fwhm_hz),
            mixture=rng.dirichlet(np.ones(len(self.lines))),
            shift_hz=self.deviation * _SHIFT_SD_HZ * rng.standard_normal(len(NAMES)),
            width_hz=self.deviation * _WIDTH_SD_HZ * rng.standard_normal(len(NAMES)),
            macromolecule_amplitudes=common + _MM_PIECE_CV * rng.standard_normal(len(self.pieces)),
            macromolecule_shift_hz=rng.normal(0, _MM_SHIFT_SD_HZ),
            macromolecule_width_hz=rng.normal(0, _MM_WIDTH_SD_HZ),
            baseline=np.array([_broad(rng) for _ in range(_N_BASELINE)]),
            baseline_height=conditions.baseline * _BASELINE_HEIGHT * _heights(rng),
            artefacts=_artefacts(rng),
            eddy_rad=np.deg2rad(rng.uniform(-_EDDY_DEG, _EDDY_DEG)),
            eddy_decay_s=rng.uniform(*_EDDY_DECAY_S),
        )

    def again(self, scan: SecondScan, rng: np.random.Generator) -> SecondScan:
        """The line is a little narrower, each baseline component another by about 1 % of NAA's peak."""
        height = scan.baseline_height + _BASELINE_CHANGE * _heights(rng)
        return replace(scan, fwhm_hz=scan.fwhm_hz - _NARROWER_HZ, baseline_height=height)

    def parts(self, scan: SecondScan) -> Parts:
        """Make the noise-free parts."""
        decay = with_fwhm(scan.mixture @ self.lines, AXIS, scan.fwhm_hz)
        eddy = np.exp(1j * scan.eddy_rad * np.exp(-AXIS.time_s / scan.eddy_decay_s))
        expected = undamped_basis().fids * np.exp(-np.pi * t2_widths_hz()[:, None] * AXIS.time_s) * decay * eddy
        own = np.exp(-np.pi * scan.width_hz[:, None] * AXIS.time_s)
        # A width that acts early, so that a negative one does not make the FID grow.
        widened = np.exp(-np.pi * scan.macromolecule_width_hz * AXIS.time_s * np.exp(-AXIS.time_s / 0.1))
        rest = np.vstack([scan.baseline * _scale(scan.baseline, decay)[:, None], scan.artefacts.shapes]) * eddy
        return Parts(
            metabolites=shifted(expected * own, AXIS, scan.shift_hz),
            expected_metabolites=expected,
            macromolecules=shifted(self.pieces * widened * decay * eddy, AXIS, scan.macromolecule_shift_hz),
            macromolecule_amplitudes=scan.macromolecule_amplitudes,
            rest=np.concatenate([scan.baseline_height, scan.artefacts.amplitudes]) @ rest,
            # The oracle does not know the phases.
            rest_family=np.vstack([rest, 1j * rest]),
        )

    def mean_macromolecules(self) -> ComplexArray:
        """Mean of what `parts` draws, without the broadening by the line shape."""
        mean: ComplexArray = self.pieces.sum(axis=0)
        return mean


def _typical() -> ComplexArray:
    return broadened(np.ones(AXIS.n_points, complex), AXIS, gauss_hz=_TYPICAL_FWHM_HZ)


def _pieces(fid: ComplexArray) -> ComplexArray:
    """Cut a spectrum into smooth overlapping pieces that add up to it."""
    distance = np.abs(AXIS.ppm - _PIECES_PPM[:, None]) / _PIECE_STEP_PPM
    windows = np.where(distance < 1, np.cos(0.5 * np.pi * np.minimum(distance, 1)) ** 2, 0.0)
    return _causal(windows * to_spectrum(fid).real)


def _causal(spectra: FloatArray) -> ComplexArray:
    """FIDs of which these are the real spectra; they have to decay within half the duration."""
    fids: ComplexArray = 2 * np.fft.ifft(np.fft.ifftshift(spectra, axes=-1), axis=-1)
    fids[..., AXIS.n_points // 2 :] = 0.0
    return fids


def _broad(rng: np.random.Generator) -> ComplexArray:
    return tone(rng.uniform(*_BASELINE_PPM)) * np.exp(-AXIS.time_s / rng.uniform(*_BASELINE_DECAY_S))


def _heights(rng: np.random.Generator) -> ComplexArray:
    phase = _BASELINE_PHASE_SD_RAD * rng.standard_normal(_N_BASELINE)
    heights: ComplexArray = rng.standard_normal(_N_BASELINE) * np.exp(1j * phase)
    return heights


def _scale(fids: ComplexArray, decay: ComplexArray) -> FloatArray:
    """Factors that make FIDs as high as a typical NAA peak."""
    naa = peak_height(TYPICAL_NAA_METHYL * decay * tone(2.0))
    return np.array([naa / peak_height(fid) for fid in fids])


def _artefacts(rng: np.random.Generator) -> Artefacts:
    """Residual water, and at times lipids and a spurious echo."""
    found = [_water(rng) for _ in range(_N_WATER)]
    if rng.random() < _LIPIDS_IN:
        found.append(_lipid(rng))
    if rng.random() < _ECHO_IN:
        found.append(_echo(rng))
    shapes, sizes = zip(*found, strict=True)
    return Artefacts(np.array(shapes), TYPICAL_NAA_METHYL * np.array(sizes, dtype=np.complex128))


def _water(rng: np.random.Generator) -> tuple[ComplexArray, complex]:
    shape = tone(AXIS.centre_ppm + rng.normal(0, _WATER_PPM_SD))
    size = rng.uniform(*_WATER_SIZE) * np.exp(1j * rng.uniform(-np.pi, np.pi))
    return broadened(shape, AXIS, lorentz_hz=rng.uniform(*_WATER_FWHM_HZ)), size


def _lipid(rng: np.random.Generator) -> tuple[ComplexArray, complex]:
    shape = tone(rng.normal(_LIPID_PPM, _LIPID_PPM_SD))
    size = rng.uniform(*_LIPID_SIZE) * np.exp(1j * rng.normal(0, _LIPID_PHASE_SD_RAD))
    return broadened(shape, AXIS, lorentz_hz=rng.uniform(*_LIPID_FWHM_HZ)), size


def _echo(rng: np.random.Generator) -> tuple[ComplexArray, complex]:
    """A burst in the middle of the FID, at any place of the spectrum."""
    late = (AXIS.time_s - rng.uniform(*_ECHO_AT_S)) / _ECHO_SD_S
    return tone(rng.uniform(*_BASELINE_PPM)) * np.exp(-(late**2)), complex(rng.uniform(*_ECHO_SIZE))
