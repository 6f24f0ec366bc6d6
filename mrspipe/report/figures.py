"""The figures of a scan: finished numbers and labels in, a matplotlib `Figure` out.

Spectra are drawn with ppm falling from left to right, as the field does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import FileError
from mrspipe.core.results import FitResult
from mrspipe.core.volume import Volume
from mrspipe.report.content import BeforeAndAfter
from mrspipe.report.svg import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT,
    ORANGE,
    PURPLE,
    VERMILION,
    page_style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PPM_RANGE = (0.2, 4.2)
MAIN_METABOLITES = ("Glu", "Gln", "tNAA", "tCr", "tCho", "Ins")
SERIES = (BLUE, VERMILION, GREEN, PURPLE)
# Left, right, bottom and top of a fit, in inches.
_MARGINS_IN = (0.62, 0.32, 0.44, 0.06)


def fit_figure(
    fit: FitResult, *, metabolites: Sequence[str] = MAIN_METABOLITES, ppm_range: tuple[float, float] = PPM_RANGE
) -> "Figure":
    """Draw a spectrum with its fit and baseline, the residual above on the same scale, single metabolites below.

    The band behind the residual is twice the noise SD to either side. Each metabolite (or sum of `SUMS`) has a line of
    its own; small ones are enlarged by a power of two, which is written at the end of their line.

    Parameters
    ----------
    fit : FitResult
    metabolites : sequence of str
        Those to be drawn below; what was not fitted is left out.
    ppm_range : tuple of float
        Lowest and highest chemical shift, in ppm.
    """
    shown = shown_slice(fit.ppm, ppm_range)
    parts = _parts(fit, metabolites, shown)
    main = _limits(fit.data[shown], fit.fit[shown], fit.baseline[shown], fit.macromolecules[shown])
    unit = main[1] - main[0]
    residual = _limits(fit.residual[shown], np.array([-2.0, 2.0]) * fit.noise_sd)
    share = float(np.clip((residual[1] - residual[0]) / unit, 0.1, 1.0))
    below = max(0.17 * len(parts), 0.05)
    height = share + 1.0 + below
    gap = 0.02 * height * unit
    above = _Strip.holding(residual, (main[1] + gap, main[1] + gap + share * unit), largest_scale=1.0)
    rows = _Strip.holding((0.6 - max(len(parts), 1), 1.0), (main[0] - gap - below * unit, main[0] - gap))
    with page_style():
        figure = _fixed_figure(7.0, 0.6 + 2.9 * height)
        # One pair of axes for all three parts: making axes takes longer than drawing the curves.
        axes = figure.subplots()
        ppm_axis(axes, ppm_range)
        axes.set_ylim(rows.ends[0], above.ends[1])
        _draw_residual(axes, fit, shown, above)
        _draw_fit(axes, fit, shown, main)
        _draw_parts(axes, fit.ppm[shown], parts, rows)
        return figure


def voxel_figure(anatomy: Volume, mask: Volume) -> "Figure":
    """Draw three orthogonal slices of the anatomy through the middle of the voxel, with the voxel's outline.

    Parameters
    ----------
    anatomy : Volume
    mask : Volume
        Share of the voxel in each image element, on the grid of the anatomy.

    Raises
    ------
    FileError
        The mask is empty or on another grid.
    """
    if mask.data.shape != anatomy.data.shape or not np.allclose(mask.affine, anatomy.affine, atol=1e-3):
        raise FileError("The voxel mask is not on the grid of the anatomical image.", code="mask-grid")
    if not np.any(mask.data > 0.5):
        raise FileError("The voxel lies outside the anatomical image.", code="mask-empty")
    image, voxel, size_mm = _upright(anatomy, mask)
    middle = np.argwhere(voxel > 0.5).mean(axis=0).round().astype(int)
    window = np.quantile(image[image > image.min()], (0.02, 0.995)) if np.ptp(image) else (0.0, 1.0)
    # Fewer levels than an eye tells apart in a small picture make a smaller page.
    grey = np.round(np.clip((image - window[0]) / max(window[1] - window[0], 1e-12), 0, 1) * 40) / 40
    with page_style():
        figure = new_figure(7.0, 2.7)
        side_mm = np.array(image.shape) * size_mm
        row = figure.subplots(1, 3, width_ratios=(side_mm[1], side_mm[0], side_mm[0]))
        for across, (axes, name) in enumerate(zip(row, ("Sagittal", "Coronal", "Axial"), strict=True)):
            plane, outline = (np.take(volume, middle[across], across) for volume in (grey, voxel))
            _slice(axes, plane, outline, np.delete(size_mm, across))
            axes.set_title(name, fontweight="normal")
            for text, place in zip(("P", "A") if across == 0 else ("L", "R"), (0.02, 0.98), strict=True):
                axes.annotate(text, (place, 0.03), xycoords="axes fraction", color="white", fontsize=8,
                              ha="left" if place < 0.5 else "right")  # fmt: skip
        return figure


def preprocessing_figure(seen: BeforeAndAfter) -> "Figure":
    """Draw a spectrum before and after preprocessing, and frequency and phase of its transients.

    What is far larger before than after (residual water) is cut off.
    """
    traces = [(seen.shift_hz, "Frequency (Hz)"), (seen.phase_deg, "Phase (degrees)")] if seen.shift_hz.size else []
    with page_style():
        figure = new_figure(7.0, 2.6)
        if traces:
            grid = figure.add_gridspec(2, 2, width_ratios=(1.7, 1.0))
            spectrum = figure.add_subplot(grid[:, 0])
            for row, (values, label) in enumerate(traces):
                _trace(figure.add_subplot(grid[row, 1]), values, label, seen.dropped, last=row == 1)
        else:
            spectrum = figure.add_subplot()
        spectrum.plot(seen.ppm, seen.before, color=ORANGE, linewidth=0.9, label="Before")
        spectrum.plot(seen.ppm, seen.after, color=INK, linewidth=0.8, label="After")
        low, high = _limits(seen.after)
        span = high - low
        spectrum.set_ylim(_limits(np.clip(seen.before, low - 0.5 * span, high + span), seen.after))
        ppm_axis(spectrum, (float(seen.ppm[0]), float(seen.ppm[-1])))
        spectrum.legend(loc="upper left", handlelength=1.6)
        return figure


def _trace(axes: "Axes", values: FloatArray, label: str, dropped: Sequence[int], *, last: bool) -> None:
    number = np.arange(1, values.size + 1)
    axes.plot(number, values, color=BLUE, linewidth=0.8, marker="." if values.size <= 64 else "")
    left_out = np.array([index for index in dropped if index < values.size], dtype=int)
    axes.plot(number[left_out], values[left_out], color=VERMILION, linewidth=0, marker="x")
    axes.set_ylabel(label, fontsize=8)
    if last:
        axes.set_xlabel("Transient")
    else:
        axes.tick_params(labelbottom=False)


def _parts(fit: FitResult, metabolites: Sequence[str], shown: slice) -> dict[str, FloatArray]:
    """Give the part of the fit that belongs to each metabolite or sum, where it was fitted."""
    rows = {name: fit.weights(name) for name in metabolites}
    return {name: row @ fit.components[:, shown] for name, row in rows.items() if row is not None}


@dataclass(frozen=True)
class _Strip:
    """Part of the vertical axis with a scale of its own, from one height to another."""

    ends: tuple[float, float]
    middle: float
    scale: float

    @classmethod
    def holding(
        cls, values: tuple[float, float], ends: tuple[float, float], *, largest_scale: float = np.inf
    ) -> "_Strip":
        """A strip that holds a range of values, in its middle if they need not all of it."""
        scale = min((ends[1] - ends[0]) / (values[1] - values[0]), largest_scale)
        return cls(ends, (values[0] + values[1]) / 2, scale)

    def height(self, values: FloatArray) -> FloatArray:
        """Where values stand on the axis."""
        return (self.ends[0] + self.ends[1]) / 2 + self.scale * (values - self.middle)


def _draw_residual(axes: "Axes", fit: FitResult, shown: slice, strip: _Strip) -> None:
    low, zero, high = strip.height(np.array([-2.0, 0.0, 2.0]) * fit.noise_sd)
    axes.axhspan(low, high, color=LIGHT, alpha=0.6, linewidth=0)
    axes.plot(fit.ppm[shown], strip.height(fit.residual[shown]), color=INK, linewidth=0.7, label="_residual")
    _side_label(axes, "Residual", zero)


def _draw_fit(axes: "Axes", fit: FitResult, shown: slice, limits: tuple[float, float]) -> None:
    ppm = fit.ppm[shown]
    axes.plot(ppm, fit.data[shown], color=INK, linewidth=0.8, label="Data")
    axes.plot(ppm, fit.fit[shown], color=VERMILION, linewidth=1.1, label="Fit")
    axes.plot(ppm, fit.baseline[shown], color=BLUE, linewidth=1.0, linestyle="--", label="Baseline")
    if np.any(fit.macromolecules):
        axes.plot(ppm, fit.macromolecules[shown], color=GREEN, linewidth=1.0, label="Macromolecules")
    top = limits[1] + 0.06 * (limits[1] - limits[0])
    axes.legend(loc="upper right", ncols=4, bbox_to_anchor=(axes.get_xlim()[1], top), borderaxespad=0.0,
                bbox_transform=axes.transData, handlelength=1.6)  # fmt: skip
    axes.annotate("Signal (a.u.)", (0.0, sum(limits) / 2), (-6, 0), xycoords=("axes fraction", "data"),
                  textcoords="offset points", ha="right", va="center", fontsize=8.5, rotation=90)  # fmt: skip


def _draw_parts(axes: "Axes", ppm: FloatArray, parts: Mapping[str, FloatArray], strip: _Strip) -> None:
    unit = max((float(np.ptp(part)) for part in parts.values()), default=0.0) or 1.0
    for row, (name, part) in enumerate(parts.items()):
        gain = _power_of_two(unit, float(np.ptp(part)))
        curve = strip.height(-row + 0.85 * gain * part / unit)
        axes.plot(ppm, curve, color=SERIES[row % len(SERIES)], linewidth=0.9, label=f"_{name}")
        foot = strip.height(np.array(-row))
        _side_label(axes, name, foot)
        if gain > 1:
            _side_label(axes, f"×{gain}", foot, right=True)


def new_figure(width_in: float, height_in: float, *, measured: bool = True) -> "Figure":
    """An empty figure; ``measured``: matplotlib finds the margins, which takes as long as drawing."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained" if measured else None, dpi=100)


