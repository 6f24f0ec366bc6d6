import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.operators import to_spectrum
from mrspipe.io.basis_files import read_basis, short_name, write_basis

AXIS = SpectralAxis(1024, 1 / 2000, 127.7e6, 4.65)
PROTON = 2.5


def line(ppm, protons, axis=AXIS, width_hz=1.5):
    return protons * np.exp((2j * np.pi * axis.offset_hz(ppm) - np.pi * width_hz) * axis.time_s)


def made_basis(axis=AXIS, offset_ppm=0.0, names=("NAA", "Cr", "PCho")):
    lines = {
        "NAA": line(2.01 + offset_ppm, 3, axis) + line(2.6 + offset_ppm, 2, axis),
        "Cr": line(3.03 + offset_ppm, 3, axis) + line(3.91 + offset_ppm, 2, axis),
        "PCho": line(3.21 + offset_ppm, 9, axis),
    }
    return BasisSet(names, PROTON * np.array([lines[name] for name in names]), axis, sequence="press", echo_time_s=0.03)


def peak_ppm(basis, name):
    return basis.axis.ppm[np.argmax(np.abs(to_spectrum(basis.fids[basis.names.index(name)])))]


def test_a_written_basis_is_read_back(tmp_path):
    basis = made_basis()
    write_basis(tmp_path / "set.basis", basis)
    again = read_basis(tmp_path / "set.basis")
    assert again.axis == basis.axis
    assert again.names == ("NAA", "Cr", "PCh")
    assert again.sequence == "press"
    assert again.echo_time_s == pytest.approx(0.03)
    assert again.repairs == ()
    # Six digits are written.
    np.testing.assert_allclose(again.fids, basis.fids, atol=2e-6 * np.abs(basis.fids).max())


def test_width_and_proton_amplitude_are_found_from_the_singlets(tmp_path):
    write_basis(tmp_path / "set.basis", made_basis())
    again = read_basis(tmp_path / "set.basis")
    assert again.proton_amplitude == pytest.approx(PROTON, rel=1e-3)
    assert again.linewidth_hz == pytest.approx(1.5, rel=1e-2)


def test_singlets_that_disagree_leave_the_proton_amplitude_unknown_and_say_so(tmp_path):
    basis = made_basis()
    fids = basis.fids * np.array([1.0, 1.2, 1.0])[:, None]
    write_basis(tmp_path / "set.basis", BasisSet(basis.names, fids, AXIS))
    again = read_basis(tmp_path / "set.basis")
    assert again.proton_amplitude is None
    assert "only ratios" in again.repairs[-1]


def test_a_basis_without_singlets_has_no_proton_amplitude(tmp_path):
    write_basis(tmp_path / "set.basis", made_basis().only(["PCho"]))
    assert read_basis(tmp_path / "set.basis").proton_amplitude is None


def test_halved_first_points_are_restored_and_recorded(tmp_path):
    basis = made_basis()
    halved = basis.fids.copy()
    halved[:, 0] *= 0.5
    write_basis(tmp_path / "set.basis", BasisSet(basis.names, halved, AXIS))
    again = read_basis(tmp_path / "set.basis")
    np.testing.assert_allclose(again.fids, basis.fids, atol=2e-6 * np.abs(basis.fids).max())
    assert any("first point" in repair and "all entries" in repair for repair in again.repairs)


def test_a_basis_that_is_off_reference_is_moved_and_this_is_recorded(tmp_path):
    write_basis(tmp_path / "set.basis", made_basis(offset_ppm=-0.032))
    again = read_basis(tmp_path / "set.basis")
    expected = made_basis()
    np.testing.assert_allclose(again.fids, expected.fids, atol=1e-3 * np.abs(expected.fids).max())
    assert any("+0.032 ppm" in repair for repair in again.repairs)


def test_a_basis_on_reference_is_not_moved(tmp_path):
    write_basis(tmp_path / "set.basis", made_basis(offset_ppm=0.004))
    assert not any("moved" in repair for repair in read_basis(tmp_path / "set.basis").repairs)


def test_a_basis_with_another_centre_keeps_its_shifts_in_ppm(tmp_path):
    axis = SpectralAxis(1024, 1 / 2000, 127.7e6, 3.0)
    write_basis(tmp_path / "set.basis", made_basis(axis))
    again = read_basis(tmp_path / "set.basis")
    assert again.axis.centre_ppm == 4.65
    assert peak_ppm(again, "PCh") == pytest.approx(3.21, abs=0.01)
    assert again.repairs == ()


