"""Which scenes of a nuScenes-format data set train, validate and test.

`v1.0-trainval` and `v1.0-mini` go by the official lists: the official validation scenes, on which
the field reports, are our `test`; our `validation`, on which checkpoints are chosen, is a fixed
share of the official training scenes. A rendered set says it itself, in `<root>/splits.json`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
from typing import Literal

from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.config import from_dict
from ssd_depth_core.data.index import Split

_OFFICIAL_LISTS = {'v1.0-trainval': ('train', 'val'), 'v1.0-mini': ('mini_train', 'mini_val')}
"""By version: two of mini's training scenes are trainval's validation scenes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedSplits:
    """Hold `splits.json` of a rendered set."""

    schema_version: Literal[1]
    """Of the file's form."""
    splits: dict[str, Split]
    """By scene; all conditions of one street are in the same split."""

    def __post_init__(self) -> None:
        """Keep streets together.

        Raises:
            ValueError: If the twins of one street are in different splits.
        """
        by_street: dict[str, tuple[str, Split]] = {}
        for scene, split in self.splits.items():
            other, other_split = by_street.setdefault(street_of(scene), (scene, split))
            if split != other_split:
                raise ValueError(
                    f'{other} is for {other_split} and its twin {scene} for {split}; '
                    'give all conditions of a street the same split'
                )


def official_scenes(name: Literal['train', 'val', 'mini_train', 'mini_val']) -> tuple[str, ...]:
    """List the scenes of an official split.

    Args:
        name: As nuscenes-devkit calls it.

    Returns:
        Names, sorted.
    """
    numbers = json.loads(Path(__file__).with_name('nuscenes_scenes.json').read_text())[name]
    return tuple(f'scene-{number:04d}' for number in numbers)


def split_scenes(
    root: Path,
    version: str,
    scenes: Sequence[str],
    *,
    validation_share: float,
    default_split: Split | None = None,
) -> dict[str, Split]:
    """Tell the split of every scene.

    Args:
        root: The data set's folder; `splits.json` in it comes before the official lists.
        version: Of the tables, e.g. `v1.0-trainval`.
        scenes: Names.
        validation_share: Share of the official training scenes that validate, in [0, 1].
        default_split: Of a scene that is in no list; None refuses it.

    Returns:
        The split by scene, in the order of `scenes`.

    Raises:
        ValueError: If a scene is in no list, or `splits.json` is not such a file.
    """
    path = root / 'splits.json'
    listed = rendered_splits(root) if path.exists() else _official(version, validation_share)
    result: dict[str, Split] = {}
    for scene in scenes:
        split = listed.get(scene, default_split)
        if split is None:
            raise ValueError(
                f'scene {scene!r} of {root / version} is in no list of scenes: there is '
                f'{"one" if path.exists() else "no"} {path}, and official lists are for '
                f'{" and ".join(_OFFICIAL_LISTS)} only; write the former, or give all such '
                'scenes one split with `--set default_split=test`'
            )
        result[scene] = split
    return result


def street_of(scene: str) -> str:
    """Name the street of a rendered scene, the same for all its twins.

    Args:
        scene: E.g. `street-0003-night-rain`.

    Returns:
        E.g. `street-0003`; `scene` itself where it does not end in a condition.
    """
    for condition in CONDITIONS:
        if scene.endswith(f'-{condition}'):
            return scene.removesuffix(f'-{condition}')
    return scene


def rendered_splits(root: Path) -> dict[str, Split]:
    """Read what a rendered set says of its scenes.

    Args:
        root: The data set's folder.

    Returns:
        By scene; empty for a recording, which has no `splits.json`.

    Raises:
        ValueError: If the file is not such a record.
    """
    path = root / 'splits.json'
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_bytes())
    except ValueError as error:  # of JSON or of UTF-8
        raise ValueError(f'{path} is not JSON ({error}); render the set again') from None
    return from_dict(RenderedSplits, values, str(path)).splits


def _official(version: str, validation_share: float) -> dict[str, Split]:
    if version not in _OFFICIAL_LISTS:
        return {}
    train, val = (official_scenes(name) for name in _OFFICIAL_LISTS[version])  # type: ignore[arg-type]
    listed: dict[str, Split] = {
        scene: 'validation' if _share(scene) < validation_share else 'train' for scene in train
    }
    return listed | dict.fromkeys(val, 'test')


def _share(scene: str) -> float:
    """Give a scene its place in [0, 1): by its name alone, so that it never moves."""
    return int.from_bytes(hashlib.sha256(scene.encode()).digest()[:8], 'big') / 2**64
