"""Tables beside the contrasts, from the tables of a study: what is in them, whoever is missing."""

import pandas as pd
import pytest
from scipy import stats

from mrspipe.config import bundled, load_config, with_settings
from mrspipe.io.columns import ASSOCIATIONS, PEOPLE, QUALITY_CELLS, QUALITY_TESTS, ROBUSTNESS, ROBUSTNESS_SUMMARY
from mrspipe.io.tables import read_table
from mrspipe.pipeline.supporting import read_robustness, with_factors, write_robustness, write_supporting
from mrspipe.synth.concentrations import write_concentrations
from mrspipe.synth.recipe import load_recipe

TABLES = {
    "demographics.tsv": PEOPLE,
    "associations.tsv": ASSOCIATIONS,
    "quality_tests.tsv": QUALITY_TESTS,
    "quality_cells.tsv": QUALITY_CELLS,
    "robustness.tsv": ROBUSTNESS,
    "robustness_summary.tsv": ROBUSTNESS_SUMMARY,
}
KEYS = ["participant_id", "session_id", "task_id", "run"]


def write_group_folder(folder, name):
    """The tables that an analysis has when it begins to compare."""
    write_concentrations(load_recipe(bundled("synthetic_data", name)), folder, seed=2)
    measured = read_table(folder / "measurements.tsv")
    scans = measured.drop_duplicates(KEYS)
    scans[[*KEYS, "verdict", "snr", "fwhm_hz", "gm_fraction", "csf_fraction"]].to_csv(
        folder / "quality.tsv", sep="\t", index=False, na_rep="n/a"
    )
    return measured, scans


def write_all(folder, config, measured):
    ratings = folder / "ratings.tsv"
    write_robustness(folder, measured, config)
    write_supporting(folder, measured, read_table(ratings) if ratings.exists() else None, config)


@pytest.mark.parametrize(
    ("recipe", "config"),
    [
        pytest.param("small", "cocaine_nacc", marks=pytest.mark.slow),
        ("depression_riluzole", "depression_riluzole"),
        ("ketamine_surge", "ketamine_surge"),
    ],
)
def test_every_design_has_the_tables_with_the_promised_columns(tmp_path, recipe, config):
    folder, settings = tmp_path / "group", with_settings(load_config(config), "robustness", leave_one_out=False)
    measured, scans = write_group_folder(folder, recipe)
    write_all(folder, settings, measured)
    found = {name: read_table(folder / name) for name in TABLES}
    for name, columns in TABLES.items():
        assert list(found[name].columns) == list(columns), name
    # Every scan that is not unusable is in exactly one cell, those of controls without an arm too.
    cells = found["quality_cells.tsv"].query("metric == 'snr'")
    usable = scans[scans["verdict"] != "unusable"]
    assert cells["n_scans"].sum() == len(usable)
    assert cells["n_scans"].min() > 0
    tests = found["quality_tests.tsv"].query("metric == 'snr'")
    assert tests["p"].between(0, 1).all()
    assert tests["n_scans"].max() == len(usable)
    main = found["robustness.tsv"].query("kind == 'main'")
    assert main["estimate"].notna().all()
    again = read_robustness(folder, settings)
    pd.testing.assert_frame_equal(again, found["robustness.tsv"])


def test_a_participant_without_scans_counts_among_the_people_only(tmp_path):
    folder, settings = tmp_path / "group", load_config("cocaine_nacc")
    measured, _ = write_group_folder(folder, "small")
    people = read_table(folder / "participants.tsv")
    gone = people.loc[people["group"] == "CAI", "participant_id"].iloc[0]
    measured = measured[measured["participant_id"] != gone]
    quality = read_table(folder / "quality.tsv")
    quality[quality["participant_id"] != gone].to_csv(folder / "quality.tsv", sep="\t", index=False, na_rep="n/a")
    write_supporting(folder, measured, read_table(folder / "ratings.tsv"), settings)
    age = read_table(folder / "demographics.tsv").set_index("variable").loc["age"]
    ages = [people.loc[people["group"] == group, "age"] for group in ("CAI", "HC")]
    assert age["p"] == pytest.approx(stats.ttest_ind(*ages, equal_var=False).pvalue, rel=1e-8)
    assert age["n_other"] == len(ages[0])
    tests = read_table(folder / "quality_tests.tsv").query("metric == 'snr'")
    assert tests["n_subjects"].max() == len(people) - 1
    grams = read_table(folder / "associations.tsv").set_index("with").loc["cocaine_g_per_week"]
    assert grams["n"] <= len(ages[0]) - 1


def test_without_robustness_there_is_no_curve(tmp_path):
    folder, settings = tmp_path / "group", load_config("ketamine_surge")
    off = with_settings(settings, "robustness", enabled=False)
    measured, _ = write_group_folder(folder, "ketamine_surge")
    write_all(folder, off, measured)
    assert not (folder / "robustness.tsv").exists()
    assert read_robustness(folder, off) is None


def test_factors_are_joined_once_for_each_scan(tmp_path):
    measured, scans = write_group_folder(tmp_path / "group", "small")
    settings = load_config("cocaine_nacc")
    joined = with_factors(read_table(tmp_path / "group" / "quality.tsv"), measured, settings)
    assert len(joined) == len(scans)
    assert joined.set_index(KEYS)["drug"].to_dict() == scans.set_index(KEYS)["drug"].to_dict()
