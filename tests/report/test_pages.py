import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mrspipe.core.results import Concentration, Failure
from mrspipe.core.volume import Volume
from mrspipe.report.content import Factor
from mrspipe.report.pages import write_group_page, write_subject_page

_VOID = {"meta", "link", "br", "hr", "img", "input", "wbr", "path", "use", "rect", "stop", "image"}


class _Page(HTMLParser):
    """Collects the text of table cells and checks that every tag that opens also closes, in order."""

    def __init__(self):
        super().__init__()
        self.open, self.cells, self.links, self.sources, self.ids = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in _VOID:
            self.open.append(tag)
        if tag in {"td", "th"}:
            self.cells.append("")
        self._note(tag, dict(attrs))

    def handle_startendtag(self, tag, attrs):
        self._note(tag, dict(attrs))

    def _note(self, tag, attrs):
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if tag == "a" else []
        self.sources += [attrs.get("src"), *([] if tag == "a" else [attrs.get("href"), attrs.get("xlink:href")])]

    def handle_endtag(self, tag):
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open[-3:]):
            self.cells[-1] += data


def _shown(path):
    """The text that a reader sees."""
    body = re.sub(r"<(script|style)>.*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", "", body)).split())


def _read(path):
    text = path.read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return text, page


@pytest.fixture(scope="module")
def subject(tmp_path_factory, make):
    path = tmp_path_factory.mktemp("subject") / "sub-01.html"
    write_subject_page(path, make.subject_page())
    return path


@pytest.fixture(scope="module")
def group(tmp_path_factory, make):
    path = tmp_path_factory.mktemp("group") / "group.html"
    write_group_page(path, make.group_page())
    return path


@pytest.mark.parametrize("kind", ["subject", "group"])
def test_a_page_is_balanced_and_needs_nothing_but_itself(kind, request):
    text, page = _read(request.getfixturevalue(kind))
    assert all(source is None or source.startswith(("#", "data:")) for source in page.sources)
    assert not re.search(r"@import|url\((?!#)", text)
    outward = [link for link in page.links if link.startswith("http")]
    assert all(link.startswith("https://doi.org/") for link in outward)
    assert re.findall(r"<script[^>]*>", text) == ["<script>"]


