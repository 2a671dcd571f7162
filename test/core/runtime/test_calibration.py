from typing import Any

import numpy as np
import pytest
from ssd_depth_core.runtime.calibration import Calibration, read_calibration, Region

K = np.array([[1000.0, 0, 799.5], [0, 1100, 449.5], [0, 0, 1]])
# A second camera to the right by 0.1 m, rectified with another focal length.
P = np.array([[900.0, 0, 790, -90], [0, 900, 440, 0], [0, 0, 1, 0]])
POINTS = np.array([[0.3, -2.0, 1.0], [0.1, 0.5, -1.0], [4.0, 10.0, 7.0]])


def read(**changes: Any) -> Calibration:
    fields = {'K': K.ravel(), 'P': P.ravel(), 'D': [], 'region': Region(), 'binning': (0, 0)}
    return read_calibration(size=(900, 1600), **(fields | changes))


def project(matrix: np.ndarray) -> np.ndarray:
    """Area coordinates, in which the pixel at index 0 reaches from 0 to 1."""
    u, v, w = matrix @ np.vstack([POINTS, np.ones(3)])[: matrix.shape[1]]
    return np.array([u / w + 0.5, v / w + 0.5])


def test_rectified_intrinsics_are_those_of_p() -> None:
    calibration = read()
    assert calibration.size == (900, 1600)
    np.testing.assert_array_equal(calibration.K, K)
    np.testing.assert_array_equal(calibration.intrinsics, P[:, :3])


def test_the_other_serves_where_p_or_k_is_zero() -> None:
    without_p = read(P=np.zeros(12))
    np.testing.assert_array_equal(without_p.P, np.hstack([K, np.zeros((3, 1))]))
    np.testing.assert_array_equal(read(K=np.zeros(9)).K, P[:, :3])


def test_uncalibrated_camera_has_no_focal_length() -> None:
    assert not read(K=np.zeros(9), P=np.zeros(12)).intrinsics[0, 0]


@pytest.mark.parametrize(
    ('region', 'binning', 'size'),
    [
        (Region(), (2, 2), (450, 800)),
        (Region(x_offset=200, y_offset=100, width=800, height=600), (0, 0), (600, 800)),
        (Region(x_offset=200, y_offset=100, width=800, height=600), (4, 2), (150, 400)),
    ],
)
def test_region_and_binning_are_worked_in(
    region: Region, binning: tuple[int, int], size: tuple[int, int]
) -> None:
    calibration = read(region=region, binning=binning)
    assert calibration.size == size
    offset = [[region.x_offset], [region.y_offset]]
    bins = [[max(binning[1], 1)], [max(binning[0], 1)]]
    np.testing.assert_allclose(project(calibration.P), (project(P) - offset) / bins)
    np.testing.assert_allclose(project(calibration.K), (project(K) - offset) / bins)


@pytest.mark.parametrize(
    ('D', 'is_distorted'), [([], False), ([0.0] * 5, False), ([0.0, 0.1, 0, 0, 0], True)]
)
def test_distortion_is_noticed(D: list[float], is_distorted: bool) -> None:
    assert read(D=D).is_distorted is is_distorted
