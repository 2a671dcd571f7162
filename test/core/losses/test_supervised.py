import math

import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.losses.supervised import (  # noqa: E402
    canonical_log_depth,
    gradient_matching,
    laplace_nll,
    log_depth_residual,
)


def residual(values):
    return torch.tensor(values, dtype=torch.float64)[None, None]


def everywhere(values):
    return torch.ones_like(values, dtype=torch.bool)


def intrinsics(fx, fy):
    return torch.tensor([[fx, 0, 9], [0, fy, 9], [0, 0, 1]], dtype=torch.float64)


def test_canonical_depth_scales_by_the_geometric_mean_focal_length():
    depth = torch.full((2, 1, 1, 1), 10.0, dtype=torch.float64)
    K = torch.stack([intrinsics(240, 240), intrinsics(960, 240)])
    log_depth = canonical_log_depth(depth, K, 240.0)
    assert log_depth.exp().flatten().tolist() == pytest.approx([10.0, 5.0])


def test_canonical_depth_keeps_unknown_and_beyond():
    depth = torch.tensor([[[[math.nan, math.inf]]]])
    log_depth = canonical_log_depth(depth, intrinsics(480, 480)[None].float(), 240.0)
    assert math.isnan(log_depth[0, 0, 0, 0])
    assert log_depth[0, 0, 0, 1] == math.inf


def test_canonical_depth_rejects_another_number_of_cameras():
    with pytest.raises(ValueError, match=r'K must be \(2, 3, 3\), got \(1, 3, 3\)'):
        canonical_log_depth(torch.ones(2, 1, 4, 4), torch.eye(3)[None], 240.0)


def test_residual_is_one_sided_beyond_range():
    predicted = torch.tensor([10.0, 10.0, 40.0, 79.0]).log()
    truth = torch.tensor([5.0, math.nan, math.inf, 100.0]).log()
    r = log_depth_residual(predicted, truth, 80.0)
    assert r[0].item() == pytest.approx(math.log(2))
    assert math.isnan(r[1])
    assert r[2].item() == pytest.approx(math.log(40 / (0.98 * 80)))
    assert r[3].item() == 0  # 79 m is past 98 % of the range: right


def test_residual_gradient_is_finite_and_pulls_the_sky_outwards():
    predicted = torch.tensor([10.0, 40.0, 79.0]).log().requires_grad_()
    r = log_depth_residual(predicted, torch.tensor([math.nan, math.inf, math.inf]), 80.0)
    valid_mask = torch.tensor([False, True, True])
    laplace_nll(r, torch.zeros(3), valid_mask).backward()
    assert predicted.grad.tolist() == pytest.approx([0.0, -0.5, 0.0])


def test_residual_rejects_other_shapes():
    with pytest.raises(ValueError, match='one shape'):
        log_depth_residual(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 3), 80.0)


def test_nll_by_hand():
    r, log_scale = residual([[0.3, -0.1]]), residual([[math.log(0.5), math.log(0.2)]])
    plain = laplace_nll(r, log_scale, everywhere(r), beta=0.0)
    assert plain.item() == pytest.approx((0.3 / 0.5 + math.log(0.4) + 0.1 / 0.2) / 2)
    weighed = laplace_nll(r, log_scale, everywhere(r), beta=1.0)
    expected = (0.3 + 0.5 * math.log(1.0) + 0.1 + 0.2 * math.log(0.4)) / 2
    assert weighed.item() == pytest.approx(expected)


def test_nll_is_least_where_the_scale_is_the_error():
    r = residual([[0.3]])
    log_scale = residual([[math.log(0.3)]]).requires_grad_()
    laplace_nll(r, log_scale, everywhere(r), beta=0.0).backward()
    assert log_scale.grad.item() == pytest.approx(0, abs=1e-12)


def test_nll_with_beta_one_pulls_depth_as_the_absolute_error_does():
    r = residual([[0.3, -2.0]]).requires_grad_()
    laplace_nll(r, residual([[-4.0, 0.5]]), everywhere(r), beta=1.0).backward()
    assert r.grad.flatten().tolist() == pytest.approx([0.5, -0.5])


def test_masked_pixels_count_in_no_loss_and_no_gradient():
    r = residual([[0.3, math.nan, 0.3], [0.3, math.inf, 0.3]]).requires_grad_()
    valid_mask = torch.isfinite(r)
    log_scale = torch.zeros_like(r)
    nll = laplace_nll(r, log_scale, valid_mask)
    assert nll.item() == pytest.approx(0.3 + math.log(2))
    matching = gradient_matching(r, valid_mask, num_scales=1)
    assert matching.item() == 0
    (nll + matching).backward()
    assert torch.isfinite(r.grad).all()
    assert (r.grad[~valid_mask] == 0).all()


def test_losses_of_nothing_are_zero():
    r = residual([[math.nan, math.nan]])
    nowhere = torch.zeros_like(r, dtype=torch.bool)
    assert laplace_nll(r, torch.zeros_like(r), nowhere).item() == 0
    assert gradient_matching(r, nowhere).item() == 0


def test_gradient_matching_by_hand():
    # Two differences of 1 along x, and along y 0 and 1 and 0: (1 + 1 + 1) / 7 pairs at scale 0.
    r = residual([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    assert gradient_matching(r, everywhere(r), num_scales=1).item() == pytest.approx(3 / 7)
    # At scale 1 the picture is [[0, 1]]: a single pair.
    assert gradient_matching(r, everywhere(r), num_scales=2).item() == pytest.approx(
        (3 / 7 + 1) / 2
    )


def test_gradient_matching_forgives_a_constant():
    r = torch.full((1, 1, 8, 8), 0.7)
    assert gradient_matching(r, everywhere(r)).item() == 0


def test_gradients_agree_with_finite_differences():
    generator = torch.Generator().manual_seed(0)
    r = torch.randn(1, 1, 5, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    log_scale = torch.randn(1, 1, 5, 6, generator=generator, dtype=torch.float64)
    valid_mask = torch.rand(1, 1, 5, 6, generator=generator) < 0.8
    # beta = 0: with a constant weight the derivative is not that of the value, on purpose.
    assert torch.autograd.gradcheck(
        lambda a, b: laplace_nll(a, b, valid_mask, 0.0), (r, log_scale.requires_grad_())
    )
    assert torch.autograd.gradcheck(lambda a: gradient_matching(a, valid_mask, 3), (r,))


def test_losses_reject_what_does_not_fit():
    r = torch.zeros(1, 1, 4, 4)
    small = torch.zeros(1, 1, 4, 3)
    with pytest.raises(ValueError, match='log_scale must have the shape of residual'):
        laplace_nll(r, small, everywhere(r))
    with pytest.raises(ValueError, match='valid_mask must have the shape of residual'):
        gradient_matching(r, everywhere(small))
    with pytest.raises(ValueError, match=r'beta must be in \[0, 1\], got 2'):
        laplace_nll(r, r, everywhere(r), beta=2)
    with pytest.raises(ValueError, match='num_scales must be >= 1, got 0'):
        gradient_matching(r, everywhere(r), num_scales=0)
