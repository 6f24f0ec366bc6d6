"""What was computed from what: lets an interrupted or repeated run compute only what changed.

A step's *fingerprint* is a hash over the content of everything its outputs depend on: the bytes of files, the
settings, the basis, the source of the program. A step is a scan, a page, or a table of the study. After it is
written, a small JSON keeps the fingerprint and the hash of each output. The step is current when the fingerprint is
the same **and** the outputs are still what was written; that a file exists proves nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mrspipe.core.errors import FileError
from mrspipe.io.atomic import is_unfinished
from mrspipe.io.digests import fingerprint as fingerprint
from mrspipe.io.digests import hash_file
from mrspipe.io.tables import read_json, write_json

_FOLDER = Path("logs") / "manifest"


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One step: the fingerprint of what it depends on, and the hash of each output by its path below the folder.

    ``inputs`` are the hashes of the images that went in, by their path below the dataset; for the record only.
    """

    fingerprint: str
    outputs: Mapping[str, str]
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All steps of an output folder that were finished, by name; a scan's name is its label."""

    out_dir: Path
    entries: Mapping[str, ManifestEntry]


def write_manifest(
    out_dir: Path, name: str, fingerprint: str, outputs: Iterable[Path], inputs: Mapping[str, str] | None = None
) -> ManifestEntry:
    """Note that a step is finished, and remove what it wrote before and does not write any more.

    Each step has its own file, so that workers need not wait for each other. Old outputs go before the note is
    replaced: a run that is killed between the two leaves a note that asks for files that are not there, and the step is
    done again.

    Parameters
    ----------
    out_dir : Path
        Output folder of the run.
    name : str
        Such as the label of a scan.
    fingerprint : str
        Of everything the outputs depend on.
    outputs : iterable of Path
        The files that were written, all below ``out_dir``.
    inputs : mapping of str to str, optional
        Hashes of the images that went in.

    Returns
    -------
    ManifestEntry
    """
    hashes = {output.relative_to(out_dir).as_posix(): hash_file(output) for output in dict.fromkeys(outputs)}
    entry = ManifestEntry(fingerprint, hashes, dict(inputs or {}))
    before = read_entry(out_dir, name)
    for output in before.outputs if before else ():
        if output not in hashes:
            (out_dir / output).unlink(missing_ok=True)
    write_json(_path(out_dir, name), entry)
    return entry


def _path(out_dir: Path, name: str) -> Path:
    return out_dir / _FOLDER / f"{name}.json"


def read_manifest(out_dir: Path) -> Manifest:
    """Read which steps were finished; an entry that cannot be read counts as not finished."""
    paths = [path for path in sorted((out_dir / _FOLDER).glob("*.json")) if not is_unfinished(path)]
    entries = {path.stem: _read_entry(path) for path in paths}
    return Manifest(out_dir, {name: entry for name, entry in entries.items() if entry is not None})


def read_entry(out_dir: Path, name: str) -> ManifestEntry | None:
    """Read one entry; None when there is none, or it cannot be read."""
    return _read_entry(_path(out_dir, name))


def _read_entry(path: Path) -> ManifestEntry | None:
    try:
        content = read_json(path)
    except FileError:
        return None
    print_of_inputs, outputs, inputs = (content.get(name) for name in ("fingerprint", "outputs", "inputs"))
    if not isinstance(print_of_inputs, str) or not isinstance(outputs, dict) or not outputs:
        return None
    inputs = inputs if isinstance(inputs, dict) else {}
    return ManifestEntry(print_of_inputs, *({str(n): str(v) for n, v in part.items()} for part in (outputs, inputs)))


def is_current(manifest: Manifest, name: str, fingerprint: str, hash_of: Callable[[Path], str] = hash_file) -> bool:
    """Tell whether a step need not be done again: it depends on the same, and its outputs are untouched.

    Parameters
    ----------
    manifest : Manifest
    name : str
    fingerprint : str
    hash_of : callable, optional
        Gives the hash of a file; by default it is read.
    """
    entry = manifest.entries.get(name)
    return entry is not None and entry.fingerprint == fingerprint and not changed_outputs(manifest, name, hash_of)


def changed_outputs(manifest: Manifest, name: str, hash_of: Callable[[Path], str] = hash_file) -> dict[str, str]:
    """Give the outputs of a step that are no longer what was written: ``missing`` or ``changed`` by their path."""
    problems = {}
    for output, expected in manifest.entries[name].outputs.items():
        path = manifest.out_dir / output
        if not path.is_file():
            problems[output] = "missing"
        elif hash_of(path) != expected:
            problems[output] = "changed"
    return problems


def set_aside(out_dir: Path, name: str) -> tuple[Path, ...]:
    """Move the outputs of a step that no longer hold to ``logs/outdated``, where no table or page takes them up.

    The note of the step goes last, so that a run that is killed meanwhile can be followed by one that ends the move.

    Parameters
    ----------
    out_dir : Path
    name : str

    Returns
    -------
    tuple of Path
        Where they are now; empty when the step had no outputs.
    """
    finished = read_entry(out_dir, name)
    moved = []
    for output in finished.outputs if finished else ():
        if (out_dir / output).exists():
            target = out_dir / "logs" / "outdated" / output
            target.parent.mkdir(parents=True, exist_ok=True)
            moved.append((out_dir / output).replace(target))
    _path(out_dir, name).unlink(missing_ok=True)
    return tuple(moved)
