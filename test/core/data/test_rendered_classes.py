from dataclasses import replace
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch')
cv2 = pytest.importorskip('cv2')

from ssd_depth_core.data.augment import AugmentConfig  # noqa: E402
from ssd_depth_core.data.rendered import read_frames  # noqa: E402
from ssd_depth_core.data.rendered_classes import EvaluationCrops, TrainingCrops  # noqa: E402
from ssd_depth_core.surface_classes import SURFACE_CLASSES, UNKNOWN_CLASS  # noqa: E402

SIZE, MEAN, STD = 48, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
STEPS = ('texture', 'tone', 'curve', 'colour', 'grey', 'blur', 'resample')
STEPS += ('vignette', 'noise', 'jpeg', 'occlude')
PLAIN = AugmentConfig(**dict.fromkeys(STEPS, 0.0), max_zoom=2.0, max_stretch=1.0)


def training(root, augment=PLAIN, size=SIZE):
    return TrainingCrops(read_frames([root], 'train'), augment, size, MEAN, STD)


def evaluation(root, size=SIZE):
    return EvaluationCrops(read_frames([root], 'validation'), size, MEAN, STD)


def shown(sample):
    """Tell the classes from the grey levels of the picture, (H, W)."""
    level = 255 * (sample['image'].mean(0) * STD[0] + MEAN[0])
    return ((level - 20) / 60).round().clamp(min=0).byte()


def agreement(classes, sample):
    known = sample['classes'] != UNKNOWN_CLASS
    return (classes == sample['classes'])[known].float().mean().item()


@pytest.mark.parametrize('flip', [0.0, 1.0])
def test_classes_stay_with_what_they_name(surface_set, flip):
    dataset = training(surface_set, replace(PLAIN, flip=flip))
    for seed in range(6):
        sample = dataset[seed, seed]
        classes = shown(sample)
        assert sample['image'].shape == (3, SIZE, SIZE)
        assert sample['classes'].dtype == torch.uint8
        assert agreement(classes, sample) > 0.9  # the rest lies on edges between blocks
        assert agreement(classes.flip(1), sample) < 0.7
        assert agreement(classes.roll(4, 0), sample) < 0.8


def test_a_mirrored_sample_is_the_mirror_of_the_plain_one(surface_set):
    plain = training(surface_set, replace(PLAIN, flip=0.0))[2, 9]
    mirrored = training(surface_set, replace(PLAIN, flip=1.0))[2, 9]
    for name in ('image', 'classes'):
        assert torch.equal(mirrored[name], plain[name].flip(-1))
        assert not torch.equal(mirrored[name], plain[name])


def test_crops_are_squares_of_half_to_the_whole_height(surface_set):
    dataset = training(surface_set, replace(PLAIN, flip=0.0), size=64)
    sides = []
    for seed in range(30):
        classes = dataset[0, seed]['classes'].int()
        # The least distance of two edges is that of a block, 8 pixels before the crop grew.
        down, across = (
            np.diff(classes.diff(dim=dim).any(1 - dim).nonzero()[:, 0]).min() for dim in (0, 1)
        )
        assert abs(down - across) <= 2
        sides.append(64 * 8 / min(down, across))
    assert 28 <= min(sides) < 40
    assert 52 < max(sides) <= 64


def test_the_seed_alone_decides_the_sample(surface_set):
    dataset = training(surface_set, replace(PLAIN, tone=1.0, noise=1.0))
    a, b, c = dataset[3, 7], dataset[3, 7], dataset[3, 8]
    for name in ('image', 'classes'):
        assert torch.equal(a[name], b[name])
        assert not torch.equal(a[name], c[name])


def test_evaluation_takes_the_middle_square(surface_set):
    dataset = evaluation(surface_set, size=64)
    sample = dataset[1]  # frame 5
    classes = cv2.imread(str(surface_set / 'classes' / '000005.png'), cv2.IMREAD_UNCHANGED)
    assert len(dataset) == 2
    assert np.array_equal(sample['classes'].numpy(), classes[:, 16:80])
    assert agreement(shown(sample), sample) > 0.98
    assert evaluation(surface_set, size=32)[0]['image'].shape == (3, 32, 32)


def test_frames_without_a_clear_day_are_left_out(surface_set, tmp_path):
    own = shutil.copytree(surface_set, tmp_path / 'set')
    path = own / 'frames.jsonl'
    first, rest = path.read_text().split('\n', 1)
    path.write_text(first.replace('day-clear', 'night') + '\n' + rest)
    assert len(training(own)) == 5
    path.write_text(path.read_text().replace('day-clear', 'night'))
    with pytest.raises(ValueError, match='frames must have the condition day-clear, got none'):
        training(own)


def test_classes_that_fit_no_picture_are_errors(surface_set, tmp_path):
    own = shutil.copytree(surface_set, tmp_path / 'set')
    path = own / 'classes' / '000000.png'
    cv2.imwrite(str(path), np.zeros((64, 64), np.uint8))
    with pytest.raises(ValueError, match=r'size of its picture, \(64, 96\), got \(64, 64\)'):
        training(own)[0, 0]
    cv2.imwrite(str(path), np.full((64, 96), len(SURFACE_CLASSES), np.uint8))
    with pytest.raises(ValueError, match='frame 000000 .* must be below 14 or 255, got 14'):
        training(own)[0, 0]
