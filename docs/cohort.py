"""Write the page of the synthetic studies' numbers from the recipes and the defaults.

Usage: python docs/cohort.py > docs/cohort.md
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mrspipe.synth.origin import Fact, facts
from mrspipe.synth.recipe import Recipe, load_recipe

_FOLDER = Path(__file__).parents[1] / "synthetic_data"
_HEAD = """# Numbers of the synthetic studies

Made from `synthetic_data/` and the defaults in `mrspipe/synth/` with `python docs/cohort.py > docs/cohort.md`; do not
edit. Defaults that are zero, such as losses nobody asked for, are left out.

| tag | meaning |
|---|---|
| read | stands in a public source |
| derived | computed from numbers that were read, or measured with the command named |
| recalled | remembered, not verified |
| assumed | our own choice, never a fact of a paper |
"""


def page() -> str:
    """The page as Markdown."""
    recipes = {path.stem: load_recipe(path) for path in sorted(_FOLDER.glob("*.toml"))}
    known = recipes.pop("paper_like")
    parts = [_HEAD, _implied(known), _section("paper_like", known, facts(known))]
    there = [(fact.place, fact.value) for fact in facts(known)]
    note = "Only what differs from `paper_like`."
    for name, recipe in recipes.items():
        other = [fact for fact in facts(recipe) if (fact.place, fact.value) not in there]
        parts.append(_section(name, recipe, other, note))
    return "\n".join(parts)


def _implied(recipe: Recipe) -> str:
    """What the numbers of glutamate imply for two tests, without and with spectra."""
    glu = recipe.levels["Glu"]
    shifts = {(effect.group, effect.task): effect for effect in recipe.effects if effect.on == "Glu"}
    group, cue = shifts["CAI", ""].shift, shifts["CAI", "cue"]
    rows = []
    for name, scan_sd in (("`residual_sd`", glu.residual_sd), ("`fit_sd`", glu.fit_sd)):
        total = math.hypot(glu.subject_sd, glu.session_sd, scan_sd)
        change = math.hypot(math.sqrt(2) * scan_sd, cue.subject_sd)
        rows.append(f"| {name} | {scan_sd:.2f} | {abs(group) / total:.2f} | {cue.shift / change:.2f} |")
    return "\n".join(
        [
            "## What they imply",
            "",
            "Glutamate of patients against controls in one cell (d), and its change during the cue in patients (dz,",
            "one session). With `residual_sd` as the SD of a single scan they are those of the poster. Simulated",
            "spectra that are fitted each alone have `fit_sd` instead, so a study of them has less power.",
            "",
            "| SD of a scan | in mM | d | dz |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _section(name: str, recipe: Recipe, numbers: Iterable[Fact], note: str = "") -> str:
    rows = [_row(fact) for fact in numbers if fact.given or fact.value]
    head = [f"## `{name}`", "", recipe.description, *([note] if note else []), ""]
    empty = ["The numbers are the same."]
    table = ["| quantity | value | unit | tag | source |", "|---|---|---|---|---|", *rows]
    return "\n".join([*head, *(table if rows else empty), ""])


def _row(fact: Fact) -> str:
    tag = fact.origin.tag if fact.origin else ""
    return f"| `{fact.place}` | {_value(fact.value)} | {fact.unit} | {tag} | {_source(fact)} |"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(one)}" for key, one in value.items())
    if isinstance(value, Sequence):
        return ", ".join(_value(one) for one in value)
    return f"{value:.10g}"


def _source(fact: Fact) -> str:
    if fact.origin is None:
        return ""
    source = f"`{fact.origin.source}`" if fact.origin.source.startswith("python ") else fact.origin.source
    return "; ".join(filter(None, (source, fact.origin.note)))


if __name__ == "__main__":
    sys.stdout.write(page())
