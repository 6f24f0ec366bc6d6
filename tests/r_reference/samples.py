"""Analyses of one value for each participant: two samples, pairs, ranks, counts."""

import math
from functools import partial

import numpy as np
from scipy import stats

from mrspipe.stats.adjustment import benjamini_hochberg, bonferroni, hochberg, holm
from mrspipe.stats.association import leave_one_out, pearson
from mrspipe.stats.counts import chi2_test, exact_test, fisher_test
from mrspipe.stats.effects import cohen_dz, equivalence_p, hedges_correction, hedges_g, jzs_bf01, pooled_t
from mrspipe.stats.models import mean_level, paired_test, student_test, welch_test
from mrspipe.stats.ranks import rank_sum_test, signed_rank_test
from mrspipe.stats.resampling import permutation_drawn, permutation_exact, sign_flip_exact
from r_reference.tables import at, groups, pairs

SCALE = 0.5**0.5
LEVEL = {"confidence": 0.95}


def fields(result):
    """Numbers of a test result, by R's names."""
    return {
        "estimate": result.estimate, "se": result.standard_error, "df": result.df, "statistic": result.statistic,
        "p": result.p, "ci_low": result.ci_low, "ci_high": result.ci_high,
    }  # fmt: skip


# Two samples -----------------------------------------------------------------------------------------------------


def neutral_placebo(ref):
    return at(ref.usable, drug="placebo", task="neutral")


def mean_of_neutral(ref, both):
    table = at(ref.usable, task="neutral").groupby(["participant_id", "group"])["glu"].agg(["mean", "size"])
    table = table[table["size"] == 2] if both else table
    return groups(table.reset_index(), "mean")


TWO_SAMPLES = {
    "H1": lambda ref: groups(neutral_placebo(ref)),
    "H1cue": lambda ref: groups(at(ref.usable, drug="placebo", task="cue")),
    "H1mean_any": partial(mean_of_neutral, both=False),
    "H1mean_both": partial(mean_of_neutral, both=True),
    "H2diff": lambda ref: tuple(_change(at(ref.usable, drug="placebo", group=g), "task") for g in ("CAI", "HC")),
    "S1.H1.glx": lambda ref: groups(neutral_placebo(ref), "glx"),
    "S1.H1.tcr": lambda ref: groups(neutral_placebo(ref), "tcr"),
    "S1.H1.ratio": lambda ref: groups(neutral_placebo(ref), "ratio"),
    "S3.age": lambda ref: groups(ref.participants.dropna(subset=["age"]), "age"),
    "M0vas": lambda ref: groups(at(ref.rated, drug="placebo", task="neutral"), "vas"),
}


def _change(table, by, value="glu"):
    reference, other = pairs(table, by, value)
    return other - reference


def welch(first, second):
    result = welch_test(first, second, jzs_scale=SCALE, **LEVEL)
    more = {
        "n_cai": len(first), "n_hc": len(second), "mean_cai": first.mean(), "mean_hc": second.mean(),
        "sd_cai": first.std(ddof=1), "sd_hc": second.std(ddof=1),
    }  # fmt: skip
    return {"CAI-HC": fields(result) | more}


def eta2(first, second):
    result = welch_test(first, second, jzs_scale=SCALE, **LEVEL)
    t2 = result.statistic**2
    return {"t^2/(t^2+df)": {"estimate": t2 / (t2 + result.df)}}


def hedges(first, second):
    effect, df = hedges_g(first, second, 0.95), len(first) + len(second) - 2
    J = hedges_correction(df)
    shared = {"df": df, "statistic": pooled_t(first, second)}
    corrected = {"estimate": effect.value, "ci_low": effect.ci_low, "ci_high": effect.ci_high}
    return shared, corrected, J, effect.sd


def hedges_row(first, second):
    shared, corrected, J, _ = hedges(first, second)
    limits = {f"{name}_uncorrected": corrected[name] / J for name in ("ci_low", "ci_high")}
    return {"g=J(df)*d, exact gamma J; CI=J*noncentral-t CI of d": shared | corrected | {"J": J} | limits}


