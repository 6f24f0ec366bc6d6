import numpy as np
import pandas as pd
import pytest

from mrspipe.stats.contrasts import contrast_table
from mrspipe.stats.design import ContrastSettings, RobustnessSettings, StatsSettings
from mrspipe.stats.robustness import (
    COLUMNS,
    SUMMARY_COLUMNS,
    robustness_summary,
    robustness_table,
)

KEYS = ["participant_id", "session_id", "task_id", "run"]
NUMBERS = ["n_subjects", "n_scans", "estimate", "se", "p"]
NONE = pd.DataFrame(columns=[*KEYS, "kind", "choice", "metabolite", "quantity", "value"])


@pytest.fixture(scope="module")
def judged(study):
    """Verdicts, line widths and tissue; the first scan of two participants is doubtful, one is unusable."""
    rng = np.random.default_rng(5)
    first = (study["task_id"] == "neutral") & (study["session_id"] == "ses-1")
    verdict = np.where(first & study["participant_id"].isin(["sub-02", "sub-11"]), "doubtful", "good")
    unusable = first & (study["participant_id"] == "sub-04")
    return study.assign(
        verdict=np.where(unusable, "unusable", verdict),
        included=~unusable,
        fwhm_hz=rng.normal(7, 1, len(study)),
        gm_fraction=rng.normal(0.8, 0.05, len(study)),
        crlb_pct=rng.uniform(3, 12, len(study)),
        se_own=rng.uniform(0.3, 0.8, len(study)),
    )


def table_of(judged, design, alternatives=NONE, names=("patients-controls", "cue-baseline"), **choices):
    contrasts = tuple(ContrastSettings(name=name) for name in names)
    chosen = RobustnessSettings(**{"leave_one_out": False, **choices})
    return robustness_table(judged, alternatives, design, contrasts, StatsSettings(), chosen)


@pytest.fixture(scope="module")
def plain(judged, design):
    """Without values under other choices."""
    return table_of(judged, design)


def row_of(table, contrast, choice):
    (row,) = table[(table["contrast"] == contrast) & (table["choice"] == choice)].to_dict("records")
    return row


def direct(judged, design, name, settings=None, **changes):
    """The same contrast from the table of contrasts."""
    table = contrast_table(judged, design, (ContrastSettings(name=name, **changes),), settings)
    return table[table["metabolite"] == "Glu"].iloc[0]


def scaled(judged, factor, quantity="molar", choice="another constant", kind="constants"):
    rows = judged[(judged["metabolite"] == "Glu") & judged["included"]]
    return rows[KEYS].assign(
        kind=kind, choice=choice, metabolite="Glu", quantity=quantity, value=factor * rows["value"]
    )


def test_the_main_row_is_that_of_the_contrasts(plain, judged, design):
    assert tuple(plain.columns) == COLUMNS
    for name in ("patients-controls", "cue-baseline"):
        main, expected = row_of(plain, name, "main"), direct(judged, design, name)
        assert [main[column] for column in NUMBERS] == [expected[column] for column in NUMBERS]


def test_values_of_another_constant_take_the_place_of_those_measured(judged, design):
    table = table_of(judged, design, scaled(judged, 0.8))
    for name in ("patients-controls", "cue-baseline"):
        main, other = row_of(table, name, "main"), row_of(table, name, "another constant")
        assert other["estimate"] == pytest.approx(0.8 * main["estimate"], rel=1e-12)
        assert other["p"] == pytest.approx(main["p"], rel=1e-9)


def test_another_quantity_is_named_as_what_it_is(judged, design):
    values = scaled(judged, 3.0, quantity="alpha_molar", choice="alpha_molar", kind="quantity")
    other = row_of(table_of(judged, design, values), "cue-baseline", "alpha_molar")
    assert other["quantity"] == "alpha_molar"
    # A constant is judged in the quantity of the main analysis only.
    constant = scaled(judged, 3.0, quantity="molal")
    assert "another constant" not in set(table_of(judged, design, constant)["choice"])


def test_a_scan_without_the_other_value_is_left_out_and_not_filled_in(judged, design):
    values = scaled(judged, 1.0)
    is_first = (values["participant_id"] == "sub-01") & (values["task_id"] == "cue")
    table = table_of(judged, design, values[~is_first])
    other = row_of(table, "cue-baseline", "another constant")
    assert other["n_subjects"] == row_of(table, "cue-baseline", "main")["n_subjects"] - 1


