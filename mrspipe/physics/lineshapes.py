"""Widths of lines."""

import math


def voigt_fwhm(lorentz: float, gauss: float) -> float:
    """Full width at half maximum (FWHM) of a Voigt line from the FWHM of its two parts.

    The approximation ``0.5346 L + sqrt(0.2166 L^2 + G^2)`` is accurate to 0.02 % (Olivero and Longbothum 1977,
    J Quant Spectrosc Radiat Transf 17:233, doi 10.1016/0022-4073(77)90161-3).

    Parameters
    ----------
    lorentz, gauss : float
        FWHM of the Lorentzian and the Gaussian, in any unit.

    Returns
    -------
    float
        In the same unit.

    Examples
    --------
    >>> voigt_fwhm(0.0, 4.0)
    4.0
    >>> round(voigt_fwhm(4.0, 0.0), 2)
    4.0
    """
    return 0.5346 * lorentz + math.sqrt(0.2166 * lorentz**2 + gauss**2)
