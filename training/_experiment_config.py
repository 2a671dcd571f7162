"""The config of an experiment: what is compared, and at which sizes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ssd_depth_core.config import merged, read_yaml


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
class TranslationConfig(StageConfig):
    """Say what `training.translate` is told."""

    remarks: str = ''
    """How these pictures are made and of what depth, which the table's reader must know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodersConfig(StageConfig):
    """Say what `training.pretrain_encoder` is told, but for the encoder, which rows name."""

    views: StageConfig
    """Of `training.render_training_set`: what the encoders look at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowConfig:
    """Say what a row of the table is."""

    stage: Literal['train_teacher', 'train_student'] = 'train_teacher'
    """Which of `training` trains it."""
    config: Path
    """Of that stage."""
    set: dict[str, Any] = field(default_factory=dict)
    """Fields of it that are replaced at every size, nested like the file."""
    sized_as: str | None = None
    """Row whose fields of a preset hold for this one too, under its own."""
    teacher: str | None = None
    """Row that a student learns from: its training with the same seed; None: from truth."""
    translated: str | None = None
    """Which of a preset's translations a student looks at."""
    metric: bool = True
    """Whether its depth has a unit; without one it has median-scaled figures alone."""
    compared_with: tuple[str, ...] = ()
    """Rows with which it is compared frame by frame, where they are there; none: guesses."""
    pictured: bool = True
    """Whether the picture shows it; nobody could read one of all ablations."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If a student has no pictures to look at, or a teacher is told to learn.
        """
        student = self.stage == 'train_student'
        if student != (self.translated is not None) or (self.teacher is not None and not student):
            raise ValueError(
                'stage train_student needs translated, and train_teacher takes neither this nor a '
                f'teacher; got {self.stage}, translated {self.translated}, teacher {self.teacher}'
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PresetConfig:
    """Say how large an experiment is."""

    data: StageConfig
    """Of `training.render_synthdrive`."""
    index: StageConfig
    """Of `training.index_data`."""
    translations: dict[str, TranslationConfig] = field(default_factory=dict)
    """By the names that rows call them; made where a row needs them."""
    pretraining: EncodersConfig | None = None
    """What encoders of `encoder_weights: pretrained` learn first; None: no row may have any."""
    evaluate: StageConfig
    """Of `training.evaluate`."""
    num_seeds: int = 1
    """Trainings of each row."""
    num_parallel: int = 1
    """Trainings and translations at once; they share a CPU's threads, and one thread each
    computes most."""
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
    published: str = ''
    """What others have published, Markdown; it stands under our figures, never among them."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If a row is compared with what is none, or a preset has a row that is
                none, that needs one which does not come before it, or pictures that nobody makes.
        """
        for name, row in self.rows.items():
            self._check_rows(f'rows.{name}.compared_with', row.compared_with)
        for name, preset in self.presets.items():
            self._check_rows(f'presets.{name}.rows', preset.rows)
            self._check_needs(name)

    def training(self, preset: PresetConfig, row: str) -> dict[str, Any]:
        """Put the config of a row's training together.

        Args:
            preset: At which size.
            row: Which row.

        Returns:
            Nested, plain values.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no YAML mapping.
        """
        how = self.rows[row]
        values = read_yaml(how.config)
        if how.sized_as is not None:
            values = merged(values, preset.rows[how.sized_as])
        values = merged(values, how.set)  # what makes the row, whatever the other's size says
        return merged(values, preset.rows[row])

    def _check_rows(self, where: str, rows: Iterable[str]) -> None:
        if unknown := [row for row in rows if row not in self.rows]:
            raise ValueError(
                f'{where} must be of {", ".join(self.rows)}, got {", ".join(unknown)}'
            )

    def _check_needs(self, name: str) -> None:
        """Require what the rows of a preset need; in this order there is no circle."""
        preset = self.presets[name]
        before: list[str | None] = [None]
        for row in preset.rows:
            how = self.rows[row]
            for other in (how.teacher, how.sized_as):
                if other not in before:
                    raise ValueError(
                        f'presets.{name}.rows must have {other} before {row}, which needs it, got '
                        f'{", ".join(preset.rows)}; put it there, or leave {row} out'
                    )
            if how.translated not in (None, *preset.translations):
                raise ValueError(
                    f'presets.{name}.translations must have {how.translated}, at which {row} '
                    f'looks, got {", ".join(preset.translations) or "none"}; add it, or leave '
                    f'{row} out'
                )
            before.append(row)
