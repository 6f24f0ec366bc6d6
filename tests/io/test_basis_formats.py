"""The other formats of basis sets: what is written is read back, whatever the format, and repairs are said."""

import json

import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.operators import to_spectrum
from mrspipe.core.signal import Signal
from mrspipe.io.basis_files import read_basis, write_basis
from mrspipe.io.nifti_mrs import write_signal

AXIS = SpectralAxis(512, 1 / 2000, 127.7e6, 4.65)
FORMATS = ["set.basis", "set.raw", "set.json", "set", "set.txt", "set.nii", "set.nii.gz"]
SINGLETS = {"NAA": (2.01, 3), "Cr": (3.03, 3), "PCh": (3.208, 9), "sIns": (3.34, 6)}


def made_basis(axis=AXIS, names=tuple(SINGLETS), offset_ppm=0.0):
    fids = [
        SINGLETS[name][1]
        * np.exp((2j * np.pi * axis.offset_hz(SINGLETS[name][0] + offset_ppm) - np.pi * 2.0) * axis.time_s)
        for name in names
    ]
    return BasisSet(names, np.array(fids), axis, sequence="press", echo_time_s=0.03, linewidth_hz=2.0)


def peak_ppm(basis, name):
    return basis.axis.ppm[np.argmax(np.abs(to_spectrum(basis.fids[basis.names.index(name)])))]


def same_entries(basis, other, atol):
    for name in basis.names:
        ours, theirs = basis.fids[basis.names.index(name)], other.fids[other.names.index(name)]
        np.testing.assert_allclose(theirs, ours, atol=atol)


@pytest.mark.parametrize("name", FORMATS)
def test_a_written_basis_is_read_back_from_every_format(tmp_path, name):
    basis = made_basis()
    write_basis(tmp_path / name, basis)
    again = read_basis(tmp_path / name)
    assert set(again.names) == set(basis.names)
    assert again.axis.n_points == basis.axis.n_points
    assert again.axis.dwell_s == pytest.approx(basis.axis.dwell_s)
    assert again.axis.spectrometer_hz == pytest.approx(basis.axis.spectrometer_hz)
    assert again.axis.centre_ppm == 4.65
    same_entries(basis, again, atol=2e-5)
    assert again.repairs == ()
    assert again.proton_amplitude == pytest.approx(1.0, rel=1e-3)
    assert again.linewidth_hz == pytest.approx(2.0, rel=1e-2)


@pytest.mark.parametrize("name", ["set.basis", "set.raw", "set.nii.gz"])
def test_formats_that_know_sequence_and_echo_time_keep_them(tmp_path, name):
    write_basis(tmp_path / name, made_basis())
    again = read_basis(tmp_path / name)
    assert (again.sequence, again.echo_time_s) == ("press", pytest.approx(0.03))


@pytest.mark.parametrize("name", FORMATS)
def test_a_basis_with_another_centre_keeps_its_shifts_in_ppm(tmp_path, name):
    write_basis(tmp_path / name, made_basis(SpectralAxis(512, 1 / 2000, 127.7e6, 3.0)))
    again = read_basis(tmp_path / name)
    assert peak_ppm(again, "PCh") == pytest.approx(3.208, abs=0.02)
    assert again.repairs == ()


@pytest.mark.parametrize("name", FORMATS)
def test_a_mirrored_set_is_conjugated_and_this_is_recorded(tmp_path, name):
    basis = made_basis()
    write_basis(tmp_path / name, BasisSet(basis.names, basis.fids.conj(), AXIS))
    again = read_basis(tmp_path / name)
    same_entries(basis, again, atol=2e-5)
    assert len(again.repairs) == 1
    assert "conjugated" in again.repairs[0]


