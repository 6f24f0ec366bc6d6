"""What other choices would have given equals what an analysis with these choices gives."""

import shutil

import numpy as np
import pandas as pd
import pytest
from study_helpers import make_study, request

from mrspipe.config import with_settings
from mrspipe.io.bids import find_scans
from mrspipe.io.derivatives import read_alternatives
from mrspipe.io.tables import read_table
from mrspipe.pipeline.linewidths import CHOICE
from mrspipe.pipeline.study import StudyRequest, analyse_study


def _with(asked, stage, **changes):
    return StudyRequest(asked.bids_dir, asked.out_dir, with_settings(asked.config, stage, **changes))


def _alternatives(out_dir):
    tables = [read_table(out_dir / "group" / name) for name in ("alternatives.tsv", "linewidths.tsv")]
    return pd.concat(tables, ignore_index=True)


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    """Two participants with two visits, analysed with all choices."""
    folder = tmp_path_factory.mktemp("visits")
    study = make_study(folder / "bids", "pre_post", 2)
    asked = _with(request(study, folder / "out", "pre_post"), "fit", refits={"enabled": True}, mm="study")
    analyse_study(asked)
    return asked


def _values(table, quantity="molar"):
    chosen = table[table["quantity"] == quantity]
    return chosen.set_index([*_KEYS, "metabolite"])["value"].sort_index()


_KEYS = ["participant_id", "session_id"]


def test_other_constants_give_what_an_analysis_with_them_gives(visits, tmp_path):
    alternatives = _alternatives(visits.out_dir)
    found = alternatives[alternatives["choice"] == "water relaxation of fsl"]
    out = shutil.copytree(visits.out_dir, tmp_path / "out")
    other = StudyRequest(visits.bids_dir, out, with_settings(visits.config, "quantify", relaxation="fsl"))
    analyse_study(other)
    expected = read_table(out / "group" / "measurements.tsv")
    for quantity in ("molar", "molal"):
        # Learned macromolecules hang on the water scale in no way, so the fits are the same.
        mine, theirs = _values(found, quantity), _values(expected, quantity).dropna()
        np.testing.assert_allclose(mine, theirs[mine.index], rtol=1e-8)
        assert len(mine) > 0


def test_every_way_to_fit_is_there_for_every_scan(visits):
    alternatives = _alternatives(visits.out_dir)
    of_glu = alternatives[(alternatives["metabolite"] == "Glu") & (alternatives["kind"] == "fit")]
    n_scans = len(find_scans(visits.bids_dir).scans)
    counts = of_glu[of_glu["quantity"] == "molar"]["choice"].value_counts()
    # Four scans teach nothing about the macromolecules, so the generic ones are no other choice.
    assert dict(counts) == {"stiffer baseline": n_scans, CHOICE: n_scans}


def test_the_broadest_scan_of_a_participant_keeps_its_values_and_the_others_do_not(visits):
    alternatives = _alternatives(visits.out_dir)
    measured = read_table(visits.out_dir / "group" / "measurements.tsv")
    widths = measured.drop_duplicates(_KEYS).set_index(_KEYS)["fwhm_hz"]
    before, after = _values(measured), _values(alternatives[alternatives["choice"] == CHOICE])
    for participant in set(measured["participant_id"]):
        of_sessions = widths[participant].sort_values()
        narrow, broad = of_sessions.index
        np.testing.assert_allclose(after[participant, broad], before[participant, broad], rtol=1e-9)
        assert abs(after[participant, narrow, "Glu"] / before[participant, narrow, "Glu"] - 1) > 1e-6


def test_other_quantities_are_computed_where_the_configuration_has_none(visits):
    key = find_scans(visits.bids_dir).scans[0].key
    table = read_alternatives(visits.out_dir, key)
    others = table[table["kind"] == "quantity"]
    assert set(others["quantity"]) == {"alpha_molar", "lcmodel"}
    assert list(others["choice"]) == list(others["quantity"])
    assert not table["value"].isna().any()
