import numpy as np
import pytest

from mrspipe.core.errors import AnalysisError
from mrspipe.core.volume import Volume
from mrspipe.physics.segmentation import tissue_labels
from mrspipe.tissue.labels import maps_from_labels
from mrspipe.tissue.voxel import voxel_fractions

AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])


def test_a_label_image_gives_the_fractions_of_its_labels():
    # A row of 20 voxels: 8 accumbens (26), 6 white matter (2), 4 cortex of the right (2012), 2 ventricle (43).
    labels = np.repeat([26, 2, 2012, 43], [8, 6, 4, 2])[:, None, None] * np.ones((20, 3, 3))
    voxel = np.diag([20.0, 3.0, 3.0, 1.0])
    voxel[:3, 3] = (9.5, 1.0, 1.0)
    found = voxel_fractions(voxel, maps_from_labels(Volume(labels, AFFINE)), source="aseg")
    assert (found.gm, found.wm, found.csf) == pytest.approx((0.6, 0.3, 0.1))
    assert found.sd == (0, 0, 0)


def test_a_voxel_with_much_that_has_no_label_is_refused():
    labels = np.repeat([3, 0], [8, 2])[:, None, None] * np.ones((10, 3, 3))
    voxel = np.diag([10.0, 3.0, 3.0, 1.0])
    voxel[:3, 3] = (4.5, 1.0, 1.0)
    with pytest.raises(AnalysisError, match="only 80") as refused:
        voxel_fractions(voxel, maps_from_labels(Volume(labels, AFFINE)))
    assert refused.value.code == "tissue-cover"


@pytest.mark.parametrize(("value", "reason"), [(2.5, "whole numbers"), (999.0, "No label")])
def test_what_is_no_label_image_is_refused(value, reason):
    with pytest.raises(AnalysisError, match=reason) as refused:
        maps_from_labels(Volume(np.full((3, 3, 3), value), AFFINE))
    assert refused.value.code == "tissue-labels"


def test_both_hemispheres_have_the_same_tissue():
    # FreeSurfer's numbers of the left and right hemisphere.
    left = (2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 17, 18, 26, 28, 31)
    right = (41, 42, 43, 44, 46, 47, 48, 49, 50, 51, 52, 53, 54, 58, 60, 63)
    known = tissue_labels()
    assert [known[n] for n in left] == [known[n] for n in right]
    assert [known[n] for n in range(1000, 1036)] == [known[n] for n in range(2000, 2036)]
