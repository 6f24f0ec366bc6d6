"""Find the scans of a BIDS dataset, with all that belongs to each, and read them.

Nothing here stops a study because of one scan: a scan that cannot be used is a `Failure` with the reason and the cure,
one that is not meant to be analysed is listed with its reason. Only what makes the whole dataset unusable is raised.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrspipe.core.errors import FileError, HeaderError, InputError, MrspipeError
from mrspipe.core.results import Failure
from mrspipe.core.signal import Scan, ScanKey, Signal
from mrspipe.io.names import SCAN_ENTITIES, BidsFile, parse_names
from mrspipe.io.nifti_mrs import read_signal
from mrspipe.io.pairing import NO_WATER as NO_WATER
from mrspipe.io.pairing import pair_anatomy, pair_water
from mrspipe.io.selection import Selection as Selection
from mrspipe.io.sidecars import Sidecars, check_sidecar, first, number, with_sidecar
from mrspipe.io.tables import join_tables, read_json, read_table
from mrspipe.io.tissue_maps import NO_TISSUE, TissueSource, find_tissue_source

if TYPE_CHECKING:
    import pandas as pd

_SESSION_IDS = ["participant_id", "session_id"]
_OTHER_SPECTRA = {"mrsi": "spectroscopic imaging is not analysed", "unloc": "spectra without a voxel are not analysed"}


@dataclass(frozen=True, slots=True)
class ScanFiles:
    """The files of one scan.

    Parameters
    ----------
    key : ScanKey
    metabolites : Path
        The ``svs`` image.
    water : Path or None
    water_note : str
        Why there is no water reference.
    anatomy : Path or None
        The T1w image.
    tissue_maps : mapping
        Probability maps by ``GM``, ``WM``, ``CSF``, in the space of the T1w image, or one image of labels for all
        three; may be empty.
    tissue_note : str
        Why there are no tissue maps.
    sidecar, water_sidecar : mapping
        Metadata after inheritance.
    anatomy_note : str
        Why there is no anatomical image.
    """

    key: ScanKey
    metabolites: Path
    water: Path | None = None
    water_note: str = ""
    anatomy: Path | None = None
    tissue_maps: Mapping[str, Path] = field(default_factory=dict)
    tissue_note: str = ""
    sidecar: Mapping[str, Any] = field(default_factory=dict)
    water_sidecar: Mapping[str, Any] = field(default_factory=dict)
    anatomy_note: str = ""


@dataclass(frozen=True, slots=True)
class StudyFiles:
    """What was found in a dataset: scans to analyse, scans that cannot be, and files left out with the reason."""

    root: Path
    scans: tuple[ScanFiles, ...]
    failures: tuple[Failure, ...] = ()
    skipped: tuple[tuple[Path, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What the scans of a dataset share."""

    root: Path
    sidecars: Sidecars
    references: Mapping[str, tuple[BidsFile, ...]]
    images: Mapping[str, tuple[BidsFile, ...]]
    tissue: TissueSource | None


def find_scans(
    root: Path, *, selection: Selection | None = None, derivatives: Mapping[str, Path] | None = None
) -> StudyFiles:
    """Find the single-voxel scans of a dataset with their water reference, anatomy and tissue maps.

    Parameters
    ----------
    root : Path
        Root of the BIDS dataset.
    selection : Selection, optional
        All scans by default.
    derivatives : mapping of name to Path, optional
        Where to look for tissue maps; by default in every folder under ``root/derivatives``.

    Returns
    -------
    StudyFiles
        Sorted by path.

    Raises
    ------
    InputError
        No scan was found.
    ConfigError
        ``tissue-choice``: several folders hold tissue maps.
    """
    root, selection = Path(root).absolute(), selection or Selection()
    if not root.is_dir():
        raise InputError("The dataset's folder does not exist.", where=str(root), code="no-dataset")
    files = parse_names(path for path in _in_subjects(root, "mrs", "*.nii*"))
    spectra = [f for f in files if f.suffix == "svs" and f.is_nifti and selection.takes_scan(f.entities)]
    if not spectra:
        raise _nothing_found(root, files)
    subjects = sorted({f.entities["sub"] for f in spectra if "sub" in f.entities})
    around = _Surroundings(
        root=root,
        sidecars=Sidecars(root),
        references=_by_subject(f for f in files if f.suffix == "mrsref" and selection.takes("mrsref", f.entities)),
        images=_by_subject(
            f for f in parse_names(_in_subjects(root, "anat", "*_T1w.nii*")) if selection.takes("t1w", f.entities)
        ),
        tissue=find_tissue_source(root, derivatives or {}, subjects),
    )
    missing = _missing_participants(selection, subjects)
    skipped = [(f.path, _OTHER_SPECTRA[f.suffix]) for f in files if f.suffix in _OTHER_SPECTRA]
    return _gather(spectra, around, missing, skipped)


