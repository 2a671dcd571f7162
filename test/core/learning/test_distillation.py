from dataclasses import replace
import math

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('timm')

from ssd_depth_core.learning.distillation import (  # noqa: E402
    DistillationLossConfig,
    DistillationTask,
    Teacher,
)
from ssd_depth_core.losses.photometric import reprojection_error  # noqa: E402
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig, DepthOutput  # noqa: E402
import torch.nn.functional as F  # noqa: E402

SIZE = (8, 16)
FOCAL_PX = 10.0
WALL_M = 10.0
MODEL = DepthNetConfig(
    confidence=False, canonical_focal_px=FOCAL_PX, input_height=32, input_width=64
)  # four times as large as the losses
PLAIN = DistillationLossConfig(mask_rule='off', semantic_weight=0.0)


class SaidDepth(DepthNet):
    """Says given maps of canonical inverse depth, and features."""

    def __init__(self, *depths, config=MODEL, log_scale=None, features=None):
        torch.nn.Module.__init__(self)
        self.config = config
        self.maps = [torch.nn.Parameter(1 / depth) for depth in depths]
        self.log_scale = log_scale
        self.features = torch.ones(1, 2, 1, 2) if features is None else features

    def encode(self, image):
        return [self.features]

    def decode(self, features, size):
        finest, *coarse = self.maps
        return DepthOutput(finest, self.log_scale, tuple(coarse))


def flat(depth_m, size=SIZE):
    return torch.full((1, 1, *size), float(depth_m))


def batch(**changes):
    """Focal length at the networks' input is 40 px: canonical depth times 4 is metric."""
    values = {
        'image': torch.zeros(1, 3, 32, 64),
        'clear_image': torch.zeros(1, 3, 32, 64),
        'flip': torch.tensor([False]),
        'target': torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0)),
        'K': torch.tensor([[[10.0, 0, 7.5], [0, 10.0, 3.5], [0, 0, 1]]]),
        'weight': torch.tensor([1.0]),
    }
    return {**values, **changes}


def task(student, teacher, loss=PLAIN, **options):
    told = None if teacher is None else Teacher(teacher, **options)
    return DistillationTask(student, loss, told)


def test_depth_is_compared_relative_to_the_teachers():
    parts = task(SaidDepth(flat(5)), SaidDepth(flat(4)))(batch())
    assert parts['distillation'].item() == pytest.approx(1 / 4)
    assert parts['loss'].item() == pytest.approx(1 / 4)
    assert parts['reliable'] == 1


def test_networks_of_other_focal_lengths_are_compared_in_metres():
    other = replace(MODEL, canonical_focal_px=2 * FOCAL_PX)
    parts = task(SaidDepth(flat(5)), SaidDepth(flat(10), config=other))(batch())
    assert parts['loss'].item() == pytest.approx(0, abs=1e-6)


def test_what_was_seen_mirrored_is_mirrored_back_for_both():
    slope = torch.linspace(4, 12, SIZE[1]).expand(1, 1, *SIZE)
    straight = task(SaidDepth(slope), SaidDepth(flat(6)))(batch())
    mirrored = task(SaidDepth(slope), SaidDepth(flat(6)))(batch(flip=torch.tensor([True])))
    assert mirrored['loss'].item() == pytest.approx(straight['loss'].item())
    # Where a truth, which is not mirrored, judges, it matters.
    truth = replace(PLAIN, target='truth')
    known = batch(depth=4 * slope)
    exact = task(SaidDepth(slope), None, truth)(known)['loss'].item()
    turned = task(SaidDepth(slope.flip(-1)), None, truth)(known | {'flip': torch.tensor([True])})
    wrong = task(SaidDepth(slope), None, truth)(known | {'flip': torch.tensor([True])})
    assert exact == pytest.approx(0, abs=1e-6)
    assert turned['loss'].item() == pytest.approx(0, abs=1e-6)
    assert wrong['loss'] > 0.1


def test_every_scale_counts_alike():
    coarse = flat(8, (4, 8))  # half of the size, twice as far as the teacher says
    parts = task(SaidDepth(flat(5), coarse), SaidDepth(flat(4)))(batch())
    assert parts['loss'].item() == pytest.approx((1 / 4 + 1) / 2)


