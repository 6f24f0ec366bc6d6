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


def _at(path, ppm):
    """Height of a path at each ppm, in its own units."""
    x, y = _points(path).T
    return np.interp((4.2 - ppm) * 1000, x, y)


def _height_of(fit, shown):
    """Units downwards of a value: 10000 for the range of data, fit, baseline and macromolecules with 4 % around."""
    curves = np.concatenate([getattr(fit, name)[shown] for name in ("data", "fit", "baseline", "macromolecules")])
    low, high = curves.min(), curves.max()
    margin = 0.04 * (high - low)
    return lambda values: (high + margin - values) / (high - low + 2 * margin) * 10000


def test_each_curve_is_the_fit_s_to_a_tenth_of_a_pixel_and_the_rounding_of_its_units(drawn, fit):
    curves = _curves(drawn)
    shown = (fit.ppm >= 0.2) & (fit.ppm <= 4.2)
    ppm, height = fit.ppm[shown], _height_of(fit, shown)
    expected = {name: getattr(fit, name)[shown] for name in ("data", "fit", "baseline")}
    expected |= {name: (fit.baseline + fit.components[place])[shown] for place, name in enumerate(fit.names)}
    for name, values in expected.items():
        units = height(values)
        # The panel is 330 pixels high; a point may be 0.0005 ppm aside, which matters on a slope.
        steepest = np.abs(np.diff(units) / np.diff(1000 * ppm)).max()
        away = np.abs(_at(curves[name][1], ppm) - units)
        assert away.max() < 0.1 / 330 * 10000 + 0.5 + 0.5 * steepest, name


def test_a_smooth_curve_needs_few_points_and_noise_all_of_them(drawn, fit):
    curves = _curves(drawn)
    n = int(((fit.ppm >= 0.2) & (fit.ppm <= 4.2)).sum())
    assert len(_points(curves["baseline"][1])) < n / 4
    assert len(_points(curves["data"][1])) > n / 2


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
