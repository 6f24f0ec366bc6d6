"""A small brain-like basis of decaying exponentials, so that these tests stand on nothing but the fit."""

import numpy as np

from mrspipe.core.basis_set import BasisSet
from mrspipe.core.operators import broadened, phased, shifted
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.physics.macromolecules import macromolecule_lines

# (ppm, protons) of each line; multiplets are drawn as a few lines.
LINES = {
    "NAA": [(2.01, 3), (2.49, 0.5), (2.65, 0.5)],
    "Cr": [(3.03, 3), (3.91, 2)],
    "PCr": [(3.03, 3), (3.93, 2)],
    "GPC": [(3.21, 9), (3.66, 1)],
    "Ins": [(3.52, 2), (3.61, 2), (3.27, 1), (4.05, 1)],
    "Glu": [(2.34, 0.7), (2.37, 0.7), (2.10, 1.0), (2.05, 0.6), (3.75, 0.8)],
    "Gln": [(2.43, 0.7), (2.46, 0.7), (2.13, 1.5), (3.76, 0.8)],
    "GABA": [(2.28, 1), (1.89, 1), (3.01, 1)],
}  # fmt: skip
TRUTH = {"NAA": 9.0, "Cr": 4.2, "PCr": 3.8, "GPC": 1.5, "Ins": 6.0, "Glu": 9.0, "Gln": 2.5, "GABA": 1.6}


def make_basis(axis, **changes):
    time = axis.time_s
    fids = [
        sum(protons * np.exp(2j * np.pi * axis.offset_hz(ppm) * time) for ppm, protons in lines)
        for lines in LINES.values()
    ]
    fids = broadened(np.array(fids), axis, lorentz_hz=1.0)
    return BasisSet(tuple(LINES), fids, axis, **{"linewidth_hz": 1.0, "echo_time_s": 0.03, **changes})


def make_signal(basis, *, noise, seed=0, axis=None, truth=TRUTH, phase_deg=0.0, shift_hz=0.0, macromolecules=3.0):
    """Lorentz 2 Hz and Gauss 4.5 Hz on top of the basis and of macromolecule Gaussians, white noise."""
    axis = axis or basis.axis
    clean = broadened(np.array([truth[name] for name in basis.names]) @ make_basis(axis).fids, axis, lorentz_hz=2.0)
    for line in macromolecule_lines():
        tone = np.exp(2j * np.pi * axis.offset_hz(line.ppm) * axis.time_s)
        width = line.fwhm_ppm * axis.hz_per_ppm
        clean = clean + macromolecules * line.ratio * broadened(tone, axis, gauss_hz=width, lorentz_hz=2.0)
    clean = phased(shifted(broadened(clean, axis, gauss_hz=4.5), axis, shift_hz), np.deg2rad(phase_deg))
    rng = np.random.default_rng(seed)
    noisy = clean + noise * (rng.standard_normal(axis.n_points) + 1j * rng.standard_normal(axis.n_points))
    return Signal(noisy, ("time",), axis, Acquisition(echo_time_s=0.03))
