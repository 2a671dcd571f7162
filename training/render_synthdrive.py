"""Render drives through synthetic streets in nuScenes' or RobotCar's format, with exact depth.

Each street is driven once for each condition, pixel-aligned: scene `street-0003-night` shows what
`street-0003-day-clear` shows. `splits.json` says which streets train. Killed at any instant, the
same command goes on after the last complete scene; neither that nor the number of workers changes
a byte.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
import json
import multiprocessing
from pathlib import Path
from typing import Any, Literal

from ssd_depth_core.conditions import RENDERED_CONDITIONS, RenderedCondition
from ssd_depth_core.config import to_dict
from ssd_depth_core.data.index import Split
from ssd_depth_core.records import code_commit
from ssd_depth_core.synthdrive.drive import (
    count_records,
    drive_motion,
    DriveConfig,
    render_drive,
)
from ssd_depth_core.synthdrive.nuscenes_writer import (
    is_complete,
    is_written,
    Scene,
    write_scene,
    write_tables,
)
from ssd_depth_core.synthdrive.rig import load_rig
from ssd_depth_core.synthdrive.robotcar_writer import Traversal, write_robotcar
from ssd_depth_core.synthdrive.sensors import CameraFrame, LidarSweep
import torch
from tqdm import tqdm

from training._cli import config_of, device_of, run, stage_parser
from training._stages import end_with_parent

PRESETS = Path(__file__).parents[1] / 'config/data/synthdrive'
DESCRIPTIONS: dict[RenderedCondition, str] = {
    'day-clear': 'Synthetic street, clear day',
    'night': 'Synthetic street, night',
    'day-rain': 'Synthetic street, rain',
    'night-rain': 'Synthetic street, night, rain',
    'fog': 'Synthetic street, fog',
    'snow': 'Synthetic street, snow',
}
"""Readers of nuScenes tell the condition by the words in the description."""
KEY_FRAME_HZ = 2.0
"""nuScenes' samples a second."""

Format = Literal['nuscenes', 'robotcar']
GIVEN_BY_RIG = ('channels', 'image_height', 'camera_hz', 'lidar_hz')
"""Fields that change with the rig: RobotCar's has one camera, of another shape and other rates."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderConfig(DriveConfig):
    """Say what is rendered: drives like this one, in several streets and conditions."""

    num_streets: int = 1
    """The first one's seed is `seed`, the others count on from it."""
    num_validation_streets: int = 0
    """Of these streets, those before the ones to test on."""
    num_test_streets: int = 0
    """Of these streets, the last."""
    conditions: tuple[RenderedCondition, ...] = RENDERED_CONDITIONS
    """Under which every street is driven."""
    train_conditions: tuple[RenderedCondition, ...] | None = None
    """Of these, those under which streets to train on are driven; None: all. The papers train on
    clear days alone, and pictures that nobody reads cost the most time here."""
    jpeg_quality: int = 90
    """1 to 100, as OpenCV counts."""
    num_workers: int = 1
    """Processes, one thread each, a scene at a time; a GPU takes one."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If a value is out of its range or a condition comes twice.
        """
        DriveConfig.__post_init__(self)
        rig = self.mounts()
        if min([rig.camera_hz, *(mount.hz for mount in rig.lidars)]) < KEY_FRAME_HZ:
            raise ValueError(
                f'camera_hz and lidar_hz must be >= {KEY_FRAME_HZ:g}: every sensor has its part '
                f'in every sample; got {self.camera_hz} and {self.lidar_hz}'
            )
        if min(self.num_streets, self.num_workers) < 1:
            raise ValueError(
                f'num_streets and num_workers must be >= 1, got {self.num_streets} and '
                f'{self.num_workers}'
            )
        held_out = self.num_validation_streets, self.num_test_streets
        if min(held_out) < 0 or sum(held_out) > self.num_streets:
            raise ValueError(
                f'num_validation_streets and num_test_streets must be >= 0 and together at most '
                f'num_streets, got {held_out[0]} and {held_out[1]} of {self.num_streets}'
            )
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f'jpeg_quality must be in [1, 100], got {self.jpeg_quality}')
        if not self.conditions or len(set(self.conditions)) < len(self.conditions):
            raise ValueError(f'conditions must be one or more, each once, got {self.conditions}')
        trained = self.conditions if self.train_conditions is None else self.train_conditions
        if not trained or not set(trained) <= set(self.conditions):
            raise ValueError(
                f'train_conditions must be one or more of conditions, {self.conditions}, '
                f'got {self.train_conditions}'
            )

    def conditions_of(self, split: Split) -> tuple[RenderedCondition, ...]:
        """Say under which conditions a street is driven.

        Args:
            split: What the street is for.

        Returns:
            One or more conditions.
        """
        if split == 'train' and self.train_conditions is not None:
            return self.train_conditions
        return self.conditions


