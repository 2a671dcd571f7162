"""Lay translated pictures beside their sources, with the gate's verdicts and scores.

A row for each clear frame: the frame, then what was made of it, condition by condition.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.frame_reader import FrameReader
from ssd_depth_core.data.index import read_header, read_lines, SPLITS
from ssd_depth_core.data.manifest import ManifestLine, read_manifest
from ssd_depth_core.data.pictures import read_picture
from ssd_depth_core.data.sources import open_source

from training._cli import run
from training._sheet import BLACK, Colour, scaled, words, wrapped

GREEN: Colour = (0, 120, 0)
RED: Colour = (190, 0, 0)
Show = Literal['all', 'accepted', 'rejected']
Tile = tuple[NDArray[np.uint8], list[tuple[str, Colour]]]
"""A picture and what is written below it."""


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
        description='Lay translated pictures beside their sources, with verdicts and scores.',
        epilog='example: python -m training.translated_sheet translated/nuscenes '
        '--index index/nuscenes --out sheet.png --show rejected',
    )
    parser.add_argument('translated', type=Path, help='as training.translate wrote it')
    parser.add_argument(
        '--index', type=Path, required=True, metavar='DIR', help='that it was translated from'
    )
    parser.add_argument('--out', type=Path, required=True, metavar='PNG', help='where to write')
    parser.add_argument('--frames', type=int, default=6, help='rows (default: %(default)s)')
    parser.add_argument(
        '--show',
        choices=get_args(Show),
        default='all',
        help='frames of which a picture was accepted, or rejected (default: %(default)s)',
    )
    parser.add_argument(
        '--width', type=int, default=320, metavar='PX', help='of a picture (default: %(default)s)'
    )
    args = parser.parse_args(argv)
    sheet = translated_sheet(args.translated, args.index, args.frames, args.width, args.show)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(args.out), sheet[..., ::-1]):
        raise OSError(f'{args.out} could not be written; it must end in .png or .jpg')
    print(f'{sheet.shape[1]} x {sheet.shape[0]} pixels -> {args.out}')
    return 0


def translated_sheet(
    folder: Path, index: Path, frames: int, width: int, show: Show = 'all'
) -> NDArray[np.uint8]:
    """Lay out a folder of translated pictures.

    Args:
        folder: With a manifest.
        index: That the manifest's sources are in.
        frames: Rows at most, evenly spaced over the manifest.
        width: Of each picture on the sheet, pixels.
        show: Whether to take only frames with an accepted, or with a rejected, picture.

    Returns:
        (H, W, 3) RGB.

    Raises:
        FileNotFoundError: If the manifest, the index or a picture is missing.
        ValueError: If a number is not positive, nothing is to be shown, the index is another's, or
            a picture is damaged.
    """
    for name, value in (('--frames', frames), ('--width', width)):
        if value < 1:
            raise ValueError(f'{name} must be >= 1, got {value}')
    made: dict[str, list[ManifestLine]] = defaultdict(list)
    for line in read_manifest(folder):
        made[line.source_id].append(line)
    sources = [
        source
        for source, lines in made.items()
        if show == 'all' or any(line.accepted == (show == 'accepted') for line in lines)
    ]
    if not sources:
        raise ValueError(f'{folder} has no picture to show with --show {show}; take another')
    chosen = np.linspace(0, len(sources) - 1, min(frames, len(sources))).round().astype(int)
    # A column for each picture that some frame has of a condition.
    columns: dict[str, int] = {}
    for lines in made.values():
        for condition, count in _count(lines).items():
            columns[condition] = max(count, columns.get(condition, 0))
    known = {line.id: line for split in SPLITS for line in read_lines(index, split)}
    reader = FrameReader(open_source(read_header(index)), resize='area')
    rows = []
    for source in (sources[number] for number in chosen):
        tiles = [
            None if line is None else _tile(folder, line, width)
            for line in _in_columns(made[source], columns)
        ]
        if source not in known:
            raise ValueError(f'{index} has no frame {source}; name the index of the translation')
        size = next(tile[0].shape[:2] for tile in tiles if tile is not None)
        [picture] = reader.read(known[source], known[source].size, size)
        said = wrapped(source, BLACK, width) + wrapped(made[source][0].caption or '', BLACK, width)
        rows.append(_row([(picture, said), *tiles], width))
    return np.concatenate(rows)


def _count(lines: Sequence[ManifestLine]) -> dict[str, int]:
    conditions = [line.condition for line in lines]
    return {condition: conditions.count(condition) for condition in conditions}


def _in_columns(
    lines: Sequence[ManifestLine], columns: Mapping[str, int]
) -> list[ManifestLine | None]:
    """Put a frame's pictures into the columns of their conditions; None where there is none."""
    placed: list[ManifestLine | None] = []
    for condition, count in columns.items():
        same = [line for line in lines if line.condition == condition]
        placed += [*same, *[None] * (count - len(same))]
    return placed


def _tile(folder: Path, line: ManifestLine, width: int) -> Tile:
    verdict, colour = ('accepted', GREEN) if line.accepted else ('rejected', RED)
    said = wrapped(f'{line.condition}: {verdict}', colour, width)
    for reason in line.reasons:
        said += wrapped(reason, RED, width)
    scores = [f'{name} {score:.2g}' for name, score in line.scores.items()]
    scores += [f'{name} not measured' for name in line.unmeasured]
    said += wrapped(', '.join(scores), BLACK, width)
    return scaled(read_picture(folder / line.path), width), said


def _row(tiles: Sequence[Tile | None], width: int) -> NDArray[np.uint8]:
    """Lay tiles side by side, all as high as the highest; white where there is none."""
    pictures = [np.concatenate([tile[0], words(tile[1], width)]) for tile in tiles if tile]
    row = np.full((max(map(len, pictures)), width * len(tiles), 3), 255, np.uint8)
    places = (number for number, tile in enumerate(tiles) if tile)
    for number, picture in zip(places, pictures, strict=True):
        row[: len(picture), number * width : (number + 1) * width] = picture
    return row


if __name__ == '__main__':
    run(main)
