from dataclasses import replace
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch')
cv2 = pytest.importorskip('cv2')
pytest.importorskip('timm')
pytest.importorskip('accelerate')

from ssd_depth_core.config import load_yaml  # noqa: E402
from ssd_depth_core.data.index import read_lines  # noqa: E402
from ssd_depth_core.data.manifest import append_manifest, ManifestLine  # noqa: E402
from ssd_depth_core.data.translated import TranslatedConfig  # noqa: E402
from ssd_depth_core.data.triplets import TripletConfig  # noqa: E402
from ssd_depth_core.learning.checkpoint import (  # noqa: E402
    CheckpointInfo,
    load_checkpoint,
    save_checkpoint,
)
from ssd_depth_core.learning.distillation import DistillationLossConfig  # noqa: E402
from ssd_depth_core.learning.loop import LoopConfig  # noqa: E402
from ssd_depth_core.learning.self_supervised import (  # noqa: E402
    SelfSupervisedConfig,
    train_self_supervised,
)
from ssd_depth_core.learning.student import StudentConfig, train_student  # noqa: E402
from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.dpt_decoder import DptConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402
from ssd_depth_core.models.pose_net import PoseNetConfig  # noqa: E402

SIZE = (42, 70)
MODEL = DepthNetConfig(
    encoder='vit_small_patch14_dinov2',
    encoder_options={'depth': 4, 'embed_dim': 24, 'num_heads': 2},
    decoder='dpt',
    dpt=DptConfig(channels=(8, 8, 16, 16), features=16, batch_norm=False),
    confidence=False,
    input_height=42,
    input_width=70,
)
CNN = DepthNetConfig(
    input_height=64, input_width=96, decoder_channels=8, fine_channels=8, confidence=False
)
OFF = DistillationLossConfig(mask_rule='off', semantic_weight=0.0)


def config(**changes):
    values = {
        'model': MODEL,
        'data': TranslatedConfig(conditions=('night',), triplets=TripletConfig(size=SIZE)),
        'loop': LoopConfig(max_steps=2, batch_size=2, num_workers=0),
    }
    return StudentConfig(**{**values, **changes})


@pytest.fixture
def frames(make_index, tmp_path):
    """An index and the night pictures of its frames."""
    index = make_index()
    folder = tmp_path / 'translated'
    (folder / 'night').mkdir(parents=True)
    lines = []
    for line in read_lines(index, 'train'):
        name = f'night/{len(lines)}.png'
        cv2.imwrite(str(folder / name), np.full((*line.size, 3), 30, np.uint8))
        lines.append(
            ManifestLine(
                source_id=line.id,
                condition='night',
                path=name,
                translator='procedural',
                seed=0,
                scores={'trust': 0.5},
                accepted=True,
            )
        )
    append_manifest(folder, lines)
    return index, folder


@pytest.fixture
def teacher(frames, tmp_path):
    """Trained for a step; its pose network was told the rotation."""
    made = SelfSupervisedConfig(
        model=MODEL,
        pose=PoseNetConfig(encoder='mobilenetv4_conv_small'),
        data=TripletConfig(size=SIZE),
        loop=LoopConfig(max_steps=1, batch_size=2, num_workers=0),
    )
    return train_self_supervised(made, frames[0], tmp_path / 'teacher', command='x', cpu=True).path


def train(config, frames, out, teacher, **options):
    return train_student(config, *frames, out, teacher=teacher, command='x', cpu=True, **options)


def test_a_student_begins_as_its_teacher_and_says_what_it_saw(frames, teacher, tmp_path):
    still = LoopConfig(max_steps=1, batch_size=2, num_workers=0, learning_rate=1e-12)
    run = train(config(loop=still), frames, tmp_path / 'run', teacher)
    network, info = load_checkpoint(run.checkpoint)
    first, _ = load_checkpoint(teacher / 'checkpoint.safetensors')
    image = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        torch.testing.assert_close(
            network(image).inverse_depth, first(image).inverse_depth, rtol=1e-3, atol=1e-5
        )
    for words in ('synthetic: rendered', 'translated to night (procedural)', f'teacher {teacher}'):
        assert words in info.training_data


