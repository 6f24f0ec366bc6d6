from dataclasses import replace

import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.operators import to_spectrum
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.io.lcmodel_files import looks_like_raw, read_raw, write_raw

AXIS = SpectralAxis(512, 1 / 2000, 127.7e6, 4.65)
KNOWN = {"dwell_s": AXIS.dwell_s, "spectrometer_hz": AXIS.spectrometer_hz}


PRESS_35 = Acquisition(sequence="press", echo_time_s=0.035)


def naa(acquisition=PRESS_35, axis=AXIS):
    fid = 7.0 * np.exp((2j * np.pi * axis.offset_hz(2.01) - 15.0) * axis.time_s)
    return Signal(fid, ("time",), axis, acquisition)


def peak_ppm(signal):
    return signal.axis.ppm[np.argmax(np.abs(to_spectrum(signal.fid)))]


def test_a_written_signal_is_read_back(tmp_path):
    write_raw(tmp_path / "a.RAW", naa())
    again = read_raw(tmp_path / "a.RAW", **KNOWN)
    np.testing.assert_allclose(again.fid, naa().fid, atol=1e-5)
    assert again.acquisition.echo_time_s == pytest.approx(0.035)
    assert again.acquisition.sequence == "press"


def test_on_disk_lower_ppm_is_the_higher_frequency(tmp_path):
    write_raw(tmp_path / "a.RAW", naa())
    numbers = (tmp_path / "a.RAW").read_text().rsplit("$END", 1)[1].split()
    second = complex(float(numbers[2]), float(numbers[3]))
    assert np.angle(second) > 0


def test_a_signal_with_another_centre_keeps_its_shift_in_ppm(tmp_path):
    axis = replace(AXIS, centre_ppm=3.0)
    write_raw(tmp_path / "a.RAW", naa(axis=axis))
    assert peak_ppm(read_raw(tmp_path / "a.RAW", **KNOWN)) == pytest.approx(2.01, abs=0.02)


def test_a_halved_first_point_is_restored_and_recorded(tmp_path):
    halved = naa().fid.copy()
    halved[0] *= 0.5
    write_raw(tmp_path / "a.RAW", replace(naa(), samples=halved))
    again = read_raw(tmp_path / "a.RAW", **KNOWN)
    np.testing.assert_allclose(again.fid, naa().fid, atol=1e-5)
    assert again.history[-1].details["first_point_restored"] is True


def test_a_header_value_without_spaces_is_read(tmp_path):
    fid = naa().fid.conj()
    text = "$SEQPAR\nECHOT=30.00\nHZPPPM=127.7\nSEQ='PRESS'\n$END\n$NMID ID='x', FMTDAT='(2E15.6)'\nTRAMP=1 $END\n"
    (tmp_path / "a.raw").write_text(text + "".join(f"{z.real:15.6E}{z.imag:15.6E}\n" for z in fid))
    again = read_raw(tmp_path / "a.raw", **KNOWN)
    assert again.acquisition.echo_time_s == pytest.approx(0.030)
    np.testing.assert_allclose(again.fid, naa().fid, atol=1e-5)


def test_numbers_that_touch_are_read_by_the_width_of_their_fields(tmp_path):
    fid = naa().fid.conj() * -1
    touching = "".join(f"{z.real:12.5E}{z.imag:12.5E}" + "\n" * (i % 4 == 3) for i, z in enumerate(fid))
    assert "E+00-" in touching
    (tmp_path / "a.raw").write_text("$NMID FMTDAT='(8E12.5)' $END\n" + touching)
    np.testing.assert_allclose(read_raw(tmp_path / "a.raw", **KNOWN).fid, -naa().fid, atol=1e-4)


def test_data_are_multiplied_by_tramp_over_volume(tmp_path):
    write_raw(tmp_path / "a.RAW", naa())
    text = (tmp_path / "a.RAW").read_text().replace("TRAMP=1., VOLUME=1.", "TRAMP=4., VOLUME=8.")
    (tmp_path / "a.RAW").write_text(text)
    np.testing.assert_allclose(read_raw(tmp_path / "a.RAW", **KNOWN).fid, naa().fid / 2, atol=1e-5)


