"""A basis set with the macromolecules of a metabolite-nulled scan."""

from pathlib import Path

from mrspipe.core.basis_set import BasisSet
from mrspipe.core.signal import Scan, ScanKey
from mrspipe.fit.nulled import with_macromolecules
from mrspipe.fit.settings import FitSettings
from mrspipe.io.basis_files import read_basis, write_basis
from mrspipe.pipeline.spectra import RawHeader, load_spectrum
from mrspipe.preprocess.steps import PreprocessSettings, preprocess


def add_macromolecules(scan: Path, water: Path | None, source: Path, out: Path) -> BasisSet:
    """Preprocess a metabolite-nulled scan, and write a basis set with its macromolecules as one more entry.

    Parameters
    ----------
    scan : Path
        Of any format that `mrspipe.pipeline.spectra.load_spectrum` reads.
    water : Path or None
        Its water reference, for coils and eddy currents.
    source : Path
        Basis set without macromolecules.
    out : Path
        File to write, in the format that its ending names.
    """
    basis, header = read_basis(source), RawHeader()
    reference = load_spectrum(water, basis, header) if water else None
    nulled = Scan(ScanKey(sub="nulled"), load_spectrum(scan, basis, header), reference)
    clean = preprocess(nulled, PreprocessSettings())
    written = with_macromolecules(basis, clean.metabolites, FitSettings())
    write_basis(out, written)
    return written
