"""Commands on single spectra and basis sets: fit, basis."""

from pathlib import Path
from typing import Annotated

import typer

from mrspipe.cli.app import app
from mrspipe.cli.options import (
    ConfigOption,
    Processes,
    Quiet,
    with_processes,
)


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
    settings = with_processes(load_config(config), n_procs)
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
