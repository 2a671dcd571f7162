"""Lay procedural translations of rendered clear frames beside their rendered twins.

    python -m bench.gdt_pictures --index index/synthdrive --out docs/images/gdt_procedural.jpg

Two rows a street: on top the clear frame, and what `ProceduralTranslator` makes of it by its exact
depth; below, the same instant as SynthDrive renders it in the conditions that it knows.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.config import load_yaml
from ssd_depth_core.data.appearances import instant_of
from ssd_depth_core.data.index import read_header, read_lines, Split, SPLITS
from ssd_depth_core.data.sources import open_source
from ssd_depth_core.gdt.exact_frames import ExactDepth
from ssd_depth_core.gdt.procedural import ProceduralTranslator
from ssd_depth_core.gdt.recipe import TranslateConfig
from ssd_depth_core.gdt.translator import Request

CONFIG = Path(__file__).parents[1] / 'config' / 'gdt' / 'procedural.yaml'
LABEL_PX = 14
"""Height of the line above the sheet's columns."""
JPEG_QUALITY = 85
"""At which a sheet of two streets is a quarter of a megabyte."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        0.

    Raises:
        OSError: If the sheet cannot be written.
    """
    parser = argparse.ArgumentParser(description='Lay procedural translations beside twins.')
    parser.add_argument('--index', type=Path, required=True, help='of a rendered nuScenes set')
    parser.add_argument('--split', default='test', choices=SPLITS, help='(default: %(default)s)')
    parser.add_argument('--frames', type=int, nargs='+', default=[3, 60], help='clear ones')
    parser.add_argument('--out', type=Path, required=True, metavar='JPG', help='where to write')
    args = parser.parse_args(argv)
    sheet = translation_sheet(args.index, args.split, args.frames)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(args.out), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
        raise OSError(f'{args.out} could not be written; it must end in .jpg or .png')
    print(f'{sheet.shape[1]} x {sheet.shape[0]} pixels -> {args.out}')
    return 0


def translation_sheet(index: Path, split: Split, frames: Sequence[int]) -> NDArray[np.uint8]:
    """Translate and lay out.

    Args:
        index: Folder of a rendered set's index.
        split: Of the index.
        frames: Which of its clear frames, counted from 0; the number is the picture's seed too.

    Returns:
        (H, W, 3) RGB.

    Raises:
        ValueError: If there are fewer clear frames, or one's depth is missing.
    """
    config = load_yaml(TranslateConfig, CONFIG)
    translator = ProceduralTranslator(config.procedural, config.conditions)
    header = read_header(index)
    source, depth = open_source(header), ExactDepth(Path(header.root))
    lines = read_lines(index, split)
    clear = [line for line in lines if line.condition == 'day-clear']
    if not frames or not 0 <= min(frames) <= max(frames) < len(clear):
        raise ValueError(f'--frames must be in 0..{len(clear) - 1}, got {list(frames)}')
    twins = {(instant_of(line), line.condition): line for line in lines}
    rows = []
    for number in frames:
        line = clear[number]
        picture, estimated = source.read_image(line), depth.read(line)
        requests = [
            Request(
                picture=picture,
                depth=estimated,
                K=np.array(line.K),
                condition=condition,
                caption=None,
                seed=number,
            )
            for condition in config.conditions
        ]
        made = translator.translate(requests)
        rows.append([picture, *(translation.picture for translation in made)])  # type: ignore[union-attr]
        rendered = [twins.get((instant_of(line), condition)) for condition in config.conditions]
        blank = np.full_like(picture, 255)
        rows.append([picture, *(source.read_image(twin) if twin else blank for twin in rendered)])
    pictures = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    labels = ['day-clear', *config.conditions]
    head = np.full((LABEL_PX, pictures.shape[1], 3), 255, np.uint8)
    for column, label in enumerate(labels):
        left = column * pictures.shape[1] // len(labels) + 2
        font, black = cv2.FONT_HERSHEY_SIMPLEX, (0, 0, 0)
        cv2.putText(head, label, (left, LABEL_PX - 4), font, 0.4, black, 1, cv2.LINE_AA)
    return np.concatenate([head, pictures])


if __name__ == '__main__':
    sys.exit(main())
