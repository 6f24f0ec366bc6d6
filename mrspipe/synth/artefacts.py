"""From one scan's noise-free signals to the transients that a scanner stores.

Metabolite cycling (Dreher and Leibfritz 2005, Magn Reson Med 54:190) inverts the metabolites in every other shot: the
halves are ``A = W + M`` and ``B = W - M``, half their sum is water and half their difference the metabolites.
"""

from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.operators import broadened
from mrspipe.physics.constants import WATER_PPM
from mrspipe.synth.acquisition import ArtefactSettings
from mrspipe.synth.recipe import Recipe
from mrspipe.synth.spectra import CleanSpectrum, noise_sd
from mrspipe.synth.streams import Draws, unmirrored

# A transient during motion, assumed: part of the signal is lost, frequency and phase are elsewhere.
_MOTION_LOSS = (0.3, 0.7)
_MOTION_SHIFT_HZ = 10.0
_MOTION_PHASE_DEG = 60.0
# Spread of the arbitrary receiver scale, as SD of its natural logarithm, and of the coils' sensitivities.
_SCALE_SIGMA_LOG = 0.5
_COIL_SIGMA_LOG = 0.4
_RESIDUAL_LINES = 3
_RESIDUAL_SD_PPM = 0.04
_RESIDUAL_FWHM_HZ = (6.0, 15.0)


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """What the scanner stores.

    Parameters
    ----------
    metabolites : complex array, shape (n_coils, n_blocks, n_cycles, n_points)
        With metabolite cycling ``n_cycles`` is 2.
    water : complex array, shape (n_coils, n_water_blocks, n_points), or None
        The water reference; None with metabolite cycling.
    """

    metabolites: ComplexArray
    water: ComplexArray | None


@dataclass(frozen=True, slots=True, eq=False)
class _Wander:
    """Frequency, phase and amplitude of each stored transient, arrays of one shape."""

    shift_hz: FloatArray
    phase_rad: FloatArray
    amplitude: FloatArray

    def of(self, fids: ComplexArray, axis: SpectralAxis) -> ComplexArray:
        turn = 2 * np.pi * self.shift_hz[..., None] * axis.time_s + self.phase_rad[..., None]
        return np.asarray(fids * self.amplitude[..., None] * np.exp(1j * turn))


@dataclass(frozen=True, slots=True, eq=False)
class _Receiver:
    """Complex sensitivities of the coils, shape (n_coils,), and the correlation of the noise of any two of them."""

    sensitivities: ComplexArray
    noise_correlation: float

    def stored(self, fids: ComplexArray, sd: float, rng: Draws) -> ComplexArray:
        """Give each coil its view of the transients, and noise that leaves ``sd`` after the optimal combination."""
        n_coils = len(self.sensitivities)
        correlation = np.full((n_coils, n_coils), self.noise_correlation)
        np.fill_diagonal(correlation, 1.0)
        # The optimal combination with sensitivities s and noise covariance N has the variance 1 / (s^H N^-1 s).
        precision = np.vdot(self.sensitivities, np.linalg.solve(correlation, self.sensitivities)).real
        seen = self.sensitivities.reshape(-1, *(1,) * fids.ndim) * fids
        noise = rng.standard_normal((2, *seen.shape))
        mixed = np.tensordot(np.linalg.cholesky(correlation), noise[0] + 1j * noise[1], axes=1)
        return np.asarray(seen + sd * np.sqrt(precision) * mixed)


def record(clean: CleanSpectrum, recipe: Recipe, axis: SpectralAxis, *, snr: float, rng: Draws) -> Recorded:
    """Play the acquisition of one scan.

    Parameters
    ----------
    clean : CleanSpectrum
    recipe : Recipe
    axis : SpectralAxis
    snr : float
        Signal-to-noise ratio of the spectrum after all transients and coils are combined.
    rng : Draws

    Returns
    -------
    Recorded
    """
    m, artefacts = recipe.measurement, recipe.artefacts
    n_cycles = 2 if m.cycling else 1
    gain = 1 + m.gain_cv * rng.standard_normal()
    metabolites, water = gain * clean.without_water, clean.water
    # Noise is opposite only where phase and frequency are the same.
    frame = unmirrored(rng)
    eddy = _eddy_phase(artefacts, axis, frame)
    halves = (
        _cycled(metabolites, water, artefacts, frame)
        if m.cycling
        else metabolites + _residual(clean, recipe, axis, frame)
    )
    offset_hz, phase_rad = _offset_and_phase(artefacts, frame)
    coils = _sensitivities(m.coils, frame) * np.exp(1j * phase_rad + _SCALE_SIGMA_LOG * frame.standard_normal())
    # Each stored transient has so much noise that the average over all of them has what the SNR asks for.
    sd = noise_sd(clean, axis, snr) * np.sqrt(m.blocks * n_cycles) * gain
    wander = _wander((m.blocks, n_cycles), artefacts, offset_hz, frame)
    receiver = _Receiver(coils, m.coil_noise_correlation)
    stored = receiver.stored(wander.of(np.atleast_2d(halves) * eddy, axis), sd, rng)
    if m.cycling:
        return Recorded(stored, None)
    still = _wander((m.water_blocks,), artefacts.model_copy(update={"drift_max_hz": 0.0}), offset_hz, frame)
    return Recorded(stored, receiver.stored(still.of(water * eddy, axis), sd, rng))


