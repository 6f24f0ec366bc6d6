"""What has to be repaired in a basis set from a file: sign, first points, reference shift; and what it is worth.

Nothing is repaired in silence: `BasisSet.repairs` says it, and also what could not be checked.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import FileError
from mrspipe.core.operators import shifted, to_spectrum
from mrspipe.io.first_point import first_point_is_halved
from mrspipe.physics.constants import CR_PPM, METHYL_PROTONS, NAA_PPM
from mrspipe.physics.lineshapes import voigt_fwhm

# The singlets that tell reference shift, line width and amplitude: entry, ppm.
_SINGLETS = {"NAA": NAA_PPM, "Cr": CR_PPM}
# The entries whose strongest line tells the sign of the frequency: entry, ppm (Govindaraju 2000, as in
# `mrspipe.physics.metabolites`). None has a line where the mirrored spectrum would show this one.
_SIGN_LINES = {**_SINGLETS, "PCr": CR_PPM, "GPC": 3.212, "PCh": 3.208, "sIns": 3.340}
# It must be this many times larger than what is found at its mirrored place.
_CLEAR_SIGN = 3.0
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
# A fitted singlet leaves at most this part of its energy unexplained.
_WORST_RESIDUAL = 0.05


class _Singlet(NamedTuple):
    """A fitted line: position, full Lorentzian and Gaussian widths, FID amplitude at time zero."""

    ppm: float
    lorentz_hz: float
    gauss_hz: float
    amplitude: float


def repaired(basis: BasisSet, *, where: str = "") -> BasisSet:
    """Bring a basis set from a file to the conventions of `mrspipe.core`.

    Parameters
    ----------
    basis : BasisSet
        With short names; ``linewidth_hz`` as the file says it, ``proton_amplitude`` unknown.
    where : str
        File, for error messages.

    Returns
    -------
    BasisSet
        Sign, first points and reference shift repaired where the data show that they are wrong; line width and
        ``proton_amplitude`` found from the methyl singlets of NAA and Cr; ``repairs`` says what was done.

    Raises
    ------
    FileError
        Some entries have one sign of the frequency and some the other (code ``basis-sign``).
    """
    whole = _whole_first_points(_with_sign(basis, where))
    singlets = _singlets(whole)
    return _calibrated(_referenced(whole, singlets), singlets)


def _with_sign(basis: BasisSet, where: str) -> BasisSet:
    """Conjugate the set where its singlets are at the mirrored place."""
    votes = {name: _is_mirrored(basis, name, ppm) for name, ppm in _SIGN_LINES.items() if name in basis.names}
    mirrored = [name for name, vote in votes.items() if vote is True]
    right = [name for name, vote in votes.items() if vote is False]
    if mirrored and right:
        raise FileError(
            f"{', '.join(mirrored)} have the opposite sign of the frequency of {', '.join(right)}.",
            where=where,
            cure="Export the basis set again, all entries in the same way.",
            code="basis-sign",
        )
    if mirrored:
        repair = f"all entries conjugated, because {', '.join(mirrored)} are mirrored about the centre of the spectrum"
        return replace(basis, fids=basis.fids.conj(), repairs=(*basis.repairs, repair))
    if not right:
        note = "sign of the frequency not checked, no singlet tells it: taken as the format defines it"
        return replace(basis, repairs=(*basis.repairs, note))
    return basis


def _is_mirrored(basis: BasisSet, name: str, ppm: float) -> bool | None:
    """Tell whether the strongest line of an entry is at the mirrored place; None when it is at neither."""
    axis = basis.axis
    spectrum = np.abs(to_spectrum(basis.fids[basis.names.index(name)]))
    here, there = (_largest_near(spectrum, axis, place) for place in (ppm, 2 * axis.centre_ppm - ppm))
    if max(here, there) <= _CLEAR_SIGN * min(here, there):
        return None
    return there > here


def _largest_near(spectrum: FloatArray, axis: SpectralAxis, ppm: float) -> float:
    return float(spectrum[axis.slice_ppm(ppm - _SEARCH_PPM, ppm + _SEARCH_PPM)].max(initial=0.0))


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


def _referenced(basis: BasisSet, singlets: Mapping[str, _Singlet]) -> BasisSet:
    """Move the set to the literature's shifts, only where its singlets say that it is off."""
    offsets = [singlet.ppm - _SINGLETS[name] for name, singlet in singlets.items()]
    if not offsets or max(offsets) - min(offsets) > _OFFSET_AGREEMENT_PPM:
        return basis
    offset_ppm = float(np.mean(offsets))
    if abs(offset_ppm) <= _OFFSET_TOLERANCE_PPM:
        return basis
    fids = shifted(basis.fids, basis.axis, -offset_ppm * basis.axis.hz_per_ppm)
    repair = f"all entries moved by {-offset_ppm:+.3f} ppm, so that the methyl singlets of NAA and Cr are in place"
    return replace(basis, fids=fids, repairs=(*basis.repairs, repair))


def _calibrated(basis: BasisSet, singlets: Mapping[str, _Singlet]) -> BasisSet:
    """Find line width and proton amplitude from the singlets; the file's width where there is no singlet."""
    width_hz = basis.linewidth_hz
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
