"""What the columns of the tables mean: written as JSON beside each table. The order is the order of the columns."""

from collections.abc import Mapping
from typing import Any

Descriptions = Mapping[str, str | Mapping[str, Any]]


def _in(units: str, description: str) -> dict[str, str]:
    return {"Description": description, "Units": units}


_SCAN: Descriptions = {
    "participant_id": "Participant, as in participants.tsv.",
    "session_id": "Session, as in the participant's sessions.tsv; n/a when the dataset has none.",
    "task_id": "Task label without its prefix; n/a when the scan has none.",
    "run": "Run label; n/a when the scan has none.",
}

_VERDICT: dict[str, Any] = {
    "Description": "Quality of the scan.",
    "Levels": {
        "good": "All limits are kept.",
        "doubtful": "A limit is not kept; the scan is analysed and flagged.",
        "unusable": "The scan is left out of the group analysis.",
    },
}

CONCENTRATIONS: Descriptions = {
    "spectrum": "The scan: its file name without suffix.",
    "metabolite": "Short name as in LCModel, or one of the sums tNAA, tCr, tCho, Glx.",
    "amplitude": "Amplitude of the fit, in units of the basis set times the data.",
    "se_fit": "Standard error of the amplitude from noise and the fit's priors.",
    "crlb_pct": _in("%", "Cramer-Rao lower bound of the amplitude: noise only, priors left out."),
    "ratio_tcr": "Ratio to total creatine.",
    "ratio_tcr_se": "Total standard error of ratio_tcr.",
    "molal": _in("mmol/kg", "Concentration per tissue water."),
    "molal_se": _in("mmol/kg", "Total standard error of molal: fit, tissue fractions and constants."),
    "molar": _in("mmol/L", "Concentration per volume of tissue."),
    "molar_se": _in("mmol/L", "Total standard error of molar: fit, tissue fractions and constants."),
    "unit_reason": "Why a concentration is n/a.",
    "fwhm_hz": _in("Hz", "Line width of the spectrum: full width at half maximum."),
    "snr": "Signal-to-noise ratio of the spectrum.",
    "status": "converged, or what went wrong with the fit.",
}

_QUANTITY: dict[str, Any] = {
    "Description": "What value is.",
    "Levels": {
        "ratio_tcr": "Ratio to total creatine.",
        "molal": "mmol per kg of tissue water.",
        "molar": "mmol per L of tissue.",
        "alpha_molar": "molar, corrected for the levels of grey and white matter (doi 10.1002/jmri.24903).",
        "alpha_group_molar": "alpha_molar at the average tissue fractions of the group.",
        "institutional": "mmol per L of voxel: corrected for relaxation, not for CSF.",
        "lcmodel": "As LCModel: water of WCONC and ATTH2O, neither tissue nor relaxation.",
    },
}

BUDGET: Descriptions = {
    "spectrum": CONCENTRATIONS["spectrum"],
    "metabolite": CONCENTRATIONS["metabolite"],
    "quantity": _QUANTITY,
    "value": "The measured value, in the unit of quantity; so are the standard errors.",
    "se_fit": "Standard error from noise and the fit's priors.",
    "se_water_fit": "Standard error from the amplitude of the water reference.",
    "se_tissue": "Standard error from the tissue fractions.",
    "se_own": "All three of these, which are the scan's own, added in quadrature.",
    "se_water_relaxation": "Standard error from T1 and T2 of water.",
    "se_metabolite_relaxation": "Standard error from T1 and T2 of the metabolite.",
    "se_water_content": "Standard error from the visible water of the tissues.",
    "se_shared": "All three of these, which all scans share and comparisons of scans are free of, added in quadrature.",
    "se_total": "se_own and se_shared, added in quadrature.",
    "corrections": "What value was corrected for, and with which numbers.",
    "reason": "Why value is n/a.",
}

CHANGES: Descriptions = {
    "metabolite": CONCENTRATIONS["metabolite"],
    "quantity": "What changes: ratio_tcr, the ratio to total creatine.",
    "reference": "Value in the earlier scan.",
    "change": "Change from a fit of all the subject's spectra together; this metabolite may change freely.",
    "change_se": "Standard error of change.",
    "change_pct": _in("%", "Change in percent of reference."),
    "change_pct_se": _in("%", "Standard error of change_pct."),
    "separate_change": "The same change from fits of each spectrum alone.",
    "separate_change_se": "Standard error of separate_change.",
}

SPECTRUM_CHANGES: Descriptions = {
    "spectrum": CONCENTRATIONS["spectrum"],
    "since_spectrum": "The spectrum that it is compared with.",
}

