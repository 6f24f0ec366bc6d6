"""Import of vendor files: real scans into a valid dataset, the rules by which files are told apart, and refusals."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import ConfigError, FileError, HeaderError, InputError, PairingError
from mrspipe.core.signal import Acquisition, ScanKey, Signal
from mrspipe.io.first_point import first_point_is_halved
from mrspipe.io.nifti_mrs import read_extension, read_signal, write_signal
from mrspipe.io.vendor import import_files, read_vendor

AXIS = SpectralAxis(512, 1 / 2000, 127.75e6, 4.65)
PRESS = Acquisition(sequence="press", echo_time_s=0.03, repetition_time_s=2.0, manufacturer="Siemens")
KEY = ScanKey(sub="01")
AFFINE = np.diag([20.0, 25.0, 30.0, 1.0])


def spectrum(path, amplitude=1.0, acquisition=PRESS):
    """Write one decaying resonance as NIfTI-MRS, the format that needs no converter."""
    fid = amplitude * np.exp((2j * np.pi * 20.0 - 20.0) * AXIS.time_s)
    write_signal(path, Signal(fid, ("time",), AXIS, acquisition, affine=AFFINE))
    return path


@pytest.fixture
def scan_folder(tmp_path):
    folder = tmp_path / "raw"
    spectrum(folder / "p1_act.nii.gz")
    spectrum(folder / "p1_ref.nii.gz", amplitude=100.0)
    return folder


def content_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def sidecar(path):
    return json.loads(path.read_text())


def test_a_folder_of_scan_and_reference_becomes_a_dataset(tmp_path, scan_folder):
    bids = tmp_path / "bids"
    report = import_files([scan_folder], bids, ScanKey(sub="01", ses="a", task="cue"))
    stem = "sub-01/ses-a/mrs/sub-01_ses-a_task-cue"
    assert {p.relative_to(bids).as_posix() for p in report.written} == {
        "dataset_description.json",
        "README.md",
        "participants.tsv",
        "participants.json",
        *(f"{stem}_{suffix}" for suffix in ("svs.nii.gz", "svs.json", "mrsref.nii.gz", "mrsref.json")),
    }
    said = sidecar(bids / f"{stem}_svs.json")
    assert said["ReferenceSignal"] == f"bids::{stem}_mrsref.nii.gz"
    assert said["ResonantNucleus"] == ["1H"]
    assert said["SpectrometerFrequency"] == [127.75]
    assert said["SpectralWidth"] == 2000.0
    assert said["EchoTime"] == 0.03
    assert said["RepetitionTime"] == 2.0
    assert said["NumberOfSpectralPoints"] == 512
    assert said["AcquisitionVoxelSize"] == [20.0, 25.0, 30.0]
    assert said["PulseSequenceType"] == "PRESS"
    assert said["MagneticFieldStrength"] == 3.0
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in report.written)


def test_the_stronger_of_the_two_has_its_water_unsuppressed(tmp_path, scan_folder):
    import_files([scan_folder], tmp_path / "bids", KEY)
    assert sidecar(tmp_path / "bids/sub-01/mrs/sub-01_svs.json")["WaterSuppression"] is True
    assert sidecar(tmp_path / "bids/sub-01/mrs/sub-01_mrsref.json")["WaterSuppression"] is False
    assert read_signal(tmp_path / "bids/sub-01/mrs/sub-01_svs.nii.gz").acquisition.water_suppressed is True


def test_a_reference_weaker_than_the_scan_is_refused(tmp_path, scan_folder):
    with pytest.raises(PairingError) as caught:
        import_files([scan_folder / "p1_ref.nii.gz"], tmp_path / "bids", KEY, reference=scan_folder / "p1_act.nii.gz")
    assert caught.value.code == "swapped"
    assert not (tmp_path / "bids").exists()


def test_importing_twice_changes_nothing(tmp_path, scan_folder):
    bids = tmp_path / "bids"
    import_files([scan_folder], bids, KEY)
    before = content_of(bids)
    assert import_files([scan_folder], bids, KEY).written == ()
    assert content_of(bids) == before


def test_other_content_under_the_same_name_is_refused_and_nothing_changes(tmp_path, scan_folder):
    bids = tmp_path / "bids"
    import_files([scan_folder], bids, KEY)
    before = content_of(bids)
    spectrum(scan_folder / "p1_act.nii.gz", amplitude=2.0)
    with pytest.raises(FileError) as caught:
        import_files([scan_folder], bids, KEY)
    assert caught.value.code == "exists"
    assert content_of(bids) == before


def test_a_participant_is_added_once_to_a_table_that_is_there(tmp_path, scan_folder):
    bids = tmp_path / "bids"
    bids.mkdir()
    (bids / "participants.tsv").write_text("participant_id\tage\nsub-07\t30\n")
    import_files([scan_folder], bids, KEY)
    import_files([scan_folder], bids, ScanKey(sub="01", run="2"))
    assert (bids / "participants.tsv").read_text() == "participant_id\tage\nsub-07\t30\nsub-01\tn/a\n"


def test_without_a_reference_the_notes_say_what_that_costs(tmp_path, scan_folder):
    report = import_files([scan_folder / "p1_act.nii.gz"], tmp_path / "bids", KEY)
    assert any("no water reference" in note for note in report.notes)
    assert "ReferenceSignal" not in sidecar(tmp_path / "bids/sub-01/mrs/sub-01_svs.json")


def test_two_scans_in_a_folder_are_refused_by_name(tmp_path, scan_folder):
    spectrum(scan_folder / "p2_act.nii.gz")
    with pytest.raises(PairingError, match=r"p1_act\.nii\.gz, p2_act\.nii\.gz") as caught:
        import_files([scan_folder], tmp_path / "bids", KEY)
    assert caught.value.code == "ambiguous"


def test_a_reference_alone_is_not_a_scan(tmp_path, scan_folder):
    with pytest.raises(PairingError) as caught:
        import_files([scan_folder / "p1_ref.nii.gz"], tmp_path / "bids", KEY)
    assert caught.value.code == "no-scan"


def test_the_reference_with_the_scans_name_is_chosen(tmp_path, scan_folder):
    spectrum(scan_folder / "other_ref.nii.gz", amplitude=50.0)
    import_files([scan_folder], tmp_path / "bids", KEY)
    water = read_signal(tmp_path / "bids/sub-01/mrs/sub-01_mrsref.nii.gz")
    assert abs(water.fid[0]) == pytest.approx(100.0)


def test_an_inversion_scan_is_left_out_unless_asked_for(tmp_path, scan_folder):
    spectrum(scan_folder / "p1_TI-600_act.nii.gz", amplitude=0.5)
    report = import_files([scan_folder], tmp_path / "bids", KEY)
    assert any("TI-600" in note and "--inv" in note for note in report.notes)
    import_files([scan_folder / "p1_TI-600_act.nii.gz"], tmp_path / "bids", replace(KEY, inv="1"))
    assert sidecar(tmp_path / "bids/sub-01/mrs/sub-01_inv-1_svs.json")["InversionTime"] == 0.6


def test_an_inversion_scan_is_never_imported_as_a_normal_one(tmp_path):
    path = spectrum(tmp_path / "a_act.nii.gz", acquisition=replace(PRESS, inversion_time_s=0.6))
    with pytest.raises(PairingError) as caught:
        import_files([path], tmp_path / "bids", KEY)
    assert caught.value.code == "inversion"


def test_an_inversion_scan_of_unknown_inversion_time_is_refused(tmp_path):
    path = spectrum(tmp_path / "inverted_act.nii.gz")
    with pytest.raises(HeaderError, match="inversion time"):
        import_files([path], tmp_path / "bids", replace(KEY, inv="1"))


def test_the_only_t1_weighted_image_of_a_folder_comes_along(tmp_path, scan_folder):
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4)), scan_folder / "p1_T1w.nii.gz")
    import_files([scan_folder], tmp_path / "bids", KEY)
    said = sidecar(tmp_path / "bids/sub-01/mrs/sub-01_svs.json")
    assert said["AnatomicalImage"] == "bids::sub-01/anat/sub-01_T1w.nii.gz"
    assert (tmp_path / "bids/sub-01/anat/sub-01_T1w.nii.gz").is_file()
    # A later scan of the subject finds the image in the dataset.
    import_files([scan_folder / "p1_act.nii.gz"], tmp_path / "bids", replace(KEY, run="2"))
    later = sidecar(tmp_path / "bids/sub-01/mrs/sub-01_run-2_svs.json")
    assert later["AnatomicalImage"] == said["AnatomicalImage"]


def test_an_image_that_is_not_named_t1_is_not_guessed(tmp_path, scan_folder):
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4)), scan_folder / "image.nii.gz")
    report = import_files([scan_folder], tmp_path / "bids", KEY)
    assert any("--t1w" in note for note in report.notes)
    assert not (tmp_path / "bids/sub-01/anat").exists()


def test_personal_data_do_not_reach_the_dataset(tmp_path):
    path = spectrum(tmp_path / "a_act.nii.gz")
    personal = {"PatientName": "Doe^Jane", "PatientDoB": "19700101", "OriginalFile": ["/home/doe/a.dat"]}
    write_signal(path, read_signal(path), extra_header=read_extension(path) | personal)
    import_files([path], tmp_path / "bids", KEY)
    header = read_extension(tmp_path / "bids/sub-01/mrs/sub-01_svs.nii.gz")
    assert not {"PatientName", "PatientDoB", "OriginalFile"} & set(header)


def test_a_scan_without_echo_time_is_refused(tmp_path):
    path = spectrum(tmp_path / "a_act.nii.gz", acquisition=Acquisition())
    with pytest.raises(HeaderError, match="echo time"):
        import_files([path], tmp_path / "bids", KEY)


@pytest.mark.parametrize("key", [ScanKey(sub="0_1"), ScanKey(sub="01", run="one"), ScanKey(sub="01", task="cue-2")])
def test_a_label_that_bids_does_not_allow_is_refused(tmp_path, scan_folder, key):
    with pytest.raises(ConfigError, match="label"):
        import_files([scan_folder], tmp_path / "bids", key)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [("a.txt", b"text", "unknown-format"), ("a.rda", b"nonsense", "unreadable"), ("a.sdat", b"1234", "missing")],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, code):
    pytest.importorskip("spec2nii")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError) as caught:
        read_vendor([tmp_path / name])
    assert caught.value.code == code
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_converter_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    (tmp_path / "a.rda").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "spec2nii.Siemens.rda", None)
    with pytest.raises(InputError, match=r"pip install 'mrspipe\[vendor\]'") as caught:
        read_vendor([tmp_path / "a.rda"])
    assert caught.value.code == "vendor-extra"


def as_spec2nii_gives_it(amplitude):
    """One spectrum as the object that the converter's functions return."""
    create = pytest.importorskip("nifti_mrs.create_nmrs")
    fid = amplitude * np.exp((2j * np.pi * 20.0 - 20.0) * AXIS.time_s)
    made = create.gen_nifti_mrs(fid.reshape(1, 1, 1, -1), 1 / 2000, 127.75, affine=AFFINE)
    made.add_hdr_field("EchoTime", 0.03)
    return made


