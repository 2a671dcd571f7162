"""A drive through a city: what cameras and LiDAR record while everything moves."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal
from zlib import crc32

import numpy as np
from ssd_depth_core.conditions import RenderedCondition
from ssd_depth_core.synthdrive import lidar
from ssd_depth_core.synthdrive.actors import Actors
from ssd_depth_core.synthdrive.camera import Camera, untile
from ssd_depth_core.synthdrive.imaging import AutoExposure, draw_sensor, expose
from ssd_depth_core.synthdrive.lighting import Geometry, Scene
from ssd_depth_core.synthdrive.materials import NoiseBank
from ssd_depth_core.synthdrive.motion_blur import blur, image_motion
from ssd_depth_core.synthdrive.precipitation import draw_precipitation, fall
from ssd_depth_core.synthdrive.primitives import concatenate
from ssd_depth_core.synthdrive.rig import CameraMount, LidarMount, load_rig, Rig
from ssd_depth_core.synthdrive.sensors import ActorBox, CameraFrame, EgoPose, LidarSweep
from ssd_depth_core.synthdrive.sky import draw_sky
from ssd_depth_core.synthdrive.terrain import draw_terrain, FLAT
from ssd_depth_core.synthdrive.trajectory import draw_path
from ssd_depth_core.synthdrive.world import City
import torch

EPOCH_US = 1_600_000_000_000_000
"""When drives begin, microseconds: an arbitrary instant, so that stamps look like real ones."""
FASTEST_MPS = 12.0
"""The car drives no faster."""
BEYOND_M = 200.0
"""How far the way goes on where a drive ends: traffic comes from there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DriveConfig:
    """Say where, how long and with what a drive is recorded."""

    seed: int
    """Of the city, the way through it, its traffic, light and sensors."""
    duration_s: float
    """Of the recording."""
    start_s: float = 0.0
    """How long the car has driven when the recording begins."""
    terrain: Literal['flat', 'hilly'] = 'hilly'
    """Whether roads are straight and level, or bend and climb."""
    rig: str = 'nuscenes'
    """What the car carries: a name in `synthdrive/rigs`, or a path to such a YAML."""
    channels: tuple[str, ...] | None = None
    """Cameras of the rig; None: all."""
    image_height: int = 900
    """Of the pictures, pixels; intrinsics follow."""
    image_width: int = 1600
    """Of the pictures, pixels."""
    camera_hz: float | None = None
    """Pictures a second and camera; None: as the rig says."""
    lidar_hz: float | None = None
    """Sweeps a second; None: as the rig says, 0: no LiDAR."""
    lidar_noise_m: float | None = None
    """Standard deviation of ranges; None: as the rig says."""

    def __post_init__(self) -> None:
        """Validate the numbers.

        Raises:
            FileNotFoundError: If there is no such rig.
            ValueError: If a number is out of its range or a channel is unknown.
        """
        if self.duration_s <= 0 or self.start_s < 0:
            raise ValueError(f'times must be positive, got {self}')
        if min(self.image_height, self.image_width) < 1:
            size = f'{self.image_height} x {self.image_width}'
            raise ValueError(f'image_height and image_width must be >= 1, got {size} pixels')
        if self.channels == ():
            raise ValueError('channels must name one camera or more; leave it out for all')
        self.mounts()

    def mounts(self) -> Rig:
        """Give what the car carries on this drive.

        Returns:
            The rig, reduced to the chosen cameras, with the rates and the noise of this config.
        """
        rig = load_rig(self.rig)
        cameras = rig.cameras
        if self.channels is not None:
            cameras = tuple(rig.camera(channel) for channel in self.channels)
        lidars = () if self.lidar_hz == 0 else rig.lidars
        if self.lidar_hz is not None:
            lidars = tuple(replace(mount, hz=self.lidar_hz) for mount in lidars)
        if self.lidar_noise_m is not None:
            lidars = tuple(replace(mount, noise_m=self.lidar_noise_m) for mount in lidars)
        hz = rig.camera_hz if self.camera_hz is None else self.camera_hz
        return Rig(camera_hz=hz, cameras=cameras, lidars=lidars)


