"""NIfTI-MRS <-> `Signal`: the only place that conjugates.

On disk frequency is signed as by Levitt (1997, doi 10.1006/jmre.1997.1161): higher ppm is a more negative frequency.
In memory frequency rises with ppm (`mrspipe.core.axis`). So samples are conjugated on reading and on writing, here and
nowhere else. Files are written as NIfTI-2 of complex64, version 0.11 of the standard (Clarke et al. 2022,
doi 10.1002/mrm.29418); the same signal always gives the same bytes.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.io.atomic import atomic_write_bytes
from mrspipe.io.mrs_header import acquisition_from, centre_ppm, header_of, history_from, spectrometer_mhz
from mrspipe.io.nifti_files import image_bytes, is_compressed, load_nifti, nibabel, nifti_image

_INTENT = b"mrs_v0_11"
_INTENT_NAME = re.compile(r"mrs_v\d+_\d+")
_EXTENSION_CODE = 44
_MM_AND_S = 2 + 8
_SCANNER = 1
# Bits 3 to 5 of xyzt_units, and what one unit is in s.
_TIME_UNIT_BITS = 0x38
_SECONDS_PER_UNIT = {8: 1.0, 16: 1e-3, 24: 1e-6}
# Voxels of 10 m mean "not localised" in the standard.
_NOT_LOCALISED_MM = 10_000.0
# SpectralWidth of the JSON header may be rounded; a wrong time unit is a factor of a thousand.
_WIDTH_TOLERANCE = 1e-3

_DIM_OF_TAG = {
    "DIM_COIL": "coil",
    "DIM_DYN": "transient",
    "DIM_METCYCLE": "cycle",
    "DIM_EDIT": "edit",
    "DIM_PHASE_CYCLE": "phase_cycle",
}
_TAG_OF_DIM = {dim: tag for tag, dim in _DIM_OF_TAG.items()} | {"other": "DIM_USER_0"}
# What dimensions 5 to 7 are when the header does not say, by the standard.
_DEFAULT_TAGS = {5: "DIM_COIL", 6: "DIM_DYN", 7: "DIM_INDIRECT_0"}


def read_signal(path: Path) -> Signal:
    """Read a single-voxel NIfTI-MRS file.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``.

    Returns
    -------
    Signal
        Dimensions in the order of the file, time last. `ProcessingApplied` is its history.

    Raises
    ------
    FileError
        Codes ``missing``, ``truncated``, ``not-nifti``, ``not-nifti-mrs``, ``not-complex``, ``not-finite``,
        ``wrong-shape``, ``mrsi``.
    HeaderError
        Codes ``header-key``, ``header-value``, ``dwell-unit``, ``echo-time-unit``, ``frequency-unit``, ``nucleus``, ...
    """
    image = load_nifti(path)
    return signal_from_image(image, extension_of(image, where=str(path)), where=str(path))


def read_extension(path: Path) -> dict[str, Any]:
    """Read the JSON header of a NIfTI-MRS file."""
    return extension_of(load_nifti(path), where=str(path))


def is_nifti_mrs(image: Any) -> bool:
    """Tell by its intent name whether a nibabel image is NIfTI-MRS."""
    return _INTENT_NAME.match(_intent(image)) is not None


def _intent(image: Any) -> str:
    return bytes(image.header["intent_name"].item()).decode("latin-1")


def extension_of(image: Any, *, where: str) -> dict[str, Any]:
    """Take the JSON header from a nibabel image."""
    if not is_nifti_mrs(image):
        raise FileError(
            f"This is not NIfTI-MRS: its intent name is {_intent(image)!r}.",
            where=where,
            cure="Give a file whose intent name is like mrs_v0_11; an image is not a spectrum.",
            code="not-nifti-mrs",
        )
    contents = [e.get_content() for e in image.header.extensions if e.get_code() == _EXTENSION_CODE]
    try:
        header = json.loads(contents[0]) if contents else None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise HeaderError(f"The NIfTI-MRS header is not JSON: {error}.", where=where, code="header-json") from error
    if not isinstance(header, dict):
        raise HeaderError(
            f"The file has no NIfTI-MRS header (extension {_EXTENSION_CODE}).",
            where=where,
            cure="Convert the scan again.",
            code="header-json",
        )
    return header


def signal_from_image(image: Any, header: Mapping[str, Any], *, where: str) -> Signal:
    """Make a signal of a nibabel image and its JSON header."""
    on_disk = _checked_data(image, where)
    acquisition = acquisition_from(header, where=where)
    dims, kept_shape = _dimensions(on_disk.shape, header, where)
    n_points = on_disk.shape[3]
    samples = np.moveaxis(on_disk.reshape(n_points, *kept_shape), 0, -1).conj()
    affine = _affine(image)
    axis = SpectralAxis(
        n_points=n_points,
        dwell_s=_dwell_s(image, header, where),
        # Rounded to 1 mHz, so that MHz on disk and Hz in memory go back and forth without loss.
        spectrometer_hz=round(spectrometer_mhz(header, where=where) * 1e6, 3),
        centre_ppm=centre_ppm(header, where=where),
    )
    return Signal(
        samples=samples,
        dims=(*dims, "time"),
        axis=axis,
        acquisition=_with_geometry(acquisition, affine, samples, dims),
        history=history_from(header),
        affine=affine,
    )


def _checked_data(image: Any, where: str) -> ComplexArray:
    kind = image.get_data_dtype()
    if kind.kind != "c":
        raise FileError(
            f"The data are {kind}, not complex.",
            where=where,
            cure="NIfTI-MRS holds the complex FID; convert the scan again.",
            code="not-complex",
        )
    data = np.asarray(image.dataobj, dtype=np.complex128)
    if data.ndim < 4 or data.shape[3] < 2:
        raise FileError(
            f"The data have shape {data.shape}; the fourth dimension must be time.", where=where, code="wrong-shape"
        )
    if data.shape[:3] != (1, 1, 1):
        raise FileError(
            f"The data have {int(np.prod(data.shape[:3]))} voxels; only single-voxel spectra can be analysed.",
            where=where,
            cure="Write each voxel of interest to a file of its own.",
            code="mrsi",
        )
    if not np.isfinite(data).all():
        raise FileError(
            "The signal holds values that are not finite.", where=where, cure="Convert it again.", code="not-finite"
        )
    return data


def _dimensions(
    shape: tuple[int, ...], header: Mapping[str, Any], where: str
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and lengths of dimensions 5 to 7; one of length 1 that has no meaning here is dropped."""
    dims: list[str] = []
    lengths: list[int] = []
    for number, default_tag in _DEFAULT_TAGS.items():
        length = shape[number - 1] if len(shape) >= number else 1
        tag = header.get(f"dim_{number}")
        dim = _DIM_OF_TAG.get(str(tag or default_tag), "other")
        if length > 1 or (tag is not None and dim != "other"):
            dims.append(dim)
            lengths.append(length)
    if len(set(dims)) < len(dims):
        raise FileError(
            f"The dimensions {tuple(dims)} cannot be told apart.",
            where=where,
            cure="Average or split the dimensions that are not coils, transients, cycles or edits.",
            code="wrong-shape",
        )
    return tuple(dims), tuple(lengths)


