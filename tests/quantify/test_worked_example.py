"""The numbers of docs/quantification.md, which were worked out by hand, against the code."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.results import FitResult, TissueFractions
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.physics.relaxation import TISSUES, metabolite_relaxation, water_relaxation
from mrspipe.quantify.factors import relaxation
from mrspipe.quantify.levels import concentrations
from mrspipe.quantify.settings import QuantifySettings

PAGE = (Path(__file__).parents[2] / "docs" / "quantification.md").read_text(encoding="utf-8")
STATED = dict(re.findall(r"`(\w+)` = ([\d.]+)", PAGE))
FRACTIONS = np.array([0.6, 0.3, 0.1])
QUANTITIES = ("institutional", "molar", "molal", "alpha_molar", "alpha_group_molar", "lcmodel")


@pytest.fixture(scope="module")
def computed():
    axis = SpectralAxis(2048, 1 / 4000, 127.7e6, 4.65)
    acquisition = Acquisition(sequence="press", echo_time_s=0.032, repetition_time_s=2.5)
    water = Signal(8000.0 * np.exp(-np.pi * 6.0 * axis.time_s) + 0j, ("time",), axis, acquisition)
    empty, zero = np.zeros(4), np.zeros((1, 1))
    fit = FitResult(("Glu",), np.array([2.0]), zero, zero, np.zeros(1), {}, *[empty] * 5, np.zeros((1, 4)), 1.0, 0.5)
    settings = QuantifySettings(quantities=QUANTITIES, alpha_group_fractions={"GM": 0.55, "WM": 0.35, "CSF": 0.1})
    levels = concentrations(fit, water, TissueFractions(*FRACTIONS), acquisition, settings)
    table = [water_relaxation()[name] for name in TISSUES]
    left = relaxation(0.032, 2.5, np.array([row.t1_s for row in table]), np.array([row.t2_s for row in table]))
    rows = [metabolite_relaxation("Glu", tissue) for tissue in ("GM", "WM")]
    glu = relaxation(0.032, 2.5, np.array([row.t1_s for row in rows]), np.array([row.t2_s for row in rows]))
    content = FRACTIONS * np.array([row.kg_per_l for row in table])
    steps = {
        "S": 2 * 2.0 * 0.5 / 8000,
        **dict(zip(("R_GM", "R_WM", "R_CSF"), left, strict=True)),
        **dict(zip(("R_Glu_GM", "R_Glu_WM"), glu, strict=True)),
        "R_M": FRACTIONS[:2] @ glu / FRACTIONS[:2].sum(),
        "D": content.sum(),
        "g_CSF": content[2] / content.sum(),
        "fdR": content @ left,
    }
    return steps | {level.quantity: level.value for level in levels}


def test_the_page_states_every_step_and_quantity(computed):
    assert set(STATED) == set(computed)


@pytest.mark.parametrize("name", STATED)
def test_a_number_worked_out_by_hand_is_that_of_the_code_to_four_digits(computed, name):
    assert f"{computed[name]:#.4g}" == f"{float(STATED[name]):#.4g}"


def test_the_table_of_the_budget_is_that_of_the_code():
    script = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "error_budget.py"))
    for source in (*script["SOURCES"], "own", "shared", "total"):
        row = re.search(rf"^\| {source} \|(.*)\|$", PAGE, re.MULTILINE)
        stated = [cell.strip() for cell in row[1].split("|")][::2]
        found = [script["percent"](script["budget"](one), source, one) for one in script["QUANTITIES"]]
        assert stated == [f"{value:.2f}" for value in found], source
