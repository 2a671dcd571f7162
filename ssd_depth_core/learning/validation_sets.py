"""What a training on an index is validated on, and what its checkpoint says of its data."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.data.index import IndexHeader, IndexLine
from ssd_depth_core.data.sources import open_source
from ssd_depth_core.data.triplets import TripletConfig, TripletDataset
from ssd_depth_core.learning.training import spread
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.models.depth_net import DepthNetConfig
import torch
from torch.utils.data import Dataset


def validation_sets(
    header: IndexHeader,
    lines: Sequence[IndexLine],
    model: DepthNetConfig | ModelSpec,
    data: TripletConfig,
    num_frames: int,
    *,
    truth: bool = True,
) -> dict[str, Dataset[dict[str, torch.Tensor]]]:
    """Give the validation frames of each condition, with truth, as a network sees them.

    Args:
        header: Of the index.
        lines: Of its validation split.
        model: Gives size, mean and std of the input.
        data: Of the training: how pictures are shrunk, and what broken files do.
        num_frames: Of each condition, spread evenly.
        truth: Whether it comes along, as `run_training` asks for; without it pictures alone are
            read.

    Returns:
        By condition; truth is exact where the set was rendered, and LiDAR's otherwise.

    Raises:
        ValueError: If there are no frames.
    """
    source: Literal['exact', 'lidar'] = 'exact' if all(x.exact_depth for x in lines) else 'lidar'
    plain = replace(
        data.plain(),
        size=(model.input_height, model.input_width),  # K and truth at the network's own size
        input_size=None,
        mean=model.mean,
        std=model.std,
        neighbours=False,
        depth=source if truth else 'none',
    )
    sets: dict[str, Dataset[dict[str, torch.Tensor]]] = {}
    for condition in CONDITIONS:
        frames = [line for line in lines if line.condition == condition]
        if frames:
            some = spread(frames, num_frames)
            sets[condition] = _InOrder(
                TripletDataset(some, open_source(header), plain, Path(header.root))
            )
    if not sets:
        raise ValueError(
            'the index has no validation frames; index again with validation scenes, see '
            'docs/data.md'
        )
    return sets


def describe_index(header: IndexHeader, index: Path, lines: Sequence[IndexLine]) -> str:
    """Say what weights have seen, for their checkpoint.

    Args:
        header: Of the index.
        index: Its folder.
        lines: The frames that were trained on.

    Returns:
        A phrase without end; rendered frames are called synthetic.
    """
    rendered = 'synthetic: rendered, ' if any(line.exact_depth for line in lines) else ''
    conditions = ', '.join(c for c in CONDITIONS if any(line.condition == c for line in lines))
    scenes = len({line.scene for line in lines})
    return (
        f'{rendered}{len(lines)} frames ({conditions}) of {scenes} scenes in {header.format} '
        f'format, index {index}'
    )


class _InOrder(Dataset[dict[str, torch.Tensor]]):
    """Give samples by their number alone, which is enough where nothing is random."""

    def __init__(self, dataset: TripletDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        return self.dataset[number, 0]
