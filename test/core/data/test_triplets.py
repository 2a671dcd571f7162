from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch')
cv2 = pytest.importorskip('cv2')

from ssd_depth_core.conditions import CONDITIONS  # noqa: E402
from ssd_depth_core.data.frame_reader import BrokenFrameError  # noqa: E402
from ssd_depth_core.data.jitter import JitterConfig, NO_JITTER  # noqa: E402
from ssd_depth_core.data.triplets import (  # noqa: E402
    check_left_alone,
    TripletConfig,
    TripletDataset,
)
from ssd_depth_core.preprocess import resize_intrinsics  # noqa: E402

SIZE = (24, 40)
PLAIN = TripletConfig(size=SIZE).plain()
MEAN, STD = np.array(PLAIN.mean), np.array(PLAIN.std)


@pytest.fixture
def dataset(street_set, folder_source):
    root, lines = street_set

    def make(config=PLAIN, lines=lines, root=root):
        return TripletDataset(lines, folder_source(root), config, root)

    return make


@pytest.fixture
def own_set(street_set, tmp_path):
    """The same set, to be damaged."""
    import shutil

    root, lines = street_set
    return shutil.copytree(root, tmp_path / 'street'), lines


def levels(images):
    """Mean grey of each picture of values in [0, 1]."""
    return (255 * images.mean(dim=(-3, -2, -1))).tolist()


def pixels(normalized):
    """Undo the normalisation: (..., H, W, 3) of 8-bit levels."""
    return (np.moveaxis(normalized.numpy(), -3, -1) * STD + MEAN) * 255


def test_only_frames_between_two_others_are_targets(dataset):
    ids = [line.id for line in dataset().lines]
    assert ids[:4] == ['day-clear-1', 'day-clear-2', 'day-clear-3', 'night-1']
    assert len(dataset()) == 9


def test_a_sample_has_the_frames_in_time(dataset):
    sample = dataset()[1, 0]  # day-clear-2
    assert levels(sample['target']) == pytest.approx(120, abs=1)
    assert levels(sample['sources']) == pytest.approx([100, 140], abs=1)
    means = pixels(sample['pose_images']).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, (100, 120, 140), atol=1)
    assert sample['number'] == 1
    assert CONDITIONS[sample['condition']] == 'day-clear'
    assert CONDITIONS[dataset()[4, 0]['condition']] == 'night'


def test_frames_without_poses_have_no_motion(dataset, street_set):
    _, lines = street_set
    lost = replace(lines[2], next=replace(lines[2].next, T_source_target=None))
    incomplete = dataset(lines=[*lines[:2], lost, *lines[3:]])
    assert not incomplete.has_poses
    for number in range(len(incomplete)):  # all alike, or they would not go into one batch
        sample = incomplete[number, 0]
        assert {'sources', 'pose_images'} < sample.keys()
        assert not {'T_source_target', 'distance_m'} & sample.keys()
    assert dataset().has_poses


def test_shapes_and_types(dataset):
    sample = dataset(replace(PLAIN, input_size=(28, 42), depth='exact'))[0, 0]
    assert {name: tuple(value.shape) for name, value in sample.items()} == {
        'image': (3, 28, 42),
        'target': (3, *SIZE),
        'sources': (2, 3, *SIZE),
        'pose_images': (3, 3, *SIZE),
        'depth': (1, *SIZE),
        'K': (3, 3),
        'T_source_target': (2, 4, 4),
        'distance_m': (2,),
        **{name: () for name in ('flip', 'condition', 'number', 'num_skipped')},
    }
    kinds = {'flip': torch.bool} | dict.fromkeys(
        ('condition', 'number', 'num_skipped'), torch.int64
    )
    assert all(
        value.dtype == kinds.get(name, torch.float32) and value.is_contiguous()
        for name, value in sample.items()
    )


def test_the_camera_follows_the_resize(dataset, street_set):
    _, lines = street_set
    expected = resize_intrinsics(np.array(lines[0].K), lines[0].size, SIZE)
    for input_size in (None, (28, 42)):  # of the network; K is the losses'
        sample = dataset(replace(PLAIN, input_size=input_size))[0, 0]
        np.testing.assert_allclose(sample['K'].numpy(), expected, rtol=1e-6)


