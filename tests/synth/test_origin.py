import json
import runpy
from pathlib import Path

import pytest
from pydantic import ValidationError

from mrspipe.core.errors import ConfigError
from mrspipe.synth.acquisition import QualitySettings
from mrspipe.synth.origin import Sourced, facts
from mrspipe.synth.recipe import LEVELS, Level, Recipe, load_recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "synthetic_data").glob("*.toml"))


def untagged(recipe):
    return [fact.place for fact in facts(recipe) if fact.origin is None]


def numbers_in(value):
    """Numbers of a dumped recipe, apart from those that are no quantity; the slow twin of `facts`."""
    if isinstance(value, dict):
        return sum(numbers_in(one) for key, one in value.items() if key not in {"origin", "seed", "decimals"})
    if isinstance(value, list):
        return sum(numbers_in(one) for one in value)
    return int(isinstance(value, (int, float)) and not isinstance(value, bool))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_number_of_every_recipe_says_how_it_is_known(path):
    assert untagged(load_recipe(path)) == []


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_no_number_of_a_recipe_is_overlooked(path):
    recipe = load_recipe(path)
    listed = sum(numbers_in(json.loads(json.dumps(fact.value))) for fact in facts(recipe))
    assert listed == numbers_in(json.loads(recipe.model_dump_json()))


def test_every_default_says_how_it_is_known():
    assert untagged(Recipe()) == []
    assert {fact.origin.tag for level in LEVELS.values() for fact in facts(level)} == {"read", "derived", "assumed"}


def test_a_number_without_an_origin_is_found(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(
        "[quality]\nsnr_sd = 2.0\n[[effects]]\nshift = 1.0\nsubject_sd = 0.5\norigin.shift = { tag = 'assumed' }\n"
    )
    assert untagged(load_recipe(path)) == ["effects[Glu].subject_sd", "quality.snr_sd"]


def test_a_number_that_replaces_another_does_not_keep_its_origin(tmp_path):
    (tmp_path / "base.toml").write_text(
        "[quality]\nsnr_mean = 17\nsnr_sd = 3\norigin = { tag = 'read', source = 'a poster' }\n"
    )
    over = tmp_path / "over.toml"
    over.write_text("base = 'base.toml'\n[quality]\nsnr_mean = 40\n")
    recipe = load_recipe(over)
    assert untagged(recipe) == ["quality.snr_mean"]
    assert recipe.quality.origin["snr_sd"].source == "a poster"
    over.write_text("base = 'base.toml'\n[quality]\nsnr_mean = 40\norigin = { tag = 'assumed' }\n")
    recipe = load_recipe(over)
    assert (recipe.quality.origin["snr_mean"].tag, recipe.quality.origin["snr_sd"].tag) == ("assumed", "read")


@pytest.mark.parametrize(
    ("origin", "complaint"),
    [
        ("{ tag = 'guessed' }", "'read', 'derived', 'recalled' or 'assumed'"),
        ("{ tag = 'read' }", "needs a source"),
        ("{ tag = 'derived' }", "needs a source"),
        ("{ snr_maen = { tag = 'assumed' } }", "no number of this table"),
        ("{ tag = 'assumed', sourse = 'a book' }", "Did you mean 'source'"),
    ],
)
def test_an_origin_that_says_nothing_is_refused(tmp_path, origin, complaint):
    path = tmp_path / "recipe.toml"
    path.write_text(f"[quality]\nsnr_mean = 17\norigin = {origin}\n")
    with pytest.raises(ConfigError, match=complaint):
        load_recipe(path)


def test_a_default_keeps_its_origin_and_unit_in_the_settings():
    quality = QualitySettings()
    assert (quality.origin_of("fwhm_mean_hz").tag, quality.unit_of("fwhm_mean_hz")) == ("read", "Hz")
    assert QualitySettings(fwhm_mean_hz=5.0).origin_of("fwhm_mean_hz") is None


def test_all_settings_of_a_recipe_can_carry_origins():
    def held(model):
        for info in model.model_fields.values():
            waiting = [info.annotation]
            while waiting:
                kind = waiting.pop()
                waiting += getattr(kind, "__args__", ())
                if isinstance(kind, type) and issubclass(kind, Sourced):
                    yield kind
                    yield from held(kind)

    names = {kind.__name__ for kind in held(Recipe)}
    assert {"Level", "Group", "Effect", "RatingCell", "NormalCovariate", "QualitySettings", "LossSettings"} <= names


def test_scan_and_residual_sd_exclude_each_other():
    with pytest.raises(ValidationError, match="not both"):
        Level(mean=10.0, scan_sd=0.2, residual_sd=0.5)


def test_the_page_of_numbers_is_the_one_that_the_recipes_give():
    page = runpy.run_path(str(ROOT / "docs" / "cohort.py"))["page"]()
    written = (ROOT / "docs" / "cohort.md").read_text(encoding="utf-8")
    assert written == page, "python docs/cohort.py > docs/cohort.md"
