"""The JSON header of NIfTI-MRS <-> `Acquisition`, chemical-shift reference and history.

The keys and units are those of version 0.11 of the NIfTI-MRS standard (Clarke et al. 2022, doi 10.1002/mrm.29418):
times in s, `SpectrometerFrequency` in MHz, offsets in ppm. What the standard has no key for (number of
transients, field strength) is written as a user-defined key, an object with ``Value`` and ``Description``.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mrspipe import __version__
from mrspipe.core.errors import HeaderError
from mrspipe.core.signal import Acquisition, ProcessingStep, Signal
from mrspipe.io.sidecars import first, sequence_name
from mrspipe.io.tables import plain
from mrspipe.physics.constants import GAMMA_BAR_1H_HZ_PER_T, WATER_PPM

# Where zero frequency of 1H is when the header does not say.
DEFAULT_CENTRE_PPM = WATER_PPM
NUCLEUS = "1H"

# Larger times cannot be s in a 1H spectrum in vivo: they are ms.
_LARGEST_S = {"EchoTime": 1.0, "RepetitionTime": 100.0, "MixingTime": 5.0, "InversionTime": 20.0}
_UNIT_CODES = {"EchoTime": "echo-time-unit", "RepetitionTime": "repetition-time-unit"}
_MAX_SPECTROMETER_MHZ = 2000.0

# Fields magnets are sold as, in T. A "3 T" magnet of 123.2 MHz has 2.89 T: within 5 % of its name.
_NOMINAL_FIELDS_T = (1.5, 3.0, 4.0, 4.7, 7.0, 9.4, 10.5, 11.7, 14.1)
_FIELD_TOLERANCE = 0.05

# Names that a manufacturer gives its product sequences (Siemens svs_se is a spin echo = PRESS; GE probe-p is PRESS).
_PRODUCT_SEQUENCES = {"svs_se": "press", "svs_st": "steam", "probe-p": "press", "probe-s": "steam"}

_DESCRIPTIONS = {
    "NumberOfTransients": "Number of transients acquired, also when only their average is stored.",
    "MagneticFieldStrength": "Nominal field strength in T.",
}


def acquisition_from(header: Mapping[str, Any], *, where: str) -> Acquisition:
    """Read what a NIfTI-MRS header says about the acquisition.

    A time of 0 other than the echo time means "not used" in vendor headers and becomes None. The field strength is the
    nominal one the resonance frequency belongs to when the header does not say.

    Raises
    ------
    HeaderError
        Codes ``header-key``, ``header-value``, ``nucleus``, ``frequency-unit``, ``echo-time-unit``, ...
    """
    frequency_mhz = spectrometer_mhz(header, where=where)
    nucleus = first(header.get("ResonantNucleus"))
    if nucleus is None:
        raise _missing("ResonantNucleus", where)
    if nucleus != NUCLEUS:
        raise HeaderError(
            f"ResonantNucleus is {nucleus!r}; only {NUCLEUS} can be analysed.", where=where, code="nucleus"
        )
    suppressed = header.get("WaterSuppressed")
    manufacturer = header.get("Manufacturer")
    transients = _user_number(header, "NumberOfTransients", where)
    return Acquisition(
        nucleus=NUCLEUS,
        field_t=_user_number(header, "MagneticFieldStrength", where) or nominal_field_t(frequency_mhz),
        sequence=_sequence(header.get("SequenceName")),
        echo_time_s=_seconds(header, "EchoTime", where),
        repetition_time_s=_seconds(header, "RepetitionTime", where) or None,
        mixing_time_s=_seconds(header, "MixingTime", where) or None,
        inversion_time_s=_seconds(header, "InversionTime", where) or None,
        manufacturer=manufacturer if isinstance(manufacturer, str) and manufacturer else None,
        n_transients=int(transients) if transients else None,
        water_suppressed=suppressed if isinstance(suppressed, bool) else None,
    )


def nominal_field_t(spectrometer_mhz: float) -> float | None:
    """Nominal field of the magnet with this proton frequency; None when it is near none.

    Examples
    --------
    >>> nominal_field_t(123.2), nominal_field_t(127.75), nominal_field_t(20.0)
    (3.0, 3.0, None)
    """
    field_t = spectrometer_mhz * 1e6 / GAMMA_BAR_1H_HZ_PER_T
    nearest = min(_NOMINAL_FIELDS_T, key=lambda nominal: abs(nominal / field_t - 1))
    return nearest if abs(nearest / field_t - 1) < _FIELD_TOLERANCE else None


def _sequence(name: Any) -> str | None:
    text = name.strip().lstrip("*%") if isinstance(name, str) else ""
    return _PRODUCT_SEQUENCES.get(text.lower(), sequence_name(text))


def spectrometer_mhz(header: Mapping[str, Any], *, where: str) -> float:
    """Read `SpectrometerFrequency`, in MHz."""
    value = _number(header, "SpectrometerFrequency", where)
    if value is None:
        raise _missing("SpectrometerFrequency", where)
    if not 1 <= value <= _MAX_SPECTROMETER_MHZ:
        raise HeaderError(
            f"SpectrometerFrequency must be in MHz, got {value:g}.",
            where=where,
            cure=f"If this is Hz, write {value / 1e6:g}.",
            code="frequency-unit",
        )
    return value


def centre_ppm(header: Mapping[str, Any], *, where: str) -> float:
    """Chemical shift at zero frequency of the data, in ppm.

    `SpecFreqChemShift` is the shift at the spectrometer frequency, `RxOffset` the offset of the receiver from it.
    `TxOffset` tells where the pulses are centred and does not move the axis.
    """
    shift = _number(header, "SpecFreqChemShift", where)
    offset = _number(header, "RxOffset", where)
    return (DEFAULT_CENTRE_PPM if shift is None else shift) + (offset or 0.0)


def _seconds(header: Mapping[str, Any], key: str, where: str) -> float | None:
    value = _number(header, key, where)
    if value is None:
        return None
    if value >= _LARGEST_S[key]:
        raise HeaderError(
            f"{key} must be in s, got {value:g}.",
            where=where,
            cure=f"If this is ms, divide it by 1000: {value / 1000:g}.",
            code=_UNIT_CODES.get(key, "time-unit"),
        )
    if value < 0:
        raise HeaderError(f"{key} must not be negative, got {value:g}.", where=where, code="header-value")
    return value


def _number(header: Mapping[str, Any], key: str, where: str) -> float | None:
    value = first(header.get(key))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise HeaderError(f"{key} must be a number, got {value!r}.", where=where, code="header-value")
    return float(value)


def _user_number(header: Mapping[str, Any], key: str, where: str) -> float | None:
    """Read a user-defined key, an object with ``Value``."""
    entry = header.get(key)
    return _number({key: entry.get("Value") if isinstance(entry, Mapping) else entry}, key, where)


def _missing(key: str, where: str) -> HeaderError:
    return HeaderError(
        f"The NIfTI-MRS header does not say {key}.",
        where=where,
        cure="Convert the scan again; the standard requires it.",
        code="header-key",
    )


def header_of(signal: Signal, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Build the header of a signal: what the signal knows, over what ``extra`` says besides.

    Parameters
    ----------
    signal : Signal
    extra : mapping
        Header of the file the signal comes from; keys the signal knows are replaced, the others are kept.

    Returns
    -------
    dict
        Without the keys of the dimensions.
    """
    acquisition, axis = signal.acquisition, signal.axis
    said: dict[str, Any] = {
        "SpectralWidth": axis.bandwidth_hz,
        "EchoTime": acquisition.echo_time_s,
        "RepetitionTime": acquisition.repetition_time_s,
        "MixingTime": acquisition.mixing_time_s,
        "InversionTime": acquisition.inversion_time_s,
        "WaterSuppressed": acquisition.water_suppressed,
        "Manufacturer": acquisition.manufacturer,
        "NumberOfTransients": _described("NumberOfTransients", acquisition.n_transients),
        "MagneticFieldStrength": _described("MagneticFieldStrength", acquisition.field_t),
    }
    if acquisition.sequence is not None and _sequence(extra.get("SequenceName")) != acquisition.sequence:
        said["SequenceName"] = acquisition.sequence
    if axis.centre_ppm != DEFAULT_CENTRE_PPM:
        said["SpecFreqChemShift"] = axis.centre_ppm
    header = {key: value for key, value in extra.items() if key not in {"SpecFreqChemShift", "RxOffset"}}
    header |= {key: value for key, value in said.items() if value is not None}
    header["SpectrometerFrequency"] = [axis.spectrometer_hz / 1e6]
    header["ResonantNucleus"] = [acquisition.nucleus]
    applied = processing_applied(signal.history, extra.get("ProcessingApplied", ()))
    return plain(header | ({"ProcessingApplied": applied} if applied else {}))  # type: ignore[no-any-return]