def test_without_a_singlet_the_sign_is_that_of_the_format_and_this_is_said(tmp_path):
    basis = made_basis(names=("PCh",))
    write_basis(tmp_path / "set.json", BasisSet(("Glu",), basis.fids, AXIS))
    again = read_basis(tmp_path / "set.json")
    np.testing.assert_allclose(again.fids, basis.fids, atol=1e-9)
    assert any("sign of the frequency not checked" in repair for repair in again.repairs)


def test_entries_with_opposite_signs_are_refused(tmp_path):
    fids = made_basis().fids.copy()
    fids[1] = fids[1].conj()
    write_basis(tmp_path / "set.txt", BasisSet(tuple(SINGLETS), fids, AXIS))
    with pytest.raises(FileError, match="Cr have the opposite sign"):
        read_basis(tmp_path / "set.txt")


def test_a_set_that_is_off_reference_is_moved_and_this_is_recorded(tmp_path):
    write_basis(tmp_path / "set.json", made_basis(offset_ppm=0.05))
    again = read_basis(tmp_path / "set.json")
    assert any("-0.050 ppm" in repair for repair in again.repairs)
    same_entries(made_basis(), again, atol=1e-2)


def test_an_fsl_file_holds_the_fid_with_frequency_that_rises_with_ppm(tmp_path):
    write_basis(tmp_path / "set", made_basis())
    entry = json.loads((tmp_path / "set" / "NAA.json").read_text())["basis"]
    second = complex(entry["basis_re"][1], entry["basis_im"][1])
    # NAA lies below water.
    assert np.angle(second) < 0
    assert (entry["basis_dwell"], entry["basis_centre"]) == (AXIS.dwell_s, pytest.approx(127.7))


def test_fsl_entries_on_different_axes_are_refused(tmp_path):
    write_basis(tmp_path / "set", made_basis(names=("NAA",)))
    write_basis(tmp_path / "set", made_basis(SpectralAxis(512, 1 / 4000, 127.7e6, 4.65), names=("Cr",)))
    with pytest.raises(FileError, match="differ from"):
        read_basis(tmp_path / "set")


def test_an_fsl_file_without_dwell_time_is_refused(tmp_path):
    write_basis(tmp_path / "set", made_basis(names=("NAA",)))
    path = tmp_path / "set" / "NAA.json"
    content = json.loads(path.read_text())
    del content["basis"]["basis_dwell"]
    path.write_text(json.dumps(content))
    with pytest.raises(HeaderError, match="basis_dwell"):
        read_basis(tmp_path / "set")


def test_jmrui_columns_of_a_spectrum_are_left_alone(tmp_path):
    # jMRUI writes the spectrum in two further columns.
    write_basis(tmp_path / "set.txt", made_basis())
    lines = (tmp_path / "set.txt").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Signal 1"))
    lines = [f"{line}\t9\t9" if i > start and "\t" in line else line for i, line in enumerate(lines)]
    (tmp_path / "set.txt").write_text("\n".join(lines))
    same_entries(made_basis(), read_basis(tmp_path / "set.txt"), atol=1e-8)


def test_a_folder_of_jmrui_files_has_one_entry_per_file(tmp_path):
    for name in SINGLETS:
        write_basis(tmp_path / "set" / f"{name}.txt", made_basis(names=(name,)))
    (tmp_path / "set" / "readme.txt").write_text("made by hand\n")
    same_entries(made_basis(), read_basis(tmp_path / "set"), atol=1e-8)


