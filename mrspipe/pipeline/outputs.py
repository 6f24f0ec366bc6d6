"""An output folder as steps: each is done again only when what it depends on changed, or what it wrote is gone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrspipe.core.errors import InputError
from mrspipe.core.signal import ScanKey
from mrspipe.io.atomic import is_unfinished, recorded
from mrspipe.io.digests import fingerprint
from mrspipe.io.file_hashes import FileHashes
from mrspipe.io.manifest import Manifest, ManifestEntry, changed_outputs, is_current, read_manifest, write_manifest
from mrspipe.io.program import program_mark

# Notes of single runs, which no result depends on.
_NOT_OUTPUTS = "logs"


@dataclass(frozen=True, slots=True)
class Outputs:
    """The steps of an output folder.

    Parameters
    ----------
    out_dir : Path
    hashes : FileHashes
    """

    out_dir: Path
    hashes: FileHashes

    def manifest(self) -> Manifest:
        """Read what was finished."""
        return read_manifest(self.out_dir)

    def is_current(self, manifest: Manifest, name: str, mark: str) -> bool:
        """Tell whether a step need not be done again."""
        return is_current(manifest, name, mark, self.hashes.of)

    def make(self, manifest: Manifest, name: str, parts: Sequence[object], write: Callable[[], None]) -> ManifestEntry:
        """Do a step of this process unless it is current.

        Parameters
        ----------
        manifest : Manifest
        name : str
        parts : sequence
            Everything the step depends on, apart from the program.
        write : callable
            Writes its outputs.

        Returns
        -------
        ManifestEntry
            As it is now.
        """
        mark = fingerprint(program_mark(), *parts)
        if self.is_current(manifest, name, mark):
            return manifest.entries[name]
        with recorded() as written:
            write()
        results = [path for path in written if path.relative_to(self.out_dir).parts[0] != _NOT_OUTPUTS]
        return write_manifest(self.out_dir, name, mark, results)


def results_of(manifest: Manifest, scans: Iterable[ScanKey]) -> dict[str, ManifestEntry]:
    """Give what is noted of scans, by the scan's label: their results, and the fingerprint of what these depend on."""
    return {key.label: manifest.entries[key.label] for key in scans if key.label in manifest.entries}


def contents(manifest: Manifest, scans: Iterable[ScanKey]) -> dict[str, Mapping[str, str]]:
    """Give the hashes of all results of scans, by the scan's label: what tables and pages are made from."""
    return {label: entry.outputs for label, entry in results_of(manifest, scans).items()}


def verify(out_dir: Path) -> list[tuple[str, str]]:
    """Compare an output folder with its manifest; every file is read.

    Parameters
    ----------
    out_dir : Path

    Returns
    -------
    list of (str, str)
        Path and problem, sorted: ``missing``, ``changed``, ``foreign`` (no run wrote it) or ``unfinished`` (a run that
        was killed left it).

    Raises
    ------
    InputError
        No run wrote to this folder.
    """
    manifest = read_manifest(out_dir)
    if not manifest.entries:
        raise InputError(
            "There are no results of mrspipe run here.",
            where=str(out_dir),
            cure="Give the folder that mrspipe run wrote to.",
            code="no-results",
        )
    problems = {path: kind for name in manifest.entries for path, kind in changed_outputs(manifest, name).items()}
    known = {path for entry in manifest.entries.values() for path in entry.outputs}
    for path in out_dir.rglob("*"):
        name = path.relative_to(out_dir)
        if path.is_dir() and not path.is_symlink():
            continue
        if is_unfinished(path):
            problems[name.as_posix()] = "unfinished"
        elif name.parts[0] != _NOT_OUTPUTS and name.as_posix() not in known:
            problems[name.as_posix()] = "foreign"
    return sorted(problems.items())
