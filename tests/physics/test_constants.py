import re
from pathlib import Path

from mrspipe.physics import constants


def test_pure_water_follows_from_its_molar_mass():
    # 18.0153 g/mol: IUPAC standard atomic weights.
    assert abs(constants.PURE_WATER_MMOL_PER_KG / (1e6 / 18.0153) - 1) < 1e-4


def test_the_proton_resonates_at_127_7_mhz_at_3_tesla():
    assert abs(constants.GAMMA_BAR_1H_HZ_PER_T * 3 / 127.73e6 - 1) < 1e-4


def test_water_lies_2_64_ppm_from_naa():
    assert abs(constants.WATER_PPM - constants.NAA_PPM - 2.64) < 1e-9


def test_every_physical_constant_has_a_unit_and_a_source():
    text = Path(constants.__file__).read_text(encoding="utf-8")
    blocks = re.findall(r'^([A-Z0-9_]+) = [^\n]+\n"""(.*?)"""', text, flags=re.MULTILINE | re.DOTALL)
    names = {name for name, _ in blocks}
    assert names == {name for name in vars(constants) if name.isupper()}
    for name, description in blocks:
        if not name.endswith("_PROTONS"):
            assert "Unit:" in description, name
            assert "doi" in description or "Source: as" in description, name