def _in_subjects(root: Path, datatype: str, pattern: str) -> list[Path]:
    return [path for level in ("sub-*", "sub-*/ses-*") for path in root.glob(f"{level}/{datatype}/{pattern}")]


def _by_subject(files: Iterable[BidsFile]) -> dict[str, tuple[BidsFile, ...]]:
    groups: dict[str, list[BidsFile]] = defaultdict(list)
    for file in files:
        groups[file.entities.get("sub", "")].append(file)
    return {subject: tuple(group) for subject, group in groups.items()}


def _nothing_found(root: Path, files: tuple[BidsFile, ...]) -> InputError:
    if any(f.suffix == "svs" for f in files):
        subjects = sorted({f.entities.get("sub", "") for f in files})
        return InputError(
            "No scan matches the selection.", where=str(root), cure=f"Subjects: {', '.join(subjects)}.", code="no-scan"
        )
    return InputError(
        "No single-voxel spectrum was found.",
        where=str(root),
        cure="Give the root of a BIDS dataset (sub-*/[ses-*/]mrs/*_svs.nii.gz); mrspipe import converts vendor files.",
        code="no-scan",
    )


def _missing_participants(selection: Selection, subjects: list[str]) -> list[Failure]:
    return [
        Failure({"sub": wanted}, "load", "no-scan", "No scan of this participant was found.", "Check the label.")
        for wanted in selection.participants
        if wanted not in subjects
    ]


def _gather(
    spectra: list[BidsFile], around: _Surroundings, failures: list[Failure], skipped: list[tuple[Path, str]]
) -> StudyFiles:
    scans: list[ScanFiles] = []
    failed = list(failures)
    left_out = list(skipped)
    by_name: dict[tuple[Path, str], list[BidsFile]] = defaultdict(list)
    for file in spectra:
        by_name[file.path.parent, file.path.name.removesuffix(file.ending)].append(file)
    for same in by_name.values():
        try:
            reason = _reason_to_skip(same[0], around)
            if reason:
                left_out += [(file.path, reason) for file in same]
            else:
                scans.append(_scan_files(same, around))
        except MrspipeError as error:
            failed.append(_failure(same[0], error))
    return StudyFiles(around.root, tuple(scans), tuple(failed), tuple(sorted(left_out)))


def _failure(file: BidsFile, error: MrspipeError) -> Failure:
    message = f"{error.where}: {error.message}" if error.where else error.message
    return Failure(dict(file.entities), "load", error.code, message, error.cure)


def _reason_to_skip(file: BidsFile, around: _Surroundings) -> str:
    sidecar = around.sidecars.of(file)
    nucleus = first(sidecar.get("ResonantNucleus"))
    if nucleus is not None and nucleus != "1H":
        return f"{nucleus} is not analysed, only 1H"
    if "inv" in file.entities or number(sidecar, "InversionTime", where=file.path.name):
        return "metabolites are nulled by an inversion pulse (inv or InversionTime)"
    return ""


