import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.losses.distillation import (  # noqa: E402
    relative_difference,
    reliability_mask,
    segment_mean,
)


def maps(*values):
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_the_difference_is_relative_to_the_teachers_depth():
    # Depths 10, 20 and 5 m of the student where the teacher has 8, 20 and 10 m.
    student, teacher = 1 / maps(10.0, 20.0, 5.0), 1 / maps(8.0, 20.0, 10.0)
    expected = maps(2 / 8, 0.0, 5 / 10)
    torch.testing.assert_close(relative_difference(student, teacher), expected)


def test_the_gradient_of_the_difference_is_right():
    generator = torch.Generator().manual_seed(1)
    student = torch.rand(2, 1, 3, 4, generator=generator, dtype=torch.float64) + 0.1
    teacher = torch.rand(2, 1, 3, 4, generator=generator, dtype=torch.float64) + 0.1
    assert torch.autograd.gradcheck(
        lambda x: relative_difference(x, teacher), student.requires_grad_()
    )


def test_half_precision_is_left_for_the_difference():
    student = (1 / maps(10.0)).bfloat16()
    assert relative_difference(student, student).dtype == torch.float32


def test_the_rules_differ_in_which_teacher_they_follow():
    teacher, student = maps(0.1, 0.3, 0.2), maps(0.2, 0.1, 0.2)  # better, worse, equal
    asked = {
        rule: reliability_mask(teacher, student, rule).flatten().tolist()
        for rule in ('prose', 'printed', 'off')
    }
    assert asked == {
        'prose': [True, False, True],
        'printed': [False, True, False],
        'off': [True, True, True],
    }


def test_segments_are_averaged_picture_by_picture():
    values = torch.tensor([[1.0, 2.0, 3.0, 6.0], [10.0, 20.0, 30.0, 40.0]]).view(2, 1, 2, 2)
    segments = torch.tensor([[0, 0, 1, 0], [1, 1, 1, 1]]).view(2, 1, 2, 2)
    expected = torch.tensor([[3.0, 3.0, 3.0, 3.0], [25.0, 25.0, 25.0, 25.0]]).view(2, 1, 2, 2)
    torch.testing.assert_close(segment_mean(values, segments), expected)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r'student and teacher must be \(B, 1, H, W\) both'):
        relative_difference(maps(1.0), maps(1.0, 2.0))
    with pytest.raises(ValueError, match='teacher_error and student_error'):
        reliability_mask(torch.ones(1, 2, 3, 3), torch.ones(1, 2, 3, 3))
    with pytest.raises(ValueError, match="rule must be one of prose, printed, off, got 'False'"):
        reliability_mask(maps(1.0), maps(1.0), 'False')
    with pytest.raises(ValueError, match='values and segments'):
        segment_mean(maps(1.0), torch.zeros(1, 1, 1, 2, dtype=torch.int64))
