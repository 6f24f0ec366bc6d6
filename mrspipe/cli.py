"""The command line: every command parses, calls one function, and prints.

Heavy libraries are imported inside the commands, so that ``mrspipe --help`` is quick. Exit codes: 0 all analysed,
1 some scans failed (they are named), 2 wrong usage or unusable input, 130 interrupted.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrspipe import __version__
from mrspipe.core.errors import MrspipeError

if TYPE_CHECKING:
    from mrspipe.config import StudyConfig
    from mrspipe.pipeline.study import StudyRequest

_THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

app = typer.Typer(
    name="mrspipe",
    help="From a folder of 1H magnetic resonance spectroscopy scans to a trustworthy group result.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

BidsDir = Annotated[Path, typer.Argument(help="Root of the BIDS dataset.", show_default=False)]
OutDir = Annotated[Path, typer.Argument(help="Where the results are written.", show_default=False)]
ConfigOption = Annotated[
    str | None,
    typer.Option("--config", "--config-file", help="TOML file, or the name of a bundled one (cocaine_nacc)."),
]
Participants = Annotated[
    list[str] | None,
    typer.Option("--participant-label", "--participant_label", help="Only this participant; may be repeated."),
]
Sessions = Annotated[
    list[str] | None, typer.Option("--session-label", "--session_label", help="Only this session; may be repeated.")
]
Tasks = Annotated[list[str] | None, typer.Option("--task-id", "--task_id", help="Only this task; may be repeated.")]
Filters = Annotated[
    Path | None, typer.Option("--bids-filter-file", "--bids_filter_file", help="JSON with entities to select.")
]
Derivatives = Annotated[
    list[str] | None,
    typer.Option(
        "-d",
        "--derivatives",
        help="NAME=PATH of tissue maps or labels (fMRIPrep, SPM, FAST, FreeSurfer, SynthSeg); may be repeated.",
    ),
]
Processes = Annotated[
    int | None,
    typer.Option("--n-procs", "--nprocs", "--n_procs", min=0, help="Worker processes; 0: one for each core."),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mrspipe {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: mrspipe demo my_demo")
def demo(
    out: Annotated[Path, typer.Argument(help="Folder for the cohort and its results.")] = Path("mrspipe_demo"),
    n_procs: Processes = None,
    quiet: Quiet = False,
) -> None:
    """Make a small synthetic cohort of the cocaine study and analyse it."""
    from mrspipe.config import bundled, load_config
    from mrspipe.console import Console
    from mrspipe.pipeline.study import StudyRequest, analyse_study
    from mrspipe.synth.recipe import load_recipe
    from mrspipe.synth.study import write_study

    console = Console(quiet=quiet)
    bids_dir = out / "bids"
    with console.progress() as progress:
        if not bids_dir.exists():
            recipe = load_recipe(bundled("synthetic_data", "small"))
            write_study(recipe, bids_dir, progress=lambda done, total: progress("Synthetic scans", done, total))
        config = _with_processes(load_config("cocaine_nacc"), n_procs)
        summary = analyse_study(StudyRequest(bids_dir, out / "derivatives", config), progress=progress)
    console.study(summary)
    raise typer.Exit(1 if summary.failures else 0)


@app.command(epilog="Example: mrspipe run my_study my_study/derivatives/mrspipe --config cocaine_nacc")
def run(
    bids_dir: BidsDir,
    out_dir: OutDir,
    level: Annotated[str | None, typer.Argument(help="participant or group; both without it.")] = None,
    config: ConfigOption = None,
    participant_label: Participants = None,
    session_label: Sessions = None,
    task_id: Tasks = None,
    bids_filter_file: Filters = None,
    derivatives: Derivatives = None,
    n_procs: Processes = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Analyse a study: every scan, then the group, then the pages. A second run computes only what changed."""
    from mrspipe.console import Console
    from mrspipe.pipeline.study import LEVELS, analyse_study, find_refused, plan_study

    console = Console(quiet=quiet)
    if level is not None and level not in LEVELS:
        raise typer.BadParameter(f"'{level}' is neither participant nor group.", param_hint="LEVEL")
    request = _request(
        bids_dir, out_dir, config, participant_label, session_label, task_id, bids_filter_file, derivatives, n_procs
    )
    if dry_run:
        console.plan(plan_study(request, find_refused(request)))
        return
    with console.progress() as progress:
        summary = analyse_study(request, levels=(level,) if level else LEVELS, progress=progress)
    console.study(summary)
    raise typer.Exit(1 if summary.failures else 0)


