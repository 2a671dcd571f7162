"""What a student owes its teacher, and where the teacher is not to be believed.

Reference: Mao et al., 2024, arXiv 2403.05056 (SSD), Eq. 4 to 6; Gasperini et al., 2023,
arXiv 2308.09711 (md4all), whose day distillation is the relative difference here.
"""

from typing import get_args, Literal

import torch

MaskRule = Literal['prose', 'printed', 'off']
"""Which pixels of the teacher count; see `reliability_mask`."""


def relative_difference(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Compare two maps of inverse depth.

        L_day = |i_S - i_T| / i_S = |D_T - D_S| / D_T

    Reference: Gasperini et al., 2023, arXiv 2308.09711, the day distillation loss.

    Args:
        student: Inverse depth, (B, 1, H, W), positive.
        teacher: Likewise.

    Returns:
        Same shape, at least 0; float32 at least, whatever autocast says.

    Raises:
        ValueError: If the shapes differ.
    """
    _check_shapes('student', student, 'teacher', teacher)
    student, teacher = _promoted(student), _promoted(teacher)
    return (student - teacher).abs() / student


def reliability_mask(
    teacher_error: torch.Tensor, student_error: torch.Tensor, rule: MaskRule = 'prose'
) -> torch.Tensor:
    """Choose the pixels at which the teacher is worth following.

        prose:   M = [pe_T <= pe_S]    printed: M = [pe_T > pe_S]    off: M = 1

    Reference: Mao et al., 2024, arXiv 2403.05056, Eq. 5. Differs: as printed it keeps the pixels
    at which the teacher explains the neighbouring frames *worse* than the student does, although
    the text says that these are dropped; `prose` follows the text, `printed` the formula.

    Args:
        teacher_error: Photometric error under the teacher's depth, (B, 1, H, W).
        student_error: The same under the student's.
        rule: Which.

    Returns:
        (B, 1, H, W) bool, True = follow the teacher.

    Raises:
        ValueError: If the shapes differ or there is no such rule.
    """
    _check_shapes('teacher_error', teacher_error, 'student_error', student_error)
    if rule == 'prose':
        return teacher_error <= student_error
    if rule == 'printed':
        return teacher_error > student_error
    if rule == 'off':
        return torch.ones_like(teacher_error, dtype=torch.bool)
    raise ValueError(f'rule must be one of {", ".join(get_args(MaskRule))}, got {rule!r}')


def segment_mean(values: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    """Average over segments, so that an object is judged as a whole.

    A car at a wrong depth fits the pictures at many a pixel by chance: flat colour looks alike
    wherever it is taken from.

    Args:
        values: (B, 1, H, W).
        segments: Number of each pixel's segment, (B, 1, H, W) int64, from 0; each picture counts
            by itself.

    Returns:
        (B, 1, H, W): each pixel has the mean of its segment.

    Raises:
        ValueError: If the shapes differ.
    """
    _check_shapes('values', values, 'segments', segments)
    numbers = segments.flatten(1)
    sums = values.new_zeros(len(values), int(numbers.max()) + 1)
    counts = sums.scatter_add(1, numbers, torch.ones_like(values).flatten(1))
    sums = sums.scatter_add(1, numbers, values.flatten(1))
    return (sums / counts.clamp(min=1)).gather(1, numbers).view_as(values)


def _promoted(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _check_shapes(name: str, x: torch.Tensor, other_name: str, other: torch.Tensor) -> None:
    if x.ndim != 4 or x.shape[1] != 1 or x.shape != other.shape:
        raise ValueError(
            f'{name} and {other_name} must be (B, 1, H, W) both, '
            f'got {tuple(x.shape)} and {tuple(other.shape)}'
        )
