import numpy as np
import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.evaluation.trivial import WALL_M  # noqa: E402
from ssd_depth_core.synthdrive.camera import Camera, untile  # noqa: E402
from ssd_depth_core.synthdrive.random_views import Picture, RandomView  # noqa: E402
from ssd_depth_core.synthdrive.renderer import cast  # noqa: E402
from ssd_depth_core.synthdrive.world import City  # noqa: E402
import synthetic_frames  # noqa: E402


def test_walled_road_is_the_rendered_ground_up_to_the_wall():
    K = np.array([[60.0, 0, 47.5], [0, 60.0, 31.5], [0, 0, 1]])
    pitch = 0.1  # looking down
    forward = np.array([np.cos(pitch), 0, -np.sin(pitch)])
    down = np.array([-np.sin(pitch), 0, -np.cos(pitch)])
    pose = np.eye(4)
    pose[:3, :3] = np.column_stack([[0, -1, 0], down, forward])
    pose[:3, 3] = (0, 0, 1.6)
    solids = City(0).near(0, 0)[0]
    nothing = solids.select(torch.arange(0))
    camera = Camera(torch.tensor(K).float(), torch.tensor(pose).float(), 64, 96)
    ground = untile(cast(nothing, camera).distance, camera).numpy()
    view = RandomView(0, 0, 0, 0, K, pose, clutter=False)
    road = synthetic_frames.walled_road(Picture(view, {}, ground, np.zeros((64, 96), np.uint8)))
    np.testing.assert_allclose(road, np.minimum(ground, WALL_M), rtol=1e-4)
    assert (road == WALL_M).any()
    assert (road < WALL_M).any()
