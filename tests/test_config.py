import re
from pathlib import Path

import pytest

from mrspipe.config import StudyConfig, bundled, config_toml, load_config, with_settings
from mrspipe.core.errors import ConfigError
from mrspipe.settings import parse_settings, read_toml

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_every_bundled_configuration_loads_by_name_and_path(path):
    assert load_config(path.stem) == load_config(path)


@pytest.mark.parametrize("name", [None, "cocaine_nacc"])
def test_the_resolved_configuration_reads_back_as_itself(tmp_path, name):
    config = load_config(name)
    (tmp_path / "config.toml").write_text(config_toml(config))
    assert load_config(tmp_path / "config.toml") == config


def test_a_name_that_does_not_exist_lists_those_that_do():
    with pytest.raises(ConfigError, match=re.escape("cocaine_nacc")):
        bundled("configs", "cocaine")


def test_a_setting_can_be_changed_and_the_rest_stays():
    config = load_config("cocaine_nacc")
    changed = with_settings(config, "fit", mm="basis")
    assert changed.fit.mm == "basis"
    assert changed.design == config.design


def test_a_wrong_change_is_refused_like_one_in_a_file():
    with pytest.raises(ConfigError, match="mm"):
        with_settings(StudyConfig(), "fit", mm="none")


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_settings(StudyConfig, {"fit": {"mmm": 1, "duration_s": -1}}, where="a.toml")
    text = str(caught.value)
    assert "'fit.mmm'. Did you mean 'mm'?" in text
    assert "fit.duration_s = -1" in text


def test_the_place_of_a_toml_mistake_is_given(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("[fit]\nmm = \n")
    with pytest.raises(ConfigError, match="line 2"):
        read_toml(path)
