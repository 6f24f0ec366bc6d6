"""A study's page without what tells the groups apart, for decisions about quality.

Groups are called A and B (and so on) in a shuffled order. Ratings, concentrations, contrasts, conditions of treatment
and exclusions of single contrasts are left out: each of them could give the groups away.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mrspipe.core.errors import InputError
from mrspipe.core.results import Failure
from mrspipe.report.content import Factor, GroupPage, SampleCount
from mrspipe.report.spelling import words

_HIDDEN = "[hidden]"
_SCAN = ("participant_id", "session_id", "task_id", "run")


def blinded(page: GroupPage, seed: int = 0) -> GroupPage:
    """Take out of a page what tells the groups apart.

    Parameters
    ----------
    page : GroupPage
    seed : int
        Of the shuffle, together with the names of the subjects: the same study has the same letters each time, another
        study others.

    Raises
    ------
    InputError
        The names of subjects hold the name of a group.
    """
    secret = _secret_words(page)
    subjects = sorted({str(name) for name in page.quality[page.subject_column]})
    told = next((name for name in subjects for word in secret if _names(name, word)), None)
    if told is not None:
        raise InputError(
            f"The name {told} says which group a participant belongs to, so the page cannot be blinded.",
            cure="Give participants names without the group, in all files of the dataset.",
            code="unblindable",
        )
    group = _lettered(page.group, subjects, seed)
    factors = [factor.column for factor in (group, page.condition) if factor]
    kept = [name for name in page.measurements if name in {*_SCAN, page.subject_column, *factors}]
    exclusions = page.exclusions
    if "analysis" in exclusions:
        exclusions = exclusions[exclusions["analysis"] == "all"]
    exclusions = exclusions.map(lambda cell: _masked(words(cell), secret))
    return replace(
        page,
        title=_masked(page.title, secret),
        design=(),
        contrasts=page.contrasts.iloc[:0],
        measurements=page.measurements[kept].drop_duplicates(),
        exclusions=exclusions,
        ratings=None,
        robustness=None,
        supporting={},
        spectra=(),
        failures=tuple(_masked_failure(failure, secret) for failure in page.failures),
        why_no_test=None,
        group=group,
        treatment=None,
        sample_by_group=_counts(page, group),
        questions={},
        primary=(),
        methods=tuple(_masked(paragraph, secret) for paragraph in page.methods),
        blinded=True,
    )


def _secret_words(page: GroupPage) -> list[str]:
    """Names of the groups and treatments, values and labels; numbers alone are in too many words."""
    factors = [factor for factor in (page.group, page.treatment) if factor]
    found = {text for factor in factors for pair in factor.labels.items() for text in pair}
    return sorted((text for text in found if re.search("[A-Za-z]", text)), key=lambda text: (-len(text), text))


def _names(text: str, word: str) -> bool:
    return re.search(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])", text, re.IGNORECASE) is not None


def _masked(text: str, secret: Sequence[str]) -> str:
    for word in secret:
        text = re.sub(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])", _HIDDEN, text, flags=re.IGNORECASE)
    return text


def _masked_failure(failure: Failure, secret: Sequence[str]) -> Failure:
    return replace(failure, message=_masked(failure.message, secret), cure=_masked(failure.cure, secret))


def _lettered(group: Factor | None, subjects: Sequence[str], seed: int) -> Factor | None:
    if group is None:
        return None
    rng = np.random.default_rng([seed, zlib.crc32("\n".join(subjects).encode())])
    order = rng.permutation(len(group.labels)).tolist()
    values = sorted(group.labels)
    return Factor(group.column, {values[place]: f"Group {chr(65 + letter)}" for letter, place in enumerate(order)})


def _counts(page: GroupPage, group: Factor | None) -> tuple[SampleCount, ...]:
    """Counts of the groups stand under their letters."""
    if group is None or page.group is None:
        return ()
    letters = {page.group.labels[value]: letter for value, letter in group.labels.items()}
    counts = [replace(one, label=letters[one.label]) for one in page.sample_by_group if one.label in letters]
    return tuple(sorted(counts, key=lambda one: one.label))
