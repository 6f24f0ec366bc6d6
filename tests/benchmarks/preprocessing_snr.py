"""Print the SNR that preprocessing reaches, relative to ideal averaging, and the bias of glutamate.

Usage: python tests/benchmarks/preprocessing_snr.py [--n 16] [--pairs 64] [--seed 1] [--kind cycled] [--fit]

Each synthetic scan is recorded twice with the same artefacts, with noise and without: what the transients suffered is
then known exactly. Ideal averaging knows it: it combines the coils and the transients by their true amplitudes and the
true noise. Glutamate, relative to water, is compared to the same scan without noise and without spoiled transients:
by projection on the known signals, as the mean of two scans of opposite noise. With ``--fit`` it is fitted too, beside
the true signal with the same noise. Not a test: it claims nothing.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.operators import to_spectrum
from mrspipe.core.signal import Acquisition, Scan, ScanKey, Signal
from mrspipe.fit.settings import FitSettings
from mrspipe.fit.spectrum import fit_spectrum
from mrspipe.preprocess.alignment import band_limited, register
from mrspipe.preprocess.steps import PreprocessSettings, ReconstructCycling, RemoveWater, preprocess
from mrspipe.synth.artefacts import Recorded, record
from mrspipe.synth.cohort import draw_cohort
from mrspipe.synth.recipe import Recipe
from mrspipe.synth.spectra import CleanSpectrum, make_basis, synthesise

# Without noise, to all purposes.
_NO_NOISE = 1e12
_EFFICIENCY = 0.95
_WINDOW_PPM = (0.5, 4.0)
_ALIGNED_PPM = (1.9, 3.4)
# Polynomials that stand for a baseline in the projection.
_BASELINE_DEGREE = 5
# Beyond these there is hardly anything but noise, in ppm.
_EMPTY_PPM = (0.0, 8.5)
# Metabolite cycling: 8 coils with correlated noise, 2 % imbalance, 95 % inversion, 3 Hz drift, 5 % spoiled.
_MEASUREMENT: Mapping[str, Any] = {"coils": 8, "coil_noise_correlation": 0.3}
_ARTEFACTS: Mapping[str, Any] = {
    "drift_max_hz": 3.0,
    "corrupted": 0.05,
    "inversion_efficiency": _EFFICIENCY,
    "cycling_imbalance": 0.02,
}


def recipe_of(cycling: bool, pairs: int, **artefacts: float) -> Recipe:
    """Recipe of the benchmark; as many transients with water suppression as with cycling."""
    blocks = pairs if cycling else 2 * pairs
    measurement = {**_MEASUREMENT, "cycling": cycling, "blocks": blocks, "n_transients": 2 * pairs, "water_blocks": 4}
    return Recipe.model_validate({"measurement": measurement, "artefacts": {**_ARTEFACTS, **artefacts}})


def scan_of(recorded: Recorded, axis: SpectralAxis) -> Scan:
    """A scan as it would be read from its files."""
    dims = ("coil", "transient", "cycle", "time")
    acquisition = Acquisition(field_t=3.0, sequence="press", echo_time_s=0.032, repetition_time_s=2.5)
    water = None if recorded.water is None else Signal(recorded.water, ("coil", "transient", "time"), axis, acquisition)
    return Scan(ScanKey("01"), Signal(recorded.metabolites, dims, axis, acquisition), water)


def ideal_snr(noisy: Recorded, still: Recorded, truth: CleanSpectrum) -> float:
    """SNR of the best unbiased average, for metabolites of the true size.

    The noise covariance is that of the noise itself. The first points tell what each coil and each transient has: of
    the transients of one kind, the largest is unspoiled.
    """
    noise = (noisy.metabolites - still.metabolites).reshape(len(still.metabolites), -1)
    covariance = noise @ noise.conj().T / noise.shape[1] / 2
    cycled = still.water is None
    strong, whole = (still.metabolites[:, :, 0, 0], truth.water + truth.without_water)
    if still.water is not None:
        strong, whole = still.water[:, :, 0], truth.water
    direction = np.linalg.svd(strong, full_matrices=False)[0][:, 0]
    sensitivity = direction * np.linalg.norm(strong, axis=0).max() / abs(whole[0])
    quality = float(np.vdot(sensitivity, np.linalg.solve(covariance, sensitivity)).real)
    size = np.linalg.norm(still.metabolites[..., 0], axis=0)
    energy = np.sum((size / size.max(axis=0)) ** 2, axis=0)
    # Upright and inverted shots are averaged each on their own: M = (A - B) / (1 + e).
    counted = (1 + _EFFICIENCY) ** 2 / np.sum(1 / energy) if cycled else energy[0]
    return float(np.sqrt(quality * counted))


def reached_snr(clean: Scan, noiseless: Scan, truth: CleanSpectrum) -> float:
    """Amplitude of the metabolites over the SD of the noise, in the preprocessed spectrum.

    Tails of water and baseline are everywhere: noise is what differs from the same scan without noise, where there are
    only tails.
    """
    axis = clean.metabolites.axis
    noise = to_spectrum(clean.metabolites.fid - noiseless.metabolites.fid)
    empty = noise[(axis.ppm < _EMPTY_PPM[0]) | (axis.ppm > _EMPTY_PPM[1])]
    sd = np.sqrt(np.mean(np.abs(empty) ** 2) / 2 / axis.n_points)
    return float(_levels(clean.metabolites.fid, [truth.without_water], axis)[0] / sd)


def mirrored(noisy: Recorded, still: Recorded) -> Recorded:
    """The same scan with the opposite noise: in the mean of both, only what noise biases is left of it."""
    water = None if noisy.water is None or still.water is None else 2 * still.water - noisy.water
    return Recorded(2 * still.metabolites - noisy.metabolites, water)


def glutamate(clean: Scan, parts: Sequence[ComplexArray], truth: CleanSpectrum) -> float:
    """Glutamate relative to water, both in units of the truth."""
    return float(_levels(clean.metabolites.fid, parts, clean.metabolites.axis)[0] / _water(clean, truth))


def _water(clean: Scan, truth: CleanSpectrum) -> float:
    if clean.water is None:
        return float("nan")
    return float(np.vdot(truth.water, clean.water.fid).real / np.vdot(truth.water, truth.water).real)


def _levels(fid: ComplexArray, parts: Sequence[ComplexArray], axis: SpectralAxis) -> FloatArray:
    """Least-squares levels of known signals between 0.5 and 4 ppm, beside a smooth baseline such as the tail of water.

    A common shift and phase are taken off first, as a fit does: those of an average are not those of its water.
    """
    total = np.sum(parts, axis=0)
    seen, known = (band_limited(one, axis, _ALIGNED_PPM) for one in (fid, total))
    found = register(seen[None], known, axis)
    window = axis.slice_ppm(*_WINDOW_PPM)
    data = to_spectrum(found.applied(fid[None], axis)[0])[window]
    smooth = np.polynomial.legendre.legvander(np.linspace(-1, 1, data.size), _BASELINE_DEGREE)
    scale = np.abs(data).max()
    design = np.column_stack([to_spectrum(np.array(parts))[:, window].T, scale * smooth, 1j * scale * smooth])
    stacked = np.concatenate([design.real, design.imag]), np.concatenate([data.real, data.imag])
    return np.asarray(np.linalg.lstsq(*stacked, rcond=None)[0])


def main() -> None:
    """Record, preprocess, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=16, help="scans of each kind")
    parser.add_argument("--pairs", type=int, default=64, help="pairs of transients")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=("cycled", "suppressed"), help="one kind of acquisition instead of both")
    parser.add_argument("--fit", action="store_true", help="fit glutamate too")
    options = parser.parse_args()
    sys.stdout.write(f"{'acquisition':14s} {'SNR / ideal':>12s} {'lowest':>7s} {'Glu bias %':>11s} {'+-':>5s}")
    sys.stdout.write(f" {'fitted %':>9s} {'+-':>5s}\n" if options.fit else "\n")
    for name in [options.kind] if options.kind else ["cycled", "suppressed"]:
        rows = np.array([_measured(number, name == "cycled", options) for number in range(options.n)])
        ratio, *biases = rows.T
        line = f"{name:14s} {ratio.mean():12.3f} {ratio.min():7.3f}"
        for bias, width in zip(biases, (11, 9), strict=False):
            line += f" {100 * bias.mean():{width}.2f} {100 * bias.std(ddof=1) / np.sqrt(len(bias)):5.2f}"
        sys.stdout.write(f"{line}\n")


