"""The fit of a spectrum as a drawing that can be zoomed: complete as it stands, and the page's script adds the rest.

Each panel is an inner ``<svg>`` that stretches its curves; what is seen of it is its ``viewBox``, so that zooming is
a change of four numbers. A unit to the right is 0.001 ppm down, a unit downwards 1/10000 of the data's range. Points
that a line between their neighbours gives as well, to a tenth of a pixel, are left out: smooth curves need few.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import SUMS, FitResult
from mrspipe.report.figures import MAIN_METABOLITES, PPM_RANGE, shown_slice

if TYPE_CHECKING:
    from markupsafe import Markup

_WIDTH, _LEFT, _RIGHT = 960, 74, 14
_RESIDUAL, _MAIN, _ROW, _AXIS = 64, 330, 40, 44
_UNITS, _UNITS_PER_PPM = 10000, 1000
_MARGIN = 0.04
# How far a curve may be from its points, in pixels of the page.
_TOLERANCE_PX = 0.1
# Curves of the main panel: class, name, whether it is shown at first.
_WHOLE = (("data", "Data", True), ("fit", "Fit", True), ("baseline", "Baseline", True), ("mm", "Macromolecules", True))
_SHOWN_AT_FIRST = ("Glu", "Gln")


def fit_viewer(fit: FitResult, *, key: str, label: str) -> "Markup":
    """Draw residual, spectrum with fit, baseline and components, and single metabolites; with switches for the curves.

    Parameters
    ----------
    fit : FitResult
    key : str
        Name that no other drawing on the page has.
    label : str
        What the drawing shows, for readers who do not see it.
    """
    from markupsafe import Markup

    shown = shown_slice(fit.ppm, PPM_RANGE)
    parts = _components(fit, shown)
    rows = [name for name in MAIN_METABOLITES if name in parts]
    drawing = "".join((*_panels(fit, shown, parts, rows), _axis(_height(len(rows)))))
    svg = (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} {_height(len(rows)) + _AXIS}" '
        f'class="spectrum" data-ppm="{PPM_RANGE[1]:g}" '
        f'data-left="{_LEFT}" data-width="{_inner()}">{drawing}</svg>'
    )
    return Markup('<div class="viewer" data-key="{}">{}{}{}</div>').format(
        key, _switches(key, parts, bool(np.any(fit.macromolecules))), _buttons(), Markup(svg)
    )


def _height(n_rows: int) -> int:
    return _RESIDUAL + _MAIN + _ROW * n_rows


def _inner() -> int:
    return _WIDTH - _LEFT - _RIGHT


def _components(fit: FitResult, shown: slice) -> dict[str, FloatArray]:
    """Each metabolite's part of the fit, sums first."""
    parts = {}
    for name in (*SUMS, *fit.names):
        weights = fit.weights(name)
        if weights is not None:
            parts[name] = weights @ fit.components[:, shown]
    return parts


def _panels(fit: FitResult, shown: slice, parts: dict[str, FloatArray], rows: Sequence[str]) -> Iterator[str]:
    data, baseline = fit.data[shown], fit.baseline[shown]
    curves = {"data": data, "fit": fit.fit[shown], "baseline": baseline, "mm": fit.macromolecules[shown]}
    ppm = fit.ppm[shown]
    seen = np.concatenate([curve[np.isfinite(curve)] for curve in curves.values()])
    low, top = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    span = (top - low) * (1 + 2 * _MARGIN) or 1.0
    top += _MARGIN * (top - low)
    yield _panel(0, _RESIDUAL, "Residual", _residual(fit, shown, span), inner=_RESIDUAL / _MAIN * _UNITS, middle=True)
    paths = [
        _path(ppm, baseline + part, top, span, f"part part-{place % 4}", name, hidden=name not in _SHOWN_AT_FIRST)
        for place, (name, part) in enumerate(parts.items())
    ]
    has = [name for name, *_ in _WHOLE if name != "mm" or np.any(curves["mm"])]
    paths += [
        _path(ppm, curves[name], top, span, name, name)
        for name in sorted(has, key=("mm", "baseline", "data", "fit").index)
    ]
    yield _panel(_RESIDUAL, _MAIN, "Signal (a.u.)", "".join(paths), inner=_UNITS, upright=True, main=True)
    yield from _rows(ppm, parts, rows)


def _residual(fit: FitResult, shown: slice, span: float) -> str:
    ppm, height = fit.ppm[shown], 2 * fit.noise_sd / span * _UNITS
    wide = round(_UNITS_PER_PPM * (PPM_RANGE[1] - PPM_RANGE[0]))
    band = f'<rect class="band" x="0" width="{wide}" y="{-height:.0f}" height="{2 * height:.0f}"/>'
    return band + _path(ppm, fit.residual[shown], 0.0, span, "residual", "")


def _rows(ppm: FloatArray, parts: dict[str, FloatArray], rows: Sequence[str]) -> Iterator[str]:
    """Single metabolites, each on a line of its own; small ones enlarged by a power of two."""
    sizes = {name: float(np.ptp(parts[name])) for name in rows}
    unit = max((size for size in sizes.values() if size > 0), default=1.0)
    for place, name in enumerate(rows):
        part, size = parts[name], sizes[name]
        gain = int(2 ** np.clip(np.floor(np.log2(unit / size)), 0, 6)) if size > 0 else 1
        colour = list(parts).index(name) % 4
        path = _path(ppm, gain * part, 1.04 * unit, 1.14 * unit, f"part part-{colour}", "", pixels=_ROW)
        label = name if gain == 1 else f"{name} ×{gain}"
        yield _panel(_RESIDUAL + _MAIN + place * _ROW, _ROW, label, path, inner=_UNITS)


