"""Chain RobotCar's visual odometry: `vo/vo.csv` in, the car's motion between any two instants out.

A row says how the car moved between two pictures: the pose of `source` (the later picture) in the
vehicle frame at `destination` (the earlier one), as the dataset's own tools chain it.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_file
from ssd_depth_core.geometry.pose import interpolate_poses, invert, transform_from_euler

HEADER = ['source_timestamp', 'destination_timestamp', 'x', 'y', 'z', 'roll', 'pitch', 'yaw']

_REMEDY = "download the traversal's `vo` archive again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """Hold poses that follow from one another without a gap."""

    stamps_us: NDArray[np.int64]
    """(N,), N >= 2, strictly increasing."""
    T_start_vehicle: NDArray[np.float64]
    """(N, 4, 4), in the vehicle frame at the chain's first instant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VisualOdometry:
    """Hold a traversal's motion."""

    chains: tuple[Chain, ...]
    """In the order of time, without overlap; more than one where rows are missing."""

    def relative_poses(self, origin_us: int, at_us: NDArray[np.int64]) -> NDArray[np.float64]:
        """Say where the car was, seen from where it was at one instant.

        Args:
            origin_us: That instant.
            at_us: Instants asked for, (M,).

        Returns:
            `T_origin_vehicle`, (M, 4, 4); NaN for an instant that no chain links to the origin.
        """
        poses = np.full((len(at_us), 4, 4), np.nan)
        for chain in self.chains:
            first, last = chain.stamps_us[[0, -1]]
            if first <= origin_us <= last:
                linked = (first <= at_us) & (at_us <= last)
                T_start_all = interpolate_poses(
                    chain.stamps_us,
                    chain.T_start_vehicle,
                    np.concatenate(([origin_us], at_us[linked])),
                )
                poses[linked] = invert(T_start_all[0]) @ T_start_all[1:]
                break
        return poses


def read_visual_odometry(path: Path) -> VisualOdometry:
    """Read and chain a traversal's visual odometry.

    Args:
        path: `vo/vo.csv`.

    Returns:
        At least one chain; a new one begins wherever a row does not start where the last ended.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, has other columns, no row, or a row that is no motion
            forwards in time.
    """
    check_file(path, 'visual odometry', _REMEDY)
    with path.open(newline='') as file:
        rows = csv.reader(file)
        header = [name.strip() for name in next(rows)]
        if header != HEADER:
            raise ValueError(f'{path} must have the columns {HEADER}, got {header}; {_REMEDY}')
        stamps: list[list[int]] = []
        poses: list[list[NDArray[np.float64]]] = []
        for row in rows:
            try:
                source, destination = int(row[0]), int(row[1])
                T_destination_source = transform_from_euler([float(text) for text in row[2:]])
            except (ValueError, IndexError) as error:
                raise ValueError(f'{path}:{rows.line_num}: {row}: {error}; {_REMEDY}') from None
            last = stamps[-1][-1] if stamps else None
            if not (last or 0) <= destination < source:
                raise ValueError(
                    f'{path}:{rows.line_num}: rows must go forwards in time, from '
                    f'destination_timestamp to source_timestamp, got {destination} to {source} '
                    f'after {last}; {_REMEDY}'
                )
            if destination != last:
                stamps.append([destination])
                poses.append([np.eye(4)])
            stamps[-1].append(source)
            poses[-1].append(poses[-1][-1] @ T_destination_source)
    if not stamps:
        raise ValueError(f'{path} has no row below its header; {_REMEDY}')
    return VisualOdometry(
        chains=tuple(
            Chain(stamps_us=np.array(s, np.int64), T_start_vehicle=np.stack(p))
            for s, p in zip(stamps, poses, strict=True)
        )
    )
