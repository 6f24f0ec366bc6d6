"""Settings of sequences: what cannot be simulated is refused."""

import pytest
from pydantic import ValidationError

from mrspipe.basis.sequences import SEQUENCES, SequenceSettings
from mrspipe.core.errors import ConfigError


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


def test_an_unknown_sequence_is_refused():
    with pytest.raises(ValidationError, match="sequence"):
        SequenceSettings(sequence="isis", echo_time_s=0.03)


def test_settings_can_be_a_key():
    one = SequenceSettings(sequence="press", echo_time_s=0.03)
    assert hash(one) == hash(SequenceSettings(sequence="press", echo_time_s=0.03))