def _panel(
    y: int, height: int, label: str, content: str, *, inner: float, middle: bool = False, upright: bool = False,
    main: bool = False,
) -> str:  # fmt: skip
    wide = round(_UNITS_PER_PPM * (PPM_RANGE[1] - PPM_RANGE[0]))
    top = -inner / 2 if middle else 0
    box = f"0 {top:.0f} {wide} {inner:.0f}"
    at = y + height / 2
    turn = f' transform="rotate(-90 {_LEFT - 14} {at:g})" text-anchor="middle"' if upright else ' text-anchor="end"'
    text = f'<text x="{_LEFT - (14 if upright else 8)}" y="{at + (0 if upright else 4):g}"{turn}>{escape(label)}</text>'
    return (
        f'{text}<svg class="pane{" main" if main else ""}" x="{_LEFT}" y="{y}" width="{_inner()}" height="{height}" '
        f'viewBox="{box}" preserveAspectRatio="none">{content}</svg>'
    )


def _path(
    ppm: FloatArray, values: FloatArray, top: float, span: float, kind: str, name: str, *, hidden: bool = False,
    pixels: int = _MAIN,
) -> str:  # fmt: skip
    """Draw a curve; ``pixels`` is the height on the page of the range of its values, of 10000 units."""
    known = np.isfinite(values)
    if not known.any():
        # A fit that the data do not determine has no curves.
        return ""
    at, height = (PPM_RANGE[1] - ppm[known][::-1]) * _UNITS_PER_PPM, (top - values[known][::-1]) / span * _UNITS
    needed = _needed(at, height, _TOLERANCE_PX / pixels * _UNITS)
    x, y = (np.round(places[needed]).astype(int) for places in (at, height))
    steps = " ".join(f"{dx} {dy}" for dx, dy in zip(np.diff(x).tolist(), np.diff(y).tolist(), strict=True))
    data = f' data-curve="{escape(name)}"' if name else ""
    steps = steps.replace(" -", "-")
    return f'<path class="{kind}"{data}{" hidden" if hidden else ""} d="M{x[0]} {y[0]}l{steps}"/>'


def _needed(x: FloatArray, y: FloatArray, tolerance: float) -> NDArray[np.bool_]:
    """Tell which points must stay, so that the lines between them are no further than ``tolerance`` above or below any.

    The point that is furthest from the line between two that stay has to stay, too, until none is too far.
    """
    keep = np.zeros(x.size, dtype=bool)
    keep[[0, -1]] = True
    spans = [(0, x.size - 1)]
    while spans:
        first, last = spans.pop()
        between = slice(first + 1, last)
        line = y[first] + (x[between] - x[first]) * (y[last] - y[first]) / ((x[last] - x[first]) or 1.0)
        away = np.abs(y[between] - line)
        if away.size and away.max() > tolerance:
            middle = first + 1 + int(np.argmax(away))
            keep[middle] = True
            spans += [(first, middle), (middle, last)]
    return keep


def _axis(y: int) -> str:
    """Ticks of the whole range; the script draws those of a part of it."""
    low, high = PPM_RANGE
    ticks = np.arange(np.ceil(2 * low), np.floor(2 * high) + 1) / 2
    marks = "".join(
        f'<path d="M{x:.1f} {y}v5"/><text x="{x:.1f}" y="{y + 18}" text-anchor="middle">{tick:.1f}</text>'
        for tick in ticks
        for x in [_LEFT + (high - tick) / (high - low) * _inner()]
    )
    title = f'<text x="{_LEFT + _inner() / 2:g}" y="{y + 38}" text-anchor="middle">Chemical shift (ppm)</text>'
    return f'<path class="axis" d="M{_LEFT} {y}h{_inner()}"/><g class="ticks" data-y="{y}">{marks}</g>{title}'


def _switches(key: str, parts: dict[str, FloatArray], has_mm: bool) -> "Markup":
    from markupsafe import Markup

    one = '<label class="{}"><input type="checkbox" data-toggle="{}"{}> {}</label>'
    whole = [(kind, name, kind, on) for kind, name, on in _WHOLE if kind != "mm" or has_mm]
    single = [(f"part-{place % 4}", name, name, name in _SHOWN_AT_FIRST) for place, name in enumerate(parts)]
    text = Markup("").join(
        Markup(one).format(colour, curve, Markup(" checked") if on else "", name)
        for colour, name, curve, on in (*whole, *single)
    )
    legend = "Curves of the spectrum"
    return Markup('<fieldset class="curves"><legend class="unseen">{}</legend>{}</fieldset>').format(legend, text)


def _buttons() -> "Markup":
    from markupsafe import Markup

    actions = (
        ("left", "Move to higher ppm", "◀"), ("in", "Zoom in", "+"), ("out", "Zoom out", "−"),
        ("right", "Move to lower ppm", "▶"), ("glu", "Glu, Gln: 2.15 to 2.55 ppm", "Glu, Gln"),
        ("all", "Whole spectrum", "Whole spectrum"),
    )  # fmt: skip
    one = '<button type="button" data-zoom="{}" title="{}" aria-label="{}">{}</button>'
    text = Markup("").join(Markup(one).format(name, title, title, sign) for name, title, sign in actions)
    return Markup(
        '<div class="zoom" role="group" aria-label="Part of the spectrum shown">{}<output></output></div>'
    ).format(text)
