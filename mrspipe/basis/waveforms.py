"""Settings of pulses: a design, or a waveform as a scanner plays it."""

import tomllib
from collections.abc import Mapping
from math import ceil
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from mrspipe.basis.designs import ADIABATIC, adiabatic_pulse, sinc_gauss_pulse, slr_pulse
from mrspipe.basis.pulses import ANGLE_RAD, Pulse, Purpose, pulse_of, slice_profile, width_hz
from mrspipe.core.arrays import ComplexArray
from mrspipe.core.errors import ConfigError
from mrspipe.settings import Settings, parse_settings

# Fewer samples are no shape.
_LEAST_SAMPLES = 4
# A waveform is held during its samples, which are cut into this many rotations in all at least.
_LEAST_ROTATIONS = 256
# Largest difference from symmetry in time, and from one phase, relative to the largest sample.
_TOLERANCE = 0.01
# A pulse must turn this part of the magnetisation in the middle of its slice.
_LEAST_EFFECT = 0.5
_COLUMNS = ("amplitude", "phase_deg", "gradient")

Samples = tuple[float, ...]


class Waveform(Settings):
    """Samples of a pulse, equally spaced in time."""

    duration_s: Annotated[float, Field(gt=0)]
    """Duration of the pulse, in s."""
    amplitude: Annotated[Samples, Field(min_length=_LEAST_SAMPLES)]
    """RF amplitude of each sample, in any unit; a negative one has the opposite phase."""
    phase_deg: Samples = ()
    """RF phase of each sample, in degrees; it rises where the pulse turns spins of higher frequency. Empty: 0."""
    gradient: Samples = ()
    """Slice gradient during each sample, in any unit; empty: constant."""
    peak_hz: Annotated[float, Field(gt=0)] | None = None
    """Largest RF amplitude, gamma B1 / 2 pi, in Hz; none: the one of the pulse's angle, 90 or 180 degrees, which a
    waveform with swept phases does not have."""

    @model_validator(mode="after")
    def _is_consistent(self) -> "Waveform":
        for name in _COLUMNS[1:]:
            n = len(getattr(self, name))
            if n not in {0, len(self.amplitude)}:
                raise ValueError(f"{name} has {n} samples, amplitude {len(self.amplitude)}")
        if not all(np.isfinite(getattr(self, name)).all() for name in _COLUMNS):
            raise ValueError("samples must be finite")
        if self.gradient and min(self.gradient) <= 0:
            raise ValueError("the gradient must be positive during the whole pulse")
        if self.peak_hz is None and (self.swept or self.samples.real.sum() <= 0):
            raise ValueError("a waveform whose phase is swept, or whose amplitudes do not add up, needs peak_hz")
        return self

    @property
    def samples(self) -> ComplexArray:
        """Samples relative to the largest, with their phases; shape (n_samples,)."""
        samples = np.array(self.amplitude) * np.exp(1j * np.deg2rad(self.phase_deg or 0.0))
        return np.asarray(samples / (np.abs(samples).max() or 1.0), dtype=np.complex128)

    @property
    def swept(self) -> bool:
        """Whether its phases are others than 0 and 180 degrees."""
        return bool(np.abs(self.samples.imag).max() > _TOLERANCE)

    @property
    def symmetric(self) -> bool:
        """Whether samples and gradient are the same backwards in time."""
        gradient = np.array(self.gradient or 0.0, ndmin=1) / max(self.gradient, default=1.0)
        return all(np.allclose(one, one[::-1], atol=_TOLERANCE) for one in (self.samples, gradient))


class PulseShape(Settings):
    """One pulse: designed from bandwidth and duration, or given as a waveform."""

    design: Literal["slr", "sinc_gauss", "hs", "foci", "goia"] = "slr"
    """Shinnar-Le Roux or sinc with a Gaussian window; for 180 degrees also the adiabatic hyperbolic secant, FOCI and
    GOIA-W(16,4)."""
    bandwidth_hz: Annotated[float, Field(gt=0)] = 2000.0
    """Full width of the slice at half maximum, in Hz (assumed)."""
    duration_s: Annotated[float, Field(gt=0)] = 0.004
    """Duration, in s (assumed)."""
    peak_hz: Annotated[float, Field(gt=0)] | None = None
    """Largest RF amplitude of an adiabatic pulse, gamma B1 / 2 pi, in Hz (1 uT: 42.6 Hz); none: strong enough for an
    adiabaticity of 6."""
    file: str = ""
    """Waveform as TOML or CSV file, instead of a design."""
    waveform: Waveform | None = None
    """Waveform itself, instead of a design."""

    @property
    def adiabatic(self) -> bool:
        """Whether the pulse sweeps its frequency."""
        return self.design in ADIABATIC if self.waveform is None else self.waveform.swept


# Refocusing pulses of sequences with single echoes (assumed), and of those with pairs: the semi-LASER for 3 T scanners
# of all vendors, 15 uT (Deelchand et al. 2021, doi 10.1002/nbm.4218).
_SINGLE = PulseShape(bandwidth_hz=1200.0, duration_s=0.0065)
_PAIRED = PulseShape(design="goia", bandwidth_hz=10000.0, duration_s=0.0045, peak_hz=639.0)