@pytest.mark.parametrize("kind", ["subject", "group"])
def test_ids_are_unique_and_every_inner_link_leads_somewhere(kind, request):
    text, page = _read(request.getfixturevalue(kind))
    assert len(page.ids) == len(set(page.ids))
    inner = {link[1:] for link in page.links if link.startswith("#")}
    assert inner <= set(page.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(page.ids)


def test_the_same_values_give_the_same_bytes(tmp_path, subject, group, make):
    write_subject_page(tmp_path / "again.html", make.subject_page())
    write_group_page(tmp_path / "group.html", make.group_page())
    assert (tmp_path / "again.html").read_bytes() == subject.read_bytes()
    assert (tmp_path / "group.html").read_bytes() == group.read_bytes()


def test_every_concentration_stands_in_a_cell_with_its_error(subject):
    _, page = _read(subject)
    for shown in ("11.89 ± 0.84", "15.58 ± 0.84", "1.080 ± 0.047", "9.13 ± 0.84", "2.21 ± 0.84"):
        assert any(cell.startswith(shown) for cell in page.cells), shown
    assert {"3.60", "31.7", "12.3"} <= set(page.cells)


def test_every_metabolite_and_quality_measure_has_its_row(subject, make):
    _, page = _read(subject)
    assert {level.metabolite for level in make.levels()} <= set(page.cells)
    assert {"17.5", "6.91 Hz", "0.0541 ppm", "1.07", "3.61 %", "−0.420 Hz", "504"} <= set(page.cells)
    assert {"≥ 6", "≤ 12.8 Hz", "met", "not met", "for information"} <= set(page.cells)


def test_what_was_not_measured_is_na_with_its_reason(subject):
    text, page = _read(subject)
    assert "there is no unsuppressed water signal for this scan" in text
    assert "n/aa" in page.cells
    assert "nan" not in {cell.strip().lower() for cell in page.cells}


def test_a_missing_value_without_a_reason_says_so(tmp_path, make):
    level = Concentration("Glu", "molar", np.nan, np.nan, np.nan, np.nan, "water")
    write_subject_page(tmp_path / "p.html", make.subject_page(scans=(make.scan(levels=(level,), head=False),)))
    assert "no reason was recorded" in _read(tmp_path / "p.html")[0]


def test_the_verdict_comes_with_its_reasons_in_words(subject):
    text, _ = _read(subject)
    assert "The spectrum passed every check." in text
    assert "The lines are 0.105 ppm wide; at most 0.1 ppm is expected." in text
    assert "The baseline is unusually flexible." in text


def test_a_scan_without_a_picture_of_the_voxel_says_why(subject):
    text, _ = _read(subject)
    assert "No picture of the voxel: no anatomical image belongs to this scan." in text
    assert "Tissue fractions of the voxel are not known." in text
    assert "80.8 % grey matter, 18.2 % white matter, 1.0 % cerebrospinal fluid" in text


def test_a_voxel_outside_the_image_is_explained_instead_of_drawn(tmp_path, make):
    scan = make.scan()
    empty = Volume(np.zeros_like(scan.mask.data), scan.mask.affine)
    write_subject_page(tmp_path / "p.html", make.subject_page(scans=(make.scan(mask=empty),)))
    assert "The voxel lies outside the anatomical image." in _read(tmp_path / "p.html")[0]


def test_a_fit_that_did_not_converge_is_named(tmp_path, fit, make):
    from dataclasses import replace

    scan = make.scan(fit=replace(fit, status="stalled"), head=False)
    write_subject_page(tmp_path / "p.html", make.subject_page(scans=(scan,)))
    assert "The fit did not end as it should: stalled." in _read(tmp_path / "p.html")[0]


def test_the_history_shows_settings_but_not_long_lists(subject):
    text, _ = _read(subject)
    assert "Combine coils" in text
    assert "max shift hz 20" in text
    assert "shifts hz (5 values)" in text


def test_names_are_escaped(tmp_path, make):
    nasty = "<script>alert('x')</script> & co"
    page = make.subject_page(participant_id=nasty, study_title=nasty, scans=(make.scan(title=nasty, notes=(nasty,)),))
    write_subject_page(tmp_path / "p.html", page)
    write_group_page(tmp_path / "g.html", make.group_page(title=nasty, why_no_test=nasty, ratings_label=nasty))
    for path in (tmp_path / "p.html", tmp_path / "g.html"):
        text, _ = _read(path)
        assert "<script>alert" not in text
        assert nasty in unescape(text)


def test_a_subject_with_failures_only_still_has_a_page(tmp_path, make):
    write_subject_page(tmp_path / "p.html", make.subject_page(scans=()))
    text, _ = _read(tmp_path / "p.html")
    assert "The signal holds values that are not finite." in text
    assert "Export it again." in text


def test_the_report_of_a_crash_stands_on_the_page_as_text(tmp_path, make):
    page = make.subject_page(crashes={"crash-sub-01.txt": "Traceback\n  x = '<script>alert(1)</script>'\nValueError"})
    write_subject_page(tmp_path / "p.html", page)
    text, _ = _read(tmp_path / "p.html")
    assert "Report of the crash: crash-sub-01.txt" in text
    assert "<script>alert" not in text
    assert "ValueError" in text


def test_the_page_says_how_glutamate_and_glutamine_are_told_apart(subject, make):
    text = _shown(subject)
    # The made-up amplitudes are one, uncorrelated, with a standard error of 0.1 each; creatine is the sum of two.
    assert "The amplitudes of Glu and Gln have a correlation of 0.00" in text
    # By hand: 1 / 2; SE sqrt(0.1^2 + 2 (0.5 x 0.1)^2) / 2 = 0.0612. Their sum: sqrt(2 x 0.1^2 + 2 x 0.1^2) / 2 = 0.1.
    assert "Glu 0.500 ± 0.061, Gln 0.500 ± 0.061, Glx 1.00 ± 0.10." in text
    assert "Their sum Glx has a smaller relative error than either" in text


def test_the_error_budget_is_drawn_in_shares_of_the_variance(tmp_path, make):
    from mrspipe.core.results import ErrorBudget

    budget = ErrorBudget(fit=3.0, tissue=4.0)
    level = Concentration("Glu", "molar", 20.0, 3.0, 5.0, 15.0, "water", budget=budget)
    write_subject_page(tmp_path / "p.html", make.subject_page(scans=(make.scan(levels=(level,), head=False),)))
    text, page = _read(tmp_path / "p.html")
    # Of 120 units, 9 / 25 belong to the fit and 16 / 25 to the tissue.
    assert '<rect class="source-0" x="0.0" width="43.2" height="10"/>' in text
    assert '<rect class="source-2" x="43.2" width="76.8" height="10"/>' in text
    assert "20.0 ± 5.0" in page.cells
    # The dot at 20 of 0 to 25: 4 + 152 x 0.8; its line from 15 to 25.
    assert 'd="M95.2 6H156.0"/><circle cx="125.6"' in text


def test_the_checklist_stands_on_the_page(subject):
    _, page = _read(subject)
    assert {"TR 2500 ms, TE 32 ms", "9.4 × 18.8 × 8.4 mm", "not reported"} <= set(page.cells)


def test_every_number_of_a_contrast_stands_in_its_row(group):
    _, page = _read(group)
    row = " ".join(page.cells)
    for shown in ("−0.95 ± 0.35 mmol/L", "−1.65 to −0.25", "−2.73", "51.2", "0.0083", "0.017", "Hedges' g −0.74",
                  "−1.28 to −0.20", "0.193", "0.0031", "±1.00", "211", "3.27", "Welch t test"):  # fmt: skip
        assert shown in row, shown


def test_each_main_contrast_is_answered_in_a_sentence(group):
    text = _shown(group)
    assert "Do cocaine users have less glutamate than controls? Glu: an effect was found, −0.95 mmol/L." in text
    assert "95 % CI −1.65 to −0.25; p = 0.0083 (adjusted 0.017); Hedges' g −0.74; 56 subjects, 56 scans" in text
    assert "Glu: no effect was shown; the estimate is 0.08 mmol/L." in text
    assert "The effect is smaller than ±1.00 mmol/L (equivalence test, p = 0.0031)." in text
    assert "24 of 25 subjects and 92 of 97 scans enter the group analysis; 5 scans left out" in text


def test_no_effect_without_an_equivalence_test_is_not_called_absence(tmp_path, make):
    contrasts = make.contrasts().assign(tost_p=np.nan)
    write_group_page(tmp_path / "g.html", make.group_page(contrasts=contrasts))
    assert "That no effect was shown does not mean that there is none" in _read(tmp_path / "g.html")[0]


def test_the_main_contrasts_stand_open_and_the_others_are_folded(group):
    text, _ = _read(group)
    folded = re.search(r"<details>\s*<summary>Secondary contrasts \(2\).*?</details>", text, re.DOTALL)[0]
    assert "tCr" in folded
    assert "fewer than two subjects in a group" in folded
    assert "nac-placebo" not in folded


def test_a_study_without_a_group_test_says_why_and_still_shows_its_subjects(tmp_path, make):
    why = "Only one subject per group has a usable scan."
    page = make.group_page(contrasts=make.contrasts().iloc[:0], why_no_test=why)
    write_group_page(tmp_path / "g.html", page)
    text, found = _read(tmp_path / "g.html")
    assert "No group test was made" in text
    assert why in text
    assert "an effect was found" not in text
    assert "sub-01.html" in found.links


def test_every_subject_is_listed_and_linked_also_the_one_that_failed(group):
    _, page = _read(group)
    assert {f"sub-{number:02d}.html" for number in (*range(1, 9), 25)} <= set(page.links)
    assert "not analysed" in page.cells


def test_each_subject_s_values_stand_in_the_table_and_unused_ones_in_brackets(group, make):
    _, page = _read(group)
    for _, row in make.tables()[0].iterrows():
        shown = np.format_float_positional(row["value"], precision=3, fractional=False, trim="k", unique=False)
        assert (shown if row["included"] else f"({shown})") in page.cells


def test_exclusions_and_failures_are_named_with_their_reasons(group):
    text, page = _read(group)
    assert "line width 0.105 ppm" in page.cells
    assert "sub-25_ses-1_task-cue" in page.cells
    assert "Export it again." in text


def test_a_study_of_one_group_over_time_needs_no_other_factor(tmp_path, make):
    measurements, _, quality = make.tables()
    page = make.group_page(
        group=None, treatment=None, ratings=None, measurements=measurements, quality=quality,
        condition=Factor("session_id", {"ses-1": "Before", "ses-2": "After"}),
    )  # fmt: skip
    write_group_page(tmp_path / "g.html", page)
    text, _ = _read(tmp_path / "g.html")
    assert "All subjects" in text
    assert "Before" in text


def test_a_study_in_which_everything_failed_still_has_a_page(tmp_path, make):
    empty = {name: getattr(make.group_page(), name).iloc[:0] for name in ("measurements", "quality", "ratings")}
    failure = Failure({"sub": "01"}, "read", "file", "The file is empty.", "")
    page = make.group_page(**empty, contrasts=pd.DataFrame(), failures=(failure,), why_no_test="No scan was analysed.")
    write_group_page(tmp_path / "g.html", page)
    text, found = _read(tmp_path / "g.html")
    assert "No scan was analysed." in text
    assert "sub-01.html" in found.links


def test_a_date_is_on_the_page_only_when_it_is_given(tmp_path, subject, make):
    write_subject_page(tmp_path / "p.html", make.subject_page(date="2021-09-01"))
    assert "2021-09-01" in _read(tmp_path / "p.html")[0]
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", _read(subject)[0])
