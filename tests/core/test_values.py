import pickle
import re

import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import AnalysisError, ConfigError, FileError, HeaderError, MrspipeError
from mrspipe.core.results import Failure, TissueFractions
from mrspipe.core.signal import ProcessingStep, ScanKey, Signal
from mrspipe.core.volume import Volume

AXIS = SpectralAxis(64, 1 / 2000, 127.7e6, 4.65)


def test_a_signal_cannot_be_changed_and_does_not_change_with_its_source():
    source = np.ones((2, 64), complex)
    signal = Signal(source, ("coil", "time"), AXIS)
    source[0] = 5
    assert signal.samples[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        signal.samples[0] = 2


@pytest.mark.parametrize(
    ("samples", "dims", "message"),
    [
        (np.ones((2, 64)), ("time",), "cannot have dimensions"),
        (np.ones((2, 64)), ("coils", "time"), "Dimensions must be different names"),
        (np.ones(63), ("time",), "has 63 points but its axis 64"),
        (np.full(64, np.nan), ("time",), "not finite"),
    ],
)
def test_a_signal_that_cannot_be_is_refused(samples, dims, message):
    with pytest.raises(FileError, match=message):
        Signal(samples, dims, AXIS)


def test_history_grows_by_one_entry_a_step():
    signal = Signal(np.ones((2, 64)), ("coil", "time"), AXIS)
    after = signal.after(ProcessingStep("combine"), signal.samples.mean(axis=0), ("time",))
    assert [step.method for step in after.history] == ["combine"]
    assert signal.history == ()


def test_a_scan_key_lists_its_entities_in_bids_order():
    assert ScanKey(sub="01", run="2", task="cue", ses="a").label == "sub-01_ses-a_task-cue_run-2"


def test_a_basis_keeps_only_what_it_has():
    basis = BasisSet(("NAA", "Cr", "Mac"), np.ones((3, 64)), AXIS)
    assert basis.only(["Cr", "NAA"]).names == ("Cr", "NAA")
    assert basis.macromolecule_names == ("Mac",)
    with pytest.raises(ConfigError, match=re.escape("has no Glu. It has NAA, Cr, Mac.")):
        basis.only(["Glu"])


def test_a_basis_with_a_name_twice_is_refused():
    with pytest.raises(FileError, match="twice"):
        BasisSet(("NAA", "NAA"), np.ones((2, 64)), AXIS)


def test_tissue_fractions_sum_to_one():
    with pytest.raises(AnalysisError, match="sum to 1"):
        TissueFractions(0.6, 0.6, 0.0)


def test_a_volume_has_three_dimensions():
    with pytest.raises(FileError, match="shape"):
        Volume(np.ones((2, 2)), np.eye(4))


def test_an_error_is_one_line_of_where_what_and_cure():
    error = HeaderError("EchoTime is 32.", where="a.json", cure="Divide it by 1000.", code="echo-time-unit")
    assert str(error) == "a.json: EchoTime is 32. Divide it by 1000."
    assert MrspipeError("x").code == "error"


def test_an_error_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(HeaderError("m", where="w", cure="c", code="k")))
    assert (type(error), error.message, error.where, error.cure, error.code) == (HeaderError, "m", "w", "c", "k")


def test_a_failure_names_its_scan_or_says_that_it_does_not_know():
    row = Failure({"sub": "01", "task": "cue"}, "load", "file", "broken").row()
    assert row["participant_id"] == "sub-01"
    assert row["session_id"] == "n/a"
    assert row["task_id"] == "cue"
