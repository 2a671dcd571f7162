from dataclasses import replace
import math
import shutil

import cv2
import numpy as np
import pytest
from ssd_depth_core.data.index import IndexHeader, IndexLine, write_index
from ssd_depth_core.evaluation.record import read_evaluation, read_frames
from ssd_depth_core.exact_depth import encode_exact_depth

from training import evaluate, select_checkpoint

SIZE = (48, 64)
K = ((60.0, 0.0, 31.5), (0.0, 60.0, 23.5), (0.0, 0.0, 1.0))
AS_THE_CAMERA = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
TRUTH = np.tile(np.linspace(4, 40, SIZE[1], dtype=np.float32), (SIZE[0], 1))
FRAMES = [
    ('street-0-day', 'day-clear'),
    ('street-1-day', 'day-clear'),
    ('street-0-night', 'night'),
]


@pytest.fixture(scope='module')
def index(tmp_path_factory):
    """Three scenes of two frames; the LiDAR, at the camera's place, sees the exact depth."""
    root = tmp_path_factory.mktemp('data')
    rows, columns = np.indices(SIZE).reshape(2, -1)
    # Through the pixels' middles, so that cutting to whole pixels finds them again.
    rays = np.linalg.inv(K) @ np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))])
    sweep = np.zeros((len(rows), 5), np.float32)
    sweep[:, :3] = (rays * TRUTH.ravel()).T
    lines = []
    for scene, condition in FRAMES:
        for number in range(2):
            name = f'{scene}-{number}'
            (root / f'{name}.bin').write_bytes(sweep.tobytes())
            cv2.imwrite(str(root / f'{name}.png'), encode_exact_depth(TRUTH))
            cv2.imwrite(str(root / f'{name}.jpg'), np.full((*SIZE, 3), 40 * number + 60, np.uint8))
            lines.append(
                IndexLine(
                    id=name,
                    scene=scene,
                    channel='CAM_FRONT',
                    condition=condition,
                    timestamp_us=500_000 * number,
                    image=f'{name}.jpg',
                    size=SIZE,
                    K=K,
                    speed_mps=None,
                    lidar=f'{name}.bin',
                    T_camera_lidar=AS_THE_CAMERA,
                    exact_depth=f'{name}.png',
                )
            )
    header = IndexHeader(format='nuscenes', root=str(root), options={}, kept={}, dropped={})
    validation = [replace(line, id=f'validation-{line.id}') for line in lines]
    train = [replace(line, id=f'train-{line.id}') for line in lines]
    splits = {'train': train, 'validation': validation, 'test': lines}
    write_index(root / 'index', header, splits)
    return root / 'index'


def predict(folder, factor):
    folder.mkdir()
    for scene, _ in FRAMES:
        for number in range(2):
            for split in ('', 'validation-'):
                np.save(folder / f'{split}{scene}-{number}.npy', TRUTH * np.float32(factor))
    return folder


def score(index, out, *options, split='test'):
    arguments = ['--index', index, '--split', split, '--out', out, '--set', 'replicates=100']
    assert evaluate.main(list(map(str, [*arguments, *options]))) == 0
    return read_evaluation(out)


def test_the_truth_scores_zero_and_a_hundred_per_cent(index, tmp_path, capsys):
    folder = predict(tmp_path / 'truth', 1.0)
    mirrored = tmp_path / 'mirrored'
    mirrored.mkdir()
    for path in folder.glob('*.npy'):
        np.save(mirrored / path.name, TRUTH[:, ::-1])
    options = ['--predictions', folder, '--predictions-flipped', mirrored, '--truth', 'exact']
    evaluation = score(index, tmp_path / 'out', *options)
    assert evaluation.frames_scored == 6
    assert len(evaluation.tables.metrics) == 3 * 4 * 2  # rows, variants, caps
    for row in evaluation.tables.metrics:
        found = {name: figure.mean for name, figure in row.figures.items()}
        # The exact depth's file has steps of 4 mm.
        assert found == pytest.approx(
            {
                **dict.fromkeys(('abs_rel', 'sq_rel', 'rmse', 'rmse_log'), 0.0),
                **dict.fromkeys(('a1', 'a2', 'a3'), 1.0),
            },
            abs=2e-3,
        )
    assert evaluation.command.startswith('python -m training.evaluate --index')
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {
        *('metrics.json', 'metrics.md', 'frames.jsonl', 'index.html')
    }
    assert (tmp_path / 'out' / 'metrics.md').read_text() in capsys.readouterr().out
    assert (tmp_path / 'out' / 'index.html').read_text().count('image/jpeg') == 6


