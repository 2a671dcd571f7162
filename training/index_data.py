"""Index a data set: list its frames by split, and say what was left out.

A folder of nuScenes' or RobotCar's format, or of rendered views, is recognised by what lies in it.
Every later stage reads the index only.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.config import to_dict
from ssd_depth_core.data.index import (
    IndexHeader,
    IndexLine,
    SourceFormat,
    Split,
    SPLITS,
    write_index,
)
from ssd_depth_core.data.index_counts import (
    Count,
    nuscenes_counts,
    require_paper_options,
    robotcar_counts,
)
from ssd_depth_core.data.nuscenes import only_version
from ssd_depth_core.data.nuscenes_index import index_nuscenes, NuScenesIndexConfig
from ssd_depth_core.data.rendered_index import index_rendered, RenderedIndexConfig
from ssd_depth_core.data.robotcar_index import index_robotcar, RobotCarIndexConfig
from ssd_depth_core.data.sources import format_of

from training._cli import config_of, run, stage_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        0; 1 where `--check-counts` finds other counts than published.

    Raises:
        FileNotFoundError: If the data set or a file of it is missing.
        ValueError: If it is damaged or contradicts itself, no frame is left, or the config asks
            for other frames than the published counts are of.
    """
    parser = stage_parser(
        'List the frames of a data set by split.',
        'python -m training.index_data --config config/data/index_nuscenes.yaml '
        '--data /data/nuscenes --out index/nuscenes --check-counts',
        with_device=False,
    )
    parser.add_argument(
        '--data', type=Path, required=True, metavar='DIR', help='the data set; see docs/data.md'
    )
    parser.add_argument(
        '--check-counts',
        action='store_true',
        help='compare with the published counts; another count ends with status 1',
    )
    parser.add_argument(
        '--check-files',
        action='store_true',
        help='nuScenes: decode every picture once, to find the broken ones',
    )
    args = parser.parse_args(argv)
    source_format = format_of(args.data)
    if args.check_files:
        if source_format != 'nuscenes':
            raise ValueError(f'--check-files is for nuScenes; {args.data} is {source_format}')
        args.set.append('check_files=true')
    indexed = _INDEXERS[source_format](args)
    lines = indexed.lines
    header = IndexHeader(
        format=source_format,
        root=str(args.data.resolve()),
        options=to_dict(indexed.config),
        kept={
            split: dict(Counter(sorted((line.condition for line in lines[split]), key=_PLACE)))
            for split in SPLITS
        },
        dropped=indexed.dropped,
    )
    _print_frames(header)
    if not any(lines.values()):
        raise ValueError(f'no frame of {args.data} is left; see above what was dropped, and why')
    write_index(args.out, header, lines)
    print(f'\n{sum(map(len, lines.values())):,} frames -> {args.out}')
    return _print_counts(indexed.counts) if args.check_counts else 0


@dataclass(frozen=True, slots=True)
class _Indexed:
    config: Any
    """Resolved."""
    lines: dict[Split, list[IndexLine]]
    dropped: dict[str, int]
    """Frames left out, by reason."""
    counts: Sequence[Count] = ()
    """To compare with published ones."""


def _nuscenes(args: argparse.Namespace) -> _Indexed:
    config = config_of(NuScenesIndexConfig, args)
    config = replace(config, version=config.version or only_version(args.data))
    if args.check_counts:
        require_paper_options(config)
    lines, dropped = index_nuscenes(args.data, config)
    return _Indexed(config, lines, dropped, nuscenes_counts(lines))


def _robotcar(args: argparse.Namespace) -> _Indexed:
    config = config_of(RobotCarIndexConfig, args)
    if args.check_counts:
        require_paper_options(config)
    lines, dropped = index_robotcar(args.data, config)
    return _Indexed(config, lines, dropped, robotcar_counts(lines, dropped))


def _rendered(args: argparse.Namespace) -> _Indexed:
    config = config_of(RenderedIndexConfig, args)
    if args.check_counts:
        raise ValueError('no counts of rendered views are published; leave --check-counts out')
    return _Indexed(config, *index_rendered(args.data, config))


_INDEXERS: dict[SourceFormat, Callable[[argparse.Namespace], _Indexed]] = {
    'nuscenes': _nuscenes,
    'robotcar': _robotcar,
    'rendered': _rendered,
}

_PLACE = CONDITIONS.index


def _print_frames(header: IndexHeader) -> None:
    """Print what was kept by split and condition, and what was dropped by reason."""
    conditions = [c for c in CONDITIONS if any(c in kept for kept in header.kept.values())]
    rows = [
        (condition, *(header.kept[split].get(condition, 0) for split in SPLITS))
        for condition in conditions
    ]
    totals = (sum(header.kept[split].values()) for split in SPLITS)
    _print_table(('frames', *SPLITS), [*rows, ('all', *totals)])
    if header.dropped:
        print()
        _print_table(('dropped', 'frames'), list(header.dropped.items()))


def _print_counts(counts: Sequence[Count]) -> int:
    """Print published and own counts; give the status that the stage ends with."""
    print()
    _print_table(
        ('--check-counts', 'expected', 'got', 'difference'),
        [(c.what, c.expected, c.got, c.got - c.expected) for c in counts],
    )
    if all(count.got == count.expected for count in counts):
        return 0
    print('\nNot the published frames: is the copy complete, and are these its own splits?')
    return 1


def _print_table(head: Sequence[str], rows: Sequence[tuple[str | int, ...]]) -> None:
    texts = [head, *([f'{c:,}' if isinstance(c, int) else c for c in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for first, *others in texts:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        print('  '.join((first.ljust(widths[0]), *cells)))


if __name__ == '__main__':
    run(main)
