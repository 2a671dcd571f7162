import numpy as np
import pytest
from ssd_depth_core.synthdrive.camera import Camera
from ssd_depth_core.synthdrive.primitives import Builder
import torch


@pytest.fixture
def builder():
    """A builder whose frame is the world's."""
    return Builder(np.random.default_rng(0))


@pytest.fixture(scope='session')
def camera_at():
    """Make cameras of 64 x 96 pixels, level unless pitched down, at a place and heading."""

    def make(x=0.0, y=0.0, z=1.5, yaw=0.0, down=0.0, height=64, width=96, focal=80.0):
        c, s, cd, sd = np.cos(yaw), np.sin(yaw), np.cos(down), np.sin(down)
        forward = np.array([c * cd, s * cd, -sd])
        right = np.array([s, -c, 0.0])
        T = np.eye(4)
        T[:3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
        T[:3, 3] = (x, y, z)
        K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
        to = torch.as_tensor
        return Camera(to(K, dtype=torch.float32), to(T, dtype=torch.float32), height, width)

    return make
