"""What a synthetic study is made from: a TOML recipe, parsed into frozen settings.

Concentrations are molar, in mmol per litre of tissue (mM); the voxel's cerebrospinal fluid holds none. The values of
`LEVELS` and most spreads come from Engeli 2021 (doi 10.1038/s41380-020-0828-z), its conference poster and a sibling
study (Steinegger 2021, doi 10.1111/adb.13027); ``read``, ``derived``, ``recalled`` and ``assumed`` in comments here and
in ``synthetic_data/`` say how a number is known.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mrspipe.core.errors import ConfigError
from mrspipe.core.results import SUMS
from mrspipe.physics.relaxation import water_sets
from mrspipe.settings import Settings, parse_settings, read_toml
from mrspipe.synth.acquisition import ArtefactSettings, LineshapeSettings, MeasurementSettings, QualitySettings

Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+$")]


class Level(Settings):
    """Concentration of a metabolite, or of a sum such as tCr, in the control condition."""

    mean: NonNegative
    """Population mean, in mM."""
    subject_sd: NonNegative = 0.0
    """SD between subjects, in mM."""
    session_sd: NonNegative = 0.0
    """SD between the sessions of a subject (day, positioning), in mM."""
    scan_sd: NonNegative = 0.0
    """SD between the scans of a session, in mM, apart from the noise of the spectrum, which comes on top."""


# Glu mean, tCr, tNAA, tCho: read (adb.13027, controls, as coded in doi 10.1016/j.ab.2023.115227); Gln and GABA: read
# (7 T, doi 10.1016/j.euroneuro.2018.12.015); the others and how each spread is divided: assumed. The spread that the
# fit adds to a noisy spectrum is left out of the scan's SD (Glu: all of it).
LEVELS: Mapping[str, Level] = {
    "Glu": Level(mean=11.9, subject_sd=0.95, session_sd=0.45),
    "Gln": Level(mean=4.5, subject_sd=0.80, session_sd=0.30, scan_sd=0.20),
    "tCr": Level(mean=11.0, subject_sd=0.65, session_sd=0.25, scan_sd=0.20),
    "tNAA": Level(mean=9.13, subject_sd=0.65, session_sd=0.20, scan_sd=0.15),
    "tCho": Level(mean=2.91, subject_sd=0.30, session_sd=0.08, scan_sd=0.05),
    "Ins": Level(mean=5.5, subject_sd=0.70, session_sd=0.20, scan_sd=0.15),
    "GABA": Level(mean=2.2, subject_sd=0.40, session_sd=0.15),
    "GSH": Level(mean=1.5, subject_sd=0.18),
    "Asp": Level(mean=2.0, subject_sd=0.25),
    "Tau": Level(mean=1.3, subject_sd=0.16),
    "Asc": Level(mean=1.0, subject_sd=0.12),
    "Lac": Level(mean=0.7, subject_sd=0.10, session_sd=0.10),
    "Gly": Level(mean=0.8, subject_sd=0.10),
    "Glc": Level(mean=1.0, subject_sd=0.12, session_sd=0.10),
    "PE": Level(mean=1.0, subject_sd=0.12),
    "sIns": Level(mean=0.2, subject_sd=0.05),
}

# How a sum divides among its members: assumed.
MEMBERS: Mapping[str, Mapping[str, float]] = {
    "tCr": {"Cr": 0.53, "PCr": 0.47},
    "tNAA": {"NAA": 0.88, "NAAG": 0.12},
    "tCho": {"GPC": 0.62, "PCh": 0.38},
}


class Group(Settings):
    """One group of participants."""

    name: Label = "HC"
    """Value of the column ``group``."""
    n: Annotated[int, Field(ge=1, le=9999)] = 8
    """Number of participants."""
    dropout: Fraction = 0.0
    """Probability that a participant misses every session after the first."""


class Crossover(Settings):
    """Each participant gets every treatment, one a session, in an order that is balanced within the group."""

    treatments: Annotated[tuple[Label, ...], Field(min_length=2)] = ("placebo", "nac")
    """Values of the column ``drug``, as many as there are sessions."""


class NormalCovariate(Settings):
    """A number from a truncated normal distribution."""

    kind: Literal["normal"] = "normal"
    name: str = "age"
    """Column of participants.tsv."""
    group: str = ""
    """Only this group has it; empty: all."""
    mean: float = 31.0
    """Mean, in the covariate's unit."""
    sd: NonNegative = 7.0
    """Standard deviation, in the covariate's unit."""
    low: float = 18.0
    """Smallest value."""
    high: float = 50.0
    """Largest value."""
    decimals: int = 0
    """Decimals written."""
    description: str = ""
    """Meaning and unit, for participants.json."""