def cohen_row(first, second):
    shared, corrected, J, sd = hedges(first, second)
    return {"d=(m1-m2)/s_pooled": shared | {k: v / J for k, v in corrected.items()} | {"s_pooled": sd}}


def jzs_two(first, second):
    n_1, n_2 = len(first), len(second)
    return _jzs(
        pooled_t(first, second), n_1 * n_2 / (n_1 + n_2), n_1 + n_2 - 2, "two-sample, Cauchy r=sqrt(2)/2, pooled t"
    )


def _jzs(t, n, df, words):
    bf01 = jzs_bf01(t, n, df, SCALE)
    return {
        f"BF10 {words}": {
            "estimate": 1 / bf01, "df": df, "statistic": t, "BF01": bf01, "log_BF10": -math.log(bf01),
        }
    }  # fmt: skip


def mann_whitney(ref, name):
    first, second = TWO_SAMPLES[name](ref)
    result = rank_sum_test(first, second, **LEVEL)
    found = {
        "statistic": result.statistic, "p": result.p, "p_normal_nocc": result.p_uncorrected,
        "rank_biserial": result.rank_biserial,
    }  # fmt: skip
    if name == "M0vas":
        return {"U(CAI), normal approx., tie-corrected, continuity correction": found}
    assert result.is_exact
    shift = {"estimate": result.estimate, "ci_low": result.ci_low, "ci_high": result.ci_high}
    return {"Mann-Whitney U(CAI), exact": found | shift | {"p_normal_cc": result.p_normal}}


def leave_one_out_p(ref):
    table = neutral_placebo(ref).reset_index(drop=True)
    p = leave_one_out(len(table), lambda kept: welch_test(*groups(table.loc[kept]), jzs_scale=SCALE, **LEVEL).p)
    return {"p min/max": {"ci_low": p.values[p.lowest], "ci_high": p.values[p.highest]}}


def permutations(ref):
    first, second = TWO_SAMPLES["H1"](ref)
    exact = permutation_exact(first, second)
    found = {"estimate": exact.statistic, "statistic": exact.statistic}
    return {"exact": found | {"p": exact.p, "arrangements": exact.n_arrangements}}


def drawn_permutations(ref, statistic):
    first, second = TWO_SAMPLES["H1"](ref)
    return permutation_drawn(first, second, np.random.default_rng(1), n_draws=100_000, statistic=statistic)


# Pairs -----------------------------------------------------------------------------------------------------------


def _mean_of_tasks(ref):
    table = at(ref.usable, group="CAI").groupby(["participant_id", "drug"])["glu"].agg(["mean", "size"]).reset_index()
    return pairs(table[table["size"] == 2], "drug", "mean")


PAIRS = {
    "H2": lambda ref: pairs(at(ref.usable, drug="placebo", group="CAI"), "task"),
    "H2hc": lambda ref: pairs(at(ref.usable, drug="placebo", group="HC"), "task"),
    "NAC_neutral_CAI": lambda ref: pairs(at(ref.usable, task="neutral", group="CAI"), "drug"),
    "NAC_neutral_HC": lambda ref: pairs(at(ref.usable, task="neutral", group="HC"), "drug"),
    "NAC_mean_CAI": _mean_of_tasks,
    "M1vas": lambda ref: pairs(at(ref.rated, drug="placebo", group="CAI"), "task", "vas"),
}


def paired(reference, other):
    result = paired_test(other - reference, jzs_scale=SCALE, **LEVEL)
    more = {
        "n": len(other), "sd_diff": (other - reference).std(ddof=1), "mean_ref": reference.mean(),
        "mean_other": other.mean(), "r": pearson(reference, other).estimate,
    }  # fmt: skip
    return fields(result) | more


def dz(reference, other):
    effect, n = cohen_dz(other - reference, 0.95), len(other)
    J = hedges_correction(n - 1)
    return {
        "dz=mean(diff)/sd(diff); noncentral-t CI": {
            "estimate": effect.value, "df": n - 1, "statistic": effect.value * math.sqrt(n), "J": J,
            "ci_low": effect.ci_low, "ci_high": effect.ci_high, "gz": J * effect.value,
            "gz_low": J * effect.ci_low, "gz_high": J * effect.ci_high,
        }
    }  # fmt: skip


