import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mrspipe.report.answers import in_brief
from mrspipe.report.content import Factor, MeanSpectrum
from mrspipe.report.figure_files import write_figures
from mrspipe.report.group_figures import group_figures
from mrspipe.report.panels import density
from mrspipe.report.svg import inline_svg


def _robustness(quantity="molar"):
    rows = [
        ("patients-controls", "Glu", "molar", "main", "main", -0.951, -1.652, -0.253, -0.742, 0.0083, True, True),
        ("patients-controls", "Glu", "molar", "stiff", "baseline", -0.40, -1.10, 0.30, -0.31, 0.25, True, False),
        ("patients-controls", "Glu", quantity, "other", "quantity", -1.20, -2.00, -0.40, -0.90, 0.004, True, True),
        ("patients-controls", "Glu", "molar", "strict", "exclusion", 0.10, -0.70, 0.90, 0.08, 0.80, False, False),
    ]
    columns = "contrast metabolite quantity choice kind estimate ci_low ci_high effect p keeps_sign is_significant"
    return pd.DataFrame(rows, columns=columns.split())


def _spectra():
    ppm = np.linspace(0.2, 4.2, 50)
    return tuple(
        MeanSpectrum(group, ppm, np.exp(-((ppm - at) ** 2)), 0.1 * np.ones(50), np.exp(-((ppm - at) ** 2)), 4)
        for group, at in (("CAI", 2.0), ("HC", 3.0))
    )


def _figures(page):
    return {figure.name: figure for figure in group_figures(page)}


@pytest.fixture(scope="module")
def drawn(make):
    return _figures(make.group_page(robustness=_robustness(), spectra=_spectra()))


def test_the_figures_of_a_study_are_those_of_the_paper_and_the_quality(drawn):
    assert list(drawn) == [
        "craving-by-group-and-condition", "glu-by-group-and-condition", "glu-by-group-and-treatment",
        "spectra-by-group", "choices-patients-controls", "quality",
    ]  # fmt: skip


def test_the_data_of_a_figure_are_the_rows_that_it_draws(drawn, make):
    data = pd.DataFrame(drawn["glu-by-group-and-condition"].data)
    used = make.tables()[0].query("included")
    assert len(data) == len(used)
    assert sorted(data["value"]) == pytest.approx(sorted(used["value"]))
    assert set(data["group"]) == {"Cocaine users", "Controls"}
    assert set(data["task_id"]) == {"Neutral", "Cue"}
    assert set(data["drug"]) == {"Placebo", "NAC"}


def test_everything_of_a_subject_carries_the_subject_s_name(drawn):
    for name, n in (("glu-by-group-and-condition", 8), ("quality", 8)):
        text = inline_svg(drawn[name].figure, key=name, label=name)
        assert len(set(re.findall(r'data-subject="(sub-\d\d)"', text))) == n


def test_a_name_with_a_quote_or_a_tag_stays_a_name(make):
    nasty = 'sub-"><script>alert(1)</script>'
    tables = [table.replace({"participant_id": {"sub-01": nasty}}) for table in make.tables()]
    page = make.group_page(measurements=tables[0], ratings=tables[1], quality=tables[2])
    text = inline_svg(_figures(page)["quality"].figure, key="q", label="q")
    assert "<script" not in text
    assert 'data-subject="sub-&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in text


@pytest.mark.parametrize("n", [3, 4])
def test_a_factor_of_several_levels_is_drawn_in_its_order(make, n):
    levels = {f"ses-{place}": f"Week {place}" for place in range(1, n + 1)}
    table = make.tables()[0].query("drug == 'placebo' and task_id == 'cue'")
    table = pd.concat([table.assign(session_id=session) for session in levels], ignore_index=True)
    page = make.group_page(condition=Factor("session_id", levels), treatment=None, ratings=None, measurements=table)
    figure = _figures(page)["glu-by-group-and-condition"].figure
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == [*levels.values(), *levels.values()]


def test_parallel_arms_without_a_condition_are_drawn_as_dots(make):
    table = make.tables()[0].query("task_id == 'cue' and session_id == 'ses-1'")
    page = make.group_page(condition=None, treatment=None, ratings=None, measurements=table)
    figure = _figures(page)["glu-by-group"]
    assert "Each dot is one subject" in figure.caption
    assert sorted(figure.data["value"]) == pytest.approx(sorted(table.query("included")["value"]))


def test_choices_are_sorted_and_the_main_analysis_is_marked(drawn):
    top, bottom = drawn["choices-patients-controls"].figure.axes
    estimates = [float(line.get_ydata()[0]) for line in top.lines if line.get_marker() == "o"]
    assert estimates == sorted(estimates) == [-1.20, -0.951, -0.40, 0.10]
    assert next(label.get_text() for label in bottom.get_yticklabels()) == "main analysis"
    filled = [line.get_markerfacecolor() == line.get_color() for line in top.lines if line.get_marker() == "o"]
    assert filled == [True, True, False, False]


