"""The program that the commands register with."""

from typing import Annotated

import typer

from mrspipe import __version__

app = typer.Typer(
    name="mrspipe",
    help="From a folder of 1H magnetic resonance spectroscopy scans to a trustworthy group result.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
