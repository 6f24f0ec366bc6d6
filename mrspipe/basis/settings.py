"""Settings of the basis set of a study."""

from typing import Annotated, Literal

from pydantic import Field

from mrspipe.basis.waveforms import PulseSettings
from mrspipe.settings import Settings


class BasisSettings(Settings):
    """Where the basis set comes from: a file, or a simulation of the sequence that the sidecars name."""

    file: str = ""
    """File or folder that `mrspipe.io.basis_files.read_basis` reads, such as LCModel's .basis; empty: simulate."""
    echo_time_s: Annotated[float, Field(gt=0)] | None = None
    """Echo time of the basis set in ``file``, in s, where the file does not say it."""
    metabolites: tuple[str, ...] = ()
    """Metabolites to simulate; empty: the usual twenty. More are known, such as EtOH, 2HG, bHB, Ser and GSSG."""
    sequence: Literal["press", "steam", "slaser", "special", "spin_echo", "pulse_acquire"] | None = None
    """Sequence to simulate; none: what the scan's PulseSequenceType says."""
    te1_s: Annotated[float, Field(gt=0)] | None = None
    """First echo time of PRESS, or of the first pair of semi-LASER, in s; none: 12 ms, at most half of the echo time,
    and half of it for semi-LASER (assumed)."""
    mixing_time_s: Annotated[float, Field(gt=0)] | None = None
    """Mixing time of STEAM, in s; none: what the scan's MixingTime says."""
    pulses: Literal["ideal", "shaped"] = "ideal"
    """Ideal pulses, or slice-selective ones with chemical-shift displacement."""
    pulse_shapes: PulseSettings = PulseSettings()
    """Shaped pulses; not used with ideal ones."""
    nitrogen: bool = True
    """Whether the CH2 protons of choline compounds and phosphorylethanolamine couple with 14N."""
    linewidth_hz: Annotated[float, Field(ge=0)] = 1.0
    """Lorentzian width of the simulated lines, in Hz; the fit adds what is missing."""
