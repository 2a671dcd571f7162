from dataclasses import replace

import numpy as np
import pytest
from ssd_depth_core.gdt.acceptance import Gate, GateConfig, rule_of
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth
from ssd_depth_core.gdt.translator import Request, Translation

SIZE = (24, 40)


def ramp():
    """A road: near below, far above."""
    return np.repeat(np.linspace(0.02, 0.5, SIZE[0], dtype=np.float32)[:, None], SIZE[1], 1)


def noise(seed, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (*SIZE, 3), dtype=np.uint8)


def night(seed=0):
    """The frame with half of its light."""
    return noise(seed) // 2


class Told:
    """An estimator that says what it was told, picture by picture."""

    def __init__(self, *depths, metric=True):
        self.depths, self.metric, self.models = depths, metric, {'depth': 'told'}

    def estimate(self, pictures, K):
        return [EstimatedDepth(depth, self.metric) for depth in self.depths]


def request(seed=0):
    return Request(
        picture=noise(seed),
        depth=EstimatedDepth(ramp(), metric=True),
        K=np.eye(3),
        condition='night',
        caption=None,
        seed=0,
    )


def translation(picture):
    return Translation(picture=picture, prompt=None, image_prompt=None)


def judged(depth, picture=None, **options):
    picture = night() if picture is None else picture
    gate = Gate(GateConfig(**options), Told(depth))
    [verdict] = gate.judge([request()], [translation(picture)])
    return verdict


def test_the_same_depth_at_another_scale_is_accepted():
    verdict = judged(3 * ramp())
    assert verdict.accepted
    assert verdict.reasons == ()
    assert verdict.scores['log_error'] == pytest.approx(0.0, abs=1e-6)
    assert verdict.scores['ordinal_agreement'] == 1.0
    assert verdict.scores['trust'] > 0.9


def test_depth_upside_down_is_rejected_with_score_value_and_threshold():
    verdict = judged(ramp()[::-1], min_ordinal_agreement=0.75)
    assert not verdict.accepted
    assert 'ordinal_agreement 0 is below 0.75' in verdict.reasons


@pytest.mark.parametrize(
    ('depth', 'reason'),
    [
        (np.full(SIZE, 0.1, np.float32), 'estimate is constant'),
        (np.full(SIZE, np.nan, np.float32), 'estimate has values that are not finite'),
    ],
)
def test_depth_that_cannot_be_compared_is_rejected_by_name(depth, reason):
    verdict = judged(depth)
    assert not verdict.accepted
    assert verdict.reasons == (f'depth cannot be compared: {reason}', 'trust 0 is below 0.3')
    assert verdict.scores['trust'] == 0.0


def test_a_black_picture_is_rejected():
    verdict = judged(ramp(), np.zeros((*SIZE, 3), np.uint8))
    assert not verdict.accepted
    assert 'black_share 1 is above 0.9' in verdict.reasons


def test_a_night_as_bright_as_the_day_is_rejected_by_its_light():
    verdict = judged(ramp(), noise(0) // 10 * 9)
    [reason] = verdict.reasons
    assert reason.startswith('luminance_ratio ')
    assert reason.endswith('is outside [0, 0.75], which night has')


def test_a_picture_that_hardly_changed_is_rejected():
    verdict = judged(ramp(), request().picture, condition_check='none')
    assert verdict.reasons == ('source_distance 0 is below 0.01',)


def test_only_the_second_of_two_equal_variants_is_rejected():
    gate = Gate(GateConfig(), Told(ramp(), ramp(), ramp()))
    same = translation(night())
    low_sun = replace(request(), condition='low-sun')
    first, second, elsewhere = gate.judge([request(), request(), low_sun], [same, same, same])
    assert first.accepted
    assert second.reasons == ('variant_distance 0 is below 0.002',)
    assert elsewhere.accepted


def test_a_threshold_of_none_is_not_asked_for():
    options = {'min_source_distance': None, 'condition_check': 'none'}
    assert judged(ramp(), request().picture, **options).accepted


def grey(picture):
    return np.repeat(picture[..., :1], 3, axis=2)


def test_a_grey_camera_has_no_chroma_to_compare_which_is_said_and_asked_of_nobody():
    gate = Gate(GateConfig(), Told(ramp()))
    source = replace(request(), picture=grey(noise(0)))
    [verdict] = gate.judge([source], [translation(grey(night()))])
    assert verdict.accepted
    assert verdict.unmeasured == ('chroma_ratio',)
    assert 'chroma_ratio' not in verdict.scores
    assert judged(ramp()).unmeasured == ()


def test_a_rule_is_the_reason_of_any_picture_that_breaks_it():
    verdicts = [judged(ramp()[::-1] + shift) for shift in (0.0, 0.1)]
    first, second = ([*map(rule_of, verdict.reasons)] for verdict in verdicts)
    assert verdicts[0].reasons != verdicts[1].reasons
    assert first == second == ['log_error is above 0.8', 'ordinal_agreement is below 0.85']
    assert [*map(rule_of, judged(ramp(), noise(0) // 10 * 9).reasons)] == [
        'luminance_ratio is outside [0, 0.75], which night has'
    ]
    assert rule_of(f'sharpness {CANNOT}') == f'sharpness {CANNOT}'


CANNOT = 'is asked for, and cannot be measured beside this source'


def flat_source_judged(**options):
    gate = Gate(GateConfig(min_trust=None, **options), Told(ramp()))
    flat = np.full((*SIZE, 3), 100, np.uint8)
    source = replace(request(), picture=flat, condition='fog')
    [verdict] = gate.judge([source], [translation(noise(1, 100, 140))])
    return verdict


def test_what_is_asked_for_and_cannot_be_measured_is_a_reason_to_reject():
    verdict = flat_source_judged()
    assert verdict.unmeasured == ('sharpness', 'contrast_ratio', 'chroma_ratio')
    assert verdict.reasons == (f'contrast_ratio {CANNOT}', f'sharpness {CANNOT}')
    assert not verdict.accepted


def test_what_the_config_does_not_ask_for_need_not_be_measurable():
    verdict = flat_source_judged(condition_check='none', min_sharpness=None)
    assert verdict.unmeasured == ('sharpness',)
    assert verdict.accepted


def test_depth_without_edges_is_rejected_only_where_edges_are_asked_for():
    slope = np.linspace(0.1, 0.15, SIZE[0], dtype=np.float32)[:, None].repeat(SIZE[1], 1)
    source = replace(request(), depth=EstimatedDepth(slope, metric=True))
    for least, reasons in ((None, ()), (0.1, (f'edge_f1 {CANNOT}',))):
        gate = Gate(GateConfig(min_edge_f1=least), Told(slope))
        [verdict] = gate.judge([source], [translation(night())])
        assert verdict.unmeasured == ('edge_f1',)
        assert verdict.reasons == reasons


def test_lost_translations_are_an_error():
    with pytest.raises(ValueError, match='1 requests have 0 translations'):
        Gate(GateConfig(), Told()).judge([request()], [])


@pytest.mark.parametrize(
    ('options', 'rule'),
    [
        ({'max_log_error': -1.0}, 'max_log_error must be a number >= 0, got -1.0'),
        ({'min_trust': float('nan')}, 'min_trust must be a number >= 0, got nan'),
        ({'clip_model': 'x'}, 'clip_model must be given where condition_check is clip'),
        ({'condition_check': 'clip'}, 'clip_model must be given where condition_check is clip'),
    ],
)
def test_thresholds_are_checked(options, rule):
    with pytest.raises(ValueError, match=rule):
        GateConfig(**options)
