from types import SimpleNamespace

import numpy as np
import pytest
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth
from ssd_depth_core.gdt.patches import (
    align,
    blend_weights,
    estimate_in_patches,
    fuse_aligned,
    InPatches,
    Tile,
    tiles_of,
)

TILINGS = ('p16', 'p49')
# A multiple of 8, odd, and as small as may be cut.
SIZES = ((64, 96), (67, 101), (32, 33))
K = np.array(((60.0, 0.0, 40.0), (0.0, 60.0, 30.0), (0.0, 0.0, 1.0)))


def field(size):
    """Inverse depth of a road, a wall beside it and a bump; smooth but for the wall's edge."""
    rows, columns = np.mgrid[: size[0], : size[1]] / np.array(size).reshape(2, 1, 1)
    bump = np.exp(-((rows - 0.4) ** 2 + (columns - 0.6) ** 2) * 30)
    return (0.1 + rows + 0.5 * bump + 0.6 * (columns < 0.31)).astype(np.float32)


def cut(inverse_depth, tiling, scales=None, shifts=None):
    """Patches, each with a scale and a shift of its own where such are given."""
    tiles = tiles_of(inverse_depth.shape, tiling)
    scales = np.ones(len(tiles)) if scales is None else scales
    shifts = np.zeros(len(tiles)) if shifts is None else shifts
    return [
        (scale * inverse_depth[tile.slices] + shift).astype(np.float32)
        for tile, scale, shift in zip(tiles, scales, shifts, strict=True)
    ]


def drawn(tiling, seed=0):
    rng = np.random.default_rng(seed)
    count = {'p16': 16, 'p49': 49}[tiling]
    return rng.uniform(0.2, 5.0, count), rng.uniform(-3.0, 3.0, count)


def fuse(coarse, patches, tiling):
    return fuse_aligned(np.zeros((*coarse.shape, 3), np.uint8), coarse, patches, tiling)


def weight_map(size, tiling):
    total = np.zeros(size)
    rows, columns = (blend_weights(side, tiling) for side in size)
    weights = (np.outer(row, column) for row in rows for column in columns)
    for tile, weight in zip(tiles_of(size, tiling), weights, strict=True):
        total[tile.slices] += weight
    return total


def test_p16_is_a_grid_of_quarters():
    tiles = tiles_of((64, 96), 'p16')
    assert tiles == [
        Tile(top, left, 16, 24) for top in range(0, 64, 16) for left in (0, 24, 48, 72)
    ]


def test_p49_adds_33_quarters_shifted_by_half():
    tiles = set(tiles_of((64, 96), 'p49'))
    assert len(tiles) == 49
    shifted = tiles - set(tiles_of((64, 96), 'p16'))
    across = {tile for tile in shifted if tile.top % 16 == 0}
    down = {tile for tile in shifted if tile.left % 24 == 0}
    assert across == {Tile(16 * i, 12 + 24 * j, 16, 24) for i in range(4) for j in range(3)}
    assert down == {Tile(8 + 16 * i, 24 * j, 16, 24) for i in range(3) for j in range(4)}
    assert shifted - across - down == {
        Tile(8 + 16 * i, 12 + 24 * j, 16, 24) for i in range(3) for j in range(3)
    }


@pytest.mark.parametrize('tiling', TILINGS)
@pytest.mark.parametrize('size', SIZES)
def test_patches_of_one_size_cover_the_picture_and_stay_in_it(size, tiling):
    covered = np.zeros(size, bool)
    tiles = tiles_of(size, tiling)
    assert len({(tile.height, tile.width) for tile in tiles}) == 1
    for tile in tiles:
        assert covered[tile.slices].shape == (tile.height, tile.width)
        covered[tile.slices] = True
    assert covered.all()


def test_a_picture_too_small_to_cut_is_refused():
    with pytest.raises(ValueError, match='at least 32x32 pixels, got 31x64; set depth.tiling'):
        tiles_of((31, 64), 'p16')


@pytest.mark.parametrize('size', [(64, 96), (128, 40)])
def test_weights_of_shifted_patches_sum_to_one(size):
    np.testing.assert_allclose(weight_map(size, 'p49'), 1, atol=1e-12)


@pytest.mark.parametrize('tiling', TILINGS)
@pytest.mark.parametrize('size', SIZES)
def test_weights_never_sum_to_more_than_one(size, tiling):
    total = weight_map(size, tiling)
    assert total.min() > 0
    assert total.max() <= 1 + 1e-12


