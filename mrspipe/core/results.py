"""What the stages give: fits, concentrations, quality, failures. All values; nothing is computed when one is made."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from mrspipe.core.arrays import FloatArray, frozen_float
from mrspipe.core.errors import AnalysisError

# Sums that the field reports, in the order of the tables.
SUMS: Mapping[str, tuple[str, ...]] = {
    "tNAA": ("NAA", "NAAG"),
    "tCr": ("Cr", "PCr"),
    "tCho": ("GPC", "PCh"),
    "Glx": ("Glu", "Gln"),
}

Quantity = Literal[
    "ratio_tcr", "molal", "molar", "alpha_molar", "alpha_group_molar", "institutional", "lcmodel"
]  # fmt: skip
"""What a concentration is; their formulas and units are in `mrspipe.quantify.factors`."""

_FIT_ARRAYS = (
    "amplitudes", "covariance", "crlb_covariance", "prior_share",
    "ppm", "data", "fit", "baseline", "macromolecules", "components",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TissueFractions:
    """Volume fractions of the voxel: grey matter, white matter, cerebrospinal fluid. Each 0 to 1, sum 1.

    ``sd`` is the standard deviation of each from what the tissue maps leave open; zero when that is not known.
    """

    gm: float
    wm: float
    csf: float
    source: str = ""
    sd: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        values = (self.gm, self.wm, self.csf)
        if not all(-1e-9 <= value <= 1 + 1e-9 for value in values) or abs(sum(values) - 1) > 1e-6:
            raise AnalysisError(
                f"Tissue fractions must lie in 0..1 and sum to 1, got GM {self.gm}, WM {self.wm}, CSF {self.csf}.",
                code="tissue-fractions",
            )


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """A fitted spectrum.

    Parameters
    ----------
    names : tuple of str
        Fitted metabolites (macromolecules are not among them).
    amplitudes : float array, shape (n,)
        In units of the basis set times the data.
    covariance : float array, shape (n, n)
        Posterior covariance of the amplitudes: noise and priors.
    crlb_covariance : float array, shape (n, n)
        Cramer-Rao bound: noise alone, at the line shape, shifts and widths found.
    prior_share : float array, shape (n,)
        Share of each amplitude's posterior information that comes from its own prior on a ratio, 0 to 1:
        ``1 - v / v'`` with the posterior variance ``v``, and ``v'`` the same without this prior. It is the weight of
        the prior's mean in the estimate. 0 without a prior.
    nuisance : mapping of str to float
        Shared parameters with the unit in the name: ``shift_hz``, ``phase0_deg``, ``phase1_deg_per_ppm``,
        ``lorentz_hz``, ``gauss_hz``, ``baseline_ed_per_ppm``; ``t2_contrast``: how much of the differences in T2 is
        seen in the line widths; ``shape_distance``: root mean square deviation from a Voigt line in units of what is
        expected; ``misfit``: residual over noise by degrees of freedom, at least 1, without the points that were tamed,
        ``outlier_pct``: share of those.
    ppm : float array, shape (n_ppm,)
        Ascending.
    data, fit, baseline, macromolecules : float array, shape (n_ppm,)
        Real part after phase and shift were corrected; ``fit`` includes baseline and macromolecules.
    components : float array, shape (n, n_ppm)
        Each metabolite's part of ``fit``.
    noise_sd : float
        Standard deviation of ``data`` from its signal-free region.
    proton_amplitude : float or None
        As in `BasisSet`: amplitude of one proton at unit concentration.
    status : str
        ``"converged"``, or what went wrong in one word.
    advice : tuple of str
        What the user should know about this fit, in plain words.
    at_limit : tuple of str
        Parameters that were stopped where they become implausible, such as ``"shift of Glu"``.
    """

    names: tuple[str, ...]
    amplitudes: FloatArray
    covariance: FloatArray
    crlb_covariance: FloatArray
    prior_share: FloatArray
    nuisance: Mapping[str, float]
    ppm: FloatArray
    data: FloatArray
    fit: FloatArray
    baseline: FloatArray
    macromolecules: FloatArray
    components: FloatArray
    noise_sd: float
    proton_amplitude: float | None
    status: str = "converged"
    advice: tuple[str, ...] = ()
    n_iterations: int = 0
    macromolecule_model: str = ""
    at_limit: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _FIT_ARRAYS:
            object.__setattr__(self, name, frozen_float(getattr(self, name)))

    @property
    def residual(self) -> FloatArray:
        """Definition: data - fit, shape (n_ppm,)."""
        return self.data - self.fit

    def weights(self, metabolite: str) -> FloatArray | None:
        """Row of 0 and 1 that picks a metabolite or one of `SUMS` out of ``amplitudes``; None when not fitted.

        A sum needs only one of its members: with PCr and Cr merged in one entry, ``tCr`` is that entry.
        """
        return _weights(self.names, metabolite)


@lru_cache(maxsize=1024)
def _weights(names: tuple[str, ...], metabolite: str) -> FloatArray | None:
    members = SUMS.get(metabolite, (metabolite,))
    row = frozen_float([1.0 if name in members else 0.0 for name in names])
    return row if row.any() else None


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """Standard error of a concentration by its source, each in the unit of the value; the sources are independent.

    Parameters
    ----------
    fit, water_fit, tissue : float
        Of the scan's own: amplitudes of the metabolites, amplitude of water, tissue fractions.
    water_relaxation, metabolite_relaxation, water_content : float
        Of constants that all scans share. These errors move all scans the same way: they cancel in a comparison of
        groups or conditions, and do not shrink with the number of scans.
    """

    fit: float = 0.0
    water_fit: float = 0.0
    tissue: float = 0.0
    water_relaxation: float = 0.0
    metabolite_relaxation: float = 0.0
    water_content: float = 0.0

    @property
    def own(self) -> float:
        """Standard error of what differs between scans."""
        return math.hypot(self.fit, self.water_fit, self.tissue)

    @property
    def shared(self) -> float:
        """Standard error of what all scans have in common."""
        return math.hypot(self.water_relaxation, self.metabolite_relaxation, self.water_content)

    @property
    def total(self) -> float:
        """Standard error of everything."""
        return math.hypot(self.own, self.shared)


@dataclass(frozen=True, slots=True)
class Concentration:
    """One metabolite in one unit.

    Parameters
    ----------
    metabolite : str
    quantity : str
        ``"ratio_tcr"``, ``"molal"`` (mmol/kg tissue water), ``"molar"`` (mmol/L tissue), ...
    value, se_fit, se_total : float
        NaN when it could not be measured; then ``reason`` says why. ``se_fit`` holds the noise and the fit's priors,
        ``se_total`` also the constants and the tissue fractions.
    crlb_pct : float
        Cramer-Rao bound of the amplitude in percent of the amplitude.
    reference : str
        ``"tCr"`` or ``"water"``.
    corrections : tuple of str
    reason : str
    budget : ErrorBudget or None
        ``se_total`` by source; None without a value.
    """

    metabolite: str
    quantity: str
    value: float
    se_fit: float
    se_total: float
    crlb_pct: float
    reference: str
    corrections: tuple[str, ...] = ()
    reason: str = ""
    budget: ErrorBudget | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A concentration as another reasonable choice would have given it; ``kind`` is quantity, constants or fit."""

    kind: str
    choice: str
    metabolite: str
    quantity: str
    value: float


