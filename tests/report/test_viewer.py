import re

import numpy as np
import pytest

from mrspipe.core.results import SUMS
from mrspipe.report.viewer import fit_viewer


def _curves(html):
    return {
        name: (kind, path)
        for kind, name, path in re.findall(r'<path class="([^"]*)" data-curve="([^"]*)"(?: hidden)? d="([^"]*)"', html)
    }


def _points(path):
    """Places of a path, in its own units, from its steps."""
    numbers = np.array([int(text) for text in re.findall(r"-?\d+", path)]).reshape(-1, 2)
    return np.cumsum(numbers, axis=0)


@pytest.fixture(scope="module")
def drawn(make):
    return str(fit_viewer(make.fit(), key="k", label="Fit"))


def test_each_curve_is_the_fit_s_to_a_ten_thousandth_of_the_height_and_a_thousandth_of_a_ppm(drawn, fit):
    curves = _curves(drawn)
    x, y = _points(curves["data"][1]).T
    shown = (fit.ppm >= 0.2) & (fit.ppm <= 4.2)
    np.testing.assert_allclose(4.2 - x / 1000, fit.ppm[shown][::-1], atol=0.5001e-3)
    # The scale is the drawing's own: take it from two curves, and it must hold for all others.
    slope, offset = np.polyfit(y, fit.data[shown][::-1], 1)
    for name in ("fit", "baseline"):
        expected = getattr(fit, name)[shown][::-1]
        np.testing.assert_allclose(slope * _points(curves[name][1])[:, 1] + offset, expected, atol=1.01 * abs(slope))
    for place, name in enumerate(fit.names):
        expected = (fit.baseline + fit.components[place])[shown][::-1]
        np.testing.assert_allclose(slope * _points(curves[name][1])[:, 1] + offset, expected, atol=1.01 * abs(slope))


def test_every_curve_has_a_switch_and_every_switch_a_curve(drawn, fit):
    switches = set(re.findall(r'data-toggle="([^"]*)"', drawn))
    assert switches == set(_curves(drawn))
    assert {"data", "fit", "baseline", "mm", *fit.names, *SUMS} == switches


def test_the_drawing_is_whole_without_a_script(drawn):
    for text in ("Residual", "Signal (a.u.)", "Chemical shift (ppm)", "Glu", "tNAA", "4.0", "0.5"):
        assert f">{text}" in drawn, text


def test_a_fit_without_macromolecules_has_no_curve_of_them(make):
    from dataclasses import replace

    fit = make.fit()
    html = str(fit_viewer(replace(fit, macromolecules=np.zeros_like(fit.ppm)), key="k", label="Fit"))
    assert "mm" not in _curves(html)
    assert "Macromolecules" not in html


def test_a_fit_that_the_data_do_not_determine_shows_its_data_alone(make):
    from dataclasses import replace

    fit = make.fit()
    nothing = np.full_like(fit.data, np.nan)
    lost = replace(fit, fit=nothing, baseline=nothing, macromolecules=nothing, components=0 * fit.components + np.nan)
    html = str(fit_viewer(lost, key="k", label="Fit"))
    assert set(_curves(html)) == {"data"}
    assert "nan" not in html.lower().replace("naa", "")


def test_a_sum_whose_members_are_one_entry_still_has_its_row(make):
    from dataclasses import replace

    fit = make.fit()
    kept = [name != "PCr" for name in fit.names]
    one = replace(fit, names=tuple(name for name in fit.names if name != "PCr"), components=fit.components[kept])
    assert ">tCr" in str(fit_viewer(one, key="k", label="Fit"))