class PulseSettings(Settings):
    """Pulses of a sequence; the defaults are typical of a body coil at 3 T (assumed).

    The voxel of a line at ``p`` ppm is displaced by ``(p - carrier_ppm) f0 / bandwidth`` voxel sizes.
    """

    excitation: PulseShape = PulseShape()
    """90 degree pulses: the first of each sequence, and all of STEAM."""
    refocusing: PulseShape | None = None
    """180 degree pulses between crushers; none: SLR of 1200 Hz and 6.5 ms (assumed), for semi-LASER GOIA of 10 kHz,
    4.5 ms and 15 uT."""
    inversion: PulseShape = PulseShape(design="hs", bandwidth_hz=2000.0, duration_s=0.010)
    """Inversion of SPECIAL: hyperbolic secant, 24 uT (assumed)."""
    carrier_ppm: float = 3.0
    """Chemical shift that the pulses are centred on, in ppm (assumed)."""

    @model_validator(mode="after")
    def _excitation_has_a_middle(self) -> "PulseSettings":
        if self.excitation.adiabatic:
            raise ValueError("an excitation cannot be an adiabatic full passage; choose the design slr or sinc_gauss")
        if self.excitation.waveform is not None and not self.excitation.waveform.symmetric:
            raise ValueError("a waveform of the excitation must be symmetric, its middle is where the echo time starts")
        return self


def shaped_pulse(purpose: Purpose, settings: PulseSettings, *, in_pairs: bool = False) -> Pulse:
    """Give the pulse of the settings.

    Parameters
    ----------
    purpose : {"excitation", "refocusing", "inversion"}
    settings : PulseSettings
    in_pairs : bool, optional
        Whether two refocusing pulses follow each other along one direction, as in semi-LASER.

    Raises
    ------
    ConfigError
        It cannot be designed, or the waveform does not do what it is for.
    """
    usual = _PAIRED if in_pairs else _SINGLE
    shape = (settings.refocusing or usual) if purpose == "refocusing" else getattr(settings, purpose)
    if shape.waveform is not None:
        return _from_waveform(purpose, shape.waveform)
    if shape.file:
        raise ConfigError(f"The waveform in '{shape.file}' has not been read.", where="pulse_shapes", code="waveform")
    if shape.design in ADIABATIC:
        return adiabatic_pulse(shape.design, shape.duration_s, shape.bandwidth_hz, shape.peak_hz)
    design = slr_pulse if shape.design == "slr" else sinc_gauss_pulse
    return design(purpose, shape.duration_s, shape.bandwidth_hz)


def _from_waveform(purpose: Purpose, waveform: Waveform) -> Pulse:
    repeats = ceil(_LEAST_ROTATIONS / len(waveform.amplitude))
    samples = np.repeat(waveform.samples, repeats)
    if waveform.peak_hz is None:
        rotation = samples * ANGLE_RAD[purpose] / samples.real.sum()
    else:
        rotation = samples * 2 * np.pi * waveform.peak_hz * waveform.duration_s / samples.size
    gradient = np.repeat(waveform.gradient, repeats) / max(waveform.gradient) if waveform.gradient else None
    pulse = pulse_of(rotation, waveform.duration_s, gradient)
    effect = float(slice_profile(pulse, purpose, np.zeros(1))[0])
    if effect < _LEAST_EFFECT or not np.isfinite(width_hz(pulse, purpose)):
        raise ConfigError(
            f"The waveform for {purpose} turns {effect:.0%} of the magnetisation in the middle of its slice.",
            where="pulse_shapes",
            cure="Check its duration, amplitude, phases and peak_hz (in Hz, 1 uT is 42.6 Hz).",
            code="waveform",
        )
    return pulse


def parse_waveform(text: str, *, where: str) -> Waveform:
    """Read a waveform from text.

    TOML with the fields of `Waveform`; or CSV with a header of the columns ``amplitude``, ``phase_deg`` and
    ``gradient`` (the first is required), and before it lines ``# duration_s = 0.005`` with the other fields.

    Parameters
    ----------
    text : str
    where : str
        File, for messages; its ending says which of the two it is.

    Raises
    ------
    ConfigError
        It cannot be understood.
    """
    try:
        content = _csv_content(text) if where.lower().endswith(".csv") else tomllib.loads(text)
    except (ValueError, IndexError) as error:
        raise ConfigError(
            f"The waveform cannot be read: {error}.",
            where=where,
            cure="Give TOML, or CSV with a header such as amplitude,phase_deg and lines such as # duration_s = 0.005.",
            code="waveform",
        ) from None
    return parse_settings(Waveform, content, where=where)


def _csv_content(text: str) -> Mapping[str, Any]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fields = tomllib.loads("\n".join(line.lstrip("# ") for line in lines if line.startswith("#")))
    names, *rows = [[cell.strip() for cell in line.split(",")] for line in lines if not line.startswith("#")]
    if any(len(row) != len(names) for row in rows):
        raise ValueError(f"a row has not {len(names)} columns, as its header {','.join(names)}")
    columns = zip(*([float(cell) for cell in row] for row in rows), strict=True)
    return fields | dict(zip(names, columns, strict=True))
