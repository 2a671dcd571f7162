"""Frames of SynthDrive in five lights, as they are and with one thing broken."""

from dataclasses import dataclass
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import RenderedCondition
from ssd_depth_core.synthdrive.camera import Camera
from ssd_depth_core.synthdrive.drive import DriveConfig, Stage
from ssd_depth_core.synthdrive.imaging import AutoExposure, draw_sensor, expose
from ssd_depth_core.synthdrive.lighting import Geometry
from ssd_depth_core.synthdrive.materials import NoiseBank
from ssd_depth_core.synthdrive.precipitation import draw_precipitation, fall
from ssd_depth_core.synthdrive.sky import draw_sky
import torch

from bench.broken_worlds import Break, breaks_in, Kind, KINDS

SIZE = (192, 320)
TARGETS: tuple[RenderedCondition, ...] = ('night', 'day-rain', 'fog', 'snow')
TIME_S = 1.0
"""Of the frame, since the recording began."""
FAITHFUL = 'faithful'
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class BrokenThing:
    """Hold what was changed."""

    pixels: int
    """Whose depth changed."""
    depth_m: float
    """How far away."""
    changed: NDArray[np.bool_]
    """(H, W): these pixels."""


@dataclass(frozen=True, slots=True)
class TwinFrame:
    """Hold one clear frame and what it was turned into."""

    seed: int
    """Of its street."""
    clear: Picture
    """(H, W, 3) RGB."""
    depth: NDArray[np.float32]
    """(H, W) exact [m], inf in the sky."""
    K: NDArray[np.float64]
    """(3, 3), pixels."""
    twins: dict[tuple[str, RenderedCondition], Picture]
    """By what is shown, `FAITHFUL` or a `Kind`, and condition."""
    broken: dict[Kind, BrokenThing]


def twin_frame(seed: int, folder: Path | None) -> TwinFrame:
    """Render one frame of a street, or read it where that was done before.

    Args:
        seed: Of the street.
        folder: Where frames are kept; None keeps none.

    Returns:
        The frame; without twins where nothing in it can be broken.
    """
    path = None if folder is None else folder / f'{seed}.npz'
    if path is not None and path.exists():
        return _read(path, seed)
    torch.set_num_threads(1)
    with torch.inference_mode():
        frame = _render(seed)
    if path is not None:
        _write(path, frame)
    return frame


def _render(seed: int) -> TwinFrame:
    config = DriveConfig(
        seed=seed, duration_s=8.0, start_s=2.0, channels=('CAM_FRONT',), lidar_hz=0.0,
        image_height=SIZE[0], image_width=SIZE[1],
    )  # fmt: skip
    stage = Stage(config, 'day-clear', torch.device('cpu'))
    [mount] = config.mounts().cameras
    T_world_ego, K = stage.ego(TIME_S).T_world_ego, mount.intrinsics(*SIZE)
    T_world_camera = torch.as_tensor(T_world_ego @ mount.T_ego_camera, dtype=torch.float32)
    camera = Camera(torch.as_tensor(K, dtype=torch.float32), T_world_camera, *SIZE)
    scene, noise = stage.scene(TIME_S), NoiseBank()
    breaks: dict[str, Break] = {
        found.kind: found for found in breaks_in(scene, camera, np.random.default_rng([seed, 10]))
    }
    geometry = Geometry(scene, camera, noise)
    twins: dict[tuple[str, RenderedCondition], Picture] = {}
    if breaks:
        views = {FAITHFUL: geometry}
        views |= {kind: Geometry(found.scene, camera, noise) for kind, found in breaks.items()}
        for shown, view in views.items():
            for condition in TARGETS:
                twins[shown, condition] = _photograph(view, condition, seed, T_world_ego)
    return TwinFrame(
        seed=seed,
        clear=_photograph(geometry, 'day-clear', seed, T_world_ego),
        depth=geometry.depth().numpy(),
        K=K,
        twins=twins,
        broken={
            found.kind: BrokenThing(found.pixels, found.depth_m, found.changed)
            for found in breaks.values()
        },
    )


def _photograph(
    geometry: Geometry,
    condition: RenderedCondition,
    seed: int,
    T_world_ego: NDArray[np.float64],
) -> Picture:
    """Light a scene and take its picture; broken and faithful twins differ in the scene alone."""
    generator = _generator(seed)
    radiance = geometry.radiance(draw_sky(condition, seed), T_world_ego)
    sensor = draw_sensor(condition, _generator(seed, 1))
    weather = draw_precipitation(condition, _generator(seed, 2))
    exposure = AutoExposure(sensor).step(0.0, radiance)
    K = geometry.camera.K
    radiance = fall(radiance, geometry.depth(), K, exposure.time_s, weather, generator)
    return expose(radiance, K, exposure, sensor, generator).numpy()


def _generator(*key: int) -> torch.Generator:
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def _write(path: Path, frame: TwinFrame) -> None:
    """Write whole frames only: a killed run leaves a file of another name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {'clear': frame.clear, 'depth': frame.depth, 'K': frame.K}
    for (shown, condition), twin in frame.twins.items():
        arrays[f'twin {shown} {condition}'] = twin
    for kind, thing in frame.broken.items():
        arrays[f'changed {kind}'] = thing.changed
        arrays[f'depth_m {kind}'] = np.array(thing.depth_m)
    unfinished = path.with_suffix('.unfinished.npz')
    np.savez_compressed(unfinished, **arrays)
    os.replace(unfinished, path)


def _read(path: Path, seed: int) -> TwinFrame:
    with np.load(path) as arrays:
        twins = {
            (shown, condition): arrays[name]
            for shown in (FAITHFUL, *KINDS)
            for condition in TARGETS
            if (name := f'twin {shown} {condition}') in arrays
        }
        broken = {}
        for kind in KINDS:
            if f'changed {kind}' in arrays:
                changed = arrays[f'changed {kind}']
                depth_m = float(arrays[f'depth_m {kind}'])
                broken[kind] = BrokenThing(int(changed.sum()), depth_m, changed)
        return TwinFrame(seed, arrays['clear'], arrays['depth'], arrays['K'], twins, broken)
