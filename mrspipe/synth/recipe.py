"""What a synthetic study is made from: a TOML recipe, parsed into frozen settings.

Concentrations are molar, in mmol per litre of tissue (mM); the voxel's cerebrospinal fluid holds none. Where a recipe
says nothing, ``levels.toml`` beside this module and the defaults here hold. Every number says how it is known
(`mrspipe.synth.origin`).
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from mrspipe.core.errors import ConfigError
from mrspipe.core.results import SUMS
from mrspipe.physics.relaxation import water_sets
from mrspipe.settings import parse_settings, read_toml
from mrspipe.synth.acquisition import (
    ADB13027,
    ArtefactSettings,
    LineshapeSettings,
    LossSettings,
    MeasurementSettings,
    QualitySettings,
    TissueSettings,
)
from mrspipe.synth.covariates import (
    PEOPLE,
    ChoiceCovariate,
    Covariate,
    Fraction,
    Label,
    LognormalCovariate,
    NonNegative,
    Ratings,
)
from mrspipe.synth.origin import ASSUMED, Default, Sourced, Unit, merged

Millimolar = Annotated[NonNegative, Unit("mM"), ASSUMED]


class Level(Sourced):
    """Concentration of a metabolite, or of a sum such as tCr, in the control condition."""

    mean: Annotated[NonNegative, Unit("mM")]
    """Population mean, in mM."""
    subject_sd: Millimolar = 0.0
    """SD between subjects, in mM."""
    session_sd: Millimolar = 0.0
    """SD between the sessions of a subject (day, positioning), in mM."""
    scan_sd: Millimolar = 0.0
    """True SD between the scans of a session, in mM; instead of ``residual_sd``."""
    residual_sd: Millimolar = 0.0
    """SD between the scans of a session as a study finds it, the error of the fit included, in mM; instead of
    ``scan_sd``."""
    fit_sd: Millimolar = 0.0
    """SD that the fit of a noisy spectrum adds at the study's quality, in mM; used where no spectrum is made, and left
    out of the scan's SD where one is."""

    members: Annotated[dict[str, Fraction], ASSUMED] = Field(default_factory=dict)
    """Parts of a sum that its members have, such as ``{ Cr = 0.53, PCr = 0.47 }``; empty: those of ``levels.toml``."""

    @model_validator(mode="after")
    def _one_scan_sd(self) -> Self:
        if self.scan_sd and self.residual_sd:
            raise ValueError("give scan_sd or residual_sd, not both")
        return self

    @property
    def latent_scan_sd(self) -> float:
        """True SD between the scans of a session, in mM: ``scan_sd``, or what the fit leaves of ``residual_sd``.

        Examples
        --------
        >>> Level(mean=11.9, residual_sd=0.5, fit_sd=0.4).latent_scan_sd
        0.3
        """
        return self.scan_sd or math.sqrt(max(0.0, self.residual_sd**2 - self.fit_sd**2))

    @property
    def fit_error_sd(self) -> float:
        """SD of the fit's error where no spectrum is made, in mM: never more than the residual of which it is part.

        Examples
        --------
        >>> Level(mean=11.9, residual_sd=0.75, fit_sd=1.65).fit_error_sd
        0.75
        """
        return min(self.fit_sd, self.residual_sd) if self.residual_sd else self.fit_sd

    @property
    def measured_sd(self) -> float:
        """SD between single scans of different subjects as a study finds it, in mM."""
        of_scan = self.residual_sd or math.hypot(self.scan_sd, self.fit_sd)
        return math.hypot(self.subject_sd, self.session_sd, of_scan)


def _levels() -> dict[str, Level]:
    text = files("mrspipe.synth").joinpath("levels.toml").read_text(encoding="utf-8")
    return {name: Level.model_validate(table) for name, table in tomllib.loads(text).items()}


LEVELS: Mapping[str, Level] = _levels()

# How a sum divides among its members.
MEMBERS: Mapping[str, Mapping[str, float]] = {name: level.members for name, level in LEVELS.items() if level.members}


class Group(Sourced):
    """One group of participants."""

    name: Label = "HC"
    """Value of the column ``group``."""
    n: Annotated[int, Field(ge=1, le=9999), ASSUMED] = 8
    """Number of participants."""
    dropout: Annotated[Fraction, ASSUMED] = 0.0
    """Probability that a participant misses every session after the first."""
    dropout_covariate: str = ""
    """A lognormal covariate on which it depends (missing at random); empty: on none."""
    dropout_log_odds: Annotated[float, ASSUMED] = 0.0
    """Change of the log odds of missing them for each SD of the covariate's logarithm; ``dropout`` stays the mean."""

    @property
    def label(self) -> str:
        """What sets it apart from others."""
        return self.name


