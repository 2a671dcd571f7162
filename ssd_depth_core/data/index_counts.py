"""How many frames a whole copy gives, so that a copy with gaps is found before it is trained on.

The counts are those that md4all, SSD, Tosi et al. and RoSAMDepth report for the same frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssd_depth_core.data.index import IndexLine, Split
from ssd_depth_core.data.nuscenes_index import NuScenesIndexConfig
from ssd_depth_core.data.robotcar_index import RobotCarIndexConfig

TRAINING: tuple[Split, ...] = ('train', 'validation')
"""What the papers train on."""
ROBOTCAR_FILTERS = ('train: static', 'train: over-exposed', 'train: exposure jump')
"""Reasons of `index_robotcar` that md4all filters its training list by."""

Lines = Mapping[Split, Sequence[IndexLine]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """Compare one count with the published one."""

    what: str
    """Which frames."""
    expected: int
    """As published."""
    got: int
    """In the index."""


def require_paper_options(config: NuScenesIndexConfig | RobotCarIndexConfig) -> None:
    """Require the papers' values of the fields by which the number of frames changes.

    Args:
        config: An index is to be made with; the version of nuScenes' tables is filled in.

    Raises:
        ValueError: If a field has another value; the message names all of them.
    """
    papers: NuScenesIndexConfig | RobotCarIndexConfig
    if isinstance(config, NuScenesIndexConfig):
        papers = NuScenesIndexConfig(version='v1.0-trainval')
        names = ('version', 'channels', 'key_frames_only', 'train_conditions', 'min_speed_mps')
    else:
        papers = RobotCarIndexConfig()
        names = (
            *('conditions', 'train_conditions', 'require_neighbours'),
            *('drop_static', 'drop_exposure'),
        )
        if not config.split_files:
            raise ValueError(
                'the published counts are of the published lists; name them in `split_files`'
            )
    wrong = [name for name in names if getattr(config, name) != getattr(papers, name)]
    if wrong:
        raise ValueError(
            'the published counts are of other frames; for --check-counts set '
            + ', '.join(
                f'{name} to {getattr(papers, name)!r} (is {getattr(config, name)!r})'
                for name in wrong
            )
        )


def nuscenes_counts(lines: Lines) -> tuple[Count, ...]:
    """Compare an index of nuScenes' CAM_FRONT.

    Args:
        lines: Of an index with `require_paper_options`.

    Returns:
        The counts.
    """
    # Validation keeps what training drops; the papers train on both of our splits.
    min_speed_mps = NuScenesIndexConfig().min_speed_mps
    day = sum(
        line.condition == 'day-clear'
        and line.previous is not None
        and line.next is not None
        and line.speed_mps is not None
        and line.speed_mps >= min_speed_mps
        for split in TRAINING
        for line in lines[split]
    )
    test = [line.condition for line in lines['test']]
    night = test.count('night') + test.count('night-rain')
    return (
        Count(what='train + validation, day-clear, moving', expected=15129, got=day),
        Count(what='test, day-clear', expected=4449, got=test.count('day-clear')),
        Count(what='test, night and night-rain', expected=602, got=night),
        Count(what='test, day-rain', expected=968, got=test.count('day-rain')),
        Count(what='test, all', expected=6019, got=len(test)),
    )


def robotcar_counts(lines: Lines, dropped: Mapping[str, int]) -> tuple[Count, ...]:
    """Compare an index of RobotCar's two traversals by md4all's lists.

    Args:
        lines: Of an index with `require_paper_options`.
        dropped: How many frames were left out, by reason.

    Returns:
        The counts.
    """
    # A list for validation is left as it is by md4all; the published counts are of the other.
    training = len(lines['train'])
    filtered = sum(dropped.get(reason, 0) for reason in ROBOTCAR_FILTERS)
    test = [line.condition for line in lines['test']]
    return (
        Count(what='train, unfiltered', expected=17790, got=training + filtered),
        Count(what='train', expected=16563, got=training),
        Count(what='test, day-clear', expected=702, got=test.count('day-clear')),
        Count(what='test, night', expected=709, got=test.count('night')),
    )
