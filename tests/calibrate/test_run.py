"""A calibration as a whole: resuming, the same bytes for any number of workers, and what the command prints."""

import json
from pathlib import Path

import numpy as np
import pytest

from mrspipe.calibrate.run import CalibrationRequest, calibrate
from mrspipe.calibrate.worlds import World, cohort_seed, play
from mrspipe.config import StudyConfig, with_settings
from mrspipe.core.errors import ConfigError, InputError
from mrspipe.io.locks import locked
from mrspipe.io.tables import read_table
from mrspipe.stats.design import Design
from mrspipe.synth.recipe import Effect, Group, Level, Recipe

DESIGN = Design(group={"control": "HC", "patient": "CAI"}, secondary=("Gln",))
RECIPE = Recipe(
    groups=(Group(name="CAI", n=6), Group(name="HC", n=7)),
    levels={"Glu": Level(mean=12.0, subject_sd=0.9, fit_sd=0.5)},
    effects=(Effect(group="CAI", shift=-1.5),),
)
FILES = ("calibration.tsv", "calibration.json", "calibration.svg")


def config(n_procs=1, **changes):
    return StudyConfig(design=DESIGN, engine={"n_procs": n_procs}, **changes)


def request(out, n_cohorts=21, n_procs=1, **changes):
    given = {"recipe": RECIPE, "config": config(n_procs), "level": "concentrations", "seed": 4}
    return CalibrationRequest(n_cohorts=n_cohorts, out_dir=Path(out), **{**given, **changes})


def content(folder):
    return [(folder / name).read_bytes() for name in FILES]


def chunks(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cohorts").iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A calibration that never stopped: two chunks."""
    folder = tmp_path_factory.mktemp("whole")
    calibrate(request(folder))
    return folder


def test_a_calibration_that_goes_on_gives_the_bytes_of_one_that_never_stopped(tmp_path, whole):
    calibrate(request(tmp_path, 7))
    calibrate(request(tmp_path, 20))
    before = chunks(tmp_path)
    calibrate(request(tmp_path))
    assert content(tmp_path) == content(whole)
    # What was there is left alone.
    assert before.items() < chunks(tmp_path).items()


def test_the_number_of_workers_changes_no_byte(tmp_path, whole):
    calibrate(request(tmp_path, n_procs=2))
    assert content(tmp_path) == content(whole)


@pytest.mark.parametrize(
    "change",
    [{"seed": 5}, {"config": config(stats={"confidence": 0.9})}, {"recipe": RECIPE.model_copy(update={"effects": ()})}],
)
def test_another_seed_configuration_or_recipe_starts_again(tmp_path, change):
    calibrate(request(tmp_path, 2))
    before = (tmp_path / "cohorts" / "concentrations-000000.json").read_bytes()
    calibrate(request(tmp_path, 2, **change))
    assert (tmp_path / "cohorts" / "concentrations-000000.json").read_bytes() != before


def test_two_calibrations_do_not_write_to_one_folder(tmp_path):
    with locked(tmp_path, None), pytest.raises(InputError, match="Another run writes here"):
        calibrate(request(tmp_path, 2))
    assert not (tmp_path / "calibration.tsv").exists()
    calibrate(request(tmp_path, 2))
    assert not list((tmp_path / "logs").rglob("*.json"))


def test_another_state_of_the_program_starts_again(tmp_path, monkeypatch):
    calibrate(request(tmp_path, 2))
    path = tmp_path / "cohorts" / "concentrations-000000.json"
    before = json.loads(path.read_text())
    path.write_text(json.dumps({**before, "cohorts": []}))
    calibrate(request(tmp_path, 2))
    kept = json.loads(path.read_text())
    assert kept == before
    monkeypatch.setattr("mrspipe.calibrate.cohorts.program_mark", lambda **_: "another source")
    calibrate(request(tmp_path, 2))
    after = json.loads(path.read_text())
    assert after["fingerprint"] != before["fingerprint"]
    assert after["cohorts"] == before["cohorts"]


@pytest.mark.parametrize("setting", ["moment_matched", "mirrored"])
def test_cohorts_are_drawn_at_random_also_where_the_recipe_leaves_less_to_chance(tmp_path, setting):
    matched = RECIPE.model_copy(update={setting: True})
    found = calibrate(request(tmp_path / "matched", 3, recipe=matched))
    plain = calibrate(request(tmp_path / "plain", 3))
    assert found.rows == plain.rows
    assert any("drawn at random" in text for text in found.statements)
    assert not any("drawn at random" in text for text in plain.statements)


def test_a_damaged_file_is_played_again(tmp_path):
    calibrate(request(tmp_path, 2))
    path = tmp_path / "cohorts" / "concentrations-000000.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    calibrate(request(tmp_path, 2))
    assert path.read_bytes() == whole


def test_the_table_has_the_promised_columns_and_each_has_a_meaning(whole):
    table = read_table(whole / "calibration.tsv")
    assert list(table.columns[:6]) == ["test", "kind", "level", "cohorts", "rate", "mc_se"]
    meaning = json.loads((whole / "calibration.json").read_text())
    assert set(meaning) == set(table.columns)
    assert set(table["kind"]) <= set(meaning["kind"]["Levels"])
    assert set(table["level"]) == set(meaning["level"]["Levels"]) - {"averaged", "raw"}
    assert set(table["metabolite"].dropna()) == {"Glu"}


def test_all_metabolites_are_there_when_asked_for(tmp_path):
    found = calibrate(request(tmp_path, 2, all_metabolites=True))
    assert {row["metabolite"] for row in found.rows if "metabolite" in row} == {"Glu", "Gln"}


def test_the_oracle_finds_more_than_a_noisy_measurement(tmp_path):
    noisy = RECIPE.model_copy(update={"levels": {**RECIPE.levels, "Glu": Level(mean=12.0, subject_sd=0.5, fit_sd=3.0)}})
    found = calibrate(request(tmp_path, 20, recipe=noisy))
    power = {row["level"]: row["rate"] for row in found.rows if row["kind"] == "power"}
    # Effects of 3 and 0.5 standard deviations: the power is 0.998 and 0.1.
    assert power["oracle"] > 0.9
    assert power["concentrations"] < 0.5


def test_a_quantity_without_truth_is_refused(tmp_path):
    settings = with_settings(config(), "design", **DESIGN.model_dump(exclude_unset=True), outcome={"quantity": "molal"})
    with pytest.raises(ConfigError, match="not as molal"):
        calibrate(request(tmp_path, config=settings))
    assert not list(tmp_path.iterdir())


def test_seeds_of_cohorts_differ_and_do_not_depend_on_their_number():
    seeds = [cohort_seed(1, number) for number in range(1000)]
    assert len(set(seeds)) == 1000
    assert cohort_seed(2, 0) not in seeds


@pytest.mark.slow
def test_spectra_in_memory_give_the_truth_within_their_errors():
    recipe = RECIPE.model_copy(update={"groups": (Group(name="CAI", n=4), Group(name="HC", n=4))})
    settings = with_settings(config(), "fit", mm="parametrised")
    world = World(recipe, settings.model_copy(update={"design": DESIGN}), "averaged", 3)
    played = play(world, 0)
    rows = played.errors("Glu", "molar")
    assert played.n_failed == 0
    assert len(rows) == 8
    z = (rows["value"] - rows["value_true"]) / rows["se_total"]
    # Eight independent standard normal deviates and a bias of at most one of them: none beyond five.
    assert np.abs(z).max() < 5
    assert np.corrcoef(rows["value"], rows["value_true"])[0, 1] > 0