class Crossover(Sourced):
    """Each participant gets every treatment, one a session, in an order that is balanced within the group."""

    treatments: Annotated[tuple[Label, ...], Field(min_length=2)] = ("placebo", "nac")
    """Values of the column ``drug``, as many as there are sessions."""


class Parallel(Sourced):
    """Each participant gets one arm for the whole study, balanced within the group."""

    arms: Annotated[tuple[Label, ...], Field(min_length=2)]
    """Values of the column ``arm`` of participants.tsv."""
    groups: tuple[str, ...] = ()
    """Groups that are divided; empty: all. Other participants have no arm (``n/a``)."""


class Effect(Sourced):
    """A shift of one quantity in the scans that match all labels given; an empty label matches every scan."""

    on: str = "Glu"
    """A metabolite of ``levels`` (mM), or ``gm`` (fraction), ``fwhm_hz`` (Hz), ``snr``, or the name of the ratings."""
    shift: Annotated[float, ASSUMED] = 0.0
    """Mean of the shift, in the quantity's unit."""
    subject_sd: Annotated[NonNegative, ASSUMED] = 0.0
    """SD of the shift between subjects."""
    group: str = ""
    session: str = ""
    task: str = ""
    treatment: str = ""
    arm: str = ""
    """Arm of the participant (``parallel``)."""

    @property
    def label(self) -> str:
        """What sets it apart from others."""
        return " ".join(filter(None, (self.on, self.group, self.session, self.task, self.treatment, self.arm)))

    def unit_of(self, name: str) -> str:
        """Unit of a field; it depends on what the table is about."""
        return {"gm": "", "snr": "", "fwhm_hz": "Hz"}.get(self.on, "mM" if self.on in {*LEVELS, *MEMBERS} else "points")


class Slope(Sourced):
    """How a metabolite depends on a covariate of the participant."""

    on: str = "Glu"
    """A metabolite of ``levels``."""
    covariate: str = "age"
    """A numeric covariate, or ``gm`` for the grey-matter fraction of the scan."""
    per_unit: Annotated[float, ASSUMED] = 0.0
    """mM per unit of the covariate."""
    reference: Annotated[float, ASSUMED] = 0.0
    """Value of the covariate at which ``levels`` hold."""

    @property
    def label(self) -> str:
        """What sets it apart from others."""
        return f"{self.on} {self.covariate}"

    def unit_of(self, name: str) -> str:
        """Unit of a field; it depends on what the table is about."""
        return f"mM per unit of {self.covariate}" if name == "per_unit" else f"unit of {self.covariate}"


class Correlation(Sourced):
    """Correlation of two metabolites, the same between subjects, sessions and scans."""

    first: str = "Glu"
    second: str = "Gln"
    r: Annotated[
        float, Field(gt=-1, lt=1), Default("derived", ADB13027, "from the SDs of Glu, Gln and Glx of its controls")
    ] = 0.3

    @property
    def label(self) -> str:
        """What sets it apart from others."""
        return f"{self.first} {self.second}"


class Association(Sourced):
    """Correlation of a lognormal covariate (its logarithm) with the participants' own part of a metabolite."""

    covariate: str
    """A lognormal covariate."""
    on: str = "Glu"
    """A metabolite of ``levels``; its own part is what ``subject_sd`` spreads."""
    r: Annotated[float, Field(gt=-1, lt=1), ASSUMED] = 0.0

    @property
    def label(self) -> str:
        """What sets it apart from others."""
        return f"{self.on} {self.covariate}"


class Recipe(Sourced):
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
    parallel: Parallel | None = None
    """Arms of which each participant gets one; absent: none."""
    covariates: tuple[Covariate, ...] = PEOPLE
    """Columns of participants.tsv besides ``group`` and ``arm``."""
    levels: dict[str, Level] = Field(default_factory=lambda: dict(LEVELS))
    """Concentrations in the control condition; entries given replace or join the defaults."""
    effects: tuple[Effect, ...] = ()
    """Effects of group, session, task, treatment and arm."""
    slopes: tuple[Slope, ...] = ()
    """Effects of covariates."""
    correlations: tuple[Correlation, ...] = (Correlation(),)
    """Correlations between metabolites."""
    associations: tuple[Association, ...] = ()
    """Correlations between covariates and metabolites."""
    moment_matched: bool = False
    """Draw within each group so that the sample means and SDs of the concentrations, and those of their changes, are
    those of the recipe (where the group is large enough), for stable figures. The slopes are then part of the SDs."""
    mirrored: bool = False
    """Give every two participants of a group opposite deviations in what disturbs their scans (quality, line shape,
    macromolecules, baseline, gain, noise), so that errors nearly cancel in means, for stable figures."""
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
        return tuple(member for level in self.levels for member in self.parts(level))

    def parts(self, level: str) -> Mapping[str, float]:
        """Single metabolites that a level consists of, each with its part."""
        return self.levels[level].members or MEMBERS.get(level, {level: 1.0})

    @property
    def n_sessions(self) -> int:
        """Sessions of a participant; one visit without a label counts."""
        return max(1, len(self.sessions))

    @property
    def n_tasks(self) -> int:
        """Scans of a session; one without a label counts."""
        return max(1, len(self.tasks))


