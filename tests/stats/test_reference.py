"""The analyses of the study against values computed in R (lme4, lmerTest, pbkrtest, emmeans, sandwich, BayesFactor)."""

import numpy as np
import pandas as pd
import pytest

from mrspipe.stats.contrasts import contrast_table
from mrspipe.stats.design import ContrastSettings, Design, StatsSettings
from mrspipe.stats.mixed import fit_mixed

pytestmark = pytest.mark.real

DESIGN = Design(
    group={"column": "group", "control": "HC", "patient": "CAI"},
    condition={"entity": "task", "control": "neutral", "active": "cue"},
    treatment={"column": "drug", "control": "placebo", "active": "nac", "period": "period"},
    covariates=["age", "sex", "smoker", "gm_fraction"],
    secondary=["Glx", "tCr"],
    ratings={"name": "vas", "columns": {"neutral": "vas_neutral", "cue": "vas_cue"}},
)
COLUMNS = ("estimate", "se", "df", "statistic", "p", "ci_low", "ci_high")
# Those whose test comes in closed form agree to rounding; the mixed models as closely as R's own optimum is known.
CLOSED = {"rtol": 1e-9, "atol": 1e-12}
MIXED = {"rtol": 1e-6, "atol": 1e-8}


class Reference:
    """A data set, and what R found in it."""

    def __init__(self, folder, name):
        data = pd.read_csv(folder / f"dataset_{name}.tsv", sep="\t", na_values="n/a")
        self.data = data.assign(drug=data["drug"].str.lower())
        self.results = pd.read_csv(folder / f"reference_{name}.tsv", sep="\t")

    def __call__(self, analysis, term=None):
        rows = self.results[self.results["analysis"] == analysis]
        (row,) = (rows if term is None else rows[rows["term"] == term]).to_dict("records")
        return row

    def extra(self, analysis, term=None):
        return dict(pair.split("=", 1) for pair in str(self(analysis, term)["extra"]).split(";"))

    @property
    def usable(self):
        return self.data[(self.data["qc"] == "pass") & self.data["glu"].notna()]


@pytest.fixture(scope="module", params=["A", "C"])
def reference(request, real_data):
    return Reference(real_data / "reference" / "stats", request.param)


def _long(data):
    common = data.assign(session_id="ses-" + data["session"].astype(str), task_id=data["task"], quantity="molar")
    return pd.concat(
        common.assign(metabolite=name, value=data[column], included=(data["qc"] == "pass") & data[column].notna())
        for name, column in (("Glu", "glu"), ("Glx", "glx"), ("tCr", "tcr"))
    )


@pytest.fixture(scope="module")
def table(reference):
    ratings = reference.data.assign(
        session_id="ses-" + reference.data["session"].astype(str), task_id=reference.data["task"], rating="vas",
        value=reference.data["vas"],
    )  # fmt: skip
    own = (
        ContrastSettings(name="cue, mixed, patients", compare=("condition",), test="mixed",
                         within={"group": "CAI", "treatment": "placebo"}),
        ContrastSettings(name="changes", compare=("group", "condition"), test="welch", within={"treatment": "placebo"}),
        ContrastSettings(name="nac-placebo-patients", equivalence_bound=1.0),
        ContrastSettings(name="nac-placebo-paired", equivalence_bound=0.7),
    )  # fmt: skip
    names = (
        "patients-controls", "patients-controls-adjusted", "cue-baseline", "cue-baseline-controls", "cue-baseline-all",
        "group-by-cue", "nac-placebo", "group-by-nac", "cue-by-nac", "group-by-cue-by-nac", "vas",
    )  # fmt: skip
    contrasts = (*own, *(ContrastSettings(name=name) for name in names))
    # The models of the reference have no random effect of the condition.
    settings = StatsSettings(random_condition=False)
    return contrast_table(_long(reference.data), DESIGN, contrasts, settings, ratings=ratings)


