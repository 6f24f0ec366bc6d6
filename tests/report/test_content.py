import math

import pytest

from mrspipe.report.answers import contrast_answer, split_contrasts
from mrspipe.report.cited import Origin
from mrspipe.report.spelling import (
    count,
    decimals_for,
    metric_label,
    metric_unit,
    number,
    p_value,
    records,
    words,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.00"), (9.996, "10.0"), (0.00012345, "0.000123"), (123456.7, "123457"), (2.5e6, "2.50 × 10⁶"),
        (-3, "−3"), (math.inf, "∞"), (None, "n/a"), ("text", "n/a"), (float("nan"), "n/a"),
    ],
)  # fmt: skip
def test_a_number_keeps_three_digits_and_missing_is_na(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(("error", "decimals"), [(0.43, 2), (0.043, 3), (4.3, 1), (43.0, 0), (1e-9, 4), (math.nan, 2)])
def test_an_error_is_shown_to_its_second_digit(error, decimals):
    assert decimals_for(error) == decimals


def test_a_value_without_an_error_is_not_given_one():
    origin = Origin("group/measurements.tsv", {"metabolite": "Glu"})
    text = '<data value="11.9" data-source="group/measurements.tsv?metabolite=Glu#value">11.90</data> ± n/a'
    assert str(origin.measured("value", 11.9, "se_total", math.nan)) == text
    assert str(origin.measured("value", math.nan, "se_total", 0.4)) == "n/a"


def test_tiny_p_values_are_bounded_not_zero():
    assert p_value(0.0) == "< 10⁻¹⁵"
    assert p_value(0.04999) == "0.050"


def test_missing_cells_of_every_kind_are_na():
    assert [words(value) for value in (None, math.nan, "", " ", "<NA>", "a\nb")] == ["n/a"] * 5 + ["a b"]
    assert count(math.nan) == "n/a"
    assert count(56.0) == "56"


def test_a_metric_that_is_not_known_is_still_named_in_words():
    assert metric_label("water_suppression_pct") == "Water suppression"
    assert metric_unit("water_suppression_pct") == "%"
    assert metric_label("snr") == "Signal to noise"
    assert metric_unit("snr") == ""


def test_the_adjusted_p_decides_what_is_said(make):
    page = make.group_page()
    row = {**records(make.contrasts())[0], "p": 0.03, "p_adjusted": 0.09}
    assert "no effect was shown" in contrast_answer(row, page)["finding"]
    assert "an effect was found" in contrast_answer({**row, "p_adjusted": math.nan}, page)["finding"]


def test_a_contrast_that_could_not_be_tested_says_so_with_its_note(make):
    answer = contrast_answer(records(make.contrasts())[4], make.group_page())
    assert answer["finding"] == "This could not be tested."
    assert answer["caution"] == "fewer than two subjects in a group"


def test_main_contrasts_can_be_named_and_keep_the_order_of_the_names(make):
    page = make.group_page(primary=("nac-placebo", "patients-controls"))
    main, others = split_contrasts(page)
    assert [row["contrast"] for row in main] == ["nac-placebo", "patients-controls"]
    assert len(main) + len(others) == len(page.contrasts)
