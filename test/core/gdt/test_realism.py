import numpy as np
import pytest
from ssd_depth_core.gdt.realism import (
    EncoderFeatures,
    picture_statistics,
    realism_distance,
    scale_of,
)
import torch


def normal(count, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, (count, 6))


def test_distance_of_two_pairs_by_hand():
    first, second = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 1.0], [1.0, -1.0]])
    # Kernels: 1 between the first two, 1 between the second two; across, products of 1 give
    # 1.5^3 three times and -1 gives 0.5^3.
    expected = 1 + 1 - 2 * (3 * 1.5**3 + 0.5**3) / 4
    found = realism_distance(first, second, seed=0)
    assert found.distance == pytest.approx(expected)
    assert found.error == pytest.approx(0)  # there is one subset of two


def test_sets_of_one_distribution_are_zero_apart_on_average():
    distances = [
        realism_distance(
            normal(40, seed=2 * n), normal(40, seed=2 * n + 1), num_subsets=1, seed=0
        ).distance
        for n in range(100)
    ]
    mean_error = np.std(distances) / np.sqrt(100)
    assert abs(np.mean(distances)) < 3 * mean_error
    assert min(distances) < 0  # which a biased estimate never is


def test_error_says_how_far_off_the_distance_is():
    found = [
        realism_distance(
            normal(200, seed=2 * n),
            normal(200, seed=2 * n + 1),
            subset_size=50,
            num_subsets=20,
            seed=0,
        )
        for n in range(50)
    ]
    actual = np.std([one.distance for one in found])
    claimed = np.mean([one.error for one in found])
    assert 0.5 * actual < claimed < 2.5 * actual


def test_distance_grows_with_the_shift():
    equal, *others = (
        realism_distance(normal(200), normal(200, shift, seed=1), seed=0)
        for shift in (0.0, 0.6, 1.2, 3.0)
    )
    assert abs(equal.distance) < 3 * equal.error
    distances = [other.distance for other in others]
    assert distances == sorted(distances)
    assert distances[0] > 5 * others[0].error


def test_distance_is_symmetric():
    first, second = normal(60), normal(90, 0.5, seed=1)
    there = realism_distance(first, second, subset_size=30, seed=3)
    back = realism_distance(second, first, subset_size=30, seed=3)
    assert back.distance == pytest.approx(there.distance, abs=3 * there.error)
    equal = normal(60, 0.5, seed=1)
    there = realism_distance(first, equal, subset_size=30, seed=3)
    assert realism_distance(equal, first, subset_size=30, seed=3) == there


def test_scale_makes_features_count_alike():
    features = normal(50) * [1, 10, 100, 1, 1, 0] + 7
    scaled = scale_of(features)(features)
    assert scaled.mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-9)
    assert scaled.std(axis=0) == pytest.approx([1, 1, 1, 1, 1, 0])


def pictures(level, noise, count=8):
    rng = np.random.default_rng(0)
    values = level + noise * rng.normal(size=(count, 32, 48, 3))
    return list(values.clip(0, 255).astype(np.uint8))


def test_statistics_see_darkness_and_noise():
    bright, dark = picture_statistics(pictures(180, 2)), picture_statistics(pictures(20, 2))
    noisy = picture_statistics(pictures(180, 20))
    assert (dark[:, :7] < bright[:, :7]).all()  # luminance
    assert (noisy[:, -4] > bright[:, -4] + 1).all()  # finest detail
    grey = picture_statistics([np.full((32, 48, 3), 51, np.uint8)])[0]
    assert grey[:7] == pytest.approx(np.full(7, 0.2))
    assert grey[7:9] == pytest.approx([0, 0])
    assert grey[9:-4] == pytest.approx(np.full(48, 0.2))
    assert grey[-4:] == pytest.approx(np.full(4, np.log(1 / 1024)), abs=1e-3)


def test_encoder_features_are_means_and_deviations_of_its_maps():
    def encoder(image):
        return [image, image[:, :1, :1, :2]]

    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, 1, 0] = 255
    describe = EncoderFeatures(encoder, (0.0, 0.5, 0.0), (1.0, 0.5, 1.0), batch_size=2)
    features = describe([picture, picture, np.zeros_like(picture)])
    deviation = np.sqrt(3) / 4  # of 0, 0, 0, 1
    assert features[0] == pytest.approx([0.25, -1, 0, deviation, 0, 0, 0.5, 0.5])
    assert features[1] == pytest.approx(features[0])
    assert features[2] == pytest.approx([0, -1, 0, 0, 0, 0, 0, 0])
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(
    ('first', 'second', 'message'),
    [
        (normal(5), np.zeros((5, 7)), 'must be \\(N, D\\)'),
        (normal(1), normal(5), '>= 2 pictures'),
        (np.full((5, 6), np.nan), normal(5), 'finite'),
    ],
)
def test_sets_that_cannot_be_compared_are_named(first, second, message):
    with pytest.raises(ValueError, match=message):
        realism_distance(first, second, seed=0)
