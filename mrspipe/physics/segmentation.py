"""Which tissue the labels of FreeSurfer and SynthSeg are (numbers and sources in ``segmentation.toml``)."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from mrspipe.physics.relaxation import Tissue


@cache
def tissue_labels() -> Mapping[int, Tissue]:
    """Tissue of every label that is one.

    Examples
    --------
    >>> tissue_labels()[26], tissue_labels()[2035], tissue_labels()[4]
    ('GM', 'GM', 'CSF')
    """
    table = tomllib.loads(files("mrspipe.physics").joinpath("segmentation.toml").read_text(encoding="utf-8"))
    found: dict[int, Tissue] = {}
    for row in table["label"]:
        numbers = [*row.get("numbers", ()), *(n for low, high in row.get("ranges", ()) for n in range(low, high + 1))]
        found |= dict.fromkeys(numbers, row["tissue"])
    return found
