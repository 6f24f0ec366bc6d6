"""The reporting checklist of the MRS field, filled from what is known about a scan and its analysis.

Minimum Reporting Standards for in vivo MRS (Lin et al. 2021, NMR Biomed 34:e4484, doi 10.1002/nbm.4484). What is not
known is "not reported"; nothing is filled in from habit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.signal import Acquisition

NOT_REPORTED = "not reported"
SECTIONS = ("1 Hardware", "2 Acquisition", "3 Data analysis", "4 Data quality")


@dataclass(frozen=True, slots=True)
class MrsinmrsRow:
    """One row of the checklist: its number (``"2d"``), section, item, and what is known."""

    number: str
    section: str
    item: str
    value: str = NOT_REPORTED

    @property
    def reported(self) -> bool:
        """Whether something is known."""
        return self.value != NOT_REPORTED


@dataclass(frozen=True, slots=True)
class AnalysisFacts:
    """What the analysis adds to the checklist, in words; empty is not reported.

    Parameters
    ----------
    software, steps, output_measure, assumptions, fit_model : str
        Section 3: program and version; processing steps; what is given (ratio, molality, ...); references and
        constants of the quantification; basis set, baseline and macromolecules of the fit.
    reported_quality, exclusion_criteria, fit_quality, sample_spectrum : str
        Section 4.
    """

    software: str = ""
    steps: str = ""
    output_measure: str = ""
    assumptions: str = ""
    fit_model: str = ""
    reported_quality: str = ""
    exclusion_criteria: str = ""
    fit_quality: str = ""
    sample_spectrum: str = ""


def mrsinmrs_rows(
    acquisition: Acquisition,
    sidecar: Mapping[str, Any],
    *,
    axis: SpectralAxis | None = None,
    analysis: AnalysisFacts | None = None,
) -> tuple[MrsinmrsRow, ...]:
    """Fill the checklist.

    Parameters
    ----------
    acquisition : Acquisition
        What the header and the sidecar agree on.
    sidecar : mapping
        BIDS sidecar; keys as in the BIDS specification for MRS.
    axis : SpectralAxis, optional
        Spectral width and number of points, where the sidecar does not say.
    analysis : AnalysisFacts, optional

    Returns
    -------
    tuple of MrsinmrsRow
        All rows, in the order of the checklist.
    """
    values = {**_hardware(acquisition, sidecar), **_acquisition(acquisition, sidecar, axis)}
    values |= _analysis(analysis or AnalysisFacts())
    return tuple(
        MrsinmrsRow(key, SECTIONS[int(key[0]) - 1], item, values.get(key) or NOT_REPORTED)
        for key, item in _ITEMS.items()
    )


_ITEMS: Mapping[str, str] = {
    "1a": "Field strength",
    "1b": "Manufacturer",
    "1c": "Model and software version",
    "1d": "RF coils: nuclei, transmit and receive, channels, body part",
    "1e": "Additional hardware",
    "2a": "Pulse sequence",
    "2b": "Location of the volume of interest",
    "2c": "Nominal size of the volume of interest",
    "2d": "Repetition time, echo time, mixing time",
    "2e": "Number of excitations per spectrum",
    "2f": "Spectral width, number of points, frequency offset",
    "2g": "Water suppression",
    "2h": "Shimming method",
    "2i": "Triggering or motion correction",
    "3a": "Analysis software",
    "3b": "Processing steps",
    "3c": "Output measure",
    "3d": "Quantification references, assumptions, fitting model",
    "4a": "Reported quality: signal to noise, line width",
    "4b": "Exclusion criteria",
    "4c": "Quality of the fit",
    "4d": "Sample spectrum",
}


def _hardware(acquisition: Acquisition, sidecar: Mapping[str, Any]) -> dict[str, str]:
    coil = _listed(sidecar, "ReceiveCoilName", "ReceiveCoilActiveElements", "TransmitCoilName")
    return {
        "1a": _with_unit(acquisition.field_t or sidecar.get("MagneticFieldStrength"), "T"),
        "1b": _text(acquisition.manufacturer) or _listed(sidecar, "Manufacturer"),
        "1c": _listed(sidecar, "ManufacturersModelName", "SoftwareVersions"),
        "1d": f"{acquisition.nucleus}; {coil}" if coil else "",
    }


def _acquisition(acquisition: Acquisition, sidecar: Mapping[str, Any], axis: SpectralAxis | None) -> dict[str, str]:
    voxel = acquisition.voxel_mm or sidecar.get("AcquisitionVoxelSize")
    sequence = _text(acquisition.sequence).upper() or _listed(sidecar, "PulseSequenceType")
    n_transients = acquisition.n_transients or sidecar.get("NumberOfTransients")
    return {
        "2a": _joined(sequence, _listed(sidecar, "SequenceName", "PulseSequenceDetails")),
        "2b": _listed(sidecar, "BodyPart", "BodyPartDetails"),
        "2c": f"{' × '.join(_text(side) for side in voxel)} mm" if isinstance(voxel, Sequence) else "",
        "2d": _timing(acquisition),
        "2e": _with_unit(n_transients, "transients"),
        "2f": _sampling(sidecar, axis),
        "2g": _joined(_suppression(acquisition, sidecar), _listed(sidecar, "WaterSuppressionTechnique")),
        "2h": _listed(sidecar, "B0ShimmingTechnique", "B1ShimmingTechnique"),
        "2i": _listed(sidecar, "SequenceTriggered", "MotionCorrection"),
    }


def _analysis(facts: AnalysisFacts) -> dict[str, str]:
    return {
        "3a": facts.software,
        "3b": facts.steps,
        "3c": facts.output_measure,
        "3d": _joined(facts.assumptions, facts.fit_model),
        "4a": facts.reported_quality,
        "4b": facts.exclusion_criteria,
        "4c": facts.fit_quality,
        "4d": facts.sample_spectrum,
    }


def _timing(acquisition: Acquisition) -> str:
    """Give TR and TE, and TM where there is one, in ms; a missing one of the first two is named."""
    times = {"TR": acquisition.repetition_time_s, "TE": acquisition.echo_time_s, "TM": acquisition.mixing_time_s}
    if all(seconds is None for seconds in times.values()):
        return ""
    return ", ".join(
        f"{name} {NOT_REPORTED}" if seconds is None else f"{name} {1000 * seconds:g} ms"
        for name, seconds in times.items()
        if seconds is not None or name != "TM"
    )


def _sampling(sidecar: Mapping[str, Any], axis: SpectralAxis | None) -> str:
    width = sidecar.get("SpectralWidth") or (axis.bandwidth_hz if axis else None)
    points = sidecar.get("NumberOfSpectralPoints") or (axis.n_points if axis else None)
    offset = _with_unit(sidecar.get("ChemicalShiftOffset"), "ppm offset")
    return _joined(_with_unit(width, "Hz"), _with_unit(points, "points"), offset)


def _suppression(acquisition: Acquisition, sidecar: Mapping[str, Any]) -> str:
    suppressed = acquisition.water_suppressed
    if suppressed is None:
        suppressed = sidecar.get("WaterSuppression")
    return {True: "suppressed", False: "not suppressed"}.get(suppressed, "") if isinstance(suppressed, bool) else ""


def _with_unit(value: object, unit: str) -> str:
    text = _text(value)
    return f"{text} {unit}" if text else ""


def _listed(sidecar: Mapping[str, Any], *keys: str) -> str:
    return _joined(*(_text(sidecar.get(key)) for key in keys))


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(entry) for entry in value)
    # Headers separate entries, and end them, with semicolons and blanks.
    return " ".join(str(value).split()).strip(" ;")
