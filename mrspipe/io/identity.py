"""What could tell who was scanned, where and when: taken out of everything an import writes.

Headers are filtered by a list of what may stay, not of what must go: physics of the acquisition, and names that
scanners give to hardware and protocols. All else - names, birth dates, ids, weights, dates, institutions, operators,
serial numbers, comments, file names, a vendor's private fields - is dropped. A text that may stay is dropped as well
where it repeats a name or number of a person, an institution or a device, such as a protocol called after the patient.

Images keep their voxels and their place in space; the free text of their headers and their extensions are blanked. A
T1-weighted image still shows a face, which is not removed.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from mrspipe.core.signal import ProcessingStep, Signal
from mrspipe.io.mrs_header import history_from

_KEPT = frozenset(
    {
        *("SpectrometerFrequency", "ResonantNucleus", "SpectralWidth", "EchoTime", "RepetitionTime", "InversionTime"),
        *("MixingTime", "ExcitationFlipAngle", "TxOffset", "RxOffset", "SpecFreqChemShift", "VOI", "WaterSuppressed"),
        *("WaterSuppressionType", "SequenceTriggered", "Manufacturer", "ManufacturersModelName", "SoftwareVersions"),
        *("TxCoil", "RxCoil", "SequenceName", "ProtocolName", "PatientPosition", "ConversionMethod", "kSpace"),
        *("EditCondition", "EditPulse", "ProcessingApplied", "MagneticFieldStrength", "NumberOfTransients"),
    }
)
_DIMENSION = re.compile(r"dim_[567](_info|_header|_use)?")
_STEP_KEPT = ("Program", "Version", "Method")
_STEP_LEFT_OUT = frozenset({"file", "files", "path"})
# Shorter words (F, ml, the year's last digits) are in every protocol's name by chance.
_SHORTEST_WORD = 3
_WORD = re.compile(r"[A-Za-z0-9]+")
# Any word of these gives a person away; of the others, the whole value does.
_PERSON = re.compile(r"patient(?!position|sex|weight)|operator|physician|accession|birth", re.IGNORECASE)
_PLACE = re.compile(r"institution|serial|station", re.IGNORECASE)

# Free text of NIfTI headers: version 1 (348 bytes) and 2 (540 bytes).
_TEXTS = {348: ((4, 32), (148, 252), (328, 344)), 540: ((240, 344), (508, 524))}
_OFFSET_OF_DATA = {348: (108, "f"), 540: (168, "q")}
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")


def without_identity(signal: Signal, header: Mapping[str, Any]) -> tuple[Signal, dict[str, Any], tuple[str, ...]]:
    """Take out of a spectrum what could identify a person.

    Parameters
    ----------
    signal : Signal
    header : mapping
        Its NIfTI-MRS header.

    Returns
    -------
    signal : Signal
        Its history names no files.
    header : dict
    dropped : tuple of str
        Keys that were taken out.
    """
    kept = {key: value for key, value in header.items() if key in _KEPT or _DIMENSION.fullmatch(key)}
    secrets = _secrets({key: value for key, value in header.items() if key not in kept})
    telling = [key for key, value in kept.items() if key != "ProcessingApplied" and secrets.told_by(_text(value))]
    kept = {key: value for key, value in kept.items() if key not in telling}
    before = [_entry(one) for one in header.get("ProcessingApplied", ()) if isinstance(one, Mapping)]
    if before:
        kept["ProcessingApplied"] = before
    # The first steps of the history are those of the header, which must stay equal to them.
    history = (*history_from({"ProcessingApplied": before}), *map(_step, signal.history[len(before) :]))
    return replace(signal, history=history), kept, tuple(sorted(set(header) - set(kept)))


@dataclass(frozen=True, slots=True)
class _Secrets:
    words: frozenset[str]
    values: frozenset[str]

    def told_by(self, text: str) -> bool:
        return bool(_words(text) & self.words) or any(value in text.lower() for value in self.values)


def _secrets(dropped: Mapping[str, Any]) -> _Secrets:
    words = {word for key, value in dropped.items() if _PERSON.search(key) for word in _words(_text(value))}
    values = {_text(value).strip().lower() for key, value in dropped.items() if _PLACE.search(key)}
    return _Secrets(frozenset(words), frozenset(value for value in values if len(value) >= _SHORTEST_WORD))


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text) if len(word) >= _SHORTEST_WORD}


def _text(value: Any) -> str:
    """All text in a value; of a value with a description, only the value."""
    if isinstance(value, Mapping):
        return " ".join(_text(one) for key, one in value.items() if key != "Description")
    if isinstance(value, (list, tuple)):
        return " ".join(map(_text, value))
    return value if isinstance(value, str) else ""


def _entry(applied: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of ``ProcessingApplied`` without time and details, which other programs fill with paths."""
    return {key: applied[key] for key in _STEP_KEPT if key in applied}


def _step(step: ProcessingStep) -> ProcessingStep:
    return replace(step, details={key: value for key, value in step.details.items() if key not in _STEP_LEFT_OUT})


def image_without_identity(content: bytes) -> bytes:
    """Blank the free text and the extensions of a NIfTI image, uncompressed; nothing else changes.

    Parameters
    ----------
    content : bytes
        A single-file NIfTI-1 or NIfTI-2 image.
    """
    order = next((one for one in _ORDERS if int.from_bytes(content[:4], one) in _TEXTS), None)
    if order is None:
        return content
    size = int.from_bytes(content[:4], order)
    blanked = bytearray(content)
    for start, stop in _TEXTS[size]:
        blanked[start:stop] = bytes(stop - start)
    data = max(size, _offset_of_data(content, size, order))
    blanked[size:data] = bytes(data - size)
    return bytes(blanked)


def _offset_of_data(content: bytes, size: int, order: Literal["little", "big"]) -> int:
    place, kind = _OFFSET_OF_DATA[size]
    (offset,) = struct.unpack_from(f"{'<' if order == 'little' else '>'}{kind}", content, place)
    return int(offset)
