"""From a folder of 1H magnetic resonance spectroscopy scans to a trustworthy group result.

For notebooks, ``import mrspipe as mp`` offers what `mrspipe.api` holds: `read`, `read_study`, `contrasts`,
`load_config`. It is loaded when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mrspipe.api import Fit as Fit
    from mrspipe.api import Spectrum as Spectrum
    from mrspipe.api import Study as Study
    from mrspipe.api import contrasts as contrasts
    from mrspipe.api import load_config as load_config
    from mrspipe.api import read as read
    from mrspipe.api import read_study as read_study

__version__ = "0.1.0"

_OFFERED = ("Fit", "Spectrum", "Study", "contrasts", "load_config", "read", "read_study")


def __getattr__(name: str) -> Any:
    if name not in _OFFERED:
        raise AttributeError(f"module 'mrspipe' has no attribute '{name}'")
    # By name, so that nothing below the command line depends on the top of the package.
    from importlib import import_module

    return getattr(import_module("mrspipe.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_OFFERED])
