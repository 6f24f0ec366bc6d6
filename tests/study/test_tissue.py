"""Tissue maps under the names of several programs lead to the same fractions."""

import shutil

import nibabel as nib
import numpy as np
import pytest

from mrspipe.io.bids import find_scans, read_scan
from mrspipe.io.tables import read_table
from mrspipe.io.volumes import read_volume
from mrspipe.pipeline.scan import with_tissue

# Where a map of GM, WM, CSF is put for a program.
NAMES = {
    "spm": "sub-01/anat/c{}sub-01_T1w.nii.gz",
    "fast": "sub-01/anat/sub-01_T1w_pve_{}.nii.gz",
}
PARTS = {"spm": {"GM": 1, "WM": 2, "CSF": 3}, "fast": {"GM": 1, "WM": 2, "CSF": 0}}


def first_scan(study, **derivatives):
    return find_scans(study, derivatives=derivatives).scans[0]


@pytest.mark.parametrize("program", NAMES)
def test_the_same_maps_give_the_same_fractions_whatever_their_names(study, program):
    files = first_scan(study)
    for tissue, part in PARTS[program].items():
        target = study / "derivatives" / program / NAMES[program].format(part)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(files.tissue_maps[tissue], target)
    renamed = first_scan(study, **{program: study / "derivatives" / program})
    scan = read_scan(files)
    expected, found = (with_tissue(scan, one).tissue for one in (files, renamed))
    assert (found.gm, found.wm, found.csf, found.sd) == (expected.gm, expected.wm, expected.csf, expected.sd)
    assert min(found.sd[:2]) > 0


def test_the_labels_of_freesurfer_give_the_fractions_of_their_tissues(study):
    files = first_scan(study)
    maps = [read_volume(files.tissue_maps[tissue]) for tissue in ("GM", "WM", "CSF")]
    rng = np.random.default_rng(8)
    # Each image voxel is drawn from its probabilities; 3, 2 and 24 are cortex, white matter and CSF.
    shares = np.cumsum([one.data for one in maps], axis=0)
    tissue = (rng.uniform(size=shares.shape[1:]) * np.maximum(shares[-1], 1e-9) > shares).sum(axis=0)
    labels = np.where(shares[-1] > 0.5, np.array([3, 2, 24, 24])[tissue], 0).astype(np.int32)
    target = study / "derivatives" / "freesurfer" / "sub-01" / "mri" / "aseg.mgz"
    target.parent.mkdir(parents=True)
    nib.save(nib.MGHImage(labels, maps[0].affine), target)
    scan = read_scan(files)
    expected = with_tissue(scan, files).tissue
    found = with_tissue(scan, first_scan(study, freesurfer=target.parents[2])).tissue
    assert found.source == "aseg.mgz"
    assert found.sd == (0, 0, 0)
    # The SD of the maps' fractions is for draws of 1 mm3, here they are of an image voxel; four of them.
    size_mm3 = abs(np.linalg.det(maps[0].affine[:3, :3]))
    for name, sd in zip(("gm", "wm", "csf"), expected.sd, strict=True):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=4 * sd * np.sqrt(size_mm3) + 1e-6)


def test_the_error_of_a_measurement_has_an_own_and_a_shared_part(analysed):
    table = read_table(analysed / "group" / "measurements.tsv")
    values = table[table["value"].notna()]
    np.testing.assert_allclose(np.hypot(values["se_own"], values["se_shared"]), values["se_total"], rtol=1e-8)
    assert (values.loc[values["quantity"] == "ratio_tcr", "se_shared"] == 0).all()
    assert (values.loc[(values["quantity"] == "molar") & (values["value"] > 0), "se_shared"] > 0).all()


def test_the_budget_of_every_value_is_in_a_table_beside_the_concentrations(analysed):
    table = read_table(analysed / "sub-01" / "mrs" / "sub-01_desc-budget_mrs.tsv")
    parts = table[[f"se_{name}" for name in ("fit", "water_fit", "tissue")]]
    shared = table[[f"se_{name}" for name in ("water_relaxation", "metabolite_relaxation", "water_content")]]
    np.testing.assert_allclose((parts**2).sum(axis=1, skipna=False), table["se_own"] ** 2, rtol=1e-8)
    np.testing.assert_allclose((shared**2).sum(axis=1, skipna=False), table["se_shared"] ** 2, rtol=1e-8)