def test_patches_side_by_side_leave_only_their_borders_to_the_coarse_map():
    weights = blend_weights(128, 'p16')
    assert weights.shape == (4, 32)
    np.testing.assert_allclose(weights[0, :28], 1)  # the picture's own border is no border
    np.testing.assert_allclose(weights[0, 28:], np.cos(np.pi * np.arange(0.5, 4) / 8) ** 2)
    np.testing.assert_allclose(weights[1], weights[1, ::-1])
    np.testing.assert_allclose(weights[3], weights[0, ::-1])


@pytest.mark.parametrize('tiling', TILINGS)
@pytest.mark.parametrize('size', SIZES)
def test_scales_and_shifts_of_patches_are_undone(size, tiling):
    truth = field(size)
    fused = fuse(truth, cut(truth, tiling, *drawn(tiling)), tiling)
    assert fused.dtype == np.float32
    np.testing.assert_allclose(fused, truth, atol=1e-4)


@pytest.mark.parametrize('tiling', TILINGS)
def test_detail_comes_from_the_patches(tiling):
    truth = field((128, 192))
    stripes = 0.05 * np.sin(np.arange(192) * np.pi / 2).astype(np.float32)
    patches = cut(truth + stripes, tiling, *drawn(tiling))
    fused = fuse(truth, patches, tiling)
    error = np.abs(fused - truth - stripes)
    weight = weight_map(truth.shape, tiling)
    assert error[weight > 1 - 1e-9].max() < 0.01  # of stripes of 0.05
    assert np.abs(fused - truth - weight * stripes).max() < 0.01


@pytest.mark.parametrize('tiling', TILINGS)
@pytest.mark.parametrize('size', SIZES)
def test_patches_that_add_nothing_give_the_coarse_map(size, tiling):
    truth = field(size)
    np.testing.assert_allclose(fuse(truth, cut(truth, tiling), tiling), truth, atol=1e-6)


@pytest.mark.parametrize('tiling', TILINGS)
def test_there_are_no_seams(tiling):
    """Patches that disagree with the coarse map, each in its own way, join without a step."""
    size = (128, 192)
    rows = np.mgrid[: size[0], : size[1]][0] / size[0]
    coarse = (0.1 + rows).astype(np.float32)
    scales, shifts = drawn(tiling)
    patches = cut(coarse, tiling, scales, shifts)
    rng = np.random.default_rng(1)
    patches = [
        p + s * rng.uniform(-0.1, 0.1) * np.linspace(-1, 1, p.shape[1], dtype=np.float32)
        for p, s in zip(patches, scales, strict=True)
    ]
    fused = fuse(coarse, patches, tiling)
    steps = np.abs(np.diff(fused, axis=1))
    borders = np.zeros(steps.shape[1], bool)
    patch_width = size[1] // 4
    for left in {tile.left for tile in tiles_of(size, tiling)} - {0}:
        borders[left - 1] = True
    assert np.abs(fused - coarse).max() > 0.03  # they do disagree
    assert steps[:, borders].max() <= 1.01 * steps[:, ~borders].max()
    # Hard borders would be steps of up to twice 0.1; ramps spread them over their length.
    ramp = patch_width / (8 if tiling == 'p16' else 2)
    assert steps.max() < 0.1 * np.pi / 2 / ramp + 0.2 / patch_width + 1e-3


def test_a_few_cells_that_are_wrong_do_not_turn_the_fit():
    coarse = field((32, 48))
    patch = 3 * coarse - 1
    patch[4:8, 10:30] += 20  # 5 % of the patch
    aligned = align(patch, coarse)
    good = np.ones(coarse.shape, bool)
    good[4:8, 10:30] = False
    np.testing.assert_allclose(aligned[good], coarse[good], atol=1e-5)


@pytest.mark.parametrize('level', [0.0, 7.0])
def test_a_flat_patch_is_not_aligned(level):
    assert align(np.full((16, 24), level, np.float32), field((16, 24))) is None
    assert align(field((16, 24)), np.full((16, 24), level, np.float32)) is None


def test_a_patch_flat_but_for_rounding_is_not_aligned():
    sky = np.float32(7) + 4e-7 * np.random.default_rng(0).standard_normal((16, 24))
    assert align(sky.astype(np.float32), field((16, 24))) is None