def render_drive(
    config: DriveConfig, condition: RenderedCondition, device: torch.device
) -> Iterator[CameraFrame | LidarSweep]:
    """Record a drive.

    The same seed gives the same drive in every condition, pixel by pixel.

    Args:
        config: Where, how long and with what.
        condition: Light and weather.
        device: Where to render.

    Yields:
        Pictures and sweeps in the order of their stamps; cameras fire together.
    """
    stage = Stage(config, condition, device)
    meters = {camera.channel: AutoExposure(stage.sensor) for camera in config.mounts().cameras}
    with torch.inference_mode():
        for t, mount in _ticks(config):
            if isinstance(mount, LidarMount):
                yield stage.sweep(t, mount)
            else:
                yield stage.picture(t, mount, meters[mount.channel])


def count_records(config: DriveConfig) -> int:
    """Count what `render_drive` gives.

    Args:
        config: Where, how long and with what.

    Returns:
        Number of pictures and sweeps.
    """
    return len(_ticks(config))


def drive_motion(config: DriveConfig, hz: float = 50.0) -> list[EgoPose]:
    """Say how the car moves on a drive, the same in every condition.

    Args:
        config: Where and how long.
        hz: Poses a second.

    Returns:
        Its poses, from the beginning to the end of the recording.
    """
    stage = Stage(config, 'day-clear', torch.device('cpu'))
    return [stage.ego(i / hz) for i in range(round(config.duration_s * hz) + 1)]


def _ticks(config: DriveConfig) -> list[tuple[float, CameraMount | LidarMount]]:
    """List when which sensor records, by time and then by channel."""
    rig = config.mounts()
    rates: list[tuple[CameraMount | LidarMount, float]] = [
        *((camera, rig.camera_hz) for camera in rig.cameras),
        *((scanner, scanner.hz) for scanner in rig.lidars),
    ]
    ticks = [(i / hz, mount) for mount, hz in rates for i in range(round(config.duration_s * hz))]
    return sorted(ticks, key=lambda tick: (tick[0], tick[1].channel))


