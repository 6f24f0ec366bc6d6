import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import expit
from scipy.stats import norm, truncnorm

from mrspipe.config import bundled
from mrspipe.synth.cohort import draw_cohort
from mrspipe.synth.covariates import ChoiceCovariate, LognormalCovariate, NormalCovariate
from mrspipe.synth.recipe import Association, Effect, Group, Level, Parallel, Recipe, load_recipe

N = 800
USE = LognormalCovariate(kind="lognormal", name="use", median=3.5, sigma_log=0.99, decimals=4)
PEOPLE_OF_PAPER = 8


def column(cohort, name, group):
    return np.array([person.covariates[name] for person in cohort.participants if person.group == group])


@pytest.fixture(scope="module")
def paper_like():
    """Eight cohorts of the paper-like recipe, as one."""
    recipe = load_recipe(bundled("synthetic_data", "paper_like"))
    return recipe, [draw_cohort(recipe, seed=seed) for seed in range(1, PEOPLE_OF_PAPER + 1)]


def test_numbers_of_participants_have_the_mean_of_their_truncated_distribution(paper_like):
    recipe, cohorts = paper_like
    for covariate in (one for one in recipe.covariates if isinstance(one, NormalCovariate) and not one.only):
        low, high = ((edge - covariate.mean) / covariate.sd for edge in (covariate.low, covariate.high))
        theory = truncnorm(low, high, covariate.mean, covariate.sd)
        for group in (one.name for one in recipe.groups if covariate.group in {"", one.name}):
            values = np.concatenate([column(cohort, covariate.name, group) for cohort in cohorts])
            # 5 standard errors; rounding to whole numbers moves a mean by far less than 0.1.
            assert values.mean() == pytest.approx(theory.mean(), abs=5 * theory.std() / np.sqrt(values.size) + 0.1)
            assert covariate.low <= values.min() <= values.max() <= covariate.high


def test_cocaine_use_has_the_mean_of_the_poster():
    recipe = Recipe(groups=(Group(n=N),), covariates=(USE,))
    values = column(draw_cohort(recipe, seed=1), "use", "HC")
    # The poster's mean of 5.71 g/week is median * exp(sigma^2 / 2); the SD is mean * sqrt(exp(sigma^2) - 1).
    sd = 5.71 * np.sqrt(np.exp(0.99**2) - 1)
    assert values.mean() == pytest.approx(5.71, abs=5 * sd / np.sqrt(N))
    assert np.log(values).std() == pytest.approx(0.99, rel=5 / np.sqrt(2 * N))


def test_only_smokers_smoke_cigarettes(paper_like):
    _, cohorts = paper_like
    for person in (person for cohort in cohorts for person in cohort.participants):
        assert (person.covariates["cigarettes_per_day"] > 0) == (person.covariates["smoker"] == "yes")


def test_a_condition_names_an_earlier_choice():
    choice = ChoiceCovariate(kind="choice", name="smoker", options={"yes": 1.0})
    number = NormalCovariate(name="cigarettes", only={"smoker": "yes"})
    assert Recipe(covariates=(choice, number))
    with pytest.raises(ValidationError, match=r"covariates\.only names smoker"):
        Recipe(covariates=(number, choice))


def test_a_covariate_goes_with_the_subjects_own_level_as_asked():
    recipe = Recipe(
        groups=(Group(n=N),),
        covariates=(USE,),
        levels={"Glu": Level(mean=11.9, subject_sd=0.95)},
        associations=(Association(covariate="use", r=-0.2),),
    )
    cohort = draw_cohort(recipe, seed=2)
    glu = np.array([scan.levels["Glu"] for scan in cohort.scans])
    found = np.corrcoef(np.log(column(cohort, "use", "HC")), glu)[0, 1]
    assert found == pytest.approx(-0.2, abs=5 * (1 - 0.04) / np.sqrt(N))


def test_by_default_cocaine_use_has_nothing_to_do_with_glutamate(paper_like):
    _, cohorts = paper_like
    pairs = [
        (person.covariates["cocaine_g_per_week"], cohort.scans[4 * number].levels["Glu"])
        for cohort in cohorts
        for number, person in enumerate(cohort.participants)
        if person.group == "CAI"
    ]
    use, glu = np.array(pairs).T
    assert np.corrcoef(np.log(use), glu)[0, 1] == pytest.approx(0.0, abs=5 / np.sqrt(use.size))


