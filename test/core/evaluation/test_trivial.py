import json
from types import SimpleNamespace

import numpy as np
import pytest
from ssd_depth_core.data.index import IndexHeader, write_index
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.run import score_frames
from ssd_depth_core.evaluation.trivial import (
    flat_road,
    median_depth,
    NUM_TRAINING_FRAMES,
    road_depth,
    trivial_predictions,
    TrivialPredictions,
)

CONFIG = EvaluationConfig()
K = np.array([[100.0, 0.0, 100.0], [0.0, 100.0, 50.0], [0.0, 0.0, 1.0]])
LEVEL = np.array([0.0, 1.0, 0.0])


def road(*uv, down_camera=LEVEL):
    return road_depth(np.array(uv, float), K, height_m=1.5, down_camera=down_camera)


def test_road_of_a_level_camera_lies_at_f_h_over_rows_below_the_horizon():
    # 100 px * 1.5 m / 50 rows = 3 m, whatever the column; 10 rows below the horizon 15 m.
    np.testing.assert_allclose(road((0, 100), (150, 100), (100, 60)), [3.0, 3.0, 15.0])


def test_wall_stands_from_30_m_and_above_the_horizon():
    np.testing.assert_allclose(road((100, 50), (100, 20), (100, 54)), 30.0)  # the last: 37.5 m


def test_pitch_tilts_the_road():
    # 45 degrees down: the principal ray meets the ground after 1.5 sqrt(2) m, all of it depth.
    (depth,) = road((100, 50), down_camera=np.array([0.0, 1.0, 1.0]) / np.sqrt(2.0))
    assert depth == pytest.approx(1.5 * np.sqrt(2.0))


def truths(line_of, *maps):
    """Make frames with these true depths."""
    maps = [np.asarray(depth, np.float32) for depth in maps]
    lines = [line_of(number=n, size=depth.shape) for n, depth in enumerate(maps)]
    by_id = {line.id: depth for line, depth in zip(lines, maps, strict=True)}
    return lines, lambda line: by_id[line.id]


def test_one_median_of_all_pixels_that_count(line_of):
    lines, read = truths(line_of, [[2.0, 5.0, 5.0]], [[np.nan, np.inf, 90.0]], [[9.0, 20.0, 0.05]])
    (median,) = median_depth(lines, read, CONFIG, (1, 1)).ravel()
    assert median == pytest.approx(5.0, rel=0.006)


def test_median_at_each_place(line_of):
    lines, read = truths(
        line_of,
        *([[1.0, 10.0, np.inf], [2.0, 20.0, np.nan]],) * 2,
        [[50.0, 70.0, 85.0], [3.0, 2.0, 0.1]],
    )
    median = median_depth(lines, read, CONFIG, (2, 3))
    np.testing.assert_allclose(median, [[1, 10, np.nan], [2, 20, np.nan]], rtol=0.006)


def test_a_smaller_map_takes_the_places_that_predictions_are_read_at(line_of):
    lines, read = truths(line_of, [[1.0, 1.0, 30.0, 30.0, 30.0]])
    # The corners of both lie on each other: columns 0 to 4 come to 0, 0.25, 0.5, 0.75 and 1.
    np.testing.assert_allclose(median_depth(lines, read, CONFIG, (1, 2)), [[1, 30]], rtol=0.006)


def test_training_frames_are_chosen_evenly(line_of):
    seen = []
    lines = [line_of(number=n, size=(1, 1)) for n in range(2 * NUM_TRAINING_FRAMES + 1)]

    def read(line):
        seen.append(line.id)
        return np.full((1, 1), 7.0, np.float32)

    median_depth(lines, read, CONFIG, (1, 1))
    assert seen == [line.id for line in lines[::3]]


@pytest.mark.parametrize('maps', [[], [[[np.nan, np.inf, 80.0, 0.1]]]])
def test_without_truth_there_is_no_median(line_of, maps):
    lines, read = truths(line_of, *maps)
    with pytest.raises(ValueError, match='no true depth of the training split counts'):
        median_depth(lines, read, CONFIG, (1, 1))


def test_a_guess_is_scored_like_any_method(line_of):
    lines, read = truths(line_of, [[10.0, 20.0], [10.0, 20.0]])
    guess = TrivialPredictions(lambda line: np.full((1, 1), 20.0))
    (frame,) = score_frames(lines, read, guess, CONFIG).frames
    plain, scaled = (
        next(s.metrics for s in frame.scores if (s.variant, s.cap_m) == (variant, 80.0))
        for variant in ('plain', 'scaled')
    )
    assert (plain.abs_rel, plain.a1) == (pytest.approx(0.5), 0.5)
    assert scaled.abs_rel == pytest.approx((0.5 + 0.25) / 2)  # all 15 m, the median
    assert frame.flicker is None
    assert frame.confidence is None


def test_the_flat_road_is_seen_from_where_the_camera_is_mounted(line_of):
    T_ego_camera = np.eye(4)
    T_ego_camera[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]  # level, looking ahead
    T_ego_camera[2, 3] = 2.0

    class Tables:
        def scene(self, name):
            return name

        def records(self, scene, channels):
            assert (scene, channels) == ('a', ['CAM_FRONT'])
            return [SimpleNamespace(T_ego_sensor=T_ego_camera)]

    line = line_of(size=(12, 16))  # fy 20 px, the horizon at row 5.5
    depth = flat_road(Tables(), [line])(line)
    assert depth.shape == (12, 16)
    np.testing.assert_allclose(depth[:6], 30.0)
    np.testing.assert_allclose(depth[[8, 11], 3], [20 * 2 / 2.5, 20 * 2 / 5.5])


@pytest.fixture
def index(tmp_path, line_of, monkeypatch):
    """An index whose training truth is 4 m on the left and 16 m on the right."""
    lines = [line_of('drive', number, size=(2, 400)) for number in range(3)]
    truth = np.repeat(np.array([[4.0, 16.0]], np.float32), 2, axis=0).repeat(200, axis=1)
    truth[0, 0] = 8.0
    monkeypatch.setattr(
        'ssd_depth_core.evaluation.trivial.truth_reader', lambda *_: lambda line: truth
    )
    header = IndexHeader(format='nuscenes', root=str(tmp_path), options={}, kept={}, dropped={})
    write_index(tmp_path / 'index', header, {'train': lines})
    return tmp_path / 'index'


def test_constant_and_map_are_of_the_training_split(index, line_of):
    test_line = line_of(size=(2, 400))
    words, constant = trivial_predictions('constant', index, [test_line], CONFIG)
    depth = constant.predict(test_line).depth
    # Of 800 pixels 399 at 4 m, one at 8 m, 400 at 16 m.
    assert depth.shape == (1, 1)
    assert depth.item() == pytest.approx(8.0, rel=0.006)
    assert words == f'constant {depth.item():.1f} m, the median of the training truth'
    words, median_map = trivial_predictions('median-map', index, [test_line], CONFIG)
    depth = median_map.predict(test_line).depth
    assert depth.shape == (1, 160)
    np.testing.assert_allclose(depth[0, [0, 79, 80, 159]], [4, 4, 16, 16], rtol=0.006)
    assert words == 'median of the training truth at each place of the picture'


def test_the_flat_road_needs_the_mounting(index, tmp_path):
    header = json.loads((index / 'index.json').read_text())
    (index / 'index.json').write_text(json.dumps(header | {'format': 'robotcar'}))
    with pytest.raises(ValueError, match='flat-road needs the mounting .* got robotcar format'):
        trivial_predictions('flat-road', index, [], CONFIG)