@app.command(epilog="Example: mrspipe check my_study")
def check(
    bids_dir: BidsDir,
    config: ConfigOption = None,
    participant_label: Participants = None,
    derivatives: Derivatives = None,
    quiet: Quiet = False,
) -> None:
    """List the scans with their water reference and anatomy, and every doubt, before anything is computed."""
    from mrspipe.console import Console
    from mrspipe.pipeline.preflight import check_study

    request = _request(bids_dir, None, config, participant_label, None, None, None, derivatives, None)
    report = check_study(request.bids_dir, request.config, request.selection, request.derivatives)
    Console(quiet=quiet).preflight(report)
    raise typer.Exit(1 if report.failures else 0)


@app.command(epilog="Example: mrspipe fit scan.nii.gz --water ref.nii.gz --basis press30.basis --out fit")
def fit(
    spectra: Annotated[list[Path], typer.Argument(help="NIfTI-MRS, LCModel RAW or vendor files.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the results are written.", show_default=False)],
    basis: Annotated[
        Path | None,
        typer.Option("--basis", help="Basis set (LCModel, FSL-MRS, jMRUI, NIfTI-MRS); simulated without it."),
    ] = None,
    water: Annotated[
        list[Path] | None, typer.Option("--water", help="Water reference, once for each spectrum, in order.")
    ] = None,
    mm: Annotated[
        str | None,
        typer.Option("--mm", help="Macromolecules: auto, parametrised, basis, or study (learned from all SPECTRUM)."),
    ] = None,
    config: ConfigOption = None,
    dwell_s: Annotated[float | None, typer.Option("--dwell-s", help="Dwell time of RAW files, in s.")] = None,
    spectrometer_mhz: Annotated[
        float | None, typer.Option("--spectrometer-mhz", help="Frequency of RAW files, in MHz.")
    ] = None,
    te_ms: Annotated[float | None, typer.Option("--te-ms", help="Echo time of RAW files, in ms.")] = None,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw each fit (fit.svg).")] = True,
    joint: Annotated[
        bool, typer.Option("--joint", help="All SPECTRUM are of one subject: write what changed since the first.")
    ] = False,
    n_procs: Processes = None,
    quiet: Quiet = False,
) -> None:
    """Fit spectra without a study."""
    from mrspipe.config import load_config, with_settings
    from mrspipe.console import Console
    from mrspipe.pipeline.spectra import RawHeader, fit_files

    console = Console(quiet=quiet)
    settings = _with_processes(load_config(config), n_procs)
    if basis is not None:
        settings = with_settings(settings, "basis", file=str(basis))
    if mm is not None:
        settings = with_settings(settings, "fit", mm=mm)
    header = RawHeader(
        dwell_s,
        spectrometer_mhz * 1e6 if spectrometer_mhz else None,
        te_ms * 1e-3 if te_ms else None,
    )
    with console.progress() as progress:
        batch = fit_files(spectra, water or [], out, settings, header, progress, figures=figures, joint=joint)
    if batch.note:
        console.say(batch.note)
    console.spectra(batch.outcomes, out)
    raise typer.Exit(1 if any(outcome.failure for outcome in batch.outcomes) else 0)