def test_what_a_nearly_flat_patch_shows_beside_is_not_blown_up():
    """A sign before a sky of faint ripples, of which the coarse map saw other ones, larger."""
    ripples = np.linspace(-1, 1, 32 * 48).reshape(32, 48)
    patch, coarse = 1e-4 * ripples, 1e-2 * ripples
    patch[:16, :8] += 1
    assert align(patch, coarse) is None


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_a_patch_that_is_not_finite_leaves_the_coarse_map(value):
    coarse = field((64, 96))
    patches = cut(coarse, 'p16', *drawn('p16'))
    patches[5][3, 4] = value
    tile = tiles_of((64, 96), 'p16')[5]
    assert align(patches[5], coarse[tile.slices]) is None
    assert align(coarse[tile.slices], patches[5]) is None
    fused = fuse_aligned(np.zeros((64, 96, 3), np.uint8), coarse, patches, 'p16')
    np.testing.assert_allclose(fused, coarse, atol=1e-4)


def test_a_patch_with_near_and_far_swapped_is_not_aligned():
    assert align(2 - field((16, 24)), field((16, 24))) is None


def test_a_patch_of_noise_is_not_aligned():
    noise = np.random.default_rng(0).standard_normal((16, 24))
    assert align(noise, field((16, 24))) is None


@pytest.mark.parametrize('tiling', TILINGS)
def test_the_coarse_map_stays_under_patches_that_cannot_be_aligned(tiling):
    truth = field((64, 96))
    scales, shifts = drawn(tiling)
    patches = cut(truth, tiling, scales, shifts)
    patches[0] = np.full_like(patches[0], 3)
    patches[5] = -patches[5]
    np.testing.assert_allclose(fuse(truth, patches, tiling), truth, atol=1e-4)


def test_no_inverse_depth_is_below_zero():
    coarse = field((64, 96)) - 0.1
    stripes = 0.3 * np.sin(np.arange(96) * np.pi / 2).astype(np.float32)
    fused = fuse(coarse, cut(coarse + stripes, 'p49'), 'p49')
    assert fused.min() == 0


class Network:
    """Answers with the picture's brightness, patches with a scale and a shift; notes its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, pictures, K):
        self.calls.append((pictures, K))
        scale, shift = (1, 0) if len(self.calls) == 1 else (40, 5)
        return [
            EstimatedDepth(
                scale * picture[..., 0].astype(np.float32) + shift, metric=len(self.calls) == 1
            )
            for picture in pictures
        ]


def test_a_network_is_asked_for_the_pictures_and_then_for_the_patches_of_each():
    network = Network()
    levels = np.rint(200 * field((64, 96)) / 2.4).astype(np.uint8)
    pictures = [np.repeat(x[..., None], 3, axis=2) for x in (levels, levels[:, ::-1])]
    estimates = estimate_in_patches(network, pictures, [K, K], 'p16')
    assert [len(asked) for asked, _ in network.calls] == [2, 16, 16]
    np.testing.assert_array_equal(network.calls[2][0][6], pictures[1][16:32, 48:72])
    # A point of the patch is seen along the same ray as in the picture.
    np.testing.assert_allclose(network.calls[2][1][6], K - ((0, 0, 48), (0, 0, 16), (0, 0, 0)))
    for picture, estimate in zip(pictures, estimates, strict=True):
        assert estimate.metric
        np.testing.assert_allclose(estimate.inverse_depth, picture[..., 0], atol=1e-3)


def test_another_fusion_takes_the_place_of_the_fit():
    seen = []

    def fusion(picture, coarse, patches, tiling):
        seen.append((picture, len(patches), tiling))
        return coarse + 1

    picture = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    (estimate,) = estimate_in_patches(Network(), [picture], [K], 'p49', fusion)
    assert seen[0][0] is picture
    assert seen[0][1:] == (49, 'p49')
    np.testing.assert_array_equal(estimate.inverse_depth, picture[..., 0] + np.float32(1))


def test_an_estimator_in_patches_is_an_estimator_of_the_same_models():
    network = Network()
    estimator = InPatches(SimpleNamespace(models={'depth': 'a'}, estimate=network), 'p16')
    picture = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    (estimate,) = estimator.estimate([picture], [K])
    assert estimator.models == {'depth': 'a'}
    assert [len(asked) for asked, _ in network.calls] == [1, 16]
    assert estimate.inverse_depth.shape == (64, 64)
