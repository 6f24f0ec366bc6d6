"""Settings of the fit: what is fitted, over which range, and what is known beforehand."""

from typing import Annotated, Literal

from pydantic import Field

from mrspipe.settings import Settings

Positive = Annotated[float, Field(gt=0)]


class RatioPrior(Settings):
    """What is known about a metabolite relative to total creatine."""

    mean: float = 0.0
    """Expected ratio."""
    sd: Positive = 1.0
    """Standard deviation of the expectation."""


# Ratios to tCr at short echo time, wide on purpose: they hold weakly determined metabolites near physiology and are
# left out of the Cramer-Rao bound. Orientation: ranges in Govindaraju 2000, doi
# 10.1002/1099-1492(200005)13:3<129::AID-NBM619>3.0.CO;2-V. Assumed.
_RATIOS = {
    "Asp": (0.22, 0.15),
    "GABA": (0.20, 0.12),
    "GSH": (0.18, 0.12),
    "Tau": (0.17, 0.12),
    "PE": (0.17, 0.12),
    "NAAG": (0.15, 0.12),
    "Asc": (0.12, 0.10),
    "Lac": (0.08, 0.08),
    "sIns": (0.035, 0.03),
    "Gly": (0.07, 0.04),
    "Glc": (0.12, 0.10),
    "Ala": (0.04, 0.05),
}


class FitPriors(Settings):
    """Soft constraints, each a Gaussian with the mean and standard deviation (SD) given, and what they rest on."""

    ratios_to_tcr: dict[str, RatioPrior] = Field(
        default={name: RatioPrior(mean=mean, sd=sd) for name, (mean, sd) in _RATIOS.items()}
    )
    """Expected ratio to tCr of weakly determined metabolites."""
    creatine_fraction: RatioPrior = RatioPrior(mean=0.53, sd=0.15)
    """Expected Cr/tCr."""
    shift_sd_ppm: Positive = 0.004
    """SD of each metabolite's own shift, in ppm."""
    t2_contrast: RatioPrior = RatioPrior(mean=0.5, sd=0.7)
    """How much of the differences in line width that the metabolites' T2 at 3 T lets expect is seen: 1 all, 0 none."""
    grey_matter: Annotated[float, Field(ge=0, le=1)] = 0.6
    """Part of the voxel's tissue that is grey matter, for those T2: about 0.6 in cortical voxels (assumed). Not used
    away from 3 T."""
    width_sd_hz: Positive = 0.3
    """SD of each metabolite's own Lorentzian width around that, in Hz."""
    lorentz_hz: float = 3.5
    """Expected Lorentzian width of creatine, including the width already in the basis set, in Hz. A spectrum's lines as
    a whole may be broader or narrower; this and the next three settings then scale with them."""
    lorentz_sd_hz: Positive = 1.5
    """SD of the common Lorentzian width, in Hz."""
    gauss_hz: float = 4.5
    """Expected Gaussian width common to all lines, in Hz."""
    gauss_sd_hz: Positive = 1.5
    """SD of the common Gaussian width, in Hz."""
    phase1_sd_deg_per_ppm: Positive = 5.0
    """SD of the first-order phase around zero, in degrees per ppm."""
    shape_phase_sd_rad: Positive = 0.15
    """SD of the smooth deviation of the common line's phase over time, in rad."""
    mm_level: RatioPrior = RatioPrior(mean=2.0, sd=1.0)
    """Expected area of the macromolecules' line at 0.9 ppm, in protons of tCr (not measured macromolecules)."""
    mm_relative_sd: Positive = 0.22
    """SD of the macromolecules over a stretch of 0.11 ppm, relative to what is expected there (not measured)."""
    mm_floor_sd: Positive = 0.09
    """SD of the macromolecules over such a stretch where none are expected, relative to their largest expected value
    (not measured)."""
    mm_deviation_sd: Positive = 0.1
    """SD of the deviation from a measured macromolecule spectrum over such a stretch, relative to its value there."""
    mm_deviation_floor_sd: Positive = 0.017
    """SD of that deviation over such a stretch where the measured spectrum is zero, relative to its largest value."""


class JointPriors(Settings):
    """How alike spectra of one subject are: standard deviations (SD) of a spectrum's difference from their average."""

    enabled: bool = False
    """Write what changed between the scans of each subject to ``group/changes.tsv``, from a fit of them together."""
    metabolites: Positive = 0.1
    """SD of the metabolites whose change is not asked for, relative to their amplitude."""
    floor_of_tcr: Positive = 0.05
    """Amplitude, relative to tCr, that this is at least relative to, so that small ones are not held fast."""
    macromolecules: Positive = 0.035
    """SD of the macromolecules over a stretch of 0.11 ppm, relative to their value there and a tenth of the largest."""
    line_shape: Positive = 0.3
    """SD of single widths, shifts and the shape of the common line, relative to that between people."""
    baseline: Positive = 0.125
    """SD of the baseline's deviation from the subject's, relative to that of the baseline itself."""


class RefitSettings(Settings):
    """Fits with other reasonable choices, for the robustness of the study's contrasts."""

    enabled: bool = False
    """Fit every scan of a study with a stiffer baseline, with generic macromolecules, and with lines as broad as the
    participant's broadest, too."""


class FitSettings(Settings):
    """How a spectrum is fitted."""

    range_ppm: tuple[float, float] = (0.2, 4.2)
    """Part of the spectrum that is fitted, in ppm."""
    metabolites: tuple[str, ...] = ()
    """Metabolites to fit; empty: all of the basis set."""
    mm: Literal["auto", "parametrised", "study", "basis"] = "auto"
    """Macromolecules: a measured entry of the basis set with smooth deviations (basis), a smooth shape around the known
    resonances (parametrised), that shape learned from all spectra of the study (study), or basis where the basis set
    has one and else parametrised (auto)."""
    duration_s: Positive = 0.35
    """Part of the FID that is fitted, in s; later points hold next to nothing but noise in vivo. Lines narrower than
    3 Hz, as in phantoms, last longer: 0.5 to 1 s."""
    shown_duration_s: Positive = 0.512
    """Part of the FID whose spectrum is shown and written, and whose noise the SNR is relative to, in s."""
    max_shift_ppm: Positive = 0.4
    """Largest shift that referencing looks for, in ppm."""
    spline_functions_per_ppm: Positive = 20.0
    """Density of the baseline's B-splines; their stiffness is chosen from the data."""
    baseline_ed_range: tuple[float, float] = (2.2, 75.0)
    """Smallest and largest effective dimension of the baseline that are tried."""
    max_iterations: Annotated[int, Field(ge=1)] = 40
    """Most Levenberg-Marquardt iterations of one stage."""
    tolerance: Positive = 0.05
    """A stage ends when the next step would lower the objective (minus twice the log posterior) by less than this."""
    allow_basis_mismatch: bool = False
    """Fit with a basis set of another echo time or field nevertheless."""
    joint: JointPriors = JointPriors()
    """Several spectra of one subject fitted together."""
    refits: RefitSettings = RefitSettings()
    """Fits with other reasonable choices."""
    priors: FitPriors = FitPriors()
    """Soft constraints."""