def _scan_files(same: list[BidsFile], around: _Surroundings) -> ScanFiles:
    file = same[0]
    key = _key(same)
    sidecar = around.sidecars.of(file)
    check_sidecar(sidecar, where=file.path.name)
    water = pair_water(file, sidecar, around.references.get(key.sub, ()), root=around.root)
    anatomy, anatomy_note = pair_anatomy(file, sidecar, around.images.get(key.sub, ()), root=around.root)
    tissue_maps, tissue_note = around.tissue.maps_of(key) if around.tissue else ({}, NO_TISSUE)
    return ScanFiles(
        key=key,
        metabolites=file.path,
        water=water.path if water else None,
        water_note="" if water else NO_WATER,
        anatomy=anatomy,
        tissue_maps=tissue_maps,
        tissue_note=tissue_note,
        sidecar=sidecar,
        water_sidecar=_water_sidecar(water, around),
        anatomy_note=anatomy_note,
    )


def _key(same: list[BidsFile]) -> ScanKey:
    """Make the scan's key, after checking that the name is one scan's and lies where it belongs."""
    file = same[0]
    if len(same) > 1:
        names = " and ".join(f.path.name for f in same)
        raise FileError(f"{names} are the same scan.", cure="Remove one of them.", code="duplicate")
    strange = sorted(set(file.entities) - set(SCAN_ENTITIES))
    if strange:
        raise FileError(
            f"BIDS does not give the entity {', '.join(strange)} to spectra.",
            where=file.path.name,
            cure=f"Use only {', '.join(SCAN_ENTITIES)}.",
            code="entity",
        )
    expected = [f"{name}-{file.entities[name]}" for name in ("sub", "ses") if name in file.entities]
    if list(file.path.parts[-2 - len(expected) : -2]) != expected or "sub" not in file.entities:
        raise FileError(
            "The file's name and its folder name different subjects or sessions.",
            where="/".join(file.path.parts[-4:]),
            cure="Rename the file or move it.",
            code="wrong-folder",
        )
    if not file.path.is_file():
        raise FileError(
            "The file is a link to content that is not on this computer.",
            where=file.path.name,
            cure="Fetch it first, for example with datalad get.",
            code="file-missing",
        )
    return ScanKey(**file.entities)


def _water_sidecar(water: BidsFile | None, around: _Surroundings) -> dict[str, Any]:
    if water is None:
        return {}
    sidecar = around.sidecars.of(water)
    check_sidecar(sidecar, where=water.path.name, required=())
    return sidecar


def read_scan(files: ScanFiles) -> Scan:
    """Read a scan: samples from the images, the acquisition from their headers and sidecars.

    Parameters
    ----------
    files : ScanFiles

    Returns
    -------
    Scan
        Without tissue fractions.

    Raises
    ------
    FileError
        An image cannot be read.
    HeaderError
        ``sidecar-header-conflict``: header and sidecar disagree.
    """
    metabolites = _read(files.metabolites, files.sidecar)
    if metabolites.acquisition.echo_time_s is None:
        raise HeaderError("The echo time is not known.", where=files.metabolites.name, code="sidecar-key")
    water_note = files.water_note
    if files.water is None and "cycle" in metabolites.dims:
        water_note = "from metabolite cycling"
    return Scan(
        key=files.key,
        metabolites=metabolites,
        water=_read(files.water, files.water_sidecar) if files.water else None,
        water_note=water_note,
        tissue_note=files.tissue_note,
    )


def _read(path: Path, sidecar: Mapping[str, Any]) -> Signal:
    return with_sidecar(read_signal(path), sidecar, where=path.name)


def participants(root: Path) -> "pd.DataFrame":
    """Read ``participants.tsv``; without one, the participants that have a folder.

    A participant with several rows that differ is left out: see `repeated_participants`.

    Raises
    ------
    FileError
        It has no column ``participant_id``, or not in every row.
    """
    import pandas as pd

    path = Path(root) / "participants.tsv"
    if not path.exists():
        return pd.DataFrame({"participant_id": sorted(p.name for p in Path(root).glob("sub-*") if p.is_dir())})
    table = read_table(path)
    _check_ids(table, ["participant_id"], path)
    return table.drop_duplicates().drop_duplicates("participant_id", keep=False).reset_index(drop=True)


