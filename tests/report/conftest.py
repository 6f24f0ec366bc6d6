"""Results as the stages give them, made by hand: a spectrum of Lorentzian lines, a sphere for a head, a small study."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mrspipe.core.results import Concentration, Failure, FitResult, Metric, QualityReport, TissueFractions
from mrspipe.core.signal import Acquisition, ProcessingStep
from mrspipe.core.volume import Volume
from mrspipe.report.content import Factor, GroupPage, Outcome, SampleCount, ScanSection, SubjectPage
from mrspipe.report.mrsinmrs import AnalysisFacts, mrsinmrs_rows

# Main lines (ppm, relative area) of each metabolite, roughly as at 3 T; only their look matters here.
_LINES = {
    "NAA": ((2.01, 3.0), (2.49, 0.5), (2.67, 0.6)),
    "NAAG": ((2.04, 0.3),),
    "Cr": ((3.03, 1.7), (3.91, 1.1)),
    "PCr": ((3.03, 1.3), (3.93, 0.9)),
    "GPC": ((3.21, 1.3),),
    "PCh": ((3.22, 0.6),),
    "Glu": ((2.08, 0.35), (2.12, 0.4), (2.34, 1.0), (2.36, 0.7), (3.75, 0.9)),
    "Gln": ((2.13, 0.4), (2.45, 0.6), (3.76, 0.4)),
    "Ins": ((3.52, 1.2), (3.61, 1.1), (4.05, 0.4)),
    "GABA": ((1.89, 0.15), (2.28, 0.15), (3.01, 0.15)),
}


def _lorentzian(ppm, centre, area, width=0.055):
    return area * (width / 2) ** 2 / ((ppm - centre) ** 2 + (width / 2) ** 2)


def make_fit(seed=1, status="converged", advice=()):
    rng = np.random.default_rng(seed)
    ppm = np.linspace(0.2, 4.2, 520)
    names = tuple(_LINES)
    components = np.array([sum(_lorentzian(ppm, *line) for line in lines) for lines in _LINES.values()])
    baseline = 0.35 + 0.25 * np.cos(1.3 * ppm)
    macromolecules = sum(
        _lorentzian(ppm, at, area, 0.22) for at, area in ((0.92, 0.5), (1.4, 0.45), (2.05, 0.5), (3.0, 0.3))
    )
    fit = components.sum(axis=0) + baseline + macromolecules
    n = len(names)
    return FitResult(
        names=names, amplitudes=np.ones(n), covariance=0.01 * np.eye(n), crlb_covariance=0.01 * np.eye(n),
        prior_share=np.zeros(n), nuisance={"shift_hz": 0.4}, ppm=ppm,
        data=fit + rng.normal(0, 0.06, ppm.size), fit=fit, baseline=baseline,
        macromolecules=macromolecules, components=components, noise_sd=0.06, proton_amplitude=1.0,
        status=status, advice=tuple(advice),
    )  # fmt: skip


def make_levels(water=True):
    why = "there is no unsuppressed water signal for this scan"
    levels = []
    for name, ratio, molar, crlb in (
        ("tNAA", 0.83, 9.13, 2.1), ("tCr", 1.0, 11.02, 1.9), ("tCho", 0.264, 2.91, 2.7), ("Glx", 1.55, 17.06, 4.4),
        ("Glu", 1.08, 11.89, 3.6), ("Gln", 0.466, 5.13, 12.3), ("Ins", 0.51, 5.52, 5.1), ("GABA", 0.201, 2.21, 31.7),
    ):  # fmt: skip
        levels.append(Concentration(name, "ratio_tcr", ratio, 0.041, 0.047, crlb, "tCr"))
        for quantity, factor in (("molal", 1.31), ("molar", 1.0)):
            if water:
                values = (factor * molar, 0.43, 0.84)
                levels.append(Concentration(name, quantity, *values, crlb, "water", ("tissue water", "relaxation")))
            else:
                levels.append(Concentration(name, quantity, np.nan, np.nan, np.nan, crlb, "water", (), why))
    return tuple(levels)


def make_quality(verdict="good"):
    wide = verdict != "good"
    metrics = (
        Metric("snr", 17.5, "", ">= 6", True),
        Metric("fwhm_hz", 13.42 if wide else 6.91, "Hz", "<= 12.8", not wide),
        Metric("fwhm_ppm", 0.105 if wide else 0.0541, "ppm", "<= 0.1", not wide),
        Metric("residual_ratio", 1.07),
        Metric("crlb_glu_pct", 3.61, "%", "<= 20", True),
        Metric("shift_hz", -0.42, "Hz"),
        Metric("n_transients_used", 504),
        Metric("water_suppression_pct", np.nan, "%"),
    )
    reasons = ("The lines are 0.105 ppm wide; at most 0.1 ppm is expected.",) if wide else ()
    return QualityReport(metrics, verdict, reasons)


@cache
def make_head():
    """A ball of 60 mm with a brighter inner ball, and a voxel of 16 x 20 x 16 mm in it."""
    grid = np.stack(np.meshgrid(*(np.arange(n) * 3.0 - 75 for n in (50, 56, 50)), indexing="ij"))
    radius = np.sqrt((grid**2).sum(axis=0))
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = -75
    wave = 12 * np.sin(grid[0] / 7) * np.sin(grid[1] / 9) * np.cos(grid[2] / 8)
    anatomy = np.where(radius < 66, 70 + wave, 0) + np.where(radius < 44, 35, 0)
    centre = np.array([-9.0, 9.0, -6.0])[:, None, None, None]
    inside = np.all(np.abs(grid - centre) <= np.array([8.0, 10.0, 8.0])[:, None, None, None], axis=0)
    return Volume(anatomy, affine), Volume(inside.astype(float), affine)


def make_scan(label="sub-01_task-cue", title="Cocaine film", verdict="good", water=True, head=True, **changes):
    anatomy, mask = make_head() if head else (None, None)
    values = {
        "label": label, "title": title, "fit": make_fit(),
        "levels": make_levels(water), "quality": make_quality(verdict),
        "history": (
            ProcessingStep("combine_coils", {"method": "wsvd", "n_coils": 32}),
            ProcessingStep("separate_cycles", {"scale": 0.985}),
            ProcessingStep("align", {"max_shift_hz": 20, "shifts_hz": [0.1, 0.2, 0.3, 0.4, 0.5]}),
            ProcessingStep("remove_water", {}),
        ),
        "water_history": (ProcessingStep("combine_coils", {}),),
        "tissue": TissueFractions(0.808, 0.182, 0.01, "derivatives/spm"),
        "anatomy": anatomy, "mask": mask,
    }  # fmt: skip
    return ScanSection(**(values | changes))


def make_subject_page(**changes):
    acquisition = Acquisition(field_t=3.0, sequence="press", echo_time_s=0.032, repetition_time_s=2.5,
                              manufacturer="Philips", n_transients=512, voxel_mm=(9.4, 18.8, 8.4))  # fmt: skip
    sidecar = {"SpectralWidth": 2000.0, "NumberOfSpectralPoints": 1024}
    facts = AnalysisFacts(software="mrspipe 0.1.0", output_measure="ratio to tCr; molality; molarity")
    values = {
        "participant_id": "sub-01",
        "scans": (
            make_scan("sub-01_task-neutral", "Neutral film"),
            make_scan(verdict="doubtful", fit=make_fit(2, advice=("The baseline is unusually flexible.",))),
            make_scan("sub-01_ses-2_task-cue", "Cocaine film, session 2", "unusable", water=False, head=False,
                      notes=("No water scan was found.",), tissue=None),
        ),
        "study_title": "Glutamate in the nucleus accumbens", "version": "0.1.0",
        "mrsinmrs": mrsinmrs_rows(acquisition, sidecar, analysis=facts),
        "methods": ("Spectra were analysed with mrspipe 0.1.0.",),
        "failures": (Failure({"sub": "01", "ses": "2", "task": "neutral"}, "read", "not-finite",
                             "The signal holds values that are not finite.", "Export it again."),),
        "group_page": "group.html",
    }  # fmt: skip
    return SubjectPage(**(values | changes))


def make_tables(seed=3, n_per_group=4):
    """Measurements, ratings and quality of a crossover study of two groups, two films, two drugs."""
    rng = np.random.default_rng(seed)
    measurements, ratings, quality = [], [], []
    for number in range(2 * n_per_group):
        group = "CAI" if number < n_per_group else "HC"
        subject, own = f"sub-{number + 1:02d}", rng.normal(0, 0.95)
        for session, drug in (("ses-1", "placebo"), ("ses-2", "nac")):
            for task in ("neutral", "cue"):
                cue = task == "cue"
                value = (10.95 if group == "CAI" else 11.9) + own + cue * (0.6 if group == "CAI" else -0.25)
                key = {"participant_id": subject, "session_id": session, "task_id": task, "run": np.nan,
                       "group": group, "drug": drug}  # fmt: skip
                width = 6.91 + rng.normal(0, 1.1)
                verdict = "unusable" if width > 9 else "doubtful" if width > 8.4 else "good"
                found = {"value": value + rng.normal(0, 0.6), "included": verdict != "unusable"}
                measurements.append({**key, "metabolite": "Glu", "quantity": "molar", **found})
                level = (40 if cue else 15) if group == "CAI" else 1.5
                ratings.append({**key, "rating": float(np.clip(level + rng.normal(0, level / 2 + 1), 0, 100))})
                quality.append({**key, "verdict": verdict, "reasons": "", "snr": 17.5 + rng.normal(0, 3.5),
                                "fwhm_hz": width, "crlb_glu_pct": 3.6 + rng.normal(0, 0.5)})  # fmt: skip
    return pd.DataFrame(measurements), pd.DataFrame(ratings), pd.DataFrame(quality)


def make_contrasts():
    nan = float("nan")
    columns = [
        "contrast", "metabolite", "quantity", "model", "n_subjects", "n_scans", "estimate", "se", "ci_low", "ci_high",
        "statistic", "df", "p", "p_adjusted", "effect", "effect_name", "effect_ci_low", "effect_ci_high", "bf01",
        "tost_p", "tost_bound", "note",
    ]  # fmt: skip
    rows = [
        ("patients-controls", "Glu", "molar", "Welch t test", 56, 56, -0.951, 0.349, -1.652, -0.253, -2.73, 51.24,
         0.0083, 0.0166, -0.742, "Hedges' g", -1.281, -0.198, 0.193, nan, nan, ""),
        ("cue-baseline", "Glu", "molar", "paired t test", 26, 52, 0.613, 0.241, 0.117, 1.109, 2.54, 25.0,
         0.0176, 0.0176, 0.498, "d_z", 0.087, 0.902, 0.362, nan, nan, "patients only"),
        ("nac-placebo", "Glu", "molar", "mixed model, Kenward-Roger", 56, 211, 0.084, 0.163, -0.241, 0.409, 0.52, 58.37,
         0.6081, nan, 0.005, "partial eta²", nan, nan, 6.14, 0.0031, 1.0, ""),
        ("patients-controls", "tCr", "molar", "Welch t test", 56, 56, 0.137, 0.221, -0.307, 0.581, 0.62, 53.9,
         0.5378, 0.7171, 0.164, "Hedges' g", -0.357, 0.684, 3.27, nan, nan, ""),
        ("patients-controls", "Ins", "molar", "Welch t test", 3, 3, nan, nan, nan, nan, nan, nan,
         nan, nan, nan, "", nan, nan, nan, nan, nan, "fewer than two subjects in a group"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def make_group_page(**changes):
    measurements, ratings, quality = make_tables()
    values = {
        "title": "Glutamate in the nucleus accumbens of cocaine users",
        "design": ("Patients with cocaine addiction and healthy controls watched a neutral and a cocaine film, once "
                   "under placebo and once under N-acetylcysteine.",),
        "sample": SampleCount("All", 25, 24, 97, 92),
        "sample_by_group": (SampleCount("Cocaine users", 12, 12, 48, 46), SampleCount("Controls", 13, 12, 49, 46)),
        "contrasts": make_contrasts(), "measurements": measurements, "ratings": ratings, "quality": quality,
        "exclusions": pd.DataFrame([{
            "participant_id": "sub-04", "session_id": "ses-1", "task_id": "cue", "metabolite": "Glu",
            "analysis": "group", "reason": "line width 0.105 ppm",
        }]),
        "failures": (Failure({"sub": "25", "ses": "1", "task": "cue"}, "read", "not-finite",
                             "The signal holds values that are not finite.", "Export it again."),),
        "outcome": Outcome("Glu", "molar", "mmol/L"),
        "group": Factor("group", {"CAI": "Cocaine users", "HC": "Controls"}),
        "condition": Factor("task_id", {"neutral": "Neutral", "cue": "Cue"}),
        "treatment": Factor("drug", {"placebo": "Placebo", "nac": "NAC"}),
        "questions": {"patients-controls": "Do cocaine users have less glutamate than controls?",
                      "cue-baseline": "Does glutamate of cocaine users rise during the cocaine film?"},
        "ratings_label": "Craving (0 to 100)", "version": "0.1.0",
        "methods": ("Spectra were analysed with mrspipe 0.1.0.",),
        "references": ("Welch, B. L. (1947). The generalization. Biometrika 34:28-35. doi 10.1093/biomet/34.1-2.28",),
    }  # fmt: skip
    return GroupPage(**(values | changes))


@pytest.fixture(scope="session")
def make():
    """The makers above, for tests that change something in what they make."""
    return SimpleNamespace(
        fit=make_fit, levels=make_levels, quality=make_quality, head=make_head, scan=make_scan,
        subject_page=make_subject_page, tables=make_tables, contrasts=make_contrasts, group_page=make_group_page,
    )  # fmt: skip


@pytest.fixture(scope="session")
def fit():
    return make_fit()
