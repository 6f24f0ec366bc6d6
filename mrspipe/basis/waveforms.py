"""Settings of pulses: a design, or a waveform as a scanner plays it."""

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from mrspipe.basis.designs import ADIABATIC, adiabatic_pulse, sinc_gauss_pulse, slr_pulse
from mrspipe.basis.pulses import ANGLE_RAD, Pulse, Purpose, pulse_of, width_hz
from mrspipe.core.errors import ConfigError
from mrspipe.settings import Settings, parse_settings

# Fewer samples are no shape.
_LEAST_SAMPLES = 4
# Largest difference from symmetry in time, relative to the largest sample.
_SYMMETRY = 0.01
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
    waveform with phases does not have."""

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
        if self.peak_hz is None and (any(self.phase_deg) or sum(self.amplitude) <= 0):
            raise ValueError("a waveform with phases, or whose amplitudes do not add up, needs peak_hz")
        return self


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
        return self.design in ADIABATIC if self.waveform is None else any(self.waveform.phase_deg)


# Refocusing pulses of sequences with single echoes, and of those with pairs: "GOIA" of 3 T semi-LASER (assumed).
_SINGLE = PulseShape(bandwidth_hz=1200.0, duration_s=0.0065)
_PAIRED = PulseShape(design="goia", bandwidth_hz=8000.0, duration_s=0.0045)


class PulseSettings(Settings):
    """Pulses of a sequence; the defaults are typical of a body coil at 3 T (assumed).

    The voxel of a line at ``p`` ppm is displaced by ``(p - carrier_ppm) f0 / bandwidth`` voxel sizes.
    """

    excitation: PulseShape = PulseShape()
    """90 degree pulses: the first of each sequence, and all of STEAM."""
    refocusing: PulseShape | None = None
    """180 degree pulses between crushers; none: SLR of 1200 Hz and 6.5 ms, for semi-LASER GOIA of 8 kHz and 4.5 ms
    (assumed)."""
    inversion: PulseShape = PulseShape(design="hs", bandwidth_hz=2500.0, duration_s=0.008)
    """Inversion of SPECIAL: hyperbolic secant (assumed)."""
    carrier_ppm: float = 3.0
    """Chemical shift that the pulses are centred on, in ppm (assumed)."""

    @model_validator(mode="after")
    def _excitation_has_a_middle(self) -> "PulseSettings":
        if self.excitation.adiabatic:
            raise ValueError("an excitation cannot be an adiabatic full passage; choose the design slr or sinc_gauss")
        waveform = self.excitation.waveform
        if waveform is not None and not _symmetric(waveform):
            raise ValueError("a waveform of the excitation must be symmetric, its middle is where the echo time starts")
        return self


def _symmetric(waveform: Waveform) -> bool:
    return all(
        np.allclose(samples, samples[::-1], atol=_SYMMETRY * np.abs(samples).max())
        for samples in (waveform.amplitude, waveform.gradient)
        if samples
    )


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
        It cannot be designed, or the waveform selects no slice.
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
    amplitude = np.array(waveform.amplitude)
    if waveform.peak_hz is None:
        angle = amplitude * ANGLE_RAD[purpose] / amplitude.sum()
    else:
        turn = 2 * np.pi * waveform.peak_hz * waveform.duration_s / amplitude.size
        angle = amplitude * turn / np.abs(amplitude).max()
    phase = np.deg2rad(waveform.phase_deg) if waveform.phase_deg else np.zeros(amplitude.size)
    gradient = np.array(waveform.gradient) / max(waveform.gradient) if waveform.gradient else None
    pulse = pulse_of(angle * np.exp(1j * phase), waveform.duration_s, gradient)
    if not np.isfinite(width_hz(pulse, purpose)):
        raise ConfigError(
            f"The waveform of {amplitude.size} samples selects no slice for {purpose}.",
            where="pulse_shapes",
            cure="Check its duration and amplitude; give more samples.",
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