def test_choices_in_several_units_are_compared_in_units_of_the_effect(make):
    figure = _figures(make.group_page(robustness=_robustness("ratio_tcr")))["choices-patients-controls"]
    top = figure.figure.axes[0]
    drawn = sorted(float(line.get_ydata()[0]) for line in top.lines if line.get_marker() == "o")
    assert drawn == pytest.approx([-0.90, -0.742, -0.31, 0.08])
    assert top.get_ylabel() == "Glu, effect (SD)"


def test_a_model_without_a_standardised_effect_has_the_scale_of_the_main_analysis(make):
    table = _robustness("ratio_tcr")
    table.loc[table["choice"] == "stiff", "effect"] = np.nan
    figure = _figures(make.group_page(robustness=table))["choices-patients-controls"]
    # In the order of the drawing: sorted, with no place left empty.
    dots = [line for line in figure.figure.axes[0].lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in dots] == [0, 1, 2, 3]
    assert [float(line.get_ydata()[0]) for line in dots] == pytest.approx([-0.90, -0.742, -0.40 * 0.742 / 0.951, 0.08])
    table.loc[table["choice"] == "other", "effect"] = np.nan
    figure = _figures(make.group_page(robustness=table))["choices-patients-controls"]
    assert sum(line.get_marker() == "o" for line in figure.figure.axes[0].lines) == 3
    assert "1 of them cannot be given in SD and is not drawn" in figure.caption


def test_participants_who_are_left_out_in_turn_share_a_row(make):
    table = _robustness()
    table.loc[table["choice"] != "main", "kind"] = "leave one out"
    figure = _figures(make.group_page(robustness=table))["choices-patients-controls"].figure
    rows = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert rows == ["main analysis", "leave one out: each of 3 participants"]


def test_the_answer_counts_the_choices_that_agree(make):
    text = str(in_brief(make.group_page(robustness=_robustness()))[2])
    assert text.startswith("Under 3 other choices of the analysis, its estimate keeps its sign under 2 and has p")
    assert "under 1; 24 of 25 subjects" in text


def test_the_answer_counts_left_out_participants_apart(make):
    table = _robustness()
    table.loc[table.index[-1], "kind"] = "leave one out"
    text = str(in_brief(make.group_page(robustness=table))[2])
    assert text.startswith("Under 2 other choices of the analysis")
    assert "; without one of 1 subjects in turn, it keeps its sign " in text


def test_the_answer_is_three_sentences_also_when_nothing_was_tested(make):
    assert len(in_brief(make.group_page())) == 3
    untested = in_brief(make.group_page(why_no_test="Only one subject per group has a usable scan."))
    assert str(untested[0]) == "No group test was possible: Only one subject per group has a usable scan."
    assert len(untested) == 3


def test_the_answer_says_how_many_questions_found_nothing(make):
    contrasts = make.contrasts().assign(p_adjusted=0.5)
    brief = in_brief(make.group_page(contrasts=contrasts))
    assert "no effect was shown." in str(brief[0])
    assert str(brief[1]) == "An effect was shown for none of the 2 other main questions."


def test_the_density_is_one_in_total_and_has_the_mean_of_the_values():
    values = np.array([1.0, 2.0, 2.5, 4.0, 7.0, 7.5])
    at = np.linspace(-40, 60, 20001)
    step = at[1] - at[0]
    height = density(values, at)
    assert height.sum() * step == pytest.approx(1.0, abs=1e-6)
    # A kernel that is symmetric moves no mass: the mean of a mixture is the mean of its centres.
    assert (height * at).sum() * step == pytest.approx(values.mean(), abs=1e-6)


def test_limits_are_drawn_where_the_settings_put_them(make):
    page = make.group_page(limits={"snr": {"doubtful": 10.0, "unusable": 8.0}})
    axes = _figures(page)["quality"].figure.axes[0]
    lines = {float(line.get_ydata()[0]): line.get_linestyle() for line in axes.lines if len(line.get_ydata()) == 2}
    assert lines == {10.0: "--", 8.0: "-"}


def test_figure_files_are_the_same_each_time_and_old_ones_go(make, tmp_path):
    page = make.group_page(robustness=_robustness(), ratings=None, measurements=make.tables()[0].iloc[:0])
    chosen = [figure for figure in group_figures(page) if figure.name.startswith("choices")]
    write_figures(tmp_path / "a", chosen)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "fig-gone.svg").write_text("old")
    again = [figure for figure in group_figures(replace(page)) if figure.name in {one.name for one in chosen}]
    write_figures(tmp_path / "b", again)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {f"fig-{figure.name}.{end}" for figure in chosen for end in ("svg", "pdf", "png", "tsv")}
    assert names == {path.name for path in (tmp_path / "b").iterdir()}
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