class LognormalCovariate(Settings):
    """A positive number with a long tail."""

    kind: Literal["lognormal"]
    name: str
    """Column of participants.tsv."""
    group: str = ""
    """Only this group has it; empty: all."""
    median: Annotated[float, Field(gt=0)] = 1.0
    """Median, in the covariate's unit."""
    sigma_log: NonNegative = 0.5
    """SD of the natural logarithm."""
    decimals: int = 2
    """Decimals written."""
    description: str = ""
    """Meaning and unit, for participants.json."""


class ChoiceCovariate(Settings):
    """One of several words."""

    kind: Literal["choice"]
    name: str
    """Column of participants.tsv."""
    group: str = ""
    """Only this group has it; empty: all."""
    options: dict[str, Fraction] = Field(default_factory=lambda: {"F": 0.5, "M": 0.5})
    """Each word with its probability; they sum to 1."""
    description: str = ""
    """Meaning, for participants.json."""


Covariate = Annotated[NormalCovariate | LognormalCovariate | ChoiceCovariate, Field(discriminator="kind")]

_PEOPLE: tuple[Covariate, ...] = (
    NormalCovariate(description="Age in years"),
    ChoiceCovariate(kind="choice", name="sex", options={"F": 0.2, "M": 0.8}, description="Sex"),
    ChoiceCovariate(kind="choice", name="smoker", options={"yes": 0.6, "no": 0.4}, description="Smokes tobacco"),
)


class Effect(Settings):
    """A shift of one quantity in the scans that match all labels given; an empty label matches every scan."""

    on: str = "Glu"
    """A metabolite of ``levels`` (mM), or ``gm`` (fraction), ``fwhm_hz`` (Hz), ``snr``."""
    shift: float = 0.0
    """Mean of the shift, in the quantity's unit."""
    subject_sd: NonNegative = 0.0
    """SD of the shift between subjects."""
    group: str = ""
    session: str = ""
    task: str = ""
    treatment: str = ""


class Slope(Settings):
    """How a metabolite depends on a covariate of the participant."""

    on: str = "Glu"
    """A metabolite of ``levels``."""
    covariate: str = "age"
    """A numeric covariate, or ``gm`` for the grey-matter fraction of the scan."""
    per_unit: float = 0.0
    """mM per unit of the covariate."""
    reference: float = 0.0
    """Value of the covariate at which ``levels`` hold."""


class Correlation(Settings):
    """Correlation of two metabolites, the same between subjects, sessions and scans."""

    first: str = "Glu"
    second: str = "Gln"
    r: Annotated[float, Field(gt=-1, lt=1)] = 0.3


class RatingCell(Settings):
    """Ratings of one group during one task."""

    group: str
    task: str
    mean: Annotated[float, Field(gt=0, lt=100)]
    """Mean on the scale of 0 to 100."""
    sd: Annotated[float, Field(gt=0)]
    """SD between ratings."""


class Ratings(Settings):
    """A visual analogue scale of 0 to 100, answered once a scan; beta distributed, so it has a floor and a ceiling."""

    name: Label = "craving"
    """Columns of sessions.tsv are ``<name>_<task>``."""
    within_subject_r: Fraction = 0.55
    """Correlation of two ratings of one subject."""
    cells: tuple[RatingCell, ...] = ()
    """Every combination of group and task."""


class TissueSettings(Settings):
    """Tissue of the voxel, as volume fractions."""

    gm_mean: Fraction = 0.8075
    """Mean grey-matter fraction."""
    gm_sd: NonNegative = 0.059
    """SD of the grey-matter fraction between subjects."""
    gm_within_sd: Annotated[float, Field(ge=0, le=0.025)] = 0.02
    """SD of the grey-matter fraction between sessions, from positioning."""
    csf_absent: Fraction = 0.8
    """Probability that a subject's voxel holds no cerebrospinal fluid."""
    csf_mean: NonNegative = 0.01
    """Mean fraction of cerebrospinal fluid where there is some (exponential, at most 0.05)."""


class LossSettings(Settings):
    """What goes wrong in a study."""

    technical: Fraction = 0.0
    """Probability that a scan was not acquired."""
    poor_quality: Fraction = 0.0
    """Probability that a scan is unusable: poor shim and low signal-to-noise ratio."""


