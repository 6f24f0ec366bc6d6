"""The preprocessing steps as settings with a verb, and the chain that folds them over a scan.

A step is a frozen `Settings` with a ``step`` tag, its options, and ``__call__(scan) -> scan``. It looks at the
dimensions of the signals: what it does not apply to it leaves alone, without an entry in the history. That is why one
default chain serves averaged data, raw coils and transients, and metabolite cycling.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from mrspipe.core.arrays import ComplexArray
from mrspipe.core.errors import AnalysisError
from mrspipe.core.noise import noise_covariance
from mrspipe.core.signal import ProcessingStep, Scan, Signal
from mrspipe.physics.constants import WATER_PPM
from mrspipe.preprocess.alignment import Alignment, align
from mrspipe.preprocess.coils import CoilWeights, coil_weights
from mrspipe.preprocess.cycling import inversion_efficiency, separated, water_share
from mrspipe.preprocess.eddy import WaterPhase, water_phase, without_phase
from mrspipe.preprocess.transients import outliers
from mrspipe.preprocess.water import lines_stand_out, water_oscillations
from mrspipe.preprocess.weights import TransientWeights, transient_weights
from mrspipe.settings import Settings

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]

# Dimensions that the steps can resolve, in the order they are worked on.
_KNOWN = ("coil", "transient", "cycle", "time")
# Fewer transients than this have no robust scatter to judge an outlier by.
_MIN_TRANSIENTS = 8


def _rising(band: tuple[float, float]) -> tuple[float, float]:
    if band[0] >= band[1]:
        raise ValueError(f"a range must rise, got {band[0]} to {band[1]}; swap them.")
    return band


Band = Annotated[tuple[float, float], AfterValidator(_rising)]


class CombineCoils(Settings):
    """Combine the receive coils with the best signal-to-noise ratio; metabolites and water with the same weights."""

    step: Literal["combine_coils"] = "combine_coils"
    """Name of the step."""

    def __call__(self, scan: Scan) -> Scan:
        """Combine; without coils, leave the scan alone."""
        scan = _without_unmatched_water(scan)
        if "coil" not in scan.metabolites.dims:
            return scan
        reference, source = (scan.metabolites, "metabolites") if scan.water is None else (scan.water, "water")
        found = coil_weights(_first(reference, "coil"), noise_covariance(_first(scan.metabolites, "coil")))
        details = {"n_coils": len(found.weights), "weights_from": source, "snr_gain": found.snr_gain}
        step = _entry("combine coils", details)
        return replace(
            scan,
            metabolites=_combined(scan.metabolites, found, step),
            water=None if scan.water is None else _combined(scan.water, found, step),
        )


class SplitCycling(Settings):
    """Pair alternating transients of a metabolite-cycled scan, where the file does not say that it is one."""

    step: Literal["split_cycling"] = "split_cycling"
    """Name of the step."""

    def __call__(self, scan: Scan) -> Scan:
        """Turn the transients into pairs."""
        signal = scan.metabolites
        if "cycle" in signal.dims:
            return scan
        n = signal.size("transient")
        if n % 2:
            raise AnalysisError(
                f"{n} transients cannot be split into pairs of a metabolite cycle.",
                where="preprocess.steps.split_cycling",
                cure="Leave the step out if the scan is not metabolite-cycled.",
                code="cycle",
            )
        first = _first(signal, "transient")
        pairs = np.moveaxis(first.reshape(n // 2, 2, *first.shape[1:]), 1, -2)
        rest = tuple(dim for dim in signal.dims[:-1] if dim != "transient")
        step = _entry("split metabolite cycle", {"n_pairs": n // 2})
        return replace(scan, metabolites=signal.after(step, pairs, ("transient", *rest, "cycle", "time")))


class Align(Settings):
    """Align frequency and phase of the transients (spectral registration); metabolite-cycled ones on their water."""

    step: Literal["align"] = "align"
    """Name of the step."""
    band_ppm: Band | None = (1.9, 3.4)
    """Part of a water-suppressed spectrum that is compared, in ppm; none: all of it. Cycled scans and water references
    are compared on all of it, which is their water."""
    duration_s: Positive = 0.2
    """Part of the FID that is compared, in s."""
    max_shift_hz: Positive = 20.0
    """Largest shift that is looked for, in Hz."""

    def __call__(self, scan: Scan) -> Scan:
        """Align the transients of both signals, each on its own."""
        band = None if "cycle" in scan.metabolites.dims else self.band_ppm
        water = None if scan.water is None else self._aligned(scan.water, None)
        return replace(scan, metabolites=self._aligned(scan.metabolites, band), water=water)

    def _aligned(self, signal: Signal, band_ppm: Band | None) -> Signal:
        if signal.size("transient") * signal.size("cycle") == 1:
            return signal
        _refuse_coils(signal, self.step)
        fids = signal.samples.reshape(-1, signal.axis.n_points)
        found = align(fids, signal.axis, duration_s=self.duration_s, max_shift_hz=self.max_shift_hz, band_ppm=band_ppm)
        step = _entry("align transients", {**_spread(found), "band_ppm": band_ppm})
        return signal.after(step, found.applied(fids, signal.axis).reshape(signal.samples.shape))


class RejectTransients(Settings):
    """Leave out transients that lie far from the others, such as those with motion; cycled ones in pairs."""

    step: Literal["reject_transients"] = "reject_transients"
    """Name of the step."""
    threshold: Positive = 5.0
    """Distance from the median transient above which one is left out, in robust standard deviations."""
    max_fraction: Fraction = 0.2
    """Largest part of the transients that may be left out."""
    band_ppm: Band | None = (0.5, 3.8)
    """Part of the spectrum that is compared, in ppm; none: all of it."""

    def __call__(self, scan: Scan) -> Scan:
        """Reject transients of the metabolites."""
        signal = scan.metabolites
        if signal.size("transient") < _MIN_TRANSIENTS:
            return scan
        _refuse_coils(signal, self.step)
        fids = _first(signal, "transient")
        rejected = outliers(
            fids, signal.axis, threshold=self.threshold, max_fraction=self.max_fraction, band_ppm=self.band_ppm
        )
        details = {"n_rejected": int(rejected.sum()), "rejected": np.flatnonzero(rejected).tolist()}
        dims = ("transient", *(dim for dim in signal.dims if dim != "transient"))
        step = _entry("reject transients", {**details, "n_kept": int((~rejected).sum())})
        return replace(scan, metabolites=signal.after(step, fids[~rejected], dims))


class ReconstructCycling(Settings):
    """Separate water and metabolites of a metabolite-cycled scan; its water becomes the reference if there is none."""

    step: Literal["reconstruct_cycling"] = "reconstruct_cycling"
    """Name of the step."""
    upright: Literal["first", "second"] = "first"
    """Which shot of a pair holds the metabolites upright."""
    inversion_efficiency: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Part of the metabolite magnetisation that the cycling pulse inverts."""
    balance: bool = True
    """Take out what differs in size, phase, frequency or width between the water of the two shots."""

    def __call__(self, scan: Scan) -> Scan:
        """Separate; without a cycle, leave the scan alone."""
        reference = scan.water
        if reference is not None and "cycle" in reference.dims:
            reference = self._separated(reference)[0]
        if "cycle" not in scan.metabolites.dims:
            return replace(scan, water=reference)
        water, metabolites = self._separated(scan.metabolites)
        if reference is not None:
            return replace(scan, metabolites=metabolites, water=reference)
        note = "The water signal of the metabolite-cycled scan itself."
        return replace(scan, metabolites=metabolites, water=water, water_note=note)

    def _separated(self, signal: Signal) -> tuple[Signal, Signal]:
        if signal.size("cycle") != 2:
            raise AnalysisError(
                f"A metabolite cycle has 2 shots, this one {signal.size('cycle')}.",
                where="dimension 'cycle'",
                code="cycle",
            )
        shots = _first(signal, "cycle")
        upright, inverted = shots if self.upright == "first" else shots[::-1]
        n_points = signal.axis.n_points
        mean_upright, mean_inverted = (shot.reshape(-1, n_points).mean(axis=0) for shot in (upright, inverted))
        found = water_share(mean_upright, mean_inverted, signal.axis)
        water, metabolites = separated(
            upright,
            inverted,
            residual=found.of((upright + inverted) / 2, signal.axis) if self.balance else 0.0,
            inversion_efficiency=self.inversion_efficiency,
        )
        efficiency = inversion_efficiency(mean_upright, mean_inverted, signal.axis)
        measured = {
            "amplitude_mismatch_pct": 100 * found.amplitude_mismatch,
            "frequency_mismatch_hz": found.frequency_mismatch_hz,
            "unlike_water_pct": 100 * found.unlike,
            "measured_efficiency": efficiency.value,
            "measured_efficiency_se": efficiency.se,
            "measured_efficiency_note": efficiency.note,
        }
        step = _entry("reconstruct metabolite cycle", {**measured, **self.model_dump(exclude={"step"})})
        dims = tuple(dim for dim in signal.dims if dim != "cycle")
        unsuppressed = replace(signal, acquisition=replace(signal.acquisition, water_suppressed=False))
        return unsuppressed.after(step, water, dims), signal.after(step, metabolites, dims)


