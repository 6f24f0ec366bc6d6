"""Formats are told by content: a file with another name is the same file."""

import shutil
import struct

import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import HeaderError
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.io.lcmodel_files import write_raw
from mrspipe.io.nifti_mrs import write_signal
from mrspipe.io.vendor_files import Known, convert
from mrspipe.io.vendor_formats import vendor_format

AXIS = SpectralAxis(256, 1 / 2000, 127.75e6, 4.65)
SIGNAL = Signal(
    np.exp((2j * np.pi * 40.0 - 20.0) * AXIS.time_s), ("time",), AXIS, Acquisition(sequence="press", echo_time_s=0.03)
)


def jmrui_text(path):
    """One FID as jMRUI's text files hold it: real and imaginary part, in the sign of memory."""
    rows = "\n".join(f"{z.real:.9e}\t{z.imag:.9e}\t0\t0" for z in SIGNAL.samples)
    path.write_text(
        "jMRUI Data Textfile\n\nFilename: a.txt\n\nPointsInDataset: 256\nDatasetsInFile: 1\nSamplingInterval: 0.5\n"
        "ZeroOrderPhase: 0\nBeginTime: 0\nTransmitterFrequency: 1.2775E8\nMagneticField: 3E0\nTypeOfNucleus: 1E0\n"
        "NameOfPatient: Doe Jane\nAdditionalInformation: seen by Dr Secretive\n\nSignal and FFT\n"
        f"sig(real)\tsig(imag)\tfft(real)\tfft(imag)\nSignal 1 out of 1 in file\n{rows}\n"
    )
    return path


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("scan.bin", b">>> Begin of header <<<\nPatientName: x\n", "rda"),
        ("scan.bin", bytes(128) + b"DICM" + bytes(200), "dicom"),
        ("scan.bin", b"\x00" * 34 + b"GE_MED_NMR" + bytes(600), "pfile"),
        # Software VB: length of the header, six buffers, the first is Config.
        ("scan.bin", struct.pack("<II", 400, 6) + b"Config\x00" + bytes(600), "twix"),
        # Software VD: zero, one measurement, its ids, and its offset in the file.
        ("scan.bin", struct.pack("<IIIIQ", 0, 1, 1, 1, 10240) + bytes(11000), "twix"),
        ("scan.bin", b"jMRUI Data Textfile\n", "jmrui"),
        ("scan.bin", struct.pack(">3d", 0.0, 16.0, 0.5) + bytes(512 - 24 + 256), "jmrui"),
        ("scan.bin", b"# === DATA DESCRIPTION FILE ======\n", "datalist"),
        ("scan.bin", b" $NMID\n ID='a'\n $END\n", "raw"),
        ("scan.dat", b"# just numbers\n1 2 3\n", "twix"),
        ("scan.txt", b"# just numbers\n1 2 3\n", None),
        ("scan.bin", bytes(600), None),
        ("scan.gz", b"\x1f\x8bbroken", None),
    ],
)
def test_the_mark_in_a_file_tells_its_format(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert vendor_format(tmp_path / name) == expected


def test_a_spar_file_belongs_to_data_and_list_where_there_is_no_sdat(tmp_path):
    spar = tmp_path / "scan.SPAR"
    spar.write_text("! comment\nsamples : 2048\nrows : 1\n")
    assert vendor_format(spar) == "sdat"
    (tmp_path / "scan.list").write_text("# === DATA DESCRIPTION FILE ===\n")
    assert vendor_format(spar) == "datalist"
    (tmp_path / "scan.SDAT").write_bytes(b"")
    assert vendor_format(spar) == "sdat"


def test_a_bruker_experiment_is_a_folder(tmp_path):
    (tmp_path / "5").mkdir()
    assert vendor_format(tmp_path / "5") is None
    for name in ("method", "fid"):
        (tmp_path / "5" / name).write_text("")
    assert vendor_format(tmp_path / "5") == "bruker"


def test_a_renamed_nifti_mrs_file_is_still_one(tmp_path):
    write_signal(tmp_path / "a.nii.gz", SIGNAL)
    shutil.move(tmp_path / "a.nii.gz", tmp_path / "a.dat")
    assert vendor_format(tmp_path / "a.dat") == "nifti"


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "expected"), [("SVS_30.rda", "rda"), ("SVS_30.IMA", "dicom"), ("SVS_XA60.dcm", "dicom")]
)
def test_real_files_are_told_by_their_content_alone(tmp_path, real_data, name, expected):
    shutil.copyfile(real_data / "siemens" / name, tmp_path / "renamed")
    assert vendor_format(tmp_path / "renamed") == expected


def test_a_raw_file_needs_what_it_does_not_hold(tmp_path):
    write_raw(tmp_path / "a.RAW", SIGNAL)
    with pytest.raises(HeaderError, match="dwell_s"):
        convert([tmp_path / "a.RAW"])
    (found,) = convert([tmp_path / "a.RAW"], Known(dwell_s=1 / 2000, spectrometer_hz=127.75e6))
    assert np.allclose(found.signal.samples, SIGNAL.samples, atol=1e-5)
    assert found.signal.acquisition.echo_time_s == 0.03


def test_what_is_told_must_not_contradict_the_header(tmp_path):
    write_signal(tmp_path / "a.nii.gz", SIGNAL)
    (found,) = convert([tmp_path / "a.nii.gz"], Known(echo_time_s=0.03, repetition_time_s=2.0))
    assert found.signal.acquisition.repetition_time_s == 2.0
    for wrong in (Known(echo_time_s=0.035), Known(sequence="steam")):
        with pytest.raises(HeaderError) as caught:
            convert([tmp_path / "a.nii.gz"], wrong)
        assert caught.value.code == "header-conflict"


def test_a_jmrui_file_is_read_and_its_echo_time_is_the_users(tmp_path):
    pytest.importorskip("spec2nii")
    (found,) = convert([jmrui_text(tmp_path / "a.txt")], Known(echo_time_s=0.03))
    signal = found.signal
    assert signal.acquisition.echo_time_s == 0.03
    assert signal.axis.dwell_s == pytest.approx(5e-4)
    assert signal.axis.spectrometer_hz == pytest.approx(127.75e6)
    # spec2nii conjugates what the file holds, and reading NIfTI-MRS conjugates it again.
    assert np.allclose(signal.samples, SIGNAL.samples, atol=1e-6)


def test_of_data_and_list_the_second_mix_is_the_water_reference(tmp_path, monkeypatch):
    reader = pytest.importorskip("spec2nii.Philips.philips_data_list")
    create = pytest.importorskip("nifti_mrs.create_nmrs")

    def made(amplitude):
        image = create.gen_nifti_mrs(amplitude * SIGNAL.samples.reshape(1, 1, 1, -1), 1 / 2000, 127.75)
        image.add_hdr_field("EchoTime", 0.03)
        return image

    for ending in (".data", ".list", ".SPAR"):
        (tmp_path / f"scan{ending}").write_text("# === DATA DESCRIPTION FILE ===" if ending == ".list" else "")
    monkeypatch.setattr(
        reader, "read_data_list_pair", lambda *_: ([made(1), made(0.1), made(90)], ["STD_0", "NOI", "STD_1"])
    )
    scan, water = convert([tmp_path / "scan.data"])
    assert (scan.name, water.name) == ("scan", "scan_ref")
    assert abs(water.signal.samples[0]) == pytest.approx(90, rel=1e-6)
