"""Which scans have values at a common line width; the fits themselves are tested in test_alternatives.py."""

from types import SimpleNamespace

import numpy as np
import pytest

from mrspipe.config import StudyConfig
from mrspipe.core.signal import ScanKey
from mrspipe.pipeline import linewidths

WIDTHS = {"01": {"1": 6.0, "2": 8.0}, "02": {"1": 7.0}, "03": {"1": 6.0, "2": np.nan}}


@pytest.fixture
def analysed(monkeypatch):
    """Results of scans whose fit gives twice the amplitude once their lines are broadened."""

    def width_of(_, key):
        return WIDTHS[key.sub][key.ses]

    def fit(amplitude):
        return SimpleNamespace(amplitudes=np.array([amplitude]), weights=lambda _: np.array([1.0]))

    monkeypatch.setattr(linewidths, "_usable_width_hz", width_of)
    monkeypatch.setattr(linewidths, "read_clean", lambda _, key: key)
    monkeypatch.setattr(linewidths, "read_fit", lambda *_: fit(1.0))
    monkeypatch.setattr(
        linewidths, "read_levels", lambda *_: [SimpleNamespace(metabolite="Glu", quantity="molar", value=10.0)]
    )
    monkeypatch.setattr(linewidths, "basis_for", lambda *_: None)
    monkeypatch.setattr(linewidths, "broadened", lambda signal, width, target: signal if width >= target else "broader")
    monkeypatch.setattr(linewidths, "fit_spectrum", lambda *_: fit(2.0))


def values(tmp_path, sub):
    keys = tuple(ScanKey(sub=sub, ses=ses, task=None) for ses in WIDTHS[sub])
    rows = linewidths._matched(linewidths.ParticipantJob(tmp_path, keys, StudyConfig(), None))
    return [(row["session_id"], row["value"]) for row in rows]


@pytest.mark.usefixtures("analysed")
def test_a_participant_with_one_usable_scan_is_not_missing_among_the_others(tmp_path):
    assert values(tmp_path, "01") == [("ses-1", 20.0), ("ses-2", 10.0)]
    assert values(tmp_path, "02") == [("ses-1", 10.0)]
    assert values(tmp_path, "03") == [("ses-1", 10.0)]