def jzs_paired(reference, other):
    t, n = paired(reference, other)["statistic"], len(other)
    return _jzs(t, n, n - 1, "one-sample on differences, Cauchy r=sqrt(2)/2")


def wilcoxon(reference, other):
    # Ratings: differences of whole numbers. The others have four decimals, and rounding must not break ties.
    result = signed_rank_test(np.round(other - reference, 9), **LEVEL)
    total = result.n * (result.n + 1) / 2
    found = {
        "statistic": result.statistic, "p": result.p, "n_nonzero": result.n, "w_plus": result.statistic,
        "w_minus": total - result.statistic, "p_normal_cc": result.p_normal, "p_normal_nocc": result.p_uncorrected,
        "rank_biserial": result.rank_biserial, "estimate": result.estimate, "ci_low": result.ci_low,
        "ci_high": result.ci_high,
    }  # fmt: skip
    if result.is_exact:
        return {"signed rank V=W+, exact": found}
    return {"signed rank V=W+, zeros dropped, ties: normal approx. with continuity correction": found}


def sign_flip(ref):
    reference, other = PAIRS["H2"](ref)
    result = sign_flip_exact(other - reference)
    number = {"estimate": result.statistic, "statistic": result.statistic}
    return number | {"p": result.p, "arrangements": result.n_arrangements}


def equivalence(estimate, error, df):
    """Both bounds, from an estimate with its error."""
    found = {}
    reach = stats.t.ppf(0.95, df) * error
    for bound in (0.7, 1.0):
        lower, upper = (estimate + bound) / error, (estimate - bound) / error
        p = equivalence_p(estimate, error, df, bound)
        found[f"bounds +-{bound:.1f} mM"] = {
            "estimate": estimate, "se": error, "df": df, "p": p, "ci_low": estimate - reach,
            "ci_high": estimate + reach, "t_lower": lower, "t_upper": upper,
            "statistic": lower if stats.t.sf(lower, df) > stats.t.cdf(upper, df) else upper,
        }  # fmt: skip
    return found


def paired_equivalence(reference, other):
    result = paired_test(other - reference, jzs_scale=SCALE, **LEVEL)
    return equivalence(result.estimate, result.standard_error, result.df)


# Counts --------------------------------------------------------------------------------------------------------------


def table_of(rows, columns, order):
    return [[int(((rows == row) & (columns == column)).sum()) for column in order] for row in ("CAI", "HC")]


def counts(ref, name):
    people, scans = ref.participants, ref.data
    if name in {"sex", "smoker"}:
        levels = {"sex": ("F", "M"), "smoker": ("no", "yes")}[name]
        return table_of(people["group"], people[name], levels)
    if name == "qcfail":
        return table_of(scans["group"], scans["qc"], ("fail", "pass"))
    there = {"missing": scans, "lost": ref.usable}[name]
    planned = [4 * int((people["group"] == level).sum()) for level in ("CAI", "HC")]
    kept = [int((there["group"] == level).sum()) for level in ("CAI", "HC")]
    return [[n - k, k] for n, k in zip(planned, kept, strict=True)]


def fisher(ref, name, term):
    table = counts(ref, name)
    test, chi2, yates = fisher_test(table), chi2_test(table), chi2_test(table, yates=True)
    return {
        term: {
            "estimate": test.odds_ratio, "p": test.p, "ci_low": test.ci_low, "ci_high": test.ci_high,
            "or_sample": test.sample_odds_ratio, "chi2": chi2.statistic, "p_chi2": chi2.p,
            "chi2_yates": yates.statistic, "p_chi2_yates": yates.p,
        }
    }  # fmt: skip


def fisher_of_cells(ref):
    scans = ref.data
    cells = scans["group"] + scans["task"]
    table = [
        [int(((cells == cell) & (scans["qc"] == qc)).sum()) for qc in ("fail", "pass")] for cell in sorted(set(cells))
    ]
    return {"exact p": {"p": exact_test(table).p}}