def test_poses_and_distances_are_the_indexs(dataset, street_set):
    _, lines = street_set
    sample = dataset()[0, 0]
    expected = (lines[1].previous.T_source_target, lines[1].next.T_source_target)
    np.testing.assert_allclose(sample['T_source_target'].numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(sample['distance_m'].numpy(), (0.5, 0.5), rtol=1e-6)


def test_flip_mirrors_the_input_and_nothing_else(dataset):
    plain = dataset()[0, 0]
    flipped = dataset(replace(PLAIN, flip=1.0))[0, 0]
    assert flipped['flip']
    assert not plain['flip']
    assert not torch.equal(flipped['image'], plain['image'])
    assert torch.equal(flipped['image'].flip(-1), plain['image'])
    for name in ('target', 'sources', 'pose_images', 'K', 'T_source_target', 'distance_m'):
        assert torch.equal(flipped[name], plain[name])


def test_flip_happens_as_often_as_asked(dataset):
    made = dataset(replace(PLAIN, flip=0.3, neighbours=False))
    share = np.mean([made[0, seed]['flip'].item() for seed in range(400)])
    assert share == pytest.approx(0.3, abs=0.08)


def test_jitter_is_the_same_for_all_frames_and_spares_what_losses_compare(dataset):
    plain = dataset()[0, 0]
    jitter = JitterConfig(brightness=0.2, contrast=0, saturation=0, hue=0)
    jittered = dataset(replace(PLAIN, jitter=jitter))[0, 11]
    factors = pixels(jittered['pose_images']) / pixels(plain['pose_images'])
    assert factors.mean() == pytest.approx(np.median(factors), abs=2e-3)
    assert np.abs(factors - factors.mean()).max() < 0.02  # rounded to 8 bits
    assert abs(factors.mean() - 1) > 0.02
    assert torch.equal(jittered['image'], jittered['pose_images'][1])
    for name in ('target', 'sources', 'K'):
        assert torch.equal(jittered[name], plain[name])


def test_noise_is_on_the_input_only(dataset):
    plain, noisy = dataset()[0, 0], dataset(replace(PLAIN, noise=1.0))[0, 0]
    difference = pixels(noisy['image']) - pixels(plain['image'])
    assert difference.std() == pytest.approx(0.045 * 255, rel=0.1)
    assert torch.equal(noisy['pose_images'], plain['pose_images'])


def test_the_same_draw_is_the_same_sample_and_another_seed_is_not(dataset):
    made = dataset(TripletConfig(size=SIZE, noise=0.5))
    first, again, other = made[2, 77], made[2, 77], made[2, 78]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first['image'], other['image'])


def test_the_scalar_normalisation_of_the_papers(dataset):
    sample = dataset(replace(PLAIN, mean=(0.45,) * 3, std=(0.225,) * 3))[0, 0]
    torch.testing.assert_close(sample['image'], (sample['target'] - 0.45) / 0.225)


def test_exact_depth_keeps_sky(dataset):
    depth = dataset(replace(PLAIN, size=(48, 80), depth='exact'))[0, 0]['depth'][0]
    assert torch.isinf(depth[0]).all()
    assert depth[1:].max() < 50
    assert depth[-1, 0] == 3


def test_lidar_depth_keeps_the_nearest_points(dataset):
    depth = dataset(replace(PLAIN, depth='lidar'))[0, 0]['depth'][0]
    assert torch.isfinite(depth).sum() == 2
    assert (depth[2, 3], depth[20, 35]) == (7, 3)


def test_without_neighbours_every_frame_is_a_target_and_no_other_is_read(own_set, dataset):
    root, lines = own_set
    (root / 'day-clear' / '1.jpg').unlink()
    made = dataset(replace(PLAIN, neighbours=False), lines, root)
    assert len(made) == len(lines)
    assert not {'sources', 'pose_images', 'T_source_target', 'distance_m'} & set(made[0, 0])


def test_an_index_without_neighbours_is_refused(dataset, street_set):
    _, lines = street_set
    alone = [replace(line, previous=None) for line in lines]
    with pytest.raises(ValueError, match='none of 15 frames has one before and one after'):
        dataset(lines=alone)