def average(clean: CleanSpectrum, recipe: Recipe, axis: SpectralAxis, *, snr: float, rng: Draws) -> Recorded:
    """Play an acquisition that the scanner combines to one average without loss, and its water reference.

    There is the scan's own frequency offset, phase, scale, gain and noise, and residual water where water is
    suppressed; no coils, drift, motion or eddy currents.

    Parameters
    ----------
    clean, recipe, axis, snr, rng
        As for `record`.

    Returns
    -------
    Recorded
        With one coil, block and cycle, and a water reference under metabolite cycling too.
    """
    m, artefacts = recipe.measurement, recipe.artefacts
    gain = 1 + m.gain_cv * rng.standard_normal()
    kept = (1 + artefacts.inversion_efficiency) / 2 if m.cycling else 1.0
    metabolites = gain * kept * clean.without_water
    frame = unmirrored(rng)
    if not m.cycling:
        metabolites = metabolites + _residual(clean, recipe, axis, frame)
    offset_hz, phase_rad = _offset_and_phase(artefacts, frame)
    scale = np.exp(1j * phase_rad + _SCALE_SIGMA_LOG * frame.standard_normal())
    turned = scale * np.exp(2j * np.pi * offset_hz * axis.time_s)
    noise = rng.standard_normal((2, 2, axis.n_points)) * (noise_sd(clean, axis, snr) * gain * abs(scale))
    stored = np.array([metabolites, clean.water]) * turned + noise[0] + 1j * noise[1]
    return Recorded(stored[0].reshape(1, 1, 1, -1), stored[1].reshape(1, 1, -1))


def _offset_and_phase(artefacts: ArtefactSettings, rng: np.random.Generator) -> tuple[float, float]:
    """Draw frequency offset and receiver phase of a scan."""
    offset_hz = artefacts.offset_sd_hz * rng.standard_normal()
    return offset_hz, float(np.deg2rad(artefacts.phase_sd_deg) * rng.standard_normal())


def _cycled(
    metabolites: ComplexArray, water: ComplexArray, artefacts: ArtefactSettings, rng: np.random.Generator
) -> ComplexArray:
    """Give the two halves of metabolite cycling, shape (2, n_points)."""
    imbalance = artefacts.cycling_imbalance * rng.uniform(-1, 1)
    return np.array([water + metabolites, (1 - imbalance) * water - artefacts.inversion_efficiency * metabolites])


def _residual(clean: CleanSpectrum, recipe: Recipe, axis: SpectralAxis, rng: np.random.Generator) -> ComplexArray:
    """Water left by water suppression: a few lines around 4.65 ppm, each with its own phase."""
    amplitude = recipe.artefacts.residual_water * clean.naa_methyl * rng.random(_RESIDUAL_LINES) / _RESIDUAL_LINES
    offset_hz = axis.offset_hz(WATER_PPM) + axis.hz_per_ppm * _RESIDUAL_SD_PPM * rng.standard_normal(_RESIDUAL_LINES)
    width_hz = rng.uniform(*_RESIDUAL_FWHM_HZ, _RESIDUAL_LINES)
    phase = rng.uniform(-np.pi, np.pi, _RESIDUAL_LINES)
    exponent = (2j * np.pi * offset_hz - np.pi * width_hz)[:, None] * axis.time_s + 1j * phase[:, None]
    lines: ComplexArray = np.asarray(amplitude @ np.exp(exponent), dtype=np.complex128)
    return broadened(lines, axis, gauss_hz=clean.line_shape.gauss_hz)


def _eddy_phase(artefacts: ArtefactSettings, axis: SpectralAxis, rng: np.random.Generator) -> ComplexArray:
    """Phase factor over time that eddy currents give to water and metabolites alike, shape (n_points,)."""
    start_rad = np.deg2rad(artefacts.eddy_max_deg) * rng.uniform(-1, 1)
    return np.asarray(np.exp(1j * start_rad * np.exp(-axis.time_s / rng.uniform(*artefacts.eddy_decay_s))))


def _sensitivities(n_coils: int, rng: np.random.Generator) -> ComplexArray:
    """Draw complex sensitivities whose squares sum to 1: then the optimal combination has the noise of one coil."""
    if n_coils == 1:
        return np.ones(1, dtype=np.complex128)
    size = np.exp(_COIL_SIGMA_LOG * rng.standard_normal(n_coils))
    turn = np.exp(1j * rng.uniform(-np.pi, np.pi, n_coils))
    return np.asarray(size * turn / np.linalg.norm(size))


def _wander(shape: tuple[int, ...], artefacts: ArtefactSettings, offset_hz: float, rng: np.random.Generator) -> _Wander:
    """Draw drift, jitter and motion of stored transients, in the order in which they are acquired."""
    n = int(np.prod(shape))
    drift = artefacts.drift_max_hz * rng.uniform(-1, 1) * np.linspace(0, 1, n)
    shift = offset_hz + drift + artefacts.jitter_hz * rng.standard_normal(n)
    phase = np.deg2rad(artefacts.phase_jitter_deg) * rng.standard_normal(n)
    moved = rng.random(n) < artefacts.corrupted
    shift += moved * _MOTION_SHIFT_HZ * rng.standard_normal(n)
    phase += moved * np.deg2rad(_MOTION_PHASE_DEG) * rng.standard_normal(n)
    amplitude = 1 - moved * rng.uniform(*_MOTION_LOSS, n)
    return _Wander(shift.reshape(shape), phase.reshape(shape), amplitude.reshape(shape))
