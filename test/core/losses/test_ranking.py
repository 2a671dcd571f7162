import math

import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.losses.ranking import ranking_loss  # noqa: E402


def of_depths(*rows):
    """Inverse depth, (1, 1, H, W), of rows of depths [m]."""
    return 1 / torch.tensor(rows, dtype=torch.float64)[None, None]


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def softplus(x):
    return math.log1p(math.exp(x))


def test_one_pair_by_hand():
    # Every pair of two pixels that has an order is this one, whatever is drawn.
    student, teacher = of_depths([4.0, 5.0]), of_depths([10.0, 20.0])
    loss = ranking_loss(student, teacher, global_fraction=0.0)
    assert loss.item() == pytest.approx(softplus(-1.0))  # in order, by 1 m
    wrong = ranking_loss(student, teacher.flip(-1), global_fraction=0.0)
    assert wrong.item() == pytest.approx(softplus(1.0))


def test_global_pairs_by_hand():
    student, teacher = of_depths([4.0, 5.0]), of_depths([10.0, 20.0])
    # Half of the draws join a pixel with itself: these have no order and must not count.
    loss = ranking_loss(
        student.expand(16, 1, 1, 2),
        teacher.expand(16, 1, 1, 2),
        global_fraction=1.0,
        local_fraction=0.0,
        generator=noise(),
    )
    assert loss.item() == pytest.approx(softplus(-1.0))


@pytest.mark.parametrize(('ratio', 'counts'), [(1.15, False), (1.14, True)])
def test_depths_within_the_ratio_have_no_order(ratio, counts):
    student = of_depths([9.0, 1.0])
    loss = ranking_loss(student, of_depths([10.0, 11.45]), ratio=ratio)
    assert loss.item() == pytest.approx(softplus(8.0) if counts else 0.0)


def test_nothing_to_rank_costs_nothing_and_pulls_at_nothing():
    student = of_depths([4.0, 5.0, 6.0]).requires_grad_()
    loss = ranking_loss(student, of_depths([7.0, 7.0, 7.0]), global_fraction=1.0)
    loss.backward()
    assert loss.item() == 0
    assert student.grad.tolist() == [[[[0.0, 0.0, 0.0]]]]


def test_local_pairs_join_the_pixels_that_disagree_to_the_rest():
    # Of 20 pixels the student is wrong in one, which is 5 %: 100 m, and all others are right.
    teacher = torch.full((1, 1, 4, 5), 1 / 10.0, dtype=torch.float64)
    teacher[0, 0, 2, 3] = 1 / 20.0
    student = torch.where(teacher < 0.1, 1 / 5.0, teacher).requires_grad_()
    loss = ranking_loss(student, teacher, global_fraction=0.0, generator=noise())
    loss.backward()
    assert loss.item() == pytest.approx(softplus(5.0))  # said to be 5 m nearer, and is farther
    (moved,) = (student.grad[0, 0] > 0).nonzero().tolist()
    assert moved == [2, 3]  # its inverse depth falls
    assert (student.grad < 0).sum() == 1  # of one other pixel it rises
    assert (student.grad == 0).sum() == 18


def test_a_right_order_has_less_loss_than_a_wrong_one():
    teacher = torch.rand(2, 1, 8, 9, generator=noise(), dtype=torch.float64) + 0.05
    right, wrong = (
        ranking_loss(student, teacher, generator=noise(1))
        for student in (teacher, teacher.flip(2, 3))
    )
    assert right < 0.8 * wrong


def test_the_noise_is_the_generators():
    student, teacher = (
        torch.rand(2, 1, 12, 20, generator=noise(seed), dtype=torch.float64) + 0.1
        for seed in (1, 2)
    )
    first, again, other = (
        ranking_loss(student, teacher, generator=noise(seed)).item() for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_gradients_agree_with_finite_differences():
    student, teacher = (
        torch.rand(2, 1, 5, 6, generator=noise(seed), dtype=torch.float64) + 0.2 for seed in (1, 2)
    )

    def loss(x):
        return ranking_loss(x, teacher, global_fraction=0.5, local_fraction=1.0, generator=noise())

    assert torch.autograd.gradcheck(loss, (student.requires_grad_(),))


def test_no_gradient_reaches_the_teacher():
    student, teacher = of_depths([4.0, 5.0]).requires_grad_(), of_depths([10.0, 20.0])
    ranking_loss(student, teacher.requires_grad_()).backward()
    assert teacher.grad is None
    assert (student.grad != 0).all()


def test_half_precision_is_summed_in_single():
    student, teacher = (of_depths([4.0, d]).to(torch.bfloat16) for d in (5.0, 20.0))
    assert ranking_loss(student, teacher).dtype == torch.float32


@pytest.mark.parametrize(
    ('student', 'teacher', 'message'),
    [
        ((2, 4, 4), (2, 4, 4), r'inverse_depth must be \(B, 1, H, W\) .*, got \(2, 4, 4\)'),
        ((1, 3, 4, 4), (1, 3, 4, 4), r'inverse_depth must be .*, got \(1, 3, 4, 4\)'),
        ((1, 1, 1, 1), (1, 1, 1, 1), r'at least two pixels, got \(1, 1, 1, 1\)'),
        ((1, 1, 4, 4), (1, 1, 4, 5), r'target must have .*\(1, 1, 4, 4\), got \(1, 1, 4, 5\)'),
    ],
)
def test_shapes_that_do_not_fit_are_refused(student, teacher, message):
    with pytest.raises(ValueError, match=message):
        ranking_loss(torch.ones(student), torch.ones(teacher))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'ratio': 0.9}, 'ratio must be >= 1, got 0.9'),
        ({'global_fraction': 1.1}, r'global_fraction must be in \[0, 1\], got 1.1'),
        ({'local_fraction': -0.1}, r'local_fraction must be in \[0, 1\], got -0.1'),
        ({'disagreement_fraction': 0.0}, r'disagreement_fraction must be in \(0, 1\), got 0.0'),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ranking_loss(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4), **options)
