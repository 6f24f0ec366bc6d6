"""Sidecar JSON files: which apply to a scan (the BIDS inheritance principle), what they must say, and in which unit.

BIDS: times in s, `SpectrometerFrequency` in MHz, `SpectralWidth` in Hz. Scalars and lists of one are both in use, so
both are taken. A wrong unit is refused, never converted.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mrspipe.core.errors import HeaderError
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.io.names import BidsFile, is_part_of, parse_names
from mrspipe.io.tables import read_json

REQUIRED_KEYS = ("ResonantNucleus", "SpectrometerFrequency", "SpectralWidth", "EchoTime")

# No 1H spectrum in vivo is acquired with an echo time of 1 s or a repetition time of 100 s: larger numbers are in ms.
_MAX_ECHO_TIME_S = 1.0
_MAX_REPETITION_TIME_S = 100.0
# Proton frequencies of human scanners are below 600 MHz (14 T); larger numbers are in kHz or Hz.
_MAX_SPECTROMETER_MHZ = 2000.0
# How far sidecar and NIfTI header may differ: rounded numbers agree, 123.2 and 127.7 MHz do not.
_RELATIVE_TOLERANCE = 0.01
_ECHO_TIME_TOLERANCE_S = 0.001

_SEQUENCES = {
    "press": "press",
    "pointresolvedspectroscopy": "press",
    "steam": "steam",
    "stimulatedechoacquisitionmode": "steam",
    "slaser": "slaser",
    "semilaser": "slaser",
    "laser": "laser",
    "special": "special",
    "spinecho": "spin_echo",
    "pulseacquire": "pulse_acquire",
    "fid": "pulse_acquire",
    "megapress": "megapress",
    "megaslaser": "megaslaser",
    "hermes": "hermes",
    "hercules": "hercules",
}


class Sidecars:
    """The sidecars of one dataset, each read once.

    Parameters
    ----------
    root : Path
        The dataset's root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[Path, tuple[BidsFile, ...]] = {}
        self._content: dict[Path, dict[str, Any]] = {}

    def of(self, file: BidsFile) -> dict[str, Any]:
        """Merge the metadata that apply to a file: root first, its own folder last; more entities win.

        Raises
        ------
        FileError
            One of them is not JSON.
        HeaderError
            Two of the same rank contradict each other.
        """
        merged: dict[str, Any] = {}
        for folder in self._folders(file.path):
            merged |= self._of_folder(folder, file)
        return merged

    def _folders(self, path: Path) -> list[Path]:
        inside = [folder for folder in path.parents if folder.is_relative_to(self._root)]
        return inside[::-1]

    def _of_folder(self, folder: Path, file: BidsFile) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        rank: dict[str, tuple[int, Path]] = {}
        fitting = [s for s in self._list(folder) if s.suffix == file.suffix and is_part_of(s.entities, file.entities)]
        for sidecar in sorted(fitting, key=lambda s: len(s.entities)):
            for key, value in self._read(sidecar.path).items():
                previous_rank, previous = rank.get(key, (-1, sidecar.path))
                if previous_rank == len(sidecar.entities) and merged[key] != value:
                    raise HeaderError(
                        f"{previous.name} and {sidecar.path.name} both apply and disagree about {key}.",
                        where=str(folder),
                        cure="Keep the key in one of them.",
                        code="sidecar-ambiguous",
                    )
                merged[key], rank[key] = value, (len(sidecar.entities), sidecar.path)
        return merged

    def _list(self, folder: Path) -> tuple[BidsFile, ...]:
        if folder not in self._listed:
            self._listed[folder] = parse_names(folder.glob("*.json"))
        return self._listed[folder]

    def _read(self, path: Path) -> dict[str, Any]:
        if path not in self._content:
            self._content[path] = read_json(path)
        return self._content[path]


def check_sidecar(sidecar: Mapping[str, Any], *, where: str, required: tuple[str, ...] = REQUIRED_KEYS) -> None:
    """Refuse a sidecar that lacks a required key or has one in a wrong unit.

    Parameters
    ----------
    sidecar : mapping
        The merged metadata of a scan.
    where : str
        The scan's file, for the message.
    required : tuple of str
        Keys that must be there.

    Raises
    ------
    HeaderError
        Codes ``sidecar-key``, ``sidecar-value``, ``echo-time-unit``, ``repetition-time-unit``, ``frequency-unit``.
    """
    missing = [key for key in required if first(sidecar.get(key)) is None]
    if missing:
        raise HeaderError(
            f"The sidecar does not say {', '.join(missing)}.",
            where=where,
            cure="Add it to the JSON beside the scan, or to one that applies to all scans at the dataset's root.",
            code="sidecar-key",
        )
    _check_seconds(sidecar, "EchoTime", _MAX_ECHO_TIME_S, "echo-time-unit", where)
    _check_seconds(sidecar, "RepetitionTime", _MAX_REPETITION_TIME_S, "repetition-time-unit", where)
    _check_frequency(sidecar, where)
    for key in ("SpectralWidth", "MixingTime", "MagneticFieldStrength"):
        number(sidecar, key, where=where)


def _check_seconds(sidecar: Mapping[str, Any], key: str, largest: float, code: str, where: str) -> None:
    value = number(sidecar, key, where=where)
    # The largest echo time itself is refused (1 ms written as 1), the largest repetition time is not.
    too_large = value is not None and (value > largest or (key == "EchoTime" and value == largest))
    if value is not None and too_large:
        raise HeaderError(
            f"{key} must be in s, got {value:g}.",
            where=where,
            cure=f"If this is ms, write {value / 1000:g}.",
            code=code,
        )


