"""Which water reference and anatomy belong to a spectrum.

The order is always: what the sidecar names, then what the file names imply, then nothing with the reason. Where two
files fit equally well nothing is chosen: the user is asked.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrspipe.core.errors import PairingError
from mrspipe.io.names import BidsFile, is_part_of, parse_name, parse_names, resolve_links

NO_WATER = "no water reference"
OTHER_ANATOMY = "AnatomicalImage names an image of another subject"

# Acquisition labels that say what a reference is for, not how it was acquired (BIDS suggests the first two).
_REFERENCE_ROLES = frozenset({"conc", "ecc", "ref", "water"})


def pair_water(
    scan: BidsFile, sidecar: Mapping[str, Any], references: Sequence[BidsFile], *, root: Path
) -> BidsFile | None:
    """Find the water reference of a scan.

    ``ReferenceSignal`` of the sidecar decides; else the reference with the same entities; else the one reference of
    the session whose entities are all among the scan's (a reference without ``task`` serves all tasks). Of several, the
    one for concentrations (``acq-conc``) is taken.

    Parameters
    ----------
    scan : BidsFile
    sidecar : mapping
    references : sequence of BidsFile
        All ``mrsref`` images of the dataset or the subject.
    root : Path

    Returns
    -------
    BidsFile or None
        None when there is none.

    Raises
    ------
    PairingError
        ``water-choice``: several fit; ``water-missing``: the sidecar names a file that is not there;
        ``water-other-subject``: it names a file of somebody else.
    """
    if sidecar.get("ReferenceSignal"):
        return _only_water(_named_water(scan, sidecar["ReferenceSignal"], root), scan)
    visit = [r for r in references if _visit(r.entities) == _visit(scan.entities)]
    same = [r for r in visit if is_part_of(r.entities, scan.entities) and is_part_of(scan.entities, r.entities)]
    fewer = [r for r in visit if is_part_of(r.entities, scan.entities)]
    other_role = [r for r in visit if is_part_of(_without_role(r, scan), scan.entities)]
    return _only_water(same or fewer or other_role, scan)


def _visit(entities: Mapping[str, str]) -> tuple[str | None, str | None]:
    return entities.get("sub"), entities.get("ses")


def _without_role(reference: BidsFile, scan: BidsFile) -> dict[str, str]:
    """The reference's entities without an ``acq`` that only says that it is a reference."""
    entities = dict(reference.entities)
    role = entities.get("acq", "").removeprefix(scan.entities.get("acq", ""))
    if role in _REFERENCE_ROLES:
        del entities["acq"]
    return entities


def _named_water(scan: BidsFile, links: Any, root: Path) -> list[BidsFile]:
    where = f"{scan.path.name}, ReferenceSignal"
    paths = resolve_links(links, root=root, subject=scan.entities["sub"], where=where)
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise PairingError(
            f"The sidecar names a water reference that is not there: {_below(missing[0], root)}.",
            where=where,
            cure="Add the file, or correct or remove the key.",
            code="water-missing",
        )
    named = list(parse_names(paths))
    foreign = [r for r in named if r.entities.get("sub") != scan.entities["sub"]]
    if foreign:
        raise PairingError(
            f"The sidecar names a water reference of another subject: {_below(foreign[0].path, root)}.",
            where=where,
            cure="Name the reference of this subject.",
            code="water-other-subject",
        )
    return named


def _only_water(candidates: Sequence[BidsFile], scan: BidsFile) -> BidsFile | None:
    for_concentration = [r for r in candidates if r.entities.get("acq", "").endswith("conc")]
    chosen = for_concentration if len(for_concentration) == 1 else candidates
    if len(chosen) > 1:
        raise PairingError(
            f"{' and '.join(r.path.name for r in chosen)} both fit as water reference.",
            where=scan.path.name,
            cure="Name one in ReferenceSignal of the scan's sidecar, as a BIDS URI (bids::sub-01/mrs/...).",
            code="water-choice",
        )
    return chosen[0] if chosen else None


def pair_anatomy(
    scan: BidsFile, sidecar: Mapping[str, Any], images: Sequence[BidsFile], *, root: Path
) -> tuple[Path | None, str]:
    """Find the anatomical image of a scan.

    ``AnatomicalImage`` of the sidecar decides; else the one T1w image of the session; else the one of the subject.

    Returns
    -------
    path : Path or None
    note : str
        Why there is none.
    """
    if sidecar.get("AnatomicalImage"):
        where = f"{scan.path.name}, AnatomicalImage"
        links = resolve_links(sidecar["AnatomicalImage"], root=root, subject=scan.entities["sub"], where=where)
        there = [path for path in links if path.is_file()]
        if any(_subject(path) != scan.entities["sub"] for path in there):
            return None, OTHER_ANATOMY
        missing = f"AnatomicalImage names {_below(links[0], root)}, which is not there"
        return (there[0], "") if there else (None, missing)
    of_subject = [image for image in images if image.entities.get("sub") == scan.entities["sub"]]
    of_session = [image for image in of_subject if image.entities.get("ses") == scan.entities.get("ses")]
    candidates = of_session or of_subject
    if len(candidates) > 1:
        names = ", ".join(image.path.name for image in candidates)
        return None, f"several T1w images fit ({names}); name one in AnatomicalImage of the scan's sidecar"
    return (candidates[0].path, "") if candidates else (None, "no T1w image")


def _subject(path: Path) -> str | None:
    named = parse_name(path)
    return named.entities.get("sub") if named else None


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
