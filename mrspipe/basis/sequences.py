"""Localisation sequences as a list of pulses: what each is for, when, and which coherences survive it.

Times are between the middles of the pulses. Crushers around a refocusing pulse keep the coherences that change the
sign of their order; spoilers in the mixing time of STEAM keep order 0, which is z magnetisation and zero-quantum
coherence. The detected order is -1 (`mrspipe.basis.spin_dynamics`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mrspipe.basis.pulses import Purpose
from mrspipe.basis.waveforms import PulseSettings
from mrspipe.core.errors import ConfigError
from mrspipe.settings import Settings

# First echo time of PRESS where nobody says it: see `SequenceSettings.te1_s`.
_USUAL_TE1_S = 0.012

# Sequences with two echo times that need not be equal.
_WITH_TE1 = ("press", "slaser")

SequenceName = Literal["press", "steam", "slaser", "special", "spin_echo", "pulse_acquire"]


class SequenceSettings(Settings):
    """Timing and pulses of a sequence."""

    sequence: SequenceName
    """Name of the sequence."""
    echo_time_s: Annotated[float, Field(ge=0)] = 0.0
    """Echo time, in s; required by all but pulse_acquire, which does not use it."""
    te1_s: Annotated[float, Field(gt=0)] | None = None
    """Duration of the first of the two spin echoes of PRESS, or of the first pair of the four of semi-LASER, in s;
    coupled metabolites depend on it. When it is not given: for semi-LASER half the echo time (assumed); for PRESS
    12 ms, at most half the echo time. Headers rarely say it; scanners make it as short as their pulses allow,
    10.8 ms in one Siemens header, and 11 and 13 ms fit two other 3 T basis sets best (assumed)."""
    mixing_time_s: Annotated[float, Field(ge=0)] | None = None
    """Mixing time of STEAM, in s; required by it."""

    pulses: Literal["ideal", "shaped"] = "ideal"
    """Ideal pulses, or slice-selective ones with chemical-shift displacement."""
    pulse_shapes: PulseSettings = PulseSettings()
    """Shaped pulses; not used with ideal ones."""
    nitrogen: bool = True
    """Whether the CH2 protons of choline compounds and phosphorylethanolamine couple with 14N."""

    @model_validator(mode="after")
    def _is_possible(self) -> "SequenceSettings":
        if self.sequence != "pulse_acquire" and self.echo_time_s == 0:
            raise ConfigError(f"{self.sequence} needs an echo time.", where="echo_time_s", code="echo-time")
        if self.sequence == "steam" and self.mixing_time_s is None:
            raise ConfigError("steam needs a mixing time.", where="mixing_time_s", code="mixing-time")
        if self.te1_s is not None and (self.sequence not in _WITH_TE1 or self.te1_s >= self.echo_time_s):
            raise ConfigError(
                f"te1_s is the first echo time of press or slaser and shorter than echo_time_s = {self.echo_time_s} s, "
                f"got {self.te1_s} s for {self.sequence}.",
                where="te1_s",
                code="echo-time",
            )
        if self.pulses == "shaped":
            self._check_pulses()
        return self

    def _check_pulses(self) -> None:
        if self.sequence == "pulse_acquire":
            raise ConfigError(
                "pulse_acquire selects no slice.", where="pulses", cure='Set pulses = "ideal".', code="pulses"
            )
        refocusing = self.pulse_shapes.refocusing
        if refocusing is not None and refocusing.adiabatic and self.sequence not in {"slaser", "steam"}:
            raise ConfigError(
                f"One adiabatic pulse leaves a phase all over its slice, so {self.sequence} cannot refocus with it; "
                "the pairs of slaser can.",
                where="pulse_shapes.refocusing",
                cure="Choose the design slr or sinc_gauss.",
                code="pulses",
            )


@dataclass(frozen=True, slots=True)
class Turn:
    """A pulse of a sequence.

    Parameters
    ----------
    purpose : {"excitation", "refocusing", "inversion"}
        An inversion stands for two shots, with and without it, that are subtracted and halved.
    middle_s : float
        Time of its middle.
    order : int
        Coherence order that survives it.
    direction : int
        Direction in space along which it selects; pulses of one direction follow each other.
    """

    purpose: Purpose
    middle_s: float
    order: int
    direction: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Pulses in their order, and the time of the first point of the FID, in s."""

    turns: tuple[Turn, ...]
    end_s: float