@app.command(epilog="Example: mrspipe basis press32.basis --sequence press --te-ms 32 --field-t 3")
def basis(
    arguments: Annotated[
        list[Path],
        typer.Argument(
            help="File to write; or: convert IN OUT; or: nulled SCAN IN OUT.",
            metavar="OUT | convert IN OUT | nulled SCAN IN OUT",
        ),
    ],
    sequence: Annotated[
        str | None, typer.Option(help="press, steam, slaser, special, spin_echo or pulse_acquire.")
    ] = None,
    te_ms: Annotated[float | None, typer.Option("--te-ms", help="Echo time, in ms.")] = None,
    field_t: Annotated[float | None, typer.Option("--field-t", help="Static field, in T.")] = None,
    te1_ms: Annotated[
        float | None, typer.Option("--te1-ms", help="First echo time of PRESS, or first pair of semi-LASER, in ms.")
    ] = None,
    tm_ms: Annotated[float | None, typer.Option("--tm-ms", help="Mixing time of STEAM, in ms.")] = None,
    points: Annotated[int, typer.Option(help="Number of points.")] = 2048,
    bandwidth_hz: Annotated[float, typer.Option("--bandwidth-hz", help="Spectral width, in Hz.")] = 2000.0,
    linewidth_hz: Annotated[float, typer.Option("--linewidth-hz", help="Lorentzian width, in Hz.")] = 1.0,
    metabolite: Annotated[list[str] | None, typer.Option(help="Only this metabolite; may be repeated.")] = None,
    pulses: Annotated[str, typer.Option(help="ideal, or shaped (slice-selective).")] = "ideal",
    pulse_file: Annotated[
        Path | None, typer.Option("--pulse-file", help="TOML with tables excitation, refocusing, inversion.")
    ] = None,
    excitation: Annotated[Path | None, typer.Option(help="Waveform of the 90 degree pulses, TOML or CSV.")] = None,
    refocusing: Annotated[Path | None, typer.Option(help="Waveform of the 180 degree pulses, TOML or CSV.")] = None,
    inversion: Annotated[Path | None, typer.Option(help="Waveform of the inversion of SPECIAL, TOML or CSV.")] = None,
    nitrogen: Annotated[bool, typer.Option(help="Couplings with 14N in choline compounds.")] = True,
    reference: Annotated[bool, typer.Option("--reference", help="Add a singlet at 0 ppm to every metabolite.")] = False,
    water: Annotated[Path | None, typer.Option(help="Water reference of the nulled scan.")] = None,
) -> None:
    """Simulate a basis set; or read one and repair it (convert); or add the macromolecules of a nulled scan (nulled).

    The ending names the format: .basis (LCModel), .txt (jMRUI), .nii.gz (NIfTI-MRS), none (folder of FSL-MRS JSON).
    """
    from mrspipe.pipeline.basis import convert_basis, pulse_settings, simulate_to_file

    if len(arguments) == 3 and str(arguments[0]) == "convert":
        written = convert_basis(arguments[1], arguments[2])
        for repair in written.repairs:
            typer.echo(f"Repaired: {repair}.")
    elif len(arguments) == 4 and str(arguments[0]) == "nulled":
        from mrspipe.pipeline.nulled import add_macromolecules

        written = add_macromolecules(arguments[1], water, *arguments[2:])
    elif len(arguments) != 1:
        hint = "Give one file to write, or: convert IN OUT, or: nulled SCAN IN OUT."
        raise typer.BadParameter(hint, param_hint="OUT")
    elif sequence is None or te_ms is None or field_t is None:
        raise typer.BadParameter("A simulation needs --sequence, --te-ms and --field-t.")
    elif pulses != "shaped" and any((pulse_file, excitation, refocusing, inversion)):
        raise typer.BadParameter("Designs and waveforms of pulses need --pulses shaped.", param_hint="--pulses")
    else:
        waveforms = {"excitation": excitation, "refocusing": refocusing, "inversion": inversion}
        written = simulate_to_file(
            arguments[0],
            {
                "sequence": sequence,
                "echo_time_s": te_ms * 1e-3,
                "te1_s": None if te1_ms is None else te1_ms * 1e-3,
                "mixing_time_s": None if tm_ms is None else tm_ms * 1e-3,
                "pulses": pulses,
                "pulse_shapes": pulse_settings(pulse_file, waveforms),
                "nitrogen": nitrogen,
            },
            field_t=field_t,
            n_points=points,
            bandwidth_hz=bandwidth_hz,
            linewidth_hz=linewidth_hz,
            metabolites=tuple(metabolite or ()),
            reference=reference,
        )
    typer.echo(f"{arguments[-1]}: {len(written.names)} entries ({', '.join(written.names)}).")


