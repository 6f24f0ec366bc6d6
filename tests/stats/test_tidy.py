import pandas as pd
import pytest

from mrspipe.core.errors import InputError
from mrspipe.stats.design import Design, TableSettings
from mrspipe.stats.tidy import measurements_of, ratings_of

GROUPS = Design(group={"control": "HC", "patient": "CAI"}, secondary=["tCr"])
FILMS = Design(
    condition={"entity": "task", "control": "neutral", "active": "cue"},
    ratings={"name": "craving", "columns": {"neutral": "vas", "cue": "vas"}},
)


def text_table(*rows, columns):
    return pd.DataFrame(list(rows), columns=columns.split(), index=range(2, len(rows) + 2), dtype=object)


def wide(**changes):
    table = text_table(("s1", "HC", "9.5", "11"), ("s2", "CAI", "8.5", "n/a"), columns="participant group GLU tcr")
    return table.assign(**changes)


def made(table, design=GROUPS, **settings):
    return measurements_of(table, design, TableSettings(**settings), where="table.tsv")


def test_a_column_for_each_metabolite_becomes_a_row_for_each():
    table = made(wide())
    assert list(zip(table["participant_id"], table["metabolite"], table["value"].fillna(-1), strict=True)) == [
        ("s1", "Glu", 9.5), ("s2", "Glu", 8.5), ("s1", "tCr", 11.0), ("s2", "tCr", -1.0),
    ]  # fmt: skip
    assert set(table["quantity"]) == {"molar"}
    assert table["included"].all()
    assert list(table["group"]) == ["HC", "CAI"] * 2


def test_columns_of_metabolites_may_have_any_name():
    table = made(wide().rename(columns={"GLU": "c_glu_mM"}), metabolites={"c_glu_mM": "Glu"})
    assert list(table.loc[table["metabolite"] == "Glu", "value"]) == [9.5, 8.5]


def test_a_long_table_is_taken_as_it_is():
    rows = [("s1", "1", "Glu", "9"), ("s1", "1", "tCr", "11"), ("s2", "1", "Glu", "8")]
    table = made(text_table(*rows, columns="subject session metabolite value"))
    assert list(table["value"]) == [9, 11, 8]
    assert list(table["session_id"]) == ["1", "1", "1"]
    assert table["task_id"].isna().all()


def test_other_names_of_columns_are_said_in_the_settings():
    table = made(wide().rename(columns={"participant": "Kennung"}), columns={"Kennung": "participant_id"})
    assert set(table["participant_id"]) == {"s1", "s2"}


def test_a_column_that_the_design_names_keeps_its_name():
    design = Design(subject="subject", time={"column": "visit", "levels": ["pre", "post"]})
    table = text_table(("s1", "pre", "9"), ("s1", "post", "8"), columns="subject visit glu")
    found = made(table, design)
    assert list(found["visit"]) == ["pre", "post"]
    assert list(found["subject"]) == list(found["participant_id"]) == ["s1", "s1"]


@pytest.mark.parametrize(
    ("columns", "included", "reasons"),
    [
        ({"qc": ["pass", "fail"]}, [True, False], [None, "qc: fail"]),
        ({"included": ["true", "false"], "reason": ["n/a", "wide lines"]}, [True, False], [None, "wide lines"]),
        ({"included": ["1", "0"], "qc": ["fail", "fail"]}, [True, False], [None, "included: 0"]),
    ],
)
def test_rows_that_did_not_pass_are_kept_with_the_reason(columns, included, reasons):
    table = made(wide(**columns))
    glu = table[table["metabolite"] == "Glu"]
    assert list(glu["included"]) == included
    assert [None if reason != reason else reason for reason in glu["reason"]] == reasons


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"GLU": ["9.5", "high"]}, r"table.tsv: Line 3, column 'GLU': 'high' is no number. Write a number, or n/a"),
        ({"GLU": ["9,5", "8"]}, r"Line 2, column 'GLU': '9,5' is no number. Write a decimal point"),
        ({"qc": ["pass", "perhaps"]}, r"Line 3, column 'qc': 'perhaps' does not say whether"),
        ({"participant": ["s1", "s1"], "group": ["HC", "HC"]}, r"Line 3 repeats line 2 \(participant_id s1, group HC"),
        ({"participant": ["s1", "n/a"]}, "Line 3 has no participant_id"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_column(changes, message):
    with pytest.raises(InputError, match=message):
        made(wide(**changes))


def test_a_covariate_with_numbers_and_text_is_refused_and_one_of_text_is_not():
    design = GROUPS.model_copy(update={"covariates": ("age",)})
    with pytest.raises(InputError, match="Line 3, column 'age': '31 years' is no number"):
        made(wide(age=["30", "31 years"]), design)
    assert list(made(wide(age=["old", "young"]), design)["age"]) == ["old", "young"] * 2
    assert list(made(wide(age=["30", "n/a"]), design)["age"].fillna(-1)) == [30, -1] * 2


def test_a_table_without_the_outcome_or_the_participants_is_refused():
    with pytest.raises(InputError, match=r"nor a column for Glu.*the columns are participant_id, group, tcr"):
        made(wide().drop(columns="GLU"))
    with pytest.raises(InputError, match="The table has no column 'participant_id'"):
        made(wide().drop(columns="participant"))
    with pytest.raises(InputError, match=r"stats\.table names the column 'glutamate', which the table does not have"):
        made(wide(), metabolites={"glutamate": "Glu"})


def films(**changes):
    rows = [
        ("s1", "neutral", "9", "3"),
        ("s1", "cue", "9", "40"),
        ("s2", "neutral", "n/a", "0"),
        ("s2", "cue", "8", "n/a"),
    ]
    return text_table(*rows, columns="participant_id task glu vas").assign(**changes)


def rated(table, design=FILMS):
    return ratings_of(table, design, TableSettings(), where="table.tsv")


def test_ratings_stand_in_a_column_of_the_same_table():
    table = rated(films())
    found = dict(
        zip(zip(table["participant_id"], table["task_id"], strict=True), table["value"].fillna(-1), strict=True)
    )
    assert found == {("s1", "neutral"): 3, ("s1", "cue"): 40, ("s2", "neutral"): 0, ("s2", "cue"): -1}
    assert set(table["rating"]) == {"craving"}


def test_a_rating_counts_although_its_scan_failed():
    assert len(rated(films(qc=["fail"] * 4))) == 4


def test_a_long_table_repeats_a_rating_for_each_metabolite_and_it_counts_once():
    twice = pd.concat([films(metabolite="Glu"), films(metabolite="tCr")])
    assert len(rated(twice)) == 4
    wrong = twice.assign(vas=["3", "40", "0", "n/a", "3", "41", "0", "n/a"])
    with pytest.raises(InputError, match="another rating for s1, cue"):
        rated(wrong)


def test_ratings_of_a_visit_have_a_column_for_each_condition():
    design = FILMS.model_copy(
        update={"ratings": FILMS.ratings.model_copy(update={"columns": {"neutral": "low", "cue": "high"}})}
    )
    table = rated(text_table(("s1", "1", "5", "50"), columns="participant_id session low high"), design)
    assert dict(zip(table["task_id"], table["value"], strict=True)) == {"neutral": 5, "cue": 50}


def test_a_rating_in_text_is_named_by_its_line():
    with pytest.raises(InputError, match="Line 3, column 'vas': 'very' is no number"):
        rated(films(vas=["1", "very", "2", "3"]))


def test_there_are_no_ratings_where_their_column_is_not_there():
    assert rated(films().drop(columns="vas")) is None
    assert rated(films(), GROUPS) is None
