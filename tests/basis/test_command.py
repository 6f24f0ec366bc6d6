"""The basis command: what it writes, and what it refuses."""

import sys

import numpy as np
import pytest

from mrspipe.basis.settings import BasisSettings
from mrspipe.basis.waveforms import PulseSettings, PulseShape
from mrspipe.cli.main import main
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import ConfigError
from mrspipe.core.operators import to_spectrum
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.io.basis_files import read_basis
from mrspipe.io.nifti_mrs import write_signal
from mrspipe.pipeline.basis import basis_for, with_waveforms

PRESS = ("--sequence", "press", "--te-ms", "30", "--field-t", "3", "--metabolite", "NAA", "--metabolite", "Cr")
SHAPED = (*PRESS, "--pulses", "shaped")
WAVEFORM = "# duration_s = 0.0052\namplitude\n0.1\n0.5\n1\n1\n0.5\n0.1\n"


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["mrspipe", "basis", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "pulse.csv").write_text(WAVEFORM)
    (tmp_path / "bad.csv").write_text("amplitude\n1\n")
    (tmp_path / "pulses.toml").write_text("[refocusing]\nbandwidth_hz = 1000\nduration_s = 0.006\n")
    (tmp_path / "typo.toml").write_text("[refocusing]\nbandwith_hz = 1000\n")
    (tmp_path / "narrow.toml").write_text("[refocusing]\nbandwidth_hz = 0\n")
    (tmp_path / "sweep.toml").write_text('[refocusing]\ndesign = "goia"\nbandwidth_hz = 8000\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "options", [(), ("--pulse-file", "pulses.toml"), ("--refocusing", "pulse.csv"), ("--excitation", "pulse.csv")]
)
def test_shaped_pulses_are_usual_ones_designs_or_waveforms(monkeypatch, folder, options):
    assert call(monkeypatch, "out.basis", *SHAPED, *options) == 0
    assert read_basis(folder / "out.basis").names == ("NAA", "Cr")


def test_every_pulse_changes_the_basis_set(monkeypatch, folder):
    found = []
    for options in (("--pulses", "ideal"), ("--pulses", "shaped"), ("--pulses", "shaped", "--refocusing", "pulse.csv")):
        call(monkeypatch, "out.basis", *PRESS, *options)
        found.append(read_basis(folder / "out.basis").fids[0])
    assert all(np.abs(np.diff(found, axis=0)).max(axis=1) > 0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--pulses", "shapd"), "'ideal' or 'shaped'"),
        (("--refocusing", "pulse.csv"), "need --pulses shaped"),
        (("--pulses", "shaped", "--refocusing", "none.csv"), "none.csv: There is no such waveform"),
        (("--pulses", "shaped", "--refocusing", "."), "not readable text"),
        (("--pulses", "shaped", "--refocusing", "bad.csv"), "bad.csv: duration_s"),
        (("--pulses", "shaped", "--pulse-file", "none.toml"), "There is no such file"),
        (("--pulses", "shaped", "--pulse-file", "typo.toml"), "Did you mean 'bandwidth_hz'"),
        (("--pulses", "shaped", "--pulse-file", "narrow.toml"), "refocusing.bandwidth_hz = 0"),
        (("--pulses", "shaped", "--pulse-file", "sweep.toml"), "press cannot refocus"),
        (("--pulses", "shaped", "--te1-ms", "8"), "do not fit"),
        (("--bandwidth-hz", "0"), "bandwidth_hz must be positive, got 0"),
        (("--points", "-1"), "n_points must be positive"),
        (("--linewidth-hz", "-1"), "linewidth_hz must not be negative"),
        (("--te1-ms", "0"), "te1_s = 0"),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_a_reason(monkeypatch, capsys, folder, options, message):
    assert call(monkeypatch, "out.basis", *PRESS, *options) == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not (folder / "out.basis").exists()


def test_the_reference_is_one_proton_at_0_ppm_and_survives_the_file(monkeypatch, folder):
    for name, options in (("with", ("--reference",)), ("without", ())):
        call(monkeypatch, f"{name}.basis", *PRESS, *options)
    has, has_not = (read_basis(folder / f"{name}.basis") for name in ("with", "without"))
    difference = to_spectrum(has.fids - has_not.fids)
    peak = has.axis.ppm[np.argmax(difference.real, axis=1)]
    np.testing.assert_allclose(peak, 0.0, atol=0.01)
    np.testing.assert_allclose((has.fids - has_not.fids)[:, 0], has.proton_amplitude, rtol=1e-3)


def test_nitrogen_can_be_left_out(monkeypatch, folder):
    options = ("--sequence", "press", "--te-ms", "30", "--field-t", "3", "--metabolite", "PCh", "--metabolite", "Cr")
    for name in ("nitrogen", "no-nitrogen"):
        call(monkeypatch, f"{name}.basis", *options, f"--{name}")
    has, has_not = (read_basis(folder / f"{name}.basis") for name in ("nitrogen", "no-nitrogen"))
    assert np.abs(has.fids - has_not.fids)[0].max() > 0.1
    np.testing.assert_allclose(has.fids[1], has_not.fids[1], atol=1e-6)


def test_a_nulled_scan_that_holds_no_macromolecules_writes_nothing(monkeypatch, capsys, folder):
    call(monkeypatch, "in.basis", *PRESS)
    axis = SpectralAxis(2048, 1 / 2000, 127.7e6, 4.65)
    noise = np.random.default_rng(0).standard_normal((2, 2048))
    acquisition = Acquisition(field_t=3.0, sequence="press", echo_time_s=0.03)
    write_signal(folder / "scan.nii.gz", Signal(noise[0] + 1j * noise[1], ("time",), axis, acquisition))
    assert call(monkeypatch, "nulled", "scan.nii.gz", "in.basis", "out.basis") == 2
    assert "No macromolecules were found" in capsys.readouterr().err
    assert not (folder / "out.basis").exists()


# --- The basis set of a scan ---


def _scan():
    axis = SpectralAxis(64, 1 / 2000, 123.2e6, 4.65)
    acquisition = Acquisition(sequence="press", echo_time_s=0.03)
    return Signal(np.ones(64, dtype=complex), ("time",), axis, acquisition)


def test_a_study_can_have_shaped_pulses_from_a_file(folder):
    pulses = PulseSettings(refocusing=PulseShape(file="pulse.csv"))
    settings = BasisSettings(metabolites=("Lac",), pulses="shaped", pulse_shapes=pulses, nitrogen=False)
    basis = basis_for(_scan(), settings)
    assert "shaped" in basis.made_by
    assert basis_for(_scan(), settings) is basis


def test_a_waveform_takes_the_place_of_its_file(folder):
    read = with_waveforms(PulseSettings(refocusing=PulseShape(file="pulse.csv"), carrier_ppm=2.0))
    assert read.refocusing.waveform.amplitude == (0.1, 0.5, 1.0, 1.0, 0.5, 0.1)
    assert (read.refocusing.file, read.carrier_ppm) == ("", 2.0)


def test_a_waveform_that_cannot_excite_is_refused(folder):
    (folder / "ramp.csv").write_text("# duration_s = 0.005\namplitude\n0\n1\n2\n3\n")
    with pytest.raises(ConfigError, match="symmetric"):
        with_waveforms(PulseSettings(excitation=PulseShape(file="ramp.csv")))
