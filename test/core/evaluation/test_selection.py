from dataclasses import replace

import pytest
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.selection import choose_best
from ssd_depth_core.evaluation.summary import summarize

CONFIG = EvaluationConfig(replicates=200)


@pytest.fixture
def evaluation(evaluation):
    return replace(evaluation, frames_missing=0)


def worse(evaluation, frames, factor):
    scaled = [
        replace(
            frame,
            scores=tuple(
                replace(s, metrics=replace(s.metrics, abs_rel=factor * s.metrics.abs_rel))
                for s in frame.scores
            ),
        )
        for frame in frames
    ]
    return replace(evaluation, tables=summarize(scaled, CONFIG))


def test_the_best_of_validation_wins(evaluation, frames):
    results = {'a': worse(evaluation, frames, 1.5), 'b': evaluation}
    results['c'] = worse(evaluation, frames, 1.1)
    assert choose_best(results) == 'b'
    assert choose_best(results, condition='night', variant='plain') == 'b'
    # All have one a1: the first of equals.
    assert choose_best(results, metric='a1') == 'a'


def test_larger_shares_are_better(evaluation, scored):
    good = replace(evaluation, tables=summarize(scored({('a', 'night'): (1.1,)}), CONFIG))
    bad = replace(evaluation, tables=summarize(scored({('a', 'night'): (1.5,)}), CONFIG))
    assert choose_best({'bad': bad, 'good': good}, metric='a1') == 'good'


def test_missing_predictions_are_refused(evaluation):
    results = {'a': evaluation, 'b': replace(evaluation, frames_missing=1)}
    with pytest.raises(ValueError, match='b lacks the predictions of 1 frames'):
        choose_best(results)


@pytest.mark.parametrize('split', ['test', 'train'])
def test_choosing_by_any_other_split_is_refused(evaluation, split):
    results = {'a': evaluation, 'b': replace(evaluation, split=split)}
    with pytest.raises(
        ValueError, match=f'b was measured on the {split} split; .* --split valida'
    ):
        choose_best(results)


def test_results_that_cannot_be_compared_are_refused(evaluation):
    others = (
        replace(evaluation, data='index/y (nuscenes)'),
        replace(evaluation, frames_indexed=evaluation.frames_indexed + 1),
        replace(evaluation, options=EvaluationConfig(caps_m=(50.0,))),
        replace(evaluation, options=EvaluationConfig(min_depth_m=1.0)),
        replace(evaluation, options=EvaluationConfig(garg_crop=True)),
        replace(evaluation, options=EvaluationConfig(truth='exact')),
    )
    for other in others:
        with pytest.raises(ValueError, match='must be of the same frames under the same'):
            choose_best({'a': evaluation, 'b': other})
    with pytest.raises(ValueError, match='no results to choose from'):
        choose_best({})


@pytest.mark.parametrize(
    'wrong', [{'metric': 'absrel'}, {'condition': 'fog'}, {'variant': 'flip'}]
)
def test_a_figure_that_is_not_there_is_named(evaluation, wrong):
    with pytest.raises(ValueError, match='its conditions are .*, its metrics are|its metrics'):
        choose_best({'a': evaluation}, **wrong)
