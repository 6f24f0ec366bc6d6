"""The table of spin systems: complete, sourced, consistent."""

import re
import tomllib
from importlib.resources import files

import pytest

from mrspipe.core.errors import ConfigError
from mrspipe.physics.constants import CR_PPM, NAA_PPM
from mrspipe.physics.metabolites import EXTRA_METABOLITES, KNOWN_METABOLITES, METABOLITES, SpinPart, spin_system

ROWS = tomllib.loads(files("mrspipe.physics").joinpath("metabolites.toml").read_text(encoding="utf-8"))["part"]
# Carbon-bound protons, counted from the structural formulas.
PROTONS = {
    "NAA": 6, "NAAG": 11, "Cr": 5, "PCr": 5, "GPC": 18, "PCh": 13, "Glu": 5, "Gln": 5, "Ins": 6, "sIns": 6, "GABA": 6,
    "GSH": 10, "Asp": 3, "Asc": 4, "Tau": 4, "Lac": 4, "PE": 4, "Gly": 2, "Glc": 7, "Ala": 4,
}  # fmt: skip
EXTRA_PROTONS = {
    "Ace": 3, "Acn": 6, "AcAc": 5, "bHB": 6, "Cho": 13, "Cys": 3, "EA": 4, "EtOH": 5, "Glyc": 5, "GSSG": 20, "2HG": 5,
    "Pyr": 3, "Ser": 3, "Suc": 4, "Thr": 5, "Val": 8, "aGlc": 7, "bGlc": 7,
}  # fmt: skip


def test_the_twenty_metabolites_are_fitted_by_default():
    assert set(METABOLITES) == set(PROTONS)


def test_the_others_are_simulated_on_request():
    assert set(EXTRA_METABOLITES) == set(EXTRA_PROTONS)
    assert (*METABOLITES, *EXTRA_METABOLITES) == KNOWN_METABOLITES


def test_an_extra_metabolite_is_extra_in_all_its_parts():
    assert not set(METABOLITES) & set(EXTRA_METABOLITES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["metabolite"])
def test_every_row_has_a_source(row):
    assert re.search(r"\d{4}, doi 10\.\d{4}/", row["source"])


@pytest.mark.parametrize(("name", "protons"), (PROTONS | EXTRA_PROTONS).items())
def test_protons_are_those_bound_to_carbon(name, protons):
    assert spin_system(name).n_protons == pytest.approx(protons)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["metabolite"])
def test_every_pair_of_groups_is_coupled_at_most_once(row):
    pairs = [(i, j) for i, j, _ in row.get("couplings_hz", ())]
    assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["metabolite"])
def test_shifts_and_couplings_are_those_of_aliphatic_protons(row):
    assert all(0.9 < shift < 5.5 for shift in row["shifts_ppm"])
    # Geminal -9 to -18 Hz, vicinal up to 12 Hz.
    assert all(-18 < coupling < 12 for _, _, coupling in row.get("couplings_hz", ()))


def test_the_methyl_singlets_are_where_the_reference_shifts_say():
    assert spin_system("NAA").parts[0].shifts_ppm[0] == pytest.approx(NAA_PPM, abs=0.005)
    assert spin_system("Cr").parts[0].shifts_ppm[0] == pytest.approx(CR_PPM, abs=0.005)


def test_anomers_of_glucose_share_one_molecule():
    assert sum(part.scale for part in spin_system("Glc").parts) == pytest.approx(1.0)


@pytest.mark.parametrize(("anomer", "part"), [("aGlc", 0), ("bGlc", 1)])
def test_each_anomer_of_glucose_is_a_part_of_glucose(anomer, part):
    alone, within = spin_system(anomer).parts[0], spin_system("Glc").parts[part]
    assert (alone.shifts_ppm, alone.couplings_hz) == (within.shifts_ppm, within.couplings_hz)
    assert alone.scale == 1.0


def test_an_unknown_metabolite_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"no spin system for Unobtainium.*Choose from NAA, "):
        spin_system("Unobtainium")


def test_a_part_with_a_coupling_to_a_missing_group_is_refused():
    with pytest.raises(ConfigError, match=re.escape("i < j < 2")):
        SpinPart((1.0, 2.0), (1, 1), ((0, 2, 7.0),))


def test_a_part_needs_a_multiplicity_for_every_group():
    with pytest.raises(ConfigError, match="2 multiplicities"):
        SpinPart((1.0, 2.0), (1,))
