"""``mrspipe stats``: the contrasts of a design from a table, against R on the reference data."""

import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mrspipe.cli.main import main
from mrspipe.io.tables import read_json, read_table

STUDY = """
[design]
group = { column = "group", control = "HC", patient = "CAI" }
condition = { entity = "task", control = "neutral", active = "cue" }
treatment = { column = "drug", control = "placebo", active = "NAC", period = "period" }
covariates = ["age", "sex", "smoker", "gm_fraction"]
ratings = { name = "craving", columns = { neutral = "vas", cue = "vas" } }

[stats]
random_condition = false    # as in the models of the reference
"""
GROUPS = """
[design]
group = { column = "group", control = "HC", patient = "PAT" }
"""
# What each contrast of the study is called in the reference, and its term there.
IN_R = {
    "patients-controls": ("H1.welch", None),
    "patients-controls-adjusted": ("H1a.ancova_hc3", "groupCAI"),
    "patients-controls-visits": ("H1mean_any.welch", None),
    "patients-controls-cue": ("H1cue.welch", None),
    "cue-baseline": ("H2.paired_t", None),
    "cue-baseline-visits": ("H3cai.kr.half", "t"),
    "cue-baseline-controls": ("H2hc.paired_t", None),
    "cue-baseline-all": ("H2a.kr.half", "t"),
    "group-by-cue": ("H2a.kr.half", "g:t"),
    "group-by-cue-visits": ("H3.kr.half", "g:t"),
    "NAC-placebo": ("H3.kr.half", "r"),
    "NAC-placebo-patients": ("H3cai.kr.half", "r"),
    "NAC-placebo-paired": ("NAC_mean_CAI.paired_t", None),
    "group-by-NAC": ("H3.kr.half", "g:r"),
    "cue-by-NAC": ("H3.kr.half", "t:r"),
    "group-by-cue-by-NAC": ("H3.kr.half", "g:t:r"),
    "carry-over": ("H3carry.kr.treatment", "sequenceNAC-placebo"),
    "craving": ("M1vas.paired_t", None),
}
COLUMNS = ["estimate", "se", "df", "statistic", "p", "ci_low", "ci_high"]
COUNTS = ["n_subjects", "n_scans", "n_reference", "n_other"]


