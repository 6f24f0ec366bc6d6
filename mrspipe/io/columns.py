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

ALTERNATIVES: Descriptions = {
    "kind": {
        "Description": "What was chosen otherwise than in the configuration.",
        "Levels": {
            "quantity": "Another quantity.",
            "constants": "Another set of constants.",
            "fit": "Another way to fit.",
        },
    },
    "choice": "The choice, in words.",
    "metabolite": CONCENTRATIONS["metabolite"],
    "quantity": _QUANTITY,
    "value": "The value under this choice, in the unit of quantity.",
}

SCAN_ALTERNATIVES: Descriptions = {**_SCAN, **ALTERNATIVES}

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
    "p_adjusted": "p value adjusted as multiplicity says; n/a where it is not.",
    "effect": "Standardised effect size.",
    "effect_name": "Which effect size it is.",
    "effect_ci_low": "Lower end of the 95 % confidence interval of effect.",
    "effect_ci_high": "Upper end of the 95 % confidence interval of effect.",
    "bf01": "Bayes factor: evidence for no effect over evidence for an effect.",
    "tost_p": "p value of the equivalence test (two one-sided tests).",
    "tost_bound": "Bound of the equivalence test, in the unit of estimate.",
    "note": "What to know about this row, or why it could not be computed.",
    "n_reference": "Participants with a scan at the level that is subtracted: of the factor between participants where "
    "one is compared, else of the factor within them.",
    "n_other": "Participants with a scan at the level from which it is subtracted.",
    "n_left_out": "Scans at the levels of this contrast that it does not use: without a usable value, or incomplete; "
    "exclusions.tsv lists them.",
    "family": {
        "Description": "Which p values are corrected together.",
        "Levels": {
            "primary": "The main contrasts of the outcome.",
            "secondary": "The other contrasts of the outcome; the other metabolites, a family for each contrast.",
            "none": "Ratings and checks of the design: not corrected.",
        },
    },
    "multiplicity": "How p_adjusted was computed, and over how many tests.",
}

ROBUSTNESS: Descriptions = {
    **{name: CONTRASTS[name] for name in ("contrast", "metabolite", "quantity")},
    "kind": {
        "Description": "What was chosen otherwise than in the main analysis.",
        "Levels": {
            "main": "Nothing: the main analysis.",
            "quantity": "Another quantity.",
            "constants": "Another set of constants.",
            "fit": "Another way to fit.",
            "scans": "Another rule of which scans enter.",
            "model": "Other covariates or another test.",
            "leave one out": "One participant was left out.",
        },
    },
    "choice": "The choice, in words.",
    **{name: CONTRASTS[name] for name in ("n_subjects", "n_scans", "estimate", "se", "ci_low", "ci_high")},
    "effect": "Standardised effect size, where it is of the kind of the main analysis.",
    "p": "Two-sided p value, not adjusted.",
    "keeps_sign": "The estimate has the sign of the main analysis.",
    "is_significant": "p is below alpha.",
    "note": "Why it could not be computed.",
}

ROBUSTNESS_SUMMARY: Descriptions = {
    "contrast": CONTRASTS["contrast"],
    "n_choices": "Choices, apart from the main analysis and leaving one participant out.",
    "n_computed": "Those of them that could be computed.",
    "n_keep_sign": "Those whose estimate has the sign of the main analysis.",
    "n_significant": "Those with p below alpha.",
    "lowest_effect": "Lowest standardised effect among them.",
    "highest_effect": "Highest standardised effect among them.",
    "n_left_out": "Participants that were left out, one at a time.",
    "n_left_out_keep_sign": "How often the estimate then kept the sign of the main analysis.",
    "n_left_out_significant": "How often p was then below alpha.",
}

PEOPLE: Descriptions = {
    "variable": "Column of participants.tsv.",
    "level": "Level of a category; n/a for a number.",
    "n_reference": "Participants of the reference group with a value.",
    "n_other": "Participants of the other group with a value.",
    "mean_reference": "Mean in the reference group.",
    "sd_reference": "Standard deviation in the reference group.",
    "median_reference": "Median in the reference group.",
    "mean_other": "Mean in the other group.",
    "sd_other": "Standard deviation in the other group.",
    "median_other": "Median in the other group.",
    "count_reference": "Participants of the reference group at this level.",
    "count_other": "Participants of the other group at this level.",
    "test": "Test of the difference between the groups; of a category in the row of its first level.",
    "statistic": "Test statistic.",
    "df": "Degrees of freedom.",
    "p": "Two-sided p value, not corrected.",
    "rank_p": "Two-sided p value of the rank sum test.",
    "note": "Why there is no test.",
}

ASSOCIATIONS: Descriptions = {
    "metabolite": CONCENTRATIONS["metabolite"],
    "quantity": _QUANTITY,
    "of": "baseline: the level at the reference of all factors; change: from one condition to the other.",
    "with": "What it is correlated with.",
    "participants": "Group, or all.",
    "n": "Participants with both.",
    "rho": "Spearman's rank correlation.",
    "ci_low": "Lower end of its confidence interval, from the normal distribution of atanh rho.",
    "ci_high": "Upper end of it.",
    "boot_ci_low": "Lower end of its confidence interval from resampled participants.",
    "boot_ci_high": "Upper end of it.",
    "statistic": "Student's t of rho.",
    "df": "Degrees of freedom.",
    "p": "Two-sided p value.",
    "p_adjusted": "p value by Benjamini and Hochberg over all rows.",
    "adjusted_for": "Column that the partial correlation is adjusted for.",
    "partial_rho": "Partial rank correlation.",
    "partial_n": "Participants with all three.",
    "partial_p": "Two-sided p value of the partial correlation.",
    "note": "Why it could not be computed.",
}

