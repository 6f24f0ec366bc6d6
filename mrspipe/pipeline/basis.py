"""The basis set of a scan: read from the file that the settings name, or simulated for the scan's sequence."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from mrspipe.basis.pulses import Purpose
from mrspipe.basis.sequences import SequenceSettings
from mrspipe.basis.settings import BasisSettings
from mrspipe.basis.simulate import simulate_basis, with_reference
from mrspipe.basis.waveforms import PulseSettings, parse_waveform
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import ConfigError, HeaderError
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.io.basis_files import read_basis, write_basis
from mrspipe.physics.constants import GAMMA_BAR_1H_HZ_PER_T, WATER_PPM
from mrspipe.physics.metabolites import METABOLITES
from mrspipe.settings import parse_settings, read_toml

# The fit takes basis sets of any sampling, so one per sequence and field serves all scans. The field is rounded:
# 0.1 MHz changes a coupling of 10 Hz, seen in ppm, by less than a hundredth of a hertz.
_N_POINTS = 4096
_DWELL_S = 1 / 4000
_FIELD_STEP_HZ = 1e5
_ECHO_TIME_TOLERANCE_S = 1e-3
_SIMULATED = get_args(SequenceSettings.model_fields["sequence"].annotation)


def basis_for(signal: Signal, settings: BasisSettings) -> BasisSet:
    """Give the basis set of a scan; repeated calls with the same answer are free.

    Raises
    ------
    HeaderError
        A basis set is to be simulated, but the sequence or the echo time is not known or not one that can be simulated.
    """
    given = read_basis_once(settings)
    if given is not None:
        return given
    return _simulated(
        _sequence(signal.acquisition, settings),
        round(signal.axis.spectrometer_hz / _FIELD_STEP_HZ) * _FIELD_STEP_HZ,
        settings.metabolites or METABOLITES,
        settings.linewidth_hz,
    )


def read_basis_once(settings: BasisSettings) -> BasisSet | None:
    """Give the basis set of the file that the settings name; None when they name none.

    Raises
    ------
    FileError
        It cannot be read.
    """
    return _read(Path(settings.file), settings.echo_time_s) if settings.file else None


def _sequence(acquisition: Acquisition, settings: BasisSettings) -> SequenceSettings:
    name = settings.sequence or acquisition.sequence
    cure = f"Set basis.sequence ({', '.join(_SIMULATED)}), or name a basis set in basis.file."
    if name is None:
        raise HeaderError("The sidecar does not say PulseSequenceType.", cure=cure, code="sequence")
    if name not in _SIMULATED:
        raise HeaderError(f"The sequence '{name}' cannot be simulated.", cure=cure, code="sequence")
    if acquisition.echo_time_s is None:
        raise HeaderError("The echo time is not known.", cure="Add EchoTime to the sidecar.", code="sidecar-key")
    return SequenceSettings(
        sequence=name,
        echo_time_s=acquisition.echo_time_s,
        te1_s=settings.te1_s if name in {"press", "slaser"} else None,
        pulses=settings.pulses,
        pulse_shapes=with_waveforms(settings.pulse_shapes),
        nitrogen=settings.nitrogen,
        mixing_time_s=(settings.mixing_time_s or acquisition.mixing_time_s) if name == "steam" else None,
    )


def with_waveforms(pulses: PulseSettings) -> PulseSettings:
    """Read the waveforms that the settings of pulses name.

    Raises
    ------
    ConfigError
        A file cannot be read, is no waveform, or not one that its pulse can have.
    """
    content = pulses.model_dump(exclude_defaults=True)
    for purpose in (name for name in get_args(Purpose) if content.get(name, {}).get("file")):
        path = Path(content[purpose].pop("file"))
        content[purpose]["waveform"] = parse_waveform(_text(path), where=str(path)).model_dump()
    return parse_settings(PulseSettings, content, where="pulse_shapes")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            "There is no such waveform.", where=str(path), cure="Check the path.", code="no-file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The waveform is not readable text: {error}.", where=str(path), code="waveform") from None


@lru_cache(maxsize=4)
def _read(path: Path, echo_time_s: float | None) -> BasisSet:
    basis = read_basis(path)
    if echo_time_s is None:
        return basis
    if basis.echo_time_s is not None and abs(basis.echo_time_s - echo_time_s) > _ECHO_TIME_TOLERANCE_S:
        raise ConfigError(
            f"The basis set states an echo time of {1e3 * basis.echo_time_s:g} ms, the settings "
            f"{1e3 * echo_time_s:g} ms.",
            where="basis.echo_time_s",
            cure="Remove the setting, or name another file.",
            code="basis-echo-time",
        )
    return replace(basis, echo_time_s=echo_time_s)


@lru_cache(maxsize=16)
def _simulated(
    sequence: SequenceSettings, spectrometer_hz: float, metabolites: tuple[str, ...], linewidth_hz: float
) -> BasisSet:
    axis = SpectralAxis(_N_POINTS, _DWELL_S, spectrometer_hz, WATER_PPM)
    return simulate_basis(sequence, axis, metabolites=metabolites, linewidth_hz=linewidth_hz)


def simulate_to_file(
    out: Path,
    sequence: Mapping[str, Any],
    *,
    field_t: float,
    n_points: int,
    bandwidth_hz: float,
    linewidth_hz: float,
    metabolites: tuple[str, ...],
    reference: bool = False,
) -> BasisSet:
    """Simulate a basis set and write it, in the format that the file's ending names.

    Parameters
    ----------
    out : Path
    sequence : mapping
        Fields of `SequenceSettings`; None where not given.
    field_t : float
        Static field, in T.
    n_points : int
    bandwidth_hz, linewidth_hz : float
        Spectral width and Lorentzian width of the lines, in Hz.
    metabolites : tuple of str
        Empty: the usual twenty.
    reference : bool, optional
        Whether to add a singlet at 0 ppm to every metabolite.

    Raises
    ------
    ConfigError
        The sequence is not one that can be simulated, or a number is missing or impossible.
    """
    for name, value in {"field_t": field_t, "n_points": n_points, "bandwidth_hz": bandwidth_hz}.items():
        if value <= 0:
            raise ConfigError(f"{name} must be positive, got {value:g}.", where="basis", code="settings")
    if linewidth_hz < 0:
        raise ConfigError(f"linewidth_hz must not be negative, got {linewidth_hz:g}.", where="basis", code="settings")
    given = {name: value for name, value in sequence.items() if value is not None}
    settings = parse_settings(SequenceSettings, given, where="basis")
    axis = SpectralAxis(n_points, 1 / bandwidth_hz, field_t * GAMMA_BAR_1H_HZ_PER_T, WATER_PPM)
    basis = simulate_basis(settings, axis, metabolites=metabolites or METABOLITES, linewidth_hz=linewidth_hz)
    written = with_reference(basis) if reference else basis
    write_basis(out, written)
    return written


def pulse_settings(file: Path | None, waveforms: Mapping[str, Path | None]) -> PulseSettings:
    """Settings of pulses from a TOML file, with waveforms instead of the designs in it.

    Parameters
    ----------
    file : Path or None
        Fields of `PulseSettings`; without it the usual pulses.
    waveforms : mapping of str to (Path or None)
        Waveform by what it is for: excitation, refocusing or inversion.

    Raises
    ------
    ConfigError
        A file cannot be read, or holds what is no setting of a pulse.
    """
    content = read_toml(file) if file else {}
    for purpose, path in waveforms.items():
        if path is not None:
            content[purpose] = {"file": str(path)}
    return with_waveforms(parse_settings(PulseSettings, content, where=str(file or "pulses")))


def convert_basis(source: Path, out: Path) -> BasisSet:
    """Read a basis set, repair its conventions, and write it in the format that the file's ending names."""
    basis = read_basis(source)
    write_basis(out, basis)
    return basis
