"""Studies that several tests use, each made and analysed once."""

import shutil
from pathlib import Path

import pytest
from study_helpers import make_study, request

from mrspipe.pipeline.study import analyse_study


@pytest.fixture(scope="session")
def pairs_study(tmp_path_factory) -> Path:
    """Four participants of two groups, one scan each with a water reference."""
    return make_study(tmp_path_factory.mktemp("pairs") / "bids", "two_groups", 2)


@pytest.fixture
def study(pairs_study, tmp_path) -> Path:
    """The same, to be changed by the test."""
    return Path(shutil.copytree(pairs_study, tmp_path / "bids"))


@pytest.fixture(scope="session")
def analysed(pairs_study, tmp_path_factory) -> Path:
    """Results of the four participants."""
    out_dir = tmp_path_factory.mktemp("analysed") / "derivatives"
    analyse_study(request(pairs_study, out_dir, "two_groups"))
    return out_dir
