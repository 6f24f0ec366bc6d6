"""How numbers and names are spelled on the pages."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

Row = Mapping[str, Any]

METRICS: Mapping[str, str] = {
    "snr": "Signal to noise",
    "fwhm_hz": "Line width",
    "fwhm_ppm": "Line width",
    "residual_ratio": "Residual relative to noise",
    "snr_lcmodel": "Signal to noise, LCModel's definition",
    "crlb_glu_pct": "CRLB of Glu",
    "crlb_glx_pct": "CRLB of Glx",
    "crlb_tnaa_pct": "CRLB of tNAA",
    "crlb_tcr_pct": "CRLB of tCr",
    "crlb_tcho_pct": "CRLB of tCho",
    "residual_water_ratio": "Residual water relative to the metabolites",
    "water_fwhm_hz": "Line width of water",
    "gm_fraction": "Grey matter",
    "wm_fraction": "White matter",
    "csf_fraction": "Cerebrospinal fluid",
    "shift_hz": "Frequency shift",
    "baseline_ed_per_ppm": "Baseline flexibility",
    "n_transients_used": "Transients used",
}

_UNIT_ENDINGS: Mapping[str, str] = {"pct": "%", "hz": "Hz", "ppm": "ppm", "deg": "°", "s": "s", "mm": "mm"}

MISSING = "n/a"


def number(value: object, digits: int = 3) -> str:
    """Spell a number with the given count of significant digits and a true minus sign.

    Examples
    --------
    >>> [number(value) for value in (11.893, -0.03125, 1234.5, float("nan"), 4)]
    ['11.9', '−0.0312', '1234', 'n/a', '4']
    >>> number(3.21e-7)
    '3.21 × 10⁻⁷'
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).replace("-", "−")
    real = as_float(value)
    if math.isnan(real):
        return MISSING
    if math.isinf(real):
        return "∞" if real > 0 else "−∞"
    mantissa, power = f"{real:.{digits - 1}e}".split("e")
    if real and not -5 < int(power) < 6:
        return f"{mantissa} × 10{_raised(int(power))}".replace("-", "−")
    return f"{real:.{max(0, digits - 1 - int(power))}f}".replace("-", "−")


def fixed(value: object, decimals: int) -> str:
    """Spell a number with a fixed count of decimals and a true minus sign."""
    real = as_float(value)
    return MISSING if math.isnan(real) else f"{real:.{decimals}f}".replace("-", "−")


def decimals_for(error: object) -> int:
    """Decimals that show two significant digits of an error, at most four; two when there is none."""
    real = abs(as_float(error))
    if math.isnan(real) or math.isinf(real) or real == 0:
        return 2
    return min(4, max(0, 1 - int(f"{real:.1e}".split("e")[1])))


def p_value(value: object) -> str:
    """Spell a p value with two significant digits.

    Examples
    --------
    >>> p_value(0.00823), p_value(0.48), p_value(3.2e-7)
    ('0.0082', '0.48', '3.2 × 10⁻⁷')
    """
    real = as_float(value)
    return "< 10⁻¹⁵" if real < 1e-15 else number(real, 2)


def count(value: object) -> str:
    """Spell a whole number; ``n/a`` when there is none."""
    return number(round(as_float(value))) if is_number(value) else MISSING


def is_number(value: object) -> bool:
    """Tell whether a cell holds a finite number."""
    return math.isfinite(as_float(value))


def words(value: object) -> str:
    """Spell a cell of text; ``n/a`` when it is empty or missing."""
    text = "" if value is None or value != value else " ".join(str(value).split())
    return text if text and text not in {"<NA>", "NaT"} else MISSING


def metric_label(name: str) -> str:
    """Name of a quality metric without its unit."""
    if name in METRICS:
        return METRICS[name]
    stem, _, ending = name.rpartition("_")
    return humanised(stem if stem and ending in _UNIT_ENDINGS else name)


def metric_unit(name: str) -> str:
    """Unit that the name of a metric ends with."""
    return _UNIT_ENDINGS.get(name.rpartition("_")[2], "")


def humanised(name: str) -> str:
    """Turn a name of code into words: ``combine_coils`` becomes ``Combine coils``."""
    text = name.replace("_", " ").replace("-", " ").strip()
    return text[:1].upper() + text[1:]


def records(table: "DataFrame") -> list[dict[str, Any]]:
    """Give the rows of a table as mappings of column to value."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def as_float(value: object) -> float:
    """Give the number in a cell; NaN where there is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _raised(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
