"""What each stage reads from its config, so that an experiment is refused before it has begun.

A row that trains after a day of others must not be the place where its spelling is found wrong.
"""

from collections.abc import Iterator
from typing import Any

from ssd_depth_core.config import from_dict
from ssd_depth_core.data.nuscenes_index import NuScenesIndexConfig
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.gdt.recipe import TranslateConfig
from ssd_depth_core.learning.pretraining import PretrainingConfig
from ssd_depth_core.learning.self_supervised import SelfSupervisedConfig
from ssd_depth_core.learning.student import StudentConfig

from training._experiment_config import ExperimentConfig
from training.render_synthdrive import RenderConfig
from training.render_training_set import TrainingSetConfig

TRAININGS: dict[str, type[SelfSupervisedConfig | StudentConfig]] = {
    'train_teacher': SelfSupervisedConfig,
    'train_student': StudentConfig,
}
"""By the names that rows call their stages."""


def read_configs(config: ExperimentConfig, preset: str) -> dict[str, Any]:
    """Read every config of a preset as its stage would.

    Args:
        config: The experiment.
        preset: Which of its presets.

    Returns:
        By their place in the experiment's config; a row's under its own name.

    Raises:
        FileNotFoundError: If a config is missing.
        ValueError: If a stage would refuse one; the message says where it stands.
    """
    return {
        where: from_dict(cls, values, f'presets.{preset}.{where}')
        for where, cls, values in _configs(config, preset)
    }


def _configs(config: ExperimentConfig, name: str) -> Iterator[tuple[str, type, dict[str, Any]]]:
    preset = config.presets[name]
    yield 'data', RenderConfig, preset.data.resolved()
    yield 'index', NuScenesIndexConfig, preset.index.resolved()
    yield 'evaluate', EvaluationConfig, preset.evaluate.resolved()
    if preset.pretraining is not None:
        yield 'pretraining', PretrainingConfig, preset.pretraining.resolved()
        views = preset.pretraining.views.resolved()
        yield 'pretraining.views', TrainingSetConfig, views
    for translation, how in preset.translations.items():
        yield f'translations.{translation}', TranslateConfig, how.resolved()
    for row in preset.rows:
        cls = TRAININGS[config.rows[row].stage]
        yield f'rows.{row}', cls, config.training(preset, row)