def found(table, contrast, metabolite="Glu"):
    (row,) = table[(table["contrast"] == contrast) & (table["metabolite"] == metabolite)].to_dict("records")
    return row


@pytest.mark.parametrize(
    ("contrast", "analysis", "term", "tolerance"),
    [
        ("patients-controls", "H1.welch", None, CLOSED),
        ("patients-controls-adjusted", "H1a.ancova_hc3", "groupCAI", CLOSED),
        ("cue-baseline", "H2.paired_t", None, CLOSED),
        ("cue-baseline-controls", "H2hc.paired_t", None, CLOSED),
        ("nac-placebo-paired", "NAC_mean_CAI.paired_t", None, CLOSED),
        ("cue, mixed, patients", "H2lmm.kr.treatment", "taskcue", MIXED),
        ("cue-baseline-all", "H2a.kr.half", "t", MIXED),
        ("group-by-cue", "H2a.kr.half", "g:t", MIXED),
        ("changes", "H2diff.welch", None, CLOSED),
        ("nac-placebo", "H3.kr.half", "r", MIXED),
        ("group-by-nac", "H3.kr.half", "g:r", MIXED),
        ("cue-by-nac", "H3.kr.half", "t:r", MIXED),
        ("group-by-cue-by-nac", "H3.kr.half", "g:t:r", MIXED),
        ("nac-placebo-patients", "H3cai.kr.half", "r", MIXED),
    ],
)
def test_the_test_equals_that_of_r(table, reference, contrast, analysis, term, tolerance):
    expected = reference(analysis, term)
    row = found(table, contrast)
    np.testing.assert_allclose([row[name] for name in COLUMNS], [expected[name] for name in COLUMNS], **tolerance)


def test_the_rating_of_the_patients_equals_that_of_r(table, reference):
    expected, row = reference("M1vas.paired_t"), found(table, "vas", "n/a")
    np.testing.assert_allclose([row[name] for name in COLUMNS], [expected[name] for name in COLUMNS], **CLOSED)
    effect = reference("M1vas.dz")
    np.testing.assert_allclose(
        [row["effect"], row["effect_ci_low"], row["effect_ci_high"]],
        [effect["estimate"], effect["ci_low"], effect["ci_high"]],
        rtol=1e-8,
    )


@pytest.mark.parametrize(
    ("contrast", "analysis"),
    [("patients-controls", "H1.hedges_g"), ("cue-baseline", "H2.dz"), ("cue-baseline-controls", "H2hc.dz"),
     ("nac-placebo-paired", "NAC_mean_CAI.dz")],
)  # fmt: skip
def test_the_effect_size_and_its_interval_equal_those_of_r(table, reference, contrast, analysis):
    expected, row = reference(analysis), found(table, contrast)
    np.testing.assert_allclose(
        [row["effect"], row["effect_ci_low"], row["effect_ci_high"]],
        [expected["estimate"], expected["ci_low"], expected["ci_high"]],
        rtol=1e-8,
    )


@pytest.mark.parametrize(
    ("contrast", "analysis", "metabolite"),
    [("patients-controls", "H1.jzs", "Glu"), ("cue-baseline", "H2.jzs", "Glu"),
     ("cue-baseline-controls", "H2hc.jzs", "Glu"),
     ("nac-placebo-paired", "NAC_mean_CAI.jzs", "Glu"), ("vas", "M1vas.jzs", "n/a")],
)  # fmt: skip
def test_the_bayes_factor_equals_that_of_r(table, reference, contrast, analysis, metabolite):
    assert 1 / found(table, contrast, metabolite)["bf01"] == pytest.approx(reference(analysis)["estimate"], rel=1e-8)


def _tost(reference, analysis, bound):
    rows = reference.results[reference.results["analysis"] == analysis]
    (row,) = rows[rows["term"].str.contains(f"+-{bound}", regex=False)].to_dict("records")
    return row["p"]