def test_concentration_amplitude_and_volume_scale_as_lcmodel_documents(tmp_path):
    # LCModel multiplies by TRAMP / (VOLUME * CONC).
    path = tmp_path / "set.basis"
    write_basis(path, made_basis())
    plain = read_basis(path)
    text = path.read_text().replace("CONC = 1.", "CONC = 100.").replace("TRAMP = 1.", "TRAMP = 6.")
    path.write_text(text.replace("VOLUME = 1.", "VOLUME = 3."))
    np.testing.assert_allclose(read_basis(path).fids, plain.fids * 6 / (3 * 100), rtol=1e-12)


def test_a_positive_ishift_moves_towards_larger_ppm_by_points_of_the_stored_spectrum(tmp_path):
    path = tmp_path / "set.basis"
    write_basis(path, made_basis(names=("PCho",)))
    points = 100
    path.write_text(path.read_text().replace("ISHIFT = 0", f"ISHIFT = {points}"))
    moved_ppm = points * AXIS.bandwidth_hz / (2 * AXIS.n_points) / AXIS.hz_per_ppm
    assert peak_ppm(read_basis(path), "PCh") == pytest.approx(3.21 + moved_ppm, abs=0.01)


@pytest.mark.parametrize(
    ("name", "short"),
    [("Scyllo", "sIns"), ("mI", "Ins"), ("PCho", "PCh"), ("glu", "Glu"), ("Mac", "Mac"), ("MM09", "MM09")],
)
def test_names_become_those_of_lcmodel(name, short):
    assert short_name(name) == short


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "set.basis"
    write_basis(path, made_basis())
    path.write_text(path.read_text()[:-2000])
    with pytest.raises(FileError, match="truncated"):
        read_basis(path)


def test_a_number_that_is_none_is_refused(tmp_path):
    path = tmp_path / "set.basis"
    write_basis(path, made_basis())
    head, tail = path.read_text().rsplit("$END", 1)
    path.write_text(head + "$END" + tail.replace("E", "x", 1))
    with pytest.raises(FileError, match="not numbers"):
        read_basis(path)


def test_another_text_file_is_refused(tmp_path):
    (tmp_path / "notes.basis").write_text("nothing of the kind\n")
    with pytest.raises(FileError, match=r"\$BASIS1"):
        read_basis(tmp_path / "notes.basis")


def test_another_format_is_refused_with_what_is_accepted(tmp_path):
    (tmp_path / "set.json").write_text("{}")
    with pytest.raises(FileError, match=r"LCModel's \.basis"):
        read_basis(tmp_path / "set.json")


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(FileError, match="Cannot read"):
        read_basis(tmp_path / "absent.basis")


def test_a_missing_dwell_time_is_never_guessed(tmp_path):
    path = tmp_path / "set.basis"
    write_basis(path, made_basis())
    path.write_text(path.read_text().replace("BADELT", "BADEXX"))
    with pytest.raises(HeaderError, match="BADELT"):
        read_basis(path)


# Facts of the files: protons' amplitude is the same for two singlets, shifts are those of the literature.
@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "repaired", "width_hz", "proton"),
    [
        ("challenge_press30_3T_measuredMM", ("Mac",), 2.0, 1.0),
        ("philips_press35_3T", ("all entries", "+0.03"), 1.0, None),
        ("siemens_press30_3T", ("all entries",), 0.0184 * 123.2, None),
    ],
)
def test_real_basis_sets_agree_with_the_literature(real_data, name, repaired, width_hz, proton):
    basis = read_basis(real_data / "basis" / f"{name}.basis")
    bin_ppm = basis.axis.ppm[1] - basis.axis.ppm[0]
    assert peak_ppm(basis, "NAA") == pytest.approx(2.01, abs=bin_ppm)
    assert peak_ppm(basis, "Cr") == pytest.approx(3.03, abs=bin_ppm)
    assert all(any(text in repair for repair in basis.repairs) for text in repaired)
    assert basis.linewidth_hz == pytest.approx(width_hz, rel=0.02)
    assert basis.proton_amplitude is not None
    if proton is not None:
        assert basis.proton_amplitude == pytest.approx(proton, rel=1e-3)
