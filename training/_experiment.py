"""What an experiment is made of: its folders, and the stages that fill them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import shutil

from ssd_depth_core.checks import sha256_of
from ssd_depth_core.config import merged, to_dict
from ssd_depth_core.data.manifest import NAME as MANIFEST
from ssd_depth_core.learning.run_folder import RunFolder

from training._experiment_config import ExperimentConfig, PresetConfig
from training._pretrained_encoders import Encoder, PRETRAINED, pretrained_encoders
from training._stages import Job, Stage

GUESSES = ('constant', 'flat-road', 'median-map')
"""What every row must beat; see `evaluation.trivial`."""


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

    @property
    def views_folder(self) -> Path:
        """Tell where the views lie that encoders are pre-trained on."""
        return self.out / 'views'

    def pretraining_folder(self, encoder: Encoder) -> RunFolder:
        """Tell where the pre-training of an encoder lies.

        Args:
            encoder: Which.

        Returns:
            The run folder.
        """
        return RunFolder(self.out / 'pretrained' / encoder.name)

    def encoder_weights(self, encoder: Encoder) -> Path:
        """Tell where what an encoder was pre-trained to lies.

        Args:
            encoder: Which.

        Returns:
            The file.
        """
        return self.pretraining_folder(encoder).path / 'encoder.safetensors'

    def run_folder(self, row: str, seed: int) -> RunFolder:
        """Tell where a training lies.

        Args:
            row: Which row.
            seed: Which training of it.

        Returns:
            The run folder.
        """
        return RunFolder(self.out / 'runs' / f'{row}-seed{seed}')

    def pictures_folder(self, translation: str) -> Path:
        """Tell where translated pictures lie.

        Args:
            translation: Which.

        Returns:
            The folder.
        """
        return self.out / 'translated' / translation

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

    def translations(self) -> list[str]:
        """List the translations that rows look at.

        Returns:
            Their names, in the order of the rows.
        """
        looked_at = (self.config.rows[row].translated for row in self.preset.rows)
        return [name for name in dict.fromkeys(looked_at) if name is not None]

    def encoders_of(self, row: str) -> dict[str, Encoder]:
        """Tell which encoders a row wants pre-trained.

        Args:
            row: Which row.

        Returns:
            By the network that they are of, as `pretrained_encoders` gives them.

        Raises:
            FileNotFoundError: If the row's config is missing.
            ValueError: If it is wrong, or the preset does not say how encoders are pre-trained.
        """
        encoders = pretrained_encoders(self.config.training(self.preset, row), row)
        if encoders and self.preset.pretraining is None:
            raise ValueError(
                f'pretraining of the preset must say how {row} gets its encoder_weights '
                f'{PRETRAINED} ({", ".join(encoders)}), got none; add it, or name other weights'
            )
        return encoders

    def encoders(self) -> list[Encoder]:
        """List the encoders that are pre-trained.

        Returns:
            Each once, in the order of the rows.
        """
        wanted = (
            encoder for row in self.preset.rows for encoder in self.encoders_of(row).values()
        )
        return list({encoder.name: encoder for encoder in wanted}.values())

    def preparation(self) -> Iterator[Stage]:
        """List what comes before all trainings: the data, and guesses that look at no picture.

        Yields:
            Stages; each must have been done before the next is asked for.
        """
        encoders = self.encoders()  # what is wrong with them is said before anything is rendered
        yield self._render()
        yield self._index()
        for guess in GUESSES:
            yield self._evaluate(guess, '--trivial', guess, method=guess)
        if encoders:
            yield self._render_views()

    def jobs(self) -> Iterator[Job]:
        """List what follows; every row with the first seed comes before the second seed.

        Yields:
            The encoders that rows begin with, the translations that they look at, and a training
            a row and seed.
        """
        for encoder in self.encoders():
            stage = self._pretrain(encoder)
            yield Job(name=stage.name, stages=[stage])
        for translation in self.translations():
            stage = self._translate(translation)
            yield Job(name=stage.name, stages=[stage])
        for seed in self.seeds():
            for row in self.preset.rows:
                how, needs = self.config.rows[row], set()
                if how.teacher is not None:
                    needs.add(self.run_folder(how.teacher, seed).path.name)
                if how.translated is not None:
                    needs.add(self._translate(how.translated).name)
                needs |= {_pretraining(encoder) for encoder in self.encoders_of(row).values()}
                yield Job(
                    name=self.run_folder(row, seed).path.name,
                    stages=self.training(row, seed),
                    needs=frozenset(needs),
                )

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

    def _render_views(self) -> Stage:
        assert self.preset.pretraining is not None  # `encoders_of` has seen to it
        return Stage(
            name='render-views',
            module='training.render_training_set',
            config=self.preset.pretraining.views.resolved(),
            arguments=('--out', str(self.views_folder), *self._on_device()),
            inputs={},
            product=self.views_folder / 'frames.jsonl',
        )

    def _pretrain(self, encoder: Encoder) -> Stage:
        assert self.preset.pretraining is not None  # `encoders_of` has seen to it
        run = self.pretraining_folder(encoder)
        return Stage(
            name=_pretraining(encoder),
            module='training.pretrain_encoder',
            config=self.preset.pretraining.resolved() | to_dict(encoder),
            arguments=(
                *('--data', str(self.views_folder), '--out', str(run.path)),
                *(*_resumption(run), *self._on_device()),
            ),
            inputs={'views': sha256_of(self.views_folder / 'frames.jsonl')},
            product=self.encoder_weights(encoder),
        )

    def _translate(self, name: str) -> Stage:
        folder = self.pictures_folder(name)
        return Stage(
            name=f'translate-{name}',
            module='training.translate',
            config=self.preset.translations[name].resolved(),
            arguments=(
                *('--index', str(self.index_folder), '--out', str(folder)),
                *self._on_device(),
            ),
            inputs={'index': sha256_of(self.index_folder / 'train.jsonl')},
            product=folder / MANIFEST,
        )

    def _train(self, row: str, seed: int) -> Stage:
        run = self.run_folder(row, seed)
        how = self.config.rows[row]
        config = self.config.training(self.preset, row)
        lessons: list[str] = []  # a student's
        inputs = {'seed': seed, 'index': sha256_of(self.index_folder / 'train.jsonl')}
        for network, encoder in self.encoders_of(row).items():
            weights = self.encoder_weights(encoder)
            config = merged(config, {network: {'encoder_weights': str(weights)}})
            inputs[f'{network}_encoder'] = sha256_of(weights)
        if how.teacher is not None:
            teacher = self.run_folder(how.teacher, seed)
            lessons += ['--teacher', str(teacher.path)]
            inputs['teacher'] = sha256_of(teacher.checkpoint)
        if how.translated is not None:
            pictures = self.pictures_folder(how.translated)
            lessons += ['--translated', str(pictures)]
            inputs['translated'] = sha256_of(pictures / MANIFEST)
        return Stage(
            name=f'train-{run.path.name}',
            module=f'training.{how.stage}',
            config=config,
            arguments=(
                *('--index', str(self.index_folder), *lessons, '--out', str(run.path)),
                *('--seed', str(seed), *_resumption(run), *self._on_device()),
            ),
            inputs=inputs,
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


def _pretraining(encoder: Encoder) -> str:
    """Name the stage that pre-trains an encoder."""
    return f'pretrain-{encoder.name}'


def _resumption(run: RunFolder) -> tuple[str, ...]:
    """Say how a training goes on, and clear away what there is nothing to go on from in."""
    if run.config.exists() and not any(run.path.rglob('*.safetensors')):
        shutil.rmtree(run.path)  # killed before its first state
    return ('--resume',) if run.state.exists() else ()