def test_the_equivalence_tests_equal_those_of_r(table, reference):
    patients, paired = found(table, "nac-placebo-patients"), found(table, "nac-placebo-paired")
    assert patients["tost_p"] == pytest.approx(_tost(reference, "H3cai.tost", "1.0"), rel=1e-6)
    assert paired["tost_p"] == pytest.approx(_tost(reference, "NAC_mean_CAI.tost", "0.7"), rel=1e-9)


@pytest.mark.parametrize(("metabolite", "term"), [("Glx", "glx"), ("tCr", "tcr")])
def test_other_metabolites_equal_those_of_r(table, reference, metabolite, term):
    welch, mixed = reference(f"S1.H1.{term}"), reference(f"S1.H2a.{term}")
    row = found(table, "patients-controls", metabolite)
    assert (row["estimate"], row["p"]) == pytest.approx((welch["estimate"], welch["p"]), rel=1e-9)
    assert found(table, "group-by-cue", metabolite)["p"] == pytest.approx(mixed["p"], rel=1e-6)


def _half(data, column, level):
    return np.where(data[column] == level, 0.5, -0.5)


def _groupings(data):
    return [list(data["participant_id"]), list(data["participant_id"] + "/" + data["session"].astype(str))]


def test_the_likelihood_and_the_variances_of_the_study_model_equal_those_of_r(reference):
    data = reference.usable
    g, t, r = _half(data, "group", "CAI"), _half(data, "task", "cue"), _half(data, "drug", "nac")
    X = np.column_stack([np.ones(len(data)), g, t, r, data["period"] - 1.5, g * t, g * r, t * r, g * t * r])
    fit = fit_mixed(data["glu"].to_numpy(), X, _groupings(data))
    expected = [reference("H3.varcomp", f"var({name})")["estimate"] for name in ("id", "id:session", "Residual")]
    np.testing.assert_allclose(fit.variances, expected, rtol=1e-8)
    assert fit.log_likelihood == pytest.approx(reference("H3.fit")["estimate"], rel=1e-11)
    assert fit.largest_score < 1e-9
    # Simple effects: the placebo minus the drug effects of each cell, as linear combinations of the coefficients.
    for group, task in ((0.5, -0.5), (0.5, 0.5), (-0.5, -0.5), (-0.5, 0.5)):
        weights = np.array([0, 0, 0, 1, 0, 0, group, task, group * task])
        name = f"NAC-placebo|{'CAI' if group > 0 else 'HC'},{'cue' if task > 0 else 'neutral'}"
        simple = reference("H3.simple_kr", name)
        np.testing.assert_allclose(fit.contrast(weights), [simple["estimate"], simple["se"], simple["df"]], rtol=1e-7)


def test_the_model_of_the_rating_equals_that_of_r(reference):
    data = reference.data[(reference.data["group"] == "CAI") & reference.data["vas"].notna()]
    t, r, second = (data["task"] == "cue") * 1.0, (data["drug"] == "nac") * 1.0, (data["period"] == 2) * 1.0
    X = np.column_stack([np.ones(len(data)), t, r, second, t * r])
    fit = fit_mixed(data["vas"].to_numpy(dtype=float), X, [list(data["participant_id"])])
    for unit, term in zip(np.eye(5), ("(Intercept)", "taskcue", "drugNAC", "period2", "taskcue:drugNAC"), strict=True):
        expected = reference("M1.kr.treatment", term)
        np.testing.assert_allclose(
            fit.contrast(unit), [expected["estimate"], expected["se"], expected["df"]], rtol=1e-6, atol=1e-8
        )


def test_the_two_adjustments_equal_those_of_r(reference):
    from statsmodels.stats.multitest import multipletests

    rows = reference.results[reference.results["analysis"] == "padj.fixed"]
    extras = [dict(pair.split("=") for pair in text.split(";")) for text in rows["extra"]]
    for method, name in (("holm", "holm"), ("fdr_bh", "BH")):
        expected = [float(extra[name]) for extra in extras]
        np.testing.assert_allclose(multipletests(rows["p"], method=method)[1], expected, rtol=1e-12)
