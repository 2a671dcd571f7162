from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from ssd_depth_core.data.index import IndexLine, Neighbour
from ssd_depth_core.data.nuscenes import read_lidar
from ssd_depth_core.data.nuscenes_index import index_nuscenes, NuScenesIndexConfig
from ssd_depth_core.data.nuscenes_source import NuScenesSource, project_sweep

REAL = Path(__file__).parents[4] / 'shared/realdata/nuscenes_one_sample'
SURROUND = (
    *('CAM_FRONT', 'CAM_FRONT_LEFT', 'CAM_FRONT_RIGHT'),
    *('CAM_BACK', 'CAM_BACK_LEFT', 'CAM_BACK_RIGHT'),
)
SIZE = (8, 12)
K = ((10.0, 0.0, 6.0), (0.0, 10.0, 4.0), (0.0, 0.0, 1.0))
# The LiDAR's x (forward), y (left), z (up) in optical axes, half a metre behind the camera.
T_CAMERA_LIDAR = (
    (0.0, -1.0, 0.0, 0.0),
    (0.0, 0.0, -1.0, 0.0),
    (1.0, 0.0, 0.0, -0.5),
    (0, 0, 0, 1.0),
)
LINE = IndexLine(
    id='a',
    scene='scene-0061',
    channel='CAM_FRONT',
    condition='day-clear',
    timestamp_us=1,
    image='a.png',
    size=SIZE,
    K=K,
    speed_mps=None,
    lidar='a.pcd.bin',
    T_camera_lidar=T_CAMERA_LIDAR,
)


def project(*points):
    """Project points (right, down, forward) of the camera; give {(row, column): depth}."""
    right, down, forward = np.array(points, float).T
    lidar = np.column_stack((forward + 0.5, -right, -down))
    depth = project_sweep(lidar, np.array(T_CAMERA_LIDAR), np.array(K), SIZE)
    assert depth.shape == SIZE
    assert depth.dtype == np.float32
    return {(int(r), int(c)): float(depth[r, c]) for r, c in np.argwhere(np.isfinite(depth))}


def test_points_fall_where_they_do_by_hand():
    # u = 6 + 10 x / z, v = 4 + 10 y / z, cut to whole pixels.
    assert project((0, 0, 10), (2.5, 0, 10), (-2.9, 1.99, 10), (0, -4, 20)) == {
        (4, 6): 10.0,
        (4, 8): 10.0,
        (5, 3): 10.0,
        (2, 6): 20.0,
    }


def test_the_last_point_of_a_pixel_stays():
    assert project((0, 0, 5), (0.1, 0.1, 20)) == {(4, 6): 20.0}
    assert project((0.1, 0.1, 20), (0, 0, 5)) == {(4, 6): 5.0}


def test_what_the_devkit_leaves_out_is_left_out():
    behind, too_near, nearest = (0, 0, -10), (0, 0, 0.99), (0, 0, 1.01)
    assert project(behind, too_near) == {}
    assert project(nearest) == {(4, 6): pytest.approx(1.01)}
    # Columns 1 and 11 and rows 1 and 7 are the border.
    assert project((-5.0, 0, 10), (5.0, 0, 10), (0, -3.0, 10), (0, 3.0, 10)) == {}
    assert set(project((-4.9, 0, 10), (4.9, 0, 10), (0, -2.9, 10), (0, 2.9, 10))) == {
        *((4, 1), (4, 10), (1, 6), (6, 6))
    }


def test_source_reads_what_the_line_names(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((*SIZE, 3), (1, 2, 3), np.uint8))
    np.array(((10.5, 0, 0, 7, 3),), '<f4').tofile(tmp_path / 'a.pcd.bin')
    source = NuScenesSource(tmp_path)
    assert source.read_image(LINE)[0, 0].tolist() == [3, 2, 1]
    neighbour = Neighbour(image='a.png', timestamp_us=0, T_source_target=T_CAMERA_LIDAR)
    np.testing.assert_array_equal(source.read_image(neighbour), source.read_image(LINE))
    depth = source.read_depth(LINE)
    assert depth[4, 6] == 10.0
    assert np.isfinite(depth).sum() == 1


def test_a_picture_of_another_size_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(ValueError, match=r'a\.png must be of the size \(8, 12\).* got \(4, 6\)'):
        NuScenesSource(tmp_path).read_image(LINE)


def test_bad_sweep_is_named(tmp_path):
    source = NuScenesSource(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'sweep not found at .*a\.pcd\.bin'):
        source.read_depth(LINE)
    (tmp_path / 'a.pcd.bin').write_bytes(bytes(27))
    with pytest.raises(ValueError, match=r'a\.pcd\.bin has 27 bytes, .* truncated'):
        source.read_depth(LINE)
    with pytest.raises(ValueError, match='frame a has no LiDAR sweep'):
        source.read_depth(replace(LINE, lidar=None, T_camera_lidar=None))


def test_a_folder_that_has_moved_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='not found at .*gone; index it again'):
        NuScenesSource(tmp_path / 'gone')


@pytest.fixture(scope='module')
def real_lines():
    if not REAL.is_dir():
        pytest.skip('the real nuScenes sample is not on this machine')
    lines, dropped = index_nuscenes(
        REAL, NuScenesIndexConfig(channels=SURROUND, default_split='test')
    )
    assert dropped == {}
    return {line.channel: line for line in lines['test']}


def test_real_sample_gives_the_devkits_depth(real_lines):
    source = NuScenesSource(REAL)
    # As many pixels as nuscenes-devkit 1.2.0 and md4all's rule give; CAM_FRONT has 3 points more,
    # which share a pixel with another.
    assert {
        channel: int(np.isfinite(source.read_depth(line)).sum())
        for channel, line in real_lines.items()
    } == {
        'CAM_FRONT': 3050,
        'CAM_FRONT_LEFT': 3696,
        'CAM_FRONT_RIGHT': 3076,
        'CAM_BACK': 4820,
        'CAM_BACK_LEFT': 4089,
        'CAM_BACK_RIGHT': 3369,
    }
    assert all(source.read_image(line).shape == (900, 1600, 3) for line in real_lines.values())


def test_real_sample_gives_the_known_number_of_points(real_lines):
    """The sample's description counts 3,059 to 4,825: to the nearest pixel, without a border."""
    counts = []
    for line in real_lines.values():
        T, camera = np.array(line.T_camera_lidar), np.array(line.K)
        points = read_lidar(REAL / line.lidar)[:, :3] @ T[:3, :3].T + T[:3, 3]
        points = points[points[:, 2] > 0]
        uv = np.rint((points @ camera.T)[:, :2] / points[:, 2:])
        inside = ((uv >= 0) & (uv < line.size[::-1])).all(axis=1)
        counts.append(len(np.unique(uv[inside], axis=0)))
    assert (min(counts), max(counts)) == (3059, 4825)
