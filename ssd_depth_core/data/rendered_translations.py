"""Translated pictures of a rendered set's views, beside those that were rendered."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from ssd_depth_core.checks import check_file
from ssd_depth_core.data.manifest import read_manifest
from ssd_depth_core.data.rendered import Frame
from ssd_depth_core.data.rendered_index import line_id
import yaml

CLEAR = 'day-clear'
"""What is translated."""
_Pictures = defaultdict[tuple[Path, str], defaultdict[str, list[Path]]]
"""By data set and index line, then by condition."""


def with_translations(
    frames: list[Frame], folders: list[Path], only_accepted: bool = True
) -> list[Frame]:
    """Give frames the pictures that were translated from them and not rendered.

    Args:
        frames: Of one or more sets.
        folders: As `training.translate` wrote them, each of an index of one of the sets.
        only_accepted: Whether the gate's verdict counts.

    Returns:
        The same frames in the same order, with what there is.

    Raises:
        FileNotFoundError: If a folder has no manifest, or no record of what it was made from.
        ValueError: If it breaks the form, was made from another set, or has no picture that the
            frames lack.
    """
    pictures: _Pictures = defaultdict(lambda: defaultdict(list))
    roots = {frame.folder: frame.folder.resolve() for frame in frames}
    for folder in folders:
        root = _source_of(folder)
        if root not in roots.values():
            raise ValueError(
                f'{folder} was translated from {root}, which is not among the training sets '
                f'{", ".join(map(str, roots))}; give that set too, or, if it was moved, put it '
                'back or translate again'
            )
        for line in read_manifest(folder):
            if line.accepted or not only_accepted:
                pictures[root, line.source_id][line.condition].append(folder / line.path)
    given = [
        _given(frame, pictures[roots[frame.folder], line_id(frame, CLEAR)]) for frame in frames
    ]
    if folders and not any(frame.translated for frame in given):
        raise ValueError(
            f'{", ".join(map(str, folders))} hold no picture that the training views lack; '
            'translate the split train of their index, or set only_accepted to false if the gate '
            'rejected all'
        )
    return given


def _given(frame: Frame, made: dict[str, list[Path]]) -> Frame:
    """Give a frame what was not rendered of it: a rendered picture is better than a made one."""
    lacking = {name: made[name] for name in made if name not in frame.line.conditions}
    return replace(frame, translated={name: tuple(paths) for name, paths in lacking.items()})


def _source_of(folder: Path) -> Path:
    """Read which data set a folder's pictures were made from."""
    path = folder / 'config.yaml'
    check_file(path, 'record of a translation', 'translate with `python -m training.translate`')
    record = yaml.safe_load(path.read_text())
    try:
        return Path(record['data']['root']).resolve()
    except (KeyError, TypeError):
        raise ValueError(
            f'{path} must say data.root, what was translated; translate into another folder'
        ) from None