def _problems(recipe: Recipe) -> Iterator[str]:
    yield from _problems_of_design(recipe)
    yield from _problems_of_effects(recipe)
    yield from _problems_of_covariates(recipe)


def _problems_of_design(recipe: Recipe) -> Iterator[str]:
    groups = {group.name for group in recipe.groups}
    yield "two groups have the same name" if len(groups) < len(recipe.groups) else ""
    yield _unknown("measurement.relaxation", {recipe.measurement.relaxation}, set(water_sets()))
    yield _unknown("levels", set(recipe.levels) & set(SUMS), set(MEMBERS))
    if recipe.crossover and len(recipe.crossover.treatments) != len(recipe.sessions):
        n_treatments = len(recipe.crossover.treatments)
        yield f"crossover has {n_treatments} treatments but there are {len(recipe.sessions)} sessions"
    yield _unknown("parallel.groups", set(recipe.parallel.groups) if recipe.parallel else set(), groups)
    if recipe.ratings:
        cells = {(cell.group, cell.task) for cell in recipe.ratings.cells}
        if cells != {(group, task) for group in groups for task in recipe.tasks}:
            yield "ratings need one cell for each combination of group and task"
        ties = {(tie.group, tie.task) for tie in recipe.ratings.responses}
        yield "ratings.responses names a group or task without a cell" if not ties <= cells else ""


def _problems_of_effects(recipe: Recipe) -> Iterator[str]:
    rating = recipe.ratings.name if recipe.ratings else ""
    known = {
        "group": {group.name for group in recipe.groups},
        "session": set(recipe.sessions),
        "task": set(recipe.tasks),
        "treatment": set(recipe.crossover.treatments) if recipe.crossover else set(),
        "arm": set(recipe.parallel.arms) if recipe.parallel else set(),
    }
    for effect in recipe.effects:
        yield _unknown("effects.on", {effect.on}, {*recipe.levels, "gm", "fwhm_hz", "snr"} | ({rating} - {""}))
        for name, labels in known.items():
            yield _unknown(f"effects.{name}", {getattr(effect, name)} - {""}, labels)
        if effect.on == "gm" and (effect.session or effect.task or effect.treatment or effect.subject_sd):
            yield "an effect on gm can only name a group or an arm, and has no subject_sd"
        if effect.on == rating and effect.subject_sd:
            yield f"an effect on {rating} has no subject_sd"


def _problems_of_covariates(recipe: Recipe) -> Iterator[str]:
    groups = {group.name for group in recipe.groups}
    numeric = {c.name for c in recipe.covariates if not isinstance(c, ChoiceCovariate)}
    lognormal = {c.name for c in recipe.covariates if isinstance(c, LognormalCovariate)}
    words: set[str] = set()
    for covariate in recipe.covariates:
        yield _unknown("covariates.group", {covariate.group} - {""}, groups)
        if isinstance(covariate, ChoiceCovariate):
            words.add(covariate.name)
            if abs(sum(covariate.options.values()) - 1) > 1e-9:
                yield f"the probabilities of {covariate.name} do not sum to 1"
        else:
            yield _unknown("covariates.only", set(covariate.only), words)
    for group in recipe.groups:
        yield _unknown("groups.dropout_covariate", {group.dropout_covariate} - {""}, lognormal)
    tied = [tie.covariate for tie in recipe.associations]
    yield "associations name a covariate twice" if len(set(tied)) < len(tied) else ""
    for tie in recipe.associations:
        yield _unknown("associations.covariate", {tie.covariate}, lognormal)
        yield _unknown("associations.on", {tie.on}, set(recipe.levels))
    for slope in recipe.slopes:
        yield _unknown("slopes.on", {slope.on}, set(recipe.levels))
        yield _unknown("slopes.covariate", {slope.covariate}, {*numeric, "gm"})
    for pair in recipe.correlations:
        yield _unknown("correlations", {pair.first, pair.second}, set(recipe.levels))


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
    return merged(_read(path.parent / str(base), depth + 1), content)