def test_the_rules_of_quality_are_turned(plain, judged, design):
    for choice, data, settings in (
        ("without doubtful scans", judged, StatsSettings(include_doubtful=False)),
        ("without any rule of quality", judged.assign(included=True), None),
    ):
        found, expected = (
            row_of(plain, "patients-controls", choice),
            direct(data, design, "patients-controls", settings),
        )
        assert [found[column] for column in NUMBERS] == [expected[column] for column in NUMBERS]


def test_covariates_and_tests_are_changed(plain, judged, design):
    one = design.model_copy(update={"covariates": ("fwhm_hz",)})
    expected = direct(judged, one, "patients-controls", test="ancova")
    assert row_of(plain, "patients-controls", "adjusted for fwhm_hz")["p"] == expected["p"]
    expected = direct(judged, design, "cue-baseline", test="mixed")
    assert row_of(plain, "cue-baseline", "mixed model")["p"] == expected["p"]


def test_each_participant_is_left_out_of_the_main_contrasts(judged, design):
    table = table_of(judged, design, names=("patients-controls", "cue-baseline-controls"), leave_one_out=True)
    left_out = table[table["kind"] == "leave one out"]
    assert set(left_out["contrast"]) == {"patients-controls"}
    # The scan of sub-04 is unusable: without its participant nothing would be another.
    assert list(left_out["choice"]) == [f"without sub-{number:02d}" for number in range(1, 17) if number != 4]
    for number in (1, 16):
        name = f"sub-{number:02d}"
        expected = direct(judged[judged["participant_id"] != name], design, "patients-controls")
        assert row_of(table, "patients-controls", f"without {name}")["p"] == expected["p"]
    assert "leave one out" not in set(table_of(judged, design)["kind"])


def test_signs_and_significance_are_counted_against_the_main_analysis(judged, design):
    table = table_of(judged, design, scaled(judged, -1.0))
    turned = row_of(table, "cue-baseline", "another constant")
    assert not turned["keeps_sign"]
    assert turned["is_significant"]
    summary = robustness_summary(table)
    assert tuple(summary.columns) == SUMMARY_COLUMNS
    (counts,) = summary[summary["contrast"] == "cue-baseline"].to_dict("records")
    choices = table[(table["contrast"] == "cue-baseline") & ~table["kind"].isin(["main", "leave one out"])]
    assert counts["n_choices"] == counts["n_computed"] == len(choices)
    assert counts["n_keep_sign"] == len(choices) - 1
    assert counts["n_significant"] == (choices["p"] < 0.05).sum()
    assert counts["lowest_effect"] == choices["effect"].min()


def test_what_cannot_be_computed_is_a_row_with_a_reason(judged, design):
    few = scaled(judged, 1.0)
    few = few[few["participant_id"] == "sub-01"]
    row = row_of(table_of(judged, design, few), "cue-baseline", "another constant")
    assert np.isnan(row["estimate"])
    assert row["note"]
    assert row["keeps_sign"] is None


def test_participants_of_the_other_group_are_not_left_out_of_a_change_in_the_patients(judged, design):
    table = table_of(judged, design, names=("cue-baseline",), leave_one_out=True)
    left_out = table[table["kind"] == "leave one out"]
    patients = set(judged.loc[judged["group"] == "CAI", "participant_id"]) - {"sub-04"}
    assert set(left_out["choice"]) == {f"without {name}" for name in patients}
    assert (left_out["n_subjects"] == row_of(table, "cue-baseline", "main")["n_subjects"] - 1).all()


def test_a_rule_that_leaves_out_no_scan_of_the_contrast_is_no_choice(judged, design):
    # The scans that are doubtful, unusable or uncertain are those of the treatment.
    nac = judged["drug"] == "nac"
    moved = judged.assign(
        verdict=np.where(nac & (judged["participant_id"] == "sub-02"), "doubtful", "good"),
        included=True,
        crlb_pct=np.where(nac, 30.0, 5.0),
    )
    assert "scans" not in set(table_of(moved, design)["kind"])
    kinds = table_of(moved, design, names=("nac-placebo",))
    assert set(kinds.loc[kinds["kind"] == "scans", "choice"]) == {"without doubtful scans", "only CRLB up to 20 %"}