def test_a_confidence_comes_on_top_of_the_teachers_weights(frames, teacher, tmp_path):
    sure = config(
        model=replace(MODEL, confidence=True),
        loss=DistillationLossConfig(confidence_weight=0.1),
        loop=LoopConfig(max_steps=1, batch_size=2, num_workers=0, learning_rate=1e-12),
    )
    run = train(sure, frames, tmp_path / 'run', teacher)
    network, _ = load_checkpoint(run.checkpoint)
    first, _ = load_checkpoint(teacher / 'checkpoint.safetensors')
    image = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        output = network(image)
        torch.testing.assert_close(
            output.inverse_depth, first(image).inverse_depth, rtol=1e-3, atol=1e-5
        )
    assert output.confidence.shape == (1, 1, *SIZE)


def test_a_light_network_learns_from_a_large_one_of_another_size(frames, teacher, tmp_path):
    data = TranslatedConfig(conditions=('night',), triplets=TripletConfig(size=(64, 96)))
    light = config(model=CNN, initial='config', data=data, loss=OFF, weight_by='trust')
    run = train(light, frames, tmp_path / 'run', teacher / 'checkpoint.safetensors')
    assert load_checkpoint(run.checkpoint)[1].step == 2


def test_the_truth_needs_no_teacher(frames, tmp_path):
    bound = config(initial='config', loss=replace(OFF, target='truth'))
    run = train(bound, frames, tmp_path / 'run', None)
    assert 'depth of truth' in load_checkpoint(run.checkpoint)[1].training_data


def test_a_student_goes_on_where_it_was_stopped(frames, teacher, tmp_path):
    steady = LoopConfig(
        max_steps=4,
        batch_size=2,
        num_workers=0,
        schedule='step',  # whose rate does not ask how long the training will be
        decay_fractions=(),
        warmup_fraction=0.0,
    )
    whole = train(config(loop=steady), frames, tmp_path / 'whole', teacher)
    half = train(config(loop=replace(steady, max_steps=2)), frames, tmp_path / 'half', teacher)
    resumed = train(config(loop=steady), frames, half.path, teacher, resume=True)
    networks = [load_checkpoint(run.checkpoint)[0].state_dict() for run in (whole, resumed)]
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])
    assert load_checkpoint(resumed.checkpoint)[1].step == 4


def test_a_student_goes_on_with_its_teacher_and_its_frames_only(
    frames, teacher, make_index, tmp_path
):
    learner = config(initial='config', loss=OFF)
    run = train(learner, frames, tmp_path / 'run', teacher)
    index, translated = frames
    moved = shutil.copytree(teacher, tmp_path / 'moved')
    manifest = translated / 'manifest.jsonl'
    lines = manifest.read_text().splitlines(keepends=True)

    def resume(*frames, teacher=moved):
        return train(learner, frames, run.path, teacher, resume=True)

    def refused_on_resume(name, *frames, **options):
        with pytest.raises(ValueError, match=f'input {name} must be .* as it was when the run be'):
            resume(*frames, **options)

    resume(index, translated)  # another folder and the same weights
    shutil.copy(run.checkpoint, tmp_path / 'moved')
    refused_on_resume('teacher', index, translated)
    refused_on_resume('teacher', index, translated, teacher=run.path)
    manifest.write_text(''.join(lines[1:]))
    refused_on_resume('translated', index, translated, teacher=teacher)
    more = lines[0].replace('night/0.png', 'night/1000.png')
    manifest.write_text(''.join([*lines, more]))  # a translation that goes on
    resume(index, translated, teacher=teacher)
    make_index(lambda line: replace(line, timestamp_us=line.timestamp_us + 1))
    refused_on_resume('index', index, translated, teacher=teacher)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'model': replace(MODEL, confidence=True)}, 'model.confidence must be true where'),
        ({'loss': DistillationLossConfig(confidence_weight=1.0)}, 'got False and 1.0'),
        ({'model': replace(MODEL, output='relu')}, 'model.output must be metric, got relu'),
        (
            {'data': TranslatedConfig(triplets=TripletConfig(depth='lidar'))},
            'data.triplets.depth must be left at none, got lidar; it follows from model and',
        ),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def refused(message, config, frames, out, teacher, error=ValueError):
    with pytest.raises(error, match=message):
        train(config, frames, out, teacher)
    assert not out.exists()