def test_bruker_data_have_the_opposite_sign(tmp_path):
    write_raw(tmp_path / "a.RAW", naa())
    text = (tmp_path / "a.RAW").read_text().replace("TRAMP=1.", "BRUKER=T, TRAMP=1.")
    (tmp_path / "a.RAW").write_text(text)
    np.testing.assert_allclose(read_raw(tmp_path / "a.RAW", **KNOWN).fid, naa().fid.conj(), atol=1e-5)


def test_sequential_data_are_refused(tmp_path):
    write_raw(tmp_path / "a.RAW", naa())
    (tmp_path / "a.RAW").write_text((tmp_path / "a.RAW").read_text().replace("TRAMP=1.", "SEQACQ=T, TRAMP=1."))
    with pytest.raises(FileError, match="SEQACQ"):
        read_raw(tmp_path / "a.RAW", **KNOWN)


def test_an_echo_time_that_contradicts_the_header_is_refused(tmp_path):
    write_raw(tmp_path / "a.RAW", naa())
    with pytest.raises(HeaderError, match="ECHOT"):
        read_raw(tmp_path / "a.RAW", **KNOWN, echo_time_s=0.030)


def test_a_frequency_that_contradicts_the_header_is_refused(tmp_path):
    write_raw(tmp_path / "a.RAW", naa())
    with pytest.raises(HeaderError, match="HZPPPM"):
        read_raw(tmp_path / "a.RAW", dwell_s=AXIS.dwell_s, spectrometer_hz=300e6)


def test_an_echo_time_that_nobody_states_stays_unknown(tmp_path):
    write_raw(tmp_path / "a.RAW", naa(Acquisition()))
    assert read_raw(tmp_path / "a.RAW", **KNOWN).acquisition.echo_time_s is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("garbage\n", "NMID"),
        ("$NMID FMTDAT='(2E15.6)' $END\n", "truncated"),
        ("$NMID FMTDAT='(2E15.6)' $END\n 1.0 2.0 3.0\n", "truncated"),
        ("$NMID FMTDAT='(2E15.6)' $END\n one two\n", "not numbers"),
        ("$NMID FMTDAT='(2E15.6)' $END\n nan 1.0\n", "not finite"),
        ("$NMID FMTDAT='(2E15.6)'\n 1.0 2.0\n", "NMID"),
        ("\0\1\2", "binary"),
    ],
)
def test_what_is_no_raw_file_is_refused(tmp_path, text, message):
    (tmp_path / "a.RAW").write_text(text)
    with pytest.raises(FileError, match=message):
        read_raw(tmp_path / "a.RAW", **KNOWN)


def test_a_raw_file_is_recognised_by_its_beginning(tmp_path):
    write_raw(tmp_path / "a.txt", naa())
    (tmp_path / "b.txt").write_text("participant_id\tage\n")
    assert looks_like_raw(tmp_path / "a.txt")
    assert not looks_like_raw(tmp_path / "b.txt")
    assert not looks_like_raw(tmp_path / "absent")


@pytest.mark.real
@pytest.mark.parametrize("number", [1, 5, 11])
def test_fitting_challenge_metabolites_are_halved_water_is_not_and_naa_is_in_place(real_data, number):
    folder = real_data / "fitting_challenge"
    known = {"dwell_s": 1 / 4000, "spectrometer_hz": 123.26e6, "echo_time_s": 0.030}
    metabolites = read_raw(folder / f"dataset{number}.RAW", **known)
    water = read_raw(folder / f"dataset{number}.H2O", **known)
    assert metabolites.history[-1].details["first_point_restored"] is True
    assert water.history[-1].details["first_point_restored"] is False
    assert peak_ppm(metabolites) == pytest.approx(2.01, abs=0.02)
    assert peak_ppm(water) == pytest.approx(4.65, abs=0.02)