def _check_frequency(sidecar: Mapping[str, Any], where: str) -> None:
    value = number(sidecar, "SpectrometerFrequency", where=where)
    if value is not None and value > _MAX_SPECTROMETER_MHZ:
        raise HeaderError(
            f"SpectrometerFrequency must be in MHz, got {value:g}.",
            where=where,
            cure=f"If this is Hz, write {value / 1e6:g}.",
            code="frequency-unit",
        )


def first(value: Any) -> Any:
    """Give the value itself, or the first entry of a list; None when there is none."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def number(sidecar: Mapping[str, Any], key: str, *, where: str = "") -> float | None:
    """Read a key that must be a number that is not negative, or absent.

    Raises
    ------
    HeaderError
        It is something else.
    """
    value = first(sidecar.get(key))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise HeaderError(
            f"{key} must be a number that is not negative, got {value!r}.",
            where=where,
            cure="Correct it; times are in s, frequencies in MHz, widths in Hz.",
            code="sidecar-value",
        )
    return float(value)


def with_sidecar(signal: Signal, sidecar: Mapping[str, Any], *, where: str) -> Signal:
    """Add what the sidecar says to a signal's acquisition, after checking that header and sidecar agree.

    Parameters
    ----------
    signal : Signal
        As read from the NIfTI file.
    sidecar : mapping
    where : str
        The file, for the message.

    Raises
    ------
    HeaderError
        ``sidecar-header-conflict``: they disagree about nucleus, frequency, spectral width or echo time.
    """
    _check_agreement(signal, sidecar, where)
    return replace(signal, acquisition=_merged(signal.acquisition, sidecar, where))


def _check_agreement(signal: Signal, sidecar: Mapping[str, Any], where: str) -> None:
    axis, header = signal.axis, signal.acquisition
    frequency_mhz = number(sidecar, "SpectrometerFrequency", where=where)
    width_hz = number(sidecar, "SpectralWidth", where=where)
    echo_time_s = number(sidecar, "EchoTime", where=where)
    nucleus = first(sidecar.get("ResonantNucleus"))
    if nucleus is not None and nucleus != header.nucleus:
        raise _conflict("ResonantNucleus", str(nucleus), header.nucleus, where)
    if frequency_mhz is not None and not _close(frequency_mhz, axis.hz_per_ppm):
        raise _conflict("SpectrometerFrequency", f"{frequency_mhz:g} MHz", f"{axis.hz_per_ppm:g} MHz", where)
    if width_hz is not None and not _close(width_hz, axis.bandwidth_hz):
        raise _conflict("SpectralWidth", f"{width_hz:g} Hz", f"{axis.bandwidth_hz:g} Hz", where)
    known = header.echo_time_s
    if echo_time_s is not None and known is not None and abs(echo_time_s - known) > _ECHO_TIME_TOLERANCE_S:
        raise _conflict("EchoTime", f"{echo_time_s:g} s", f"{known:g} s", where)


def _close(sidecar: float, header: float) -> bool:
    return abs(sidecar - header) <= _RELATIVE_TOLERANCE * abs(header)


def _conflict(key: str, sidecar: str, header: str, where: str) -> HeaderError:
    return HeaderError(
        f"{key} is {sidecar} in the sidecar but {header} in the NIfTI-MRS header.",
        where=where,
        cure="Correct the one that is wrong, or convert the scan again.",
        code="sidecar-header-conflict",
    )


def _merged(acquisition: Acquisition, sidecar: Mapping[str, Any], where: str) -> Acquisition:
    """The acquisition with the sidecar's values where it has them."""
    transients = number(sidecar, "NumberOfTransients", where=where)
    suppressed, manufacturer = sidecar.get("WaterSuppression"), sidecar.get("Manufacturer")
    said = {
        "field_t": number(sidecar, "MagneticFieldStrength", where=where),
        "sequence": sequence_name(sidecar.get("PulseSequenceType")),
        "echo_time_s": number(sidecar, "EchoTime", where=where),
        "repetition_time_s": number(sidecar, "RepetitionTime", where=where),
        "mixing_time_s": number(sidecar, "MixingTime", where=where),
        "inversion_time_s": number(sidecar, "InversionTime", where=where),
        "manufacturer": manufacturer if isinstance(manufacturer, str) and manufacturer else None,
        "n_transients": None if transients is None else int(transients),
        "voxel_mm": _voxel_mm(sidecar, where),
        "water_suppressed": suppressed if isinstance(suppressed, bool) else None,
    }
    changes: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    return replace(acquisition, **changes)


def _voxel_mm(sidecar: Mapping[str, Any], where: str) -> tuple[float, float, float] | None:
    size = sidecar.get("AcquisitionVoxelSize")
    if size is None:
        return None
    if not isinstance(size, list) or len(size) != 3 or not all(isinstance(x, (int, float)) and x > 0 for x in size):
        raise HeaderError(
            f"AcquisitionVoxelSize must be three sizes in mm, got {size!r}.",
            where=where,
            cure="Write it as a list such as [20, 20, 20].",
            code="sidecar-value",
        )
    return float(size[0]), float(size[1]), float(size[2])


def sequence_name(text: Any) -> str | None:
    """Normalise the name of a pulse sequence; None when there is none.

    Examples
    --------
    >>> [sequence_name(text) for text in ("PRESS", "semi-LASER", "MEGA-PRESS", "Spin Echo", "svs_abc")]
    ['press', 'slaser', 'megapress', 'spin_echo', 'svs_abc']
    """
    if not isinstance(text, str) or not text.strip():
        return None
    letters = re.sub(r"[^a-z]", "", text.lower())
    return _SEQUENCES.get(letters, text.strip().lower())
