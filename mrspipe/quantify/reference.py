"""What water referencing needs from a scan, or why it is not possible.

Nothing is guessed and nothing is taken in place of something that is missing: a field without constants, an echo time
that is not stated, a voxel without tissue fractions give a reason in place of a value.
"""

from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import FitResult, TissueFractions
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.physics.constants import GAMMA_BAR_1H_HZ_PER_T, WATER_PROTONS
from mrspipe.physics.relaxation import TISSUES, is_tabulated, water_relaxation
from mrspipe.quantify.budget import tissue_covariance
from mrspipe.quantify.factors import Constants, Timing
from mrspipe.quantify.settings import QuantifySettings
from mrspipe.quantify.water import water_amplitude

# With less tissue than this in the voxel, dividing by it means nothing.
_LEAST_TISSUE = 0.05


@dataclass(frozen=True, slots=True)
class WaterSignal:
    """Amplitude of one water molecule per amplitude of one proton of the basis set, and its standard error."""

    amplitude: float
    amplitude_sd: float


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """Under which the signals were measured; ``tissue_covariance`` has shape (3, 3), in the order of `TISSUES`."""

    timing: Timing
    constants: Constants
    tissue_covariance: FloatArray
    corrections: tuple[str, ...]


def water_signal(fit: FitResult, water: Signal | None, settings: QuantifySettings, note: str) -> WaterSignal | str:
    """Measure the water reference in units of the basis set, or say why there is none.

    Parameters
    ----------
    fit : FitResult
    water : Signal or None
    settings : QuantifySettings
    note : str
        Why there is no water reference.
    """
    if water is None:
        return _with_note("no water reference", note)
    if fit.proton_amplitude is None:
        return "the basis set does not tell the amplitude of one proton"
    amplitude, sd = water_amplitude(water, settings.water_fit_s)
    if not np.isfinite(amplitude):
        return "the water reference holds too little signal"
    per_molecule = WATER_PROTONS * fit.proton_amplitude
    return WaterSignal(amplitude / per_molecule, sd / per_molecule)


def conditions(
    water: Signal, tissue: TissueFractions | None, acquisition: Acquisition, settings: QuantifySettings, note: str
) -> Conditions | str:
    """Gather tissue, timing and constants, or say what is missing.

    Parameters
    ----------
    water : Signal
    tissue : TissueFractions or None
    acquisition : Acquisition
        Of the metabolite signal.
    settings : QuantifySettings
    note : str
        Why there are no tissue fractions.
    """
    stated = settings.tissue_fractions
    if tissue is None and stated is not None:
        gm, wm, csf = (stated.get(name, 0.0) for name in TISSUES)
        tissue = TissueFractions(gm, wm, csf, source="stated in the settings")
    if tissue is None:
        return _with_note("no tissue fractions", note)
    if tissue.gm + tissue.wm < _LEAST_TISSUE:
        return f"the voxel is {100 * tissue.csf:.0f} % CSF"
    field_t = acquisition.field_t or water.axis.spectrometer_hz / GAMMA_BAR_1H_HZ_PER_T
    if not is_tabulated(field_t) and not all_times_stated(settings):
        return f"relaxation times are tabulated for 3 T, and this is {field_t:.1f} T; set them in the quantify settings"
    timing = _timing(acquisition, water.acquisition, settings)
    if isinstance(timing, str):
        return timing
    constants = _constants(tissue, settings)
    covariance = tissue_covariance(constants.fractions, np.array(tissue.sd), settings.tissue_fraction_sd)
    return Conditions(timing, constants, covariance, _corrections(tissue, settings))


def _with_note(reason: str, note: str) -> str:
    """Add the note where it says more than the reason."""
    return f"{reason} ({note})" if note not in ("", reason) else reason


def all_times_stated(settings: QuantifySettings) -> bool:
    """Tell whether the settings state all relaxation times."""
    t1_stated = settings.metabolite_t1_s is not None and len(settings.water_t1_s) == len(TISSUES)
    t2_stated = settings.metabolite_t2_s is not None and len(settings.water_t2_s) == len(TISSUES)
    return t2_stated and (t1_stated or settings.assume_long_tr)


def _timing(metabolites: Acquisition, water: Acquisition, settings: QuantifySettings) -> Timing | str:
    """Echo and repetition times, or which of them is missing."""
    times: dict[str, float | None] = {
        "echo time": metabolites.echo_time_s,
        "repetition time": metabolites.repetition_time_s,
        "echo time of the water reference": water.echo_time_s,
        "repetition time of the water reference": water.repetition_time_s,
    }
    if settings.water_as_metabolites:
        for name in ("echo time", "repetition time"):
            key = f"{name} of the water reference"
            times[key] = times[name] if times[key] is None else times[key]
    if settings.assume_long_tr:
        times |= {key: float("inf") for key in times if key.startswith("repetition")}
    missing = [name for name, value in times.items() if value is None]
    if missing:
        return f"not stated in the data: {', '.join(missing)}"
    echo, repetition, water_echo, water_repetition = (value or 0.0 for value in times.values())
    return Timing(echo, repetition, water_echo, water_repetition)


def _constants(tissue: TissueFractions, settings: QuantifySettings) -> Constants:
    table = water_relaxation(settings.relaxation)
    return Constants(
        fractions=np.array([tissue.gm, tissue.wm, tissue.csf]),
        water_t1=np.array([settings.water_t1_s.get(name, table[name].t1_s) for name in TISSUES]),
        water_t2=np.array([settings.water_t2_s.get(name, table[name].t2_s) for name in TISSUES]),
        water_content=np.array([table[name].kg_per_l for name in TISSUES]),
    )


def _corrections(tissue: TissueFractions, settings: QuantifySettings) -> tuple[str, ...]:
    """Say in words what was corrected for."""
    fractions = f"tissue fractions GM {tissue.gm:.3f}, WM {tissue.wm:.3f}, CSF {tissue.csf:.3f}"
    done = [f"{fractions} ({tissue.source})" if tissue.source else fractions]
    changed = {
        "water T1": settings.water_t1_s,
        "water T2": settings.water_t2_s,
        "metabolite T1": settings.metabolite_t1_s,
        "metabolite T2": settings.metabolite_t2_s,
        "water concentration": settings.water_concentration_mmol,
    }
    own = [name for name, value in changed.items() if value]
    done.append(f"water relaxation: set '{settings.relaxation}'; metabolite relaxation: table of 3 T")
    if own:
        done.append(f"stated in the settings: {', '.join(own)}")
    if settings.calibration != 1:
        done.append(f"multiplied by {settings.calibration:g} (calibration)")
    if settings.assume_long_tr:
        done.append("full relaxation assumed (TR long)")
    if settings.water_as_metabolites:
        done.append("echo and repetition time of the water reference, where not stated, as of the metabolites")
    return tuple(done)