def _fixed_figure(width_in: float, height_in: float) -> "Figure":
    """A figure with margins that hold a fit's labels: there are many fits."""
    figure = new_figure(width_in, height_in, measured=False)
    left, right, bottom, top = _MARGINS_IN
    figure.subplots_adjust(
        left=left / width_in,
        right=1 - right / width_in,
        bottom=bottom / height_in,
        top=1 - top / height_in,
    )
    return figure


def shown_slice(ppm: FloatArray, ppm_range: tuple[float, float]) -> slice:
    """Give the points of an ascending axis that lie in a range, its ends included."""
    return slice(int(np.searchsorted(ppm, ppm_range[0])), int(np.searchsorted(ppm, ppm_range[1], side="right")))


def _limits(*curves: FloatArray) -> tuple[float, float]:
    """Give the lowest and highest value with a margin of 4 % on both sides; never an empty range."""
    values = np.concatenate([np.ravel(curve) for curve in curves])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _upright(anatomy: Volume, mask: Volume) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Turn both so that the indices run to the right, to the front and up; give the size of an element in mm too."""
    from nibabel.orientations import apply_orientation, io_orientation

    turns = io_orientation(anatomy.affine)  # type: ignore[no-untyped-call]
    size_mm = np.linalg.norm(anatomy.affine[:3, :3], axis=0)[np.argsort(turns[:, 0])]
    image, voxel = (apply_orientation(volume.data, turns) for volume in (anatomy, mask))  # type: ignore[no-untyped-call]
    return image, voxel, size_mm


def _slice(axes: "Axes", image: FloatArray, voxel: FloatArray, size_mm: FloatArray) -> None:
    extent = (0.0, image.shape[0] * size_mm[0], 0.0, image.shape[1] * size_mm[1])
    axes.imshow(image.T, origin="lower", extent=extent, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    centres = [(np.arange(n) + 0.5) * mm for n, mm in zip(image.shape, size_mm, strict=True)]
    axes.contour(*centres, voxel.T, levels=[0.5], colors=[ORANGE], linewidths=1.4)
    axes.set_axis_off()


def _power_of_two(unit: float, span: float) -> int:
    """Give the largest power of two, up to 64, that keeps the curve within the unit."""
    if span <= 0:
        return 1
    return int(2 ** np.clip(np.floor(np.log2(unit / span)), 0, 6))


def ppm_axis(axes: "Axes", ppm_range: tuple[float, float]) -> None:
    """Make a horizontal axis of chemical shift, falling from left to right, over a signal without units."""
    axes.set_xlim(ppm_range[1], ppm_range[0])
    axes.set_xticks(np.arange(np.ceil(2 * ppm_range[0]) / 2, ppm_range[1] + 1e-9, 0.5))
    axes.set_xlabel("Chemical shift (ppm)")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _side_label(axes: "Axes", text: str, height: FloatArray, *, right: bool = False) -> None:
    """Write beside the axes, at a height of the data."""
    axes.annotate(text, (float(right), height), (4 if right else -4, 0), xycoords=("axes fraction", "data"),
                  textcoords="offset points", ha="left" if right else "right", va="center", fontsize=8,
                  color=GREY if right else INK)  # fmt: skip
