"""Which files of other programs are found as tissue maps, and what is refused."""

import pytest

from mrspipe.core.errors import ConfigError, FileError, PairingError
from mrspipe.core.signal import ScanKey
from mrspipe.io.tissue_maps import TISSUES, find_tissue_source

KEY = ScanKey(sub="01")


def touch(root, *names):
    for name in names:
        path = root / "derivatives" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(root, key=KEY, **derivatives):
    source = find_tissue_source(root, derivatives, ["01", "011"])
    maps, note = source.maps_of(key)
    return {tissue: path.relative_to(root / "derivatives").as_posix() for tissue, path in maps.items()}, note


SETS = {
    "fMRIPrep": ("fmriprep/sub-01/anat/sub-01_label-{}_probseg.nii.gz", ("GM", "WM", "CSF")),
    "fMRIPrep with sessions": ("fmriprep/sub-01/ses-1/anat/sub-01_ses-1_label-{}_probseg.nii.gz", ("GM", "WM", "CSF")),
    "SPM": ("spm/sub-01/anat/c{}sub-01_T1w.nii", (1, 2, 3)),
    "SPM, names without subject": ("spm/sub-01/c{}T1.nii", (1, 2, 3)),
    "FAST": ("fast/sub-01/anat/sub-01_T1w_pve_{}.nii.gz", (1, 2, 0)),
    "FAST, flat": ("fast/sub-01_T1w_fast_pve_{}.nii.gz", (1, 2, 0)),
    "fsl_anat": ("fsl/sub-01.anat/T1_fast_pve_{}.nii.gz", (1, 2, 0)),
    "fsl_anat in the subject's folder": ("fsl/sub-01/anat/sub-01_T1w.anat/T1_fast_pve_{}.nii.gz", (1, 2, 0)),
}


@pytest.mark.parametrize("name", SETS)
def test_the_maps_of_a_program_are_found_by_tissue(tmp_path, name):
    pattern, parts = SETS[name]
    expected = {tissue: pattern.format(part) for tissue, part in zip(TISSUES, parts, strict=True)}
    touch(tmp_path, *expected.values())
    session = "1" if "sessions" in name else None
    assert found(tmp_path, ScanKey(sub="01", ses=session)) == (expected, "")


@pytest.mark.parametrize(
    "name",
    [
        "freesurfer/sub-01/mri/aseg.mgz",
        "freesurfer/sub-01_ses-1/mri/aseg.mgz",
        "fmriprep/sub-01/anat/sub-01_desc-aseg_dseg.nii.gz",
        "synthseg/sub-01_T1w_synthseg.nii.gz",
    ],
)
def test_a_label_image_is_the_path_of_all_tissues(tmp_path, name):
    touch(tmp_path, name)
    maps, note = found(tmp_path, ScanKey(sub="01", ses="1"))
    assert maps == dict.fromkeys(TISSUES, name)
    assert note == ""


def test_maps_of_another_subject_or_space_are_not_taken(tmp_path):
    touch(tmp_path, "freesurfer/sub-011/mri/aseg.mgz", "spm/sub-01/c1sub-01_space-MNI_T1w.nii")
    assert found(tmp_path) == ({}, "no tissue maps of this subject in freesurfer")


def test_warped_maps_of_spm_are_not_taken(tmp_path):
    touch(tmp_path, *(f"spm/sub-01/{prefix}c{n}sub-01_T1w.nii" for prefix in ("w", "mw", "r") for n in (1, 2, 3)))
    assert find_tissue_source(tmp_path, {}, ["01"]) is None


def test_maps_of_fmriprep_go_before_its_labels_and_those_of_freesurfer(tmp_path):
    maps = {tissue: f"fmriprep/sub-01/anat/sub-01_label-{tissue}_probseg.nii.gz" for tissue in TISSUES}
    labels = "fmriprep/sub-01/anat/sub-01_desc-aseg_dseg.nii.gz", "freesurfer/sub-01/mri/aseg.mgz"
    touch(tmp_path, *maps.values(), *labels)
    assert found(tmp_path) == (maps, "")
    only = found(tmp_path, freesurfer=tmp_path / "derivatives" / "freesurfer")[0]
    assert only["GM"] == "freesurfer/sub-01/mri/aseg.mgz"


def test_two_folders_with_labels_are_refused_until_one_is_named(tmp_path):
    touch(tmp_path, "freesurfer/sub-01/mri/aseg.mgz", "synthseg/sub-01_T1w_synthseg.nii.gz")
    with pytest.raises(ConfigError, match=r"-d freesurfer=.* or -d synthseg="):
        found(tmp_path)


def test_maps_of_two_programs_in_one_folder_are_refused(tmp_path):
    touch(tmp_path, *(f"seg/sub-01/c{n}sub-01_T1w.nii" for n in (1, 2, 3)))
    touch(tmp_path, *(f"seg/sub-01/sub-01_T1w_pve_{n}.nii.gz" for n in (0, 1, 2)))
    with pytest.raises(PairingError, match="FAST and SPM fit") as refused:
        found(tmp_path)
    assert refused.value.code == "tissue-choice"


def test_two_label_images_are_refused(tmp_path):
    touch(tmp_path, "seg/sub-01/mri/aseg.mgz", "seg/sub-01/mri/sub-01_synthseg.mgz")
    with pytest.raises(PairingError, match="Two label images fit"):
        found(tmp_path)


def test_a_longitudinal_run_of_freesurfer_beside_the_plain_one_is_refused_with_both_places(tmp_path):
    places = "sub-01_ses-1/mri/aseg.mgz", "sub-01_ses-1.long.sub-01/mri/aseg.mgz"
    touch(tmp_path, *(f"freesurfer/{place}" for place in places))
    with pytest.raises(PairingError) as refused:
        found(tmp_path, ScanKey(sub="01", ses="1"))
    assert all(place in str(refused.value) for place in places)


def test_an_incomplete_set_is_named_and_not_completed_from_labels(tmp_path):
    touch(tmp_path, "seg/sub-01/c1sub-01_T1w.nii", "seg/sub-01/c2sub-01_T1w.nii", "seg/sub-01/mri/aseg.mgz")
    assert found(tmp_path) == ({}, "no tissue maps of CSF in seg")


def test_a_named_folder_must_be_there(tmp_path):
    with pytest.raises(FileError, match="seg="):
        find_tissue_source(tmp_path, {"seg": tmp_path / "nowhere"}, ["01"])
