import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch')
cv2 = pytest.importorskip('cv2')

from ssd_depth_core.data.augment import AugmentConfig  # noqa: E402
from ssd_depth_core.data.rendered import (  # noqa: E402
    describe_sets,
    EvaluationFrames,
    read_classes,
    read_frames,
    RenderedConfig,
    TrainingFrames,
)

SIZE, MEAN, STD = (64, 64), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


@pytest.fixture
def own_set(rendered_set, tmp_path):
    return shutil.copytree(rendered_set, tmp_path / 'set')


def training(root, **config):
    frames = read_frames([root], 'train')
    return TrainingFrames(frames, RenderedConfig(**config), SIZE, MEAN, STD)


def level_of(image):
    """The grey level of a flat picture."""
    return round(float(image.mean() * STD[0] + MEAN[0]) * 255)


def test_splits_stay_apart(rendered_set):
    assert [f.line.id[-1] for f in read_frames([rendered_set], 'train')] == list('013467')
    assert [f.line.id[-1] for f in read_frames([rendered_set], 'validation')] == list('25')


def test_several_sets_are_one(rendered_set, own_set):
    frames = read_frames([rendered_set, own_set], 'train')
    assert [frame.folder for frame in frames] == [rendered_set] * 6 + [own_set] * 6


def test_sets_are_described_by_their_frames_and_config(rendered_set, own_set):
    (own_set / 'config.yaml').write_text('seed: 3\nnum_cities: 2\n')
    frames = read_frames([rendered_set, own_set], 'train')
    assert describe_sets(frames) == (
        '6 frames 000000 to 000007; '
        '6 frames 000000 to 000007 rendered with {"seed": 3, "num_cities": 2}'
    )


def test_a_line_being_written_is_left_for_later(own_set):
    path = own_set / 'frames.jsonl'
    path.write_text(path.read_text()[:-20])
    assert len(read_frames([own_set], 'train')) == 5


def test_evaluation_reads_pictures_depth_and_camera(rendered_set):
    frames = read_frames([rendered_set], 'validation')
    dataset = EvaluationFrames(frames, 'night', SIZE, MEAN, STD)
    sample = dataset[1]  # frame 5
    assert len(dataset) == 2
    assert level_of(sample['image']) == 35
    assert torch.isinf(sample['depth'][0, 0]).all()
    assert torch.isnan(sample['depth'][0, 1]).all()
    assert (sample['depth'][0, 2:] == 19).all()
    assert sample['K'].tolist() == [[50, 0, 31.5], [0, 50, 31.5], [0, 0, 1]]


def test_evaluation_resizes_to_the_network(rendered_set):
    frames = read_frames([rendered_set], 'validation')
    sample = EvaluationFrames(frames, 'night', (32, 96), MEAN, STD)[0]
    assert sample['image'].shape == (3, 32, 96)
    assert sample['depth'].shape == (1, 32, 96)
    assert sample['K'][0].tolist() == [75, 0, 47.5]
    assert sample['K'][1].tolist() == [0, 25, 15.5]


def test_the_seed_alone_decides_the_sample(rendered_set):
    dataset = training(rendered_set)
    a, b, c = dataset[3, 7], dataset[3, 7], dataset[3, 8]
    assert torch.equal(a['image'], b['image'])
    assert torch.equal(a['K'], b['K'])
    assert not torch.equal(a['image'], c['image'])


def test_conditions_are_drawn_by_weight(rendered_set):
    steps = ('texture', 'tone', 'curve', 'colour', 'grey', 'blur', 'resample')
    steps += ('vignette', 'noise', 'jpeg', 'occlude')
    plain = AugmentConfig(**dict.fromkeys(steps, 0.0))
    dataset = training(
        rendered_set, augment=plain, condition_weights={'day-clear': 3.0, 'night': 1.0}
    )
    levels = [level_of(dataset[5, seed]['image']) for seed in range(200)]  # frame 7
    assert set(levels) == {185, 45}
    assert 0.65 < levels.count(185) / 200 < 0.85


def test_depth_follows_the_zoomed_camera(rendered_set):
    sample = training(rendered_set)[0, 1]
    assert sample['K'][0, 0] > 50
    assert sample['depth'][0, -1, 0] == 4  # Z does not change with the focal length


def test_a_condition_without_weight_is_an_error(rendered_set):
    dataset = training(rendered_set, condition_weights={'day-rain': 1.0})
    with pytest.raises(ValueError, match='none with a weight in condition_weights'):
        dataset[0, 0]
    with pytest.raises(ValueError, match='no frame has the condition day-rain'):
        EvaluationFrames(read_frames([rendered_set], 'train'), 'day-rain', SIZE, MEAN, STD)
    with pytest.raises(ValueError, match='condition_weights must be >= 0 and not all 0'):
        RenderedConfig(condition_weights={'night': 0.0})


def test_classes_come_as_they_were_written(own_set):
    frame = read_frames([own_set], 'train')[0]
    with pytest.raises(FileNotFoundError, match='class map not found .* `--set classes=true`'):
        read_classes(frame)
    (own_set / 'classes').mkdir()
    path, classes = own_set / 'classes' / f'{frame.line.id}.png', np.full((64, 64), 13, np.uint8)
    classes[0], classes[5, 7] = 9, 255
    cv2.imwrite(str(path), classes)
    np.testing.assert_array_equal(read_classes(frame), classes)
    assert read_classes(frame).dtype == np.uint8


@pytest.mark.parametrize(
    ('dtype', 'shape', 'got'),
    [(np.uint16, (64, 64), 'uint16'), (np.uint8, (64, 64, 3), r'uint8 \(64, 64, 3\)')],
)
def test_classes_are_8_bit_and_one_channel(own_set, dtype, shape, got):
    frame = read_frames([own_set], 'train')[0]
    path = own_set / 'classes' / f'{frame.line.id}.png'
    path.parent.mkdir()
    cv2.imwrite(str(path), np.ones(shape, dtype))
    with pytest.raises(ValueError, match=f'must be .H, W. of 8 bit, got {got}'):
        read_classes(frame)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match='of 8 bit, got damaged'):
        read_classes(frame)


def test_missing_and_damaged_sets_are_errors(own_set, tmp_path):
    with pytest.raises(FileNotFoundError, match='render_training_set'):
        read_frames([tmp_path / 'nowhere'], 'train')
    dataset = training(own_set, condition_weights={'night': 1.0})
    (own_set / 'night' / '000000.jpg').write_bytes(b'no picture')
    with pytest.raises(ValueError, match='000000.jpg is missing or damaged'):
        dataset[0, 0]
    cv2.imwrite(str(own_set / 'depth' / '000001.png'), np.zeros((64, 64), np.uint8))
    with pytest.raises(ValueError, match='000001.png is missing, damaged or not 16 bit'):
        dataset[1, 0]


def test_bad_lines_are_named(own_set):
    path = own_set / 'frames.jsonl'
    good = path.read_text()
    path.write_text(good + 'nonsense\n')
    with pytest.raises(ValueError, match=r'frames.jsonl:9 is not JSON'):
        read_frames([own_set], 'train')
    line = json.loads(good.splitlines()[0])
    path.write_text(good + json.dumps({**line, 'K': [[0, 0, 1], [0, 1, 1], [0, 0, 1]]}) + '\n')
    with pytest.raises(ValueError, match=r'frames.jsonl:9: K must have focal lengths > 0'):
        read_frames([own_set], 'train')
    path.write_text(json.dumps(line) + '\n')
    with pytest.raises(ValueError, match='no validation frame in'):
        read_frames([own_set], 'validation')