def _described(key: str, value: float | None) -> dict[str, Any] | None:
    return None if value is None else {"Value": value, "Description": _DESCRIPTIONS[key]}


def history_from(header: Mapping[str, Any]) -> tuple[ProcessingStep, ...]:
    """Read `ProcessingApplied`: entries of mrspipe as its steps, those of other programs kept as they are."""
    applied = header.get("ProcessingApplied", ())
    return tuple(_step(entry) for entry in applied if isinstance(entry, Mapping))


def _step(entry: Mapping[str, Any]) -> ProcessingStep:
    details = _json_object(entry.get("Details")) if entry.get("Program") == "mrspipe" else None
    method = str(entry.get("Method", "unnamed"))
    return ProcessingStep(method, {"ProcessingApplied": dict(entry)} if details is None else details)


def _json_object(text: Any) -> dict[str, Any] | None:
    try:
        content = json.loads(text)
    except (TypeError, json.JSONDecodeError):
        return None
    return content if isinstance(content, dict) else None


def processing_applied(history: Sequence[ProcessingStep], before: Sequence[Any]) -> list[Any]:
    """Append the steps that are new to the entries that were there.

    The time of processing is left out, because it would make every run write different files.

    Parameters
    ----------
    history : sequence of ProcessingStep
        May begin with the steps that ``before`` was read as.
    before : sequence of mapping
        `ProcessingApplied` of the file the signal comes from.
    """
    known = history_from({"ProcessingApplied": before})
    new = history[len(known) :] if tuple(history[: len(known)]) == known else history
    return [*before, *(_entry(step) for step in new)]


def _entry(step: ProcessingStep) -> dict[str, Any]:
    if set(step.details) == {"ProcessingApplied"}:
        return dict(step.details["ProcessingApplied"])
    details = json.dumps(plain(step.details), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return {"Program": "mrspipe", "Version": __version__, "Method": step.method, "Details": details}