class Recipe(Settings):
    """A synthetic study."""

    name: str = "Synthetic study"
    """Name in dataset_description.json."""
    description: str = ""
    """What the study is for."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Seed of all random numbers."""
    groups: Annotated[tuple[Group, ...], Field(min_length=1)] = (Group(),)
    """Groups of participants."""
    sessions: tuple[Label, ...] = ()
    """Session labels in order; empty: one visit without a label."""
    tasks: tuple[Label, ...] = ()
    """Task labels in order; empty: one scan a visit without a label."""
    crossover: Crossover | None = None
    """Treatments that all participants get; absent: none."""
    covariates: tuple[Covariate, ...] = _PEOPLE
    """Columns of participants.tsv besides ``group``."""
    levels: dict[str, Level] = Field(default_factory=lambda: dict(LEVELS))
    """Concentrations in the control condition; entries given replace or join the defaults."""
    effects: tuple[Effect, ...] = ()
    """Effects of group, session, task and treatment."""
    slopes: tuple[Slope, ...] = ()
    """Effects of covariates."""
    correlations: tuple[Correlation, ...] = (Correlation(),)
    """Correlations between metabolites."""
    moment_matched: bool = False
    """Draw within each group so that the sample means and SDs are those of the recipe (where the group is large
    enough), for stable figures."""
    ratings: Ratings | None = None
    """Ratings by the participants; absent: none."""
    tissue: TissueSettings = TissueSettings()
    """Tissue of the voxel."""
    losses: LossSettings = LossSettings()
    """Scans that are missing or unusable."""
    quality: QualitySettings = QualitySettings()
    """Signal-to-noise ratio and line width."""
    measurement: MeasurementSettings = MeasurementSettings()
    """Sequence, sampling, receiver."""
    lineshape: LineshapeSettings = LineshapeSettings()
    """Line shape, macromolecules and baseline."""
    artefacts: ArtefactSettings = ArtefactSettings()
    """Drift, phase errors, motion, eddy currents, residual water."""

    @model_validator(mode="before")
    @classmethod
    def _join_levels(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("levels"), Mapping):
            return {**data, "levels": {**LEVELS, **data["levels"]}}
        return data

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        problems = [problem for problem in _problems(self) if problem]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def metabolites(self) -> tuple[str, ...]:
        """Single metabolites of the study: the members of the sums, and the other levels."""
        return tuple(member for level in self.levels for member in MEMBERS.get(level, {level: 1.0}))


def _problems(recipe: Recipe) -> Iterator[str]:
    groups = {group.name for group in recipe.groups}
    arms = set(recipe.crossover.treatments) if recipe.crossover else set()
    numeric = {c.name for c in recipe.covariates if not isinstance(c, ChoiceCovariate)}
    yield "two groups have the same name" if len(groups) < len(recipe.groups) else ""
    yield _unknown("measurement.relaxation", {recipe.measurement.relaxation}, set(water_sets()))
    yield _unknown("levels", set(recipe.levels) & set(SUMS), set(MEMBERS))
    if recipe.crossover and len(recipe.crossover.treatments) != len(recipe.sessions):
        yield f"crossover has {len(arms)} treatments but there are {len(recipe.sessions)} sessions"
    for effect in recipe.effects:
        yield _unknown("effects.on", {effect.on}, {*recipe.levels, "gm", "fwhm_hz", "snr"})
        yield _unknown("effects.group", {effect.group} - {""}, groups)
        yield _unknown("effects.session", {effect.session} - {""}, set(recipe.sessions))
        yield _unknown("effects.task", {effect.task} - {""}, set(recipe.tasks))
        yield _unknown("effects.treatment", {effect.treatment} - {""}, arms)
        if effect.on == "gm" and (effect.session or effect.task or effect.treatment or effect.subject_sd):
            yield "an effect on gm can only name a group, and has no subject_sd"
    for slope in recipe.slopes:
        yield _unknown("slopes.on", {slope.on}, set(recipe.levels))
        yield _unknown("slopes.covariate", {slope.covariate}, {*numeric, "gm"})
    for pair in recipe.correlations:
        yield _unknown("correlations", {pair.first, pair.second}, set(recipe.levels))
    for covariate in recipe.covariates:
        yield _unknown("covariates.group", {covariate.group} - {""}, groups)
        if isinstance(covariate, ChoiceCovariate) and abs(sum(covariate.options.values()) - 1) > 1e-9:
            yield f"the probabilities of {covariate.name} do not sum to 1"
    if recipe.ratings:
        cells = {(cell.group, cell.task) for cell in recipe.ratings.cells}
        if cells != {(group, task) for group in groups for task in recipe.tasks}:
            yield "ratings need one cell for each combination of group and task"


def _unknown(where: str, given: set[str], known: set[str]) -> str:
    names = sorted(given - known)
    return f"{where} names {', '.join(names)}; known are {', '.join(sorted(known)) or 'none'}" if names else ""


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    A recipe may name another in ``base``, relative to itself: its tables are merged into the base's, its lists and
    values replace them.

    Parameters
    ----------
    path : Path
        A TOML file.

    Returns
    -------
    Recipe

    Raises
    ------
    ConfigError
        It is not TOML, or a key or value is wrong.
    """
    return parse_settings(Recipe, _read(Path(path)), where=str(path))


def _read(path: Path, depth: int = 0) -> dict[str, Any]:
    content = read_toml(path)
    base = content.pop("base", None)
    if base is None:
        return content
    if depth > 5:
        raise ConfigError("The recipe's bases name each other in a circle.", where=str(path), code="recipe")
    return _merged(_read(path.parent / str(base), depth + 1), content)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
