import numpy as np
import pytest

from mrspipe.core.errors import AnalysisError
from mrspipe.core.volume import Volume
from mrspipe.tissue.voxel import voxel_fractions, voxel_mask


def image(shape=(40, 40, 40), size_mm=1.0, origin=(-20.0, -20.0, -20.0), value=0.0):
    affine = np.diag([size_mm, size_mm, size_mm, 1.0])
    affine[:3, 3] = origin
    return Volume(np.full(shape, value), affine)


def voxel(sides_mm, centre_mm=(0.0, 0.0, 0.0), rotation=None):
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if rotation is None else rotation) @ np.diag(sides_mm)
    affine[:3, 3] = centre_mm
    return affine


def rotation(seed):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    return q * np.linalg.det(q)


def volume_mm3(mask):
    return mask.data.sum() * abs(np.linalg.det(mask.affine[:3, :3]))


def test_a_box_on_voxel_borders_is_exactly_its_voxels():
    # Image voxels are centred on whole millimetres, so borders are at halves.
    mask = voxel_mask(voxel((10, 12, 8), (0.5, 0.5, 0.5)), image())
    assert set(np.unique(mask.data)) == {0.0, 1.0}
    assert mask.data.sum() == 10 * 12 * 8


def test_a_box_that_ends_within_a_voxel_covers_it_by_thirds():
    # Ends a third of a voxel beyond the border, on one side.
    mask = voxel_mask(voxel((10 + 1 / 3, 10, 10), (0.5 + 1 / 6, 0.5, 0.5)), image())
    assert volume_mm3(mask) == pytest.approx((10 + 1 / 3) * 100)
    assert sorted({round(v, 6) for v in mask.data.ravel()}) == [0.0, 0.333333, 1.0]


@pytest.mark.parametrize("seed", range(5))
def test_a_rotated_box_keeps_its_volume(seed):
    affine = voxel((18.8, 9.4, 12.4), (1.3, -2.2, 0.7), rotation(seed))
    assert volume_mm3(voxel_mask(affine, image())) == pytest.approx(18.8 * 9.4 * 12.4, rel=0.005)


def test_the_centre_of_mass_is_the_centre_of_the_voxel():
    centre = np.array([3.2, -1.7, 4.4])
    mask = voxel_mask(voxel((14, 10, 12), centre, rotation(7)), image(size_mm=1.2, origin=(-24, -24, -24)))
    indices = np.stack(np.nonzero(mask.data))
    weights = mask.data[tuple(indices)]
    mass = mask.affine[:3, :3] @ (indices * weights).sum(axis=1) / weights.sum() + mask.affine[:3, 3]
    np.testing.assert_allclose(mass, centre, atol=0.05)


def test_a_voxel_far_away_gives_an_empty_mask():
    assert not voxel_mask(voxel((10, 10, 10), (200, 0, 0)), image()).data.any()


def test_a_voxel_half_in_grey_and_half_in_white_matter_is_half_of_each():
    grey = image().data.copy()
    grey[:20] = 1.0
    maps = {
        "GM": Volume(grey, image().affine),
        "WM": Volume(1.0 - grey, image().affine),
        "CSF": image(),
    }
    # Index 19.5 is the border: x = -0.5 mm.
    found = voxel_fractions(voxel((10, 10, 10), (-0.5, 0, 0)), maps, source="phantom")
    assert found.gm == pytest.approx(0.5, abs=0.01)
    assert found.wm == pytest.approx(0.5, abs=0.01)
    assert found.csf == 0
    assert found.source == "phantom"


def test_maps_that_sum_to_less_than_one_are_renormalised():
    maps = {"GM": image(value=0.57), "WM": image(value=0.285), "CSF": image(value=0.095)}
    found = voxel_fractions(voxel((10, 10, 10)), maps)
    assert (found.gm, found.wm, found.csf) == pytest.approx((0.6, 0.3, 0.1))


def test_a_voxel_without_tissue_is_refused():
    maps = {"GM": image(value=0.5), "WM": image(value=0.2), "CSF": image(value=0.1)}
    with pytest.raises(AnalysisError, match=r"80\.0 %") as caught:
        voxel_fractions(voxel((10, 10, 10)), maps)
    assert caught.value.code == "tissue-cover"


def test_a_voxel_that_sticks_out_of_the_image_is_refused_with_the_part_covered():
    maps = {name: image(value=1 / 3) for name in ("GM", "WM", "CSF")}
    # The image ends at x = 19.5 mm: half of the voxel is inside.
    with pytest.raises(AnalysisError, match=r"50\.0 %") as caught:
        voxel_fractions(voxel((10, 10, 10), (19.5, 0, 0)), maps)
    assert caught.value.code == "voxel-outside"


def test_maps_on_different_grids_are_refused():
    maps = {"GM": image(), "WM": image(), "CSF": image(origin=(-19.0, -20.0, -20.0))}
    with pytest.raises(AnalysisError, match="one grid"):
        voxel_fractions(voxel((10, 10, 10)), maps)


