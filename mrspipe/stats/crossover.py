"""The crossover of two treatments in two periods, tested from each participant's two values.

Participants get the treatments in one of two sequences. Half the difference of the periods has the treatment's effect
with opposite signs in the two sequences; half the difference of the treatments has the period's; the sum of both values
differs between the sequences where a treatment carries over.

References
----------
.. [1] Hills and Armitage 1979, British Journal of Clinical Pharmacology 8:7-20
.. [2] Senn 2002, Cross-over Trials in Clinical Research, chapter 3, doi 10.1002/0470854596
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.models import TestResult, student_test


@dataclass(frozen=True, slots=True)
class Crossover:
    """The three tests of a crossover, each Student's t between the sequences.

    Parameters
    ----------
    treatment : TestResult
        Treatment minus control.
    period : TestResult
        First period minus second.
    carry_over : TestResult
        Sum of both values, those who began with the treatment minus the others. It has little power, so a large p is
        no evidence for the absence of carry-over.
    """

    treatment: TestResult
    period: TestResult
    carry_over: TestResult


def crossover_tests(
    first_period: FloatArray, second_period: FloatArray, treated_first: NDArray[np.bool_], *, confidence: float = 0.95
) -> Crossover:
    """Test a crossover with the participants who have both values.

    Parameters
    ----------
    first_period, second_period : real array, shape (n,)
    treated_first : bool array, shape (n,)
        Who had the treatment in the first period.
    confidence : float

    Raises
    ------
    AnalysisError
        A sequence has fewer than two participants, or the values do not vary.
    """
    first, second = np.asarray(first_period, dtype=float), np.asarray(second_period, dtype=float)
    began = np.asarray(treated_first, dtype=bool)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise AnalysisError("A crossover needs the values of both periods.", cure="Leave the others out.",
                            code="not-finite")  # fmt: skip
    by_period = 0.5 * (first - second)
    by_treatment = np.where(began, by_period, -by_period)
    treatment, period, carry_over = (
        student_test(values[began], values[~began], confidence=confidence)
        for values in (by_period, by_treatment, first + second)
    )
    return Crossover(treatment, period, carry_over)
