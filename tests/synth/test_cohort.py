import numpy as np
import pytest

from mrspipe.synth.acquisition import LossSettings
from mrspipe.synth.cohort import draw_cohort, with_sums
from mrspipe.synth.covariates import ChoiceCovariate, NormalCovariate
from mrspipe.synth.recipe import (
    Crossover,
    Effect,
    Group,
    Level,
    Recipe,
    Slope,
)

N = 900
CROSSOVER = {"sessions": ("1", "2"), "tasks": ("neutral", "cue"), "crossover": Crossover()}


def levels(cohort, name="Glu", **labels):
    """Concentrations of the scans with the labels given, in the order of participants."""
    return np.array(
        [
            with_sums(scan.levels)[name]
            for scan in cohort.scans
            if all(
                {"group": scan.group, "ses": scan.key.ses, "task": scan.key.task, "drug": scan.treatment}[k] == v
                for k, v in labels.items()
            )
        ]
    )


@pytest.fixture(scope="module")
def crossover():
    """Many participants with known effects."""
    recipe = Recipe(
        groups=(Group(name="CAI", n=N), Group(name="HC", n=N)),
        **CROSSOVER,
        levels={"Glu": Level(mean=12.0, subject_sd=0.9, session_sd=0.5, scan_sd=0.4)},
        effects=(
            Effect(group="CAI", shift=-1.0),
            Effect(group="CAI", task="cue", shift=0.6, subject_sd=0.3),
            Effect(treatment="nac", shift=-0.5),
        ),
    )
    return draw_cohort(recipe, seed=1)


def test_the_mean_of_the_control_condition_is_that_of_the_recipe(crossover):
    values = levels(crossover, group="HC", task="neutral", drug="placebo")
    # Four standard errors.
    assert values.mean() == pytest.approx(12.0, abs=4 * np.sqrt(0.9**2 + 0.5**2 + 0.4**2) / np.sqrt(N))


def test_the_sd_between_participants_adds_its_components(crossover):
    values = levels(crossover, group="HC", task="neutral", drug="placebo")
    expected = np.sqrt(0.9**2 + 0.5**2 + 0.4**2)
    assert values.std(ddof=1) == pytest.approx(expected, rel=4 / np.sqrt(2 * N))


def test_the_change_within_a_session_has_the_scan_and_effect_spread_alone(crossover):
    cue, neutral = (levels(crossover, group="CAI", task=task, ses="1") for task in ("cue", "neutral"))
    change = cue - neutral
    sd = np.sqrt(2 * 0.4**2 + 0.3**2)
    assert change.mean() == pytest.approx(0.6, abs=4 * sd / np.sqrt(N))
    assert change.std(ddof=1) == pytest.approx(sd, rel=4 / np.sqrt(2 * N))


def test_groups_and_treatments_differ_by_their_effects(crossover):
    def mean(**labels):
        return levels(crossover, task="neutral", **labels).mean()

    error = 4 * np.sqrt(2) * 1.1 / np.sqrt(N)
    assert mean(group="CAI", drug="placebo") - mean(group="HC", drug="placebo") == pytest.approx(-1.0, abs=error)
    assert mean(group="HC", drug="nac") - mean(group="HC", drug="placebo") == pytest.approx(-0.5, abs=error)


def test_metabolites_correlate_as_asked(crossover):
    glu, gln = (levels(crossover, name, group="HC", task="neutral", ses="1") for name in ("Glu", "Gln"))
    assert np.corrcoef(glu, gln)[0, 1] == pytest.approx(0.3, abs=4 * (1 - 0.09) / np.sqrt(N))


def test_each_treatment_comes_first_for_half_of_a_group(crossover):
    first = [visit.treatment for visit in crossover.visits if visit.period == 1]
    for half in (first[:N], first[N:]):
        assert half.count("nac") == half.count("placebo") == N / 2