class Average(Settings):
    """Average the transients of both signals, each shot of a metabolite cycle on its own.

    Unusual transients are weighted by their size and their noise, and those of no use are dropped.
    """

    step: Literal["average"] = "average"
    """Name of the step."""
    weighted: bool = True
    """Weight transients whose size or residual is unusual; false: all count the same."""
    threshold: Positive = 3.0
    """Distance from the median above which a size or a residual is unusual, in robust standard deviations."""
    least_weight: Fraction = 0.1
    """Transients that would count less than this part of a usual one are dropped."""
    band_ppm: Band | None = (0.5, 3.8)
    """Part of a spectrum of metabolites that is compared, in ppm; none: all of it. Sizes of water references and of
    cycled shots are those of their water."""

    def __call__(self, scan: Scan) -> Scan:
        """Average."""
        cycled = "cycle" in scan.metabolites.dims
        metabolites = self._averaged(scan.metabolites, None if cycled else self.band_ppm, self.band_ppm)
        water = None if scan.water is None else self._averaged(scan.water, None, None)
        return replace(scan, metabolites=metabolites, water=water)

    def _averaged(self, signal: Signal, size_band_ppm: Band | None, residual_band_ppm: Band | None) -> Signal:
        if "transient" not in signal.dims:
            return signal
        _refuse_coils(signal, self.step)
        n = signal.size("transient")
        shots = _first(signal, "transient").reshape(n, -1, signal.axis.n_points).swapaxes(0, 1)
        found = [
            transient_weights(
                fids,
                signal.axis,
                size_band_ppm=size_band_ppm,
                residual_band_ppm=residual_band_ppm,
                threshold=self.threshold if self.weighted else np.inf,
                least_weight=self.least_weight,
            )
            for fids in shots
        ]
        mean = np.array([one.weights @ fids for one, fids in zip(found, shots, strict=True)])
        dims = tuple(dim for dim in signal.dims if dim != "transient")
        step = _entry("average transients", _weighting(found))
        return signal.after(step, mean if "cycle" in dims else mean[0], dims)


