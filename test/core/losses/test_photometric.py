import numpy as np
import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.losses.photometric import (  # noqa: E402
    C1,
    C2,
    photometric_error,
    reprojection_error,
    reprojection_loss,
    ssim,
)
import torch.nn.functional as F  # noqa: E402

DEPTH = 10.0
SIZE = 12, 20


def pictures(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def flat(value):
    return torch.full((1, 3, 4, 5), value, dtype=torch.float64)


def ssim_of_constants(a, b):
    return (2 * a * b + C1) / (a * a + b * b + C1)


def test_ssim_of_a_picture_with_itself_is_one():
    x = pictures(2, 3, 6, 7)
    torch.testing.assert_close(ssim(x, x), torch.ones_like(x))


@pytest.mark.parametrize(('a', 'b'), [(0.2, 0.2), (0.2, 0.7), (0.0, 1.0)])
def test_ssim_of_constants(a, b):
    torch.testing.assert_close(ssim(flat(a), flat(b)), flat(ssim_of_constants(a, b)))


def test_ssim_of_a_negative_is_negative():
    x = pictures(1, 1, 6, 7)
    assert (ssim(x, 1 - x) < 0).all()


def test_ssim_window_by_window():
    x, y = pictures(1, 1, 4, 5, seed=1), pictures(1, 1, 4, 5, seed=2)
    padded = [np.pad(z[0, 0].numpy(), 1, mode='reflect') for z in (x, y)]
    expected = torch.empty_like(x)
    for row in range(4):
        for column in range(5):
            a, b = (z[row : row + 3, column : column + 3] for z in padded)
            covariance = ((a - a.mean()) * (b - b.mean())).mean()
            expected[0, 0, row, column] = (
                (2 * a.mean() * b.mean() + C1)
                * (2 * covariance + C2)
                / ((a.mean() ** 2 + b.mean() ** 2 + C1) * (a.var() + b.var() + C2))
            )
    torch.testing.assert_close(ssim(x, y), expected)


@pytest.mark.parametrize('weight', [0.0, 0.85, 1.0])
def test_photometric_error_of_constants(weight):
    error = photometric_error(flat(0.2), flat(0.7), weight)
    expected = weight * (1 - ssim_of_constants(0.2, 0.7)) / 2 + (1 - weight) * 0.5
    assert error.shape == (1, 1, 4, 5)
    torch.testing.assert_close(error, torch.full_like(error, expected))


def test_photometric_error_averages_the_channels():
    x, y = pictures(2, 3, 6, 7, seed=1), pictures(2, 3, 6, 7, seed=2)
    of_each = [photometric_error(x[:, i : i + 1], y[:, i : i + 1]) for i in range(3)]
    torch.testing.assert_close(photometric_error(x, y), sum(of_each) / 3)


def street(batch=1, seed=0):
    """Give a target, sources from 3 pixels to its left and right, and the wall's geometry."""
    height, width = SIZE
    wide = pictures(batch, 3, height, width + 6, seed=seed)
    target = wide[..., 3:-3]
    # A source from the left sees what the target does 3 pixels further right.
    sources = torch.stack((wide[..., :-6], wide[..., 6:]), 1)
    K = torch.tensor(((30.0, 0, 10), (0, 30, 6), (0, 0, 1)), dtype=torch.float64)
    T = torch.eye(4, dtype=torch.float64).repeat(batch, 2, 1, 1)
    T[:, :, 0, 3] = torch.tensor((1.0, -1.0))
    return {
        'target': target,
        'sources': sources,
        'depths': [torch.full((batch, 1, height, width), DEPTH, dtype=torch.float64)],
        'K': K.expand(batch, 3, 3),
        'T_source_target': T,
    }


@pytest.mark.parametrize('padding', ['zeros', 'border'])
def test_the_truth_costs_nothing(padding):
    # The wall's left border is out of the one source's picture and its right of the other's.
    loss = reprojection_loss(**street(), automask=False, padding=padding)
    assert loss.shape == (1,)
    assert loss.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize('factor', [0.7, 0.9, 1.1, 1.5])
def test_wrong_depth_or_motion_costs(factor):
    fitting = street()
    depth = reprojection_loss(
        **{**fitting, 'depths': [factor * fitting['depths'][0]]}, automask=False
    )
    assert depth.item() > 0.01
    T = fitting['T_source_target'].clone()
    T[..., :3, 3] /= factor
    motion = reprojection_loss(**{**fitting, 'T_source_target': T}, automask=False)
    torch.testing.assert_close(motion, depth)


def test_the_best_source_counts():
    fitting = street()
    wrong = fitting['sources'].clone()
    # The target's columns 5 to 8 are hidden in the first source; the second sees all from 3 on.
    wrong[:, 0, :, :, 8:12] = 0.0
    hidden = {**fitting, 'sources': wrong}
    assert reprojection_loss(**hidden, automask=False).item() == pytest.approx(0, abs=1e-12)
    alone = {
        **fitting,
        'sources': wrong[:, :1],
        'T_source_target': fitting['T_source_target'][:, :1],
    }
    assert reprojection_loss(**alone, automask=False).item() > 0.05


def test_the_loss_is_the_mean_error_of_the_warped_source():
    # Without motion the warped source is the source.
    fitting = street(batch=2)
    fitting['T_source_target'] = torch.eye(4, dtype=torch.float64).expand(2, 2, 4, 4)
    errors = [photometric_error(x, fitting['target'], 0.6) for x in fitting['sources'].unbind(1)]
    expected = torch.minimum(*errors).mean()
    loss = reprojection_loss(**fitting, ssim_weight=0.6, automask=False)
    torch.testing.assert_close(loss, expected[None])
    masked = reprojection_loss(**fitting, ssim_weight=0.6, tie_noise=0)
    torch.testing.assert_close(masked, expected[None])


def test_a_picture_that_stands_still_teaches_nothing():
    fitting = street()
    fitting['sources'] = fitting['target'][:, None].expand(-1, 2, -1, -1, -1)
    depth = fitting['depths'][0].clone().requires_grad_()
    T = fitting['T_source_target'].clone().requires_grad_()
    learnt = {**fitting, 'depths': [depth], 'T_source_target': T}
    loss = reprojection_loss(**learnt, generator=torch.Generator().manual_seed(0))
    loss.sum().backward()
    assert -1e-4 < loss.item() <= 0  # the noise alone
    assert (depth.grad == 0).all()
    assert (T.grad == 0).all()

    unmasked = reprojection_loss(**learnt, automask=False)
    unmasked.sum().backward()
    assert unmasked.item() > 0.1
    assert depth.grad.abs().sum() > 0


def test_what_moves_along_is_masked_and_what_stands_is_not():
    fitting = street()
    fitting['sources'] = fitting['sources'].clone()
    fitting['sources'][..., :8] = fitting['target'][:, None, ..., :8]
    depth = (1.2 * fitting['depths'][0]).requires_grad_()
    reprojection_loss(**{**fitting, 'depths': [depth]}).sum().backward()
    learnt = depth.grad[0, 0] != 0
    # Windows around the seventh column and later see what does not move along.
    assert not learnt[:, :6].any()
    assert learnt[:, 9:].float().mean() > 0.9


def test_noise_decides_where_a_warp_changes_nothing():
    fitting = street(batch=4)
    fitting['sources'] = fitting['sources'][:, :1]
    fitting['T_source_target'] = torch.eye(4, dtype=torch.float64).expand(4, 1, 4, 4)
    generator = torch.Generator().manual_seed(0)
    tied = reprojection_loss(**fitting, tie_noise=1e-5, generator=generator).item()
    gain = reprojection_loss(**fitting, automask=False).item() - tied
    # The unwarped source wins where the noise is below 0: the mean of min(0, n) is -0.4 sigma.
    assert gain == pytest.approx(1e-5 / (2 * np.pi) ** 0.5, rel=0.2)


def test_the_generator_decides_the_noise():
    fitting = street()

    def loss(seed, automask=True):
        generator = torch.Generator().manual_seed(seed)
        return reprojection_loss(
            **{**fitting, 'depths': [2 * fitting['depths'][0]]},
            tie_noise=0.01,
            generator=generator,
            automask=automask,
        ).item()

    assert loss(0) == loss(0)
    assert loss(0) != loss(1)
    assert loss(0, automask=False) == loss(1, automask=False)


@pytest.mark.parametrize('upsampling', ['nearest', 'bilinear'])
def test_scales_are_compared_at_full_size(upsampling):
    fitting = street()
    coarse = DEPTH * (0.5 + pictures(1, 1, 3, 5))
    align_corners = False if upsampling == 'bilinear' else None
    inverse = F.interpolate(1 / coarse, SIZE, mode=upsampling, align_corners=align_corners)
    options = {'upsampling': upsampling, 'tie_noise': 0}
    both = reprojection_loss(**{**fitting, 'depths': [fitting['depths'][0], coarse]}, **options)
    one = reprojection_loss(**{**fitting, 'depths': [1 / inverse]}, **options)
    assert both[0].item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(both[1:], one)
    assert one.item() > 0.001


def test_each_scale_learns_from_its_own_error():
    fitting = street()
    depths = [1.1 * fitting['depths'][0], DEPTH + pictures(1, 1, 6, 10)]
    depths = [depth.requires_grad_() for depth in depths]
    reprojection_loss(**{**fitting, 'depths': depths})[1].backward()
    assert depths[0].grad is None or (depths[0].grad == 0).all()
    assert depths[1].grad.abs().sum() > 0


@pytest.mark.parametrize('compare', [ssim, photometric_error])
def test_errors_agree_with_finite_differences(compare):
    x, y = (pictures(1, 2, 3, 4, seed=seed).requires_grad_() for seed in (1, 2))
    assert torch.autograd.gradcheck(compare, (x, y))


@pytest.mark.parametrize('automask', [True, False])
def test_the_loss_agrees_with_finite_differences(automask):
    target, sources = pictures(1, 1, 4, 4, seed=1), pictures(1, 2, 1, 4, 4, seed=2)
    depths = [(2 + pictures(1, 1, size, size, seed=size)).requires_grad_() for size in (4, 2)]
    K = torch.tensor([((5.0, 0, 1.6), (0, 5.2, 1.6), (0, 0, 1))], dtype=torch.float64)
    T = torch.eye(4, dtype=torch.float64) + 0.1 * pictures(1, 2, 4, 4, seed=3)

    def loss(fine, coarse, T):
        generator = torch.Generator().manual_seed(0)
        return reprojection_loss(
            target, sources, [fine, coarse], K, T, automask=automask, generator=generator
        )

    assert torch.autograd.gradcheck(loss, (*depths, T.requires_grad_()))


def test_autocast_and_half_precision_change_nothing():
    fitting = {
        name: [x.float() for x in value] if name == 'depths' else value.float()
        for name, value in street().items()
    }
    fitting['depths'] = [torch.full((1, 1, 3, 5), 12.5)]  # one of bfloat16's numbers
    expected = reprojection_loss(**fitting, tie_noise=0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = reprojection_loss(**fitting, tie_noise=0)
        halved = reprojection_loss(
            **{**fitting, 'depths': [fitting['depths'][0].to(torch.bfloat16)]}, tie_noise=0
        )
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(halved, expected, rtol=0, atol=0)


def test_little_is_kept_for_the_backward_pass():
    fitting = street(batch=2)
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage  # alive, so that no other takes its address
        return tensor

    depth = fitting['depths'][0].requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        reprojection_loss(**{**fitting, 'depths': [depth] * 4})
    # Four depths, the target with its windows and the sources; with every map it would be 104.
    assert sum(storage.nbytes() for storage in kept.values()) < 12 * fitting['target'].nbytes


def compared(depth, **changes):
    fitting = {**street(), **changes}
    del fitting['depths']
    return reprojection_error(**fitting, depth=depth)


def test_the_error_of_a_depth_is_that_of_its_best_source_pixel_by_pixel():
    true = street()['depths'][0]
    right_half_wrong = true.clone()
    right_half_wrong[..., 10:] *= 0.7
    torch.testing.assert_close(compared(true), torch.zeros_like(true), rtol=0, atol=1e-12)
    error = compared(right_half_wrong)
    assert error.shape == true.shape
    assert error[..., :8].abs().max() < 1e-12  # windows of SSIM reach one pixel further
    assert error[..., 11:].mean() > 0.05
    hidden = street()['sources'].clone()
    hidden[:, 0, :, :, 8:12] = 0.0
    assert compared(true, sources=hidden).max() < 1e-12


def test_a_depth_at_another_size_is_refused():
    with pytest.raises(ValueError, match=r'size of the target, \(12, 20\), got \(6, 10\)'):
        compared(torch.ones(1, 1, 6, 10, dtype=torch.float64))
    with pytest.raises(ValueError, match=r'ssim_weight must be in \[0, 1\]'):
        compared(street()['depths'][0], ssim_weight=2.0)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'ssim_weight': 1.5}, r'ssim_weight must be in \[0, 1\], got 1.5'),
        ({'tie_noise': -1e-5}, 'tie_noise must be >= 0, got -1e-05'),
        ({'upsampling': 'cubic'}, "upsampling must be 'nearest' or 'bilinear', got 'cubic'"),
        ({'padding': 'wrap'}, "padding must be 'zeros' or 'border', got 'wrap'"),
        ({'target': torch.zeros(3, *SIZE)}, r'target must be \(B, C, H, W\) .* got \(3, 12, 20\)'),
        (
            {'target': torch.zeros(1, 3, 1, 20)},
            r'target must be .* with H, W >= 2, got \(1, 3, 1, 20\)',
        ),
        (
            {'sources': torch.zeros(1, 2, 3, 12, 21)},
            r'sources must be \(B, S, C, H, W\) .* \(1, 3, 12, 20\), got \(1, 2, 3, 12, 21\)',
        ),
        ({'sources': torch.zeros(1, 0, 3, *SIZE)}, r'S >= 1 .* got \(1, 0, 3, 12, 20\)'),
        (
            {'T_source_target': torch.zeros(1, 3, 4, 4)},
            r'T_source_target must be \(1, 2, 4, 4\) .* got \(1, 3, 4, 4\)',
        ),
        ({'K': torch.eye(3)}, r'K must be \(1, 3, 3\)'),
        ({'depths': []}, 'depths must hold at least one scale, got none'),
        (
            {'depths': [torch.ones(1, 2, *SIZE)]},
            r'each of depths must be \(1, 1, h, w\) .* got \(1, 2, 12, 20\)',
        ),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        reprojection_loss(**{**street(), **change})


@pytest.mark.parametrize('compare', [ssim, photometric_error])
def test_pictures_that_do_not_fit_are_refused(compare):
    with pytest.raises(ValueError, match=r'x and y must have one shape, got .* \(1, 3, 4, 6\)'):
        compare(torch.zeros(1, 3, 4, 5), torch.zeros(1, 3, 4, 6))
    with pytest.raises(ValueError, match=r'x must be \(B, C, H, W\) with H, W >= 2'):
        compare(torch.zeros(1, 3, 4, 1), torch.zeros(1, 3, 4, 1))
    with pytest.raises(ValueError, match=r'ssim_weight must be in \[0, 1\], got -0.1'):
        photometric_error(flat(0.1), flat(0.1), -0.1)