def pulse_acquire(settings: SequenceSettings) -> Timeline:
    """90 - acquire."""
    return _spin_echoes((), ())


def spin_echo(settings: SequenceSettings) -> Timeline:
    """90 - TE/2 - 180 - TE/2."""
    return _spin_echoes((settings.echo_time_s,), (1,))


def press(settings: SequenceSettings) -> Timeline:
    """90 - TE1/2 - 180 - (TE1 + TE2)/2 - 180 - TE2/2, with TE1 + TE2 = TE (Bottomley 1987)."""
    te1_s = min(_USUAL_TE1_S, settings.echo_time_s / 2) if settings.te1_s is None else settings.te1_s
    return _spin_echoes((te1_s, settings.echo_time_s - te1_s), (1, 2))


def slaser(settings: SequenceSettings) -> Timeline:
    """Excite, then two pairs of 180 degree pulses: two echoes of TE1/2, two of TE2/2, with TE1 + TE2 = TE.

    Without ``te1_s``: 90 - TE/8 - 180 - TE/4 - 180 - TE/4 - 180 - TE/4 - 180 - TE/8, four equal echoes (assumed).
    """
    te1_s = settings.echo_time_s / 2 if settings.te1_s is None else settings.te1_s
    te2_s = settings.echo_time_s - te1_s
    return _spin_echoes((te1_s / 2, te1_s / 2, te2_s / 2, te2_s / 2), (1, 1, 2, 2))


def special(settings: SequenceSettings) -> Timeline:
    """180 or nothing, before a spin echo; the two are subtracted (Mlynarik 2006, doi 10.1002/mrm.21043).

    The time between inversion and excitation is left out: nothing evolves in it but zero-quantum coherence, at the
    edges of the inverted slice.
    """
    echo = spin_echo(settings)
    return Timeline((Turn("inversion", 0.0, 0, 2), *echo.turns), echo.end_s)


def steam(settings: SequenceSettings) -> Timeline:
    """90 - TE/2 - 90 - TM - 90 - TE/2 (Frahm 1987), the stimulated echo alone.

    The spoilers of the two halves of TE balance only for order +1 before and -1 after, which halves the signal.
    """
    second_s = settings.echo_time_s / 2
    third_s = second_s + (settings.mixing_time_s or 0.0)
    turns = (
        Turn("excitation", 0.0, 1, 0),
        Turn("excitation", second_s, 0, 1),
        Turn("excitation", third_s, -1, 2),
    )
    return Timeline(turns, third_s + settings.echo_time_s / 2)


def _spin_echoes(durations_s: tuple[float, ...], directions: tuple[int, ...]) -> Timeline:
    """Excite, then a chain of spin echoes of the given durations, each with its direction."""
    orders = [(-1) ** (1 + len(durations_s) - k) for k in range(len(durations_s) + 1)]
    turns = [Turn("excitation", 0.0, orders[0], 0)]
    for k, (end_s, duration_s) in enumerate(zip(accumulate(durations_s), durations_s, strict=True)):
        turns.append(Turn("refocusing", end_s - duration_s / 2, orders[k + 1], directions[k]))
    return Timeline(tuple(turns), sum(durations_s))


SEQUENCES: Mapping[SequenceName, Callable[[SequenceSettings], Timeline]] = {
    "press": press,
    "steam": steam,
    "slaser": slaser,
    "special": special,
    "spin_echo": spin_echo,
    "pulse_acquire": pulse_acquire,
}
"""Timeline by sequence name."""
