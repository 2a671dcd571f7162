import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.learning.class_scores import class_scores, confusion_of  # noqa: E402


def test_scores_by_hand():
    truth = torch.tensor([[0, 0, 0, 1], [1, 255, 255, 1]], dtype=torch.uint8)
    predicted = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 2]])
    confusion = confusion_of(predicted, truth, 3, 255)
    assert confusion.tolist() == [[2, 1, 0], [0, 2, 1], [0, 0, 0]]
    assert class_scores(confusion, ('road', 'sky', 'vehicle')) == {
        'mean_iou': 0.58333,  # of what is there: vehicle is not
        'accuracy': 0.66667,
        'iou': {'road': 0.66667, 'sky': 0.5},
    }


def test_where_nothing_is_known_nothing_is_right():
    scores = class_scores(torch.zeros(2, 2, dtype=torch.int64), ('road', 'sky'))
    assert scores == {'mean_iou': 0.0, 'accuracy': 0.0, 'iou': {}}
