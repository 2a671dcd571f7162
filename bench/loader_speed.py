"""Time how many triplets a second are read, augmented and batched.

    python bench/loader_speed.py --json docs/results/loader.json

Three JPEGs a triplet to the tensors of a self-supervised step: target, sources, jittered and
normalised inputs, K and poses.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
import shlex
import sys
from tempfile import TemporaryDirectory
import time

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import RenderedCondition
from ssd_depth_core.data.draws import EndlessDraws
from ssd_depth_core.data.frame_reader import Resize, Size
from ssd_depth_core.data.index import FrameSource, IndexLine, Neighbour
from ssd_depth_core.data.loading import make_loader
from ssd_depth_core.data.nuscenes_source import NuScenesSource
from ssd_depth_core.data.triplets import TripletConfig, TripletDataset
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_core.synthdrive.materials import NoiseBank
from ssd_depth_core.synthdrive.random_views import random_pictures
import torch

NUSCENES: Size = (900, 1600)
SMALL: Size = (192, 320)
"""Of the pictures that `render_synthdrive --preset small` writes."""
JPEG_QUALITY = 90
"""Of the pictures that `render_synthdrive` writes."""
NUM_VIEWS = 4
NUM_FILES = 32
"""A drive of them is read over and over, so that files come from memory, not from the disk."""
BATCH_SIZE = 4


class WholePictures:
    """A source that cannot decode at a fraction of the size."""

    def __init__(self, source: FrameSource) -> None:
        """Hide all but the two methods that every source has.

        Args:
            source: What reads.
        """
        self.read_image = source.read_image
        self.read_depth = source.read_depth


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Say what is read and made."""

    pictures: Size
    """(H, W) of the JPEGs, pixels."""
    size: Size
    """(H, W) of the tensors, pixels."""
    resize: Resize = 'area'
    """How pictures are shrunk."""
    wrap: Callable[[FrameSource], FrameSource] | None = None
    """What hides the source's reduced decode; None lets it be used."""


CASES = (
    Case(pictures=SMALL, size=(160, 288)),
    Case(pictures=NUSCENES, size=(160, 288)),
    Case(pictures=NUSCENES, size=(160, 288), wrap=WholePictures),
    Case(pictures=NUSCENES, size=(320, 576)),
    Case(pictures=NUSCENES, size=(320, 576), resize='lanczos'),
)


def render_views(seed: int, size: Size) -> list[NDArray[np.uint8]]:
    """Render pictures of one city by day.

    Args:
        seed: Of the city.
        size: (H, W), pixels.

    Returns:
        `NUM_VIEWS` pictures, (H, W, 3) RGB.
    """
    with torch.inference_mode():
        wanted: tuple[tuple[RenderedCondition, ...], ...] = (('day-clear',),) * NUM_VIEWS
        pictures = random_pictures(seed, wanted, *size, torch.device('cpu'), NoiseBank())
        return [picture.images['day-clear'] for picture in pictures]


def write_drive(root: Path, views: list[NDArray[np.uint8]], size: Size) -> list[IndexLine]:
    """Write pictures one after the other as if a camera had taken them.

    Args:
        root: Where to.
        views: Taken in turn.
        size: (H, W) of the files, pixels.

    Returns:
        Their index; the first and the last frame have one neighbour.
    """
    root.mkdir()
    paths = [f'{number:03d}.jpg' for number in range(NUM_FILES)]
    for number, path in enumerate(paths):
        view = cv2.resize(views[number % NUM_VIEWS], size[::-1], interpolation=cv2.INTER_AREA)
        bgr = cv2.cvtColor(view, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(root / path), bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    pose = tuple(tuple(map(float, row)) for row in np.eye(4))
    frames = [Neighbour(image=path, timestamp_us=0, T_source_target=pose) for path in paths]
    K = ((0.8 * size[1], 0.0, size[1] / 2), (0.0, 0.8 * size[1], size[0] / 2), (0.0, 0.0, 1.0))
    return [
        IndexLine(
            id=str(number),
            scene='bench',
            channel='CAM_FRONT',
            condition='day-clear',
            timestamp_us=0,
            image=path,
            size=size,
            K=K,
            speed_mps=0.0,
            previous=frames[number - 1] if number else None,
            next=frames[number + 1] if number + 1 < NUM_FILES else None,
        )
        for number, path in enumerate(paths)
    ]


def triplets_per_s(dataset: TripletDataset, num_workers: int, num_triplets: int) -> float:
    """Time a loader at work.

    Args:
        dataset: Gives the triplets.
        num_workers: Processes.
        num_triplets: How many are timed, after the workers have started and read ahead.

    Returns:
        The rate.
    """
    loader = make_loader(dataset, EndlessDraws(len(dataset), seed=0), BATCH_SIZE, num_workers)
    batches = iter(loader)
    for _ in range(4 * num_workers):  # twice what they read ahead
        next(batches)
    start = time.perf_counter()
    count = sum(len(batch['number']) for batch in islice(batches, num_triplets // BATCH_SIZE))
    return count / (time.perf_counter() - start)


def cpu_ms_of(dataset: TripletDataset, num_triplets: int) -> float:
    """Take one core's time a triplet, which other work on the machine changes little.

    Args:
        dataset: Gives the triplets.
        num_triplets: How many are timed.

    Returns:
        Milliseconds.
    """
    start = time.process_time()
    for draw in islice(EndlessDraws(len(dataset), seed=0), num_triplets):
        dataset[draw]
    return 1000 * (time.process_time() - start) / num_triplets


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--triplets', type=int, default=400, help='of each case')
    parser.add_argument('--seed', type=int, default=0, help='of the city that is shown')
    parser.add_argument('--workers', type=int, default=2, help='processes of one thread each')
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    views = render_views(options.seed, NUSCENES)
    rows = []
    with TemporaryDirectory() as folder:
        drives = {}
        for size in {case.pictures for case in CASES}:
            root = Path(folder, f'{size[1]}x{size[0]}')
            drives[size] = write_drive(root, views, size), NuScenesSource(root)
        for case in CASES:
            lines, source = drives[case.pictures]
            reader = case.wrap(source) if case.wrap else source
            config = TripletConfig(size=case.size, resize=case.resize)
            dataset = TripletDataset(lines, reader, config)
            stored = sum((source.root / line.image).stat().st_size for line in lines)
            row = {
                'pictures': f'{case.pictures[1]}x{case.pictures[0]}',
                'kb_a_picture': round(stored / len(lines) / 1000),
                'tensors': f'{case.size[1]}x{case.size[0]}',
                'resize': case.resize,
                'decode': 'whole' if case.wrap else 'no more than needed',
                'triplets_per_s': round(
                    triplets_per_s(dataset, options.workers, options.triplets), 1
                ),
                'core_ms_a_triplet': round(cpu_ms_of(dataset, options.triplets // 4), 1),
            }
            rows.append(row)
            print(*row.values(), sep='  ', flush=True)
    if options.json:
        result = Result(
            title='Reading triplets',
            command=shlex.join(['python', 'bench/loader_speed.py', *arguments]),
            seed=options.seed,
            data=f'synthetic: {NUM_FILES} JPEGs of {NUM_VIEWS} rendered views, in the page cache',
            rows=tuple(rows),
            notes=(
                f'{options.workers} worker processes of one thread, batches of {BATCH_SIZE}, with '
                'jitter and flip, without noise and depth. The core time is that of one process, '
                'without handing batches over.'
            ),
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
