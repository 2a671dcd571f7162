import math

import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.losses.agreement import agreement_weight  # noqa: E402


def maps(*values):
    return torch.tensor(values, dtype=torch.float64)[None, None, None]


def test_weights_by_hand():
    weight = agreement_weight(maps(0.1, 0.1, 0.2), maps(0.1, 0.05, 0.3), beta=2.0, floor=0.5)
    expected = [1.5, math.exp(-2 * 0.5) + 0.5, math.exp(-2 * 0.5) + 0.5]
    assert weight.flatten().tolist() == pytest.approx(expected)


def test_the_defaults_are_the_papers():
    weight = agreement_weight(maps(0.1, 0.1), maps(0.1, 0.4))
    assert weight.flatten().tolist() == pytest.approx([2.0, 1 + math.exp(-3)])


def test_with_beta_zero_all_pixels_count_alike():
    weight = agreement_weight(maps(0.1, 0.1), maps(0.1, 9.0), beta=0.0, floor=0.0)
    assert weight.flatten().tolist() == [1.0, 1.0]


def test_a_weight_is_no_way_to_lower_the_loss():
    label = maps(0.1, 0.2).requires_grad_()
    assert not agreement_weight(label, maps(0.3, 0.1).requires_grad_()).requires_grad


def test_half_precision_is_weighed_in_single():
    half = maps(0.1).to(torch.bfloat16)
    assert agreement_weight(half, half).dtype == torch.float32


@pytest.mark.parametrize(
    ('other', 'options', 'message'),
    [
        (maps(0.1, 0.2), {}, r'must have one shape, got \(1, 1, 1, 1\) and \(1, 1, 1, 2\)'),
        (maps(0.1), {'beta': -1.0}, 'beta must be >= 0, got -1.0'),
        (maps(0.1), {'floor': -0.5}, 'floor must be >= 0, got -0.5'),
    ],
)
def test_what_does_not_fit_is_refused(other, options, message):
    with pytest.raises(ValueError, match=message):
        agreement_weight(maps(0.1), other, **options)
