"""Pulses as settings and as files: what a scanner plays is what is simulated, and nonsense is refused."""

import numpy as np
import pytest
from pydantic import ValidationError

from mrspipe.basis.designs import adiabatic_pulse, sinc_gauss_pulse, slr_pulse
from mrspipe.basis.pulses import cayley_klein, slice_profile
from mrspipe.basis.waveforms import PulseSettings, PulseShape, Waveform, parse_waveform, shaped_pulse
from mrspipe.core.errors import ConfigError

SYMMETRIC = (0.0, 1.0, 3.0, 1.0, 0.0)


def as_waveform(pulse, **fields):
    return Waveform(
        duration_s=pulse.duration_s,
        amplitude=tuple(np.abs(pulse.rotation)),
        phase_deg=tuple(np.rad2deg(np.angle(pulse.rotation))),
        gradient=tuple(pulse.gradient),
        peak_hz=float(np.abs(pulse.rotation).max() / (2 * np.pi * pulse.dwell_s)),
        **fields,
    )


@pytest.mark.parametrize("pulse", [slr_pulse("refocusing", 0.005, 1200.0), adiabatic_pulse("goia", 0.0045, 8000.0)])
def test_a_waveform_of_a_design_does_what_the_design_does(pulse):
    given = shaped_pulse("refocusing", PulseSettings(refocusing=PulseShape(waveform=as_waveform(pulse))))
    position_hz = np.linspace(-1500, 1500, 9)
    # A waveform is held during its samples, which a hard rotation in the middle is not: sinc(f dt) = 0.98 at the ends.
    np.testing.assert_allclose(
        cayley_klein(given, position_hz, 90.0), cayley_klein(pulse, position_hz, 90.0), atol=0.02
    )


def test_a_phase_of_180_degrees_is_a_negative_amplitude():
    amplitude = (0.0, -0.2, 0.0, 1.0, 1.0, 0.0, -0.2, 0.0)
    signed = Waveform(duration_s=0.005, amplitude=amplitude)
    phases = Waveform(
        duration_s=0.005,
        amplitude=tuple(abs(value) for value in amplitude),
        phase_deg=tuple(180.0 if value < 0 else 0.0 for value in amplitude),
    )
    shapes = [PulseSettings(excitation=PulseShape(waveform=waveform)) for waveform in (signed, phases)]
    assert not phases.swept
    np.testing.assert_allclose(*(shaped_pulse("excitation", shape).rotation for shape in shapes), atol=1e-12)


def test_a_coarse_waveform_has_no_replica_of_its_slice():
    # Held samples fall off as sinc(f dt), which is 0 where hard rotations would select again.
    coarse = Waveform(duration_s=0.005, amplitude=(0.1, 0.5, 1.0, 1.0, 0.5, 0.1))
    pulse = shaped_pulse("excitation", PulseSettings(excitation=PulseShape(waveform=coarse)))
    assert slice_profile(pulse, "excitation", np.array([0.0, 6 / 0.005]))[1] < 0.05


def test_a_design_is_chosen_by_its_name():
    settings = PulseSettings(refocusing=PulseShape(design="sinc_gauss", bandwidth_hz=1000.0, duration_s=0.006))
    assert shaped_pulse("refocusing", settings) is sinc_gauss_pulse("refocusing", 0.006, 1000.0)


def test_pairs_are_refocused_by_an_adiabatic_pulse_and_single_echoes_are_not():
    single, paired = (shaped_pulse("refocusing", PulseSettings(), in_pairs=pairs) for pairs in (False, True))
    assert np.ptp(np.angle(single.rotation[np.abs(single.rotation) > 1e-6]) % np.pi) < 1e-6
    assert np.ptp(paired.gradient) > 0.5


