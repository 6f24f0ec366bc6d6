import numpy as np
import pytest

from mrspipe.core.errors import InputError
from mrspipe.io.columns import MEASUREMENTS
from mrspipe.io.tables import read_table
from mrspipe.stats.design import Design
from mrspipe.stats.ratings import ratings_table
from mrspipe.synth.acquisition import LossSettings
from mrspipe.synth.cohort import draw_cohort, with_sums
from mrspipe.synth.concentrations import study_tables, write_concentrations
from mrspipe.synth.covariates import RatingCell, Ratings
from mrspipe.synth.recipe import Crossover, Group, Level, Parallel, Recipe
from mrspipe.synth.spectra import metabolite_amplitudes

FIT_SD = {"Glu": 0.75, "Gln": 0.6, "tCr": 0.4}


def recipe(n=40, **changes):
    levels = {name: Level(mean=10.0, subject_sd=0.5, fit_sd=sd) for name, sd in FIT_SD.items()}
    levels |= {"tNAA": Level(mean=9.0, subject_sd=0.5)}
    given = {
        "groups": (Group(name="CAI", n=n), Group(name="HC", n=n)),
        "sessions": ("1", "2"),
        "tasks": ("neutral", "cue"),
        "crossover": Crossover(),
        "levels": levels,
        "correlations": (),
        "ratings": Ratings(
            cells=tuple(RatingCell(group=g, task=t, mean=30, sd=15) for g in ("CAI", "HC") for t in ("neutral", "cue"))
        ),
    }
    return Recipe(**{**given, **changes})


def tables(made, seed=1, **options):
    return study_tables(draw_cohort(made, seed=seed), made, seed=seed, **options)


@pytest.fixture(scope="module")
def errors():
    """Errors of 640 scans by metabolite."""
    made = recipe(80, ratings=None)
    measured, oracle = (tables(made, quantities=("molar",), oracle=o).measurements for o in (False, True))
    difference = measured["value"] - oracle["value"]
    return {name: rows.to_numpy() for name, rows in difference.groupby(measured["metabolite"])}


def test_the_oracle_holds_the_truth():
    made = recipe(4)
    found = tables(made, oracle=True).measurements.set_index(["participant_id", "session_id", "task_id", "metabolite"])
    molar, ratio = (found[found["quantity"] == quantity]["value"] for quantity in ("molar", "ratio_tcr"))
    for truth in draw_cohort(made, seed=1).scans:
        place = (f"sub-{truth.key.sub}", f"ses-{truth.key.ses}", truth.key.task)
        signals = with_sums(metabolite_amplitudes(truth, made))
        for name, level in with_sums(truth.levels).items():
            assert molar[(*place, name)] == level
            assert ratio[(*place, name)] == pytest.approx(signals[name] / signals["tCr"], rel=1e-14)


@pytest.mark.parametrize(
    ("name", "sd"),
    # The members of a level share its error; levels have errors of their own.
    [("Glu", 0.75), ("tCr", 0.4), ("Cr", 0.4 * 0.53), ("Glx", np.hypot(0.75, 0.6)), ("tNAA", 0.0)],
)
def test_a_value_differs_from_the_truth_by_the_error_of_the_fit(errors, name, sd):
    found = errors[name]
    # 640 errors: their SD has a standard error of 2.8 %, their mean one of 4 % of the SD.
    assert np.std(found) == pytest.approx(sd, rel=4 * 0.028, abs=1e-12)
    assert np.mean(found) == pytest.approx(0.0, abs=4 * sd / np.sqrt(640) + 1e-12)


@pytest.mark.parametrize(("name", "sd"), [("Glu", 0.75), ("Glx", np.hypot(0.75, 0.6)), ("Cr", 0.4 * 0.53)])
def test_the_standard_error_is_that_of_the_recipe(name, sd):
    found = tables(recipe(2), metabolites=(name,)).measurements
    molar = found[found["quantity"] == "molar"]
    np.testing.assert_allclose(molar["se_fit"], sd, rtol=1e-12)
    np.testing.assert_allclose(found["crlb_pct"], 100 * found["se_fit"] / found["value"], rtol=1e-12)