def _measured(number: int, cycling: bool, options: argparse.Namespace) -> list[float]:
    """SNR reached over ideal, and the relative errors of glutamate, of one scan."""
    recipe = recipe_of(cycling, options.pairs)
    basis = make_basis(recipe)
    cohort = draw_cohort(recipe, seed=options.seed).scans
    person = cohort[number % len(cohort)]
    streams = [options.seed, number]

    def clean_of(levels: Mapping[str, float]) -> CleanSpectrum:
        return synthesise(replace(person, levels=levels), recipe, basis, np.random.default_rng([*streams, 0]))

    truth = clean_of(person.levels)
    rest = clean_of({**person.levels, "Glu": 0.0}).without_water
    parts = [truth.without_water - rest, rest]

    def recorded(snr: float, corrupted: float) -> Recorded:
        world = recipe_of(cycling, options.pairs, corrupted=corrupted)
        return record(truth, world, basis.axis, snr=snr, rng=np.random.default_rng([*streams, 1]))

    noisy, still = recorded(person.snr, 0.05), recorded(_NO_NOISE, 0.05)
    settings = PreprocessSettings()
    steps = tuple(
        step.model_copy(update={"inversion_efficiency": _EFFICIENCY}) if isinstance(step, ReconstructCycling) else step
        for step in settings.steps
    )
    settings = PreprocessSettings(steps=steps)
    clean, opposite, noiseless, reference = (
        preprocess(scan_of(one, basis.axis), settings)
        for one in (noisy, mirrored(noisy, still), still, recorded(_NO_NOISE, 0.0))
    )
    expected = glutamate(reference, parts, truth)
    levels = [glutamate(one, parts, truth) / expected for one in (clean, opposite)]
    result = [reached_snr(clean, noiseless, truth) / ideal_snr(noisy, still, truth), np.mean(levels) - 1]
    if options.fit:
        # The noise is the same on both sides: what a fit makes of noise is not the matter here.
        before = PreprocessSettings(steps=tuple(step for step in steps if not isinstance(step, RemoveWater)))
        noise = np.subtract(*(preprocess(scan_of(one, basis.axis), before).metabolites.fid for one in (noisy, still)))
        known = _water(reference, truth) * truth.without_water + noise
        ideal = replace(clean, metabolites=replace(clean.metabolites, samples=known))
        ratio = _water(reference, truth) / _water(clean, truth)
        result.append(ratio * _fitted(clean, basis) / _fitted(ideal, basis) - 1)
    return [float(value) for value in result]


def _fitted(clean: Scan, basis: BasisSet) -> float:
    fit = fit_spectrum(clean.metabolites, basis, FitSettings())
    return float(fit.amplitudes[fit.names.index("Glu")])


if __name__ == "__main__":
    main()
