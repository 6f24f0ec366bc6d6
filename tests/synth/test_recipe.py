from pathlib import Path

import pytest
from pydantic import ValidationError

from mrspipe.core.errors import ConfigError
from mrspipe.settings import Settings
from mrspipe.synth.recipe import Crossover, Effect, Group, Recipe, load_recipe

RECIPES = sorted((Path(__file__).parents[2] / "synthetic_data").glob("*.toml"))


def written(folder: Path, text: str, name: str = "recipe.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def all_settings(kind: type[Settings] = Settings) -> list[type[Settings]]:
    return [k for sub in kind.__subclasses__() for k in (sub, *all_settings(sub))]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads(path):
    assert load_recipe(path).name


def test_there_are_recipes():
    assert {path.stem for path in RECIPES} >= {
        "small",
        "paper_like",
        "strong",
        "null",
        "confounded",
        "nac_effect",
        "moment_matched",
        "two_groups",
        "pre_post",
        "single_group",
    }


def test_the_cocaine_recipe_has_the_design_of_the_paper():
    recipe = load_recipe(next(path for path in RECIPES if path.stem == "paper_like"))
    assert {group.name: group.n for group in recipe.groups} == {"CAI": 26, "HC": 30}
    assert (len(recipe.sessions), recipe.tasks) == (2, ("neutral", "cue"))
    assert (recipe.measurement.echo_time_s, recipe.measurement.repetition_time_s) == (0.032, 2.5)
    assert (recipe.quality.snr_mean, recipe.quality.fwhm_mean_hz) == (17.5, 6.91)


def test_an_unknown_key_is_refused_with_the_near_one(tmp_path):
    path = written(tmp_path, "[quality]\nsnr_maen = 20\n")
    with pytest.raises(ConfigError, match=r"quality\.snr_maen.*Did you mean 'snr_mean'") as caught:
        load_recipe(path)
    assert caught.value.code == "settings"
    assert str(path) in str(caught.value)


def test_a_value_of_the_wrong_kind_is_refused_with_its_place(tmp_path):
    path = written(tmp_path, "[measurement]\nblocks = 0\n")
    with pytest.raises(ConfigError, match=r"measurement\.blocks"):
        load_recipe(path)


def test_text_that_is_not_toml_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="not readable TOML"):
        load_recipe(written(tmp_path, "name = \n"))


def test_a_recipe_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_recipe(tmp_path / "absent.toml")


def test_a_recipe_takes_over_its_base_and_replaces_lists(tmp_path):
    written(tmp_path, "seed = 5\n[quality]\nsnr_mean = 30\nsnr_sd = 2\n[[effects]]\nshift = 1\n", "base.toml")
    recipe = load_recipe(written(tmp_path, 'base = "base.toml"\neffects = []\n[quality]\nsnr_mean = 40\n'))
    assert (recipe.seed, recipe.quality.snr_mean, recipe.quality.snr_sd, recipe.effects) == (5, 40, 2, ())


def test_bases_in_a_circle_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="circle"):
        load_recipe(written(tmp_path, 'base = "recipe.toml"\n'))


def test_given_levels_join_the_defaults(tmp_path):
    recipe = load_recipe(written(tmp_path, "[levels.Glu]\nmean = 8\n"))
    assert recipe.levels["Glu"].mean == 8
    assert recipe.levels["tCr"].mean == 11.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"effects": (Effect(group="XX"),)},
        {"effects": (Effect(on="Xyz"),)},
        {"effects": (Effect(treatment="nac"),)},
        {"sessions": ("1",), "crossover": Crossover()},
        {"groups": (Group(), Group())},
        {"levels": {"Glx": {"mean": 15.0}}},
        {"measurement": {"relaxation": "nobody"}},
    ],
    ids=["group", "metabolite", "treatment", "sessions", "same-name", "sum", "relaxation"],
)
def test_names_that_do_not_fit_together_are_refused(wrong):
    with pytest.raises(ValidationError):
        Recipe(**wrong)


def test_every_setting_that_is_a_number_or_choice_is_described():
    from mrspipe.synth import acquisition, recipe

    modules = {acquisition.__name__, recipe.__name__}
    labels = {"group", "session", "task", "treatment", "first", "second", "r", "kind"}
    silent = [
        f"{kind.__name__}.{name}"
        for kind in all_settings()
        if kind.__module__ in modules
        for name, field in kind.model_fields.items()
        if not field.description and name not in labels
    ]
    assert silent == []
