from dataclasses import replace

import cv2
import numpy as np
import pytest
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.preprocess import normalize, resize_image
from ssd_depth_core.runtime.network_input import NetworkInput

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE = (24, 40)
SPEC = ModelSpec(
    name='tiny',
    onnx_sha256='0' * 64,
    input_height=SIZE[0],
    input_width=SIZE[1],
    mean=MEAN,
    std=STD,
    canonical_focal_px=10.0,
    training_data='none',
    training_command='none',
    metrics={},
    licence='Apache-2.0',
)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def filled(image: np.ndarray, spec: ModelSpec = SPEC) -> np.ndarray:
    row = np.full((3, *SIZE), np.nan, np.float32)
    NetworkInput(spec).fill(image, row)
    return row


# As large as the input, smaller, larger by less than two, by more with an odd side, and with one
# side that cannot be halved.
@pytest.mark.parametrize('size', [SIZE, (5, 7), (40, 60), (49, 81), (46, 200)])
def test_row_is_the_resized_picture_normalised(size: tuple[int, int]) -> None:
    image = noise(*size)
    expected = normalize(resize_image(image, SIZE), MEAN, STD)
    np.testing.assert_array_equal(filled(image), expected)


def test_large_picture_is_halved_by_whole_blocks_first() -> None:
    image = noise(200, 320)  # halved to 100 x 160, then to 50 x 80, then to 25 x 40
    blocks = image.reshape(25, 8, 40, 8, 3).mean((1, 3))
    expected = normalize(resize_image(blocks.round().astype(np.uint8), SIZE), MEAN, STD)
    level = 1 / (255 * min(STD))
    np.testing.assert_allclose(filled(image), expected, atol=2 * level)


def test_halving_changes_an_average_over_areas_by_less_than_a_level() -> None:
    coarse = noise(9, 16)
    image = cv2.resize(coarse, (640, 360), interpolation=cv2.INTER_CUBIC)  # no finer than a lens
    expected = normalize(resize_image(image, SIZE), MEAN, STD)
    assert np.abs(filled(image) - expected).mean() < 1 / (255 * max(STD))


def test_bgr_network_gets_blue_first() -> None:
    image = noise(49, 81)
    spec = replace(SPEC, colour_order='bgr')
    expected = normalize(resize_image(image, SIZE)[..., ::-1], MEAN, STD)
    np.testing.assert_array_equal(filled(image, spec), expected)


def test_pictures_of_other_sizes_leave_nothing_behind() -> None:
    network_input = NetworkInput(SPEC)
    for size in ((96, 160), SIZE, (192, 320), (96, 160), (50, 50)):
        image, row = noise(*size), np.empty((3, *SIZE), np.float32)
        network_input.fill(image, row)
        np.testing.assert_array_equal(row, filled(image))


def test_picture_itself_is_left_alone() -> None:
    image = noise(96, 160)
    image.flags.writeable = False
    before = image.copy()
    filled(image)
    np.testing.assert_array_equal(image, before)
