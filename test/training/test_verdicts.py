import pytest

pytest.importorskip('cv2')

from ssd_depth_core.data.manifest import ManifestLine

from training._verdicts import verdict_table


def line(number, condition, *reasons):
    return ManifestLine(
        source_id=f'frame-{number}',
        condition=condition,
        path=f'{condition}/{number}.png',
        translator='x',
        seed=number,
        accepted=not reasons,
        reasons=reasons,
    )


def test_rejections_are_counted_by_condition_and_rule_the_commonest_first():
    uncomparable = 'depth cannot be compared: estimate is constant'
    lines = [
        line(0, 'night'),
        line(0, 'fog', 'trust 0.05 is below 0.3'),
        line(1, 'night', 'trust 0.2 is below 0.3'),
        line(2, 'night', uncomparable, 'trust 0 is below 0.3'),
        line(3, 'night', 'luminance_ratio 0.8 is outside [0, 0.75], which night has'),
        line(4, 'night', 'log_error 1e+03 is above 0.8', 'trust 1e-05 is below 0.3'),
    ]
    assert [row.split(maxsplit=1) for row in verdict_table(lines).splitlines()] == [
        ['night', '1 accepted, 4 rejected'],
        ['3', 'trust is below 0.3'],
        ['1', uncomparable],
        ['1', 'log_error is above 0.8'],
        ['1', 'luminance_ratio is outside [0, 0.75], which night has'],
        ['fog', '0 accepted, 1 rejected'],
        ['1', 'trust is below 0.3'],
    ]


def test_a_rule_that_is_broken_twice_by_one_picture_counts_once():
    reasons = ('trust 0.1 is below 0.3', 'trust 0.2 is below 0.3')
    assert '2 trust' not in verdict_table([line(0, 'night', *reasons)])


def test_without_pictures_there_is_nothing_to_count():
    assert verdict_table([]) == ''
