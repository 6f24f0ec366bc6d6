"""BIDS file names: entities, suffix, and the links between files.

A name is ``sub-01_ses-1_task-cue_svs.nii.gz``: entities ``key-value``, then a suffix, then an ending.
"""

import os.path
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mrspipe.core.errors import PairingError
from mrspipe.core.signal import ScanKey

NIFTI_ENDINGS = (".nii.gz", ".nii")
SCAN_ENTITIES = tuple(f.name for f in fields(ScanKey))
# Values of these are numbers, so that 1 and 01 are the same.
_INDEX_ENTITIES = frozenset({"run", "echo", "inv"})
_ENTITY = re.compile(r"([a-z]+)-([A-Za-z0-9+]+)")
_LABELS = re.compile(rf"(?<![A-Za-z0-9]){_ENTITY.pattern}")
_SUFFIX = re.compile(r"[A-Za-z0-9]+")
_URI = re.compile(r"bids:(?P<dataset>[^:]*):(?P<path>.+)")


@dataclass(frozen=True, slots=True)
class BidsFile:
    """A path and what its name says."""

    path: Path
    entities: Mapping[str, str]
    suffix: str
    ending: str

    @property
    def is_nifti(self) -> bool:
        """True for ``.nii`` and ``.nii.gz``."""
        return self.ending in NIFTI_ENDINGS


def parse_name(path: Path) -> BidsFile | None:
    """Read entities and suffix from a file name; None when it is not a BIDS name.

    Examples
    --------
    >>> file = parse_name(Path("sub-01_task-cue_svs.nii.gz"))
    >>> dict(file.entities), file.suffix, file.ending
    ({'sub': '01', 'task': 'cue'}, 'svs', '.nii.gz')
    >>> parse_name(Path("notes.from.monday.txt")) is None
    True
    """
    stem, dot, ending = path.name.partition(".")
    *pairs, suffix = stem.split("_")
    matches = [_ENTITY.fullmatch(pair) for pair in pairs]
    if not _SUFFIX.fullmatch(suffix) or not dot or ending.count(".") > 1:
        return None
    entities = {match[1]: match[2] for match in matches if match}
    return BidsFile(path, entities, suffix, f".{ending}") if len(entities) == len(pairs) else None


def parse_names(paths: Iterable[Path]) -> tuple[BidsFile, ...]:
    """Parse the paths that have BIDS names, sorted by path."""
    return tuple(file for file in map(parse_name, sorted(paths)) if file is not None)


def labels_in(text: str) -> dict[str, str]:
    """Find the BIDS entities that a path or any other text names; those further right win.

    Examples
    --------
    >>> labels_in("sub-01/ses-2/raw_task-cue.dat")
    {'sub': '01', 'ses': '2', 'task': 'cue'}
    """
    return {name: value for name, value in _LABELS.findall(text) if name in SCAN_ENTITIES}


def same_value(entity: str, left: str, right: str) -> bool:
    """Compare two values of an entity; run 1 is run 01."""
    if entity in _INDEX_ENTITIES and left.isdecimal() and right.isdecimal():
        return int(left) == int(right)
    return left == right


def is_part_of(entities: Mapping[str, str], whole: Mapping[str, str]) -> bool:
    """Tell whether all entities are among those of ``whole``, with the same values."""
    return all(name in whole and same_value(name, value, whole[name]) for name, value in entities.items())


def resolve_links(value: Any, *, root: Path, subject: str, where: str) -> tuple[Path, ...]:
    """Turn the BIDS URIs of a sidecar key into paths; they need not exist.

    Parameters
    ----------
    value : str or list of str
        ``bids::sub-01/mrs/x.nii.gz``, or a path below the dataset's root or the subject's folder.
    root : Path
        The dataset that ``bids::`` stands for.
    subject : str
        Subject label, without ``sub-``.
    where : str
        File and key, for the message.

    Raises
    ------
    PairingError
        It is not text, or leads out of this dataset.
    """
    links = value if isinstance(value, list) else [value]
    return tuple(_resolve_link(link, root, subject, where) for link in links)


def _resolve_link(link: object, root: Path, subject: str, where: str) -> Path:
    if not isinstance(link, str) or not link.strip():
        raise PairingError(
            f"A link must be a BIDS URI such as bids::sub-01/mrs/..., got {link!r}.",
            where=where,
            cure="Correct or remove the key.",
            code="link",
        )
    uri = _URI.fullmatch(link)
    if uri is None:
        below_subject = root / f"sub-{subject}" / link
        return _inside(below_subject if below_subject.exists() else root / link, link, root, where)
    if uri["dataset"]:
        raise PairingError(
            f"{link} lies in the dataset {uri['dataset']!r}; only links inside this dataset (bids::) are followed.",
            where=where,
            cure="Copy or link the file into this dataset.",
            code="link",
        )
    return _inside(root / uri["path"], link, root, where)


def _inside(path: Path, link: str, root: Path, where: str) -> Path:
    """Refuse a path that climbs out of the dataset; symbolic links are not followed, content may lie elsewhere."""
    plain = Path(os.path.normpath(path))
    if not plain.is_relative_to(root):
        raise PairingError(
            f"{link} leads out of the dataset.",
            where=where,
            cure="Name a file in this dataset: bids::sub-01/mrs/...",
            code="link",
        )
    return plain