def test_a_ge_file_gives_scan_and_concentration_reference(tmp_path, monkeypatch):
    reader = pytest.importorskip("spec2nii.GE.ge_pfile")
    amplitudes = {"P1_quant": 100.0, "P1_ecc": 90.0, "P1": 1.0}
    monkeypatch.setattr(
        reader, "read_pfile", lambda *_: ([as_spec2nii_gives_it(a) for a in amplitudes.values()], list(amplitudes))
    )
    path = tmp_path / "P1.7"
    path.write_bytes(b"")
    report = import_files([path], tmp_path / "bids", KEY)
    water = read_signal(tmp_path / "bids/sub-01/mrs/sub-01_mrsref.nii.gz")
    assert abs(water.fid[0]) == pytest.approx(100.0)
    assert abs(read_signal(tmp_path / "bids/sub-01/mrs/sub-01_svs.nii.gz").fid[0]) == pytest.approx(1.0)
    assert any("P1_ecc" in note and "left out" in note for note in report.notes)
    with pytest.raises(PairingError, match="P1_quant"):
        read_vendor([path])


def test_of_a_twix_file_with_adjustments_the_last_measurement_is_read(tmp_path, monkeypatch):
    reader = pytest.importorskip("spec2nii.Siemens.twixfunctions")
    monkeypatch.setattr(pytest.importorskip("mapvbvd"), "mapVBVD", lambda path, quiet: ["adjustment", "measurement"])
    images = {"adjustment": [], "measurement": [as_spec2nii_gives_it(1.0)]}
    monkeypatch.setattr(reader, "process_twix", lambda twix, *_, **__: (images[twix], ["meas"]))
    (tmp_path / "meas.dat").write_bytes(b"")
    assert read_vendor([tmp_path / "meas.dat"]).axis == AXIS