def test_what_does_not_fit_the_teacher_is_refused(frames, teacher, tmp_path):
    out, checkpoint = tmp_path / 'run', teacher / 'checkpoint.safetensors'
    truth = config(loss=replace(OFF, target='truth'))
    refused('initial: teacher needs --teacher', truth, frames, out, None)
    refused('has no pose network for loss.mask_rule prose', config(), frames, out, checkpoint)
    other = replace(MODEL, encoder_options={'depth': 5, 'embed_dim': 24, 'num_heads': 2})
    refused(
        'initial: teacher is not of the architecture .* it has encoder_options .* make them equal',
        config(model=other),
        frames,
        out,
        teacher,
    )
    nearer = config(model=replace(MODEL, min_depth_m=1.0))  # the same shapes, another meaning
    refused('it has min_depth_m 0.1, not 1.0', nearer, frames, out, teacher)
    sure = replace(MODEL, confidence=True)
    info = CheckpointInfo(model=sure, step=1, training_command='x', training_data='none')
    save_checkpoint(tmp_path / 'sure.safetensors', build_depth_net(sure), info)
    refused(
        'needs a confidence where the teacher has one',
        config(loss=OFF),
        frames,
        out,
        tmp_path / 'sure.safetensors',
    )
    lost = config(initial='config', loss=OFF)
    refused('loss.target: teacher needs --teacher; give its run', lost, frames, out, None)
    light = config(model=CNN, initial='config')
    refused('needs a teacher that sees pictures as the student', light, frames, out, teacher)
    refused(
        'loss.semantic_weights must name weights where there is no teacher',
        config(initial='config', loss=replace(OFF, semantic_weight=0.1, target='truth')),
        frames,
        out,
        None,
    )
    refused(
        'make translated pictures with',
        config(),
        (frames[0], tmp_path / 'nothing'),
        out,
        teacher,
        FileNotFoundError,
    )


def test_clear_frames_must_be_there(make_index, frames, teacher, tmp_path):
    index = make_index(lambda line: replace(line, condition='night'))
    refused(
        'none of .* training frames of .* is day-clear',
        config(),
        (index, frames[1]),
        tmp_path / 'run',
        teacher,
    )


def test_poses_that_the_mask_asks_for_must_be_there(make_index, frames, teacher, tmp_path):
    def unposed(line):
        return replace(line, next=line.next and replace(line.next, T_source_target=None))

    index = make_index(unposed)
    told = config(loss=DistillationLossConfig(motion='poses', semantic_weight=0.0))
    refused(
        'the mask asks for the poses of frames', told, (index, frames[1]), tmp_path / 'r', teacher
    )
    # The teacher's own network needs none, unless it was trained with them.
    predicted = config(loss=DistillationLossConfig(semantic_weight=0.0))
    train(predicted, (index, frames[1]), tmp_path / 'predicted', teacher)


@pytest.mark.parametrize('name', ['ssd_student', 'md4all_dd'])
def test_both_methods_are_configs_of_one_objective(name, pytestconfig):
    loaded = load_yaml(StudentConfig, pytestconfig.rootpath / f'config/train/{name}.yaml')
    teacher = {'ssd_student': 'ssd_teacher', 'md4all_dd': 'md4all_baseline'}[name]
    taught = load_yaml(
        SelfSupervisedConfig, pytestconfig.rootpath / f'config/train/{teacher}.yaml'
    )
    assert replace(loaded.model, encoder_weights=None) == replace(
        taught.model, encoder_weights=None
    )
    assert loaded.data.triplets.size == taught.data.size == (320, 576)
    assert loaded.data.conditions == ('night', 'day-rain')
    assert (loaded.loss.mask_rule, loaded.initial) == (
        ('prose', 'teacher') if name == 'ssd_student' else ('off', 'config')
    )


def test_the_robots_student_is_a_config_too(pytestconfig):
    loaded = load_yaml(StudentConfig, pytestconfig.rootpath / 'config/train/onboard_student.yaml')
    assert loaded.model.confidence
    assert loaded.loss.mask_rule == 'off'