@pytest.fixture(scope="module")
def leavers():
    group = Group(n=4 * N, dropout=0.2, dropout_covariate="use", dropout_log_odds=0.8)
    recipe = Recipe(groups=(group,), covariates=(USE,), sessions=("1", "2"))
    cohort = draw_cohort(recipe, seed=3)
    left = np.array([person.n_attended == 1 for person in cohort.participants])
    return cohort, left, np.log(column(cohort, "use", "HC") / 3.5) / 0.99


def test_those_who_use_more_leave_more_often_and_as_many_as_asked(leavers):
    _, left, deviate = leavers
    assert left.mean() == pytest.approx(0.2, abs=5 * 0.4 / np.sqrt(left.size))
    # Logistic regression by hand: rates of the upper and lower half of users, integrated over the normal deviate.
    z = norm.ppf((np.arange(2000) + 0.5) / 2000)
    # The log odds at the median are found here by bisection on the mean rate.
    low, high = -10.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(middle + 0.8 * z).mean() < 0.2 else (low, middle)
    rates = expit(low + 0.8 * z)
    for half, theory in ((deviate > 0, rates[z > 0].mean()), (deviate < 0, rates[z < 0].mean())):
        assert left[half].mean() == pytest.approx(theory, abs=5 * 0.45 / np.sqrt(half.sum()))


def test_who_leaves_does_not_depend_on_glutamate_given_the_use(leavers):
    cohort, left, deviate = leavers
    first = np.array([scan.levels["Glu"] for scan in cohort.scans if scan.key.ses == "1"])
    heavy = deviate > 0
    difference = first[heavy & left].mean() - first[heavy & ~left].mean()
    sd = np.hypot(0.95, 0.45)
    assert difference == pytest.approx(0, abs=5 * sd * np.sqrt(1 / (heavy & left).sum() + 1 / (heavy & ~left).sum()))


def test_who_left_has_one_visit_and_no_second_scan(leavers):
    cohort, left, _ = leavers
    assert sum(visit.period == 2 for visit in cohort.visits) == (~left).sum()
    gone = {scan.key.sub for scan in cohort.scans if scan.lost == "dropped out"}
    assert gone == {person.label for person, one in zip(cohort.participants, left, strict=True) if one}


ARMS = Recipe(
    groups=(Group(name="MDD", n=N + 1), Group(name="HC", n=20)),
    sessions=("pre", "post"),
    parallel=Parallel(arms=("placebo", "riluzole"), groups=("MDD",)),
    levels={"Glu": Level(mean=11.0, subject_sd=0.8, session_sd=0.3)},
    effects=(Effect(arm="riluzole", session="post", shift=-0.8, subject_sd=0.4),),
)


def test_arms_are_balanced_in_their_groups_and_absent_in_others():
    cohort = draw_cohort(ARMS, seed=4)
    arms = [person.arm for person in cohort.participants]
    assert (arms.count("placebo"), arms.count("riluzole")) == (N // 2 + 1, N // 2)
    assert set(arms[N + 1 :]) == {""}
    other = [person.arm for person in draw_cohort(ARMS, seed=5).participants]
    assert other != arms


def test_an_effect_of_an_arm_and_session_moves_that_arm_alone():
    cohort = draw_cohort(ARMS, seed=4)
    glu = {(scan.key.sub, scan.key.ses): scan.levels["Glu"] for scan in cohort.scans}
    for arm, shift, response_sd in (("placebo", 0.0, 0.0), ("riluzole", -0.8, 0.4)):
        subjects = [person.label for person in cohort.participants if person.arm == arm]
        change = np.array([glu[sub, "post"] - glu[sub, "pre"] for sub in subjects])
        sd = np.sqrt(2 * 0.3**2 + response_sd**2)
        assert change.mean() == pytest.approx(shift, abs=5 * sd / np.sqrt(change.size))
        assert change.std(ddof=1) == pytest.approx(sd, rel=5 / np.sqrt(2 * change.size))


@pytest.mark.parametrize(
    "wrong",
    [
        {"effects": (Effect(arm="riluzole"),)},
        {"parallel": {"arms": ("a", "b"), "groups": ("XX",)}},
        {"groups": (Group(dropout_covariate="age"),)},
        {"associations": ({"covariate": "age", "r": 0.2},)},
        {"associations": ({"covariate": "use", "r": 0.2}, {"covariate": "use", "r": 0.1}), "covariates": (USE,)},
    ],
    ids=["no-arms", "group", "dropout", "normal", "twice"],
)
def test_what_names_nothing_is_refused(wrong):
    with pytest.raises(ValidationError):
        Recipe(**wrong)