@pytest.mark.real
@pytest.mark.parametrize("role", ["act", "ref"])
@pytest.mark.parametrize(
    ("folder", "stem", "ending"),
    [
        ("philips_press35", "sub-01_PRESS_35_{}", ".sdat"),
        ("philips_press30_mm", "sub-01_ses-01_PRESS_raw-{}_noID", ".SDAT"),
    ],
)
def test_the_halved_first_point_of_philips_files_is_restored(real_data, role, folder, stem, ending):
    pytest.importorskip("spec2nii")
    signal = read_vendor([real_data / folder / (stem.format(role) + ending)])
    assert [step.method for step in signal.history] == ["first point doubled"]
    assert first_point_is_halved(signal.fid) is False


@pytest.mark.real
def test_rda_and_dicom_of_one_scan_agree(real_data):
    pytest.importorskip("spec2nii")
    rda, dicom = (read_vendor([real_data / "siemens" / name]) for name in ("SVS_30.rda", "SVS_30.IMA"))
    assert np.allclose(rda.samples, dicom.samples, rtol=1e-5, atol=1e-5 * np.abs(rda.samples).max())
    assert np.allclose(rda.affine, dicom.affine, atol=1e-3)
    assert rda.acquisition.n_transients == dicom.acquisition.n_transients == 64
    assert rda.acquisition.echo_time_s == dicom.acquisition.echo_time_s == 0.03
    # RDA writes the dwell time of 833.4 us as 833.
    assert rda.axis.dwell_s == pytest.approx(dicom.axis.dwell_s, rel=1e-3)