@app.command(epilog="Example: mrspipe synth small my_cohort")
def synth(
    recipe: Annotated[str, typer.Argument(help="TOML recipe, or the name of a bundled one.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="New folder for the BIDS dataset.", show_default=False)],
    random_seed: Annotated[int | None, typer.Option("--random-seed", min=0, help="Instead of the recipe's.")] = None,
    quiet: Quiet = False,
) -> None:
    """Make a synthetic study; its truth is written beside the dataset, to OUT_truth."""
    from mrspipe.config import bundled
    from mrspipe.console import Console
    from mrspipe.synth.recipe import load_recipe
    from mrspipe.synth.study import truth_folder, write_study

    console = Console(quiet=quiet)
    with console.progress() as progress:
        write_study(
            load_recipe(bundled("synthetic_data", recipe)),
            out,
            seed=random_seed,
            progress=lambda done, total: progress("Synthetic scans", done, total),
        )
    console.say(f"Dataset: {out}\nTruth:   {truth_folder(out)}")


@app.command("import", epilog="Example: mrspipe import scan.SDAT my_study --sub 01 --ref water.SDAT")
def import_(
    sources: Annotated[
        list[Path], typer.Argument(help="Vendor files or a folder, then BIDS_DIR.", metavar="SOURCE... BIDS_DIR")
    ],
    sub: Annotated[str, typer.Option("--sub", help="Participant label.", show_default=False)],
    ses: Annotated[str | None, typer.Option("--ses", help="Session label.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="Task label.")] = None,
    acq: Annotated[str | None, typer.Option("--acq", help="Acquisition label.")] = None,
    run_: Annotated[str | None, typer.Option("--run", help="Run number.")] = None,
    inv: Annotated[str | None, typer.Option("--inv", help="Number of an inversion scan (metabolites nulled).")] = None,
    ref: Annotated[Path | None, typer.Option("--ref", help="Water reference.")] = None,
    t1w: Annotated[Path | None, typer.Option("--t1w", help="T1-weighted image (NIfTI).")] = None,
    quiet: Quiet = False,
) -> None:
    """Convert vendor files to BIDS with complete sidecars."""
    from mrspipe.console import Console
    from mrspipe.core.signal import ScanKey
    from mrspipe.io.vendor import import_files

    if len(sources) < 2:
        raise typer.BadParameter(
            "Give the vendor files first and the BIDS folder last.", param_hint="SOURCE... BIDS_DIR"
        )
    key = ScanKey(
        sub=sub.removeprefix("sub-"), ses=ses and ses.removeprefix("ses-"), task=task, acq=acq, run=run_, inv=inv
    )
    report = import_files(sources[:-1], sources[-1], key, reference=ref, t1w=t1w)
    console = Console(quiet=quiet)
    for path in report.written:
        console.say(f"Wrote {path}")
    for note in report.notes:
        console.say(f"Note: {note}")


@app.command(epilog="Example: mrspipe group my_study/derivatives/mrspipe --config cocaine_nacc")
def group(
    out_dir: Annotated[Path, typer.Argument(help="Results of mrspipe run.", show_default=False)],
    config: ConfigOption = None,
    quiet: Quiet = False,
) -> None:
    """Compare the groups again from the tables, without fitting."""
    from mrspipe.console import Console
    from mrspipe.pipeline.study import compare_again

    Console(quiet=quiet).study(compare_again(out_dir, config))


@app.command(epilog="Example: mrspipe report my_study/derivatives/mrspipe")
def report(
    out_dir: Annotated[Path, typer.Argument(help="Results of mrspipe run.", show_default=False)],
    quiet: Quiet = False,
) -> None:
    """Make the pages again, without computing anything."""
    from mrspipe.console import Console
    from mrspipe.pipeline.study import report_again

    console = Console(quiet=quiet)
    with console.progress() as progress:
        page = report_again(out_dir, progress)
    console.say(f"Report: {page}")


def _with_processes(config: "StudyConfig", n_procs: int | None) -> "StudyConfig":
    from mrspipe.config import with_settings

    return config if n_procs is None else with_settings(config, "engine", n_procs=n_procs)


def _request(
    bids_dir: Path,
    out_dir: Path | None,
    config: str | None,
    participants: list[str] | None,
    sessions: list[str] | None,
    tasks: list[str] | None,
    filter_file: Path | None,
    derivatives: list[str] | None,
    n_procs: int | None,
) -> "StudyRequest":
    from mrspipe.config import load_config
    from mrspipe.io.bids import Selection
    from mrspipe.io.tables import read_json
    from mrspipe.pipeline.study import StudyRequest

    return StudyRequest(
        bids_dir=bids_dir,
        out_dir=out_dir or bids_dir / "derivatives" / "mrspipe",
        config=_with_processes(load_config(config), n_procs),
        selection=Selection(
            tuple(participants or ()),
            tuple(sessions or ()),
            tuple(tasks or ()),
            read_json(filter_file) if filter_file else {},
        ),
        derivatives=dict(_named_path(text) for text in derivatives or ()),
    )


def _named_path(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator:
        return Path(text).name, Path(text)
    return name, Path(path)


def main() -> None:
    """Entry point: errors meant for the user are one line, and the exit code says what happened."""
    for name in _THREAD_COUNTS:
        # Read when a library is loaded, which happens later, inside the commands.
        os.environ.setdefault(name, "1")
    try:
        app()
    except MrspipeError as error:
        typer.echo(f"mrspipe: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        typer.echo(
            f"mrspipe: {place}{error.strerror or error}. Check the path, its permissions and the disk.", err=True
        )
        sys.exit(2)
