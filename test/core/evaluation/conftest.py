"""A tiny index with its predictions, all of it made by hand."""

import numpy as np
import pytest
from ssd_depth_core.data.index import IndexLine, Neighbour
from ssd_depth_core.evaluation.comparison import difference_rows
from ssd_depth_core.evaluation.frame_score import score_frame
from ssd_depth_core.evaluation.predictions import Prediction
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.record import Evaluation
from ssd_depth_core.evaluation.summary import summarize

K = ((20.0, 0.0, 7.5), (0.0, 20.0, 5.5), (0.0, 0.0, 1.0))
STILL = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))


@pytest.fixture(scope='session')
def line_of():
    """Make a line; frames of a scene are 0.5 s apart, and the one before is in the index too."""

    def make(scene='a', number=0, condition='day-clear', size=(12, 16), **changes):
        previous = None
        if number:
            stamp_us = 500_000 * (number - 1)
            previous = Neighbour(
                image=f'{scene}{number - 1}.png', timestamp_us=stamp_us, T_source_target=STILL
            )
        values = {
            'id': f'{scene}{number}',
            'scene': scene,
            'channel': 'CAM_FRONT',
            'condition': condition,
            'timestamp_us': 500_000 * number,
            'image': f'{scene}{number}.png',
            'size': size,
            'K': K,
            'speed_mps': 0.0,
            'previous': previous,
        }
        return IndexLine(**(values | changes))

    return make


@pytest.fixture(scope='session')
def scored(line_of):
    """Score frames whose depth is the truth times a factor: {(scene, condition): factors}."""

    def score(factors, config=None, **prediction):
        frames = []
        truth = np.random.default_rng(0).uniform(1, 30, (12, 16)).astype(np.float32)
        for (scene, condition), row in factors.items():
            for number, factor in enumerate(row):
                frames.append(
                    score_frame(
                        line_of(scene, number, condition),
                        truth,
                        Prediction(depth=truth * factor, confidence=None, **prediction),
                        config or EvaluationConfig(replicates=200),
                    )
                )
        return frames

    return score


@pytest.fixture
def frames(scored):
    return scored({('a', 'day-clear'): (1.1, 1.3), ('b', 'night'): (1.2, 1.6)})


@pytest.fixture
def evaluation(frames):
    config = EvaluationConfig(replicates=200)
    return Evaluation(
        method='a <method>',
        split='validation',
        data='index/x (nuscenes)',
        command='python -m training.evaluate --index index/x',
        commit='0123456789',
        machine='a processor',
        date='2026-01-01',
        options=config,
        frames_indexed=7,
        frames_missing=2,
        frames_without_truth=1,
        absent=('Confidence: the method gives none.',),
        tables=summarize(frames, config),
        compared_with='other/metrics.json',
        comparison=tuple(difference_rows(frames, frames, config)),
    )
