"""Array types, and the one way to make an array read-only."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]


def frozen_float(values: ArrayLike) -> FloatArray:
    """Copy to a read-only float array.

    Examples
    --------
    >>> frozen_float([1, 2]).flags.writeable
    False
    """
    return _frozen(np.array(values, dtype=np.float64))


def frozen_complex(values: ArrayLike) -> ComplexArray:
    """Copy to a read-only complex array."""
    return _frozen(np.array(values, dtype=np.complex128))


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