def test_a_truncated_jmrui_file_is_refused(tmp_path):
    write_basis(tmp_path / "set.txt", made_basis())
    text = (tmp_path / "set.txt").read_text()
    (tmp_path / "set.txt").write_text(text[: -len(text) // 5])
    with pytest.raises(FileError, match=r"PointsInDataset|names 4 signals"):
        read_basis(tmp_path / "set.txt")


def test_a_folder_of_nifti_files_is_named_by_its_files(tmp_path):
    basis = made_basis()
    for name, fid in zip(basis.names, basis.fids, strict=True):
        write_signal(tmp_path / "set" / f"{name}.nii.gz", Signal(samples=fid, dims=("time",), axis=AXIS))
    same_entries(basis, read_basis(tmp_path / "set"), atol=2e-5)


def test_a_scan_is_not_a_basis_set(tmp_path):
    write_signal(tmp_path / "scan.nii.gz", Signal(samples=made_basis().fids[0], dims=("time",), axis=AXIS))
    with pytest.raises(FileError, match="does not name the metabolites"):
        read_basis(tmp_path / "scan.nii.gz")


def test_raw_files_without_a_dwell_time_are_refused_unless_it_is_given(tmp_path):
    write_basis(tmp_path / "set.raw", made_basis())
    (tmp_path / "set.raw" / "makebasis.in").unlink()
    with pytest.raises(HeaderError, match="dwell time"):
        read_basis(tmp_path / "set.raw")
    same_entries(made_basis(), read_basis(tmp_path / "set.raw", dwell_s=AXIS.dwell_s), atol=2e-5)


def test_concentrations_of_the_control_file_divide_the_raw_data(tmp_path):
    write_basis(tmp_path / "set.raw", made_basis())
    control = tmp_path / "set.raw" / "makebasis.in"
    control.write_text(control.read_text().replace("CONC = 1.", "CONC = 50."))
    np.testing.assert_allclose(read_basis(tmp_path / "set.raw").proton_amplitude, 1 / 50, rtol=1e-3)


def test_a_phase_in_the_control_file_is_refused(tmp_path):
    write_basis(tmp_path / "set.raw", made_basis())
    control = tmp_path / "set.raw" / "makebasis.in"
    control.write_text(control.read_text().replace("CONC = 1.", "CONC = 1., DEGZER = 30."))
    with pytest.raises(HeaderError, match="DEGZER"):
        read_basis(tmp_path / "set.raw")


def test_a_folder_with_two_basis_sets_is_refused(tmp_path):
    write_basis(tmp_path / "set", made_basis())
    write_basis(tmp_path / "set" / "all.txt", made_basis())
    with pytest.raises(FileError, match="several basis sets: jMRUI text, FSL-MRS JSON"):
        read_basis(tmp_path / "set")


def test_an_empty_folder_and_an_absent_one_are_refused(tmp_path):
    with pytest.raises(FileError, match="holds no basis set"):
        read_basis(tmp_path)
    with pytest.raises(FileError, match="no such file or folder"):
        read_basis(tmp_path / "absent")


def test_an_unknown_ending_is_not_written(tmp_path):
    with pytest.raises(FileError, match=r"cannot be written as '\.mat'"):
        write_basis(tmp_path / "set.mat", made_basis())


def test_a_name_that_leads_out_of_the_folder_is_not_written(tmp_path):
    basis = made_basis(names=("NAA",))
    with pytest.raises(FileError, match="cannot be written"):
        write_basis(tmp_path / "set", BasisSet(("../NAA",), basis.fids, AXIS))


@pytest.mark.real
def test_a_real_folder_of_raw_files_holds_unit_protons(real_data):
    # 2048 points at 4000 Hz and 123.2 MHz (Marjanska 2022, doi 10.1002/mrm.28942).
    folder = real_data / "fitting_challenge" / "basis_raw"
    basis = read_basis(folder, dwell_s=1 / 4000, spectrometer_hz=123.2e6)
    whole = read_basis(real_data / "basis" / "challenge_press30_3T_measuredMM.basis")
    assert set(basis.names) == {"Cr", "Glu", "Mac"}
    assert peak_ppm(basis, "Cr") == pytest.approx(3.03, abs=0.02)
    n = min(basis.axis.n_points, whole.axis.n_points)
    for name in ("Cr", "Glu"):
        ours, theirs = (b.fids[b.names.index(name)][:n] for b in (basis, whole))
        assert abs(np.vdot(ours, theirs)) / np.linalg.norm(ours) / np.linalg.norm(theirs) > 0.999
