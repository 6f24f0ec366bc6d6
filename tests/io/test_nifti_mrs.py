"""NIfTI-MRS: the standard's package is the oracle, real spectra check the sign, broken files are refused by name."""

import gzip
import json
import subprocess
import sys
import warnings
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.operators import to_spectrum
from mrspipe.core.signal import Acquisition, ProcessingStep, Signal
from mrspipe.io.nifti_mrs import read_extension, read_signal, write_signal
from mrspipe.io.vendor_files import convert

AXIS = SpectralAxis(64, 1 / 2000, 127.75e6, 4.65)
AFFINE = np.array([[20.0, 0, 0, -3], [0, 0, 30, 7], [0, 25, 0, 11], [0, 0, 0, 1]])
PRESS = Acquisition(
    field_t=3.0,
    sequence="press",
    echo_time_s=0.03,
    repetition_time_s=2.0,
    manufacturer="Siemens",
    n_transients=64,
    voxel_mm=(20.0, 25.0, 30.0),
    water_suppressed=True,
)


def random_samples(shape, seed=0):
    rng = np.random.default_rng(seed)
    # Values of single precision, which is what the file holds.
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


@pytest.fixture
def signal():
    return Signal(random_samples(64), ("time",), AXIS, PRESS, affine=AFFINE)


def oracle(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = pytest.importorskip("nifti_mrs.nifti_mrs")
        from nifti_mrs import validator

        opened = package.NIFTI_MRS(str(path))
        validator.validate_nifti_mrs(opened)
        return opened


def rewritten(path, *, unit=8, dwell=None, data=None, header=None, intent=b"mrs_v0_11", version=2, affine=None):
    """Write a file by nibabel alone, as another program would."""
    said = (
        {"SpectrometerFrequency": [127.75], "ResonantNucleus": ["1H"], "EchoTime": 0.03} if header is None else header
    )
    data = random_samples((1, 1, 1, 64)) if data is None else data
    image = {1: nib.Nifti1Image, 2: nib.Nifti2Image}[version](data, AFFINE if affine is None else affine)
    image.header["pixdim"][4] = 1 / 2000 if dwell is None else dwell
    image.header["xyzt_units"] = 2 + unit
    image.header["intent_name"] = intent
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension(44, text))
    nib.save(image, path)
    return path


@pytest.mark.parametrize(
    ("dims", "shape"),
    [
        ((), ()),
        (("coil",), (3,)),
        (("transient",), (4,)),
        (("coil", "transient"), (3, 4)),
        (("coil", "transient", "cycle"), (3, 4, 2)),
        (("transient", "edit", "other"), (4, 2, 3)),
        (("transient",), (1,)),
    ],
)
def test_what_is_written_is_read_back_exactly(tmp_path, dims, shape):
    signal = Signal(random_samples((*shape, 64)), (*dims, "time"), AXIS, PRESS, affine=AFFINE)
    write_signal(tmp_path / "a.nii.gz", signal)
    again = read_signal(tmp_path / "a.nii.gz")
    assert again.dims == signal.dims
    assert np.array_equal(again.samples, signal.samples)
    assert again.axis == signal.axis
    assert again.acquisition == signal.acquisition
    assert np.allclose(again.affine, AFFINE, rtol=0, atol=1e-9)