def test_a_missing_map_is_named():
    with pytest.raises(AnalysisError, match="CSF"):
        voxel_fractions(voxel((10, 10, 10)), {"GM": image(), "WM": image()})


def test_maps_in_percent_are_refused():
    maps = {"GM": image(value=60.0), "WM": image(value=40.0), "CSF": image()}
    with pytest.raises(AnalysisError, match="from 0 to 1"):
        voxel_fractions(voxel((10, 10, 10)), maps)


@pytest.mark.parametrize(("shape", "size_mm"), [((40, 40, 40), 1.0), ((20, 20, 20), 2.0)])
def test_the_sd_of_a_fraction_is_that_of_independent_draws_of_each_mm3(shape, size_mm):
    # 960 mm3, grey matter with 0.6, white with 0.3, CSF with 0.1. Borders of the voxel on those of the image.
    grid = {"shape": shape, "size_mm": size_mm, "origin": (-20 + size_mm / 2,) * 3}
    maps = {name: image(value=p, **grid) for name, p in (("GM", 0.6), ("WM", 0.3), ("CSF", 0.1))}
    found = voxel_fractions(voxel((10, 12, 8), (1.0, 0.0, 0.0)), maps)
    assert found.sd == pytest.approx([np.sqrt(p * (1 - p) / 960) for p in (0.6, 0.3, 0.1)])


def test_maps_of_zeros_and_ones_leave_nothing_open():
    grey = image().data.copy()
    grey[:20] = 1.0
    maps = {"GM": Volume(grey, image().affine), "WM": Volume(1.0 - grey, image().affine), "CSF": image()}
    assert voxel_fractions(voxel((10, 10, 10)), maps).sd == (0, 0, 0)


def overlap_of_rotated_square(side, angle, cell):
    """Area of a cell of 1 mm x 1 mm that lies in a square rotated about the origin: exact, by clipping the polygon."""
    cos, sin = np.cos(angle), np.sin(angle)
    polygon = [np.array(cell) + corner for corner in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))]
    # Sutherland and Hodgman: the cell is cut at each of the four sides of the square in turn.
    for normal in np.array([(cos, sin), (-cos, -sin), (-sin, cos), (sin, -cos)]):
        kept = []
        for start, end in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            a, b = side / 2 - normal @ start, side / 2 - normal @ end
            if a >= 0:
                kept.append(start)
            if a * b < 0:
                kept.append(start + (end - start) * a / (a - b))
        polygon = kept
        if not polygon:
            return 0.0
    x, y = np.array(polygon).T
    return 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


@pytest.mark.parametrize("degrees", [7.0, 30.0, 45.0])
def test_each_cell_of_a_rotated_box_is_covered_as_geometry_says(degrees):
    # Rotated about z, with borders in z on those of the image: every slice is a square over a grid, known exactly.
    angle, side, depth = np.deg2rad(degrees), 13.0, 6
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    mask = voxel_mask(voxel((side, side, depth), (0.0, 0.0, 0.5), turn), image())
    slices = np.flatnonzero(mask.data.sum(axis=(0, 1)))
    assert slices.size == depth
    exact = np.array(
        [[overlap_of_rotated_square(side, angle, (x - 20.0, y - 20.0)) for y in range(40)] for x in range(40)]
    )
    for z in slices:
        error = mask.data[:, :, z] - exact
        # Nine points in a cell miss the area beside a straight border by 1/6 at most, which is where the border runs
        # through a row of three; along a border that is parallel to the rows this is uniform from -1/6 to 1/6.
        assert np.abs(error).max() <= 1 / 6
        assert np.sqrt(np.mean(error[(exact > 0) & (exact < 1)] ** 2)) < 1 / (6 * np.sqrt(3))
        assert mask.data[:, :, z].sum() == pytest.approx(side**2, rel=0.01)
    assert exact.sum() == pytest.approx(side**2, rel=1e-9)


def test_the_fractions_in_a_rotated_box_are_those_of_geometry():
    # A plane through the middle of the box, turned with it, halves it; one halfway to its end cuts off a quarter.
    angle, sides = np.deg2rad(25.0), (16.0, 12.0, 10.0)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    x, y = np.meshgrid(np.arange(40) - 20.0, np.arange(40) - 20.0, indexing="ij")
    along = np.cos(angle) * x + np.sin(angle) * y
    # Exact partial volume of a half plane in a cell, by a fine grid of 1600 points.
    fine = (np.arange(40) + 0.5) / 40 - 0.5
    shift = (np.cos(angle) * fine[:, None] + np.sin(angle) * fine).ravel()
    for place, expected in ((0.0, 0.5), (4.0, 0.25)):
        grey = np.mean(along[..., None] + shift > place, axis=-1)[:, :, None] * np.ones(40)
        maps = {"GM": Volume(grey, image().affine), "WM": Volume(1 - grey, image().affine), "CSF": image()}
        assert voxel_fractions(voxel(sides, rotation=turn), maps).gm == pytest.approx(expected, abs=0.003)
