"""mrspipe in a notebook: read a spectrum, look at it, fit it, put a study's tables beside each other.

::

    import mrspipe as mp

    scan = mp.read("scan.nii.gz", water="water.nii.gz")
    fit = scan.preprocess().fit()
    fit.plot()
    fit.table()

    study = mp.read_study("my_study/derivatives/mrspipe")
    mp.contrasts(study.measurements, "my_study.toml", ratings=study.ratings)

What is done is what ``mrspipe fit`` and ``mrspipe run`` do, with the same settings and the same numbers. The objects
here are small and frozen; each step gives a new one. The verbs ``preprocess`` and ``fit`` are methods, because
``mrspipe.preprocess`` and ``mrspipe.fit`` are the packages of these stages.
"""

from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from mrspipe.checks.scan import refuse
from mrspipe.config import StudyConfig
from mrspipe.config import load_config as load_config
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import InputError
from mrspipe.core.results import FitResult, QualityReport
from mrspipe.core.scan_result import ScanResult
from mrspipe.core.signal import Scan, ScanKey
from mrspipe.io.basis_files import read_basis
from mrspipe.io.pairing import NO_WATER
from mrspipe.io.rows import concentration_rows
from mrspipe.io.tables import read_table
from mrspipe.pipeline.basis import basis_for, read_basis_once
from mrspipe.pipeline.scan import StageError, analyse_scan
from mrspipe.pipeline.spectra import RawHeader, load_spectrum
from mrspipe.preprocess.steps import PreprocessSettings
from mrspipe.preprocess.steps import preprocess as preprocessed
from mrspipe.report.figures import fit_figure
from mrspipe.report.svg import svg_file
from mrspipe.stats.contrasts import contrast_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

Config = StudyConfig | str | Path | None
_MAIN = ("Glu", "Gln", "Glx", "tNAA", "tCr", "tCho", "Ins")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A matplotlib figure that a notebook shows as SVG.

    Parameters
    ----------
    figure : Figure
        To go on with: ``picture.figure.axes``.
    """

    figure: "Figure"

    def save(self, path: str | Path) -> None:
        """Write it; the ending names the format: svg, png, pdf."""
        self.figure.savefig(path, dpi=200)

    def _repr_svg_(self) -> str:
        return svg_file(self.figure)


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """A spectrum with its water reference, as it was read or after preprocessing.

    Parameters
    ----------
    scan : Scan
        The signals, with axis, acquisition and history.
    """

    scan: Scan

    def preprocess(self, config: Config = None) -> "Spectrum":
        """Combine coils, align, average, correct eddy currents and remove water, as the settings say.

        Parameters
        ----------
        config : StudyConfig, str, Path or None
            Settings, or a TOML file with them; the defaults without it.

        Raises
        ------
        MrspipeError
            It cannot be preprocessed.
        """
        return Spectrum(preprocessed(self.scan, _settings(config).preprocess))

    def fit(self, basis: BasisSet | str | Path | None = None, config: Config = None) -> "Fit":
        """Fit the spectrum, and preprocess it first where coils or transients are still apart.

        Parameters
        ----------
        basis : BasisSet, str, Path or None
            A basis set, or its file; simulated for the sequence and echo time of the scan without it.
        config : StudyConfig, str, Path or None
            Settings, or a TOML file with them; the defaults without it.

        Raises
        ------
        MrspipeError
            It cannot be fitted. A poor fit is a `Fit` with a verdict.
        """
        settings = _settings(config)
        clean = self if self.scan.metabolites.dims == ("time",) else self.preprocess(settings)
        without_steps = settings.model_copy(update={"preprocess": PreprocessSettings(steps=())})
        try:
            chosen = _basis(basis, clean.scan, settings)
            return Fit(analyse_scan(clean.scan, chosen, without_steps))
        except StageError as error:
            raise error.__cause__ or error from None

    def _repr_html_(self) -> str:
        signal, water = self.scan.metabolites, self.scan.water
        acquisition = signal.acquisition
        facts = {
            "Shape": " × ".join(f"{n} {dim}" for n, dim in zip(signal.samples.shape, signal.dims, strict=True)),
            "Field": f"{signal.axis.hz_per_ppm:.2f} MHz",
            "Sequence": (acquisition.sequence or "not known").upper(),
            "Echo time": _milliseconds(acquisition.echo_time_s),
            "Repetition time": _milliseconds(acquisition.repetition_time_s),
            "Water reference": "yes" if water is not None else self.scan.water_note or "no",
            "Done so far": "; ".join(step.method for step in signal.history) or "nothing",
        }
        return _html_table(facts)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fitted spectrum with its concentrations and its quality.

    Parameters
    ----------
    result : ScanResult
        All of it, as the pipeline gives it.
    """

    result: ScanResult

    @property
    def parameters(self) -> FitResult:
        """Amplitudes, covariances, curves and nuisance parameters."""
        return self.result.fit

    @property
    def quality(self) -> QualityReport:
        """Metrics, verdict and reasons."""
        return self.result.quality

    @property
    def advice(self) -> tuple[str, ...]:
        """What to know about this fit, in plain words."""
        return (*self.result.fit.advice, *self.result.quality.reasons)

    def table(self) -> "DataFrame":
        """Give one row for each metabolite: the columns of ``concentrations.tsv``."""
        import pandas as pd

        return pd.DataFrame(concentration_rows(self.result)).set_index("metabolite").drop(columns="spectrum")

    def concentrations(self) -> "DataFrame":
        """Give one row for each metabolite and quantity, with its errors, corrections, and why there is no value."""
        import pandas as pd

        columns = ("metabolite", "quantity", "value", "se_fit", "se_total", "crlb_pct", "reference", "reason")
        rows = [{name: getattr(level, name) for name in columns} for level in self.result.levels]
        return pd.DataFrame(rows, columns=list(columns))

    def plot(self, metabolites: tuple[str, ...] = ("Glu", "Gln", "tNAA", "tCr", "tCho", "Ins")) -> Picture:
        """Draw data, fit, baseline and residual, and single metabolites below."""
        return Picture(fit_figure(self.result.fit, metabolites=metabolites))

    def _repr_html_(self) -> str:
        said = "; ".join(self.advice)
        head = f"<p>Verdict: <b>{self.quality.verdict}</b>{'. ' + escape(said) if said else ''}</p>"
        table = self.table()
        shown = table.loc[[name for name in _MAIN if name in table.index], ["ratio_tcr", "ratio_tcr_se", "crlb_pct"]]
        return head + str(shown.to_html(float_format="{:.3g}".format))


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """The tables of an analysed study.

    Parameters
    ----------
    out_dir : Path
    measurements, quality, contrasts, exclusions, failures : DataFrame
        As in ``group/*.tsv``; their columns are explained in the ``.json`` beside each.
    ratings : DataFrame or None
        Where the design names ratings.
    """

    out_dir: Path
    measurements: "DataFrame"
    quality: "DataFrame"
    contrasts: "DataFrame"
    exclusions: "DataFrame"
    failures: "DataFrame"
    ratings: "DataFrame | None" = None

    @property
    def config(self) -> StudyConfig:
        """Settings of the run."""
        return load_config(self.out_dir / "config.toml")

    def _repr_html_(self) -> str:
        verdicts = self.quality["verdict"].value_counts()
        facts = {
            "Participants": str(self.quality["participant_id"].nunique()),
            "Scans": ", ".join(f"{verdicts[name]} {name}" for name in sorted(verdicts.index)) or "none",
            "Failures": str(len(self.failures)),
            "Contrasts": ", ".join(str(name) for name in self.contrasts["contrast"].unique()) or "none",
        }
        return _html_table(facts)