@given(
    n_coils=st.integers(1, 3),
    n_points=st.integers(2, 32),
    bandwidth_hz=st.sampled_from([1200.0, 2000.0, 2500.0, 4000.0]),
    centre_ppm=st.sampled_from([4.65, 4.7, 2.0, 0.0]),
    mhz=st.integers(60_000_000, 300_000_000).map(lambda hz: hz / 1e6),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_any_axis_survives_the_file(tmp_path_factory, n_coils, n_points, bandwidth_hz, centre_ppm, mhz, seed):
    axis = SpectralAxis(n_points, 1 / bandwidth_hz, round(mhz * 1e6, 3), centre_ppm)
    signal = Signal(random_samples((n_coils, n_points), seed), ("coil", "time"), axis)
    path = tmp_path_factory.mktemp("any") / "a.nii"
    write_signal(path, signal)
    again = read_signal(path)
    assert again.axis == axis
    assert np.array_equal(again.samples, signal.samples)
    assert again.affine is None


def test_the_standards_package_opens_what_is_written(tmp_path):
    signal = Signal(random_samples((3, 4, 2, 64)), ("coil", "transient", "cycle", "time"), AXIS, PRESS, affine=AFFINE)
    write_signal(tmp_path / "a.nii.gz", signal)
    opened = oracle(tmp_path / "a.nii.gz")
    # The package conjugates to "frequency rises with ppm" as well, so its numbers are ours.
    assert np.allclose(np.moveaxis(opened[:][0, 0, 0], 0, -1), signal.samples)
    assert opened.dim_tags == ["DIM_COIL", "DIM_DYN", "DIM_METCYCLE"]
    assert opened.dwelltime == pytest.approx(1 / 2000)
    assert opened.spectrometer_frequency == [127.75]
    assert opened.hdr_ext["EchoTime"] == 0.03
    assert np.allclose(opened.getAffine("voxel", "world"), AFFINE)


def test_another_centre_is_understood_by_the_standards_package(tmp_path, signal):
    axis = replace(AXIS, centre_ppm=4.7)
    write_signal(tmp_path / "a.nii.gz", replace(signal, axis=axis))
    opened = oracle(tmp_path / "a.nii.gz")
    assert opened.SpecFreqChemShift == 4.7
    assert read_signal(tmp_path / "a.nii.gz").axis == axis


@pytest.mark.parametrize("nifti_version", [1, 2])
def test_what_the_standards_package_writes_is_read(tmp_path, nifti_version):
    oracle_create = pytest.importorskip("nifti_mrs.create_nmrs")
    samples = random_samples((1, 1, 1, 64, 3, 4))
    made = oracle_create.gen_nifti_mrs(
        samples.copy(),
        1 / 2000,
        127.75,
        affine=AFFINE,
        dim_tags=["DIM_COIL", "DIM_DYN", None],
        nifti_version=nifti_version,
    )
    made.save(tmp_path / "a.nii.gz")
    signal = read_signal(tmp_path / "a.nii.gz")
    assert signal.dims == ("coil", "transient", "time")
    assert np.allclose(signal.samples, np.moveaxis(samples[0, 0, 0], 0, -1))
    # NIfTI-1 holds the dwell time in single precision.
    assert signal.axis.dwell_s == pytest.approx(1 / 2000, rel=1e-7)
    assert np.allclose(signal.affine, AFFINE, atol=1e-4)


def test_ten_metre_voxels_mean_not_localised(tmp_path):
    oracle_create = pytest.importorskip("nifti_mrs.create_nmrs")
    oracle_create.gen_nifti_mrs(random_samples((1, 1, 1, 64)), 1 / 2000, 127.75).save(tmp_path / "a.nii.gz")
    assert read_signal(tmp_path / "a.nii.gz").affine is None


@pytest.mark.parametrize(("unit", "dwell"), [(8, 5e-4), (16, 0.5), (24, 500.0)])
def test_the_dwell_time_is_converted_from_its_unit(tmp_path, unit, dwell):
    path = rewritten(tmp_path / "a.nii", unit=unit, dwell=dwell)
    assert read_signal(path).axis.dwell_s == pytest.approx(5e-4, rel=1e-12)


@pytest.mark.parametrize("header_frequency", [127.75, [127.75]])
def test_a_number_and_a_list_of_one_mean_the_same(tmp_path, header_frequency):
    header = {"SpectrometerFrequency": header_frequency, "ResonantNucleus": "1H"}
    assert read_signal(rewritten(tmp_path / "a.nii", header=header)).axis.spectrometer_hz == 127.75e6


def test_untagged_dimensions_have_the_standards_default_meaning(tmp_path):
    path = rewritten(tmp_path / "a.nii", data=random_samples((1, 1, 1, 64, 3, 4)))
    assert read_signal(path).dims == ("coil", "transient", "time")


def test_the_receiver_offset_moves_the_axis_and_the_transmitter_offset_does_not(tmp_path):
    header = {"SpectrometerFrequency": [127.75], "ResonantNucleus": ["1H"], "RxOffset": -1.5, "TxOffset": -2.3}
    assert read_signal(rewritten(tmp_path / "a.nii", header=header)).axis.centre_ppm == pytest.approx(4.65 - 1.5)


def test_a_higher_shift_is_a_more_negative_frequency_on_disk(tmp_path):
    # Levitt's sign: on disk a resonance above the centre turns clockwise, exp(-2 pi i f t).
    fid = np.exp(2j * np.pi * AXIS.offset_hz(6.0) * AXIS.time_s)
    write_signal(tmp_path / "a.nii", Signal(fid, ("time",), AXIS))
    on_disk = np.asarray(nib.load(tmp_path / "a.nii").dataobj).ravel()
    assert np.angle(on_disk[1] / on_disk[0]) == pytest.approx(-2 * np.pi * AXIS.offset_hz(6.0) * AXIS.dwell_s, rel=1e-5)


@pytest.mark.real
@pytest.mark.parametrize(
    "name", ["philips_press35/sub-01_PRESS_35_act.sdat", "siemens/SVS_30.rda", "siemens/SVS_30.IMA"]
)
def test_water_is_left_of_naa_by_the_difference_of_their_shifts(tmp_path, real_data, name):
    pytest.importorskip("spec2nii")
    write_signal(tmp_path / "a.nii.gz", convert([real_data / name])[0].signal)
    signal = read_signal(tmp_path / "a.nii.gz")
    spectrum = np.abs(to_spectrum(signal.fid))

    def peak_ppm(low, high):
        bins = signal.axis.slice_ppm(low, high)
        return signal.axis.ppm[bins][spectrum[bins].argmax()]

    # 4.65 - 2.01 ppm (Govindaraju et al. 2000); the head's temperature and line widths allow 0.05 ppm.
    assert peak_ppm(4.4, 5.0) - peak_ppm(1.8, 2.2) == pytest.approx(2.64, abs=0.05)


def test_the_same_signal_gives_the_same_bytes(tmp_path, signal):
    step = ProcessingStep("align", {"shift_hz": [0.1, 0.2]})
    for name in ("a.nii.gz", "b.nii.gz"):
        write_signal(tmp_path / name, signal.after(step, signal.samples))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert (tmp_path / "a.nii.gz").stat().st_mode & 0o777 == 0o644


def test_reading_loads_no_dicom_library_and_leaves_it_usable(tmp_path, signal):
    pytest.importorskip("pydicom")
    write_signal(tmp_path / "a.nii.gz", signal)
    code = (
        "import sys; from pathlib import Path; from mrspipe.io.nifti_mrs import read_signal;"
        f"read_signal(Path({str(tmp_path / 'a.nii.gz')!r})); print('pydicom' in sys.modules);"
        "import pydicom; import nibabel.nicom.dicomwrappers; print(pydicom.Dataset.__name__)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "Dataset"]


def test_a_number_of_any_size_in_anothers_header_is_kept(tmp_path, signal):
    write_signal(tmp_path / "a.nii.gz", signal, extra_header={"UID": 2**70})
    assert read_extension(tmp_path / "a.nii.gz")["UID"] == 2**70


def test_history_is_appended_and_what_others_wrote_is_kept(tmp_path, signal):
    foreign = {"Time": "2020-01-01T00:00:00", "Program": "other", "Version": "1", "Method": "Nothing", "Details": "x"}
    header = {"SpectrometerFrequency": [127.75], "ResonantNucleus": ["1H"], "ProcessingApplied": [foreign]}
    path = rewritten(tmp_path / "a.nii", header=header | {"ProtocolName": "mine"})
    first = read_signal(path)
    step = ProcessingStep("align", {"shift_hz": [0.1]})
    write_signal(tmp_path / "b.nii", first.after(step, first.samples), extra_header=read_extension(path))
    said = read_extension(tmp_path / "b.nii")
    assert said["ProcessingApplied"][0] == foreign
    assert [entry["Method"] for entry in said["ProcessingApplied"]] == ["Nothing", "align"]
    assert said["ProtocolName"] == "mine"
    again = read_signal(tmp_path / "b.nii")
    assert again.history[-1] == step
    write_signal(tmp_path / "c.nii", again, extra_header=said)
    assert read_extension(tmp_path / "c.nii")["ProcessingApplied"] == said["ProcessingApplied"]
    oracle(tmp_path / "c.nii")


def test_dynamic_headers_go_when_their_dimension_goes(tmp_path, signal):
    extra = {"dim_5": "DIM_DYN", "dim_5_header": {"EchoTime": [0.03, 0.05]}, "dim_5_info": "two echoes"}
    write_signal(tmp_path / "a.nii", signal, extra_header=extra)
    assert not [key for key in read_extension(tmp_path / "a.nii") if key.startswith("dim_")]
    oracle(tmp_path / "a.nii")


REQUIRED = {"SpectrometerFrequency": [127.75], "ResonantNucleus": ["1H"]}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"header": {"ResonantNucleus": ["1H"]}}, "header-key"),
        ({"header": {"SpectrometerFrequency": [127.75]}}, "header-key"),
        ({"header": REQUIRED | {"ResonantNucleus": ["31P"]}}, "nucleus"),
        ({"header": REQUIRED | {"SpectrometerFrequency": [127.75e6]}}, "frequency-unit"),
        ({"header": REQUIRED | {"EchoTime": 30}}, "echo-time-unit"),
        ({"header": REQUIRED | {"RepetitionTime": 2000}}, "repetition-time-unit"),
        ({"header": REQUIRED | {"EchoTime": "30 ms"}}, "header-value"),
        ({"header": REQUIRED | {"SpectralWidth": 4000.0}}, "dwell-unit"),
        ({"header": b"{broken"}, "header-json"),
        ({"unit": 0}, "dwell-unit"),
        ({"dwell": 0.0}, "dwell-unit"),
    ],
)
def test_an_impossible_header_is_refused(tmp_path, changes, code):
    path = rewritten(tmp_path / "a.nii", **changes)
    with pytest.raises(HeaderError) as caught:
        read_signal(path)
    assert caught.value.code == code
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"intent": b""}, "not-nifti-mrs"),
        ({"data": np.ones((1, 1, 1, 64), np.float32)}, "not-complex"),
        ({"data": np.full((1, 1, 1, 64), np.nan, np.complex64)}, "not-finite"),
        ({"data": random_samples((2, 1, 1, 64))}, "mrsi"),
        ({"data": random_samples((1, 1, 1))}, "wrong-shape"),
        (
            {
                "data": random_samples((1, 1, 1, 64, 2, 2)),
                "header": REQUIRED | {"dim_5": "DIM_MEAS", "dim_6": "DIM_ISIS"},
            },
            "wrong-shape",
        ),
    ],
)
def test_data_that_are_not_one_voxels_fids_are_refused(tmp_path, changes, code):
    path = rewritten(tmp_path / "a.nii", **changes)
    with pytest.raises(FileError) as caught:
        read_signal(path)
    assert caught.value.code == code
    assert str(path) in str(caught.value)


