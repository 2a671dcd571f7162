import itertools

import numpy as np
import pytest

cv2 = pytest.importorskip('cv2')

from ssd_depth_core.data.augment import (  # noqa: E402
    AugmentConfig,
    crop_resize,
    flip,
    gaussian_noise,
    photometric,
    random_window,
)

K = np.array(((70.0, 0.0, 47.0), (0.0, 65.0, 30.0), (0.0, 0.0, 1.0)))
SIZE = (64, 96)
STEPS = (
    'tone',
    'curve',
    'colour',
    'grey',
    'blur',
    'resample',
    'vignette',
    'noise',
    'jpeg',
    'occlude',
)


def only(name):
    """A config in which one photometric step always happens and no other ever does."""
    return AugmentConfig(**{p: float(p == name) for p in STEPS})


def picture(seed=0):
    """Smooth, with all levels in it."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def street(K=K, size=SIZE):
    """Per-pixel depth of the slanted plane 0.02 X + 0.1 Y + Z = 10, and X / Z, Y / Z as colour."""
    v, u = np.mgrid[: size[0], : size[1]]
    x, y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
    depth = (10 / (0.02 * x + 0.1 * y + 1)).astype(np.float32)
    colour = np.stack((128 + 100 * x, 128 + 100 * y, np.full(size, 9.0)), -1)
    return np.clip(np.rint(colour), 0, 255).astype(np.uint8), depth


def test_flip_keeps_picture_depth_and_camera_together():
    image, depth, mirrored = flip(*street(), K)
    assert mirrored[0, 2] == SIZE[1] - 1 - K[0, 2]
    back = flip(image, depth, mirrored)
    np.testing.assert_array_equal(back[0], street()[0])
    np.testing.assert_array_equal(back[2], K)
    # A point to the right of the axis is now as far to the left: the column of its pixel agrees.
    u = K[0, 2] + K[0, 0] * 0.3
    u_mirrored = mirrored[0, 2] - mirrored[0, 0] * 0.3
    assert u_mirrored == pytest.approx(SIZE[1] - 1 - u)
    assert depth[20, 10] == street()[1][20, SIZE[1] - 1 - 10]


@pytest.mark.parametrize(
    ('window', 'size'),
    [
        ((0, 0, 64, 96), (64, 96)),
        ((0, 0, 64, 96), (32, 48)),
        ((5, 11, 48, 72), (64, 96)),
        ((8, 3, 50, 90), (64, 96)),
        ((16, 0, 48, 60), (32, 64)),
    ],
)
def test_crop_resize_keeps_picture_depth_and_camera_together(window, size):
    image, depth, cropped = crop_resize(*street(), K, window, size)
    assert depth.shape == size
    inner = (slice(2, -2), slice(2, -2))  # linear interpolation clamps at the border
    expected_image, expected_depth = street(cropped, size)
    assert np.abs(image.astype(int) - expected_image)[inner].max() <= 2
    np.testing.assert_allclose(depth, expected_depth, rtol=3e-3)


def test_crop_resize_keeps_unknown_and_sky():
    depth = np.full(SIZE, 5.0, np.float32)
    depth[:30], depth[40:] = np.inf, np.nan
    _, resized, _ = crop_resize(street()[0], depth, K, (4, 4, 50, 80), SIZE)
    assert set(np.unique(np.nan_to_num(resized, nan=-1, posinf=-2))) == {-2, -1, 5}


def test_windows_stay_inside_and_within_the_zoom():
    rng = np.random.default_rng(0)
    config = AugmentConfig(max_zoom=1.5, max_stretch=1.2)
    windows = np.array([random_window(SIZE, config, rng) for _ in range(300)])
    top, left, height, width = windows.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= SIZE[0]).all()
    assert (left + width <= SIZE[1]).all()
    zoom = np.sqrt(SIZE[0] / height * SIZE[1] / width)
    assert zoom.max() < 1.55
    assert zoom.max() > 1.4
    assert zoom.min() < 1.1
    stretch = (height / SIZE[0]) / (width / SIZE[1])
    assert stretch.min() > 1 / 1.25
    assert stretch.max() < 1.25


def test_no_zoom_is_the_whole_picture():
    config = AugmentConfig(max_zoom=1, max_stretch=1)
    assert random_window(SIZE, config, np.random.default_rng(0)) == (0, 0, *SIZE)


@pytest.mark.parametrize('name', STEPS)
def test_each_photometric_step_changes_the_picture_and_not_its_form(name):
    image = picture()
    before = image.copy()
    changed = photometric(image, only(name), np.random.default_rng(1))
    np.testing.assert_array_equal(image, before)
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert (changed != image).any()
    again = photometric(image, only(name), np.random.default_rng(1))
    np.testing.assert_array_equal(changed, again)


def test_nothing_asked_for_changes_nothing():
    image = picture()
    np.testing.assert_array_equal(photometric(image, only(None), np.random.default_rng(0)), image)


def test_colour_leaves_grey_grey():
    grey = np.repeat(np.arange(0, 250, 10, dtype=np.uint8)[None, :, None], 3, axis=2)
    changed = photometric(grey, only('colour'), np.random.default_rng(3))
    assert np.abs(changed.astype(int) - grey).max() <= 1


def test_noise_is_fair_and_grows_with_the_signal():
    flat = np.repeat(np.array((60, 190), np.uint8)[:, None, None], 3, axis=2)
    flat = np.tile(flat, (1, 4000, 1))
    dark, bright = photometric(flat, only('noise'), np.random.default_rng(2)).astype(float)
    assert dark.mean() == pytest.approx(60, abs=0.5)
    assert bright.mean() == pytest.approx(190, abs=0.5)
    assert bright.std() > 1.1 * dark.std()


def test_config_rejects_what_is_no_probability_or_zoom():
    with pytest.raises(ValueError, match=r'noise must be in \[0, 1\], got 1.5'):
        AugmentConfig(noise=1.5)
    with pytest.raises(ValueError, match='max_zoom must be >= 1, got 0.5'):
        AugmentConfig(max_zoom=0.5)


# Points in space, drawn as spots: wherever the pixels went, the new K must see them there.
# They stand in a grid of directions, each at a depth of its own.
POINTS = np.array(
    [
        (x * (8 + i), y * (8 + i), 8 + i)
        for i, (x, y) in enumerate(itertools.product((-0.25, 0.02, 0.24), (-0.15, 0.01, 0.14)))
    ]
)
LARGE, LARGE_K = (192, 288), np.array(((430.0, 0, 141.7), (0, 425.0, 93.2), (0, 0, 1)))


def spots():
    """A picture of the points, and their depth in a patch around each."""
    v, u = np.mgrid[: LARGE[0], : LARGE[1]]
    light, depth = np.zeros(LARGE), np.full(LARGE, np.nan, np.float32)
    pixels = POINTS @ LARGE_K.T
    for (x, y), z in zip(pixels[:, :2] / pixels[:, 2:], POINTS[:, 2], strict=True):
        light += np.exp(-((u - x) ** 2 + (v - y) ** 2) / 8)
        depth[(abs(u - x) < 3) & (abs(v - y) < 3)] = z
    return np.repeat((255 * light.clip(0, 1))[..., None], 3, axis=2).astype(np.uint8), depth


TRANSFORMS = {
    'flip': lambda *a: flip(*a),
    'crop': lambda *a: crop_resize(*a, (15, 9, 160, 250), (160, 250)),
    'resize': lambda *a: crop_resize(*a, (0, 0, *LARGE), (110, 170)),
    'enlarge': lambda *a: crop_resize(*a, (0, 0, *LARGE), (250, 400)),
    'crop and stretch': lambda *a: crop_resize(*a, (15, 9, 160, 250), (128, 240)),
    'crop, resize and flip': lambda *a: flip(*crop_resize(*a, (15, 9, 160, 250), (128, 160))),
}


@pytest.mark.parametrize('name', TRANSFORMS)
def test_points_land_where_the_new_camera_sees_them(name):
    image, depth, moved = TRANSFORMS[name](*spots(), LARGE_K)
    # A mirrored street is a street whose points are mirrored.
    pixels = (POINTS * ((-1, 1, 1) if 'flip' in name else (1, 1, 1))) @ moved.T
    reach = 7
    for (x, y), z in zip(pixels[:, :2] / pixels[:, 2:], POINTS[:, 2], strict=True):
        left, top = round(x) - reach, round(y) - reach
        patch = image[top : top + 2 * reach + 1, left : left + 2 * reach + 1, 0].astype(float)
        v, u = np.mgrid[: 2 * reach + 1, : 2 * reach + 1]
        found = left + (u * patch).sum() / patch.sum(), top + (v * patch).sum() / patch.sum()
        np.testing.assert_allclose(found, (x, y), atol=0.1)
        assert depth[round(y), round(x)] == z


def test_gaussian_noise_has_the_mean_and_spread_of_md4all():
    grey = np.full((200, 300, 3), 100, np.uint8)
    noise = gaussian_noise(grey, np.random.default_rng(0)).astype(float) - 100
    assert noise.mean() == pytest.approx(0.005 * 255, abs=0.1)
    assert noise.std() == pytest.approx(0.045 * 255, rel=0.02)


def test_gaussian_noise_is_clipped():
    for level in (0, 255):
        noisy = gaussian_noise(np.full((20, 30, 3), level, np.uint8), np.random.default_rng(0))
        assert abs(noisy.astype(int) - level).max() < 80  # a wrap would be near 255
        assert (noisy != level).any()