def test_a_scan_whose_bound_is_not_known_stays(judged, design):
    unknown = judged.assign(crlb_pct=judged["crlb_pct"].mask(judged["participant_id"] == "sub-01"))
    unknown.loc[unknown["participant_id"] == "sub-05", "crlb_pct"] = 25.0
    row = row_of(table_of(unknown, design), "patients-controls", "only CRLB up to 20 %")
    assert row["n_subjects"] == row_of(table_of(unknown, design), "patients-controls", "main")["n_subjects"] - 1


def test_what_somebody_left_out_by_hand_stays_out_without_the_rules_of_quality(judged, design):
    by_hand = judged.assign(included=judged["included"] & (judged["participant_id"] != "sub-05"))
    row = row_of(table_of(by_hand, design), "patients-controls", "without any rule of quality")
    assert row["n_subjects"] == 15


def test_a_contrast_of_another_metabolite_alone_has_no_choices_of_the_outcome(judged, design):
    other = ContrastSettings(name="patients-controls", metabolites=("Glx",))
    table = robustness_table(judged, NONE, design, (other,), StatsSettings(), RobustnessSettings())
    assert table.empty


def test_an_interaction_of_groups_is_also_a_welch_test_of_the_changes(judged, design):
    table = table_of(judged, design, names=("group-by-cue",))
    expected = direct(judged, design, "group-by-cue", test="welch")
    found = row_of(table, "group-by-cue", "Welch test of the changes")
    assert [found[column] for column in NUMBERS] == [expected[column] for column in NUMBERS]


@pytest.mark.parametrize(
    ("main", "other", "keeps"), [(0.0, 0.0, True), (0.0, 1.0, False), (1.0, 2.0, True), (-1.0, 1.0, False)]
)
def test_a_sign_is_kept_where_both_are_alike_also_at_zero(main, other, keeps, design):
    # Differences of two values each, whose means are exact.
    def scans(shift):
        rows = [("neutral", 10.0), ("cue", 10.0 + shift)]
        return pd.DataFrame(
            {"participant_id": f"sub-{i}", "session_id": "ses-1", "task_id": task, "run": "n/a", "metabolite": "Glu",
             "quantity": "molar", "value": value + (i % 2 - 0.5) * (task == "cue"), "included": True}
            for i in range(6) for task, value in rows
        )  # fmt: skip

    alone = type(design)(condition=design.condition)
    values = scans(other).assign(kind="constants", choice="another constant")[[*KEYS, *NONE.columns[4:]]]
    table = table_of(scans(main), alone, values, names=("cue-baseline",))
    assert row_of(table, "cue-baseline", "another constant")["keeps_sign"] is keeps


def test_without_a_main_result_nothing_is_told_of_signs(judged, design):
    lost = judged.assign(included=judged["included"] & (judged["task_id"] == "cue"))
    table = table_of(lost, design, scaled(judged, 1.0), names=("cue-baseline",))
    assert table.loc[table["kind"] == "main", "estimate"].isna().all()
    assert table["keeps_sign"].isna().all()
    assert robustness_summary(table)["n_keep_sign"].tolist() == [0]


@pytest.mark.real
def test_leaving_one_out_equals_r(real_data, design):
    folder = real_data / "reference" / "stats"
    data = pd.read_csv(folder / "dataset_A.tsv", sep="\t", na_values="n/a")
    reference = pd.read_csv(folder / "reference_A.tsv", sep="\t").set_index("analysis").loc["H1.loo"]
    scans = data.assign(
        drug=data["drug"].str.lower(), session_id="ses-" + data["session"].astype(str), task_id=data["task"],
        metabolite="Glu", quantity="molar", value=data["glu"],
        included=(data["qc"] == "pass") & data["glu"].notna(),
    )  # fmt: skip
    left_out = table_of(
        scans, design.model_copy(update={"secondary": ()}), names=("patients-controls",), leave_one_out=True
    )
    left_out = left_out[left_out["kind"] == "leave one out"].set_index("choice")["p"].astype(float)
    assert [left_out.min(), left_out.max()] == pytest.approx([reference["ci_low"], reference["ci_high"]], rel=1e-9)
    assert (left_out.idxmin(), left_out.idxmax()) == ("without sub-024", "without sub-052")
