"""The list of codes, its page, and the code that raises them say the same."""

import re
from pathlib import Path

import pytest

from mrspipe.checks.catalogue import CheckSettings, catalogue, page
from mrspipe.core.errors import ConfigError
from mrspipe.settings import parse_settings

ROOT = Path(__file__).parents[2]
# Where a study's scans are found and read. Codes of these that concern other commands or the whole dataset:
READERS = ("bids", "pairing", "names", "sidecars", "mrs_header", "nifti_mrs", "nifti_files", "volumes", "tables")
ELSEWHERE = {"no-dataset", "output-dir", "derivatives", "json-value", "column"}


def named(path):
    text = path.read_text()
    return set(re.findall(r'code="([a-z-]+)"', text)) | set(re.findall(r'Finding\(\s*"([a-z-]+)"', text))


def test_the_page_is_that_of_the_catalogue():
    assert (ROOT / "docs" / "checks.md").read_text(encoding="utf-8") == page()


def test_every_code_that_reading_a_study_can_give_is_in_the_catalogue():
    files = [ROOT / "mrspipe" / "io" / f"{name}.py" for name in READERS]
    files += [*(ROOT / "mrspipe" / "checks").glob("*.py"), ROOT / "mrspipe" / "tissue" / "voxel.py"]
    files += [*(ROOT / "mrspipe" / "pipeline").glob("preflight*.py")]
    assert set().union(*map(named, files)) - ELSEWHERE <= set(catalogue())


def test_every_code_of_the_catalogue_is_given_somewhere():
    everything = "".join(path.read_text() for path in (ROOT / "mrspipe").rglob("*.py"))
    assert [code for code in catalogue() if f'"{code}"' not in everything] == []


def test_every_check_says_what_and_the_cure_in_a_sentence():
    for check in catalogue().values():
        assert re.fullmatch(r"[A-Zp].*\.", check.what)
        assert check.cure
        assert check.level == "refused" or not check.accept


def test_only_known_refusals_can_be_accepted():
    assert CheckSettings(accept=("conjugated", "swapped:sub-01")).accepts("swapped", "sub-01")
    with pytest.raises(ConfigError, match="did you mean 'conjugated'"):
        parse_settings(CheckSettings, {"accept": ["conjugate"]}, where="study.toml")
    with pytest.raises(ConfigError, match="no check that can be accepted"):
        parse_settings(CheckSettings, {"accept": ["truncated"]}, where="study.toml")
