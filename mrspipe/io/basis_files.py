"""Basis sets in LCModel's ``.basis`` format, and the conventions that have to be repaired on the way in.

A ``.basis`` file holds spectra: the unshifted Fourier transform of each FID divided by the square root of the number
of points, at a zero frequency of 4.65 ppm. There ppm falls with frequency, so the FIDs are conjugated. LCModel
multiplies each entry by ``TRAMP / (VOLUME * CONC)`` and moves it ``ISHIFT`` points towards larger ppm; so does
this module. It says in `BasisSet.repairs` what it repaired besides: a halved first point and a wrong reference shift.
"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.operators import shifted, to_spectrum
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.first_point import first_point_is_halved
from mrspipe.io.namelists import (
    FORMAT_WRITTEN,
    Namelist,
    complex_numbers,
    find_namelists,
    formatted,
    read_text,
)
from mrspipe.physics.constants import CR_PPM, METHYL_PROTONS, NAA_PPM, WATER_PPM
from mrspipe.physics.lineshapes import voigt_fwhm

# Other names of the same metabolite, in lower case; the right-hand side is what LCModel calls it.
_SHORT_NAMES = {
    "scyllo": "sIns", "scyl": "sIns", "scy": "sIns", "si": "sIns", "sins": "sIns", "scylloins": "sIns",
    "mi": "Ins", "myo": "Ins", "mins": "Ins", "myoins": "Ins", "ml": "Ins", "ins": "Ins",
    "pcho": "PCh", "pch": "PCh", "gpcho": "GPC", "gpch": "GPC", "gpc": "GPC",
    "cre": "Cr", "cr": "Cr", "pcre": "PCr", "pcr": "PCr",
    "glth": "GSH", "gth": "GSH", "gsh": "GSH", "glucose": "Glc", "glc": "Glc",
    "lactate": "Lac", "lac": "Lac", "taurine": "Tau", "tau": "Tau", "pea": "PE", "pe": "PE",
    "naa": "NAA", "naag": "NAAG", "glu": "Glu", "gln": "Gln", "gaba": "GABA", "ala": "Ala", "asp": "Asp",
    "asc": "Asc", "gly": "Gly",
}  # fmt: skip

# The singlets that tell reference shift, line width and amplitude: entry, ppm.
_SINGLETS = {"NAA": NAA_PPM, "Cr": CR_PPM}
# A singlet is searched for this far around its place, in ppm, ...
_SEARCH_PPM = 0.15
# ... and fitted this far around its maximum, in ppm: wide enough for its feet, narrow enough for it to be alone.
_FIT_PPM = 0.12
# References within this of the literature are left alone, in ppm: sets differ that much by their choice of shifts.
_OFFSET_TOLERANCE_PPM = 0.01
# Two singlets must agree on the reference shift within this, in ppm, ...
_OFFSET_AGREEMENT_PPM = 0.01
# ... and on the amplitude of a proton within this part.
_AMPLITUDE_AGREEMENT = 0.10
# Zero filling: the second half of the FID is below this part of the largest point.
_EMPTY_HALF = 1e-4
# A fitted singlet leaves at most this part of its energy unexplained.
_WORST_RESIDUAL = 0.05


class _Singlet(NamedTuple):
    """A fitted line: position, full Lorentzian and Gaussian widths, FID amplitude at time zero."""

    ppm: float
    lorentz_hz: float
    gauss_hz: float
    amplitude: float


def read_basis(path: Path) -> BasisSet:
    """Read a basis set from an LCModel ``.basis`` file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    BasisSet
        Names shortened as in LCModel; first points whole; at 4.65 ppm; amplitudes per unit concentration;
        ``proton_amplitude`` and ``linewidth_hz`` found from the methyl singlets of NAA and Cr.

    Raises
    ------
    FileError
        When this is no ``.basis`` file, or it is truncated.
    HeaderError
        When dwell time, frequency or number of points are missing or impossible.
    """
    path = Path(path)
    if path.suffix.lower() != ".basis":
        raise FileError(
            f"A basis set in the format '{path.suffix or 'folder'}' cannot be read.",
            where=str(path),
            cure="Accepted is LCModel's .basis; or leave the basis set out and it is simulated.",
            code="basis-format",
        )
    text = read_text(path)
    lists = find_namelists(text)
    sequence = next((item for item in lists if item.name == "SEQPAR"), Namelist("SEQPAR", {}, 0, 0))
    basis1 = next((item for item in lists if item.name == "BASIS1"), None)
    if basis1 is None:
        raise FileError("It has no $BASIS1 namelist.", where=str(path), cure="Is this an LCModel .basis file?")
    axis = _axis(sequence, basis1, path)
    names, fids = _entries(text, lists, basis1, axis, path)
    echo_time_ms = sequence.number("ECHOT", None, path)
    raw = BasisSet(
        names=names,
        fids=fids,
        axis=axis,
        sequence=sequence.values.get("SEQ", "").lower() or None,
        echo_time_s=echo_time_ms * 1e-3 if echo_time_ms is not None and echo_time_ms > 0 else None,
        proton_amplitude=None,
        made_by=basis1.values.get("IDBASI") or path.name,
    )
    return _calibrated(_referenced(_whole_first_points(_without_zero_filling(raw))), sequence, path)


def write_basis(path: Path, basis: BasisSet) -> None:
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
        names.append(short_name(item.values.get("METABO", "")))
        fids.append(_fid(spectrum, item, axis, path))
    if not names:
        raise FileError("It has no $BASIS entry.", where=str(path), cure="Is this an LCModel .basis file?")
    return tuple(names), np.array(fids)


def short_name(name: str) -> str:
    """Name a metabolite as LCModel does; unknown names stay as they are.

    Examples
    --------
    >>> short_name("Scyllo"), short_name("PCho"), short_name("MM09")
    ('sIns', 'PCh', 'MM09')
    """
    return _SHORT_NAMES.get(name.strip().lower(), name.strip())


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


def _whole_first_points(basis: BasisSet) -> BasisSet:
    """Double halved first points. An undecided entry follows the others where these all agree."""
    verdicts = [first_point_is_halved(fid) for fid in basis.fids]
    others = {verdict for verdict in verdicts if verdict is not None}
    halved = [others == {True} if verdict is None else verdict for verdict in verdicts]
    if not any(halved):
        return basis
    fids = basis.fids.copy()
    fids[halved, 0] *= 2.0
    which = "all entries" if all(halved) else ", ".join(n for n, h in zip(basis.names, halved, strict=True) if h)
    return replace(basis, fids=fids, repairs=(*basis.repairs, f"first point was halved and is restored: {which}"))


def _referenced(basis: BasisSet) -> BasisSet:
    """Move the set to the literature's shifts, only where its singlets say that it is off."""
    offsets = [singlet.ppm - _SINGLETS[name] for name, singlet in _singlets(basis).items()]
    if not offsets or max(offsets) - min(offsets) > _OFFSET_AGREEMENT_PPM:
        return basis
    offset_ppm = float(np.mean(offsets))
    if abs(offset_ppm) <= _OFFSET_TOLERANCE_PPM:
        return basis
    fids = shifted(basis.fids, basis.axis, -offset_ppm * basis.axis.hz_per_ppm)
    repair = f"all entries moved by {-offset_ppm:+.3f} ppm, so that the methyl singlets of NAA and Cr are in place"
    return replace(basis, fids=fids, repairs=(*basis.repairs, repair))


