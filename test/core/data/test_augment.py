import numpy as np
import pytest

cv2 = pytest.importorskip('cv2')

from ssd_depth_core.data.augment import (  # noqa: E402
    AugmentConfig,
    crop_resize,
    flip,
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
