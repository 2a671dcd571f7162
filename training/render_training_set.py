"""Render pictures of random cameras in random cities, with exact depth, to train a student on.

Writes `frames.jsonl`, `<condition>/<id>.jpg`, `depth/<id>.png` and, where the config asks for it,
`classes/<id>.png` (see `data/rendered.py`); `config.yaml` says how. Cities are numbered from the
seed on; every 25th, unless the config says otherwise, is for validation and shown in every
condition. Killed at any instant, the next run renders the cities that are missing. The number of
workers changes no byte of a view.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import json
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import RenderedCondition
from ssd_depth_core.config import read_yaml, to_dict
from ssd_depth_core.exact_depth import encode_exact_depth
from ssd_depth_core.synthdrive.materials import NoiseBank
from ssd_depth_core.synthdrive.random_views import random_pictures, VIEWS_PER_CITY
from ssd_depth_core.synthdrive.terrain import draw_terrain, FLAT
import torch
from tqdm import tqdm
import yaml

from training._cli import config_of, device_of, run, stage_parser

JPEG_QUALITY = 95
MAY_CHANGE = frozenset({'seed', 'num_cities', 'classes', 'num_workers'})
"""What a set may go on with: other cities, classes added; how fast, which changes no view."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSetConfig:
    """Say how much is rendered."""

    seed: int = 0
    """Number of the first city."""
    num_cities: int
    """Each gives 6 views; the set grows by raising this number."""
    height: int = 192
    """Of the pictures, pixels."""
    width: int = 320
    """Of the pictures, pixels."""
    queue_odds: float = 0.0
    """Probability that a car stands 2.5 to 7 m ahead of the camera's, as at a red light."""
    terrain: Literal['flat', 'hilly'] = 'flat'
    """Whether roads are straight and level, or bend and climb."""
    conditions: tuple[RenderedCondition, ...] = ('day-clear', 'night', 'day-rain')
    """Validation views are shown in all of them, training views in one each, in turn."""
    classes: bool = False
    """Whether each view's classes are written; a set rendered without them is rendered again."""
    validation_every: int = 25
    """Cities whose number is a multiple of it are for validation; 1: all of them."""
    num_workers: int = 2
    """Processes, one thread each; 1 on a GPU."""

    def __post_init__(self) -> None:
        """Validate the numbers.

        Raises:
            ValueError: If one is not positive, or a condition is missing or comes twice.
        """
        counts = (
            self.num_cities,
            self.height,
            self.width,
            self.validation_every,
            self.num_workers,
        )
        if min(counts) < 1 or self.seed < 0:
            raise ValueError(f'numbers must be >= 1 and the seed >= 0, got {self}')
        if not 0 <= self.queue_odds <= 1:
            raise ValueError(f'queue_odds must be in [0, 1], got {self.queue_odds}')
        if not self.conditions or len(set(self.conditions)) < len(self.conditions):
            raise ValueError(f'conditions must be one or more, each once, got {self.conditions}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        Exit status.
    """
    parser = stage_parser(
        'Render a training set of random views with exact depth.',
        'python -m training.render_training_set --config config/data/random_views.yaml '
        '--out synthdrive_data/train',
    )
    args = parser.parse_args(argv)
    config = config_of(TrainingSetConfig, args)
    _begin(args.out, config)
    for folder in ('depth', *(('classes',) if config.classes else ()), *config.conditions):
        (args.out / folder).mkdir(parents=True, exist_ok=True)
    index = args.out / 'frames.jsonl'
    done = _finished_cities(index, config)
    cities = range(config.seed, config.seed + config.num_cities)
    jobs = [(city, config, args.out, device_of(args)) for city in cities if city not in done]
    # `spawn`: a forked torch deadlocks in its thread pool. `imap`: the index is written in the
    # cities' order, so that the number of workers changes no byte.
    with get_context('spawn').Pool(config.num_workers) as pool, index.open('a') as file:
        rendered = pool.imap(_render_city, jobs)
        for lines in tqdm(rendered, total=len(jobs), unit='city', mininterval=5.0):
            file.write(''.join(json.dumps(line) + '\n' for line in lines))
            file.flush()
    print(f'frames: {index}')
    return 0


def _begin(root: Path, config: TrainingSetConfig) -> None:
    """Record what views are rendered, or require that those there are such ones."""
    path, wanted = root / 'config.yaml', to_dict(config)
    if path.exists():
        begun = read_yaml(path)
        differences = [
            f'{name} {begun.get(name)!r} there, {value!r} here'
            for name, value in wanted.items()
            if name not in MAY_CHANGE and begun.get(name) != value
        ]
        if differences:
            raise ValueError(
                f'{root} was begun with another config: {"; ".join(differences)}; '
                'take the same again, or another --out'
            )
    root.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix('.partial')
    partial.write_text(yaml.safe_dump(wanted, sort_keys=False))
    partial.replace(path)


def _finished_cities(index: Path, config: TrainingSetConfig) -> set[int]:
    """Read which cities have all that is asked for, and drop the lines of the others."""
    if not index.exists():
        return set()
    text = index.read_text()
    lines = [line for line in text.splitlines(keepends=True) if line.endswith('\n')]
    names = [json.loads(line)['id'].split('_') for line in lines]
    done = {
        int(city)
        for city, view in names
        if int(view) == VIEWS_PER_CITY - 1
        and (not config.classes or (index.parent / 'classes' / f'{city}_{view}.png').exists())
    }
    whole = ''.join(
        line for line, (city, _) in zip(lines, names, strict=True) if int(city) in done
    )
    if whole != text:
        repaired = index.with_suffix('.repaired')
        repaired.write_text(whole)
        repaired.replace(index)
    return done


def _render_city(job: tuple[int, TrainingSetConfig, Path, str]) -> list[dict[str, object]]:
    """Render and write one city, and give its index lines."""
    city, config, out, device_name = job
    torch.set_num_threads(1)
    device = torch.device(device_name)
    validation = city % config.validation_every == 0
    # One condition a training view: a new street teaches more than a twin of an old one.
    shown = config.conditions
    wanted = tuple(
        shown if validation else (shown[(view + city) % len(shown)],)
        for view in range(VIEWS_PER_CITY)
    )
    lines: list[dict[str, object]] = []
    with torch.inference_mode():
        noise = NoiseBank(device=device)
        size = (config.height, config.width)
        terrain = FLAT if config.terrain == 'flat' else draw_terrain(city)
        pictures = random_pictures(city, wanted, *size, device, noise, config.queue_odds, terrain)
        for view, picture in enumerate(pictures):
            name = f'{city:06d}_{view}'
            coded = encode_exact_depth(picture.depth)
            _write(out / 'depth' / f'{name}.png', coded, [])
            if config.classes:
                _write(out / 'classes' / f'{name}.png', picture.classes, [])
            for condition, image in picture.images.items():
                quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
                _write(out / condition / f'{name}.jpg', image[..., ::-1], quality)
            lines.append(
                {
                    'schema_version': 1,
                    'id': name,
                    'K': picture.view.K.tolist(),
                    'split': 'validation' if validation else 'train',
                    'conditions': list(picture.images),
                }
            )
    return lines


def _write(path: Path, picture: NDArray[np.integer], options: list[int]) -> None:
    """Write a picture, or stop: OpenCV alone would go on over a full disk."""
    if not cv2.imwrite(str(path), picture, options):
        raise OSError(f'picture {path} could not be written; is the disk full?')


if __name__ == '__main__':
    run(main)
