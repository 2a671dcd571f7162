"""Lay pictures of a rendered nuScenes-format set out on one sheet.

A row for each condition of one street, a column for each instant, and a last row of exact depth.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.nuscenes import NuScenes, SceneRecord
from ssd_depth_core.data.pictures import read_coded_depth, read_picture
from ssd_depth_core.exact_depth import decode_exact_depth

from training._cli import run
from training._sheet import BLACK, scaled, words

NEAR_M, FAR_M = 2.0, 80.0
"""Ends of the colours of depth, which are even in the logarithm."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        0.

    Raises:
        OSError: If the sheet cannot be written.
    """
    parser = argparse.ArgumentParser(
        description='Lay pictures of a rendered set out on one sheet.',
        epilog='example: python -m training.contact_sheet synthdrive_data/small --out sheet.png',
    )
    parser.add_argument('dataset', type=Path, help='rendered in nuScenes format')
    parser.add_argument('--out', type=Path, required=True, metavar='PNG', help='where to write')
    parser.add_argument('--street', metavar='NAME', help='e.g. street-210000 (default: the first)')
    parser.add_argument('--channel', default='CAM_FRONT', help='camera (default: %(default)s)')
    parser.add_argument('--columns', type=int, default=5, help='instants (default: %(default)s)')
    parser.add_argument('--width', type=int, metavar='PX', help='of a picture (default: its own)')
    args = parser.parse_args(argv)
    sheet = contact_sheet(args.dataset, args.channel, args.columns, args.street, args.width)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(args.out), sheet[..., ::-1]):
        raise OSError(f'{args.out} could not be written; it must end in .png or .jpg')
    print(f'{sheet.shape[1]} x {sheet.shape[0]} pixels -> {args.out}')
    return 0


def contact_sheet(
    root: Path, channel: str, columns: int, street: str | None = None, width: int | None = None
) -> NDArray[np.uint8]:
    """Lay out a street's pictures.

    Args:
        root: A rendered set in nuScenes format.
        channel: Of the camera.
        columns: Instants, evenly spaced from the first to the last.
        street: Beginning of the scenes' names; None: that of the first scene.
        width: Of each picture on the sheet, pixels; None: as rendered.

    Returns:
        (H, W, 3) RGB.

    Raises:
        ValueError: If there is no such street or camera, or a number is not positive.
    """
    if columns < 1:
        raise ValueError(f'--columns must be >= 1, got {columns}')
    if width is not None and width < 1:
        raise ValueError(f'--width must be >= 1, got {width}')
    data = NuScenes(root)
    scenes = _twins(data.scenes, street)
    rows, depths = [], []
    for scene in scenes:
        records = data.records(scene, [channel])
        if not records:
            raise ValueError(f'{scene.name} in {root} has no camera {channel}')
        chosen = np.linspace(0, len(records) - 1, columns).round().astype(int)
        paths = [records[i].path for i in chosen]
        rows.append((scene.name, [read_picture(path) for path in paths]))
        depths = [root / 'exact_depth' / channel / f'{path.stem}.png' for path in paths]
    rows.append(
        (
            f'depth, {NEAR_M:g} m (red) to {FAR_M:g} m (blue)',
            [_coloured(decode_exact_depth(read_coded_depth(p))) for p in depths],
        )
    )
    return np.concatenate(
        [_row(label, [scaled(picture, width) for picture in row]) for label, row in rows]
    )


def _twins(scenes: Sequence[SceneRecord], street: str | None) -> list[SceneRecord]:
    """Choose the scenes of one street: their names differ behind the second part."""
    street = street or '-'.join(scenes[0].name.split('-')[:2])
    found = [scene for scene in scenes if scene.name.startswith(f'{street}-')]
    if not found:
        known = ', '.join(scene.name for scene in scenes[:10])
        raise ValueError(f'there is no street {street!r}; the first scenes are {known}')
    return found


def _coloured(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Paint depth: red near, blue far, black the sky."""
    far = np.log(np.clip(depth, NEAR_M, FAR_M) / NEAR_M) / np.log(FAR_M / NEAR_M)
    levels = np.rint(255 * (1 - far)).astype(np.uint8)
    painted = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[..., ::-1].copy()
    painted[np.isposinf(depth)] = 0
    return painted


def _row(label: str, pictures: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    strip = np.concatenate(pictures, axis=1).astype(np.uint8)
    return np.concatenate([words([(label, BLACK)], strip.shape[1]), strip])


if __name__ == '__main__':
    run(main)