def test_the_gates_weight_counts_by_sample():
    student = SaidDepth(torch.cat((flat(5), flat(6))))
    teacher = SaidDepth(torch.cat((flat(4), flat(4))))
    pair = {name: torch.cat((value, value)) for name, value in batch().items()}
    pair['weight'] = torch.tensor([1.0, 0.5])
    assert task(student, teacher)(pair)['loss'].item() == pytest.approx((0.25 + 0.5 * 0.5) / 2)


def test_the_truth_is_learnt_where_it_is_known_and_up_to_the_networks_end():
    depth = torch.full((1, 1, *SIZE), math.nan)
    depth[..., 0, 0], depth[..., 0, 1] = 16.0, math.inf  # canonical 4 and beyond 80
    said = flat(5)
    said[..., 0, 1] = 80.0
    parts = task(SaidDepth(said), None, replace(PLAIN, target='truth'))(batch(depth=depth))
    assert parts['loss'].item() == pytest.approx((0.25 + 0) / 2)
    parts['loss'].backward()


def moving(**changes):
    """A textured wall 10 m ahead, passed sideways by 1 m a frame: 1 px."""
    wide = torch.rand(1, 3, SIZE[0], SIZE[1] + 2, generator=torch.Generator().manual_seed(2))
    T = torch.eye(4).repeat(1, 2, 1, 1)
    T[:, :, 0, 3] = torch.tensor((1.0, -1.0))
    sources = torch.stack((wide[..., :-2], wide[..., 2:]), 1)
    return batch(target=wide[..., 1:-1], sources=sources, T_source_target=T, **changes)


def half_wrong(depth, factor, side):
    changed = flat(depth)
    changed[..., side] *= factor
    return changed


def test_the_teacher_is_followed_where_it_explains_the_neighbours_better():
    # Canonical 2.5 m is the wall. The teacher errs on the left, the student on the right.
    left, right = slice(0, 8), slice(8, None)
    teacher = SaidDepth(half_wrong(WALL_M / 4, 0.4, left))
    student = SaidDepth(half_wrong(WALL_M / 4, 0.4, right))
    losses = {}
    for rule in ('prose', 'printed', 'off'):
        loss = replace(PLAIN, mask_rule=rule, motion='poses')
        made = task(student, teacher, loss)
        parts = made(moving())
        parts['loss'].backward()
        pulled = student.maps[0].grad[0, 0].abs() > 0
        student.maps[0].grad = None
        losses[rule] = (
            parts['loss'].item(),
            pulled[:, :7].float().mean(),
            pulled[:, 9:].float().mean(),
        )
    # |D_T - D_S| / D_T: 1.5 on the left, 0.6 on the right.
    assert losses['off'] == (pytest.approx((1.5 + 0.6) / 2), 1, 1)
    value, on_left, on_right = losses['prose']
    assert on_left < 0.2
    assert on_right > 0.8
    assert value == pytest.approx(0.6 / 2, abs=0.12)
    assert losses['printed'][0] + value == pytest.approx(losses['off'][0], abs=1e-5)
    assert losses['printed'][1] > 0.8
    assert losses['printed'][2] < 0.2


def test_the_teachers_own_motion_judges_and_is_told_what_it_was_trained_with():
    asked = []

    class SaidMotion(torch.nn.Module):
        def forward(self, pose_images, R_source_target=None, distance_m=None):
            asked.append((R_source_target is not None, distance_m is not None))
            return moving()['T_source_target']

    frames = moving(pose_images=torch.zeros(1, 3, 3, *SIZE), distance_m=torch.ones(1, 2))
    still = frames | {'T_source_target': torch.eye(4).expand(1, 2, 4, 4)}
    loss = replace(PLAIN, mask_rule='prose')
    student, teacher = SaidDepth(flat(WALL_M / 8)), SaidDepth(flat(WALL_M / 4))
    for known in (False, True):
        made = task(
            student,
            teacher,
            loss,
            pose_net=SaidMotion(),
            knows_rotation=known,
            knows_distance=known,
        )
        assert made(still)['reliable'] > 0.9
    assert asked == [(False, False), (True, True)]


