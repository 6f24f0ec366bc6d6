"""A set of metabolite signals that a spectrum is a sum of."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from mrspipe.core.arrays import ComplexArray, frozen_complex
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import ConfigError, FileError


@dataclass(frozen=True, slots=True, eq=False)
class BasisSet:
    """Metabolite FIDs on one axis.

    Parameters
    ----------
    names : tuple of str
        Short names as in LCModel: ``NAA``, ``Glu``, ``GPC``; a measured macromolecule spectrum is
        ``MM...`` or ``Mac...``.
    fids : complex array, shape (n_metabolites, n_points)
        Sign convention of `mrspipe.core.axis`; the first point is not halved.
    axis : SpectralAxis
    sequence : str or None
    echo_time_s : float or None
    proton_amplitude : float or None
        FID amplitude at time zero of one proton of a molecule of unit concentration: 1 for a simulated set,
        found from a singlet for a set read from a file, None where it could not be found
        (then only ratios have a meaning).
    linewidth_hz : float
        Lorentzian width that the FIDs already have, in Hz.
    made_by : str
        Program or file the set comes from.
    repairs : tuple of str
        Conventions that were repaired when it was read, in plain words.
    """

    names: tuple[str, ...]
    fids: ComplexArray
    axis: SpectralAxis
    sequence: str | None = None
    echo_time_s: float | None = None
    proton_amplitude: float | None = 1.0
    linewidth_hz: float = 0.0
    made_by: str = ""
    repairs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        fids = np.asarray(self.fids)
        if fids.shape != (len(self.names), self.axis.n_points):
            raise FileError(
                f"A basis set of {len(self.names)} metabolites with {self.axis.n_points} points has shape {fids.shape}."
            )
        if len(set(self.names)) != len(self.names):
            raise FileError(f"A basis set names a metabolite twice: {sorted(self.names)}.")
        if not np.isfinite(fids).all():
            raise FileError("A basis set holds values that are not finite.")
        object.__setattr__(self, "fids", frozen_complex(fids))

    def only(self, names: Iterable[str]) -> "BasisSet":
        """Keep the named metabolites, in the order given."""
        wanted = tuple(names)
        missing = [name for name in wanted if name not in self.names]
        if missing:
            raise ConfigError(
                f"The basis set has no {', '.join(missing)}.",
                cure=f"It has {', '.join(self.names)}.",
                code="basis-entry",
            )
        rows = [self.names.index(name) for name in wanted]
        return replace(self, names=wanted, fids=self.fids[rows])

    @property
    def macromolecule_names(self) -> tuple[str, ...]:
        """Entries that are macromolecules, by the naming rule ``MM*`` or ``Mac*``."""
        return tuple(name for name in self.names if name.startswith(("MM", "Mac")))