class CorrectEddyCurrents(Settings):
    """Take the phase of the water reference off both signals (Klose)."""

    step: Literal["eddy"] = "eddy"
    """Name of the step."""
    noise_factor: Positive = 5.0
    """Water points below this many noise standard deviations take the phase of the point before them."""

    def __call__(self, scan: Scan) -> Scan:
        """Correct; without water, leave the scan alone."""
        if scan.water is None:
            return scan
        for signal in (scan.metabolites, scan.water):
            _refuse(signal, self.step, ("coil", "transient", "cycle"), "average")
        phase = water_phase(scan.water.fid, scan.water.axis, noise_factor=self.noise_factor)
        if phase is None:
            return replace(scan, water=None, water_note="The water reference does not stand out of its noise.")
        details = {"water_frequency_hz": phase.frequency_hz, "usable_s": phase.usable_s}
        step = _entry(
            "eddy-current correction", {**details, "deviation_deg": float(np.rad2deg(phase.deviation_range_rad))}
        )
        return replace(
            scan,
            metabolites=_without_phase(scan.metabolites, phase, step),
            water=_without_phase(scan.water, phase, step),
        )


class RemoveWater(Settings):
    """Remove the residual water of the metabolite signal (HSVD), where there is any above the noise."""

    step: Literal["remove_water"] = "remove_water"
    """Name of the step."""
    range_ppm: Band = (4.2, 5.1)
    """Oscillations in this range are removed, in ppm."""
    max_width_hz: Positive = 50.0
    """Wider oscillations stay: they describe macromolecules and the baseline, in Hz (full width at half maximum)."""
    n_components: Annotated[int, Field(ge=2)] = 30
    """Number of oscillations that the FID is decomposed into."""
    duration_s: Positive = 0.512
    """Part of the FID that is decomposed, in s."""

    def __call__(self, scan: Scan) -> Scan:
        """Remove; where nothing in the range stands out, leave the scan alone."""
        signal = scan.metabolites
        _refuse(signal, self.step, ("coil", "transient", "cycle"), "average")
        if not lines_stand_out(signal.fid, signal.axis, range_ppm=self.range_ppm, duration_s=self.duration_s):
            return scan
        found = water_oscillations(
            signal.fid,
            signal.axis,
            range_ppm=self.range_ppm,
            max_width_hz=self.max_width_hz,
            n_components=self.n_components,
            duration_s=self.duration_s,
        )
        if found.poles.size == 0:
            return scan
        details = {"n_removed": found.poles.size, "removed_amplitude": float(np.abs(found.amplitudes.sum()))}
        step = _entry("remove residual water", {**details, "range_ppm": self.range_ppm})
        return replace(scan, metabolites=signal.after(step, signal.fid - found.fid(signal.axis.n_points)))


