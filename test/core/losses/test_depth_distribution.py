import math

import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.losses.depth_distribution import (  # noqa: E402
    depth_histogram,
    distribution_divergence,
)

BINS = {'num_bins': 3, 'min_depth_m': 10.0, 'max_depth_m': 30.0}  # centres at 10, 20 and 30 m


def metres(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_histogram_by_hand():
    # 10 m: all in the first bin. 24 m: 0.6 in the second, 0.4 in the third. 30 m: all in the
    # last. Beside one pixel a bin, of 6 altogether.
    histogram = depth_histogram(metres(10.0, 24.0, 30.0), **BINS)
    assert histogram.tolist() == pytest.approx([2 / 6, 1.6 / 6, 2.4 / 6])


def test_depths_beyond_the_bins_do_not_count():
    histogram = depth_histogram(metres(9.9, 30.1, math.inf, math.nan, 20.0), **BINS)
    assert histogram.tolist() == pytest.approx([1 / 4, 2 / 4, 1 / 4])


def test_of_nothing_all_depths_are_equally_likely_and_none_is_pulled_at():
    depth = metres(3.0, 90.0).requires_grad_()
    histogram = depth_histogram(depth, **BINS)
    histogram.square().sum().backward()
    assert histogram.tolist() == pytest.approx([1 / 3] * 3)
    assert depth.grad.tolist() == [0.0, 0.0]


def test_the_default_bins_are_the_papers():
    histogram = depth_histogram(metres(3.5, 3.5, 80.0))
    assert histogram.shape == (101,)
    assert histogram[[0, 1, 100]].tolist() == pytest.approx([3 / 104, 1 / 104, 2 / 104])


def test_divergence_by_hand():
    p, q = metres(0.5, 0.25, 0.25), metres(0.25, 0.25, 0.5)
    expected = 0.25 * math.log(0.5) + 0.5 * math.log(2)
    assert distribution_divergence(p, q).item() == pytest.approx(expected)
    assert distribution_divergence(q, q).item() == 0


def test_the_gradient_moves_depths_towards_where_they_are_missed():
    # By day there are as many pixels at 30 m as at 10 m; here they are too near.
    reference = depth_histogram(metres(*[10.0] * 50, *[30.0] * 50), **BINS)
    depth = torch.cat([metres(*[10.0] * 50), metres(*[21.0] * 50)]).requires_grad_()
    distribution_divergence(depth_histogram(depth, **BINS), reference).backward()
    assert (depth.grad[50:] < 0).all()  # a step against it is farther


def test_gradients_agree_with_finite_differences():
    generator = torch.Generator().manual_seed(0)
    depth = 100 * torch.rand(2, 1, 5, 6, generator=generator, dtype=torch.float64)
    reference = depth_histogram(depth.flip(0)[:1], num_bins=7)
    assert torch.autograd.gradcheck(
        lambda x: distribution_divergence(depth_histogram(x, num_bins=7), reference),
        (depth.requires_grad_(),),
    )


def test_half_precision_is_counted_in_single():
    assert depth_histogram(metres(20.0).to(torch.bfloat16)).dtype == torch.float32


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'num_bins': 1}, 'num_bins must be >= 2, got 1'),
        ({'min_depth_m': 0.0}, 'bins must be 0 < min_depth_m < max_depth_m, got 0.0 and 80.0'),
        ({'max_depth_m': 3.0}, 'bins must be .*, got 3.5 and 3.0'),
    ],
)
def test_broken_bins_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        depth_histogram(metres(20.0), **options)


@pytest.mark.parametrize('shapes', [((3,), (4,)), ((2, 3), (2, 3))])
def test_histograms_that_do_not_fit_are_refused(shapes):
    with pytest.raises(ValueError, match=r'must be \(num_bins,\) both, got '):
        distribution_divergence(*(torch.full(shape, 0.25) for shape in shapes))
