import runpy
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from mrspipe.physics.lineshapes import voigt_fwhm
from mrspipe.physics.relaxation import TISSUES, metabolite_relaxation, water_relaxation, water_sets

TABLE = tomllib.loads(files("mrspipe.physics").joinpath("relaxation.toml").read_text(encoding="utf-8"))


def test_no_row_lacks_a_source_with_a_doi():
    rows = [*TABLE["water"], *TABLE["visible_water"], *TABLE["metabolite"]]
    for row in rows:
        assert row["source"], row
        for key in row["source"]:
            assert TABLE["sources"][key]["citation"], key
            assert TABLE["sources"][key]["doi"].startswith("10."), key


def test_every_source_is_used():
    rows = [*TABLE["water"], *TABLE["visible_water"], *TABLE["metabolite"]]
    assert {key for row in rows for key in row["source"]} == set(TABLE["sources"])


@pytest.mark.parametrize("name", water_sets())
def test_a_set_has_all_tissues_with_decay_faster_than_recovery(name):
    water = water_relaxation(name)
    assert set(water) == set(TISSUES)
    for row in water.values():
        assert 0 < row.t2_s < row.t1_s < 10
        assert 0 < row.kg_per_l <= 1
        assert "doi" in row.source


def test_an_unknown_set_names_those_that_exist():
    with pytest.raises(KeyError, match="gannet, fsl"):
        water_relaxation("other")


def test_published_values_are_given_in_seconds():
    # Wansapura 1999: grey matter 1331 and 110 ms; Mlynarik 2001: T1 of Glu 1270 ms; Wyss 2018: T2 of NAA 343 ms.
    assert water_relaxation("gannet")["GM"].t1_s == pytest.approx(1.331)
    assert water_relaxation("gannet")["GM"].t2_s == pytest.approx(0.110)
    assert metabolite_relaxation("Glu", "GM").t1_s == pytest.approx(1.270)
    assert metabolite_relaxation("NAA", "WM").t2_s == pytest.approx(0.343)


def test_a_metabolite_without_a_row_has_the_mean_of_the_others():
    assert metabolite_relaxation("Xyz", "WM").t1_s == pytest.approx(1.190)
    assert metabolite_relaxation("Xyz", "WM").name == "Xyz"


def test_a_voigt_line_of_equal_parts_has_1_64_times_their_width():
    # Olivero and Longbothum 1977: 0.5346 + sqrt(1.2166) = 1.6376.
    assert voigt_fwhm(1.0, 1.0) == pytest.approx(1.6376, abs=1e-4)


def test_the_page_of_constants_is_the_table():
    docs = Path(__file__).parents[2] / "docs"
    page = runpy.run_path(str(docs / "constants.py"))["page"]()
    assert (docs / "constants.md").read_text(encoding="utf-8") == page, "python docs/constants.py > docs/constants.md"
