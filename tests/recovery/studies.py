"""The studies that the claims are made about."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recovery.evaluation import Treatment
from recovery.first_family import FirstFamily, random_lines
from recovery.generator import Conditions, Family
from recovery.second_family import SecondFamily
from recovery.shapes import invented_shapes, measured_shapes

_FAMILIES: dict[str, Callable[[int, Path | None], Family]] = {
    "first": lambda seed, _: FirstFamily(),
    "first-t2": lambda seed, _: FirstFamily(t2_widths=True),
    "random": lambda seed, _: FirstFamily(random_lines(seed), t2_widths=True),
    "second": lambda seed, _: SecondFamily.of(invented_shapes(), seed),
    "measured": lambda seed, folder: SecondFamily.of(measured_shapes(_given(folder)), seed),
}
FAMILIES = tuple(_FAMILIES)
"""Names of the kinds of studies.

- ``first``: macromolecule lines of its own, all metabolites equally broad.
- ``first-t2``: the same with the widths of each metabolite's T2.
- ``random``: as ``first-t2``, with the lines that the fit expects moved at random for each study.
- ``second``: other in kind, invented.
- ``measured``: the same with shapes measured in vivo.
"""

USUAL = Conditions()


@dataclass(frozen=True, slots=True)
class Study:
    """Spectra of one study and how they are fitted."""

    name: str
    family: str
    treatment: Treatment
    n: int
    seed: int
    conditions: Conditions = USUAL


def family_of(name: str, seed: int, folder: Path | None = None) -> Family:
    """Give a family of `FAMILIES`.

    Parameters
    ----------
    name : str
    seed : int
        Draws what is random in a study.
    folder : Path, optional
        Of the measured shapes.
    """
    return _FAMILIES[name](seed, folder)


def _given(folder: Path | None) -> Path:
    if folder is None:
        raise ValueError("Measured shapes need the folder of the files that they come from.")
    return folder


STUDIES = (
    Study("first", "first", "study", 40, 101),
    Study("first, general list", "first", "generic", 40, 101),
    Study("first, macromolecules given", "first", "given", 40, 101),
    Study("first, noisy", "first", "study", 30, 102, Conditions(peak_to_noise=10)),
    Study("first, little noise", "first", "study", 30, 103, Conditions(peak_to_noise=80)),
    Study("first, broad lines", "first", "study", 30, 104, Conditions(fwhm_hz=(8, 11))),
    Study("first, rough baseline", "first", "given", 30, 105, Conditions(baseline=2.0)),
    Study("first with T2", "first-t2", "study", 40, 101),
    Study("first with T2, macromolecules given", "first-t2", "given", 40, 101),
    Study("random lines, one", "random", "study", 30, 106),
    Study("random lines, two", "random", "study", 30, 107),
    Study("second, one", "second", "study", 30, 108),
    Study("second, two", "second", "study", 30, 109),
    Study("second, macromolecules given", "second", "given", 40, 108),
    Study("measured", "measured", "study", 40, 110),
    Study("measured, macromolecules given", "measured", "given", 40, 110),
)
