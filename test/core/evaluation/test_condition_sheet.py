import cv2
from matplotlib.figure import Figure
import numpy as np
import pytest
from ssd_depth_core.evaluation import condition_sheet
from ssd_depth_core.evaluation.condition_sheet import COLUMNS, draw_condition_sheet, GREY, SheetRow
from ssd_depth_core.evaluation.pictures import colour_confidence, colour_depth, colour_error
from ssd_depth_core.evaluation.predictions import Prediction
from ssd_depth_core.evaluation.protocol import EvaluationConfig

CONFIG = EvaluationConfig(truth='exact')
SIZE = (60, 100)
HEAD, LEFT, DPI = 0.27, 0.27, 150


def flat(depth_m, confidence=None):
    """Predict on a grid of another size than the picture's."""
    sure = None if confidence is None else np.full((6, 10), confidence)
    return Prediction(depth=np.full((6, 10), depth_m), confidence=sure)


def row(condition='night', **changes):
    truth = np.full(SIZE, 20.0, np.float32)
    truth[:30] = np.inf
    values = {
        'condition': condition,
        'image': np.full((*SIZE, 3), (10, 20, 30), np.uint8),
        'teacher': flat(10.0),
        'student': flat(25.0, 0.75),
        'truth': truth,
    }
    return SheetRow(**(values | changes))


def look(path, column, down, line=0):
    """Give the colour at the middle of a column, `down` of the height of a row's pictures."""
    picture = cv2.imread(str(path))[..., ::-1]
    width = 12 - LEFT
    x = LEFT + (column + 0.6) * width / len(COLUMNS)
    height = (width / len(COLUMNS)) * SIZE[0] / SIZE[1]
    y = HEAD + (line + down) * height
    return picture[round(y * DPI), round(x * DPI)].tolist()


def test_every_column_shows_its_own_and_all_depths_have_one_scale(tmp_path):
    path = tmp_path / 'docs' / 'sheet.png'
    draw_condition_sheet([row()], 'caption', path, CONFIG)
    below = [look(path, column, 0.75) for column in range(len(COLUMNS))]
    assert below == [
        [10, 20, 30],
        colour_depth(np.array(10.0)).tolist(),
        colour_depth(np.array(25.0)).tolist(),
        colour_depth(np.array(20.0)).tolist(),
        colour_error(np.array(0.25)).tolist(),
        colour_confidence(np.array(0.75)).tolist(),
    ]
    # Above stands the sky, of which the networks know nothing here.
    above = [look(path, column, 0.35) for column in range(len(COLUMNS))]
    assert above == [*below[:3], *[list(GREY)] * 3]


@pytest.mark.parametrize('depth_m', [np.nan, 80.0, 200.0])
def test_what_a_network_calls_beyond_range_is_grey(tmp_path, depth_m):
    draw_condition_sheet([row(student=flat(depth_m, 0.5))], '', tmp_path / 'a.png', CONFIG)
    assert look(tmp_path / 'a.png', 2, 0.75) == list(GREY)
    assert look(tmp_path / 'a.png', 4, 0.75) == colour_error(np.array(3.0)).tolist()


def test_every_condition_has_a_row(tmp_path):
    rows = [row(), row('fog', teacher=flat(40.0)), row('snow')]
    draw_condition_sheet(rows, '', tmp_path / 'three.png', CONFIG)
    draw_condition_sheet(rows[:1], '', tmp_path / 'one.png', CONFIG)
    three, one = (cv2.imread(str(tmp_path / f'{name}.png')) for name in ('three', 'one'))
    assert three.shape[1] == one.shape[1] == 1800
    assert three.shape[0] > one.shape[0] + 2 * 0.9 * 1800 / 6 * SIZE[0] / SIZE[1]
    expected = [colour_depth(np.array(depth)).tolist() for depth in (10.0, 40.0, 10.0)]
    assert [look(tmp_path / 'three.png', 1, 0.75, line) for line in range(3)] == expected


@pytest.fixture
def words(monkeypatch, tmp_path):
    """Draw rows and give everything that is written into the figure."""

    def draw(rows, caption=''):
        figures = []
        monkeypatch.setattr(Figure, 'savefig', lambda self, *_, **__: figures.append(self))
        draw_condition_sheet(rows, caption, tmp_path / 'a.png', CONFIG)
        (figure,) = figures
        found = [text.get_text() for text in figure.texts]
        for axes in figure.axes:
            found += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
            found += [text.get_text() for text in axes.texts]
        return found

    return draw


def test_figures_labels_and_units_are_written(words):
    found = words([row(), row('fog', student=flat(21.0, 0.9))], 'drawn by seed 3')
    for label in (*COLUMNS, 'night', 'fog', 'drawn by seed 3', 'sky, or beyond 80 m'):
        assert found.count(label) == 1, label
    assert found.count('absRel 0.500') == 2  # the teacher's, 10 m for 20 m
    assert found.count('absRel 0.250') == found.count('absRel 0.050') == 2  # depth and error
    assert any('[m]' in text for text in found)
    assert not any('says nothing' in text for text in found)


def test_a_network_without_confidence_says_so(words):
    found = words([row(student=flat(25.0)), row('fog')])
    assert found.count('this network\nsays nothing of it') == 1


def test_grey_is_in_no_scale():
    shares = np.linspace(0, 1, 500)
    scales = [
        colour_depth(2 * 40**shares),
        colour_error(shares / 2),
        colour_confidence(shares),
    ]
    distances = np.abs(np.concatenate(scales).astype(int) - condition_sheet.GREY).max(axis=1)
    assert distances.min() > 40
