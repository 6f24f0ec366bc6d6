"""Localisation sequences with ideal pulses: from a coupled spin system to the density matrix at the first point.

Phases are chosen such that an uncoupled line on resonance is real and positive. Ideal refocusing pulses invert every
coherence, so the spoilers around them change nothing; STEAM alone needs coherence orders to be selected.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mrspipe.basis.pulses import PulseSettings
from mrspipe.basis.spin_dynamics import Spins, evolved, excited, refocused, turned, with_order
from mrspipe.core.arrays import ComplexArray
from mrspipe.core.errors import ConfigError
from mrspipe.settings import Settings

# First echo time of PRESS where nobody says it: see `SequenceSettings.te1_s`.
_USUAL_TE1_S = 0.012

# Sequences with two echo times that need not be equal.
_WITH_TE1 = ("press", "slaser")

SequenceName = Literal["press", "steam", "slaser", "special", "spin_echo", "pulse_acquire"]


class SequenceSettings(Settings):
    """Timing of a sequence."""

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
    """Ideal pulses, or (PRESS only) slice-selective pulses with chemical-shift displacement."""
    pulse_shapes: PulseSettings = PulseSettings()
    """Shaped pulses; not used with ideal ones."""

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
        if self.pulses == "shaped" and self.sequence != "press":
            raise ConfigError(
                f"Shaped pulses can be simulated for press alone, not for {self.sequence}.",
                where="pulses",
                cure='Set pulses = "ideal".',
                code="pulses",
            )
        return self


def pulse_acquire(spins: Spins, settings: SequenceSettings) -> ComplexArray:
    """90 - acquire."""
    return excited(spins)


def spin_echo(spins: Spins, settings: SequenceSettings) -> ComplexArray:
    """90 - TE/2 - 180 - TE/2."""
    return _echoes(spins, [settings.echo_time_s])


def press(spins: Spins, settings: SequenceSettings) -> ComplexArray:
    """90 - TE1/2 - 180 - (TE1 + TE2)/2 - 180 - TE2/2, with TE1 + TE2 = TE (Bottomley 1987)."""
    return _echoes(spins, list(press_echo_times_s(settings)))


def press_echo_times_s(settings: SequenceSettings) -> tuple[float, float]:
    """TE1 and TE2 of PRESS, in s."""
    te1_s = min(_USUAL_TE1_S, settings.echo_time_s / 2) if settings.te1_s is None else settings.te1_s
    return te1_s, settings.echo_time_s - te1_s


def slaser(spins: Spins, settings: SequenceSettings) -> ComplexArray:
    """Excite, then two pairs of 180 degree pulses: two echoes of TE1/2, two of TE2/2, with TE1 + TE2 = TE.

    Without ``te1_s``: 90 - TE/8 - 180 - TE/4 - 180 - TE/4 - 180 - TE/4 - 180 - TE/8, four equal echoes (assumed).
    """
    te1_s = settings.echo_time_s / 2 if settings.te1_s is None else settings.te1_s
    return _echoes(spins, [te1_s / 2] * 2 + [(settings.echo_time_s - te1_s) / 2] * 2)


def special(spins: Spins, settings: SequenceSettings) -> ComplexArray:
    """180 or nothing, before a spin echo; the two are subtracted (Mlynarik 2006, doi 10.1002/mrm.21043).

    The inversion only changes the sign of z magnetisation, so half the difference is the spin echo of TE.
    """
    return _echoes(spins, [settings.echo_time_s])


def steam(spins: Spins, settings: SequenceSettings) -> ComplexArray:
    """90 - TE/2 - 90 - TM - 90 - TE/2 (Frahm 1987), the stimulated echo alone.

    Spoilers keep order 0 during TM: z magnetisation and zero-quantum coherence, which evolves. Those of the two
    halves of TE balance only for order +1 before and -1 after, which halves the signal.
    """
    rho = with_order(spins, excited(spins), +1)
    rho = evolved(spins, rho, settings.echo_time_s / 2)
    rho = with_order(spins, turned(spins, rho, backwards=True), 0)
    rho = evolved(spins, rho, settings.mixing_time_s or 0.0)
    rho = with_order(spins, turned(spins, rho), -1)
    return evolved(spins, rho, settings.echo_time_s / 2)


def _echoes(spins: Spins, durations_s: list[float]) -> ComplexArray:
    """Excite, then a chain of spin echoes of the given durations."""
    rho = evolved(spins, excited(spins), durations_s[0] / 2)
    for duration, following in pairwise([*durations_s, 0.0]):
        rho = evolved(spins, refocused(spins, rho), (duration + following) / 2)
    return rho


SEQUENCES: Mapping[SequenceName, Callable[[Spins, SequenceSettings], ComplexArray]] = {
    "press": press,
    "steam": steam,
    "slaser": slaser,
    "special": special,
    "spin_echo": spin_echo,
    "pulse_acquire": pulse_acquire,
}
"""Density matrix at the first point of the FID, by sequence name."""