def test_lidar_truth_is_the_default(index, tmp_path):
    evaluation = score(index, tmp_path / 'out', '--predictions', predict(tmp_path / 'p', 1.1))
    assert evaluation.options.truth == 'lidar'
    assert evaluation.tables.metrics[0].figures['abs_rel'].mean == pytest.approx(0.1, abs=1e-4)
    assert any(reason.startswith('Flip') for reason in evaluation.absent)
    frame = read_frames(tmp_path / 'out')[0]
    assert frame.pixels == 46 * 62  # all but the border that the devkit leaves out


def test_an_index_may_name_its_data_from_where_it_lies(index, tmp_path, monkeypatch):
    moved = shutil.copytree(index, index.parent / 'moved')
    header = (moved / 'index.json').read_text().replace(str(index.parent), '..')
    (moved / 'index.json').write_text(header)
    monkeypatch.chdir(index.parent)
    folder = predict(tmp_path / 'p', 1.1)
    for truth in ('lidar', 'exact'):
        options = ['--predictions', folder, '--truth', truth]
        assert score('moved', tmp_path / truth, *options).frames_scored == 6


def test_two_methods_are_compared_frame_by_frame(index, tmp_path):
    score(index, tmp_path / 'a', '--predictions', predict(tmp_path / 'pa', 1.2))
    other = ['--compare', tmp_path / 'a' / 'metrics.json']
    better = score(index, tmp_path / 'b', '--predictions', predict(tmp_path / 'pb', 1.1), *other)
    figure = better.comparison[0].figures['abs_rel']
    assert figure.high < 0
    assert figure.mean == pytest.approx(-0.1, abs=1e-4)
    assert better.compared_with == str(tmp_path / 'a' / 'metrics.json')


def test_methods_of_different_protocols_are_not_compared(index, tmp_path):
    options = ['--predictions', predict(tmp_path / 'p', 1.2)]
    score(index, tmp_path / 'a', *options)
    options += ['--compare', tmp_path / 'a' / 'metrics.json']
    for change in (['--truth', 'exact'], ['--set', 'garg_crop=true'], ['--set', 'caps_m=[50]']):
        with pytest.raises(ValueError, match='lidar truth from 0.1 to 80 m, whole picture, this'):
            score(index, tmp_path / 'b', *options, *change)


def test_missing_predictions_are_named_or_counted(index, tmp_path):
    folder = predict(tmp_path / 'p', 1.0)
    (folder / 'street-1-day-0.npy').unlink()
    with pytest.raises(FileNotFoundError, match='1 of 6 .* street-1-day-0.npy'):
        score(index, tmp_path / 'out', '--predictions', folder)
    evaluation = score(index, tmp_path / 'out', '--predictions', folder, '--allow-missing')
    assert (evaluation.frames_missing, evaluation.frames_scored) == (1, 5)


def test_a_broken_prediction_is_named(index, tmp_path):
    folder = predict(tmp_path / 'p', 1.0)
    (folder / 'street-0-night-1.npy').write_bytes(b'broken')
    with pytest.raises(ValueError, match='street-0-night-1.npy is no .npy file or a damaged one'):
        score(index, tmp_path / 'out', '--predictions', folder)


def test_a_split_without_truth_is_an_error(index, tmp_path):
    arguments = ['--predictions', predict(tmp_path / 'p', 1.0), '--set', 'caps_m=[1]']
    with pytest.raises(ValueError, match='no frame of the test split was scored: of 6, 0 have no'):
        score(index, tmp_path / 'out', *arguments)


