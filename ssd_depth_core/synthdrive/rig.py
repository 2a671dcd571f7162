"""Where the car carries its sensors: rigs as data, one YAML each in `rigs/`."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.config import load_yaml
from ssd_depth_core.geometry.pose import transform_from_euler

RIG_FOLDER = Path(__file__).parent / 'rigs'
OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # camera -> ego

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """Hold where a sensor sits in the ego frame: turned by roll, then pitch, then yaw."""

    channel: str
    """The data set's name for it."""
    x: float
    """Forward of the rear axle [m]."""
    y: float
    """To the left [m]."""
    z: float
    """Above the ground [m]."""
    yaw_deg: float = 0.0
    """Counter-clockwise from straight ahead."""
    pitch_deg: float = 0.0
    """Positive looks down."""
    roll_deg: float = 0.0
    """Positive leans to the right."""

    @property
    def T_ego_mount(self) -> Float:
        """Give the pose, (4, 4), of axes that lie like ego's where no angle turns them."""
        angles = np.deg2rad([self.roll_deg, self.pitch_deg, self.yaw_deg])
        return transform_from_euler((self.x, self.y, self.z, *angles))


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraMount(Mount):
    """Hold one camera's place and lens."""

    focal_px: float
    """For the camera's own picture size."""
    height: int
    """Of the camera's own picture, pixels."""
    width: int
    """Of the camera's own picture, pixels."""
    center_px: tuple[float, float] | None = None
    """Principal point u, v in the camera's own picture; None: its middle."""

    def __post_init__(self) -> None:
        """Validate the lens.

        Raises:
            ValueError: If the focal length or the size is not positive.
        """
        if self.focal_px <= 0 or min(self.height, self.width) < 1:
            raise ValueError(
                f'{self.channel}: focal_px, height and width must be positive, got '
                f'{self.focal_px:g}, {self.height} and {self.width}'
            )

    @property
    def T_ego_camera(self) -> Float:
        """Give the pose, (4, 4), of the optical frame."""
        T = self.T_ego_mount
        T[:3, :3] = T[:3, :3] @ OPTICAL
        return T

    def intrinsics(self, height: int, width: int) -> Float:
        """Give the pinhole matrix for a picture size.

        Args:
            height: Pixels.
            width: Pixels.

        Returns:
            (3, 3), pixels; whole numbers are the middles of pixels.
        """
        sx, sy = width / self.width, height / self.height
        u, v = self.center_px or ((self.width - 1) / 2, (self.height - 1) / 2)
        return np.array(
            [
                [self.focal_px * sx, 0, (u + 0.5) * sx - 0.5],
                [0, self.focal_px * sy, (v + 0.5) * sy - 0.5],
                [0, 0, 1.0],
            ]
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LidarMount(Mount):
    """Hold a LiDAR's place and pattern: a turning one of many rings, or a planar one of one."""

    hz: float
    """Sweeps a second."""
    num_rings: int
    """1 for a planar scanner."""
    lowest_deg: float
    """Elevation of the lowest ring above the mount's x-y plane."""
    highest_deg: float
    """Elevation of the highest ring."""
    num_azimuths: int
    """Rays of one ring."""
    opening_deg: float = 360.0
    """Of one ring, about the mount's x axis; 360: a full turn that begins there."""
    range_m: float
    """Farther echoes are not reported."""
    dark_range_m: float
    """Where a surface that reflects a tenth is just seen through clear air."""
    min_range_m: float
    """Nearer echoes come from the car itself."""
    noise_m: float
    """Standard deviation of the range."""

    def __post_init__(self) -> None:
        """Validate the pattern.

        Raises:
            ValueError: If a number is out of its range.
        """
        if self.num_rings < 1 or self.num_azimuths < 2 or not 0 < self.opening_deg <= 360:
            raise ValueError(
                f'{self.channel}: num_rings must be >= 1, num_azimuths >= 2 and opening_deg in '
                f'(0, 360], got {self.num_rings}, {self.num_azimuths} and {self.opening_deg:g}'
            )
        if min(self.hz, self.dark_range_m) <= 0 or self.noise_m < 0:
            raise ValueError(
                f'{self.channel}: hz and dark_range_m must be > 0 and noise_m >= 0, got '
                f'{self.hz:g}, {self.dark_range_m:g} and {self.noise_m:g}'
            )
        if not 0 <= self.min_range_m < self.range_m:
            raise ValueError(
                f'{self.channel}: ranges must be 0 <= min_range_m < range_m, got '
                f'{self.min_range_m:g} and {self.range_m:g}'
            )

    @property
    def T_ego_lidar(self) -> Float:
        """Give the pose, (4, 4)."""
        return self.T_ego_mount

    def rays(self) -> Float:
        """Give where one sweep looks.

        Returns:
            (num_rings, num_azimuths, 3), unit, in the lidar frame; the lowest ring first.
        """
        elevation = np.deg2rad(np.linspace(self.lowest_deg, self.highest_deg, self.num_rings))
        if self.opening_deg == 360:
            azimuth = np.arange(self.num_azimuths) * (2 * np.pi / self.num_azimuths)
        else:
            half = np.deg2rad(self.opening_deg) / 2
            azimuth = np.linspace(-half, half, self.num_azimuths)
        e, a = np.meshgrid(elevation, azimuth, indexing='ij')
        return np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], -1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rig:
    """Hold what one kind of car carries."""

    camera_hz: float
    """Pictures a second; all cameras fire together."""
    cameras: tuple[CameraMount, ...]
    """At least one."""
    lidars: tuple[LidarMount, ...] = ()
    """Their rates are their own."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If there is no camera, the rate is not positive or a channel comes twice.
        """
        if not self.cameras or self.camera_hz <= 0:
            raise ValueError('a rig needs at least one camera and camera_hz > 0')
        channels = [mount.channel for mount in (*self.cameras, *self.lidars)]
        twice = sorted({channel for channel in channels if channels.count(channel) > 1})
        if twice:
            raise ValueError(f'channels must differ, got {", ".join(twice)} more than once')

    def camera(self, channel: str) -> CameraMount:
        """Find a camera.

        Args:
            channel: Its name.

        Returns:
            The camera.

        Raises:
            ValueError: If the rig has none of this name.
        """
        for mount in self.cameras:
            if mount.channel == channel:
                return mount
        known = ', '.join(mount.channel for mount in self.cameras)
        raise ValueError(f'channels must be among {known}, got {channel!r}')


@lru_cache
def load_rig(name: str) -> Rig:
    """Read a rig.

    Args:
        name: Of a file in `synthdrive/rigs`, e.g. `nuscenes`, or a path that ends in `.yaml`.

    Returns:
        The rig.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no rig.
    """
    return load_yaml(Rig, Path(name) if name.endswith('.yaml') else RIG_FOLDER / f'{name}.yaml')
