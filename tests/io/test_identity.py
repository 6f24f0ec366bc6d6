"""Nothing that could identify a person may be in what an import writes."""

import gzip
import json

import nibabel as nib
import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.signal import Acquisition, ProcessingStep, ScanKey, Signal
from mrspipe.io.identity import image_without_identity, without_identity
from mrspipe.io.import_folder import import_folder
from mrspipe.io.import_mapping import read_mapping
from mrspipe.io.nifti_mrs import read_extension, read_signal, write_signal
from mrspipe.io.vendor import ImportOptions, import_files

AXIS = SpectralAxis(256, 1 / 2000, 127.75e6, 4.65)
PLANTED = {
    "PatientName": "Doe^Jane",
    "PatientID": "PID4711",
    "PatientDoB": "19700131",
    "InstitutionName": "Hospital Nowhere",
    "InstitutionAddress": "Elm Street 5",
    "OperatorsName": {"Value": "Opera Tor", "Description": "who scanned"},
    "StudyDate": {"Value": "20240229", "Description": "when"},
    "DeviceSerialNumber": "SN998877",
    "OriginalFile": ["/home/doe/meas_secretpath.dat"],
    "Comment": {"Value": "patient felt unwell", "Description": "free text"},
    "private_notes": "told in private",
    "AcquisitionStartTime": 12345.678,
    "ProtocolName": "press jane follow-up",
    "TxCoil": "Coil of Hospital Nowhere",
    "ProcessingApplied": [
        {"Program": "other", "Method": "align", "Details": "/data/secretpath/a.nii", "Time": "2024-02-29T10:00:00"}
    ],
}
SECRETS = (
    *("doe", "jane", "pid4711", "19700131", "nowhere", "elm street", "opera", "20240229", "2024-02-29", "sn998877"),
    *("secretpath", "unwell", "private", "12345.678", "dcm2niix", "acme"),
)


@pytest.fixture
def planted(tmp_path):
    """A scan, its reference and an image, with secrets in headers and in file names."""
    source = tmp_path / "doe_jane"
    source.mkdir()
    for name, amplitude in (("secretpath_act", 1.0), ("secretpath_ref", 90.0)):
        fid = amplitude * np.exp((2j * np.pi * 20.0 - 20.0) * AXIS.time_s)
        press = Acquisition(sequence="press", echo_time_s=0.03, repetition_time_s=2.0)
        write_signal(source / f"{name}.nii.gz", Signal(fid, ("time",), AXIS, press), extra_header=PLANTED)
    image = nib.Nifti1Image(np.arange(27, dtype=np.float32).reshape(3, 3, 3), np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header["descrip"] = b"dcm2niix 2024-02-29 Jane"
    image.header["aux_file"] = b"acme_doe.dat"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Doe^Jane PID4711"))
    nib.save(image, source / "t1_jane.nii.gz")
    (tmp_path / "mapping.tsv").write_text(
        "file\tparticipant_id\treference\tt1w\nsecretpath_act.nii.gz\t01\tsecretpath_ref.nii.gz\tt1_jane.nii.gz\n"
        # This one fails, and its message names the file.
        "secretpath_ref.nii.gz\t02\tsecretpath_act.nii.gz\tn/a\n"
    )
    return source


def everything_in(folder):
    """All names and all content, compressed files unpacked."""
    text = ""
    for path in sorted(folder.rglob("*")):
        text += path.relative_to(folder).as_posix() + "\n"
        if path.is_file():
            content = path.read_bytes()
            text += (gzip.decompress(content) if path.suffix == ".gz" else content).decode("latin-1")
    return text.lower()


def imported(source, bids, **options):
    rows, problems = read_mapping(source.parent / "mapping.tsv", source)
    assert not problems
    return import_folder(rows, source, bids, ImportOptions(**options))


def test_no_planted_value_is_anywhere_in_the_output(tmp_path, planted):
    ok, failed = imported(planted, tmp_path / "bids")
    assert (ok.status, failed.status) == ("imported", "failed")
    written = everything_in(tmp_path / "bids")
    assert "sub-01_svs" in written
    assert [secret for secret in SECRETS if secret in written] == []


def test_the_physics_of_the_scan_stays(tmp_path, planted):
    imported(planted, tmp_path / "bids")
    path = tmp_path / "bids/sub-01/mrs/sub-01_svs.nii.gz"
    acquisition = read_signal(path).acquisition
    assert (acquisition.sequence, acquisition.echo_time_s, acquisition.repetition_time_s) == ("press", 0.03, 2.0)
    assert read_extension(path)["ProcessingApplied"] == [{"Program": "other", "Method": "align"}]


def test_only_on_request_is_it_kept(tmp_path, planted):
    imported(planted, tmp_path / "bids", keep_identity=True)
    header = read_extension(tmp_path / "bids/sub-01/mrs/sub-01_svs.nii.gz")
    assert header["PatientName"] == "Doe^Jane"
    sidecar = json.loads((tmp_path / "bids/sub-01/mrs/sub-01_svs.json").read_text())
    assert sidecar["InstitutionName"] == "Hospital Nowhere"
    assert sidecar["DeviceSerialNumber"] == "SN998877"
    assert "secretpath_act.nii.gz" in (tmp_path / "bids/code/mrspipe_import.tsv").read_text()


def test_one_scan_alone_is_cleaned_as_well(tmp_path, planted):
    import_files([planted / "secretpath_act.nii.gz"], tmp_path / "bids", ScanKey(sub="01"))
    written = everything_in(tmp_path / "bids")
    assert [secret for secret in SECRETS if secret in written] == []


def test_a_blanked_image_keeps_its_voxels_and_its_place(tmp_path, planted):
    content = gzip.decompress((planted / "t1_jane.nii.gz").read_bytes())
    (tmp_path / "blank.nii").write_bytes(image_without_identity(content))
    before, after = nib.load(planted / "t1_jane.nii.gz"), nib.load(tmp_path / "blank.nii")
    assert np.array_equal(before.get_fdata(), after.get_fdata())
    assert np.array_equal(before.affine, after.affine)
    assert len(after.header.extensions) == 0


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_images_of_both_versions_and_byte_orders_are_blanked(kind, order):
    header = kind.header_class(endianness=order)
    header["descrip"] = b"Jane"
    header.set_data_dtype(np.int16)
    image = kind(np.arange(8, dtype=np.int16).reshape(2, 2, 2), np.eye(4), header=header)
    content = image_without_identity(image.to_bytes())
    assert b"Jane" in image.to_bytes()
    assert b"Jane" not in content
    assert np.array_equal(kind.from_bytes(content).get_fdata(), image.get_fdata())


def test_what_is_no_image_is_left_as_it_is():
    assert image_without_identity(b"not an image") == b"not an image"


def test_file_names_leave_the_history():
    signal = Signal(
        np.ones(256, complex), ("time",), AXIS, history=(ProcessingStep("read", {"file": "jane.RAW", "n": 1}),)
    )
    cleaned, _, dropped = without_identity(signal, {"PatientName": "Jane"})
    assert cleaned.history == (ProcessingStep("read", {"n": 1}),)
    assert dropped == ("PatientName",)
