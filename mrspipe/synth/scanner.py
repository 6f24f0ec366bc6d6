"""What the scanner delivers of one scan, in memory: uncombined transients, or one average and its water reference."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.synth.anatomy import voxel_affine
from mrspipe.synth.artefacts import average, record
from mrspipe.synth.cohort import ScanTruth
from mrspipe.synth.recipe import Recipe
from mrspipe.synth.spectra import LineShape, synthesise
from mrspipe.synth.streams import NUISANCE, SPECTRA

SpectrumLevel = Literal["averaged", "raw"]
# SD of the voxel's rotation from session to session, assumed.
_ANGLE_SD_DEG = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Delivered:
    """One scan as it leaves the scanner; ``water`` is None with uncombined metabolite cycling, which holds its own."""

    metabolites: Signal
    water: Signal | None
    line_shape: LineShape


def scan(truth: ScanTruth, recipe: Recipe, basis: BasisSet, seed: int, *, level: SpectrumLevel = "raw") -> Delivered:
    """Measure one scan.

    Parameters
    ----------
    truth : ScanTruth
    recipe : Recipe
    basis : BasisSet
        From `mrspipe.synth.spectra.make_basis`.
    seed : int
        Of the study; the scan has its own stream of it.
    level : {"averaged", "raw"}
        ``raw``: the coils, transients and cycles of the recipe, with drift, motion and eddy currents. ``averaged``: one
        free induction decay and its water reference, without these.

    Returns
    -------
    Delivered
    """
    rng = truth.draws(seed, SPECTRA)
    clean = synthesise(truth, recipe, basis, rng, truth.draws(seed, NUISANCE, 1))
    play = average if level == "averaged" else record
    recorded = play(clean, recipe, basis.axis, snr=truth.snr, rng=rng)
    # One position for all scans of a session.
    angle_deg = _ANGLE_SD_DEG * float(truth.draws(seed, SPECTRA, 2).standard_normal())
    m = recipe.measurement
    affine = voxel_affine(m, displacement_mm=truth.displacement_mm, angle_deg=angle_deg)

    def signal(samples: ComplexArray, dims: tuple[str, ...], n_transients: int, *, suppressed: bool) -> Signal:
        acquisition = _acquisition(recipe, n_transients=n_transients, water_suppressed=suppressed)
        return _squeezed(samples, dims, basis, acquisition, affine)

    suppressed = level == "averaged" or not m.cycling
    metabolites = signal(recorded.metabolites, ("coil", "transient", "cycle"), m.n_transients, suppressed=suppressed)
    water = recorded.water
    if water is None:
        return Delivered(metabolites, None, clean.line_shape)
    # The halves of metabolite cycling hold water in every transient.
    n_water = m.n_transients if m.cycling else m.water_blocks
    return Delivered(metabolites, signal(water, ("coil", "transient"), n_water, suppressed=False), clean.line_shape)


def averaged_scan(truth: ScanTruth, recipe: Recipe, basis: BasisSet, seed: int) -> tuple[Signal, Signal]:
    """One scan as an average without loss and its water reference; 1 to 2 ms, for many thousands of scans.

    Parameters
    ----------
    truth, recipe, basis, seed
        As for `scan`.

    Returns
    -------
    metabolites, water : Signal
        With the one dimension ``time``.
    """
    delivered = scan(truth, recipe, basis, seed, level="averaged")
    assert delivered.water is not None
    return delivered.metabolites, delivered.water


def _squeezed(
    samples: ComplexArray, names: tuple[str, ...], basis: BasisSet, acquisition: Acquisition, affine: FloatArray
) -> Signal:
    """Drop dimensions of length 1; time, the last, stays."""
    kept = [length > 1 for length in samples.shape[:-1]]
    dims = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    shape = [length for length in samples.shape[:-1] if length > 1]
    values = np.reshape(samples, (*shape, samples.shape[-1]))
    return Signal(values, (*dims, "time"), axis=basis.axis, acquisition=acquisition, affine=affine)


def _acquisition(recipe: Recipe, *, n_transients: int, water_suppressed: bool) -> Acquisition:
    m = recipe.measurement
    return Acquisition(
        field_t=m.field_t,
        sequence=m.sequence,
        echo_time_s=m.echo_time_s,
        repetition_time_s=m.repetition_time_s,
        manufacturer="simulated",
        n_transients=n_transients,
        voxel_mm=m.voxel_mm,
        water_suppressed=water_suppressed,
    )
