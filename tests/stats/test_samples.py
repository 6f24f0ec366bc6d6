import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mrspipe.stats.contrasts import contrast_table
from mrspipe.stats.design import ContrastSettings, Design, StatsSettings
from mrspipe.stats.exclusions import exclusion_table, why_no_group_test
from mrspipe.stats.rows import as_measured, is_usable

GROUPS = Design(group={"control": "HC", "patient": "PAT"})
PATIENTS = [8.0, 9.0, 10.0, 11.0]
CONTROLS = [11.0, 12.0, 13.0, 15.0]


def one_scan_each(quantity="molar", metabolite="Glu", scale=1.0):
    people = [*(("PAT", value) for value in PATIENTS), *(("HC", value) for value in CONTROLS)]
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{i}" for i in range(8)], "session_id": np.nan, "task_id": np.nan, "run": np.nan,
            "metabolite": metabolite, "quantity": quantity, "value": [scale * value for _, value in people],
            "verdict": "good", "included": True, "reason": np.nan, "group": [group for group, _ in people],
        }
    )  # fmt: skip


def without_water():
    no_water = {"value": np.nan, "included": False, "reason": "there is no water reference"}
    return pd.concat([one_scan_each().assign(**no_water), one_scan_each("ratio_tcr", scale=0.1)])


FEW = StatsSettings(min_per_group=2)


def compared(table, contrasts=(), settings=FEW):
    return contrast_table(table, GROUPS, contrasts, settings)


def the_row(table, contrast="patients-controls"):
    (row,) = table[table["contrast"] == contrast].to_dict("records")
    return row


def test_without_any_water_ratios_to_creatine_are_compared_and_the_note_says_so():
    row = the_row(compared(without_water()))
    assert row["quantity"] == "ratio_tcr"
    assert row["p"] == pytest.approx(stats.ttest_ind(PATIENTS, CONTROLS, equal_var=False).pvalue, rel=1e-9)
    assert "No usable scan has molar values; ratios to tCr are compared instead." in row["note"]
    assert why_no_group_test(without_water(), GROUPS, (), FEW) is None
    assert exclusion_table(without_water(), GROUPS).empty


def test_a_bound_in_mmol_per_litre_does_not_hold_for_ratios():
    contrast = ContrastSettings(name="patients-controls", equivalence_bound=1.0)
    row = the_row(compared(without_water(), (contrast,)))
    pooled_sd = 0.1 * ((5 / 3 + 35 / 12) / 2) ** 0.5
    assert row["tost_bound"] == pytest.approx(0.5 * pooled_sd, rel=1e-9)


def test_some_scans_with_water_are_enough_to_keep_the_quantity():
    some = without_water()
    some.iloc[0, some.columns.get_loc("value")] = 9.0
    some.iloc[0, some.columns.get_loc("included")] = True
    design, note = as_measured(some, GROUPS)
    assert (design.outcome.quantity, note) == ("molar", "")


def test_without_ratios_either_the_quantity_is_kept_and_the_reason_told():
    nothing = without_water().query("quantity == 'molar'")
    assert as_measured(nothing, GROUPS) == (GROUPS, "")
    assert why_no_group_test(nothing, GROUPS) == (
        "No scan has a usable value of Glu (molar). Reasons: there is no water reference."
    )


def test_infinite_values_and_text_are_not_usable():
    table = pd.DataFrame({"value": ["1.5", "n/a", np.inf, -np.inf, None]})
    assert list(is_usable(table)) == [True, False, False, False, False]


def test_an_included_row_without_a_value_is_listed():
    table = one_scan_each()
    table.loc[2, "value"] = np.nan
    (row,) = exclusion_table(table, GROUPS).to_dict("records")
    assert (row["participant_id"], row["analysis"], row["reason"]) == ("sub-2", "all", "there is no value")


def test_a_participant_whose_group_is_not_known_is_left_out_and_listed():
    table = one_scan_each()
    table.loc[0, "group"] = np.nan
    assert the_row(compared(table))["n_subjects"] == 7
    (row,) = exclusion_table(table, GROUPS).to_dict("records")
    assert (row["participant_id"], row["analysis"]) == ("sub-0", "patients-controls")
    assert row["reason"] == "group is missing"


def test_participants_of_a_third_group_take_no_part_and_are_not_listed():
    table = one_scan_each()
    table.loc[0, "group"] = "relatives"
    assert the_row(compared(table))["n_subjects"] == 7
    assert exclusion_table(table, GROUPS).empty


def test_doubtful_scans_are_analysed_unless_the_settings_say_otherwise():
    table = one_scan_each()
    table.loc[0, "verdict"] = "doubtful"
    strict = StatsSettings(include_doubtful=False, min_per_group=2)
    assert the_row(compared(table))["n_subjects"] == 8
    assert the_row(compared(table, (), strict))["n_subjects"] == 7
    assert exclusion_table(table, GROUPS).empty
    assert list(exclusion_table(table, GROUPS, (), strict)["reason"]) == ["doubtful quality"]


def test_known_numbers_give_the_known_difference():
    # By hand: means 9.5 and 12.75, variances 5/3 and 35/12, so the squared error is 5/12 + 35/48 = 55/48.
    row = the_row(compared(one_scan_each()))
    assert row["estimate"] == pytest.approx(-3.25, rel=1e-12)
    assert row["se"] == pytest.approx((55 / 48) ** 0.5, rel=1e-12)
    assert row["df"] == pytest.approx((55 / 48) ** 2 / ((5 / 12) ** 2 / 3 + (35 / 48) ** 2 / 3), rel=1e-12)
    assert (row["n_subjects"], row["n_scans"], row["p_adjusted"]) == (8, 8, row["p"])
