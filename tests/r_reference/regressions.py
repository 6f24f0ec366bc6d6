"""Analyses of one value for each participant with other measures: regressions, correlations, the crossover."""

from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from mrspipe.stats.association import partial_spearman, pearson, spearman
from mrspipe.stats.crossover import crossover_tests
from mrspipe.stats.linear import adjusted_weights, fit_linear, term_test
from mrspipe.stats.models import robust_regression
from r_reference.samples import fields, neutral_placebo
from r_reference.tables import at

ANCOVA = ("(Intercept)", "groupCAI", "age", "sexM", "smokeryes", "gm_fraction")


def ancova(ref):
    table = neutral_placebo(ref).dropna(subset=["age", "sex", "smoker", "gm_fraction"])
    columns = [
        np.ones(len(table)), table["group"] == "CAI", table["age"], table["sex"] == "M", table["smoker"] == "yes",
        table["gm_fraction"],
    ]  # fmt: skip
    return table["glu"].to_numpy(), np.column_stack(columns).astype(float)


def _t_rows(y, X, errors):
    fit, found = fit_linear(y, X), {}
    for name, weights in zip(ANCOVA, np.eye(6), strict=True):
        estimate, error = fit.combination(weights, errors)
        t, reach = estimate / error, stats.t.ppf(0.975, fit.df) * error
        found[name] = {
            "estimate": estimate, "se": error, "df": fit.df, "statistic": t, "p": 2 * stats.t.sf(abs(t), fit.df),
            "ci_low": estimate - reach, "ci_high": estimate + reach,
        }  # fmt: skip
    return found


def ancova_hc3(ref):
    y, X = ancova(ref)
    found = _t_rows(y, X, "HC3")
    covariates = dict(zip(ANCOVA[2:], X.T[2:], strict=True))
    found["groupCAI"] = fields(robust_regression(y, X[:, 1], covariates, confidence=0.95)) | {"n": len(y)}
    return found


def ancova_ols(ref):
    y, X = ancova(ref)
    fit = fit_linear(y, X)
    return {
        name: row | {"rse": fit.residual_sd, "R2": fit.r_squared} for name, row in _t_rows(y, X, "classical").items()
    }


def type_two(ref):
    y, X = ancova(ref)
    found = {}
    for number, name in enumerate(("group", "age", "sex", "smoker", "gm_fraction"), start=1):
        test = term_test(y, X, [number])
        found[name] = {
            "df": test.den_df, "statistic": test.statistic, "p": test.p, "num_df": test.num_df,
            "ss": test.sum_of_squares, "partial_eta2": test.partial_eta2,
        }  # fmt: skip
    return found


def other_errors(ref):
    fit = fit_linear(*ancova(ref))
    rows = {kind: fit.combination(np.eye(6)[1], kind) for kind in ("HC0", "HC1", "HC2")}
    return {f"groupCAI {kind}": {"estimate": b, "se": error, "df": fit.df} for kind, (b, error) in rows.items()}


def adjusted_means(ref, balanced):
    y, X = ancova(ref)
    fit, found = fit_linear(y, X), {}
    for name, level in (("HC", 0.0), ("CAI", 1.0)):
        estimate, error = fit.combination(adjusted_weights(X, {1: level}, balanced), "HC3")
        reach = stats.t.ppf(0.975, fit.df) * error
        found[name] = {
            "estimate": estimate, "se": error, "df": fit.df, "ci_low": estimate - reach, "ci_high": estimate + reach,
        }  # fmt: skip
    return found


def crossover(ref, part):
    table = at(ref.usable, group="CAI", task="neutral")
    wide = table.pivot_table(index=["participant_id", "sequence"], columns="session", values="glu").dropna()
    began = wide.index.get_level_values("sequence") == "NAC-placebo"
    tests = crossover_tests(wide[1].to_numpy(), wide[2].to_numpy(), np.asarray(began))
    terms = {
        "treatment": "NAC-placebo", "period": "period1-period2",
        "carry_over": "NAC-placebo minus placebo-NAC sequence",
    }  # fmt: skip
    return {terms[part]: fields(getattr(tests, part))}


def _association(ref, name):
    if name == "dglu_dvas":
        by = {"index": "participant_id", "columns": "task"}
        changes = [
            at(table, drug="placebo", group="CAI").pivot_table(values=value, **by).dropna()
            for table, value in ((ref.usable, "glu"), (ref.rated, "vas"))
        ]
        table = pd.DataFrame({i: change["cue"] - change["neutral"] for i, change in enumerate(changes)}).dropna()
        ages = ref.participants.set_index("participant_id")["age"].reindex(table.index)
        return np.round(table[0], 9).to_numpy(), table[1].to_numpy(), ages.to_numpy()
    table = at(neutral_placebo(ref), group="CAI").dropna(subset=[name.removeprefix("glu_")])
    return table["glu"].to_numpy(), table[name.removeprefix("glu_")].to_numpy(), table["age"].to_numpy()


def _correlation(result):
    return {
        "estimate": result.estimate, "df": result.df, "statistic": result.statistic, "p": result.p,
        "ci_low": result.ci_low, "ci_high": result.ci_high, "n": result.n,
    }  # fmt: skip


def rank_correlation(ref, name):
    x, y, _ = _association(ref, name)
    found = _correlation(spearman(x, y))
    for kind in ("fisher", "fieller"):
        other = spearman(x, y, error=kind)
        found |= {f"ci_{kind}_low": other.ci_low, f"ci_{kind}_high": other.ci_high}
    return {"rho; p by t(n-2); CI Fisher z with Bonett-Wright SE": found}


def partial_rank_correlation(ref, name):
    x, y, age = _association(ref, name)
    known = np.isfinite(age)
    found = _correlation(partial_spearman(x[known], y[known], age[known]))
    return {"partial rho (ranks), p by t(n-3), CI Fisher z SE 1/sqrt(n-4)": found}


COMPUTE = {
    "H1a.ancova_hc3": ancova_hc3,
    "H1a.ancova_ols": ancova_ols,
    "H1a.anova_type2": type_two,
    "H1a.ancova_hc_other": other_errors,
    "H1a.adjmean_samplemeans": partial(adjusted_means, balanced=()),
    "H1a.adjmean_emmeans": partial(adjusted_means, balanced=([3], [4])),
    "XO_CAI_neutral.treatment": partial(crossover, part="treatment"),
    "XO_CAI_neutral.period": partial(crossover, part="period"),
    "XO_CAI_neutral.carryover": partial(crossover, part="carry_over"),
    "S2.glu_g_per_week.pearson": lambda ref: {"r": _correlation(pearson(*_association(ref, "glu_g_per_week")[:2]))},
}
for _name in ("glu_g_per_week", "glu_vas", "dglu_dvas"):
    COMPUTE[f"S2.{_name}.spearman"] = partial(rank_correlation, name=_name)
    COMPUTE[f"S2.{_name}.spearman_partial_age"] = partial(partial_rank_correlation, name=_name)