def test_options_of_folders_need_a_folder(index, tmp_path):
    with pytest.raises(ValueError, match='go with --predictions'):
        score(index, tmp_path / 'out', '--allow-missing')


def test_a_trivial_guess_learns_from_the_training_split(index, tmp_path):
    evaluation = score(index, tmp_path / 'out', '--trivial', 'median-map', '--truth', 'exact')
    assert evaluation.method == 'median of the training truth at each place of the picture'
    assert evaluation.tables.metrics[0].figures['abs_rel'].mean == pytest.approx(0, abs=0.006)
    evaluation = score(index, tmp_path / 'out', '--trivial', 'constant', '--truth', 'exact')
    assert evaluation.method == 'constant 21.8 m, the median of the training truth'
    figure = evaluation.tables.metrics[0].figures['abs_rel']
    assert figure.mean == pytest.approx(np.mean(np.abs(21.8 / TRUTH - 1)), rel=0.01)


def test_the_shipped_student_is_scored_in_all_variants(index, tmp_path):
    pytest.importorskip('onnxruntime')
    evaluation = score(index, tmp_path / 'out', '--truth', 'exact')
    assert evaluation.method.startswith(('student (shipped', 'student_int8 (shipped'))
    assert {row.variant for row in evaluation.tables.metrics} == {
        *('plain', 'flip', 'scaled', 'flip-scaled')
    }
    assert evaluation.tables.confidence[0].frames == 6


def test_a_checkpoint_answers_in_the_live_cameras_metres(tmp_path):
    torch = pytest.importorskip('torch')
    from ssd_depth_core.learning.checkpoint import CheckpointInfo, save_checkpoint
    from ssd_depth_core.models.depth_net import DepthNetConfig
    from ssd_depth_core.models.factory import build_depth_net

    from training._methods import checkpoint

    config = DepthNetConfig(input_height=32, input_width=64)
    network = build_depth_net(config)
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)
    info = CheckpointInfo(model=config, step=7, training_command='x', training_data='none')
    save_checkpoint(tmp_path / 'net.safetensors', network, info)
    name, method = checkpoint(tmp_path / 'net.safetensors', 'cpu')
    said = method(np.zeros((48, 80, 3), np.uint8), np.array(K))
    assert name.endswith('net.safetensors, step 7')
    # A head of zeros gives the middle, in logarithms, of 0.1 m to 80 m and of the scales 0.01 to
    # 2; the focal lengths, 60 px in the picture, are 48 px and 40 px in the network's.
    canonical = math.sqrt(0.1 * 80)
    depth = canonical * math.sqrt(48 * 40) / config.canonical_focal_px
    np.testing.assert_allclose(said.depth, np.full((32, 64), depth), rtol=1e-5)
    confidence = 1 - math.exp(-math.log(1.25) / math.sqrt(0.01 * 2))
    np.testing.assert_allclose(said.confidence, np.full((32, 64), confidence), rtol=1e-5)


def test_checkpoints_are_chosen_by_validation_only(index, tmp_path, capsys):
    for name, factor in (('good', 1.1), ('bad', 1.5)):
        options = ['--predictions', predict(tmp_path / f'p{name}', factor)]
        score(index, tmp_path / name, *options, split='validation')
    bad, good = (tmp_path / name / 'metrics.json' for name in ('bad', 'good'))
    capsys.readouterr()
    assert select_checkpoint.main(['--results', str(bad), str(good), '--metric', 'a1']) == 0
    assert capsys.readouterr().out.endswith(f'best: {good}\n')
    bad.write_text(bad.read_text().replace('"split": "validation"', '"split": "test"'))
    with pytest.raises(ValueError, match='was measured on the test split'):
        select_checkpoint.main(['--results', str(bad), str(good)])


def test_every_shipped_config_is_valid():
    from ssd_depth_core.config import load_yaml
    from ssd_depth_core.evaluation.protocol import EvaluationConfig

    folder = evaluate.CONFIG.parent
    configs = {path.stem: load_yaml(EvaluationConfig, path) for path in folder.glob('*.yaml')}
    assert configs['nuscenes'] == EvaluationConfig()
    assert configs['robotcar'].caps_m == (50.0,)
