"""Agreement with another density-matrix program, MRSandbox (pypi.org/project/mrsandbox), where it is installed.

It is no dependency of the tests, because it needs JAX, PyTorch or TensorFlow: ``pip install "mrsandbox[jax]"``. It
shares no code with mrspipe, and keeps every proton as a spin of its own.
"""

import numpy as np
import pytest

from mrspipe.basis.sequences import SequenceSettings
from mrspipe.basis.simulate import simulate_basis
from mrspipe.basis.waveforms import PulseSettings, PulseShape
from mrspipe.core.axis import SpectralAxis
from mrspipe.physics.constants import GAMMA_BAR_1H_HZ_PER_T
from mrspipe.physics.metabolites import spin_system

F0 = 123.2e6
AXIS = SpectralAxis(1024, 1 / 2000, F0, 4.65)
# Without 31P and 14N.
NAMES = ("NAA", "Cr", "Glu", "Gln", "Ins", "GABA", "Tau", "Lac", "Asp", "Asc", "Ala", "EtOH", "Ser", "2HG")


@pytest.fixture(scope="module")
def sandbox():
    pytest.importorskip("mrsandbox", reason="mrsandbox is not installed")
    pytest.importorskip("jax", reason="mrsandbox needs JAX")
    from mrsandbox.backend.precision import set_precision

    set_precision("float64")
    return pytest.importorskip("mrsandbox")


def _systems(name):
    """Each part, with every proton as a spin."""
    from mrsandbox.spins.systems import SpinSystem

    for number, part in enumerate(spin_system(name).parts):
        group = np.repeat(np.arange(len(part.multiplicity)), part.multiplicity)
        j = np.zeros((group.size, group.size))
        for a, b, value in part.couplings_hz:
            j[np.ix_(group == a, group == b)] = value
        yield SpinSystem(
            name=f"{name}.{number}",
            nucleus="1H",
            shifts_ppm=tuple(float(part.shifts_ppm[g]) for g in group),
            j_hz=tuple(map(tuple, (j + j.T).tolist())),
            scale=part.scale,
            gamma_mhz_t=GAMMA_BAR_1H_HZ_PER_T * 1e-6,
        )


def _fid(name, sequence):
    """One proton has an amplitude of 1."""
    from mrsandbox.engine.core import Engine

    lines = Engine(F0 / GAMMA_BAR_1H_HZ_PER_T, isochromats=96).lines(sequence, *_systems(name))
    frequency, amplitude = (np.asarray(part) for part in lines)
    offset_hz = frequency - AXIS.centre_ppm * AXIS.hz_per_ppm
    return 2 * np.exp(2j * np.pi * np.outer(AXIS.time_s, offset_hz)) @ amplitude


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sequence", ["pulse_acquire", "press", "steam"])
def test_ideal_pulses_give_the_same_fid(sandbox, sequence, name):
    theirs, ours = {
        "pulse_acquire": (sandbox.PulseAcquire(), SequenceSettings(sequence="pulse_acquire")),
        "press": (sandbox.Press(0.012, 0.023), SequenceSettings(sequence="press", echo_time_s=0.035, te1_s=0.012)),
        "steam": (
            sandbox.Steam(0.02, 0.013),
            SequenceSettings(sequence="steam", echo_time_s=0.02, mixing_time_s=0.013),
        ),
    }[sequence]
    found = simulate_basis(ours, AXIS, metabolites=(name,), linewidth_hz=0.0).fids[0]
    expected = _fid(name, theirs)
    # Lines below a millionth of the strongest are left out.
    assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected)


# Both design SLR and GOIA pulses of these durations and bandwidths, but with filters of their own.
PULSES = {
    "press": PulseSettings(
        excitation=PulseShape(bandwidth_hz=6.0 / 0.0026, duration_s=0.0026),
        refocusing=PulseShape(bandwidth_hz=6.24 / 0.0065, duration_s=0.0065),
    ),
    "steam": PulseSettings(excitation=PulseShape(bandwidth_hz=6.0 / 0.0026, duration_s=0.0026)),
    "slaser": PulseSettings(excitation=PulseShape(bandwidth_hz=6.76 / 0.0026, duration_s=0.0026)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["NAA", "Cr", "Glu", "Lac", "Asp", "Asc"])
@pytest.mark.parametrize("sequence", PULSES)
def test_shaped_pulses_give_nearly_the_same_fid(sandbox, sequence, name):
    theirs, times = {
        "press": (sandbox.LocalizedPress(0.012, 0.023, F0 * 1e-6), {"echo_time_s": 0.035, "te1_s": 0.012}),
        "steam": (sandbox.LocalizedSteam(0.02, 0.013, F0 * 1e-6), {"echo_time_s": 0.02, "mixing_time_s": 0.013}),
        "slaser": (sandbox.LocalizedSemiLaser(0.036, F0 * 1e-6), {"echo_time_s": 0.036}),
    }[sequence]
    ours = SequenceSettings(sequence=sequence, pulses="shaped", pulse_shapes=PULSES[sequence], **times)
    found = simulate_basis(ours, AXIS, metabolites=(name,), linewidth_hz=0.0).fids[0]
    expected = _fid(name, theirs)
    correlation = abs(np.vdot(found, expected)) / np.linalg.norm(found) / np.linalg.norm(expected)
    assert correlation > 0.997
