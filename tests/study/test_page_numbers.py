"""Every number on the pages that names a table is the number in that table."""

import json
import re
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from mrspipe.io.tables import read_table
from mrspipe.pipeline.again import report_again

_CITED = re.compile(r'<data value="([^"]*)" data-source="([^"]*)">([^<]*)</data>')
_POWERS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def _cell(out_dir, source, tables):
    """The exact number that a source names: ``file?column=value&...#column``."""
    path, _, column = source.partition("#")
    file, _, query = path.partition("?")
    if file not in tables:
        text = (out_dir / file).read_text(encoding="utf-8")
        tables[file] = (
            json.loads(text) if file.endswith(".json") else read_table(out_dir / file).astype(object).fillna("n/a")
        )
    table, picks = tables[file], dict(parse_qsl(query))
    if not file.endswith(".json"):
        rows = table
        for name, value in picks.items():
            rows = rows[rows[name].astype(str) == value]
        assert len(rows) == 1, source
        return float(rows.iloc[0][column])
    if picks:
        found = [metric for metric in table["metrics"] if metric["name"] == picks["name"]]
        assert len(found) == 1, source
        return float(found[0][column])
    for key in column.split("."):
        table = table[key]
    return float(table)


def _shown(text):
    """A number as it is spelled, and half a unit of its last digit."""
    mantissa, _, power = text.replace("−", "-").partition(" × 10")
    scale = 10.0 ** int(power.translate(_POWERS)) if power else 1.0
    decimals = len(mantissa.partition(".")[2])
    return float(mantissa) * scale, 0.5 * 10.0**-decimals * scale


def _check(out_dir, page):
    text, tables = page.read_text(encoding="utf-8"), {}
    cited = _CITED.findall(text)
    for value, source, shown in cited:
        exact = _cell(out_dir, unescape(source), tables)
        assert float(value) == pytest.approx(exact, rel=1e-9), source
        if shown.startswith("<"):
            assert exact < 1e-15, source
            continue
        number, half = _shown(shown)
        assert abs(number - exact) <= half * (1 + 1e-9) + 1e-15, (source, shown, exact)
    # No number that names its table stands in the page in another form.
    assert text.count("data-source=") == len(cited)
    return {unescape(source).partition("?")[0].partition("#")[0] for _, source, _ in cited}, len(cited)


def test_every_number_of_a_subject_s_page_is_its_table_s(analysed):
    files, n = _check(analysed, analysed / "sub-01.html")
    assert {file.rpartition("_desc-")[2] for file in files} == {
        "budget_mrs.tsv", "conc_mrs.tsv", "qc_mrs.json", "fit_mrs.json",
    }  # fmt: skip
    # Twenty-four metabolites and sums in three quantities, each with its error, and a bound.
    assert n > 24 * (3 * 2 + 1)


def test_the_page_of_a_subject_with_eight_scans_is_smaller_than_a_megabyte_and_a_half(analysed):
    page = (analysed / "sub-01.html").read_text(encoding="utf-8")
    # Style, script and what is said about the subject stand there once.
    scan = page[page.index("<main") : page.index("</main>")]
    assert len(page.encode()) + 7 * len(scan.encode()) < 1_500_000


def test_every_number_of_the_study_s_page_is_its_table_s(analysed):
    files, n = _check(analysed, analysed / "group.html")
    assert files == {f"group/{name}.tsv" for name in ("contrasts", "measurements", "demographics", "quality_tests")}
    assert n > 30


def test_every_table_cell_with_a_number_of_a_contrast_names_its_source(analysed):
    text = (analysed / "group.html").read_text(encoding="utf-8")
    table = re.search(r'<table class="contrasts">.*?</table>', text, re.DOTALL)[0]
    cells = re.findall(r'<td class="num[^"]*">(.*?)</td>', table, re.DOTALL)
    assert cells
    for cell in cells:
        bare = re.sub(r"<[^>]*>", "", re.sub(r"<data .*?</data>", "", cell))
        assert not re.search(r"\d", bare.replace("95 %", "")), cell


def test_a_blinded_page_holds_quality_alone_and_its_subjects_lead_back_to_it(analysed, tmp_path):
    out_dir = Path(shutil.copytree(analysed, tmp_path / "derivatives"))
    before = {path: path.read_bytes() for path in sorted(out_dir.glob("*.html"))}
    page = report_again(out_dir, blind=True).group_page
    assert page == out_dir / "blind" / "group.html"
    assert {path: path.read_bytes() for path in sorted(out_dir.glob("*.html"))} == before
    files, _ = _check(out_dir, page)
    assert files == {"group/quality.tsv"}
    subject = (out_dir / "blind" / "sub-01.html").read_text(encoding="utf-8")
    assert 'href="group.html"' in subject
    for text in (page.read_text(encoding="utf-8"), subject):
        body = re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.DOTALL)
        # An image may hold any two letters.
        body = re.sub(r"base64,[^\"']*", "", body)
        for label in read_table(out_dir / "group" / "measurements.tsv")["group"].unique():
            assert not re.search(rf"(?<![A-Za-z]){label}(?![A-Za-z])", body), label


def test_the_figures_of_a_study_stand_beside_their_numbers(analysed):
    names = {path.stem for path in (analysed / "figures").iterdir()}
    assert {"fig-glu-by-group", "fig-spectra-by-group", "fig-quality"} <= names
    for name in names:
        assert {path.suffix for path in (analysed / "figures").glob(f"{name}.*")} == {".svg", ".pdf", ".png", ".tsv"}
    table = read_table(analysed / "figures" / "fig-glu-by-group.tsv")
    known = read_table(analysed / "group" / "measurements.tsv").query("metabolite == 'Glu' and included")
    assert set(table["value"]) <= set(known["value"])
    assert len(table) == known["participant_id"].nunique()
