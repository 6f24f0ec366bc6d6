import re
from dataclasses import replace

import pandas as pd
import pytest

from mrspipe.core.errors import InputError
from mrspipe.core.results import Failure
from mrspipe.report.blind import blinded
from mrspipe.report.pages import write_group_page

_TELLING = ("CAI", "HC", "Cocaine users", "Controls", "placebo", "NAC", "cocaine_g_per_week", "patients-controls")


@pytest.fixture
def page(make):
    measurements, _, _ = make.tables()
    exclusions = pd.DataFrame([
        {"participant_id": "sub-04", "session_id": "ses-1", "analysis": "all", "reason": "a scan of the HC is broad"},
        {"participant_id": "sub-05", "session_id": "ses-1", "analysis": "patients-controls", "reason": "no partner"},
    ])  # fmt: skip
    return make.group_page(
        title="Glutamate of CAI and HC",
        measurements=measurements.assign(cocaine_g_per_week=[6.5 * (g == "CAI") for g in measurements["group"]]),
        exclusions=exclusions,
        failures=(Failure({"sub": "25"}, "read", "x", "The file of this CAI is empty.", ""),),
        methods=("Controls were compared.",),
        design=("Two groups: CAI against HC.",),
    )


def test_nothing_on_a_blinded_page_names_a_group_or_a_treatment(page, tmp_path):
    write_group_page(tmp_path / "g.html", blinded(page))
    text = (tmp_path / "g.html").read_text(encoding="utf-8")
    text = re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.DOTALL)
    for word in _TELLING:
        assert not re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE), word
    assert "Group A" in text
    assert "Group B" in text
    assert "sub-05_" not in text


def test_a_blinded_page_holds_no_concentration_rating_or_contrast(page, tmp_path, make):
    hidden = blinded(page)
    assert hidden.ratings is None
    assert hidden.contrasts.empty
    assert set(hidden.measurements) == {"participant_id", "session_id", "task_id", "run", "group"}
    write_group_page(tmp_path / "g.html", hidden)
    text = (tmp_path / "g.html").read_text(encoding="utf-8")
    sources = set(re.findall(r'data-source="([^?"]*)', text))
    assert sources == {"group/quality.tsv"}


def test_letters_stay_with_the_study_and_differ_between_seeds(page):
    orders = {tuple(blinded(page, seed).group.labels) for seed in range(12)}
    assert orders == {("CAI", "HC"), ("HC", "CAI")}
    assert blinded(page).group.labels == blinded(page).group.labels


def test_each_scan_keeps_its_group_under_the_letter(page):
    hidden = blinded(page)
    counted = page.measurements.groupby("group")["participant_id"].nunique()
    letters = hidden.measurements["group"].map(hidden.group.labels)
    assert sorted(set(letters)) == ["Group A", "Group B"]
    for value, letter in hidden.group.labels.items():
        assert hidden.measurements[letters == letter]["participant_id"].nunique() == counted[value]


def test_names_of_participants_that_tell_the_group_are_refused(page, make):
    quality = make.tables()[2].assign(participant_id=lambda table: "sub-" + table["group"] + "01")
    with pytest.raises(InputError, match="cannot be blinded"):
        blinded(replace(page, quality=quality))


def test_a_study_of_one_group_can_be_blinded(page, tmp_path):
    write_group_page(tmp_path / "g.html", blinded(replace(page, group=None, sample_by_group=())))
    assert "All subjects" in (tmp_path / "g.html").read_text(encoding="utf-8")