def test_a_waveform_without_an_amplitude_turns_a_spin_on_resonance_by_its_angle():
    shape = PulseShape(waveform=Waveform(duration_s=0.003, amplitude=SYMMETRIC))
    settings = PulseSettings(excitation=shape, refocusing=shape)
    assert shaped_pulse("excitation", settings).rotation.sum() == pytest.approx(np.pi / 2)
    by_sample = shaped_pulse("refocusing", settings).rotation.reshape(5, -1).sum(axis=1)
    np.testing.assert_allclose(by_sample, np.pi * np.array([0.0, 0.2, 0.6, 0.2, 0.0]), atol=1e-12)


def test_toml_and_csv_say_the_same():
    toml = "duration_s = 0.004\npeak_hz = 500\namplitude = [0, 1, 0.5, 0]\nphase_deg = [0, 90, 90, 0]\n"
    csv = "# duration_s = 0.004\n# peak_hz = 500\namplitude, phase_deg\n0, 0\n1, 90\n0.5, 90\n0, 0\n"
    assert parse_waveform(toml, where="pulse.toml") == parse_waveform(csv, where="pulse.CSV")


@pytest.mark.parametrize(
    ("where", "text", "message"),
    [
        ("a.toml", "duration_s = [", "cannot be read"),
        ("a.toml", "duration_s = 0.004\namplitud = [1, 1, 1, 1]", "Did you mean 'amplitude'"),
        ("a.toml", "duration_s = 0\namplitude = [1, 1, 1, 1]", "duration_s = 0"),
        ("a.toml", "duration_s = 0.004\namplitude = [1, 1]", "at least 4"),
        ("a.toml", "duration_s = 0.004\namplitude = [1, 1, 1, nan]\npeak_hz = 9", "finite"),
        ("a.toml", "duration_s = 0.004\namplitude = [1, 1, 1, 1]\ngradient = [1, 1]", "gradient has 2 samples"),
        ("a.toml", "duration_s = 0.004\namplitude = [1, 1, 1, 1]\ngradient = [1, 0, 0, 1]", "positive"),
        ("a.toml", "duration_s = 0.004\namplitude = [1, -1, 1, -1]", "needs peak_hz"),
        ("a.toml", "duration_s = 0.004\namplitude = [1, 1, 1, 1]\nphase_deg = [0, 9, 9, 0]", "needs peak_hz"),
        ("a.csv", "", "cannot be read"),
        ("a.csv", "amplitude\n1\n1\n1\n1\n", "duration_s"),
        ("a.csv", "# duration_s = 0.004\namplitude,phase_deg\n1\n", "2 columns"),
        ("a.csv", "# duration_s = 0.004\namplitude\none\n", "could not convert"),
    ],
)
def test_a_waveform_that_is_none_is_refused_with_its_file(where, text, message):
    with pytest.raises(ConfigError, match=message) as error:
        parse_waveform(text, where=where)
    assert error.value.where == where


def test_the_excitation_must_have_a_middle_and_no_sweep():
    lopsided = Waveform(duration_s=0.003, amplitude=(0.0, 1.0, 2.0, 3.0))
    with pytest.raises(ValidationError, match="symmetric"):
        PulseSettings(excitation=PulseShape(waveform=lopsided))
    with pytest.raises(ValidationError, match="adiabatic full passage"):
        PulseSettings(excitation=PulseShape(design="hs"))


@pytest.mark.parametrize("field", ["bandwidth_hz", "duration_s", "peak_hz"])
def test_a_pulse_of_no_size_is_refused(field):
    with pytest.raises(ValidationError, match=field):
        PulseShape(**{field: 0.0})


def test_a_waveform_that_does_not_do_what_it_is_for_is_refused():
    # As if its unit were taken for kHz.
    weak = Waveform(duration_s=0.005, amplitude=SYMMETRIC, peak_hz=0.6)
    with pytest.raises(ConfigError, match="for refocusing turns 0%"):
        shaped_pulse("refocusing", PulseSettings(refocusing=PulseShape(waveform=weak)))


def test_a_file_that_nobody_has_read_is_not_taken_for_a_design():
    with pytest.raises(ConfigError, match="has not been read"):
        shaped_pulse("refocusing", PulseSettings(refocusing=PulseShape(file="pulse.toml")))