QUALITY_TESTS: Descriptions = {
    "metric": "Column of quality.tsv, or unusable: scans that were left out.",
    "term": "Factor, or interaction of factors.",
    "test": "Test.",
    "n_subjects": "Participants in the analysis.",
    "n_scans": "Scans in the analysis.",
    "statistic": "F statistic.",
    "num_df": "Degrees of freedom of the term.",
    "den_df": "Degrees of freedom of the error, by Kenward and Roger.",
    "p": "p value, not corrected.",
    "note": "Counts, or why it could not be computed.",
}

QUALITY_CELLS: Descriptions = {
    "metric": "Column of quality.tsv.",
    "cell": "Levels of the design's factors, in their order.",
    "n_scans": "Scans that are not unusable.",
    "mean": "Mean over the scans.",
    "sd": "Standard deviation over the scans.",
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

CALIBRATION: Descriptions = {
    "test": "Contrast, as in the study's configuration, or a statement about several of them.",
    "kind": {
        "Description": "What rate is.",
        "Levels": {
            "false_positive": "Share of cohorts in which the test is significant though there is nothing to find.",
            "power": "Share of cohorts in which the test is significant and there is something to find.",
            "false_positive_holm": "false_positive by Holm's method over the main contrasts, whatever the study uses.",
            "power_holm": "power by Holm's method over the main contrasts, whatever the study uses.",
            "false_positive_fixed_sequence": "false_positive, where all main contrasts before are significant too.",
            "power_fixed_sequence": "power, where all main contrasts before are significant too.",
            "power_lost": "Power of the oracle minus power of this level, in the same cohorts.",
            "familywise": "Share of cohorts with any false positive among the main contrasts.",
            "joint": "Share of cohorts with the whole pattern: group and condition significant, treatment not.",
            "equivalence": "Share of cohorts in which the equivalence test is significant.",
            "coverage": "Share of cohorts in which the confidence interval holds the true value.",
            "bias": "Mean estimate minus true value, in the unit of quantity.",
            "bias_relative": "bias relative to the size of the true value.",
            "median_p": "Median of the p values.",
            "estimate_sd": "Standard deviation of the estimates between cohorts, in the unit of quantity.",
            "se_mean": "Mean of the standard errors that the test states, in the unit of quantity.",
            "not_computed": "Share of cohorts in which the test could not be computed.",
        },
    },
    "level": {
        "Description": "What stands between truth and test.",
        "Levels": {
            "oracle": "Nothing: the tests get the true concentrations of every acquired scan.",
            "concentrations": "The error of the fit that the recipe names; no spectra.",
            "averaged": "One noisy FID for each scan, and fit, quantification and quality control of the pipeline.",
            "raw": "A study on disk, analysed as by mrspipe run.",
        },
    },
    "cohorts": "Synthetic cohorts that rate is computed from.",
    "rate": "The share, or the number that kind names.",
    "mc_se": "Monte Carlo standard error of rate: what another set of as many cohorts would change.",
    "metabolite": CONCENTRATIONS["metabolite"],
    "quantity": "What was compared, as in measurements.tsv.",
    "truth": "The true value of the contrast, in the unit of quantity.",
    "truth_from": {
        "Description": "How truth is known.",
        "Levels": {
            "recipe": "Computed from the means, effects and slopes of the recipe.",
            "oracle": "Mean estimate of the oracle over all cohorts.",
        },
    },
}

LEAKS: Descriptions = {
    "level": CALIBRATION["level"],
    "term": "What may move the error of a scan.",
    "slope_pct": _in("%", "Change of the relative error of the outcome for one unit of term, the others held."),
    "se_pct": _in("%", "Standard error of slope_pct, robust to scans of one cohort being alike."),
    "unit": "Unit of term.",
    "group_difference": "Mean of term in the patients minus that in the controls, in its unit.",
    "leak_pct": _in("%", "slope_pct times group_difference: what the term adds to the difference of the groups."),
    "scans": "Scans in the regression.",
}

POWER: Descriptions = {
    "test": "What is compared, and how.",
    "design": "How a value of one participant is made, in words.",
    "n_reference": "Participants of the reference group; n/a where one group is enough.",
    "n_other": "Participants of the other group, or all of them.",
    "alpha": "Level of the two-sided test.",
    "power": "Probability to find an effect of this size.",
    "sd_reference": "Standard deviation of the value of a participant in the reference group; n/a where one is enough.",
    "sd_other": "The same in the other group, or in all participants.",
    "effect": "Smallest effect that is found with this power, in the unit of the outcome.",
    "effect_low": "The same at the lower confidence limit of the standard deviations.",
    "effect_high": "The same at the upper confidence limit of the standard deviations.",
    "effect_pct": _in("%", "effect in percent of the mean of the reference."),
    "n_for_effect": "Participants (of each group) that the effect named in asked_effect needs.",
    "n_low": "The same at the lower confidence limit of the standard deviations.",
    "n_high": "The same at the upper confidence limit of the standard deviations.",
    "asked_effect": "The effect that n_for_effect is for, in the unit of the outcome.",
    "equivalence_bound": "Bound of the equivalence test, in the unit of the outcome; n/a where none is set.",
    "equivalence_power": "Probability that the equivalence test is significant when there is no effect at all.",
    "note": "What to know about this row, or why it could not be computed.",
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