@dataclass(frozen=True, slots=True)
class Metric:
    """One quality measure. ``limit`` says what is expected, such as ``"<= 0.1"``; empty when it is only reported."""

    name: str
    value: float
    unit: str = ""
    limit: str = ""
    passed: bool = True


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a known addition of a metabolite to a scan came back from the fit.

    Parameters
    ----------
    metabolite : str
    slope, slope_se : float
        What was found of each unit that was added, and its standard error; NaN when it could not be measured.
    offset_pct : float
        By how much the line through the fits misses the fit without an addition, in percent of that.
    reason : str
        Why there is no slope.
    """

    metabolite: str
    slope: float = math.nan
    slope_se: float = math.nan
    offset_pct: float = math.nan
    reason: str = ""


Verdict = Literal["good", "doubtful", "unusable"]


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Quality of one scan: metrics, verdict, and the reasons for it in plain words."""

    metrics: tuple[Metric, ...]
    verdict: Verdict
    reasons: tuple[str, ...] = ()

    def metric(self, name: str) -> float:
        """Value of a metric; NaN when it was not measured."""
        return next((m.value for m in self.metrics if m.name == name), float("nan"))


@dataclass(frozen=True, slots=True)
class Failure:
    """A scan that could not be analysed: a row with a reason, never a missing row."""

    entities: Mapping[str, str] = field(default_factory=dict)
    stage: str = ""
    code: str = ""
    message: str = ""
    cure: str = ""

    def row(self) -> dict[str, Any]:
        """Give the row of ``failures.tsv``."""
        return {
            "participant_id": f"sub-{self.entities['sub']}" if "sub" in self.entities else "n/a",
            "session_id": f"ses-{self.entities['ses']}" if "ses" in self.entities else "n/a",
            "task_id": self.entities.get("task", "n/a"),
            "run": self.entities.get("run", "n/a"),
            "stage": self.stage,
            "code": self.code,
            "message": self.message,
            "cure": self.cure,
        }