def _dwell_s(image: Any, header: Mapping[str, Any], where: str) -> float:
    unit = int(image.header["xyzt_units"]) & _TIME_UNIT_BITS
    if unit not in _SECONDS_PER_UNIT:
        raise HeaderError(
            f"The unit of the dwell time is not s, ms or us (xyzt_units has time code {unit}).",
            where=where,
            cure="Set xyzt_units of the NIfTI header.",
            code="dwell-unit",
        )
    dwell_s = float(image.header["pixdim"][4]) * _SECONDS_PER_UNIT[unit]
    width_hz = header.get("SpectralWidth")
    if not dwell_s > 0:
        raise HeaderError(f"The dwell time must be positive, got {dwell_s} s.", where=where, code="dwell-unit")
    if isinstance(width_hz, (int, float)) and abs(width_hz * dwell_s - 1) > _WIDTH_TOLERANCE:
        raise HeaderError(
            f"SpectralWidth is {width_hz:g} Hz but the dwell time {dwell_s:g} s.",
            where=where,
            cure="Their product must be 1; correct pixdim[4], its unit or SpectralWidth.",
            code="dwell-unit",
        )
    return dwell_s


def _affine(image: Any) -> FloatArray | None:
    affine, code = image.header.get_qform(coded=True)
    if not code:
        affine, code = image.header.get_sform(coded=True)
    if not code or np.all(np.abs(image.header["pixdim"][1:4]) >= _NOT_LOCALISED_MM):
        return None
    placed: FloatArray = np.asarray(affine, dtype=np.float64)
    return placed