# The rest --------------------------------------------------------------------------------------------------------


def cells(ref, value):
    table, found = {"glu": ref.usable, "vas": ref.usable.dropna(subset=["vas"])}[value], {}
    for (group, drug, task), part in table.groupby(["group", "drug", "task"]):
        level = mean_level(part[value].to_numpy(dtype=float), **LEVEL)
        more = {"n": len(part), "sd": level.standard_error * math.sqrt(len(part)), "median": part[value].median()}
        found[f"{group}/{drug}/{task}"] = {
            "estimate": level.estimate, "se": level.standard_error, "df": level.df,
        } | more  # fmt: skip
    return found


def adjusted_p(ref, name):
    given = ref.rows(name)
    p = np.array([row["p"] for row in given.values()])
    adjusted = {"holm": holm(p), "BH": benjamini_hochberg(p), "bonferroni": bonferroni(p), "hochberg": hochberg(p)}
    return {
        term: {"p": p[i], **{method: values[i] for method, values in adjusted.items()}} for i, term in enumerate(given)
    }


def _of_two(name, compute, ref):
    return compute(*TWO_SAMPLES[name](ref))


def _of_pairs(name, compute, ref):
    return compute(*PAIRS[name](ref))


def _named(term, name, compute, ref):
    return {term: _of_pairs(name, compute, ref)}


def _computations():
    found = {}
    for name in ("H1", "H1cue", "H1mean_any", "H1mean_both"):
        found |= {
            f"{name}.welch": partial(_of_two, name, welch),
            f"{name}.student": partial(_of_two, name, lambda a, b: {"CAI-HC": fields(student_test(a, b, **LEVEL))}),
            f"{name}.eta2p_welch": partial(_of_two, name, eta2),
            f"{name}.hedges_g": partial(_of_two, name, hedges_row),
            f"{name}.cohen_d_pooled": partial(_of_two, name, cohen_row),
            f"{name}.jzs": partial(_of_two, name, jzs_two),
            f"{name}.mwu": partial(mann_whitney, name=name),
        }
    for name in ("H2diff", "S1.H1.glx", "S1.H1.tcr", "S1.H1.ratio", "S3.age"):
        found[f"{name}.welch" if name[:2] != "S1" else name] = partial(_of_two, name, welch)
    for name in PAIRS:
        term = "NAC-placebo" if name.startswith("NAC") else "cue-neutral"
        found |= {
            f"{name}.paired_t": partial(_named, term, name, paired),
            f"{name}.dz": partial(_of_pairs, name, dz),
            f"{name}.jzs": partial(_of_pairs, name, jzs_paired),
            f"{name}.wilcoxon": partial(_of_pairs, name, wilcoxon),
        }
        if name.startswith("NAC"):
            found[f"{name}.tost"] = partial(_of_pairs, name, paired_equivalence)
    return found


COMPUTE = _computations() | {
    "M0vas.mwu": partial(mann_whitney, name="M0vas"),
    "H1.loo": leave_one_out_p,
    "H1.perm": permutations,
    "H2.signflip": lambda ref: {"exact sign-flip, statistic = mean difference, two-sided": sign_flip(ref)},
    "S3.sex.fisher": partial(fisher, name="sex", term="odds of F CAI/HC"),
    "S3.smoker.fisher": partial(fisher, name="smoker", term="odds of non-smoker CAI/HC"),
    "Q2.qcfail.fisher": partial(fisher, name="qcfail", term="odds of fail CAI/HC"),
    "Q2.missing.fisher": partial(fisher, name="missing", term="odds of missing CAI/HC"),
    "Q2.lost.fisher": partial(fisher, name="lost", term="odds of lost CAI/HC"),
    "Q2.qcfail_4x2.fisher": fisher_of_cells,
    "cells.glu": partial(cells, value="glu"),
    "cells.vas": partial(cells, value="vas"),
    "padj.fixed": partial(adjusted_p, name="padj.fixed"),
    "padj.S1family": partial(adjusted_p, name="padj.S1family"),
}
