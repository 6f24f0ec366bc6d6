"""LCModel's RAW files: one FID in plain text.

In RAW files a resonance of lower ppm has the higher frequency (NAA lies at +326 Hz from water at 3 T, measured on the
spectra of the ISMRM Fitting Challenge 2016); in memory it is the other way round, so FIDs are conjugated here, on
reading and on writing. ``BRUKER=T`` in a file says that it has the opposite sign.

A RAW file does not hold the dwell time, so that the caller must know it. Data are multiplied by ``TRAMP / VOLUME``
as LCModel does.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.signal import Acquisition, ProcessingStep, Signal
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.first_point import restored_first_point
from mrspipe.io.namelists import FORMAT_WRITTEN, Namelist, complex_numbers, find_namelists, formatted, read_text
from mrspipe.physics.constants import WATER_PPM

# What a header and the caller say must agree within this part.
_AGREEMENT = 0.01
# A RAW file shows itself within this many characters.
_HEADER_LENGTH = 4096


def looks_like_raw(path: Path) -> bool:
    """Tell whether a file is an LCModel RAW file: text that begins with ``$SEQPAR`` or ``$NMID``.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
    try:
        with Path(path).open(encoding="latin-1") as file:
            head = file.read(_HEADER_LENGTH)
    except OSError:
        return False
    start = head.lstrip()[:8].upper()
    return start.startswith(("$SEQPAR", "$NMID", "&SEQPAR", "&NMID")) and "NMID" in head.upper()


def read_raw(
    path: Path,
    *,
    dwell_s: float,
    spectrometer_hz: float,
    echo_time_s: float | None = None,
    centre_ppm: float = 4.65,
) -> Signal:
    """Read an LCModel RAW file of 1H data; also its water reference (``.H2O``), which has the same format.

    A halved first point is restored where the following points show that it is halved.

    Parameters
    ----------
    path : Path
    dwell_s : float
        Time between points, in s.
    spectrometer_hz : float
        In Hz.
    echo_time_s : float, optional
        In s; taken from ``ECHOT`` of the file when not given.
    centre_ppm : float, optional
        Chemical shift at zero frequency, in ppm.

    Returns
    -------
    Signal
        With the one dimension ``time``.

    Raises
    ------
    FileError
        When the file is no RAW file, or truncated, or of a kind that is not read.
    HeaderError
        When the header contradicts the arguments.
    """
    path = Path(path)
    text = read_text(path)
    lists = {item.name: item for item in find_namelists(text)}
    if "NMID" not in lists:
        raise FileError(
            "It has no complete $NMID ... $END.",
            where=str(path),
            cure="Is this an LCModel RAW file?",
            code="raw-format",
        )
    header, sequence = lists["NMID"], lists.get("SEQPAR", Namelist("SEQPAR", {}, 0, 0))
    if _is_true(header, "SEQACQ"):
        raise FileError(
            "Sequentially acquired data (SEQACQ=T) are not read.", where=str(path), cure="Export it as complex pairs."
        )
    _check_frequency(sequence, spectrometer_hz, path)
    last = max(lists.values(), key=lambda item: item.end)
    stored = complex_numbers(text[last.end :], header.values.get("FMTDAT", ""), None, path) * _scale(header, path)
    fid, restored = restored_first_point(stored if _is_true(header, "BRUKER") else stored.conj())
    return Signal(
        samples=fid,
        dims=("time",),
        axis=SpectralAxis(fid.size, dwell_s, spectrometer_hz, centre_ppm),
        acquisition=Acquisition(
            sequence=sequence.values.get("SEQ", "").lower() or None,
            echo_time_s=_echo_time_s(sequence, echo_time_s, path),
        ),
        history=(ProcessingStep("Read LCModel RAW", {"file": path.name, "first_point_restored": restored}),),
    )


def write_raw(path: Path, signal: Signal) -> None:
    """Write a combined signal as an LCModel RAW file, at a zero frequency of 4.65 ppm as LCModel expects.

    Parameters
    ----------
    path : Path
    signal : Signal
        With the one dimension ``time``.
    """
    axis, acquisition = signal.axis, signal.acquisition
    shift_hz = axis.offset_hz(2 * axis.centre_ppm - WATER_PPM)
    fid = signal.fid * np.exp(2j * np.pi * shift_hz * axis.time_s)
    parameters = [f"HZPPPM={axis.hz_per_ppm:.6f}"]
    if acquisition.echo_time_s is not None:
        parameters.append(f"ECHOT={acquisition.echo_time_s * 1e3:.2f}")
    if acquisition.sequence:
        parameters.append(f"SEQ='{acquisition.sequence.upper()}'")
    header = f" $SEQPAR\n {', '.join(parameters)}\n $END\n"
    header += f" $NMID\n ID='{Path(path).stem}', FMTDAT='{FORMAT_WRITTEN}'\n TRAMP=1., VOLUME=1.\n $END\n"
    atomic_write_text(Path(path), header + formatted(fid.conj()))