def _generator(*key: int) -> torch.Generator:
    """Give randomness on the CPU that depends on all the numbers."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


class Stage:
    """Put city, car and everything else that moves where they are at an instant."""

    def __init__(
        self, config: DriveConfig, condition: RenderedCondition, device: torch.device
    ) -> None:
        """Draw the drive.

        Args:
            config: Where, how long and with what.
            condition: Light and weather.
            device: Where to render.
        """
        self._config, self._condition, self._device = config, condition, device
        terrain = FLAT if config.terrain == 'flat' else draw_terrain(config.seed)
        self._city = City(config.seed, terrain, rich=True)
        end_s = config.start_s + config.duration_s
        length = FASTEST_MPS * end_s + BEYOND_M
        self._path = draw_path(self._city.style, config.seed, length, terrain=terrain)
        self._actors = Actors(self._city.style, self._path, config.seed, end_s, terrain)
        self._sky = draw_sky(condition, config.seed)
        # One sensor for the whole drive, fresh noise for every picture.
        # A car has cameras of one make: all of its channels share the sensor's character.
        self.sensor = draw_sensor(condition, _generator(config.seed))
        self._noise = NoiseBank(device=device)

    def ego(self, t: float) -> EgoPose:
        """Give where the car is.

        Args:
            t: Since the recording began [s].

        Returns:
            Its pose and speed.
        """
        s, speed = self._actors.motion.at(self._config.start_s + t)
        place, yaw = self._path.at(s)
        T = self._city.terrain.pose(place, float(yaw))
        return EgoPose(timestamp_us=EPOCH_US + round(t * 1e6), T_world_ego=T, speed_mps=speed)

    def scene(self, t: float) -> Scene:
        """Put everything else where it is.

        Args:
            t: Since the recording began [s].

        Returns:
            The street around the car, on the device.
        """
        x, y = self.ego(t).T_world_ego[:2, 3]
        solids, lamps = self._city.near(float(x), float(y))
        moved = self._actors.at(self._config.start_s + t)
        everything = concatenate([solids, moved]).to(self._device)
        return Scene(everything, lamps, self._city.style, self._city.terrain)

    def boxes(self, t: float) -> tuple[ActorBox, ...]:
        """Say what moves around the car, or could.

        Args:
            t: Since the recording began [s].

        Returns:
            Their boxes, seen or not.
        """
        return self._actors.boxes(self._config.start_s + t)

    def picture(
        self, t: float, mount: CameraMount, meter: AutoExposure | None = None
    ) -> CameraFrame:
        """Take one camera's picture.

        Args:
            t: Since the recording began [s].
            mount: The camera.
            meter: The camera's exposure control, stepped through all pictures before this one;
                None for one that has settled.

        Returns:
            Picture, depth and pose.
        """
        config, pose = self._config, self.ego(t)
        K = mount.intrinsics(config.image_height, config.image_width)
        camera = self._camera(pose, mount)
        geometry = Geometry(self.scene(t), camera, self._noise)
        depth = geometry.depth()
        radiance = geometry.radiance(self._sky, pose.T_world_ego)
        meter = meter or AutoExposure(self.sensor)
        exposure = meter.step(t, radiance)
        radiance = blur(radiance, self._motion(geometry, t, exposure.time_s, mount))
        # What has landed on a lens stays there; what falls does not.
        own = (config.seed, crc32(mount.channel.encode()))
        weather = draw_precipitation(self._condition, _generator(*own))
        generator = _generator(*own, pose.timestamp_us)
        radiance = fall(radiance, depth, camera.K, exposure.time_s, weather, generator)
        image = expose(radiance, camera.K, exposure, self.sensor, generator)
        return CameraFrame(
            channel=mount.channel, ego_pose=pose, image=image.cpu().numpy(),
            depth=depth.cpu().numpy(), K=K, T_ego_camera=mount.T_ego_camera,
        )  # fmt: skip

    def _camera(self, pose: EgoPose, mount: CameraMount) -> Camera:
        size = (self._config.image_height, self._config.image_width)
        K, T = (
            torch.as_tensor(matrix, dtype=torch.float32, device=self._device)
            for matrix in (mount.intrinsics(*size), pose.T_world_ego @ mount.T_ego_camera)
        )
        return Camera(K, T, *size)

    def _motion(
        self, geometry: Geometry, t: float, seconds: float, mount: CameraMount
    ) -> torch.Tensor:
        """Say how far every pixel's content moves while the shutter is open, (H, W, 2) [px]."""
        index, position = geometry.hits.index, geometry.surface.position
        actor = torch.where(index >= 0, geometry.scene.solids.actor[index.clamp(min=0)], -1)
        motions = position.new_tensor(self._actors.motions(self._config.start_s + t, seconds))
        moves = actor >= 0  # few pixels: a matrix for each of the others would take longer
        T, moved = motions[actor[moves]], position.clone()
        moved[moves] = (T[:, :3, :3] @ position[moves][..., None])[..., 0] + T[:, :3, 3]
        now, later = geometry.camera, self._camera(self.ego(t + seconds), mount)
        return image_motion(untile(position, now), untile(moved, now), now, later)

    def sweep(self, t: float, mount: LidarMount) -> LidarSweep:
        """Take one turn of the LiDAR; all its rays belong to one instant.

        Args:
            t: Since the recording began [s].
            mount: The LiDAR.

        Returns:
            Points and pose.
        """
        pose = self.ego(t)
        air = lidar.air_of(self._condition, self._sky)
        seed = (self._config.seed, pose.timestamp_us)
        points = lidar.sweep(self.scene(t), pose.T_world_ego, mount, air, seed)
        return LidarSweep(
            channel=mount.channel, ego_pose=pose, points=points,
            T_ego_lidar=mount.T_ego_lidar, boxes=self.boxes(t),
        )  # fmt: skip