def test_segments_are_judged_as_a_whole():
    segments = torch.zeros(1, 1, *SIZE, dtype=torch.int64)
    segments[..., 8:] = 1
    frames = moving(segments=segments)
    # On the left the teacher is right but for one column, on the right wrong but for one.
    teacher = half_wrong(WALL_M / 4, 0.4, slice(9, None))
    teacher[..., 2] *= 0.4
    student = flat(WALL_M / 4) * 0.7
    loss = replace(PLAIN, mask_rule='prose', motion='poses', reliability='segment')
    made = task(SaidDepth(student), SaidDepth(teacher), loss)
    errors = [
        reprojection_error(
            frames['target'],
            frames['sources'],
            4 * depth,
            frames['K'],
            frames['T_source_target'],
            padding='zeros',
        )
        for depth in (teacher, student)
    ]
    left = errors[0][..., :8].mean() <= errors[1][..., :8].mean()
    right = errors[0][..., 8:].mean() <= errors[1][..., 8:].mean()
    assert (left, right) == (True, False)  # what the scene was made for
    assert made(frames)['reliable'].item() == 0.5


def test_features_are_turned_towards_the_teachers():
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).T[None, :, None]
    clear = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).T[None, :, None]
    student = SaidDepth(flat(4), features=features)
    teacher = SaidDepth(flat(4), features=clear)
    parts = task(student, teacher, replace(PLAIN, semantic_weight=0.1))(batch())
    assert parts['semantic'].item() == pytest.approx(0.5)
    assert parts['loss'].item() == pytest.approx(0.05)


def test_a_frozen_encoder_of_its_own_may_give_the_features():
    class Encoder(torch.nn.Module):
        def forward(self, image):
            return [torch.zeros(1), -torch.ones(1, 2, 1, 2)]

    loss = replace(PLAIN, semantic_weight=1.0)
    made = DistillationTask(SaidDepth(flat(4)), loss, Teacher(SaidDepth(flat(4))), Encoder())
    assert made(batch())['semantic'].item() == pytest.approx(2.0)


def test_confidence_learns_the_residual_and_leaves_depth_alone():
    log_scale = torch.nn.Parameter(torch.zeros(1, 1, *SIZE))
    model = replace(MODEL, confidence=True)
    student = SaidDepth(flat(8), config=model, log_scale=log_scale)
    loss = replace(PLAIN, confidence_weight=0.5)
    parts = task(student, SaidDepth(flat(4)), loss)(batch())
    # Laplace of scale 1 at a residual of ln 2.
    assert parts['nll'].item() == pytest.approx(math.log(2) + math.log(2))
    assert parts['loss'].item() == pytest.approx(1 + 0.5 * 2 * math.log(2))
    parts['nll'] = None
    parts['loss'].backward()
    # d/db (ln b + r / b) = 1 - r at b = 1, in ln b, a mean over the pixels.
    expected = 0.5 * (1 - math.log(2)) / (SIZE[0] * SIZE[1])
    torch.testing.assert_close(log_scale.grad, torch.full_like(log_scale, expected))
    alone = task(SaidDepth(flat(8)), SaidDepth(flat(4)))
    alone(batch())['loss'].backward()
    torch.testing.assert_close(student.maps[0].grad, alone.network.maps[0].grad)


def test_the_order_of_depths_counts_where_asked():
    slope = torch.linspace(4, 12, SIZE[1]).expand(1, 1, *SIZE)
    torch.manual_seed(0)
    loss = replace(PLAIN, ranking_weight=1.0)
    right = task(SaidDepth(slope), SaidDepth(slope), loss)(batch())['ranking']
    wrong = task(SaidDepth(slope.flip(-1)), SaidDepth(slope), loss)(batch())['ranking']
    assert 0 < right < wrong


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'ssim_weight': 1.1}, r'ssim_weight must be in \[0, 1\], got 1.1'),
        ({'semantic_weight': -1.0}, 'semantic_weight must be >= 0, got -1.0'),
        ({'ranking_weight': -1.0}, 'ranking_weight must be >= 0'),
        ({'confidence_weight': -1.0}, 'confidence_weight must be >= 0'),
        ({'target': 'truth'}, 'mask_rule must be off and ranking_weight 0 where .* got prose and'),
    ],
)
def test_weights_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        DistillationLossConfig(**fields)


def test_the_teacher_stays_out_of_the_state():
    made = task(SaidDepth(flat(4)), SaidDepth(flat(4)))
    assert F.mse_loss(made.teacher.module.maps[0], 1 / flat(4)) == 0
    assert not made.state_dict()
