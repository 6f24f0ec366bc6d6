import numpy as np
import pytest

from mrspipe.core.errors import ConfigError
from mrspipe.synth.cohort import draw_cohort
from mrspipe.synth.covariates import RatingCell, RatingResponse, Ratings
from mrspipe.synth.recipe import Crossover, Effect, Group, Level, Recipe

N = 1200
CELLS = (
    RatingCell(group="CAI", task="neutral", mean=15, sd=18),
    RatingCell(group="CAI", task="cue", mean=38, sd=27),
)
CUE = Effect(group="CAI", task="cue", shift=0.6, subject_sd=0.5)


def recipe_of(**changes):
    given = {
        "groups": (Group(name="CAI", n=N),),
        "tasks": ("neutral", "cue"),
        "levels": {"Glu": Level(mean=11.9, subject_sd=0.95)},
        "effects": (CUE,),
        "ratings": Ratings(cells=CELLS),
    }
    return Recipe(**{**given, **changes})


def ratings(cohort, period=1):
    visits = [visit for visit in cohort.visits if visit.period == period]
    return [np.array([visit.ratings[f"craving_{task}"] for visit in visits]) for task in ("neutral", "cue")]


def response_of_glu(cohort):
    glu = {(scan.key.sub, scan.key.task): scan.levels["Glu"] for scan in cohort.scans}
    return np.array([glu[person.label, "cue"] - glu[person.label, "neutral"] for person in cohort.participants])


@pytest.fixture(scope="module")
def plain():
    return draw_cohort(recipe_of(), seed=2)


def test_ratings_have_mean_and_sd_of_their_cell(plain):
    for values, cell in zip(ratings(plain), CELLS, strict=True):
        assert values.mean() == pytest.approx(cell.mean, abs=5 * cell.sd / np.sqrt(N))
        # The SE of an SD is sd sqrt((kurtosis - 1) / (4 n)); the beta distribution of the neutral cell has 4.4.
        assert values.std() == pytest.approx(cell.sd, rel=5 * np.sqrt(3.4 / (4 * N)))
        assert values.min() == 0.0
        assert 90 < values.max() <= 100


def test_two_ratings_of_a_subject_correlate_as_asked_although_they_are_skewed(plain):
    neutral, cue = ratings(plain)
    # The SE of a correlation of skewed variables is some 1.5 times (1 - r^2) / sqrt(n).
    assert np.corrcoef(neutral, cue)[0, 1] == pytest.approx(0.55, abs=5 * 1.5 * (1 - 0.55**2) / np.sqrt(N))


def test_the_rise_of_craving_is_one_standard_deviation_of_its_change(plain):
    neutral, cue = ratings(plain)
    # 23 / sqrt(18^2 + 27^2 - 2 * 0.55 * 18 * 27) from the cells and their correlation.
    assert (cue - neutral).mean() / (cue - neutral).std() == pytest.approx(1.010, abs=5 * np.sqrt(1.5 / N))


def test_a_floor_of_ratings_is_reached_often():
    cells = tuple(RatingCell(group="CAI", task=task, mean=1, sd=2) for task in ("neutral", "cue"))
    neutral, cue = ratings(draw_cohort(recipe_of(ratings=Ratings(cells=cells)), seed=3))
    assert np.mean(neutral == 0) > 0.2
    assert np.corrcoef(neutral, cue)[0, 1] == pytest.approx(0.55, abs=0.15)


@pytest.mark.parametrize("r", [0.0, 0.3, -0.4])
def test_the_change_of_craving_goes_with_that_of_glutamate_as_asked(r):
    tie = RatingResponse(group="CAI", task="cue", r=r)
    cohort = draw_cohort(recipe_of(ratings=Ratings(cells=CELLS, responses=(tie,))), seed=4)
    neutral, cue = ratings(cohort)
    found = np.corrcoef(cue - neutral, response_of_glu(cohort))[0, 1]
    assert found == pytest.approx(r, abs=5 * (1 - r**2) / np.sqrt(N))
    # The tie changes neither the margins nor what the ratings have in common.
    assert cue.mean() == pytest.approx(38, abs=5 * 27 / np.sqrt(N))
    assert np.corrcoef(neutral, cue)[0, 1] == pytest.approx(0.55, abs=5 * 1.5 * (1 - 0.55**2) / np.sqrt(N))


def test_a_treatment_can_move_the_ratings():
    effect = Effect(on="craving", treatment="nac", shift=-5)
    recipe = recipe_of(sessions=("1", "2"), crossover=Crossover(), effects=(CUE, effect))
    visits = draw_cohort(recipe, seed=5).visits
    mean = {
        drug: np.mean([v.ratings["craving_cue"] for v in visits if v.treatment == drug]) for drug in ("nac", "placebo")
    }
    assert mean["nac"] - mean["placebo"] == pytest.approx(-5, abs=5 * 27 * np.sqrt(2 * (1 - 0.5) / N))


def test_ties_that_cannot_be_are_refused():
    strong = RatingResponse(group="CAI", task="cue", r=0.95)
    with pytest.raises(ConfigError, match=r"At most 0\.7\d is possible"):
        draw_cohort(recipe_of(ratings=Ratings(cells=CELLS, responses=(strong,))))
    with pytest.raises(ConfigError, match="no response of Gln"):
        draw_cohort(recipe_of(ratings=Ratings(cells=CELLS, responses=(strong.model_copy(update={"of": "Gln"}),))))


def test_an_sd_that_no_bounded_rating_has_is_refused():
    with pytest.raises(ValueError, match="no distribution on 0 to 100"):
        RatingCell(group="CAI", task="cue", mean=1, sd=20)
