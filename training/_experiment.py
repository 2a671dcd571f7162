"""What an experiment is made of: its config, its folders, and the stages that fill them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
import shutil
from typing import Any

from ssd_depth_core.checks import sha256_of
from ssd_depth_core.config import merged, read_yaml
from ssd_depth_core.learning.run_folder import RunFolder

from training._stages import Stage

GUESSES = ('constant', 'flat-road', 'median-map')
"""What every row must beat; see `evaluation.trivial`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageConfig:
    """Say what a stage is told."""

    config: Path
    """Its YAML; relative to where the command is given."""
    set: dict[str, Any] = field(default_factory=dict)
    """Fields of it that are replaced, nested like the file."""

    def resolved(self) -> dict[str, Any]:
        """Put both together.

        Returns:
            Nested, plain values.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no YAML mapping.
        """
        return merged(read_yaml(self.config), self.set)


@dataclass(frozen=True, kw_only=True, slots=True)
class RowConfig:
    """Say what a row of the table is."""

    config: Path
    """Of `training.train_teacher`."""
    metric: bool = True
    """Whether its depth has a unit; without one it has median-scaled figures alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PresetConfig:
    """Say how large an experiment is."""

    data: StageConfig
    """Of `training.render_synthdrive`."""
    index: StageConfig
    """Of `training.index_data`."""
    evaluate: StageConfig
    """Of `training.evaluate`."""
    num_seeds: int = 1
    """Trainings of each row."""
    num_parallel: int = 1
    """Trainings at once; they share a CPU's threads, and one thread each computes most."""
    rows: dict[str, dict[str, Any]]
    """Which rows, and the fields of their configs that are replaced, nested like these."""
    remarks: str = ''
    """Sentences that the table's reader must know: where this size departs from the methods."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If there is no row, no seed, or nothing may run.
        """
        if min(self.num_seeds, self.num_parallel) < 1 or not self.rows:
            raise ValueError(
                'num_seeds and num_parallel must be >= 1 and rows one or more, got '
                f'{self.num_seeds}, {self.num_parallel} and {list(self.rows)}'
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentConfig:
    """Say what is compared, and at which sizes."""

    title: str
    """Of the table."""
    seed: int = 0
    """Of the first training of each row; the others count on from it."""
    rows: dict[str, RowConfig]
    """By the names that the table shows."""
    presets: dict[str, PresetConfig]
    """By the names that `--preset` takes."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If a preset has a row that is none.
        """
        for name, preset in self.presets.items():
            if unknown := [row for row in preset.rows if row not in self.rows]:
                raise ValueError(
                    f'presets.{name}.rows must be of {", ".join(self.rows)}, '
                    f'got {", ".join(unknown)}'
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """Know the folders and the stages of an experiment."""

    config: ExperimentConfig
    """What is compared."""
    preset: PresetConfig
    """At which size."""
    out: Path
    """Where everything goes."""
    data: Path
    """The rendered set."""
    device: str | None
    """For the stages; None: what each takes by itself."""

    @property
    def records(self) -> Path:
        """Tell where the stages' records lie."""
        return self.out / 'stages'

    @property
    def index_folder(self) -> Path:
        """Tell where the index lies."""
        return self.out / 'index'

    def run_folder(self, row: str, seed: int) -> RunFolder:
        """Tell where a training lies.

        Args:
            row: Which row.
            seed: Which training of it.

        Returns:
            The run folder.
        """
        return RunFolder(self.out / 'runs' / f'{row}-seed{seed}')

    def scores_folder(self, name: str) -> Path:
        """Tell where an evaluation lies.

        Args:
            name: Of a guess, or of a run folder.

        Returns:
            The folder.
        """
        return self.out / 'scores' / name

    def seeds(self) -> range:
        """List the trainings of a row.

        Returns:
            Their seeds.
        """
        return range(self.config.seed, self.config.seed + self.preset.num_seeds)

    def preparation(self) -> Iterator[Stage]:
        """List what comes before all trainings: the data, and guesses that look at no picture.

        Yields:
            Stages; each must have been done before the next is asked for.
        """
        yield self._render()
        yield self._index()
        for guess in GUESSES:
            yield self._evaluate(guess, '--trivial', guess, method=guess)

    def training(self, row: str, seed: int) -> Iterator[Stage]:
        """List what belongs to one training.

        Args:
            row: Which row.
            seed: Which training of it.

        Yields:
            Stages; each must have been done before the next is asked for.
        """
        yield self._train(row, seed)
        run = self.run_folder(row, seed)
        # Another checkpoint under the same name is not taken for this one.
        digest = sha256_of(run.checkpoint)
        yield self._evaluate(run.path.name, '--checkpoint', str(run.checkpoint), method=digest)

    def trainings(self) -> Iterator[tuple[str, int]]:
        """List the trainings; every row with the first seed comes before the second seed.

        Yields:
            Row and seed.
        """
        for seed in self.seeds():
            for row in self.preset.rows:
                yield row, seed

    def _render(self) -> Stage:
        return Stage(
            name='render',
            module='training.render_synthdrive',
            config=self.preset.data.resolved(),
            arguments=('--out', str(self.data), *self._on_device()),
            inputs={},
            product=self.data / 'synthdrive.json',
        )

    def _index(self) -> Stage:
        return Stage(
            name='index',
            module='training.index_data',
            config=self.preset.index.resolved(),
            arguments=('--data', str(self.data), '--out', str(self.index_folder)),
            inputs={'data': sha256_of(self.data / 'synthdrive.json')},
            product=self.index_folder / 'index.json',
        )

    def _train(self, row: str, seed: int) -> Stage:
        run = self.run_folder(row, seed)
        resume = run.state.exists()
        if run.config.exists() and not any(run.path.rglob('*.safetensors')):
            shutil.rmtree(run.path)  # killed before there was anything to go on from
        how = StageConfig(config=self.config.rows[row].config, set=self.preset.rows[row])
        return Stage(
            name=f'train-{run.path.name}',
            module='training.train_teacher',
            config=how.resolved(),
            arguments=(
                *('--index', str(self.index_folder), '--out', str(run.path)),
                *('--seed', str(seed), *(['--resume'] if resume else []), *self._on_device()),
            ),
            inputs={'seed': seed, 'index': sha256_of(self.index_folder / 'train.jsonl')},
            product=run.checkpoint,
        )

    def _evaluate(self, name: str, option: str, value: str, *, method: str) -> Stage:
        folder = self.scores_folder(name)
        return Stage(
            name=f'evaluate-{name}',
            module='training.evaluate',
            config=self.preset.evaluate.resolved(),
            arguments=(
                *('--index', str(self.index_folder), '--split', 'test', option, value),
                *('--out', str(folder), *self._on_device()),
            ),
            inputs={'method': method, 'index': sha256_of(self.index_folder / 'test.jsonl')},
            product=folder / 'metrics.json',
        )

    def _on_device(self) -> tuple[str, ...]:
        return () if self.device is None else ('--device', self.device)