Step = Annotated[
    CombineCoils
    | SplitCycling
    | Align
    | RejectTransients
    | ReconstructCycling
    | Average
    | CorrectEddyCurrents
    | RemoveWater,
    Field(discriminator="step"),
]


_COMBINING = frozenset({"combine_coils", "split_cycling", "reconstruct_cycling", "average"})


class PreprocessSettings(Settings):
    """How raw signals become one metabolite FID and one water FID."""

    steps: tuple[Step, ...] = (
        CombineCoils(),
        Align(),
        Average(),
        ReconstructCycling(),
        CorrectEddyCurrents(),
        RemoveWater(),
    )
    """The steps in their order; a step that does not apply to a scan does nothing."""


def preprocess(scan: Scan, settings: PreprocessSettings) -> Scan:
    """Fold the steps over a scan.

    Parameters
    ----------
    scan : Scan
        With any of the dimensions coil, transient and cycle.
    settings : PreprocessSettings

    Returns
    -------
    Scan
        With a single FID of metabolites and, where there is water, one of water, on one common scale.
    """
    start = replace(
        scan,
        metabolites=_supported(scan.metabolites, "metabolites"),
        water=None if scan.water is None else _supported(scan.water, "water"),
    )
    clean = reduce(lambda current, step: step(current), settings.steps, start)
    for name, signal in (("metabolites", clean.metabolites), ("water", clean.water)):
        if signal is not None and signal.dims != ("time",):
            raise AnalysisError(
                f"After preprocessing the {name} still have {_listed(signal.dims[:-1])}.",
                where="preprocess.steps",
                cure="Add the step that combines it, or use the default steps.",
                code="dimension",
            )
    return clean


def combined(scan: Scan, settings: PreprocessSettings) -> Scan:
    """Only combine coils, shots and transients, all counting the same: what preprocessing starts from."""
    combining = (step for step in settings.steps if step.step in _COMBINING)
    plain = {"average": {"weighted": False}, "reconstruct_cycling": {"balance": False}}
    steps = tuple(step.model_copy(update=plain.get(step.step, {})) for step in combining)
    return preprocess(scan, settings.model_copy(update={"steps": steps}))


def _supported(signal: Signal, name: str) -> Signal:
    """Drop dimensions of size one, refuse those that no step resolves, and put the rest into one order."""
    single = tuple(i for i, dim in enumerate(signal.dims[:-1]) if signal.samples.shape[i] == 1)
    dims = tuple(dim for i, dim in enumerate(signal.dims) if i not in single)
    unknown = tuple(dim for dim in dims if dim not in _KNOWN)
    if unknown:
        raise AnalysisError(
            f"The {name} have {_listed(unknown)}, which is not supported.",
            where="preprocess",
            cure="Combine or select along it before, for instance edit-on and edit-off as two scans.",
            code="dimension",
        )
    ordered = tuple(dim for dim in _KNOWN if dim in dims)
    samples = signal.samples.squeeze(axis=single).transpose([dims.index(dim) for dim in ordered])
    return replace(signal, samples=samples, dims=ordered)


