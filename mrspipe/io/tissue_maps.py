"""Find the tissue maps of a scan in the folders of other programs.

What is found, all in the space of the T1w image:

==================  ============================================================  =============================
program             files                                                         what they hold
==================  ============================================================  =============================
fMRIPrep and BIDS   ``sub-01_label-GM_probseg.nii.gz``, ``WM``, ``CSF``             probabilities
SPM                 ``c1sub-01_T1w.nii`` (GM), ``c2...`` (WM), ``c3...`` (CSF)      probabilities
FAST, fsl_anat      ``..._pve_0.nii.gz`` (CSF), ``..._pve_1`` (GM), ``..._pve_2``   partial volumes
FreeSurfer          ``sub-01/mri/aseg.mgz``, ``sub-01_desc-aseg_dseg.nii.gz``       labels
SynthSeg            ``sub-01_T1w_synthseg.nii.gz``                                  labels
==================  ============================================================  =============================

Maps go before labels, which know no partial volumes. Where two sets fit equally well nothing is chosen: the user is
asked. An incomplete set is not completed from another.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mrspipe.core.errors import ConfigError, FileError, PairingError
from mrspipe.core.signal import ScanKey

TISSUES = ("GM", "WM", "CSF")
NO_TISSUE = "no tissue maps"

_NATIVE_SPACES = frozenset({"T1w", "orig"})
_ENTITY = re.compile(r"(?:^|[/_\W]|(?<=c[123]))(sub|ses|space)-([A-Za-z0-9]+)")
# A subject in a name, which a dot, an underscore or nothing follows.
_SUBJECT = re.compile(r"sub-([^._]+)(?=[._]|$)")
_LABELS = "labels"
# By program: what its file names look like, and which tissue the part that is captured stands for.
_PATTERNS: Mapping[str, tuple[re.Pattern[str], Mapping[str, str]]] = {
    "BIDS": (re.compile(r"sub-.*_label-(GM|WM|CSF)_probseg\.nii(?:\.gz)?"), {name: name for name in TISSUES}),
    "SPM": (re.compile(r"c([123]).*\.nii(?:\.gz)?"), {"1": "GM", "2": "WM", "3": "CSF"}),
    "FAST": (re.compile(r".*_pve_([012])\.nii(?:\.gz)?"), {"0": "CSF", "1": "GM", "2": "WM"}),
    _LABELS: (
        re.compile(r"(aseg)\.mgz|sub-.*_(desc-aseg)_dseg\.nii(?:\.gz)?|.*_(synthseg)\.(?:nii|nii\.gz|mgz)"),
        dict.fromkeys(("aseg", "desc-aseg", "synthseg"), _LABELS),
    ),
}


@dataclass(frozen=True, slots=True)
class TissueFile:
    """A map of one tissue, or an image of labels (``tissue`` is "labels"); ``session`` is empty without one."""

    path: Path
    program: str
    tissue: str
    session: str


@dataclass(frozen=True, slots=True)
class TissueSource:
    """Tissue maps of one derivative folder in the space of the T1w image, by subject."""

    name: str
    folder: Path
    by_subject: Mapping[str, tuple[TissueFile, ...]] = field(default_factory=dict)

    @property
    def files(self) -> tuple[TissueFile, ...]:
        """Those of all subjects."""
        return tuple(file for files in self.by_subject.values() for file in files)

    def maps_of(self, key: ScanKey) -> tuple[dict[str, Path], str]:
        """Give the maps of a scan by tissue, and why there are none.

        Maps of the scan's session come first; maps without a session serve all sessions. An image of labels is the
        path of all three tissues.

        Raises
        ------
        PairingError
            ``tissue-choice``: two maps of one tissue, or the maps of two programs, fit.
        """
        files = self.by_subject.get(key.sub, ())
        of_session = [file for file in files if file.session == (key.ses or "")]
        fitting = of_session or [file for file in files if not file.session]
        if not fitting:
            return {}, f"{NO_TISSUE} of this {'session' if files else 'subject'} in {self.name}"
        maps = [file for file in fitting if file.tissue != _LABELS]
        if not maps:
            return dict.fromkeys(TISSUES, self._only(fitting, "label images")), ""
        programs = sorted({file.program for file in maps})
        if len(programs) > 1:
            first, second = (next(f for f in maps if f.program == name) for name in programs[:2])
            raise self._choice(f"Maps of {programs[0]} and {programs[1]}", [first, second])
        by_tissue = {tissue: [file for file in maps if file.tissue == tissue] for tissue in TISSUES}
        missing = [tissue for tissue, found in by_tissue.items() if not found]
        if missing:
            return {}, f"{NO_TISSUE} of {', '.join(missing)} in {self.name}"
        return {tissue: self._only(found, f"{tissue} maps") for tissue, found in by_tissue.items()}, ""

    def _only(self, files: Sequence[TissueFile], what: str) -> Path:
        if len(files) > 1:
            raise self._choice(f"Two {what}", files)
        return files[0].path

    def _choice(self, what: str, files: Sequence[TissueFile]) -> PairingError:
        first, second = (file.path.relative_to(self.folder).as_posix() for file in files[:2])
        return PairingError(
            f"{what} fit: {first} and {second}.",
            where=str(self.folder),
            cure="Keep one per session in this folder, or name a folder that has one with -d NAME=PATH.",
            code="tissue-choice",
        )


def find_tissue_source(root: Path, derivatives: Mapping[str, Path], subjects: Sequence[str]) -> TissueSource | None:
    """Find the one derivative folder that holds tissue maps of the subjects.

    Parameters
    ----------
    root : Path
    derivatives : mapping of name to Path
        Folders to look in; empty: every folder under ``root/derivatives``.
    subjects : sequence of str
        Labels without ``sub-``.

    Returns
    -------
    TissueSource or None

    Raises
    ------
    ConfigError
        ``tissue-choice``: several hold maps, or none does and several hold labels.
    FileError
        A named folder is not there.
    """
    for name, folder in derivatives.items():
        if not folder.is_dir():
            raise FileError("The folder does not exist.", where=f"derivatives {name}={folder}", code="derivatives")
    under_root = {path.name: path for path in sorted((root / "derivatives").glob("*")) if path.is_dir()}
    folders = dict(derivatives) or under_root
    sources = []
    for name, folder in folders.items():
        entries = _entries_by_subject(folder)
        sources.append(TissueSource(name, folder, {s: _files_of(folder, s, entries.get(s, ())) for s in subjects}))
    filled = [source for source in sources if source.files]
    with_maps = [source for source in filled if any(file.tissue != _LABELS for file in source.files)]
    chosen = with_maps or filled
    if len(chosen) > 1:
        choices = " or ".join(f"-d {source.name}={source.folder}" for source in chosen)
        raise ConfigError(
            f"Several folders hold tissue maps: {', '.join(source.name for source in chosen)}.",
            where=str(root / "derivatives"),
            cure=f"Name one: {choices}.",
            code="tissue-choice",
        )
    return chosen[0] if chosen else None


def _entries_by_subject(folder: Path) -> dict[str, list[Path]]:
    """What lies in a folder itself, by the subjects that the names name; listed once, not once for each subject."""
    entries: dict[str, list[Path]] = {}
    # Unlike a listing, a pattern passes over a folder that may not be read.
    for path in folder.glob("*"):
        for subject in dict.fromkeys(_SUBJECT.findall(path.name)):
            entries.setdefault(subject, []).append(path)
    return entries


def _files_of(folder: Path, subject: str, entries: Sequence[Path]) -> tuple[TissueFile, ...]:
    # Only these folders are looked into: walking the whole tree of a derivative takes minutes on large studies.
    own = (f"sub-{subject}", f"sub-{subject}.anat")
    of_subject = [
        path for path in entries if (path.name in own or path.name.startswith(f"sub-{subject}_")) and path.is_dir()
    ]
    below = [path for top in of_subject for deep in ("*", "ses-*/*", "*/*.anat") for path in top.glob(deep)]
    places = dict.fromkeys([*of_subject, *(path for path in below if path.is_dir())])
    paths = [*entries, *(path for place in places for path in place.glob("*"))]
    return tuple(file for path in sorted(paths) for file in _tissue_file(path, folder, subject))


def _tissue_file(path: Path, folder: Path, subject: str) -> Iterator[TissueFile]:
    """Tell what a file is, when it is one of the subject in the space of the T1w image."""
    for program, (pattern, tissues) in _PATTERNS.items():
        match = pattern.fullmatch(path.name)
        if match is None:
            continue
        # The name goes before the folders above it.
        entities = dict(_ENTITY.findall(path.relative_to(folder).as_posix()))
        if entities.get("sub") == subject and entities.get("space", "T1w") in _NATIVE_SPACES:
            part = next(group for group in match.groups() if group is not None)
            yield TissueFile(path, program, tissues[part], entities.get("ses", ""))