@pytest.mark.real
def test_a_philips_file_cut_short_is_called_truncated(tmp_path, real_data):
    pytest.importorskip("spec2nii")
    for path in (real_data / "philips_press35").glob("*act*"):
        shutil.copyfile(path, tmp_path / path.name)
    sdat = tmp_path / "sub-01_PRESS_35_act.sdat"
    sdat.write_bytes(sdat.read_bytes()[:9000])
    with pytest.raises(FileError) as caught:
        read_vendor([sdat])
    assert caught.value.code == "truncated"


@pytest.mark.real
def test_both_philips_sets_become_a_dataset_without_an_error_of_the_validator(tmp_path, real_data):
    pytest.importorskip("spec2nii")
    validator = shutil.which("bids-validator-deno", path=f"{sys.prefix}/bin") or shutil.which("bids-validator-deno")
    if validator is None:
        pytest.skip("bids-validator-deno is not installed")
    for subject, folder in (("01", "philips_press35"), ("02", "philips_press30_mm")):
        import_files([real_data / folder], tmp_path, ScanKey(sub=subject))
    import_files([real_data / "philips_press30_mm"], tmp_path, ScanKey(sub="02", inv="1"))
    said = sidecar(tmp_path / "sub-02/mrs/sub-02_svs.json")
    assert (said["NumberOfTransients"], said["EchoTime"]) == (48, 0.03)
    assert sidecar(tmp_path / "sub-02/mrs/sub-02_inv-1_svs.json")["InversionTime"] == 0.6
    output = subprocess.run([validator, str(tmp_path), "--json"], capture_output=True, text=True, check=False).stdout
    issues = json.loads(output)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
