"""Real spectra are not refused; the same ones conjugated, exchanged or without unsuppressed water are."""

from dataclasses import replace

import pytest

from mrspipe.checks.scan import scan_findings
from mrspipe.core.signal import Scan, ScanKey
from mrspipe.io.lcmodel_files import read_raw
from mrspipe.io.vendor import read_vendor

CHALLENGE = [f"dataset{n}" for n in range(1, 15)]
PHILIPS = {
    "press30": "philips_press30_mm/sub-01_ses-01_PRESS_raw-act_noID.SDAT",
    "press35": "philips_press35/sub-01_PRESS_35_act.sdat",
}


def codes(metabolites, water):
    return [finding.code for finding in scan_findings(Scan(ScanKey("01"), metabolites, water))]


def pair(folder, name):
    if name in PHILIPS:
        path = folder / PHILIPS[name]
        return read_vendor([path]), read_vendor([path.with_name(path.name.replace("act", "ref"))])
    sampling = {"dwell_s": 1 / 4000, "spectrometer_hz": 123.2e6}
    stem = folder / "fitting_challenge" / name
    return read_raw(stem.with_suffix(".RAW"), **sampling), read_raw(stem.with_suffix(".H2O"), **sampling)


@pytest.mark.parametrize("name", [*CHALLENGE, *PHILIPS])
def test_a_real_scan_is_taken_as_it_is_and_refused_when_it_is_broken(real_data, name):
    metabolites, water = pair(real_data, name)
    mirrored = replace(metabolites, samples=metabolites.samples.conj())
    assert codes(metabolites, water) == []
    assert codes(mirrored, water) == ["conjugated"]
    assert codes(water, metabolites) == ["swapped"]
    assert codes(metabolites, metabolites) == ["reference-suppressed"]