# LCModel starts only with a key; since version 6.3 is free it is this one for everybody.
_KEY = 210387309


def control_text(settings: Mapping[str, str | float | int | bool]) -> str:
    """Write LCModel's control file, a namelist that it reads from the standard input.

    Parameters
    ----------
    settings : mapping
        Control parameters by name. Paths are relative to the folder that LCModel runs in, because it cuts long ones.

    Examples
    --------
    >>> print(control_text({"nunfil": 1024, "deltat": 5e-4, "dows": True, "filraw": "data.RAW"}), end="")
     $LCMODL
     key=210387309
     nunfil=1024
     deltat=5.000000000e-04
     dows=T
     filraw='data.RAW'
     $END
    """
    lines = [f" {name}={_fortran(value)}" for name, value in ({"key": _KEY} | dict(settings)).items()]
    return "\n".join([" $LCMODL", *lines, " $END\n"])


def spectrum_settings(
    axis: SpectralAxis, range_ppm: tuple[float, float], *, raw: str, basis: str, table: str
) -> dict[str, str | float | int | bool]:
    """Give the control parameters that every fit needs, for `control_text`.

    Parameters
    ----------
    axis : SpectralAxis
        Of the spectrum.
    range_ppm : tuple of float
        Both ends of what is fitted.
    raw, basis, table : str
        Files of the spectrum, of the basis set, and where the concentrations go. The page is written to ``lcmodel.ps``.
    """
    return {
        "nunfil": axis.n_points,
        "deltat": axis.dwell_s,
        "hzpppm": axis.hz_per_ppm,
        "ppmst": max(range_ppm),
        "ppmend": min(range_ppm),
        "filbas": basis,
        "filraw": raw,
        "filps": "lcmodel.ps",
        "filtab": table,
        "ltable": 7,
    }


def _fortran(value: str | float | int | bool) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, float):
        return f"{value:.9e}"
    return str(value) if isinstance(value, int) else f"'{value.replace(chr(39), ' ')}'"


def _is_true(header: Namelist, key: str) -> bool:
    return header.values.get(key, "").lstrip(".").upper().startswith("T")


def _scale(header: Namelist, path: Path) -> float:
    """TRAMP / VOLUME; each is 1 when absent."""
    amplitude, volume = (header.number(key, 1.0, path) or 0.0 for key in ("TRAMP", "VOLUME"))
    if min(amplitude, volume) <= 0:
        raise HeaderError("TRAMP and VOLUME must be positive.", where=str(path), code="raw-scale")
    return amplitude / volume


def _check_frequency(sequence: Namelist, spectrometer_hz: float, path: Path) -> None:
    hz_per_ppm = sequence.number("HZPPPM", None, path)
    if hz_per_ppm and abs(hz_per_ppm * 1e6 / spectrometer_hz - 1) > _AGREEMENT:
        raise HeaderError(
            f"HZPPPM is {hz_per_ppm} MHz, but {spectrometer_hz * 1e-6} MHz was given.",
            where=str(path),
            cure="Give the frequency at which the data were acquired.",
            code="frequency-conflict",
        )


def _echo_time_s(sequence: Namelist, given_s: float | None, path: Path) -> float | None:
    """Echo time from the caller or the header, which must not contradict each other. Unit: s."""
    stored_ms = sequence.number("ECHOT", None, path)
    stored_s = stored_ms * 1e-3 if stored_ms is not None and stored_ms > 0 else None
    if stored_s and given_s and abs(stored_s / given_s - 1) > _AGREEMENT:
        raise HeaderError(
            f"ECHOT is {stored_ms} ms, but {given_s * 1e3:g} ms was given.",
            where=str(path),
            cure="Give the echo time at which the data were acquired, or leave it out.",
            code="echo-time-conflict",
        )
    return given_s if given_s is not None else stored_s
