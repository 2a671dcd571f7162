"""Pictures and LiDAR truth of a nuScenes-format data set."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.index import IndexLine, Neighbour
from ssd_depth_core.data.nuscenes import read_lidar
from ssd_depth_core.data.pictures import read_picture, Reduction

MIN_DEPTH_M = 1.0
"""As the official devkit: what is nearer is the camera's casing or the car's own body."""
BORDER_PX = 1
"""As the official devkit: points so near the picture's edge are left out."""


class NuScenesSource:
    """Read the frames of an index that was made of a nuScenes-format data set."""

    def __init__(self, root: Path) -> None:
        """Keep the folder; files are opened as they are asked for.

        Args:
            root: The folder that holds `samples/`.

        Raises:
            FileNotFoundError: If there is no such folder.
        """
        if not root.is_dir():
            raise FileNotFoundError(
                f'nuScenes data set not found at {root}; index it again where it lies now'
            )
        self.root = root

    def read_image(self, frame: IndexLine | Neighbour) -> NDArray[np.uint8]:
        """Read a picture.

        Args:
            frame: Which.

        Returns:
            (H, W, 3) RGB, as stored; nuScenes' are rectified.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged, or not of the size that the index says.
        """
        image = read_picture(self.root / frame.image)
        if isinstance(frame, IndexLine) and image.shape[:2] != frame.size:
            raise ValueError(
                f'picture {self.root / frame.image} must be of the size {frame.size} that the '
                f'tables say, got {image.shape[:2]}; copy the data set again'
            )
        return image

    def read_reduced(
        self, frame: IndexLine | Neighbour, reduction: Reduction
    ) -> NDArray[np.uint8]:
        """Read a picture at a fraction of its size, which takes a fraction of the time.

        Args:
            frame: Which.
            reduction: How much smaller both sides shall be; they should be multiples of it.

        Returns:
            (H / reduction, W / reduction, 3) RGB.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged.
        """
        return read_picture(self.root / frame.image, reduction)

    def read_depth(self, line: IndexLine) -> NDArray[np.float32]:
        """Project the frame's LiDAR sweep into its picture.

        Args:
            line: A frame with a sweep.

        Returns:
            (H, W) [m] along the optical axis; NaN where there is no point.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the frame has no sweep, or the sweep is empty or truncated.
        """
        if line.lidar is None or line.T_camera_lidar is None:
            raise ValueError(f'frame {line.id} has no LiDAR sweep, so no truth; index key frames')
        points = read_lidar(self.root / line.lidar)[:, :3]
        return project_sweep(
            points, np.asarray(line.T_camera_lidar), np.asarray(line.K), line.size
        )


def project_sweep(
    points: NDArray[np.floating],
    T_camera_lidar: NDArray[np.float64],
    K: NDArray[np.float64],
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """Project points into a picture as nuScenes' results are measured.

    Pixel coordinates are cut to whole numbers, and of several points in one pixel the last of the
    sweep stays, not the nearest.

    Args:
        points: (N, 3) in the LiDAR's frame [m].
        T_camera_lidar: (4, 4).
        K: (3, 3), pixels.
        size: (H, W) of the picture, pixels.

    Returns:
        (H, W) [m] along the optical axis; NaN where there is no point.

    Reference: `map_pointcloud_to_image` of nuscenes-devkit 1.2.0, and md4all's data set.
    Differs: in float64. The devkit's float32 goes through world coordinates, which puts 2 to 5 of
        1,000 points into the pixel beside; depths agree to 0.1 mm.
    """
    points = points @ T_camera_lidar[:3, :3].T + T_camera_lidar[:3, 3]
    points = points[points[:, 2] > MIN_DEPTH_M]
    uv = (points @ K.T)[:, :2] / points[:, 2:]
    upper = np.array(size[::-1]) - BORDER_PX
    inside = ((uv > BORDER_PX) & (uv < upper)).all(axis=1)
    columns, rows = uv[inside].astype(np.intp).T
    depth = np.full(size, np.nan, np.float32)
    depth[rows, columns] = points[inside, 2]
    return depth
