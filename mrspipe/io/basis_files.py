"""Basis sets from files of every format that is known, with their conventions repaired on the way in.

The content decides which format it is: LCModel's ``.basis`` or a folder of its ``.RAW`` files, a folder of FSL-MRS
JSON files, jMRUI text, or NIfTI-MRS. What is repaired is said in `BasisSet.repairs`: a wrong sign of the frequency, a
halved first point, a wrong reference shift.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import FileError
from mrspipe.io.basis_lcmodel import read_lcmodel_basis, read_raw_folder, write_lcmodel_basis, write_raw_folder
from mrspipe.io.basis_nifti import read_nifti_basis, read_nifti_folder, write_nifti_basis
from mrspipe.io.basis_repairs import repaired
from mrspipe.io.basis_text import (
    looks_like_fsl_json,
    looks_like_jmrui,
    read_fsl_json,
    read_jmrui,
    write_fsl_json,
    write_jmrui,
)
from mrspipe.io.lcmodel_files import looks_like_raw

# Signs that end a name in one of the formats, or make it another folder's.
_NOT_IN_NAMES = frozenset("/\\;'")
_ACCEPTED = "LCModel's .basis, a folder of its .RAW files, FSL-MRS .json files, jMRUI .txt, or NIfTI-MRS"
# Other names of the same metabolite, in lower case; the right-hand side is what LCModel calls it.
_SHORT_NAMES = {
    "scyllo": "sIns", "scyl": "sIns", "scy": "sIns", "si": "sIns", "sins": "sIns", "scylloins": "sIns",
    "mi": "Ins", "myo": "Ins", "mins": "Ins", "myoins": "Ins", "ml": "Ins", "ins": "Ins",
    "pcho": "PCh", "pch": "PCh", "gpcho": "GPC", "gpch": "GPC", "gpc": "GPC",
    "cre": "Cr", "cr": "Cr", "pcre": "PCr", "pcr": "PCr",
    "glth": "GSH", "gth": "GSH", "gsh": "GSH", "glucose": "Glc", "glc": "Glc",
    "lactate": "Lac", "lac": "Lac", "taurine": "Tau", "tau": "Tau", "pea": "PE", "pe": "PE",
    "naa": "NAA", "naag": "NAAG", "glu": "Glu", "gln": "Gln", "gaba": "GABA", "ala": "Ala", "asp": "Asp",
    "asc": "Asc", "gly": "Gly", "ace": "Ace", "acetate": "Ace", "bhb": "bHB", "cho": "Cho", "etoh": "EtOH",
    "ethanol": "EtOH", "2hg": "2HG", "bhg": "2HG", "pyr": "Pyr", "ser": "Ser", "suc": "Suc", "thr": "Thr", "val": "Val",
}  # fmt: skip


_WRITERS: Mapping[str, Callable[[Path, BasisSet], None]] = {
    ".basis": write_lcmodel_basis,
    ".raw": write_raw_folder,
    ".json": write_fsl_json,
    "": write_fsl_json,
    ".txt": write_jmrui,
    ".nii": write_nifti_basis,
    ".gz": write_nifti_basis,
}


def read_basis(path: Path, *, dwell_s: float | None = None, spectrometer_hz: float | None = None) -> BasisSet:
    """Read a basis set from a file or folder.

    Parameters
    ----------
    path : Path
        LCModel ``.basis`` file or folder of ``.RAW`` files; FSL-MRS ``.json`` file or folder; jMRUI ``.txt`` file or
        folder; NIfTI-MRS file with all metabolites or folder with one file for each.
    dwell_s, spectrometer_hz : float, optional
        In s and Hz; used for a folder of RAW files alone, which need not say them.

    Returns
    -------
    BasisSet
        Names shortened as in LCModel; frequency rises with ppm; first points whole; amplitudes per unit
        concentration; ``proton_amplitude`` and ``linewidth_hz`` found from the methyl singlets of NAA and Cr.

    Raises
    ------
    FileError
        When this is no basis set, or it is truncated, or its entries contradict each other.
    HeaderError
        When dwell time, frequency or number of points are missing or impossible.
    """
    path = Path(path)
    basis = _read_folder(path, dwell_s, spectrometer_hz) if path.is_dir() else _read_file(path)
    named = replace(basis, names=tuple(short_name(name) for name in basis.names))
    return repaired(named, where=str(path))


def write_basis(path: Path, basis: BasisSet) -> None:
    """Write a basis set in the format that the ending of the path names.

    First points stay whole. All formats but NIfTI-MRS are moved to 4.65 ppm. ``proton_amplitude`` has no place in any
    of them; `read_basis` finds it again from the singlets.

    Parameters
    ----------
    path : Path
        ``.basis``: LCModel, filled with zeros to twice the length as LCModel expects. ``.raw``: folder of LCModel RAW
        files with the control file of makebasis. ``.json`` or no ending: folder of FSL-MRS files. ``.txt``: jMRUI.
        ``.nii``, ``.nii.gz``: NIfTI-MRS.
    basis : BasisSet

    Raises
    ------
    FileError
        The ending names no format (code ``basis-format``), or a metabolite has a name that is no file name (code
        ``basis-names``).
    """
    path = Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise _unknown(path, f"A basis set cannot be written as '{path.suffix}'.")
    unfit = [name for name in basis.names if not name or set(name) & _NOT_IN_NAMES]
    if unfit:
        raise FileError(
            f"The names {unfit} cannot be written.",
            where=str(path),
            cure=f"Names must not hold any of {' '.join(sorted(_NOT_IN_NAMES))}.",
            code="basis-names",
        )
    writer(path, basis)


def _read_file(path: Path) -> BasisSet:
    """Read a file as it is."""
    ending = path.suffix.lower()
    if ending == ".basis":
        return read_lcmodel_basis(path)
    if not path.exists():
        raise _unknown(path, "There is no such file or folder.")
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return read_nifti_basis(path)
    if looks_like_jmrui(path):
        return read_jmrui([path], path)
    if looks_like_fsl_json(path):
        return read_fsl_json([path], path)
    raise _unknown(path, f"A basis set in the format '{ending}' cannot be read.")


def _read_folder(path: Path, dwell_s: float | None, spectrometer_hz: float | None) -> BasisSet:
    """Read a folder that holds entries of one format, as it is."""
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    found = {kind: [file for file in files if is_one(file)] for kind, is_one in _ENTRIES.items()}
    kinds = [kind for kind, of_kind in found.items() if of_kind]
    if len(kinds) > 1:
        raise _unknown(path, f"The folder holds several basis sets: {', '.join(kinds)}.")
    if not kinds:
        raise _unknown(path, "The folder holds no basis set.")
    if kinds == ["LCModel RAW"]:
        return read_raw_folder(path, dwell_s=dwell_s, spectrometer_hz=spectrometer_hz)
    readers = {"NIfTI-MRS": read_nifti_folder, "jMRUI text": read_jmrui, "FSL-MRS JSON": read_fsl_json}
    return readers[kinds[0]](found[kinds[0]], path)


_ENTRIES: Mapping[str, Callable[[Path], bool]] = {
    "NIfTI-MRS": lambda file: file.name.lower().endswith((".nii", ".nii.gz")),
    "jMRUI text": lambda file: file.suffix.lower() == ".txt" and looks_like_jmrui(file),
    "FSL-MRS JSON": lambda file: file.suffix.lower() == ".json" and looks_like_fsl_json(file),
    "LCModel RAW": lambda file: file.suffix.lower() == ".raw" and looks_like_raw(file),
}


def _unknown(path: Path, message: str) -> FileError:
    return FileError(
        message,
        where=str(path),
        cure=f"Accepted is {_ACCEPTED}; or leave the basis set out and it is simulated.",
        code="basis-format",
    )


def short_name(name: str) -> str:
    """Name a metabolite as LCModel does; unknown names stay as they are.

    Examples
    --------
    >>> short_name("Scyllo"), short_name("PCho"), short_name("MM09")
    ('sIns', 'PCh', 'MM09')
    """
    return _SHORT_NAMES.get(name.strip().lower(), name.strip())
