"""Print how long a fit takes beside a slow twin: the same fit with differences for derivatives.

Usage: python tests/benchmarks/fit_speed.py [--n 8]

Ratios are of CPU times in one run, so that they hold on any machine. Not a test: it claims nothing.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1]))

from recovery.first_family import FirstFamily
from recovery.generator import Conditions, fitted_basis, spectra

from mrspipe.core.arrays import FloatArray
from mrspipe.core.signal import Signal
from mrspipe.fit.dynamic import fit_jointly
from mrspipe.fit.model import Evaluation, SpectralModel
from mrspipe.fit.settings import FitSettings
from mrspipe.fit.spectrum import fit_for_learning, fit_spectrum


def by_differences(model: SpectralModel, theta: FloatArray, _: Evaluation, amplitudes: FloatArray) -> FloatArray:
    """Derivative of the real spectrum by central differences, shape (n_theta, n_ppm)."""
    step = 1e-4
    columns = []
    for one in step * np.eye(theta.size):
        ahead, behind = (amplitudes @ model.evaluate(theta + sign * one).spectra.real for sign in (1, -1))
        columns.append((ahead - behind) / (2 * step))
    return np.array(columns)


def cpu_ms(work: Callable[[Signal], object], signals: Sequence[Signal]) -> float:
    """CPU time of one call, in ms, the first one left out."""
    work(signals[0])
    start = time.process_time()
    for signal in signals:
        work(signal)
    return 1e3 * (time.process_time() - start) / len(signals)


def main() -> None:
    """Time the fits and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=8, help="spectra")
    n = parser.parse_args().n
    signals = [one.signal for one in spectra(FirstFamily(), n, Conditions(), 1)]
    basis, settings = fitted_basis(), FitSettings()
    with threadpool_limits(1):
        fit = cpu_ms(lambda signal: fit_spectrum(signal, basis, settings), signals)
        learning = cpu_ms(lambda signal: fit_for_learning(signal, basis, settings), signals)
        joint = cpu_ms(lambda signal: fit_jointly([signal, signals[0]], basis, settings).change("Glu"), signals)
        with patch.object(SpectralModel, "derivative", by_differences):
            slow = cpu_ms(lambda signal: fit_spectrum(signal, basis, settings), signals[:2])
    rows = (
        ("fit", fit),
        ("fit for learning", learning),
        ("joint fit of two, with one change", joint),
        ("slow twin", slow),
    )
    for name, value in rows:
        sys.stdout.write(f"{name:34s} {value:7.1f} ms CPU   {value / fit:5.1f} x fit\n")


if __name__ == "__main__":
    main()