def _with_geometry(
    acquisition: Acquisition, affine: FloatArray | None, samples: ComplexArray, dims: tuple[str, ...]
) -> Acquisition:
    """Add what the data themselves say: voxel size, and the number of transients when they are all there."""
    changes: dict[str, Any] = {}
    if affine is not None:
        sizes = np.linalg.norm(affine[:3, :3], axis=0)
        changes["voxel_mm"] = tuple(round(float(size), 6) for size in sizes)
    if acquisition.n_transients is None and "transient" in dims:
        changes["n_transients"] = int(
            np.prod([samples.shape[i] for i, d in enumerate(dims) if d in ("transient", "cycle")])
        )
    return replace(acquisition, **changes)


def write_signal(path: Path, signal: Signal, *, extra_header: Mapping[str, Any] | None = None) -> None:
    """Write a signal as NIfTI-MRS, completely or not at all.

    Parameters
    ----------
    path : Path
        Ends with ``.nii`` or ``.nii.gz``.
    signal : Signal
    extra_header : mapping, optional
        Header of the file the signal comes from (`read_extension`); what the signal does not know is kept from it,
        and the signal's new history is appended to its `ProcessingApplied`.

    Raises
    ------
    FileError
        The signal has more than three dimensions besides time, or values too large for complex64.
    """
    atomic_write_bytes(path, signal_bytes(signal, compressed=is_compressed(Path(path)), extra_header=extra_header))


def signal_bytes(signal: Signal, *, compressed: bool, extra_header: Mapping[str, Any] | None = None) -> bytes:
    """Give the bytes that `write_signal` writes."""
    extra = dict(extra_header or {})
    header = header_of(signal, extra)
    text = json.dumps(_with_dimensions(header, signal), sort_keys=True, ensure_ascii=False, allow_nan=False)
    image = nifti_image(_on_disk(signal), version=2)
    _place(image, signal.affine)
    image.header["pixdim"][4] = signal.axis.dwell_s
    image.header["xyzt_units"] = _MM_AND_S
    image.header["intent_name"] = _INTENT
    image.header.extensions.append(nibabel().nifti1.Nifti1Extension(_EXTENSION_CODE, text.encode("utf-8")))
    return image_bytes(image, compressed=compressed)


def _on_disk(signal: Signal) -> np.ndarray[Any, np.dtype[np.complex64]]:
    if len(signal.dims) > 1 + len(_DEFAULT_TAGS):
        raise FileError(
            f"NIfTI-MRS holds three dimensions besides time; the signal has {signal.dims[:-1]}.",
            cure="Combine coils or average first.",
            code="wrong-shape",
        )
    largest = float(np.abs(signal.samples).max(initial=0.0))
    if largest > float(np.finfo(np.float32).max):
        raise FileError(f"A sample of size {largest:g} does not fit into complex64.", code="not-finite")
    time_first = np.moveaxis(signal.samples, -1, 0).conj().astype(np.complex64)
    return time_first.reshape(1, 1, 1, *time_first.shape)


def _place(image: Any, affine: FloatArray | None) -> None:
    if affine is None:
        image.header["pixdim"][1:4] = _NOT_LOCALISED_MM
        image.header.set_qform(None, 0)
        image.header.set_sform(None, 0)
        return
    image.header.set_qform(affine, _SCANNER)
    image.header.set_sform(affine, _SCANNER)


def _with_dimensions(header: Mapping[str, Any], signal: Signal) -> dict[str, Any]:
    """Name dimensions 5 to 7; what the header said about them is kept only where they are still the same."""
    result = {key: value for key, value in header.items() if not re.match(r"dim_[567]", key)}
    for number, dim in enumerate(signal.dims[:-1], start=5):
        said = header.get(f"dim_{number}")
        same = said is not None and _DIM_OF_TAG.get(said, "other") == dim
        result[f"dim_{number}"] = said if same else _TAG_OF_DIM[dim]
        if same and f"dim_{number}_info" in header:
            result[f"dim_{number}_info"] = header[f"dim_{number}_info"]
        values = header.get(f"dim_{number}_header")
        if same and values is not None and _fits(values, signal.size(dim)):
            result[f"dim_{number}_header"] = values
    return result


def _fits(values: Any, length: int) -> bool:
    """Tell whether the lists of a ``dim_N_header`` still have the length of the dimension."""
    entries = values.values() if isinstance(values, Mapping) else ()
    lists = [e.get("Value", e) if isinstance(e, Mapping) else e for e in entries]
    return all(not isinstance(e, list) or len(e) == length for e in lists)
