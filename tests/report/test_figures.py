import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from mrspipe.core.errors import FileError
from mrspipe.core.volume import Volume
from mrspipe.report.content import BeforeAndAfter
from mrspipe.report.figures import fit_figure, preprocessing_figure, voxel_figure
from mrspipe.report.panels import Dot, Lines, paired_figure, quality_figure
from mrspipe.report.svg import INK, inline_svg


def _drawn(figure):
    (axes,) = figure.axes
    return {line.get_label(): line.get_ydata() for line in axes.lines}


def test_ppm_falls_from_left_to_right_on_a_labelled_axis(fit):
    (axes,) = fit_figure(fit).axes
    left, right = axes.get_xlim()
    assert left > right
    assert axes.get_xlabel() == "Chemical shift (ppm)"
    for line in axes.lines:
        np.testing.assert_array_equal(line.get_xdata(), fit.ppm)


def test_the_fit_figure_holds_data_fit_and_baseline_unchanged(fit):
    figure = fit_figure(fit)
    (axes,), drawn = figure.axes, _drawn(figure)
    np.testing.assert_array_equal(drawn["Data"], fit.data)
    np.testing.assert_array_equal(drawn["Fit"], fit.fit)
    np.testing.assert_array_equal(drawn["Baseline"], fit.baseline)
    named = ["Data", "Fit", "Baseline", "Macromolecules"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == named
    assert {"Signal (a.u.)", "Residual"} <= {text.get_text() for text in axes.texts}


def test_the_residual_is_drawn_on_the_scale_of_the_data_and_above_it(fit):
    drawn = _drawn(fit_figure(fit))
    np.testing.assert_allclose(np.diff(drawn["_residual"]), np.diff(fit.data - fit.fit), atol=1e-9 * np.ptp(fit.data))
    assert drawn["_residual"].min() > max(drawn["Data"].max(), drawn["Fit"].max())


def test_a_residual_larger_than_the_data_is_made_to_fit(fit):
    missed = replace(fit, fit=fit.fit - 3 * fit.data)
    figure = fit_figure(missed)
    (axes,), residual = figure.axes, _drawn(figure)["_residual"]
    assert axes.get_ylim()[0] < residual.min()
    assert residual.max() < axes.get_ylim()[1]


def test_a_sum_is_drawn_as_the_sum_of_its_members(fit):
    drawn = _drawn(fit_figure(fit, metabolites=("tCr", "NAA")))
    members = fit.components[[fit.names.index("Cr"), fit.names.index("PCr")]].sum(axis=0)
    naa = fit.components[fit.names.index("NAA")]
    # Both on one scale, but for the power of two that enlarges the smaller one.
    ratio = np.ptp(drawn["_tCr"]) / np.ptp(drawn["_NAA"]) / (np.ptp(members) / np.ptp(naa))
    assert np.log2(ratio) == pytest.approx(round(np.log2(ratio)), abs=1e-9)
    shape = (drawn["_tCr"] - drawn["_tCr"].min()) / np.ptp(drawn["_tCr"])
    np.testing.assert_allclose(shape, (members - members.min()) / np.ptp(members), atol=1e-9)


def test_metabolites_stand_below_the_data_in_rows_that_do_not_meet(fit):
    drawn = _drawn(fit_figure(fit, metabolites=("Glu", "tNAA", "tCr")))
    assert drawn["_Glu"].max() < min(drawn["Data"].min(), drawn["Baseline"].min())
    assert drawn["_tNAA"].max() <= drawn["_Glu"].max()
    assert drawn["_tCr"].min() < drawn["_tNAA"].min() < drawn["_Glu"].min()


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
