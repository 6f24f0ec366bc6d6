"""What the contrasts found, in words and as cells of a table; every number names the cell it comes from."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mrspipe.report.cited import Origin, joined
from mrspipe.report.content import QUANTITIES, GroupPage, Outcome, SampleCount
from mrspipe.report.spelling import (
    MISSING,
    Row,
    as_float,
    count,
    decimals_for,
    fixed,
    humanised,
    is_number,
    number,
    p_value,
    records,
    words,
)

if TYPE_CHECKING:
    from markupsafe import Markup

FILE = "group/contrasts.tsv"


def split_contrasts(page: GroupPage) -> tuple[list[Row], list[Row]]:
    """Split the contrasts into main and secondary ones."""
    rows = records(page.contrasts)
    if page.primary:
        main = [name for name in page.primary if any(row.get("contrast") == name for row in rows)]
        chosen = [row for name in main for row in rows if row.get("contrast") == name and _is_main(row, page)]
    else:
        chosen = [row for row in rows if of_outcome(row, page.outcome)]
    return list(chosen), [row for row in rows if all(row is not other for other in chosen)]


def of_outcome(row: Row, outcome: Outcome) -> bool:
    """Tell whether a row is about the study's outcome, in its quantity."""
    return row.get("metabolite") == outcome.metabolite and row.get("quantity") == outcome.quantity


def sample_sentence(sample: SampleCount) -> str:
    """Say how much of the study the analysis uses."""
    out = sample.scans - sample.scans_included
    left = "no scan was left out" if out == 0 else f"{out} scan{'s' if out > 1 else ''} left out (reasons below)"
    return (
        f"{sample.subjects_included} of {sample.subjects} subjects and {sample.scans_included} of {sample.scans} scans "
        f"enter the group analysis; {left}."
    )


def in_brief(page: GroupPage) -> list["Markup"]:
    """Give the answer of a study in three sentences: its first question, the others, and what it stands on."""
    from markupsafe import Markup, escape

    sample = escape(sample_sentence(page.sample))
    if page.why_no_test:
        about = "What was measured is shown below for each subject; it does not compare groups."
        return [Markup("No group test was possible: {}").format(_sentence(page.why_no_test)), sample, Markup(about)]
    main, _ = split_contrasts(page)
    if not main:
        return [Markup("No contrast of {} was asked for.").format(page.outcome.metabolite), sample]
    return [_first_answer(main[0], page), _other_answers(main[1:], page), _robust(main[0], page) or sample]


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _first_answer(row: Row, page: GroupPage) -> "Markup":
    from markupsafe import Markup

    name, measure = words(row.get("contrast")), _subject(row, page)
    if not is_number(row.get("estimate")):
        return Markup("The first question ({}) could not be tested: {}").format(name, _sentence(_note(row) or MISSING))
    origin, decimals = _origin(row), decimals_for(row.get("se"))
    ends = [origin.cite(end, row.get(end), fixed(row.get(end), decimals)) for end in ("ci_low", "ci_high")]
    text = {True: "an effect was found", False: "no effect was shown", None: "without a test"}[_found(row, page)]
    return Markup("First question ({}): {} differs by {}{} ({} % CI {} to {}{}): {}.").format(
        name,
        measure,
        origin.cite("estimate", row["estimate"], fixed(row["estimate"], decimals)),
        _with_space(_unit(row, page)),
        f"{page.confidence_pct:g}",
        *ends,
        _decisive_p(row),
        text,
    )


def _other_answers(rows: Sequence[Row], page: GroupPage) -> "Markup":
    from markupsafe import Markup

    if not rows:
        return Markup("No other main question was asked.")
    found = [row for row in rows if _found(row, page)]
    untested = sum(_found(row, page) is None for row in rows)
    shown = [
        Markup("{} ({}{}{})").format(
            words(row.get("contrast")),
            _origin(row).cite("estimate", row["estimate"], fixed(row["estimate"], decimals_for(row.get("se")))),
            _with_space(_unit(row, page)),
            _decisive_p(row),
        )
        for row in found
    ]
    of_all = f"{len(rows)} other main question{'s' if len(rows) > 1 else ''}"
    missing = f"; {untested} could not be tested" if untested else ""
    if not found:
        return Markup("An effect was shown for none of the {}{}.").format(of_all, missing)
    return Markup("An effect was found for {} of the {}: {}{}.").format(len(found), of_all, joined(shown), missing)


