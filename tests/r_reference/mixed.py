"""Analyses by mixed models."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from mrspipe.stats.adjustment import holm
from mrspipe.stats.mixed import fit_maximum_likelihood
from mrspipe.stats.mixed_tests import likelihood_ratio, profile_interval, wald_z
from mrspipe.stats.models import mixed_model
from mrspipe.stats.ranks import aligned_ranks
from r_reference.samples import equivalence, fields
from r_reference.tables import at, column, r_name

TWO_WAY = ("1", "group", "task", "group:task")
THREE_WAY = ("1", "group", "task", "drug", "group:task", "group:drug", "task:drug", "group:task:drug")
PATIENTS = ("1", "task", "drug", "task:drug")
METHODS = {"kr": "kenward-roger", "satt": "satterthwaite"}
LEVEL = {"confidence": 0.95}


@dataclass(frozen=True)
class Model:
    """Fixed effects, number of random intercepts (participants, visits), rows, outcome."""

    terms: tuple[str, ...]
    n_random: int
    rows: object
    outcome: str = "glu"


def _placebo(ref):
    return at(ref.usable, drug="placebo")


def _patients(ref):
    return at(ref.usable, group="CAI")


MODELS = {
    "H2lmm": Model(("1", "task"), 1, lambda ref: at(_placebo(ref), group="CAI")),
    "H2a": Model(TWO_WAY, 1, _placebo),
    "S1.H2a.glx": Model(TWO_WAY, 1, _placebo, "glx"),
    "S1.H2a.tcr": Model(TWO_WAY, 1, _placebo, "tcr"),
    "S1.H2a.ratio": Model(TWO_WAY, 1, _placebo, "ratio"),
    "H3": Model((*THREE_WAY, "period"), 2, lambda ref: ref.usable),
    "H3carry": Model((*THREE_WAY, "period", "sequence"), 2, lambda ref: ref.usable),
    "H3carry.drugxperiod": Model((*THREE_WAY, "period", "drug:period"), 2, lambda ref: ref.usable),
    "H3cai": Model((*PATIENTS, "period"), 2, _patients),
    "H3cai_carry": Model((*PATIENTS, "period", "sequence"), 2, _patients),
    "H3cai_noses": Model((*PATIENTS, "period"), 1, _patients),
    "M1": Model((*PATIENTS, "period"), 1, lambda ref: at(ref.rated, group="CAI"), "vas"),
    "ICC.neutral": Model(("1",), 1, lambda ref: at(ref.usable, task="neutral")),
    "Q1.snr": Model(THREE_WAY, 1, lambda ref: ref.usable, "snr"),
    "Q1.fwhm_hz": Model(THREE_WAY, 1, lambda ref: ref.usable, "fwhm_hz"),
    "Q1.gm_fraction": Model(THREE_WAY, 1, lambda ref: ref.usable, "gm_fraction"),
}


def inputs(ref, name, coding="half"):
    model = MODELS[name]
    table = model.rows(ref)
    columns = {term: column(table, term, coding) for term in model.terms}
    visits = table["participant_id"] + "/" + table["session"].astype(str)
    groupings = {"id": list(table["participant_id"]), "id:session": list(visits)}
    return table[model.outcome].to_numpy(dtype=float), columns, dict(list(groupings.items())[: model.n_random])


def fitted(ref, name, coding="half"):
    key = (name, coding)
    if key not in ref.cache:
        ref.cache[key] = mixed_model(*inputs(ref, name, coding))
        # The library leaves out no random effect here: the model is that of R.
        assert len(ref.cache[key].random) == MODELS[name].n_random
    return ref.cache[key]


def coefficients(ref, name, method, coding):
    model = fitted(ref, name, coding)
    rows = zip(model.columns, np.eye(len(model.columns)), strict=True)
    return {
        r_name(term, coding): fields(model.combination(unit, method=METHODS[method], **LEVEL)) for term, unit in rows
    }


def one_coefficient(ref, name, method, term, r_term):
    model = fitted(ref, name)
    unit = np.array([float(one == term) for one in model.columns])
    return {r_term: fields(model.combination(unit, method=METHODS[method], **LEVEL))}


def interaction(ref, name):
    # A coefficient of the highest interaction is the same in both codings.
    return one_coefficient(ref, name, "kr", "group:task", "groupCAI:taskcue")


def _f(test):
    return {
        "df": test.den_df, "statistic": test.statistic, "p": test.p, "num_df": test.num_df,
        "partial_eta2": test.partial_eta2,
    }  # fmt: skip


def type_three(ref, name, method):
    model = fitted(ref, name)
    return {term: _f(model.joint([term], method=METHODS[method])) for term in model.columns if term != "1"}


JOINT = {
    "H2a": {"joint: group and group:task = 0": ("group", "group:task")},
    "H3": {
        "joint: all 4 drug terms = 0": ("drug", "group:drug", "task:drug", "group:task:drug"),
        "joint: all 4 group terms = 0": ("group", "group:task", "group:drug", "group:task:drug"),
        "joint: all 3 drug interactions = 0": ("group:drug", "task:drug", "group:task:drug"),
    },
}


def joint(ref, name, method):
    # Satterthwaite's df depend on the coding; R's model had the treatment coding.
    model, found = fitted(ref, name, "half" if method == "kr" else "treatment"), {}
    for words, terms in JOINT[name].items():
        test = model.joint(terms, method=METHODS[method])
        found[words] = _f(test) | {"F_scaling": test.scaling, "F_unscaled": test.unscaled}
    return found


def components(ref, name):
    return _components(fitted(ref, name))


def _components(model):
    shares = model.fit.shares
    return {
        f"var({label})": {"estimate": v, "sd": v**0.5, "share_of_total": share}
        for label, v, share in zip((*model.random, "Residual"), model.fit.variances, shares, strict=True)
    }


def likelihood(ref, name):
    # The restricted likelihood depends on the coding; R's is that of the treatment coding, but for H3carry's models.
    model, (y, columns, _) = fitted(ref, name, "treatment"), inputs(ref, name)
    value = model.fit.log_likelihood
    more = {"minus2ll": -2 * value, "n_obs": len(y), "n_par": len(columns) + len(model.fit.variances)}
    return {"logLik_REML": {"estimate": value} | more}


def icc_h3(ref):
    participant, visit, _ = fitted(ref, "H3").fit.shares
    return {"same session": {"estimate": participant + visit}, "between sessions": {"estimate": participant}}


def icc(ref, name, term):
    model = fitted(ref, name)
    participant, residual = model.fit.variances
    return {term: {"estimate": model.fit.shares[0], "var_id": participant, "var_resid": residual}}


def normal_tests(ref, name):
    model, found = fitted(ref, name, "treatment"), {}
    for term, unit in zip(model.columns, np.eye(len(model.columns)), strict=True):
        names = ("estimate", "se", "statistic", "p")
        found[r_name(term, "treatment")] = dict(zip(names, wald_z(model.fit, unit), strict=True))
    return found


CODE = {"CAI": 0.5, "HC": -0.5, "cue": 0.5, "neutral": -0.5, "NAC": 0.5, "placebo": -0.5}


def means_of_cells(ref, name):
    model, found = fitted(ref, name), {}
    for group in ("HC", "CAI"):
        for drug in ("placebo", "NAC") if name == "H3" else (None,):
            for task in ("neutral", "cue"):
                levels = {"group": CODE[group], "task": CODE[task]} | ({"drug": CODE[drug]} if drug else {})
                label = "/".join(filter(None, (group, drug, task)))
                found[label] = fields(model.cell_mean(levels, **LEVEL))
    return found


def two_way_simple(ref):
    model = fitted(ref, "H2a")
    results = {
        "cue-neutral|CAI": model.simple_effect("task", {"group": 0.5}, **LEVEL),
        "cue-neutral|HC": model.simple_effect("task", {"group": -0.5}, **LEVEL),
        "CAI-HC|cue": model.simple_effect("group", {"task": 0.5}, **LEVEL),
        "CAI-HC|neutral": model.simple_effect("group", {"task": -0.5}, **LEVEL),
        "group:task": model.test("group:task", **LEVEL),
    }
    found = {name: fields(result) for name, result in results.items()}
    for size in (3, 4):
        adjusted = holm(np.array([result.p for result in list(results.values())[:size]]))
        for name, p in zip(results, adjusted, strict=False):
            found[name][f"p_holm_family{size}"] = p
    return found


def three_way_simple(ref):
    model, found = fitted(ref, "H3"), {}
    for group in ("CAI", "HC"):
        for task in ("neutral", "cue"):
            held = {"group": CODE[group], "task": CODE[task]}
            found[f"NAC-placebo|{group},{task}"] = model.simple_effect("drug", held, **LEVEL)
        found[f"NAC-placebo|{group}, mean of tasks"] = model.simple_effect("drug", {"group": CODE[group]}, **LEVEL)
        for drug in ("placebo", "NAC"):
            held = {"group": CODE[group], "drug": CODE[drug]}
            found[f"cue-neutral|{group},{drug}"] = model.simple_effect("task", held, **LEVEL)
    for task in ("neutral", "cue"):
        for drug in ("placebo", "NAC"):
            held = {"task": CODE[task], "drug": CODE[drug]}
            found[f"CAI-HC|{task},{drug}"] = model.simple_effect("group", held, **LEVEL)
    return {name: fields(result) for name, result in found.items()}


def model_equivalence(ref, name, held):
    result = fitted(ref, name).simple_effect("drug", held, **LEVEL)
    return equivalence(result.estimate, result.standard_error, result.df)


def by_maximum_likelihood(ref, terms):
    y, columns, groupings = inputs(ref, "H2a", "treatment")
    X = np.column_stack([columns[term] for term in terms])
    return y, X, list(groupings.values())


def ml_components(ref):
    participant, residual = fit_maximum_likelihood(*by_maximum_likelihood(ref, TWO_WAY)).variances
    total = participant + residual
    return {
        f"var({name})": {"estimate": v, "sd": v**0.5, "share_of_total": v / total}
        for name, v in (("id", participant), ("Residual", residual))
    }


def ml_likelihood(ref):
    value = fit_maximum_likelihood(*by_maximum_likelihood(ref, TWO_WAY)).log_likelihood
    return {"logLik_ML": {"estimate": value, "minus2ll": -2 * value}}


def likelihood_ratios(ref):
    large, found = fit_maximum_likelihood(*by_maximum_likelihood(ref, TWO_WAY)), {}
    for words, terms in (
        ("drop group and group:task", ("1", "task")),
        ("drop group:task", ("1", "group", "task")),
    ):
        small = fit_maximum_likelihood(*by_maximum_likelihood(ref, terms))
        test = likelihood_ratio(small, large)
        found[words] = {
            "df": test.df, "statistic": test.statistic, "p": test.p, "dev_small": -2 * small.log_likelihood,
            "dev_large": -2 * large.log_likelihood,
        }  # fmt: skip
    return found


def profiles(ref):
    y, X, groupings = by_maximum_likelihood(ref, TWO_WAY)
    fit, found = fit_maximum_likelihood(y, X, groupings), {}
    for words, number in (("groupCAI (treatment coding)", 1), ("groupCAI:taskcue", 3)):
        low, high = profile_interval(y, X, groupings, number, 0.95)
        found[words] = {
            "estimate": fit.coefficients[number], "se": fit.covariance[number, number] ** 0.5,
            "ci_low": low, "ci_high": high,
        }  # fmt: skip
    return found


def aligned(ref):
    table = at(ref.rated, drug="placebo")
    ranks = aligned_ranks(table["vas"].to_numpy(), table["group"].to_numpy(), table["task"].to_numpy())
    columns = {term: column(table, term, "half") for term in TWO_WAY}
    names, found = {"first": "group", "second": "task", "interaction": "group:task"}, {}
    for effect, values in ranks.items():
        test = mixed_model(values, columns, {"id": list(table["participant_id"])}).joint([names[effect]])
        found[names[effect]] = {"df": test.den_df, "statistic": test.statistic, "p": test.p, "num_df": test.num_df}
    return found


def balanced_analysis(ref):
    """Lines of the analysis of variance that do not depend on the order of the terms."""
    model, found = fitted(ref, "H3"), {}
    for term, stratum in (
        ("group", "id"), ("period", "id:session"), ("group:drug", "id:session"), ("group:task", "Within"),
        ("group:task:drug", "Within"),
    ):  # fmt: skip
        test = model.joint([term])
        found[f"{term} [Error: {stratum}]"] = {"df": test.den_df, "statistic": test.statistic, "p": test.p}
    return found


def _computations():
    found = {}
    codings = {
        "H2lmm": ("treatment",), "H2a": ("treatment", "sum", "half"), "H3": ("treatment", "sum", "half"),
        "H3carry": ("treatment",), "H3cai": ("treatment", "half"), "H3cai_carry": ("treatment",),
        "H3cai_noses": ("treatment",), "M1": ("treatment",),
    }  # fmt: skip
    for name, kinds in codings.items():
        for method in METHODS:
            for coding in kinds:
                found[f"{name}.{method}.{coding}"] = partial(coefficients, name=name, method=method, coding=coding)
    for name in ("H2a", "H3", "H3cai", "M1"):
        for method in METHODS:
            found[f"{name}.F3.{method}"] = partial(type_three, name=name, method=method)
    for name in ("H2a", "H3"):
        found[f"{name}.KRF"] = partial(joint, name=name, method="kr")
        found[f"{name}.SATF"] = partial(joint, name=name, method="satt")
        found[f"{name}.emmeans"] = partial(means_of_cells, name=name)
        found[f"{name}.wald_z"] = partial(normal_tests, name=name)
    for name in ("snr", "fwhm_hz", "gm_fraction"):
        found[f"Q1.{name}.F3.kr"] = partial(type_three, name=f"Q1.{name}", method="kr")
    for name in ("H2lmm", "H2a", "H3", "H3carry", "H3cai", "H3cai_noses", "M1", "ICC.neutral", "Q1.snr", "Q1.fwhm_hz",
                 "Q1.gm_fraction"):  # fmt: skip
        found[f"{name}.varcomp"] = partial(components, name=name)
        found[f"{name}.fit"] = partial(likelihood, name=name)
    for name in ("glx", "tcr", "ratio"):
        found[f"S1.H2a.{name}"] = partial(interaction, name=f"S1.H2a.{name}")
    for method in METHODS:
        found[f"H3carry.drugxperiod.{method}"] = partial(
            one_coefficient, name="H3carry.drugxperiod", method=method, term="drug:period", r_term="drug:period"
        )
    return found


COMPUTE = _computations() | {
    "H2a.simple_kr": two_way_simple,
    "H3.simple_kr": three_way_simple,
    "H3_NAC_CAI.tost": partial(model_equivalence, name="H3", held={"group": 0.5}),
    "H3cai.tost": partial(model_equivalence, name="H3cai", held={}),
    "H2a.ML.varcomp": ml_components,
    "H2a.ML.fit": ml_likelihood,
    "H2a.lrt": likelihood_ratios,
    "H2a.profile": profiles,
    "ICC.H3": icc_h3,
    "ICC.H2a": partial(icc, name="H2a", term="ICC adjusted"),
    "ICC.neutral": partial(icc, name="ICC.neutral", term="ICC=var(id)/(var(id)+var(resid))"),
    "M2.art_kr": aligned,
    "H3.aov": balanced_analysis,
}