def _without_unmatched_water(scan: Scan) -> Scan:
    """Drop a water reference whose coils are not those of the metabolites: it has another, unknown scale."""
    if scan.water is None or scan.water.size("coil") == scan.metabolites.size("coil"):
        return scan
    note = (
        f"The water reference has {scan.water.size('coil')} coil(s) and the metabolites have "
        f"{scan.metabolites.size('coil')}: one scale for both is not known, so it was not used."
    )
    return replace(scan, water=None, water_note=note)


def _combined(signal: Signal, found: CoilWeights, step: ProcessingStep) -> Signal:
    dims = tuple(dim for dim in signal.dims if dim != "coil")
    return signal.after(step, found.applied(_first(signal, "coil")), dims)


def _weighting(found: Sequence[TransientWeights]) -> dict[str, Any]:
    """How many transients counted less or not at all, and why; those of a cycle are numbered as they were acquired."""

    def numbers(flags: Iterable[NDArray[np.bool_]]) -> list[int]:
        return np.flatnonzero(np.stack(list(flags), axis=1)).tolist()

    dropped = numbers(one.dropped for one in found)
    changed, excess = numbers(one.changed_signal for one in found), numbers(one.excess_residual for one in found)
    return {
        "n_averaged": min(int((~one.dropped).sum()) for one in found),
        "n_dropped": len(dropped),
        "n_reweighted": len({*changed, *excess} - set(dropped)),
        "effective_number": min(one.effective_number for one in found),
        "dropped": dropped,
        "changed_signal": changed,
        "excess_residual": excess,
    }


def _without_phase(signal: Signal, phase: WaterPhase, step: ProcessingStep) -> Signal:
    return signal.after(step, without_phase(signal.fid, signal.axis, phase, water_ppm=WATER_PPM))


def _first(signal: Signal, dim: str) -> ComplexArray:
    """Samples with one dimension moved to the front."""
    return np.moveaxis(signal.samples, signal.dims.index(dim), 0)


def _spread(found: Alignment) -> dict[str, Any]:
    """What the corrections say about the scan."""
    number = np.arange(len(found.shift_hz))
    slope = np.polyfit(number, found.shift_hz, 1)[0]
    return {
        "n_aligned": len(found.shift_hz),
        # A correction is the opposite of what happened.
        "drift_hz": float(-slope * number[-1]),
        "shift_sd_hz": float(np.std(found.shift_hz)),
        "phase_sd_deg": float(np.rad2deg(np.std(found.phase_rad))),
        "shift_hz": tuple((-found.shift_hz).tolist()),
        "phase_deg": tuple((-np.rad2deg(found.phase_rad)).tolist()),
    }


def _entry(method: str, details: Mapping[str, Any]) -> ProcessingStep:
    return ProcessingStep(method, {name: _json_value(value) for name, value in details.items()})


def _json_value(value: Any) -> Any:
    """Plain JSON; floats to six significant digits, what is not finite as null."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    if isinstance(value, tuple):
        return [_json_value(part) for part in value]
    return value


def _refuse_coils(signal: Signal, step: str) -> None:
    _refuse(signal, step, ("coil",), "combine_coils")


def _refuse(signal: Signal, step: str, dims: tuple[str, ...], needed: str) -> None:
    """Refuse a signal that still has dimensions which an earlier step should have resolved."""
    left = tuple(dim for dim in dims if dim in signal.dims)
    if left:
        raise AnalysisError(
            f"The step cannot work on {_listed(left)}.",
            where=f"preprocess.steps.{step}",
            cure=f"Put {'reconstruct_cycling' if 'cycle' in left else needed} before it.",
            code="dimension",
        )


def _listed(dims: tuple[str, ...]) -> str:
    names = ", ".join(f"'{dim}'" for dim in dims)
    return f"the dimension {names}" if len(dims) == 1 else f"the dimensions {names}"
