"""Tests of quality between the cells of a design: against R, and against the analysis of variance of balanced data."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mrspipe.stats.design import ContrastSettings, Design, StatsSettings
from mrspipe.stats.model_columns import model_data
from mrspipe.stats.models import mixed_model
from mrspipe.stats.quality_tests import quality_cell_table, quality_test_table, term_tests
from mrspipe.stats.samples import select

CROSSOVER = Design(
    group={"control": "HC", "patient": "CAI"},
    condition={"entity": "task", "control": "neutral", "active": "cue"},
    treatment={"column": "drug", "control": "placebo", "active": "NAC"},
)
TIMES = Design(time={"entity": "task", "levels": ["before", "during", "after"]})
TRIAL = Design(
    group={"control": "HC", "patient": "PAT"},
    arm={"control": "placebo", "active": "riluzole"},
    time={"entity": "session", "levels": ["pre", "post"]},
)


def rows_of(table, **which):
    for name, value in which.items():
        table = table[table[name] == value]
    return table.to_dict("records")


@pytest.mark.real
@pytest.mark.parametrize("name", ["A", "C"])
@pytest.mark.parametrize("metric", ["snr", "fwhm_hz", "gm_fraction"])
def test_terms_equal_those_of_r_with_the_random_effect_that_r_was_given(real_data, name, metric):
    folder = real_data / "reference" / "stats"
    data = pd.read_csv(folder / f"dataset_{name}.tsv", sep="\t", na_values="n/a")
    results = pd.read_csv(folder / f"reference_{name}.tsv", sep="\t")
    expected = results[results["analysis"] == f"Q1.{metric}.F3.kr"].set_index("term")
    scans = data[data["qc"] == "pass"].assign(task_id=data["task"], value=data[metric])
    sample = select(scans, CROSSOVER, ContrastSettings(name="quality", compare=()))
    made, sample = model_data(sample, CROSSOVER)
    alone = {"participant": made.groupings["participant"]}
    found = term_tests(sample, mixed_model(made.y, made.columns, alone))
    in_r = {"condition": "task", "treatment": "drug"}
    for row in found:
        r = expected.loc[":".join(in_r.get(part, part) for part in row["term"].split(":"))]
        assert [row["statistic"], row["den_df"], row["p"]] == pytest.approx([r["statistic"], r["df"], r["p"]], rel=1e-6)
    assert len(found) == len(expected) == 7


def three_times(n=9, seed=4):
    rng = np.random.default_rng(seed)
    shift = {"before": 0.0, "during": 3.0, "after": 0.0}
    return pd.DataFrame(
        {"participant_id": f"sub-{i:02d}", "task_id": time, "verdict": "good", "snr": 20 + own + up + rng.normal()}
        for i, own in enumerate(rng.normal(0, 2, n))
        for time, up in shift.items()
    )


def test_every_level_of_the_time_is_tested():
    # One way, balanced: the F test of the analysis of variance with participants as blocks.
    quality = three_times()
    (row,) = rows_of(quality_test_table(quality, TIMES), metric="snr")
    wide = quality.pivot_table("snr", "participant_id", "task_id").to_numpy()
    n, k = wide.shape
    effect = n * np.sum((wide.mean(axis=0) - wide.mean()) ** 2) / (k - 1)
    rest = wide - wide.mean(axis=0) - wide.mean(axis=1, keepdims=True) + wide.mean()
    f = effect / (np.sum(rest**2) / ((n - 1) * (k - 1)))
    assert (row["term"], row["n_scans"], row["num_df"]) == ("time", 27, 2)
    assert [row["statistic"], row["den_df"]] == pytest.approx([f, 16], rel=1e-6)
    assert row["p"] == pytest.approx(stats.f.sf(f, 2, 16), rel=1e-5)
    assert row["p"] < 0.01
    cells = quality_cell_table(quality, TIMES).set_index("cell")
    assert list(cells.index) == ["before", "during", "after"]
    assert cells.loc["during", "mean"] == pytest.approx(wide[:, 2].mean())
    assert cells.loc["during", "sd"] == pytest.approx(wide[:, 2].std(ddof=1))


def trial(n=10, seed=5):
    """Patients in two arms, controls in none; lines are broader in the riluzole arm after."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(2 * n):
        group = ("HC", "PAT")[i % 2]
        arm = np.nan if group == "HC" else ("placebo", "riluzole")[i // 2 % 2]
        own = rng.normal(7, 1)
        for time in ("pre", "post"):
            up = 2.0 * (arm == "riluzole" and time == "post")
            width = own + up + rng.normal(0, 0.4)
            rows.append({"participant_id": f"sub-{i:02d}", "session_id": f"ses-{time}", "group": group, "arm": arm,
                         "verdict": "good", "fwhm_hz": width})  # fmt: skip
    return pd.DataFrame(rows)


def test_controls_without_an_arm_are_compared_and_the_arms_among_the_patients():
    quality = trial()
    table = quality_test_table(quality, TRIAL)
    terms = {row["term"]: row for row in rows_of(table, metric="fwhm_hz")}
    assert set(terms) == {"group", "time", "group:time", "arm", "arm:time"}
    assert (terms["group"]["n_subjects"], terms["arm:time"]["n_subjects"]) == (20, 10)
    wide = quality[quality["group"] == "PAT"].pivot_table("fwhm_hz", ["arm", "participant_id"], "session_id")
    change = wide["ses-post"] - wide["ses-pre"]
    exact = stats.ttest_ind(change["riluzole"], change["placebo"])
    assert terms["arm:time"]["statistic"] == pytest.approx(exact.statistic**2, rel=1e-6)
    assert terms["arm:time"]["den_df"] == pytest.approx(8, rel=1e-6)


def test_unusable_scans_are_counted_by_factor_and_do_not_enter_the_models():
    quality = trial()
    lost = (quality["group"] == "PAT") & (quality["session_id"] == "ses-post")
    quality.loc[lost, "verdict"] = "unusable"
    quality.loc[lost, "fwhm_hz"] = 99.0
    table = quality_test_table(quality, TRIAL)
    (group,) = rows_of(table, metric="unusable", term="group")
    assert group["p"] == pytest.approx(stats.fisher_exact([[20, 0], [10, 10]])[1], rel=1e-9)
    assert group["note"] == "HC: 0 of 20, PAT: 10 of 20 scans unusable"
    # Without the patients' second visit nothing can be crossed, and the table says so.
    (row, *_) = rows_of(table, metric="fwhm_hz")
    assert row["term"] == "all"
    assert row["note"].startswith("No usable scan has group PAT and session_id post")
    cells = quality_cell_table(quality, TRIAL)
    assert cells["mean"].max() < 20


@pytest.mark.parametrize(
    "broken",
    [
        lambda table: table.drop(columns="group"),
        lambda table: table[table["group"] == "HC"],
        lambda table: table.assign(fwhm_hz=np.nan),
        lambda table: table.assign(fwhm_hz=7.0),
        lambda table: table.iloc[:3],
        lambda table: table.iloc[:0],
        lambda table: table.assign(verdict="unusable"),
        lambda table: table.drop(columns="verdict"),
    ],
)
def test_no_damage_to_the_table_stops_the_tests(broken):
    table = quality_test_table(broken(trial()), TRIAL)
    computed = table[(table["test"] == "mixed model") & (table["term"] != "all")]
    assert computed["p"].between(0, 1).all()
    assert table.loc[table["term"] == "all", "note"].str.len().gt(0).all()


def test_the_order_of_the_rows_changes_nothing():
    quality = trial()
    shuffled = quality.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(quality_test_table(quality, TRIAL), quality_test_table(shuffled, TRIAL))


def test_the_random_effect_of_the_condition_is_that_of_the_settings(study, design):
    # Where participants respond differently, their mean changes are the sample: 16 of them in two groups, 14 df.
    people, rng = sorted(set(study["participant_id"])), np.random.default_rng(3)
    level, response = (
        study["participant_id"].map(dict(zip(people, rng.normal(0, sd, 16), strict=True))) for sd in (3, 2)
    )
    own = level + response * ((study["task_id"] == "cue") - 0.5)
    quality = study[study["metabolite"] == "Glu"].assign(verdict="good", snr=study["value"] + own)
    with_it, without = (
        rows_of(quality_test_table(quality, design, StatsSettings(random_condition=given)), term="condition")[0]
        for given in (True, False)
    )
    assert with_it["den_df"] == pytest.approx(14, rel=1e-6)
    change = quality.pivot_table("snr", ["group", "participant_id"], "task_id")
    change = change["cue"] - change["neutral"]
    pooled = np.sqrt((change["CAI"].var() + change["HC"].var()) / 2 / 16)
    assert with_it["statistic"] == pytest.approx((change.mean() / pooled) ** 2, rel=1e-6)
    assert without["den_df"] > 25