def repeated_participants(root: Path) -> tuple[str, ...]:
    """Give the participants of whom ``participants.tsv`` says different things in several rows, without ``sub-``."""
    path = Path(root) / "participants.tsv"
    if not path.exists():
        return ()
    names = read_table(path).drop_duplicates()["participant_id"]
    return tuple(sorted({str(name).removeprefix("sub-") for name in names[names.duplicated()]}))


def sessions(root: Path) -> "pd.DataFrame":
    """Read all ``sub-X/sub-X_sessions.tsv`` as one table.

    A session with several rows that differ is left out: see `repeated_sessions`.

    Returns
    -------
    DataFrame
        One row per ``participant_id`` and ``session_id``; only these columns, and no row, when there are no files.

    Raises
    ------
    FileError
        One of them has no column ``session_id``.
    """
    table = _session_rows(root)
    return table.drop_duplicates(_SESSION_IDS, keep=False).reset_index(drop=True)


def repeated_sessions(root: Path) -> frozenset[tuple[str, str]]:
    """Give subject and session, without prefixes, where the rows of a sessions file contradict each other."""
    table = _session_rows(root)
    twice = table[table.duplicated(_SESSION_IDS)]
    pairs = zip(twice["participant_id"], twice["session_id"], strict=True)
    return frozenset((str(sub).removeprefix("sub-"), str(ses).removeprefix("ses-")) for sub, ses in pairs)


def _session_rows(root: Path) -> "pd.DataFrame":
    """Rows of all sessions files; those that say the same twice are one."""
    files = {path: path.parent.name for path in sorted(Path(root).glob("sub-*/sub-*_sessions.tsv"))}
    table = join_tables(list(files), {"participant_id": list(files.values())}, columns=_SESSION_IDS)
    _check_ids(table, _SESSION_IDS, Path(root) / "sub-*" / "sub-*_sessions.tsv")
    return table.drop_duplicates()


def _check_ids(table: "pd.DataFrame", ids: list[str], path: Path) -> None:
    absent = [name for name in ids if name not in table.columns or table[name].isna().any()]
    if absent:
        raise FileError(f"The table does not give {absent[0]} in every row.", where=str(path), code="table")
    for name in ids:
        _check_prefix(table[name], name, path)


def _check_prefix(column: "pd.Series[Any]", name: str, path: Path) -> None:
    """Without its prefix a label would match no scan, and every scan would lose its group or treatment."""
    prefix = {"participant_id": "sub-", "session_id": "ses-"}[name]
    wrong = [str(value) for value in column if not str(value).startswith(prefix)]
    if wrong:
        raise FileError(
            f"{name} '{wrong[0]}' does not begin with '{prefix}'.",
            where=str(path),
            cure=f"Write {prefix}{wrong[0]}, as BIDS asks.",
            code="table",
        )


def check_output_dir(bids_dir: Path, out_dir: Path) -> None:
    """Refuse an output folder in which results would mix with data or with another program's results.

    Parameters
    ----------
    bids_dir : Path
    out_dir : Path
        Need not exist.

    Raises
    ------
    InputError
        Code ``output-dir``.
    """
    problem = _output_problem(bids_dir.resolve(), out_dir.resolve())
    if problem:
        raise InputError(
            f"{problem} cannot hold the results.",
            where=str(out_dir),
            cure=f"Use {bids_dir / 'derivatives' / 'mrspipe'} or a new folder outside the dataset.",
            code="output-dir",
        )


def _output_problem(root: Path, out: Path) -> str:
    if out == root:
        return "The dataset's own root"
    if root.is_relative_to(out):
        return "A folder above the dataset"
    if out.is_relative_to(root) and out.relative_to(root).parts[0].startswith("sub-"):
        return "The folder of a subject's raw data"
    if out.exists() and not out.is_dir():
        return "A file"
    description = out / "dataset_description.json"
    if description.exists() and not _is_ours(read_json(description)):
        return "A dataset of another program"
    return ""


def _is_ours(description: Mapping[str, Any]) -> bool:
    makers = description.get("GeneratedBy")
    return isinstance(makers, list) and any(isinstance(m, dict) and m.get("Name") == "mrspipe" for m in makers)
