"""The configuration of a study: the settings of all stages, and what the study compares."""

from importlib.resources import files
from pathlib import Path

from mrspipe.basis.settings import BasisSettings
from mrspipe.checks.catalogue import CheckSettings
from mrspipe.core.errors import ConfigError
from mrspipe.engine import EngineSettings
from mrspipe.fit.settings import FitSettings
from mrspipe.preprocess.steps import PreprocessSettings
from mrspipe.qc import QcSettings
from mrspipe.quantify.settings import QuantifySettings
from mrspipe.settings import Settings, parse_settings, read_toml
from mrspipe.stats.design import ContrastSettings, Design, RobustnessSettings, StatsSettings

# configs/ and synthetic_data/ stand beside the package in a checkout, and inside it in an installed wheel.
_CHECKOUT = Path(__file__).parents[1]
_INSTALLED = Path(str(files("mrspipe"))) / "_data"


class StudyConfig(Settings):
    """Everything that can be set about the analysis of a study."""

    title: str = ""
    """Name of the study on its pages; empty: the name in dataset_description.json."""
    preprocess: PreprocessSettings = PreprocessSettings()
    """From raw transients to one FID."""
    basis: BasisSettings = BasisSettings()
    """Basis set."""
    fit: FitSettings = FitSettings()
    """Spectral fit."""
    quantify: QuantifySettings = QuantifySettings()
    """From amplitudes to concentrations."""
    qc: QcSettings = QcSettings()
    """Limits of quality."""
    checks: CheckSettings = CheckSettings()
    """Checks before the analysis."""
    engine: EngineSettings = EngineSettings()
    """Where scans run. Not part of what a result depends on."""
    design: Design = Design()
    """What the study compares."""
    contrast: tuple[ContrastSettings, ...] = ()
    """Contrasts; empty: those that follow from the design."""
    stats: StatsSettings = StatsSettings()
    """Choices of the group statistics."""
    robustness: RobustnessSettings = RobustnessSettings()
    """The same contrasts under other reasonable choices."""


def load_config(name: str | Path | None) -> StudyConfig:
    """Read a configuration.

    Parameters
    ----------
    name : str or Path or None
        A TOML file, the name of one that mrspipe brings (``cocaine_nacc``), or None for the defaults.

    Raises
    ------
    ConfigError
        There is no such file, it is not TOML, a key is unknown, or a value is wrong.
    """
    if name is None:
        return StudyConfig()
    path = bundled("configs", name)
    return parse_settings(StudyConfig, read_toml(path), where=str(path))


def with_settings(config: StudyConfig, stage: str, **changes: object) -> StudyConfig:
    """Change settings of a stage, checked like those of a file.

    Examples
    --------
    >>> with_settings(StudyConfig(), "engine", n_procs=3).engine.n_procs
    3
    """
    changed = {**getattr(config, stage).model_dump(exclude_unset=True), **changes}
    content = {**config.model_dump(exclude_unset=True), stage: changed}
    return parse_settings(StudyConfig, content, where="command line")


def bundled(folder: str, name: str | Path) -> Path:
    """Path of a TOML file given as a path, or by the name of one in ``configs`` or ``synthetic_data``.

    Raises
    ------
    ConfigError
        Neither exists; the names that mrspipe brings are listed.
    """
    path = Path(name)
    if path.is_file():
        return path
    places = [place / folder for place in (_CHECKOUT, _INSTALLED) if (place / folder).is_dir()]
    for place in places:
        candidate = place / f"{path.stem}.toml"
        if path.parent == Path() and candidate.exists():
            return candidate
    known = sorted({file.stem for place in places for file in place.glob("*.toml")})
    raise ConfigError(
        f"There is no file '{name}'.", cure=f"Give a path, or one of: {', '.join(known)}.", code="no-file"
    )


def config_toml(config: StudyConfig) -> str:
    """Write all settings, defaults too, as TOML; what is None is left out."""
    import tomli_w

    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