SCAN_CHANGES: Descriptions = {
    **_SCAN,
    "since_session_id": "Session of the scan that it is compared with.",
    "since_task_id": "Task of the scan that it is compared with.",
    "since_run": "Run of the scan that it is compared with.",
}

MEASUREMENTS: Descriptions = {
    **_SCAN,
    "metabolite": CONCENTRATIONS["metabolite"],
    "quantity": _QUANTITY,
    "value": "The measured value, in the unit of quantity.",
    "se_fit": "Standard error of value from noise and the fit's priors.",
    "se_own": "Standard error of value from what is this scan's own: fit, water amplitude and tissue fractions.",
    "se_shared": "Standard error of value from constants that all scans share; it cancels in comparisons of scans.",
    "se_total": "Standard error of value from everything: se_own and se_shared, added in quadrature.",
    "crlb_pct": CONCENTRATIONS["crlb_pct"],
    "fwhm_hz": CONCENTRATIONS["fwhm_hz"],
    "snr": CONCENTRATIONS["snr"],
    "verdict": _VERDICT,
    "included": "false when the row is left out of the group analysis.",
    "reason": "Why it is left out, or why value is n/a.",
}

CONTRASTS: Descriptions = {
    "contrast": "Name of the comparison, as in the study's configuration.",
    "metabolite": CONCENTRATIONS["metabolite"],
    "quantity": "What was compared, as in measurements.tsv.",
    "model": "Statistical model or test.",
    "n_subjects": "Participants in the analysis.",
    "n_scans": "Scans in the analysis.",
    "estimate": "Estimated difference or slope, in the unit of quantity.",
    "se": "Standard error of estimate.",
    "ci_low": "Lower end of the 95 % confidence interval of estimate.",
    "ci_high": "Upper end of the 95 % confidence interval of estimate.",
    "statistic": "Test statistic.",
    "df": "Degrees of freedom of the test.",
    "p": "Two-sided p value.",
    "p_adjusted": "p value adjusted for the number of outcomes or comparisons.",
    "effect": "Standardised effect size.",
    "effect_name": "Which effect size it is.",
    "effect_ci_low": "Lower end of the 95 % confidence interval of effect.",
    "effect_ci_high": "Upper end of the 95 % confidence interval of effect.",
    "bf01": "Bayes factor: evidence for no effect over evidence for an effect.",
    "tost_p": "p value of the equivalence test (two one-sided tests).",
    "tost_bound": "Bound of the equivalence test, in the unit of estimate.",
    "note": "What to know about this row, or why it could not be computed.",
}

QUALITY: Descriptions = {
    **_SCAN,
    "verdict": _VERDICT,
    "reasons": "Reasons for the verdict, separated by semicolons.",
    "snr": CONCENTRATIONS["snr"],
    "fwhm_hz": CONCENTRATIONS["fwhm_hz"],
    "fwhm_ppm": _in("ppm", "Line width of the spectrum: full width at half maximum."),
    "residual_ratio": "Size of the fit's residual relative to the noise.",
    "crlb_glu_pct": _in("%", "Cramer-Rao lower bound of glutamate."),
    "shift_hz": _in("Hz", "Frequency shift found by the fit."),
    "baseline_ed_per_ppm": _in("1/ppm", "Flexibility of the baseline: effective dimension per ppm."),
    "n_transients_used": "Transients that were averaged.",
    "injection_slope": "What the fit found of each unit of a metabolite that was added to the spectrum; 1: all of it.",
    "injection_slope_se": "Standard error of injection_slope from the scatter around the line.",
    "injection_offset_pct": _in("%", "Distance of that line from the fit without an addition, relative to it."),
}

EXCLUSIONS: Descriptions = {
    **_SCAN,
    "metabolite": CONCENTRATIONS["metabolite"],
    "analysis": "The analysis it was left out of.",
    "reason": "Why it was left out.",
}

FAILURES: Descriptions = {
    **_SCAN,
    "stage": "Stage at which the scan failed.",
    "code": "Short name of the problem.",
    "message": "What is wrong.",
    "cure": "What to do about it.",
}

FIT: Descriptions = {
    "ppm": _in("ppm", "Chemical shift."),
    "data": "Real part of the spectrum after phase and shift were corrected.",
    "fit": "The whole fit: metabolites, macromolecules and baseline.",
    "baseline": "Baseline.",
    "macromolecules": "Macromolecules.",
}


def fit_descriptions(metabolites: tuple[str, ...]) -> Descriptions:
    """Describe the columns of the table of a fit, which has one for each metabolite."""
    return {**FIT, **{name: f"{name}'s part of the fit." for name in metabolites}}