def _calibrated(basis: BasisSet, sequence: Namelist, path: Path) -> BasisSet:
    """Find line width and proton amplitude from the singlets; the header's width where there is no singlet."""
    singlets = _singlets(basis)
    header_width_ppm = sequence.number("FWHMBA", None, path) or 0.0
    width_hz = max(0.0, header_width_ppm) * basis.axis.hz_per_ppm
    if singlets:
        width_hz = float(np.mean([voigt_fwhm(line.lorentz_hz, line.gauss_hz) for line in singlets.values()]))
    protons = {name: singlet.amplitude / METHYL_PROTONS for name, singlet in singlets.items()}
    amplitude, repairs = _agreed(protons), basis.repairs
    if amplitude is None:
        found = ", ".join(f"{name} {value:.4g}" for name, value in protons.items()) or "no singlet of NAA or Cr"
        repairs = (*repairs, f"amplitude of one proton not known ({found}): only ratios have a meaning")
    return replace(basis, linewidth_hz=width_hz, proton_amplitude=amplitude, repairs=repairs)


def _agreed(values: dict[str, float]) -> float | None:
    """Mean of the values where they agree, else None."""
    if not values or max(values.values()) > (1 + _AMPLITUDE_AGREEMENT) * min(values.values()):
        return None
    return float(np.mean(list(values.values())))


def _singlets(basis: BasisSet) -> dict[str, _Singlet]:
    """Fitted methyl singlets of the entries that have one."""
    found = {
        name: _fit_singlet(basis.fids[basis.names.index(name)], basis.axis, ppm)
        for name, ppm in _SINGLETS.items()
        if name in basis.names
    }
    return {name: singlet for name, singlet in found.items() if singlet is not None}


def _fit_singlet(fid: ComplexArray, axis: SpectralAxis, expected_ppm: float) -> _Singlet | None:
    """Fit one Voigt line with any phase on a complex straight baseline; None where that does not describe it."""
    from scipy.optimize import least_squares

    spectrum = to_spectrum(fid)
    search = axis.slice_ppm(expected_ppm - _SEARCH_PPM, expected_ppm + _SEARCH_PPM)
    peak_ppm = float(axis.ppm[search][np.argmax(np.abs(spectrum[search]))])
    window = axis.slice_ppm(peak_ppm - _FIT_PPM, peak_ppm + _FIT_PPM)
    target = spectrum[window]
    slope = np.linspace(-1.0, 1.0, target.size)

    def solve(parameters: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        shift_hz, lorentz_hz, gauss_hz = parameters
        t = axis.time_s
        decay = np.exp(-np.pi * lorentz_hz * t - (np.pi * gauss_hz * t) ** 2 / (4 * np.log(2)))
        line = to_spectrum(decay * np.exp(2j * np.pi * (axis.offset_hz(peak_ppm) + shift_hz) * t))[window]
        design = np.stack([line, np.ones_like(line), slope + 0j], axis=1)
        linear = np.asarray(np.linalg.lstsq(design, target, rcond=None)[0], dtype=np.complex128)
        left: ComplexArray = target - design @ linear
        return linear, left

    def residual(parameters: FloatArray) -> FloatArray:
        left = solve(parameters)[1]
        return np.concatenate([left.real, left.imag])

    scale_hz = _SEARCH_PPM * axis.hz_per_ppm
    fitted = least_squares(
        residual, x0=[0.0, 2.0, 0.5], bounds=([-scale_hz, 0.0, 0.0], [scale_hz, scale_hz, scale_hz]), x_scale=[1, 1, 1]
    )
    linear, left = solve(fitted.x)
    if np.linalg.norm(left) ** 2 > _WORST_RESIDUAL * np.linalg.norm(target) ** 2:
        return None
    ppm = peak_ppm + fitted.x[0] / axis.hz_per_ppm
    return _Singlet(float(ppm), float(fitted.x[1]), float(fitted.x[2]), float(abs(linear[0])))
