"""Sequences as timelines, and their settings: what cannot be simulated is refused."""

import numpy as np
import pytest
from pydantic import ValidationError

from mrspipe.basis.sequences import SEQUENCES, SequenceSettings
from mrspipe.basis.waveforms import PulseSettings, PulseShape
from mrspipe.core.errors import ConfigError

SETTINGS = {
    name: SequenceSettings(
        sequence=name,
        echo_time_s=0.03,
        mixing_time_s=0.01 if name == "steam" else None,
        te1_s=0.012 if name in {"press", "slaser"} else None,
    )
    for name in SEQUENCES
}


def test_every_sequence_has_a_function():
    names = SequenceSettings.model_json_schema()["properties"]["sequence"]["enum"]
    assert set(names) == set(SEQUENCES)


@pytest.mark.parametrize("name", ["press", "slaser", "special", "spin_echo"])
def test_a_sequence_with_an_echo_needs_its_time(name):
    with pytest.raises(ConfigError, match=f"{name} needs an echo time"):
        SequenceSettings(sequence=name)


def test_steam_needs_a_mixing_time():
    with pytest.raises(ConfigError, match="steam needs a mixing time"):
        SequenceSettings(sequence="steam", echo_time_s=0.02)


@pytest.mark.parametrize(("sequence", "te1_s"), [("press", 0.03), ("slaser", 0.03), ("special", 0.01)])
def test_the_first_echo_belongs_to_press_and_slaser_and_is_shorter_than_the_whole(sequence, te1_s):
    with pytest.raises(ConfigError, match="te1_s is the first echo time of press or slaser"):
        SequenceSettings(sequence=sequence, echo_time_s=0.03, te1_s=te1_s)


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_detected_order_survives_the_last_pulse(name):
    timeline = SEQUENCES[name](SETTINGS[name])
    assert timeline.turns[-1].order == -1
    middles = [turn.middle_s for turn in timeline.turns]
    assert sorted(middles) == middles
    assert middles[-1] <= timeline.end_s


@pytest.mark.parametrize("name", SEQUENCES)
def test_all_shifts_are_refocused_at_the_first_point(name):
    # Precession of each order between the pulses, and of order -1 after the last, adds up to nothing.
    timeline = SEQUENCES[name](SETTINGS[name])
    times = [*(turn.middle_s for turn in timeline.turns), timeline.end_s]
    assert np.dot([turn.order for turn in timeline.turns], np.diff(times)) == pytest.approx(0.0, abs=1e-12)


def test_echo_times_of_press_are_twice_the_distances_of_its_pulses():
    excite, first, second = SEQUENCES["press"](SETTINGS["press"]).turns
    assert 2 * (first.middle_s - excite.middle_s) == pytest.approx(0.012)
    assert 2 * (second.middle_s - first.middle_s) == pytest.approx(0.030)


def test_pulse_acquire_has_no_slice_to_shape():
    with pytest.raises(ConfigError, match="selects no slice"):
        SequenceSettings(sequence="pulse_acquire", pulses="shaped")


@pytest.mark.parametrize("name", ["press", "special", "spin_echo"])
def test_one_adiabatic_pulse_does_not_refocus(name):
    pulses = PulseSettings(refocusing=PulseShape(design="goia", bandwidth_hz=8000.0))
    with pytest.raises(ConfigError, match=f"{name} cannot refocus"):
        SequenceSettings(sequence=name, echo_time_s=0.03, pulses="shaped", pulse_shapes=pulses)


def test_an_unknown_sequence_is_refused():
    with pytest.raises(ValidationError, match="sequence"):
        SequenceSettings(sequence="isis", echo_time_s=0.03)


def test_settings_can_be_a_key():
    one = SequenceSettings(sequence="press", echo_time_s=0.03)
    assert hash(one) == hash(SequenceSettings(sequence="press", echo_time_s=0.03))