def test_what_has_no_error_has_no_standard_error():
    assert tables(recipe(2), metabolites=("tNAA",)).measurements["se_fit"].isna().all()


def test_errors_of_scans_are_independent(errors):
    found = errors["Glu"].reshape(-1, 4)
    # 160 participants: correlations have a standard error of 0.08.
    assert np.abs(np.corrcoef(found.T) - np.eye(4)).max() < 4 * 0.08


def test_one_more_participant_changes_no_other():
    fewer, more = (
        tables(recipe(groups=(Group(name="HC", n=n),), ratings=None), metabolites=("Glu",)).measurements["value"]
        for n in (4, 5)
    )
    np.testing.assert_array_equal(fewer, more[: len(fewer)])


def test_the_columns_are_those_of_an_analysed_study():
    found = tables(recipe(2)).measurements
    assert list(found.columns[: len(MEASUREMENTS)]) == list(MEASUREMENTS)
    joined = {"group", "age", "sex", "drug", "period", "craving_neutral", "gm_fraction", "wm_fraction", "csf_fraction"}
    assert joined <= set(found.columns)


def test_lost_scans_are_not_there_and_poor_ones_are_left_out_of_what_was_measured():
    made = recipe(30, losses=LossSettings(technical=0.2, poor_quality=0.3))
    acquired = [truth for truth in draw_cohort(made, seed=1).scans if not truth.lost]
    poor = sum(truth.fwhm_hz == made.quality.poor_fwhm_hz for truth in acquired)
    measured, oracle = (
        tables(made, metabolites=("Glu",), quantities=("molar",), oracle=o).measurements for o in (False, True)
    )
    assert len(measured) == len(oracle) == len(acquired) < 240
    assert 0 < (~measured["included"]).sum() == poor
    assert oracle["included"].all()


def test_ratings_are_those_that_the_pipeline_makes_of_the_sessions_files():
    found = tables(recipe(3), metabolites=("Glu",), quantities=("molar",))
    visits = found.measurements.drop_duplicates(["participant_id", "session_id"])
    design = Design(
        group={"control": "HC", "patient": "CAI"},
        condition={"entity": "task", "control": "neutral", "active": "cue"},
        treatment={"column": "drug", "control": "placebo", "active": "nac", "period": "period"},
        ratings={"name": "craving", "columns": {"neutral": "craving_neutral", "cue": "craving_cue"}},
    )
    wanted = ratings_table(visits, design)
    names = sorted(wanted.columns)
    order = ["participant_id", "session_id", "task_id"]
    left, right = (table[names].sort_values(order).reset_index(drop=True) for table in (wanted, found.ratings))
    assert left.astype(str).equals(right.astype(str))


def test_written_tables_are_the_same_for_the_same_seed_and_can_be_read(tmp_path):
    made = recipe(2)
    for name in ("first", "second"):
        write_concentrations(made, tmp_path / name, seed=3)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == ["measurements.json", "measurements.tsv", "participants.json", "participants.tsv", "ratings.tsv"]
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    truth = read_table(tmp_path / "first_truth" / "truth.tsv")
    assert list(truth.columns) == list(read_table(tmp_path / "first" / "measurements.tsv").columns)


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "out_truth").mkdir()
    (tmp_path / "out_truth" / "old.tsv").write_text("old")
    with pytest.raises(InputError, match="empty folder"):
        write_concentrations(recipe(2), tmp_path / "out")


def test_arms_are_in_the_table_of_people_too(tmp_path):
    made = recipe(4, crossover=None, parallel=Parallel(arms=("placebo", "drug"), groups=("CAI",)))
    write_concentrations(made, tmp_path / "out")
    people = read_table(tmp_path / "out" / "participants.tsv")
    measured = read_table(tmp_path / "out" / "measurements.tsv")
    assert sorted(people.loc[people["group"] == "CAI", "arm"]) == ["drug", "drug", "placebo", "placebo"]
    assert people.loc[people["group"] == "HC", "arm"].isna().all()
    joined = measured.merge(people, on="participant_id", suffixes=("", "_people"))
    assert joined["arm"].fillna("none").equals(joined["arm_people"].fillna("none"))