def test_the_cure_for_an_echo_time_in_ms_is_its_value_in_s(tmp_path):
    path = rewritten(tmp_path / "a.nii", header=REQUIRED | {"EchoTime": 35})
    with pytest.raises(HeaderError, match=r"divide it by 1000: 0\.035"):
        read_signal(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_file_cut_anywhere_is_called_truncated(tmp_path, signal, name):
    write_signal(tmp_path / name, signal)
    content = (tmp_path / name).read_bytes()
    for length in (0, 5, 300, 545, 700, len(content) // 2, len(content) - 1):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(FileError) as caught:
            read_signal(tmp_path / name)
        assert caught.value.code == "truncated", length


def test_a_damaged_byte_in_a_compressed_file_is_noticed(tmp_path, signal):
    write_signal(tmp_path / "a.nii.gz", signal)
    content = bytearray((tmp_path / "a.nii.gz").read_bytes())
    content[-5] ^= 0xFF  # in the checksum
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(FileError, match="damaged"):
        read_signal(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(("content", "code"), [(b"not an image at all" * 100, "not-nifti"), (None, "missing")])
def test_what_is_not_nifti_is_refused(tmp_path, content, code):
    if content is not None:
        (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(FileError) as caught:
        read_signal(tmp_path / "a.nii")
    assert caught.value.code == code


def test_a_compressed_file_of_nonsense_is_refused(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"x" * 1000))
    with pytest.raises(FileError) as caught:
        read_signal(tmp_path / "a.nii.gz")
    assert caught.value.code == "not-nifti"


def test_a_signal_of_more_dimensions_than_the_format_has_is_refused(tmp_path):
    signal = Signal(random_samples((2, 2, 2, 2, 64)), ("coil", "transient", "cycle", "edit", "time"), AXIS)
    with pytest.raises(FileError, match="three dimensions"):
        write_signal(tmp_path / "a.nii", signal)
    assert not (tmp_path / "a.nii").exists()
