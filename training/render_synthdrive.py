"""Render drives through synthetic streets as a nuScenes-format data set, exact depth beside it.

Each street is driven once for each condition, pixel-aligned: scene `street-0003-night` shows what
`street-0003-day-clear` shows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ssd_depth_core.conditions import Condition, CONDITIONS
from ssd_depth_core.synthdrive.drive import DriveConfig, render_drive
from ssd_depth_core.synthdrive.nuscenes_writer import Scene, write_nuscenes
import torch
from tqdm import tqdm

from training._cli import config_of, device_of, run, stage_parser

DESCRIPTIONS: dict[Condition, str] = {
    'day-clear': 'Synthetic street, clear day',
    'night': 'Synthetic street, night',
    'day-rain': 'Synthetic street, rain',
    'night-rain': 'Synthetic street, night, rain',
    'fog': 'Synthetic street, fog',
    'snow': 'Synthetic street, snow',
}
"""Readers of nuScenes tell the condition by words in the description (`condition_of`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderConfig(DriveConfig):
    """Say what is rendered: drives like this one, in several streets and conditions."""

    num_streets: int = 1
    """The first one's seed is `seed`, the others count on from it."""
    conditions: tuple[Condition, ...] = CONDITIONS
    """Under which every street is driven."""
    jpeg_quality: int = 90
    """1 to 100, as OpenCV counts."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If a value is out of its range or a condition comes twice.
        """
        DriveConfig.__post_init__(self)
        if self.num_streets < 1:
            raise ValueError(f'num_streets must be >= 1, got {self.num_streets}')
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f'jpeg_quality must be in [1, 100], got {self.jpeg_quality}')
        if not self.conditions or len(set(self.conditions)) < len(self.conditions):
            raise ValueError(f'conditions must be one or more, each once, got {self.conditions}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        0.
    """
    parser = stage_parser(
        'Render drives through synthetic streets as a nuScenes-format data set.',
        'python -m training.render_synthdrive --config config/data/synthdrive.yaml '
        '--out synthdrive_data/drives --seed 7',
    )
    args = parser.parse_args(argv)
    config = config_of(RenderConfig, args)
    device = torch.device(device_of(args))
    write_nuscenes(args.out, _scenes(config, device), jpeg_quality=config.jpeg_quality)
    print(f'{config.num_streets * len(config.conditions)} scenes -> {args.out}')
    return 0


def _scenes(config: RenderConfig, device: torch.device) -> Iterator[Scene]:
    for seed in range(config.seed, config.seed + config.num_streets):
        drive = replace(config, seed=seed)
        for condition in config.conditions:
            name = f'street-{seed:04d}-{condition}'
            records = render_drive(drive, condition, device)
            yield Scene(
                name=name,
                description=DESCRIPTIONS[condition],
                records=tqdm(records, desc=name, unit=' records', mininterval=1.0),
            )


if __name__ == '__main__':
    run(main)