def _robust(row: Row, page: GroupPage) -> "Markup | None":
    """Say how far the first answer depends on choices of the analysis, where these were tried."""
    from markupsafe import Markup

    tried = [one for one in specifications(page, row) if one.get("choice") != "main"]
    if not tried:
        return None
    left_out = [one for one in tried if one.get("kind") == "leave one out"]
    chosen = [one for one in tried if one.get("kind") != "leave one out"]
    said = [
        Markup(
            "Under {} other choices of the analysis, its estimate keeps its sign under {} and has p < {} under {}"
        ).format(len(chosen), *_kept(chosen, page))
    ]
    if left_out:
        said.append(
            Markup("without one of {} subjects in turn, it keeps its sign {} times and has p < {} {} times").format(
                len(left_out), *_kept(left_out, page)
            )
        )
    return Markup("; ").join([*said, sample_sentence(page.sample)])


def _kept(rows: Sequence[Row], page: GroupPage) -> tuple[int, str, int]:
    """How many keep the sign, the level, and how many are below it."""
    sign = sum(_is_true(one.get("keeps_sign")) for one in rows)
    return sign, f"{page.alpha:g}", sum(_is_true(one.get("is_significant")) for one in rows)


def _is_true(value: object) -> bool:
    return str(value).lower() == "true"


def specifications(page: GroupPage, row: Row) -> list[Row]:
    """Rows of ``robustness.tsv`` that are about the question of a contrast."""
    if page.robustness is None:
        return []
    rows = [one for one in records(page.robustness) if one.get("contrast") == row.get("contrast")]
    return [one for one in rows if one.get("metabolite") == row.get("metabolite") and is_number(one.get("estimate"))]


def contrast_answer(row: Row, page: GroupPage) -> dict[str, "Markup | str"]:
    """Say in a sentence what a contrast found, then with which numbers, then what it does not say."""
    from markupsafe import Markup

    name = str(row.get("contrast"))
    question = page.questions.get(name, f"{name}.")
    if not is_number(row.get("estimate")):
        return {"question": question, "finding": "This could not be tested.", "numbers": "", "caution": _note(row)}
    unit = _unit(row, page)
    shown = _origin(row).cite("estimate", row["estimate"], fixed(row["estimate"], decimals_for(row.get("se"))))
    estimate = Markup("{}{}").format(shown, _with_space(unit))
    found, subject = _found(row, page), _subject(row, page)
    caution: Markup | str = ""
    if found is None:
        finding, caution = Markup("{}: estimate {}, without a test.").format(subject, estimate), _note(row)
    elif found:
        finding = Markup("{}: an effect was found, {}.").format(subject, estimate)
    else:
        finding = Markup("{}: no effect was shown; the estimate is {}.").format(subject, estimate)
        caution = _about_absence(row, page, unit)
    return {"question": question, "finding": finding, "numbers": _numbers(row, page), "caution": caution}


def _origin(row: Row) -> Origin:
    return Origin(FILE, {name: words(row.get(name)) for name in ("contrast", "metabolite", "quantity")})


def _is_main(row: Row, page: GroupPage) -> bool:
    """A main contrast is of the outcome, or of something that is no concentration, such as a rating."""
    return of_outcome(row, page.outcome) or row.get("quantity") not in QUANTITIES


def _subject(row: Row, page: GroupPage) -> str:
    return words(row.get("metabolite")) if words(row.get("metabolite")) != MISSING else page.ratings_label


def _found(row: Row, page: GroupPage) -> bool | None:
    """Whether an effect was found; None without a test. The adjusted p decides where there is one."""
    p = _decisive(row)[1]
    return None if math.isnan(p) else p < page.alpha


def _decisive(row: Row) -> tuple[str, float]:
    column = "p_adjusted" if is_number(row.get("p_adjusted")) else "p"
    return column, as_float(row.get(column))


def _decisive_p(row: Row) -> "Markup":
    from markupsafe import Markup

    column, p = _decisive(row)
    if math.isnan(p):
        return Markup("")
    name = "adjusted p" if column == "p_adjusted" else "p"
    return Markup(", {} {}").format(name, _p(_origin(row), column, p))


def _p(origin: Origin, column: str, p: object) -> "Markup":
    from markupsafe import Markup

    text = p_value(p)
    return Markup("{}{}").format("" if text.startswith("<") else "= ", origin.cite(column, p, text))


def _unit(row: Row, page: GroupPage) -> str:
    if of_outcome(row, page.outcome):
        return page.outcome.unit
    return QUANTITIES.get(str(row.get("quantity")), ("", ""))[1]


def _with_space(unit: str) -> str:
    return f" {unit}" if unit else ""


