"""Basis sets as NIfTI-MRS: one file whose fifth dimension is the metabolites, or a folder with one file for each.

The standard has no basis sets. A file that is written here is valid NIfTI-MRS: the dimension is ``DIM_USER_0`` and its
``dim_5_header`` names the metabolites. In a folder, as spant writes it, the files are named like their metabolites.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrspipe.core.arrays import ComplexArray
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import FileError
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.io.nifti_mrs import read_extension, read_signal, write_signal
from mrspipe.physics.constants import GAMMA_BAR_1H_HZ_PER_T

_NAMES_KEY = "Metabolite"


def read_nifti_basis(path: Path) -> BasisSet:
    """Read one file with all metabolites, as it is."""
    signal = read_signal(path)
    header = read_extension(path).get("dim_5_header")
    names = header.get(_NAMES_KEY) if isinstance(header, dict) else None
    names = names.get("Value") if isinstance(names, dict) else names
    if signal.dims != ("other", "time") or not isinstance(names, list) or len(names) != signal.size("other"):
        raise FileError(
            f"It does not name the metabolites along its fifth dimension (dim_5_header, {_NAMES_KEY}).",
            where=str(path),
            cure="Is this a basis set, or a scan? A folder with one file per metabolite is read as well.",
            code="basis-names",
        )
    return _basis(tuple(str(name) for name in names), signal, np.asarray(signal.samples), path)


def read_nifti_folder(files: Sequence[Path], where: Path) -> BasisSet:
    """Read a folder with one file per metabolite, as it is."""
    signals = [read_signal(file) for file in files]
    if any(signal.dims != ("time",) or signal.axis != signals[0].axis for signal in signals):
        raise FileError("The files differ in their axes.", where=str(where), code="basis-axis")
    fids = np.array([signal.fid for signal in signals])
    return _basis(tuple(file.name.split(".nii")[0] for file in files), signals[0], fids, where)


def _basis(names: tuple[str, ...], signal: Signal, fids: ComplexArray, path: Path) -> BasisSet:
    return BasisSet(
        names=names,
        fids=fids,
        axis=signal.axis,
        sequence=signal.acquisition.sequence,
        echo_time_s=signal.acquisition.echo_time_s,
        proton_amplitude=None,
        made_by=path.name,
    )


def write_nifti_basis(path: Path, basis: BasisSet) -> None:
    """Write one NIfTI-MRS file with all metabolites along its fifth dimension."""
    names = {"Value": list(basis.names), "Description": "Short name of the metabolite."}
    acquisition = Acquisition(
        sequence=basis.sequence,
        echo_time_s=basis.echo_time_s,
        field_t=round(basis.axis.spectrometer_hz / GAMMA_BAR_1H_HZ_PER_T, 3),
    )
    signal = Signal(samples=basis.fids, dims=("other", "time"), axis=basis.axis, acquisition=acquisition)
    extra = {"dim_5": "DIM_USER_0", "dim_5_info": "metabolites", "dim_5_header": {_NAMES_KEY: names}}
    write_signal(path, signal, extra_header=extra)
