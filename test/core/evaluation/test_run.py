import cv2
import numpy as np
import pytest
from ssd_depth_core.evaluation.pictures import worst_frames
from ssd_depth_core.evaluation.predictions import Prediction
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.run import (
    absences,
    read_exact_depth,
    score_frames,
    truth_reader,
)
from ssd_depth_core.exact_depth import encode_exact_depth

CONFIG = EvaluationConfig(replicates=200)
TRUTH = np.full((12, 16), 10.0, np.float32)


class Method:
    """Gives the truth, but nothing for frame a1."""

    def predict(self, line):
        return None if line.id == 'a1' else Prediction(depth=TRUTH, confidence=None)

    def predict_mirrored(self, line):
        return TRUTH

    def predict_previous(self, line):
        return TRUTH if line.previous else None


def test_frames_without_prediction_or_truth_are_counted(line_of):
    lines = [line_of(number=number) for number in range(4)]

    def read_truth(line):
        return TRUTH * np.nan if line.id == 'a2' else TRUTH

    scored = score_frames(lines, read_truth, Method(), CONFIG)
    assert [frame.id for frame in scored.frames] == ['a0', 'a3']
    assert (scored.missing, scored.without_truth) == (1, 1)
    assert scored.frames[0].flicker is None
    assert scored.frames[1].flicker == pytest.approx(0, abs=1e-9)
    assert len(scored.frames[0].scores) == 8


def test_what_costs_predictions_can_be_left_out(line_of):
    config = EvaluationConfig(flip=False, flicker=False)
    lines = [line_of(number=number) for number in (2, 3)]
    frames = score_frames(lines, lambda line: TRUTH, Method(), config).frames
    assert {score.variant for frame in frames for score in frame.scores} == {'plain', 'scaled'}
    assert [frame.flicker for frame in frames] == [None, None]


@pytest.fixture
def exact_line(tmp_path, line_of):
    depth = TRUTH.copy()
    depth[0], depth[1] = np.inf, np.nan
    cv2.imwrite(str(tmp_path / 'a0.png'), encode_exact_depth(depth))
    return line_of(exact_depth='a0.png')


def test_exact_depth_is_read_and_the_sky_not_scored(tmp_path, exact_line):
    config = EvaluationConfig(truth='exact')
    read_truth = truth_reader(config, None, tmp_path)
    (frame,) = score_frames([exact_line], read_truth, Method(), config).frames
    assert frame.pixels == 10 * 16


def test_lidar_truth_is_the_sources(line_of):
    class Source:
        def read_depth(self, line):
            return f'LiDAR of {line.id}'

    assert truth_reader(CONFIG, Source(), None)(line_of()) == 'LiDAR of a0'


def test_faulty_exact_depth_is_named(tmp_path, exact_line, line_of):
    with pytest.raises(ValueError, match='frame a0 has no exact depth; score it with --truth lid'):
        read_exact_depth(line_of(), tmp_path)
    cv2.imwrite(str(tmp_path / 'a0.png'), np.zeros((12, 16), np.uint8))
    with pytest.raises(ValueError, match='a0.png is missing, damaged or not 16 bit'):
        read_exact_depth(exact_line, tmp_path)
    cv2.imwrite(str(tmp_path / 'a0.png'), np.ones((16, 12), np.uint16))
    with pytest.raises(ValueError, match=r'a0.png must be of \(12, 16\), got \(16, 12\)'):
        read_exact_depth(exact_line, tmp_path)
    (tmp_path / 'a0.png').write_bytes(b'no picture')
    with pytest.raises(ValueError, match='a0.png is missing, damaged or not 16 bit'):
        read_exact_depth(exact_line, tmp_path)
    (tmp_path / 'a0.png').unlink()
    with pytest.raises(FileNotFoundError, match='exact depth not found at .*a0.png'):
        read_exact_depth(exact_line, tmp_path)


def test_what_is_absent_is_said(scored):
    plain = scored({('a', 'night'): (1.0,)})
    assert [reason.partition(':')[0] for reason in absences(plain, CONFIG)] == [
        'Flip-averaged variants',
        'Confidence',
        'Flicker',
        'Edges',
    ]


def test_what_was_measured_is_not_called_absent(line_of):
    frames = score_frames([line_of(number=2)], lambda line: TRUTH, Method(), CONFIG).frames
    assert [reason.partition(':')[0] for reason in absences(frames, CONFIG)] == [
        'Confidence',
        'Edges',
    ]


def test_the_worst_of_each_condition_come_first(scored):
    frames = scored({('a', 'day-clear'): (1.1, 1.4, 1.2), ('b', 'night'): (2.0, 3.0, 1.5)})
    assert [frame.id for frame in worst_frames(frames, 4)] == ['a1', 'a2', 'b1', 'b0']
    assert {frame.id for frame in worst_frames(frames, 100)} == {frame.id for frame in frames}
    assert worst_frames(frames, 0) == []