def test_exact_depth_of_a_recording_is_refused(dataset, street_set):
    _, lines = street_set
    exact = replace(PLAIN, depth='exact')
    for changes in (
        {'root': None},
        {'lines': [*lines[:3], replace(lines[3], exact_depth=None)]},
    ):
        with pytest.raises(ValueError, match='recordings have depth: lidar'):
            TripletDataset(
                changes.get('lines', lines), None, exact, changes.get('root', 'somewhere')
            )


def damage(path, how):
    if how == 'missing':
        path.unlink()
    elif how == 'truncated':
        path.write_bytes(path.read_bytes()[:-200])
    elif how == 'empty':
        path.write_bytes(b'')
    else:
        path.write_text('no picture')


@pytest.mark.parametrize('how', ['missing', 'truncated', 'empty', 'no picture'])
@pytest.mark.parametrize('frame', [0, 1, 2])
def test_a_broken_picture_is_named_with_its_path(own_set, dataset, how, frame):
    root, lines = own_set
    path = root / 'day-clear' / f'{frame}.jpg'
    damage(path, how)
    made = dataset(PLAIN, lines, root)
    with pytest.raises(BrokenFrameError, match=f'frame day-clear-1: .*{path}'):
        made[0, 0]
    if frame == 0:
        assert made[1, 0]['number'] == 1  # it needs the frames 1 to 3


def test_broken_exact_depth_is_named(own_set, dataset):
    root, lines = own_set
    damage(root / 'depth.png', 'missing')
    with pytest.raises(BrokenFrameError, match='exact depth .*depth.png is missing'):
        dataset(replace(PLAIN, depth='exact'), lines, root)[0, 0]


def test_a_skipped_frame_is_counted_logged_and_replaced_always_by_the_same(
    own_set, dataset, caplog
):
    root, lines = own_set
    damage(root / 'day-clear' / '0.jpg', 'truncated')
    made = dataset(replace(PLAIN, on_broken='skip'), lines, root)
    samples = [made[0, seed] for seed in range(20)]
    assert all(sample['number'] != 0 for sample in samples)
    assert min(sample['num_skipped'] for sample in samples) == 1
    assert len({int(sample['number']) for sample in samples}) > 3
    again = [made[0, seed] for seed in range(20)]
    for sample, other in zip(samples, again, strict=True):
        assert all(torch.equal(sample[name], other[name]) for name in sample)
    assert 'skipped frame day-clear-1: picture' in caplog.text
    assert made[1, 0]['num_skipped'] == 0


def test_a_set_of_broken_frames_is_not_skipped_for_ever(own_set, dataset):
    root, lines = own_set
    for path in root.glob('*/*.jpg'):
        damage(path, 'missing')
    made = dataset(replace(PLAIN, on_broken='skip'), lines, root)
    with pytest.raises(BrokenFrameError, match='11 broken frames in a row, the last one frame'):
        made[0, 0]


def test_what_other_parts_decide_is_left_alone():
    names = ('size', 'mean')
    check_left_alone(TripletConfig(flip=0.1), TripletConfig(), names, 'data', 'ask the model')
    message = r'data.size must be left at \(320, 576\), got \(24, 40\); ask the model'
    with pytest.raises(ValueError, match=message):
        check_left_alone(
            TripletConfig(size=(24, 40)), TripletConfig(), names, 'data', 'ask the model'
        )


def test_plain_leaves_augmentation_out():
    config = TripletConfig(noise=0.5, depth='lidar').plain()
    assert (config.flip, config.noise, config.jitter) == (0, 0, NO_JITTER)
    assert config.depth == 'lidar'


@pytest.mark.parametrize(
    ('name', 'value', 'rule'),
    [('flip', 1.5, r'in \[0, 1\]'), ('noise', -1.0, r'in \[0, 1\]'), ('size', (0, 8), 'positive')],
)
def test_config_refuses_what_makes_no_sense(name, value, rule):
    with pytest.raises(ValueError, match=f'{name} must be {rule}'):
        TripletConfig(**{name: value})