def read(
    spectrum: str | Path,
    water: str | Path | None = None,
    *,
    dwell_s: float | None = None,
    spectrometer_hz: float | None = None,
    echo_time_s: float | None = None,
    config: Config = None,
) -> Spectrum:
    """Read a spectrum of any format that ``mrspipe fit`` reads, and check it as that does.

    Parameters
    ----------
    spectrum : str or Path
        NIfTI-MRS, LCModel RAW, or a vendor file (needs the extra ``vendor``).
    water : str, Path or None
        Water reference.
    dwell_s, spectrometer_hz, echo_time_s : float, optional
        What an LCModel RAW file does not say, in s and Hz.
    config : StudyConfig, str, Path or None
        Settings, of which the checks and the basis set count here.

    Raises
    ------
    MrspipeError
        It cannot be read, or a check refuses it.
    """
    settings = _settings(config)
    path, header = Path(spectrum), RawHeader(dwell_s, spectrometer_hz, echo_time_s)
    basis = read_basis_once(settings.basis)
    signal = load_spectrum(path, basis, header)
    reference = load_spectrum(Path(water), basis, header) if water is not None else None
    name = path.name.partition(".")[0]
    scan = Scan(ScanKey(sub=name), signal, reference, water_note="" if reference else NO_WATER)
    refuse(scan, name, settings.checks)
    return Spectrum(scan)


def read_study(out_dir: str | Path) -> Study:
    """Read the tables that ``mrspipe run`` wrote.

    Parameters
    ----------
    out_dir : str or Path

    Raises
    ------
    InputError
        It was not written by ``mrspipe run``, or not as far as the group level.
    """
    folder = Path(out_dir) / "group"
    names = ("measurements", "quality", "contrasts", "exclusions", "failures")
    missing = [name for name in names if not (folder / f"{name}.tsv").is_file()]
    if missing:
        raise InputError(
            f"There is no {', '.join(f'{name}.tsv' for name in missing)}.",
            where=str(folder),
            cure="Give the folder that mrspipe run wrote to.",
            code="no-results",
        )
    tables = {name: read_table(folder / f"{name}.tsv") for name in names}
    study = Study(Path(out_dir), **tables)
    ratings = folder / "ratings.tsv"
    return replace(study, ratings=read_table(ratings)) if ratings.is_file() else study


def contrasts(table: "DataFrame", config: Config, ratings: "DataFrame | None" = None) -> "DataFrame":
    """Compute the contrasts of a study from a table of measurements.

    Parameters
    ----------
    table : DataFrame
        Columns as in ``measurements.tsv``; rows may have been left out or added.
    config : StudyConfig, str, Path or None
        With the design; what ``load_config`` reads.
    ratings : DataFrame, optional
        Ratings of the study, for the contrasts of them.

    Returns
    -------
    DataFrame
        Columns of ``contrasts.tsv``.

    Raises
    ------
    ConfigError
        A contrast does not fit the design.
    """
    settings = _settings(config)
    return contrast_table(table, settings.design, settings.contrast, settings.stats, ratings=ratings)


def _settings(config: Config) -> StudyConfig:
    return config if isinstance(config, StudyConfig) else load_config(config)


def _basis(basis: BasisSet | str | Path | None, scan: Scan, settings: StudyConfig) -> BasisSet:
    if isinstance(basis, BasisSet):
        return basis
    return basis_for(scan.metabolites, settings.basis) if basis is None else read_basis(Path(basis))


def _milliseconds(seconds: float | None) -> str:
    return "not known" if seconds is None else f"{1e3 * seconds:g} ms"


def _html_table(facts: dict[str, str]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in facts.items())
    return f"<table>{rows}</table>"
