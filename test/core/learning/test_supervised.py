from dataclasses import replace
import json
import math
from pathlib import Path
import shutil

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('timm')
pytest.importorskip('accelerate')

from ssd_depth_core.config import from_dict, to_dict  # noqa: E402
from ssd_depth_core.data.manifest import ManifestLine  # noqa: E402
from ssd_depth_core.data.rendered import RenderedConfig  # noqa: E402
from ssd_depth_core.learning.checkpoint import load_checkpoint  # noqa: E402
from ssd_depth_core.learning.loop import LoopConfig  # noqa: E402
from ssd_depth_core.learning.supervised import (  # noqa: E402
    SupervisedConfig,
    SupervisedLossConfig,
    SupervisedTask,
    train_supervised,
)
from ssd_depth_core.models.depth_net import DepthNetConfig, DepthOutput  # noqa: E402
from ssd_depth_core.records import code_commit  # noqa: E402

MODEL = DepthNetConfig(
    input_height=64,
    input_width=64,
    decoder_channels=8,
    fine_channels=8,
    canonical_focal_px=50.0,
)


def config(**values):
    defaults = {
        'model': MODEL,
        'data': RenderedConfig(condition_weights={'day-clear': 1.0, 'night': 1.0}),
        'loop': LoopConfig(max_steps=2, batch_size=2, num_workers=0),
    }
    return SupervisedConfig(**{**defaults, **values})


class Oracle(torch.nn.Module):
    """Says a canonical depth of 20 m everywhere, with a scale of 0.1."""

    config = DepthNetConfig(canonical_focal_px=240.0)

    def forward(self, image):
        like = torch.ones_like(image[:, :1])
        return DepthOutput(like / 20, like * math.log(0.1))


def batch(depth, focal):
    return {
        'image': torch.zeros(1, 3, 32, 32),
        'depth': torch.full((1, 1, 32, 32), depth),
        'K': torch.tensor([[[focal, 0, 16], [0, focal, 16], [0, 0, 1]]]),
    }


def test_the_loss_is_least_where_canonical_depth_is_right():
    task = SupervisedTask(Oracle(), SupervisedLossConfig())
    # 20 m of a 240 px camera looks like 40 m of a 480 px one.
    assert task(batch(20.0, 240.0))['log_error'].item() == pytest.approx(0, abs=1e-6)
    assert task(batch(40.0, 480.0))['log_error'].item() == pytest.approx(0, abs=1e-6)
    right, wrong = task(batch(20.0, 240.0))['loss'], task(batch(30.0, 240.0))['loss']
    assert (wrong - right).item() == pytest.approx(math.log(1.5), rel=1e-4)


def test_two_steps_leave_a_checkpoint_that_says_how_it_was_made(rendered_set, tmp_path):
    run = train_supervised(config(), [rendered_set], tmp_path / 'run', command='the command')
    network, info = load_checkpoint(run.checkpoint)
    assert info.step == 2
    assert info.training_command == 'the command'
    assert info.training_data == (
        'synthetic: 6 rendered street frames in day-clear, night; 6 frames 000000 to 000007'
    )
    assert from_dict(SupervisedConfig, info.training_config, 'here') == config()
    assert info.training_commit == code_commit()
    assert set(info.metrics) == {'day-clear', 'night'}
    assert info.metrics['night']['n'] == 2
    assert network.config == MODEL
    last = json.loads(run.metrics.read_text().splitlines()[-1])
    assert last['validation'] == info.metrics


def test_other_sets_may_be_validated_on(rendered_set, tmp_path):
    own = shutil.copytree(rendered_set, tmp_path / 'own')
    path = own / 'frames.jsonl'
    text = path.read_text().replace('"validation"', '"train"')
    path.write_text(text.replace('["day-clear", "night"]', '["night"]'))
    run = train_supervised(
        config(), [own], tmp_path / 'run', validation=[rendered_set], command='the command'
    )
    _, info = load_checkpoint(run.checkpoint)
    assert info.training_data.startswith('synthetic: 8 rendered street frames in night; ')
    assert set(info.metrics) == {'day-clear', 'night'}


def test_a_run_goes_on_with_its_own_validation_sets(rendered_set, tmp_path):
    def train(*sets, **options):
        return train_supervised(
            config(), [rendered_set], tmp_path / 'run', validation=sets, command='x', **options
        )

    train(rendered_set)
    train(rendered_set, resume=True)
    with pytest.raises(ValueError, match='input validation 1 must be .*, got nothing'):
        train(resume=True)


def test_translations_are_counted(rendered_set, tmp_path):
    folder = tmp_path / 'translated'
    (folder / 'fog').mkdir(parents=True)
    shutil.copy(rendered_set / 'day-clear/000003.jpg', folder / 'fog/3.png')
    line = ManifestLine(
        source_id='000003-day-clear',
        condition='fog',
        path='fog/3.png',
        translator='procedural',
        seed=0,
        accepted=True,
    )
    (folder / 'manifest.jsonl').write_text(json.dumps(to_dict(line)) + '\n')
    (folder / 'config.yaml').write_text(f'data: {{root: {rendered_set}}}\n')
    run = train_supervised(
        config(), [rendered_set], tmp_path / 'run', translated=[folder], command='the command'
    )
    _, info = load_checkpoint(run.checkpoint)
    assert info.training_data.endswith('; frames translated: 1 to fog (procedural)')


def test_training_goes_on_with_its_own_sets_which_may_have_grown(rendered_set, tmp_path):
    growing = Path(shutil.copytree(rendered_set, tmp_path / 'set'))
    frames = growing / 'frames.jsonl'
    lines = frames.read_text().splitlines(keepends=True)
    frames.write_text(''.join(lines[:-1]) + lines[-1][:9])  # the last one is being written

    def train(*folders, **options):
        return train_supervised(config(), folders, tmp_path / 'run', command='x', **options)

    train(growing)
    frames.write_text(''.join(lines))
    train(growing, resume=True)
    with pytest.raises(ValueError, match='input data 2 must be left out, as when the run began'):
        train(growing, rendered_set, resume=True)
    frames.write_text(''.join(lines[:-1]))  # less than the resumed run has seen
    with pytest.raises(ValueError, match='input data 1 must be .*frames.jsonl as it was when'):
        train(growing, resume=True)


def test_training_goes_on_from_a_checkpoint_of_the_same_network_only(rendered_set, tmp_path):
    run = train_supervised(config(), [rendered_set], tmp_path / 'a', command='first')
    again = config(initial_checkpoint=run.checkpoint)
    train_supervised(again, [rendered_set], tmp_path / 'b', command='second')
    other = config(initial_checkpoint=run.checkpoint, model=DepthNetConfig())
    message = 'it has decoder_channels 8, not 64; .*_px 50.0, not 240.0; make them equal'
    with pytest.raises(ValueError, match=message):
        train_supervised(other, [rendered_set], tmp_path / 'c', command='third')
    assert not (tmp_path / 'c').exists()


@pytest.mark.parametrize('values', [{'confidence': False}, {'output': 'relu'}])
def test_a_network_that_says_less_than_the_likelihood_reads_is_refused(values):
    with pytest.raises(ValueError, match='model must have confidence: true and a metric output'):
        config(model=replace(MODEL, **values))


def test_a_wrong_folder_leaves_no_run_behind(tmp_path):
    with pytest.raises(FileNotFoundError, match='training set not found'):
        train_supervised(config(), [tmp_path / 'nowhere'], tmp_path / 'run', command='')
    assert not (tmp_path / 'run').exists()
