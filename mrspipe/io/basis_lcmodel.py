"""Basis sets in LCModel's formats: a ``.basis`` file, and a folder of ``.RAW`` files.

A ``.basis`` file holds spectra: the unshifted Fourier transform of each FID divided by the square root of the number
of points, at a zero frequency of 4.65 ppm. There ppm falls with frequency, so the FIDs are conjugated. LCModel
multiplies each entry by ``TRAMP / (VOLUME * CONC)`` and moves it ``ISHIFT`` points towards larger ppm; so does
this module.

RAW files do not hold the dwell time. LCModel's program ``makebasis`` reads it from a control file (``DELTAT``, beside
the concentration ``CONC`` of each entry), and so does this module where one, ``*.in``, is in the folder.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from mrspipe.core.arrays import ComplexArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.operators import shifted
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.lcmodel_files import read_raw, write_raw
from mrspipe.io.namelists import (
    FORMAT_WRITTEN,
    Namelist,
    complex_numbers,
    find_namelists,
    formatted,
    read_text,
)
from mrspipe.physics.constants import WATER_PPM

# Zero filling: the second half of the FID is below this part of the largest point.
_EMPTY_HALF = 1e-4
_CONTROL_FILE = "makebasis.in"


def read_lcmodel_basis(path: Path) -> BasisSet:
    """Read a ``.basis`` file as it is: names and conventions are those of the file."""
    text = read_text(path)
    lists = find_namelists(text)
    sequence = next((item for item in lists if item.name == "SEQPAR"), Namelist("SEQPAR", {}, 0, 0))
    basis1 = next((item for item in lists if item.name == "BASIS1"), None)
    if basis1 is None:
        raise FileError("It has no $BASIS1 namelist.", where=str(path), cure="Is this an LCModel .basis file?")
    axis = _axis(sequence, basis1, path)
    names, fids = _entries(text, lists, basis1, axis, path)
    basis = BasisSet(
        names=names,
        fids=fids,
        axis=axis,
        sequence=sequence.values.get("SEQ", "").lower() or None,
        echo_time_s=_echo_time_s(sequence, path),
        proton_amplitude=None,
        linewidth_hz=_width_hz(sequence, axis.hz_per_ppm, path),
        made_by=basis1.values.get("IDBASI") or path.name,
    )
    return _without_zero_filling(basis)


def _echo_time_s(sequence: Namelist, path: Path) -> float | None:
    echo_time_ms = sequence.number("ECHOT", None, path)
    return echo_time_ms * 1e-3 if echo_time_ms is not None and echo_time_ms > 0 else None


def _width_hz(sequence: Namelist, hz_per_ppm: float, path: Path) -> float:
    return max(0.0, sequence.number("FWHMBA", None, path) or 0.0) * hz_per_ppm


def write_lcmodel_basis(path: Path, basis: BasisSet) -> None:
    """Write a basis set in LCModel's ``.basis`` format.

    FIDs are filled with zeros to twice their length and moved to 4.65 ppm, as LCModel expects. Their first points
    stay whole. ``proton_amplitude`` has no place in the format; `read_basis` finds it again from the singlets.

    Parameters
    ----------
    path : Path
    basis : BasisSet
    """
    axis = basis.axis
    at_water = shifted(basis.fids, axis, axis.offset_hz(2 * axis.centre_ppm - WATER_PPM))
    n_filled = 2 * axis.n_points
    spectra = np.fft.fft(at_water.conj(), n_filled, axis=-1) / np.sqrt(n_filled)
    echo_time = -1.0 if basis.echo_time_s is None else basis.echo_time_s * 1e3
    header = (
        f" $SEQPAR\n FWHMBA = {basis.linewidth_hz / axis.hz_per_ppm:.6f},\n HZPPPM = {axis.hz_per_ppm:.6f},\n"
        f" ECHOT = {echo_time:.2f},\n SEQ = '{(basis.sequence or ' ').upper()}'\n $END\n"
        f" $BASIS1\n IDBASI = '{_plain(basis.made_by)}',\n FMTBAS = '{FORMAT_WRITTEN}',\n"
        f" BADELT = {axis.dwell_s:.9E},\n NDATAB = {n_filled}\n $END\n"
    )
    entries = [
        f" $NMUSED\n XTRASH = 0.\n $END\n $BASIS\n ID = '{name}',\n METABO = '{name}',\n CONC = 1.,\n TRAMP = 1.,\n"
        f" VOLUME = 1.,\n ISHIFT = 0\n $END\n{formatted(spectrum)}"
        for name, spectrum in zip(basis.names, spectra, strict=True)
    ]
    atomic_write_text(Path(path), header + "".join(entries))


def _plain(text: str) -> str:
    """Text that fits between the quotes of a namelist."""
    return text.replace("'", "").replace("\n", " ")[:70] or " "


def _axis(sequence: Namelist, basis1: Namelist, path: Path) -> SpectralAxis:
    """Axis of the stored spectra; nothing is assumed when a number is missing."""
    hz_per_ppm = sequence.number("HZPPPM", None, path)
    dwell_s = basis1.number("BADELT", None, path)
    n_points = basis1.number("NDATAB", None, path)
    if hz_per_ppm is None or dwell_s is None or n_points is None:
        raise HeaderError("HZPPPM, BADELT and NDATAB must all be given.", where=str(path), code="basis-header")
    return SpectralAxis(int(n_points), dwell_s, hz_per_ppm * 1e6, WATER_PPM)


def _entries(
    text: str, lists: tuple[Namelist, ...], basis1: Namelist, axis: SpectralAxis, path: Path
) -> tuple[tuple[str, ...], ComplexArray]:
    """Names and FIDs of all entries, scaled and shifted as LCModel does."""
    next_start = {item.end: following.start for item, following in pairwise(lists)}
    names, fids = [], []
    for item in lists:
        if item.name != "BASIS":
            continue
        numbers = text[item.end : next_start.get(item.end, len(text))]
        spectrum = complex_numbers(numbers, basis1.values.get("FMTBAS", ""), axis.n_points, path)
        names.append(item.values.get("METABO", ""))
        fids.append(_fid(spectrum, item, axis, path))
    if not names:
        raise FileError("It has no $BASIS entry.", where=str(path), cure="Is this an LCModel .basis file?")
    return tuple(names), np.array(fids)


def _fid(spectrum: ComplexArray, entry: Namelist, axis: SpectralAxis, path: Path) -> ComplexArray:
    """FID of unit concentration in the convention of `mrspipe.core.axis`."""
    concentration, amplitude, volume = (entry.number(key, 1.0, path) or 0.0 for key in ("CONC", "TRAMP", "VOLUME"))
    if min(concentration, amplitude, volume) <= 0:
        raise HeaderError(
            f"CONC, TRAMP and VOLUME of '{entry.values.get('METABO')}' must be positive.", where=str(path)
        )
    shift_points = entry.number("ISHIFT", 0.0, path) or 0.0
    stored = np.fft.ifft(spectrum) * np.sqrt(axis.n_points)
    fid: ComplexArray = stored.conj() * (amplitude / (volume * concentration))
    return shifted(fid, axis, shift_points * axis.bandwidth_hz / axis.n_points)


def _without_zero_filling(basis: BasisSet) -> BasisSet:
    """Drop the second half of the FIDs where it is empty in all of them."""
    half = (basis.axis.n_points + 1) // 2
    largest = np.abs(basis.fids).max(axis=1)
    if (np.abs(basis.fids[:, half:]).max(axis=1) > _EMPTY_HALF * largest).any():
        return basis
    return replace(basis, fids=basis.fids[:, :half], axis=replace(basis.axis, n_points=half))


def read_raw_folder(path: Path, *, dwell_s: float | None, spectrometer_hz: float | None) -> BasisSet:
    """Read a folder of RAW files, one per metabolite.

    Parameters
    ----------
    path : Path
    dwell_s, spectrometer_hz : float or None
        None: what the control file of makebasis says, or (the frequency) ``HZPPPM`` of the RAW files.
    """
    control = sorted(file for file in path.iterdir() if file.suffix.lower() == ".in")
    lists = find_namelists(read_text(control[0])) if control else ()
    settings = {key: value for item in lists if item.name in ("SEQPAR", "NMALL") for key, value in item.values.items()}
    known = Namelist("SEQPAR", settings, 0, 0)
    files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".raw")
    hz_per_ppm = known.number("HZPPPM", None, path) or _raw_hz_per_ppm(files)
    dwell_s = dwell_s or known.number("DELTAT", None, path)
    spectrometer_hz = spectrometer_hz or (hz_per_ppm * 1e6 if hz_per_ppm else None)
    if dwell_s is None or spectrometer_hz is None:
        missing = "dwell time" if dwell_s is None else "spectrometer frequency"
        raise HeaderError(
            f"RAW files do not hold the {missing}.",
            where=str(path),
            cure=f"Put the control file of makebasis ({_CONTROL_FILE}, with DELTAT and HZPPPM) into the folder.",
            code="basis-header",
        )
    signals = {file: read_raw(file, dwell_s=dwell_s, spectrometer_hz=spectrometer_hz) for file in files}
    entries = {Path(item.values.get("FILRAW", "")).name: item for item in lists if item.name == "NMEACH"}
    return _joined(signals, entries, known, path)


def _joined(signals: Mapping[Path, Signal], entries: Mapping[str, Namelist], known: Namelist, path: Path) -> BasisSet:
    """Make a basis set of the RAW files and what the control file says of each."""
    first = next(iter(signals.values()))
    if any(signal.axis != first.axis for signal in signals.values()):
        raise FileError("The RAW files differ in their number of points.", where=str(path), code="basis-axis")
    header = {file: entries.get(file.name, Namelist("NMEACH", {}, 0, 0)) for file in signals}
    fids = [signal.fid / _concentration(header[file], path) for file, signal in signals.items()]
    restored = [file.stem for file, s in signals.items() if s.history[-1].details.get("first_point_restored")]
    repairs = (f"first point was halved and is restored: {', '.join(restored)}",) if restored else ()
    return BasisSet(
        names=tuple(header[file].values.get("METABO") or file.stem for file in signals),
        fids=np.array(fids),
        axis=first.axis,
        sequence=first.acquisition.sequence or known.values.get("SEQ", "").lower() or None,
        echo_time_s=first.acquisition.echo_time_s or _echo_time_s(known, path),
        proton_amplitude=None,
        linewidth_hz=_width_hz(known, first.axis.hz_per_ppm, path),
        made_by=known.values.get("IDBASI") or path.name,
        repairs=repairs,
    )


def _concentration(entry: Namelist, path: Path) -> float:
    """Concentration of an entry in its own unit, 1 where it is not said."""
    concentration = entry.number("CONC", 1.0, path) or 0.0
    if concentration <= 0:
        raise HeaderError(f"CONC of '{entry.values.get('METABO')}' must be positive.", where=str(path))
    if entry.number("DEGZER", 0.0, path) or entry.number("DEGPAP", 0.0, path):
        raise HeaderError(
            f"'{entry.values.get('METABO')}' has a phase (DEGZER, DEGPAP) that is not applied here.",
            where=str(path),
            cure="Let LCModel's makebasis make a .basis file and read that.",
            code="basis-phase",
        )
    return concentration


def _raw_hz_per_ppm(files: list[Path]) -> float | None:
    """HZPPPM of the first RAW file, where it has one."""
    found = find_namelists(read_text(files[0]))
    return next((item.number("HZPPPM", None, files[0]) for item in found if item.name == "SEQPAR"), None)


def write_raw_folder(path: Path, basis: BasisSet) -> None:
    """Write one RAW file per metabolite and the control file of makebasis.

    Parameters
    ----------
    path : Path
        Folder; made where it is missing.
    basis : BasisSet
    """
    acquisition = Acquisition(sequence=basis.sequence, echo_time_s=basis.echo_time_s)
    axis = basis.axis
    for name, fid in zip(basis.names, basis.fids, strict=True):
        write_raw(path / f"{name}.RAW", Signal(samples=fid, dims=("time",), axis=axis, acquisition=acquisition))
    echo_time = -1.0 if basis.echo_time_s is None else basis.echo_time_s * 1e3
    header = (
        f" $SEQPAR\n FWHMBA = {basis.linewidth_hz / axis.hz_per_ppm:.6f},\n ECHOT = {echo_time:.2f},\n"
        f" SEQ = '{(basis.sequence or ' ').upper()}'\n $END\n"
        f" $NMALL\n HZPPPM = {axis.hz_per_ppm:.6f},\n DELTAT = {axis.dwell_s:.9E},\n NUNFIL = {axis.n_points},\n"
        f" FILBAS = '{path.stem}.basis',\n IDBASI = '{_plain(basis.made_by)}'\n $END\n"
    )
    entries = [f" $NMEACH\n FILRAW = '{name}.RAW',\n METABO = '{name}',\n CONC = 1.\n $END\n" for name in basis.names]
    atomic_write_text(path / _CONTROL_FILE, header + "".join(entries))