def run(*arguments):
    """The command in this process; gives the exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mrspipe", "stats", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


def contrasts_of(folder, table, config, *more):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text(config)
    assert run(table, "--config", folder / "study.toml", "--out", folder, "--quiet", *more) == 0
    return read_table(folder / "contrasts.tsv").set_index("contrast")


@pytest.fixture(scope="module")
def reference_folder(real_data):
    return real_data / "reference" / "stats"


@pytest.fixture(scope="module", params=["A", "C"])
def analysed(request, reference_folder, tmp_path_factory):
    found = contrasts_of(tmp_path_factory.mktemp("stats"), reference_folder / f"dataset_{request.param}.tsv", STUDY)
    return found, pd.read_csv(reference_folder / f"reference_{request.param}.tsv", sep="\t")


@pytest.mark.real
def test_every_contrast_of_the_study_equals_that_of_r(analysed):
    found, reference = analysed
    # The interaction of the rating is not in the reference.
    assert set(found.index) == {*IN_R, "craving-group-by-cue"}
    for name, (analysis, term) in IN_R.items():
        rows = reference[reference["analysis"] == analysis]
        (expected,) = (rows if term is None else rows[rows["term"] == term])[COLUMNS].to_numpy()
        # Tables have ten digits; the mixed models agree as closely as R's own optimum is known.
        close = 1e-6 if "kr" in analysis else 2e-9
        np.testing.assert_allclose(
            found.loc[name, COLUMNS].astype(float), expected, rtol=close, atol=1e-8, err_msg=name
        )


@pytest.mark.real
def test_gaps_shuffled_rows_and_spelling_change_nothing_that_they_do_not_touch(reference_folder, tmp_path):
    data = pd.read_csv(reference_folder / "dataset_A.tsv", sep="\t", dtype=str, keep_default_na=False)
    clean = contrasts_of(tmp_path / "clean", reference_folder / "dataset_A.tsv", STUDY)
    people = sorted(set(data["participant_id"]))
    no_age, no_rating = people[3:30:9], people[5:50:11]
    messy = data.assign(
        age=data["age"].where(~data["participant_id"].isin(no_age), ""),
        vas=data["vas"].where(~(data["participant_id"].isin(no_rating) & (data["session"] == "1")), "NaN"),
    )
    empty = {**dict.fromkeys(data.columns, "n/a"), "participant_id": "sub-999", "group": "CAI", "session": "1",
             "period": "1", "drug": "placebo", "task": "neutral", "qc": "fail"}  # fmt: skip
    messy = pd.concat([messy, pd.DataFrame([empty])]).sample(frac=1, random_state=4)
    text = messy.to_csv(index=False, lineterminator="\r\n")
    (tmp_path / "messy.csv").write_bytes(text.encode("utf-8-sig"))
    found = contrasts_of(tmp_path / "messy", tmp_path / "messy.csv", STUDY)
    untouched = [name for name in clean.index if "adjusted" not in name and "craving" not in name]
    assert len(untouched) == 16
    pd.testing.assert_frame_equal(found.loc[untouched, [*COLUMNS, *COUNTS]], clean.loc[untouched, [*COLUMNS, *COUNTS]])
    assert found.loc["patients-controls", "n_left_out"] == clean.loc["patients-controls", "n_left_out"] + 1
    # Without these participants, the clean table gives the same adjusted comparison.
    data[~data["participant_id"].isin(no_age)].to_csv(tmp_path / "fewer.tsv", sep="\t", index=False)
    fewer = contrasts_of(tmp_path / "fewer", tmp_path / "fewer.tsv", STUDY)
    name = "patients-controls-adjusted"
    np.testing.assert_allclose(
        found.loc[name, COLUMNS].astype(float), fewer.loc[name, COLUMNS].astype(float), rtol=1e-9
    )
    rated = messy[(messy["group"] == "CAI") & (messy["drug"] == "placebo")]
    rated = rated.assign(vas=pd.to_numeric(rated["vas"], errors="coerce"))
    pairs = rated.pivot_table("vas", "participant_id", "task").dropna()
    craving = found.loc["craving"]
    assert craving["p"] == pytest.approx(stats.ttest_rel(pairs["cue"], pairs["neutral"]).pvalue, rel=1e-8)
    assert craving["n_subjects"] == len(pairs) < clean.loc["craving", "n_subjects"]
    listed = read_table(tmp_path / "messy" / "exclusions.tsv")
    assert "qc: fail" in set(listed.loc[listed["participant_id"] == "sub-999", "reason"])
    assert set(listed.loc[listed["analysis"] == name, "reason"]) == {"age is missing"}


def groups_table(path, levels=("HC", "PAT"), **columns):
    rng = np.random.default_rng(7)
    table = pd.DataFrame({"id": [f"s{i}" for i in range(12)], "group": [levels[i % 2] for i in range(12)]})
    table = table.assign(glu=np.round(rng.normal(10, 1, 12), 3), **columns)
    table.to_csv(path, sep="\t", index=False)
    return table


def test_the_table_of_two_groups_is_compared_and_printed(tmp_path, capsys):
    data = groups_table(tmp_path / "glu.tsv")
    (tmp_path / "study.toml").write_text(GROUPS)
    assert run(tmp_path / "glu.tsv", "--config", tmp_path / "study.toml", "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "patients-controls" in printed
    assert "contrasts.tsv" in printed
    row = read_table(tmp_path / "out" / "contrasts.tsv").iloc[0]
    by_group = data.groupby("group")["glu"]
    exact = stats.ttest_ind(by_group.get_group("PAT"), by_group.get_group("HC"), equal_var=False)
    assert (row["statistic"], row["p"]) == pytest.approx((exact.statistic, exact.pvalue), rel=1e-8)
    assert (row["n_reference"], row["n_other"], row["n_left_out"]) == (6, 6, 0)
    assert set(read_json(tmp_path / "out" / "contrasts.json")) == set(row.index)
    assert (tmp_path / "out" / "exclusions.json").is_file()


def test_a_misspelt_level_is_one_line_and_nothing_is_written(tmp_path, capsys):
    groups_table(tmp_path / "glu.tsv", levels=("HC", "pat"))
    (tmp_path / "study.toml").write_text(GROUPS)
    assert run(tmp_path / "glu.tsv", "--config", tmp_path / "study.toml", "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "design.group: no row has group 'PAT'; there is 'HC', 'pat'. Did you mean 'pat'?" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_ratings_may_come_from_a_table_of_their_own_without_the_groups(tmp_path):
    rng = np.random.default_rng(2)
    tasks = pd.DataFrame([(f"s{i:02d}", task) for i in range(12) for task in ("rest", "cue")], columns=["id", "task"])
    glu, mood = (tasks.assign(**{name: rng.normal(10, 1, 24)}) for name in ("Glu", "value"))
    patients = [f"s{i:02d}" for i in range(6)]
    glu = glu.assign(group=np.where(glu["id"].isin(patients), "PAT", "HC"))
    glu.to_csv(tmp_path / "glu.tsv", sep="\t", index=False)
    mood.sample(frac=1, random_state=1).to_csv(tmp_path / "mood.csv", index=False)
    config = f"""{GROUPS}
        condition = {{ entity = "task", control = "rest", active = "cue" }}
        ratings = {{ name = "mood", columns = {{ rest = "mood_rest", cue = "mood_cue" }} }}
    """
    found = contrasts_of(tmp_path / "out", tmp_path / "glu.tsv", config, "--ratings", tmp_path / "mood.csv")
    at = mood[mood["id"].isin(patients)].pivot_table("value", "id", "task")
    assert found.loc["mood", "p"] == pytest.approx(stats.ttest_rel(at["cue"], at["rest"]).pvalue, rel=1e-8)
    assert found.loc["mood", "n_subjects"] == 6
