"""Images: what is written comes back, and what is not one placed image is refused."""

import nibabel as nib
import numpy as np
import pytest

from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.volume import Volume
from mrspipe.io.volumes import read_volume, write_volume

# A rotated, sheared position: sform holds it exactly, which a quaternion could not.
AFFINE = np.array([[1.0, 0.25, 0, -90], [0, 2.0, 0.5, -126], [-0.25, 0, 3.0, -72], [0, 0, 0, 1]])


@pytest.fixture
def volume():
    return Volume(np.arange(24.0).reshape(2, 3, 4), AFFINE)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int16])
def test_what_is_written_is_read_back(tmp_path, volume, name, dtype):
    write_volume(tmp_path / name, volume, dtype=dtype)
    again = read_volume(tmp_path / name)
    assert np.array_equal(again.data, volume.data)
    assert np.array_equal(again.affine, AFFINE)
    assert nib.load(tmp_path / name).get_data_dtype() == np.dtype(dtype)


def test_the_same_volume_gives_the_same_bytes_readable_by_all(tmp_path, volume):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, volume)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert (tmp_path / "a.nii.gz").stat().st_mode & 0o777 == 0o644


def test_the_scale_factor_of_the_header_is_applied(tmp_path):
    image = nib.Nifti1Image(np.ones((2, 2, 2), np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, tmp_path / "a.nii")
    stored = float(np.asarray(nib.load(tmp_path / "a.nii").dataobj)[0, 0, 0])
    assert read_volume(tmp_path / "a.nii").data[0, 0, 0] == stored


def test_a_fourth_dimension_of_one_is_dropped(tmp_path):
    nib.save(nib.Nifti1Image(np.ones((2, 3, 4, 1), np.float32), np.eye(4)), tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii").data.shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (np.ones((2, 3, 4, 5), np.float32), "wrong-shape"),
        (np.ones((2, 3), np.float32), "wrong-shape"),
        (np.ones((2, 3, 4), np.complex64), "not-real"),
        (np.full((2, 3, 4), np.nan, np.float32), "not-finite"),
    ],
)
def test_what_is_not_one_real_image_is_refused(tmp_path, data, code):
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(FileError) as caught:
        read_volume(tmp_path / "a.nii")
    assert caught.value.code == code
    assert "a.nii" in str(caught.value)


def test_an_image_without_a_position_is_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.float32), None), tmp_path / "a.nii")
    with pytest.raises(HeaderError) as caught:
        read_volume(tmp_path / "a.nii")
    assert caught.value.code == "no-position"


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_an_image_cut_short_is_called_truncated(tmp_path, volume, name):
    write_volume(tmp_path / name, volume)
    content = (tmp_path / name).read_bytes()
    for length in (100, len(content) // 2, len(content) - 1):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(FileError) as caught:
            read_volume(tmp_path / name)
        assert caught.value.code == "truncated"


@pytest.mark.parametrize("values", [np.full((2, 2, 2), 300.0), np.full((2, 2, 2), -1.0)])
def test_values_that_do_not_fit_the_type_are_refused(tmp_path, values):
    with pytest.raises(ValueError, match="do not fit"):
        write_volume(tmp_path / "a.nii", Volume(values, np.eye(4)), dtype=np.uint8)
    assert not (tmp_path / "a.nii").exists()


def test_another_file_ending_is_refused(tmp_path, volume):
    with pytest.raises(ValueError, match=r"\.nii"):
        write_volume(tmp_path / "a.img", volume)


def test_an_image_of_freesurfer_is_read_with_its_position(tmp_path):
    affine = np.array([[-1.0, 0, 0, 12], [0, 0, 1, -7], [0, -1, 0, 5], [0, 0, 0, 1]])
    labels = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    nib.save(nib.MGHImage(labels, affine), tmp_path / "aseg.mgz")
    found = read_volume(tmp_path / "aseg.mgz")
    np.testing.assert_array_equal(found.data, labels)
    np.testing.assert_allclose(found.affine, affine, atol=1e-6)


def test_an_image_of_freesurfer_that_is_cut_short_is_refused(tmp_path):
    nib.save(nib.MGHImage(np.ones((20, 20, 20), dtype=np.int32), np.eye(4)), tmp_path / "aseg.mgh")
    content = (tmp_path / "aseg.mgh").read_bytes()
    (tmp_path / "aseg.mgh").write_bytes(content[:2000])
    with pytest.raises(FileError) as refused:
        read_volume(tmp_path / "aseg.mgh")
    assert refused.value.code == "truncated"


def test_an_image_of_freesurfer_without_a_position_is_refused(tmp_path):
    image = nib.MGHImage(np.ones((2, 2, 2), dtype=np.int32), np.eye(4))
    content = bytearray(image.to_bytes())
    # The header: seven numbers of four bytes, then goodRASFlag of two.
    assert content[28:30] == b"\0\1"
    content[28:30] = b"\0\0"
    (tmp_path / "aseg.mgh").write_bytes(content)
    with pytest.raises(HeaderError) as refused:
        read_volume(tmp_path / "aseg.mgh")
    assert refused.value.code == "no-position"
