import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from mrspipe.core.errors import FileError
from mrspipe.core.volume import Volume
from mrspipe.report.content import BeforeAndAfter
from mrspipe.report.figures import fit_figure, preprocessing_figure, voxel_figure
from mrspipe.report.panels import Dot, Lines, paired_figure, quality_figure
from mrspipe.report.svg import INK, inline_svg


def test_ppm_falls_from_left_to_right_on_a_labelled_axis(fit):
    figure = fit_figure(fit)
    bottom = figure.axes[-1]
    left, right = bottom.get_xlim()
    assert left > right
    assert bottom.get_xlabel() == "Chemical shift (ppm)"
    assert all(axes.get_xlim() == (left, right) for axes in figure.axes)


def test_the_fit_figure_holds_data_fit_baseline_and_residual_unchanged(fit):
    top, main, _ = fit_figure(fit).axes
    drawn = {line.get_label(): line.get_ydata() for line in main.lines}
    assert set(drawn) == {"Data", "Fit", "Baseline", "Macromolecules"}
    np.testing.assert_array_equal(drawn["Data"], fit.data)
    np.testing.assert_array_equal(drawn["Fit"], fit.fit)
    np.testing.assert_array_equal(top.lines[0].get_ydata(), fit.data - fit.fit)
    assert [text.get_text() for text in main.get_legend().get_texts()] == list(drawn)
    assert main.get_ylabel() == "Signal (a.u.)"


def test_data_and_residual_are_drawn_on_one_scale(fit):
    figure = fit_figure(fit)
    figure.draw_without_rendering()
    top, main, _ = figure.axes
    per_inch = [np.ptp(axes.get_ylim()) / axes.get_position().height for axes in (top, main)]
    assert per_inch[0] == pytest.approx(per_inch[1], rel=0.02)


def test_a_sum_is_drawn_as_the_sum_of_its_members(fit):
    bottom = fit_figure(fit, metabolites=("tCr",)).axes[-1]
    members = fit.components[[fit.names.index("Cr"), fit.names.index("PCr")]].sum(axis=0)
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), 0.85 * members / np.ptp(members), atol=1e-12)


def test_a_metabolite_that_was_not_fitted_is_left_out(fit):
    texts = [text.get_text() for text in fit_figure(fit, metabolites=("Glu", "Tau")).axes[-1].texts]
    assert "Glu" in texts
    assert "Tau" not in texts


def test_the_voxel_is_outlined_on_three_slices(make):
    figure = voxel_figure(*make.head())
    assert [axes.get_title() for axes in figure.axes] == ["Sagittal", "Coronal", "Axial"]
    assert all(axes.images and axes.collections for axes in figure.axes)


def test_a_mask_on_another_grid_is_refused(make):
    anatomy, mask = make.head()
    with pytest.raises(FileError, match="not on the grid"):
        voxel_figure(anatomy, Volume(mask.data[:-1], mask.affine))


def test_preprocessing_is_drawn_with_its_transients_and_residual_water_cut_off():
    ppm = np.linspace(0.2, 4.9, 300)
    after = np.exp(-(((ppm - 2.0) / 0.05) ** 2))
    seen = BeforeAndAfter(ppm, after + 1e4 * (ppm > 4.5), after, np.arange(5.0), np.zeros(5), dropped=(1, 3))
    spectrum, frequency, phase = preprocessing_figure(seen).axes
    assert [line.get_label() for line in spectrum.lines] == ["Before", "After"]
    assert spectrum.get_ylim()[1] < 3
    assert frequency.get_ylabel() == "Frequency (Hz)"
    assert phase.get_xlabel() == "Transient"
    assert frequency.lines[1].get_xdata().tolist() == [2, 4]


def test_a_single_transient_has_no_trace():
    ppm = np.linspace(0.2, 4.9, 300)
    seen = BeforeAndAfter(ppm, np.sin(ppm), np.cos(ppm), np.empty(0), np.empty(0))
    assert len(preprocessing_figure(seen).axes) == 1


def test_every_subject_has_a_line_and_every_axis_a_label():
    values = {
        "A": Lines(("s1", "s2", "s3"), np.array([[1.0, 2.0], [2.0, 2.5], [np.nan, 3.0]])),
        "B": Lines(("s4",), np.array([[1.5, 1.0]])),
    }
    figure = paired_figure({"Placebo": values, "NAC": values}, conditions=["Neutral", "Cue"], y_label="Glu (mmol/L)")
    assert figure.axes[0].get_ylabel() == "Glu (mmol/L)"
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["Neutral", "Cue", "Neutral", "Cue"]
    thin = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata()) == 2]
    for subject in (*values["A"].values, *values["B"].values):
        assert any(np.array_equal(subject, line, equal_nan=True) for line in thin)


def test_each_quality_panel_is_labelled_with_its_metric():
    figure = quality_figure({"Line width (Hz)": {"A": [Dot("s1", "good", 6.0)], "B": []}})
    assert figure.axes[0].get_title() == "Line width (Hz)"


def test_a_drawing_is_one_labelled_element_with_ids_of_its_own(fit):
    text = inline_svg(fit_figure(fit), key="scan-1", label='Fit of "A" & B')
    root = ET.fromstring(text.replace("xlink:href", "href"))
    assert root.attrib["aria-label"] == 'Fit of "A" & B'
    assert "width" not in root.attrib
    assert all(element.attrib["id"].startswith("scan-1-") for element in root.iter() if "id" in element.attrib)
    assert not re.search(r"https?://", text)


def test_a_drawing_takes_the_colour_and_font_of_its_page(fit):
    text = inline_svg(fit_figure(fit), key="k", label="Fit")
    assert INK not in text
    assert "currentColor" in text
    assert "DejaVu" not in text
    assert "Chemical shift (ppm)" in text


def test_the_same_figure_gives_the_same_bytes(make):
    drawn = {inline_svg(fit_figure(make.fit()), key="k", label="Fit") for _ in range(2)}
    assert len(drawn) == 1