@dataclass(frozen=True, slots=True)
class Job:
    """Hold one scene to render."""

    root: Path
    format: Format
    config: RenderConfig
    """With the street's own seed."""
    condition: RenderedCondition
    split: Split
    device: str

    @property
    def name(self) -> str:
        """Give the scene's name."""
        return f'street-{self.config.seed:04d}-{self.condition}'

    @property
    def done(self) -> bool:
        """Say whether the scene has been written."""
        if self.format == 'robotcar':
            return (self.root / self.name).is_dir()
        return is_written(self.root, self.name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        0.
    """
    parser = stage_parser(
        "Render drives through synthetic streets in nuScenes' or RobotCar's format.",
        'python -m training.render_synthdrive --preset small --out synthdrive_data/small',
        presets=PRESETS,
    )
    parser.add_argument('--format', choices=('nuscenes', 'robotcar'), default='nuscenes')
    args = parser.parse_args(argv)
    config = config_of(RenderConfig, args)
    if args.format == 'robotcar':
        _check_overrides(args.set, config.rig)
        config = _on_robotcar(config)
    jobs = _jobs(args.out, args.format, config, device_of(args))
    _begin(args.out, args.format, config, jobs)
    _render(jobs, config.num_workers if jobs[0].device == 'cpu' else 1)
    if args.format == 'nuscenes' and not is_complete(args.out):
        splits = {job.name: job.split for job in jobs}
        _write_json(args.out / 'splits.json', {'schema_version': 1, 'splits': splits})
        write_tables(args.out, [job.name for job in jobs])
    print(f'{len(jobs)} scenes -> {args.out}')
    return 0


def _check_overrides(overrides: Sequence[str], rig: str) -> None:
    """Refuse to drop what somebody asked for."""
    lost = [item for item in overrides if item.partition('=')[0] in GIVEN_BY_RIG]
    if lost and rig == 'nuscenes':
        raise ValueError(
            f'--set {lost[0]} has no effect with --format robotcar, whose rig gives its camera, '
            'picture height and rates; leave it out, or set rig=robotcar and all of '
            + ', '.join(GIVEN_BY_RIG)
        )


def _on_robotcar(config: RenderConfig) -> RenderConfig:
    """Drive what was meant for nuScenes' rig with RobotCar's: same streets, same picture width."""
    if config.rig != 'nuscenes':
        return config
    (camera,) = load_rig('robotcar').cameras
    return replace(
        config,
        rig='robotcar',
        channels=None,
        image_height=round(config.image_width * camera.height / camera.width),
        camera_hz=None,
        lidar_hz=None,
    )


def _jobs(root: Path, format: Format, config: RenderConfig, device: str) -> list[Job]:
    splits: list[Split] = ['train'] * config.num_streets
    first_test = config.num_streets - config.num_test_streets
    splits[first_test:] = ['test'] * config.num_test_streets
    first_validation = first_test - config.num_validation_streets
    splits[first_validation:first_test] = ['validation'] * config.num_validation_streets
    return [
        Job(root, format, replace(config, seed=config.seed + street), condition, split, device)
        for street, split in enumerate(splits)
        for condition in config.conditions_of(split)
    ]


def _begin(root: Path, format: Format, config: RenderConfig, jobs: Sequence[Job]) -> None:
    """Record what is rendered in `synthdrive.json`, or require that it is what was begun."""
    fields = to_dict(config)
    del fields['num_workers']  # says how fast, not what
    record: dict[str, Any] = {
        'schema_version': 1,
        'format': format,
        # Floats of another kind of processor differ in the last bits: twins would not match.
        'device': torch.device(jobs[0].device).type,
        'torch': torch.__version__,
        'config': fields,
        'seeds': {job.name: job.config.seed for job in jobs},
        'commits': [code_commit()],
    }
    path = root / 'synthdrive.json'
    if path.exists():
        begun = json.loads(path.read_text())
        differences = [
            f'{name} {old!r} there, {new!r} here'
            for name, old, new in (
                *((name, begun[name], record[name]) for name in ('format', 'device', 'torch')),
                *((name, begun['config'].get(name), value) for name, value in fields.items()),
            )
            if old != new
        ]
        if differences:
            raise ValueError(
                f'{root} was begun with another config: {"; ".join(differences)}; '
                'take the same again, or another --out'
            )
        # Twins match only if what draws them has not changed in between: let it be seen.
        record['commits'] = list(dict.fromkeys([*begun['commits'], *record['commits']]))
    elif root.exists() and any(entry.suffix != '.partial' for entry in root.iterdir()):
        raise ValueError(
            f'{root} must be new, empty or a set of drives that was begun, and holds something '
            'else; give another folder'
        )
    _write_json(path, record)


def _write_json(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix('.partial')
    partial.write_text(json.dumps(record, indent=2) + '\n')
    partial.rename(path)


def _render(jobs: Sequence[Job], num_workers: int) -> None:
    """Render what is missing."""
    records = count_records(jobs[0].config)
    missing = [job for job in jobs if not job.done]
    done = records * (len(jobs) - len(missing))
    bar = tqdm(total=records * len(jobs), initial=done, unit=' records', mininterval=1.0)
    with bar:
        if num_workers == 1 or len(missing) < 2:
            threads = torch.get_num_threads()
            torch.set_num_threads(1)  # as the workers: another number may add up otherwise
            for job in missing:
                _render_scene(job, bar.update, nullcontext())
            torch.set_num_threads(threads)
            return
        # `spawn`: a forked torch deadlocks in its thread pool.
        context = multiprocessing.get_context('spawn')
        count = context.Value('q', 0)
        pool = ProcessPoolExecutor(num_workers, context, _start_worker, (count, context.Lock()))
        pending = {pool.submit(_work, job) for job in missing}
        try:
            while pending:
                finished, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
                bar.update(done + count.value - bar.n)
                for future in finished:
                    future.result()
        except BrokenProcessPool:
            raise OSError(
                'a rendering process was killed; if memory ran out, set num_workers lower'
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


_worker: Any = None
"""What `_start_worker` was given: the shared count and lock."""


def _start_worker(count: Any, lock: Any) -> None:
    """Prepare a process that renders scenes."""
    global _worker
    _worker = count, lock
    torch.set_num_threads(1)
    end_with_parent()


def _work(job: Job) -> None:
    count, lock = _worker

    def advance() -> None:
        with count.get_lock():
            count.value += 1

    _render_scene(job, advance, lock)


def _render_scene(
    job: Job, advance: Callable[[], object], lock: AbstractContextManager[Any]
) -> None:
    """Render and write one scene; call `advance` at each record."""
    rendered = render_drive(job.config, job.condition, torch.device(job.device))
    if job.format == 'nuscenes':
        scene = Scene(
            name=job.name,
            description=DESCRIPTIONS[job.condition],
            records=_counted(rendered, advance),
            motion=drive_motion(job.config),
        )
        write_scene(job.root, scene, jpeg_quality=job.config.jpeg_quality)
        return
    with ExitStack() as stack:

        def records() -> Iterator[CameraFrame | LidarSweep]:
            yield from _counted(rendered, advance)
            # What the writer does after the last record touches files that all scenes share.
            stack.enter_context(lock)

        traversal = Traversal(
            name=job.name, condition=job.condition, split=job.split, records=records()
        )
        write_robotcar(job.root, [traversal])


def _counted(
    records: Iterable[CameraFrame | LidarSweep], advance: Callable[[], object]
) -> Iterator[CameraFrame | LidarSweep]:
    for record in records:
        yield record
        advance()


if __name__ == '__main__':
    run(main)