def _measure(row: Row) -> str:
    quantity = words(row.get("quantity"))
    name = QUANTITIES.get(quantity, (humanised(quantity),))[0].lower()
    metabolite = words(row.get("metabolite"))
    return name.capitalize() if metabolite == MISSING else f"{metabolite} ({name})"


def _note(row: Row) -> str:
    text = words(row.get("note"))
    return "" if text == MISSING else text


def _about_absence(row: Row, page: GroupPage, unit: str) -> "Markup":
    from markupsafe import Markup

    origin = _origin(row)
    if is_number(row.get("tost_p")) and float(row["tost_p"]) < page.alpha:
        bound = origin.cite("tost_bound", row["tost_bound"], number(row["tost_bound"]))
        text = "The effect is smaller than ±{}{} (equivalence test, p {})."
        return Markup(text).format(bound, _with_space(unit), _p(origin, "tost_p", row["tost_p"]))
    return Markup("That no effect was shown does not mean that there is none; the interval says how large it could be.")


def _numbers(row: Row, page: GroupPage) -> "Markup":
    from markupsafe import Markup

    origin = _origin(row)
    adjusted = (
        Markup(" (adjusted {})").format(origin.cite("p_adjusted", row["p_adjusted"], p_value(row["p_adjusted"])))
        if is_number(row.get("p_adjusted"))
        else ""
    )
    interval = _span(row, "ci_low", "ci_high", decimals_for(row.get("se")))
    parts = [
        Markup("{} % CI {}").format(f"{page.confidence_pct:g}", interval),
        Markup("p {}{}").format(_p(origin, "p", row.get("p")), adjusted),
    ]
    if is_number(row.get("effect")):
        effect = origin.cite("effect", row["effect"], fixed(row["effect"], 2))
        parts.append(Markup("{} {}").format(words(row.get("effect_name")), effect))
    return joined([*parts, Markup("{} subjects, {} scans").format(*_counts(row))], "; ")


def _counts(row: Row) -> list["Markup"]:
    return [_origin(row).cite(name, row.get(name), count(row.get(name))) for name in ("n_subjects", "n_scans")]


def contrast_cells(row: Row, page: GroupPage) -> dict[str, "Markup | str | bool"]:
    """Spell a row of ``contrasts.tsv`` for the table of the page."""
    from markupsafe import Markup

    origin = _origin(row)
    estimate = origin.measured("estimate", row.get("estimate"), "se", row.get("se"))
    effect = origin.cite("effect", row.get("effect"), fixed(row.get("effect"), 2))
    bound = origin.cite("tost_bound", row.get("tost_bound"), number(row.get("tost_bound")))
    n_subjects, n_scans = _counts(row)
    known_effect = is_number(row.get("effect"))
    return {
        "contrast": words(row.get("contrast")),
        "measure": _measure(row),
        "model": words(row.get("model")),
        "note": _note(row),
        "estimate": Markup("{}{}").format(estimate, _with_space(_unit(row, page)) if estimate != MISSING else ""),
        "interval": _span(row, "ci_low", "ci_high", decimals_for(row.get("se"))),
        "statistic": origin.cite("statistic", row.get("statistic"), fixed(row.get("statistic"), 2)),
        "df": origin.cite("df", row.get("df"), fixed(row.get("df"), 1)),
        "p": origin.cite("p", row.get("p"), p_value(row.get("p"))),
        "p_adjusted": origin.cite("p_adjusted", row.get("p_adjusted"), p_value(row.get("p_adjusted"))),
        "found": bool(_found(row, page)),
        "effect": Markup("{} {}").format(words(row.get("effect_name")), effect) if known_effect else MISSING,
        "effect_interval": _span(row, "effect_ci_low", "effect_ci_high", 2, missing=""),
        "bf01": origin.cite("bf01", row.get("bf01"), number(row.get("bf01"))),
        "equivalence": origin.cite("tost_p", row.get("tost_p"), p_value(row.get("tost_p"))),
        "bound": Markup("±{}").format(bound) if is_number(row.get("tost_bound")) else "",
        "n_subjects": n_subjects,
        "n_scans": n_scans,
    }


def _span(row: Row, low: str, high: str, decimals: int, *, missing: str = MISSING) -> "Markup | str":
    from markupsafe import Markup

    if not (is_number(row.get(low)) and is_number(row.get(high))):
        return missing
    ends = [_origin(row).cite(end, row[end], fixed(row[end], decimals)) for end in (low, high)]
    return Markup("{} to {}").format(*ends)
