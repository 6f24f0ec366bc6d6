"""The BIDS sidecar of an imported spectrum: every required key, and the recommended ones that are known."""

from collections.abc import Mapping
from typing import Any

from mrspipe.core.errors import HeaderError
from mrspipe.core.signal import Signal

# Keys that NIfTI-MRS and BIDS name the same or nearly so: BIDS key -> header key.
_COPIED = {
    "FlipAngle": "ExcitationFlipAngle",
    "ManufacturersModelName": "ManufacturersModelName",
    "SoftwareVersions": "SoftwareVersions",
    "DeviceSerialNumber": "DeviceSerialNumber",
    "InstitutionName": "InstitutionName",
    "InstitutionAddress": "InstitutionAddress",
    "ReceiveCoilName": "RxCoil",
    "SequenceName": "SequenceName",
    "ProtocolName": "ProtocolName",
    "WaterSuppressionTechnique": "WaterSuppressionType",
}
_SEQUENCE_TYPES = {"press": "PRESS", "steam": "STEAM", "slaser": "semi-LASER", "laser": "LASER", "special": "SPECIAL"}


def sidecar_of(signal: Signal, header: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Build the sidecar of a signal; what is not known is left out.

    Parameters
    ----------
    signal : Signal
    header : mapping
        Its NIfTI-MRS header.
    where : str
        The file it comes from, for the message.

    Returns
    -------
    dict
        BIDS-MRS keys: times in s, `SpectrometerFrequency` in MHz, `SpectralWidth` in Hz, sizes in mm.

    Raises
    ------
    HeaderError
        ``header-key``: the echo time is not known, which BIDS and every analysis need.
    """
    acquisition, axis = signal.acquisition, signal.axis
    if acquisition.echo_time_s is None:
        raise HeaderError(
            "The header does not say the echo time.",
            where=where,
            cure="Convert it with spec2nii and add EchoTime (in s) with spec2nii insert.",
            code="header-key",
        )
    sequence = acquisition.sequence
    known: dict[str, Any] = {
        "ResonantNucleus": [acquisition.nucleus],
        "SpectrometerFrequency": [axis.spectrometer_hz / 1e6],
        # Twelve digits: 1 / 0.0005 s is 2000 Hz, not 2000.0000000000002.
        "SpectralWidth": float(f"{axis.bandwidth_hz:.12g}"),
        "EchoTime": acquisition.echo_time_s,
        "RepetitionTime": acquisition.repetition_time_s,
        "MixingTime": acquisition.mixing_time_s,
        "InversionTime": acquisition.inversion_time_s,
        "NumberOfSpectralPoints": axis.n_points,
        "NumberOfTransients": acquisition.n_transients,
        "AcquisitionVoxelSize": None if acquisition.voxel_mm is None else list(acquisition.voxel_mm),
        "WaterSuppression": acquisition.water_suppressed,
        "ScanningSequence": "SVS",
        "PulseSequenceType": None if sequence is None else _SEQUENCE_TYPES.get(sequence, sequence),
        "Manufacturer": acquisition.manufacturer,
        "MagneticFieldStrength": acquisition.field_t,
    }
    copied = {key: header.get(said) for key, said in _COPIED.items()}
    return {key: value for key, value in (copied | known).items() if value not in (None, "")}