def test_tissue_fractions_have_the_mean_and_sd_of_the_recipe(crossover):
    gm = np.array([person.tissue.gm for person in crossover.participants])
    # Clipping at 0.9 (1.57 SD above the mean) lowers the mean by 0.0014 and the SD by 4 %.
    assert gm.mean() == pytest.approx(0.8075, abs=0.0014 + 4 * 0.059 / np.sqrt(2 * N))
    assert gm.std() == pytest.approx(0.059, rel=0.08)


def test_quality_has_the_mean_and_correlation_of_the_recipe(crossover):
    snr, fwhm = (np.array([getattr(scan, name) for scan in crossover.scans]) for name in ("snr", "fwhm_hz"))
    n = len(snr)
    assert snr.mean() == pytest.approx(17.5, abs=4 * 3.5 / np.sqrt(n))
    # Few scans lie beyond 4.5 Hz (2.2 SD), which moves the mean by 0.005 SD.
    assert fwhm.mean() == pytest.approx(6.91, abs=0.01 + 4 * 1.1 / np.sqrt(n))
    assert np.corrcoef(snr, fwhm)[0, 1] == pytest.approx(-0.4, abs=0.03)


def test_a_slope_shows_in_the_regression_on_the_covariate():
    recipe = Recipe(
        groups=(Group(n=N),),
        levels={"Glu": Level(mean=12.0, subject_sd=0.3)},
        slopes=(Slope(covariate="age", per_unit=-0.05, reference=31.0),),
    )
    cohort = draw_cohort(recipe, seed=3)
    ages = np.array([person.covariates["age"] for person in cohort.participants])
    assert np.polyfit(ages, levels(cohort), 1)[0] == pytest.approx(-0.05, abs=4 * 0.3 / (ages.std() * np.sqrt(N)))


def test_ages_lie_in_their_range(crossover):
    ages = [person.covariates["age"] for person in crossover.participants]
    assert min(ages) >= 18
    assert max(ages) <= 50


def test_a_covariate_of_one_group_is_missing_in_the_other():
    only = NormalCovariate(name="dose", group="CAI", mean=5, sd=1, low=0, high=9)
    choice = ChoiceCovariate(kind="choice", name="sex", options={"F": 1.0})
    recipe = Recipe(groups=(Group(name="CAI", n=2), Group(name="HC", n=2)), covariates=(only, choice))
    doses = [person.covariates["dose"] for person in draw_cohort(recipe).participants]
    assert np.isnan(doses).tolist() == [False, False, True, True]


def test_lost_scans_and_dropouts_come_at_their_rates():
    recipe = Recipe(groups=(Group(n=N, dropout=0.2),), sessions=("1", "2"), losses=LossSettings(technical=0.1))
    cohort = draw_cohort(recipe, seed=5)
    reasons = [scan.lost for scan in cohort.scans]
    assert reasons.count("dropped out") / N == pytest.approx(0.2, abs=4 * 0.4 / np.sqrt(N))
    assert reasons.count("technical failure") / (1.8 * N) == pytest.approx(0.1, abs=4 * 0.3 / np.sqrt(1.8 * N))
    assert sum(visit.period == 2 for visit in cohort.visits) == N - reasons.count("dropped out")


def test_the_same_seed_gives_the_same_cohort_and_another_seed_another():
    recipe = Recipe(groups=(Group(n=3),), **CROSSOVER)
    first, again, other = (draw_cohort(recipe, seed=seed) for seed in (7, 7, 8))
    assert repr(first) == repr(again)
    assert repr(first) != repr(other)


def test_one_more_participant_changes_no_other():
    few, more = (draw_cohort(Recipe(groups=(Group(n=n),), **CROSSOVER), seed=7) for n in (3, 4))
    assert [scan.levels for scan in few.scans] == [scan.levels for scan in more.scans][: len(few.scans)]


def test_sums_are_those_of_their_members():
    assert with_sums({"Glu": 10.0, "Gln": 4.0})["Glx"] == 14.0
