import numpy as np
import pytest
from ssd_depth_core.evaluation.predictions import FolderPredictions, LivePredictions, Prediction


@pytest.fixture
def lines(line_of):
    return [line_of(number=number) for number in range(3)]


@pytest.fixture
def folder(tmp_path, lines):
    for number, line in enumerate(lines):
        np.save(tmp_path / f'{line.id}.npy', np.full((2, 3), 1.0 + number, np.float32))
    return tmp_path


def test_depth_and_confidence_are_read(folder, lines):
    np.save(folder / 'a1.confidence.npy', np.full((2, 3), 0.5, np.float32))
    predictions = FolderPredictions(folder, lines)
    assert predictions.predict(lines[1]).depth[0, 0] == 2
    assert predictions.predict(lines[1]).confidence[0, 0] == 0.5
    assert predictions.predict(lines[0]).confidence is None


def test_missing_predictions_are_counted_and_named(folder, lines):
    (folder / 'a0.npy').unlink()
    (folder / 'a2.npy').unlink()
    with pytest.raises(FileNotFoundError, match=r'2 of 3 predictions .* first a0.npy, a2.npy'):
        FolderPredictions(folder, lines)
    allowed = FolderPredictions(folder, lines, allow_missing=True)
    assert allowed.predict(lines[0]) is None
    assert allowed.predict(lines[1]) is not None


def test_a_missing_folder_is_named(tmp_path, lines):
    with pytest.raises(FileNotFoundError, match='none is no folder'):
        FolderPredictions(tmp_path / 'none', lines)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'a0.npy is no .npy file or a damaged one'),
        (b'\x93NUMPY\x01\x00v\x00{', 'a0.npy is no .npy file or a damaged one'),
        (np.ones((2, 3, 1)), r'a0.npy must be \(h, w\), got \(2, 3, 1\)'),
        (np.ones((0, 3)), r'a0.npy must be \(h, w\), got \(0, 3\)'),
        (np.ones((2, 3), np.uint16), 'a0.npy must be floating point, got uint16'),
    ],
)
def test_a_broken_prediction_is_named(folder, lines, content, message):
    if isinstance(content, bytes):
        (folder / 'a0.npy').write_bytes(content)
    else:
        np.save(folder / 'a0.npy', content)
    with pytest.raises(ValueError, match=message):
        FolderPredictions(folder, lines).predict(lines[0])


def test_a_truncated_prediction_is_named(folder, lines):
    data = (folder / 'a0.npy').read_bytes()
    (folder / 'a0.npy').write_bytes(data[:-4])
    with pytest.raises(ValueError, match='a0.npy is no .npy file or a damaged one'):
        FolderPredictions(folder, lines).predict(lines[0])


def test_nothing_is_unpickled(folder, lines):
    np.save(folder / 'a0.npy', np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(ValueError, match='a0.npy is no .npy file or a damaged one'):
        FolderPredictions(folder, lines).predict(lines[0])


@pytest.mark.parametrize('value', [-0.1, 1.5, float('inf')])
def test_a_confidence_that_is_no_probability_is_refused(folder, lines, value):
    np.save(folder / 'a0.confidence.npy', np.array([[0.5, value]]))
    with pytest.raises(ValueError, match=r'a0.confidence.npy must lie in \[0, 1\]'):
        FolderPredictions(folder, lines).predict(lines[0])


def test_predictions_for_mirrored_pictures_are_mirrored_back(folder, lines, tmp_path):
    mirrored = tmp_path / 'mirrored'
    mirrored.mkdir()
    for line in lines:
        np.save(mirrored / f'{line.id}.npy', np.array([[1.0, 2.0, 3.0]]))
    predictions = FolderPredictions(folder, lines, mirrored=mirrored)
    np.testing.assert_array_equal(predictions.predict_mirrored(lines[0]), [[3, 2, 1]])
    assert FolderPredictions(folder, lines).predict_mirrored(lines[0]) is None


def test_the_frame_before_is_found_in_the_index(folder, lines):
    predictions = FolderPredictions(folder, lines)
    assert predictions.predict_previous(lines[2])[0, 0] == 2
    assert predictions.predict_previous(lines[0]) is None
    assert FolderPredictions(folder, lines[2:]).predict_previous(lines[2]) is None


class Pictures:
    """Column numbers in red, the frame's number in blue."""

    reads = 0

    def read_image(self, frame):
        self.reads += 1
        image = np.zeros((12, 16, 3), np.uint8)
        image[..., 0] = np.arange(16)
        image[..., 2] = int(frame.image[1])
        return image


def first_column(image, K):
    depth = np.where(np.arange(16) == np.rint(K[0, 2]), 100.0, image[..., 0] + 1.0)
    return Prediction(depth=depth + 1000.0 * image[0, 0, 2], confidence=None)


def test_a_live_method_sees_the_mirrored_picture_with_its_camera(line_of):
    K = ((20.0, 0.0, 3.0), (0.0, 20.0, 5.5), (0.0, 0.0, 1.0))
    predictions = LivePredictions(first_column, Pictures())
    back = predictions.predict_mirrored(line_of(K=K))[0]
    assert back[3] == 100  # the principal point is where it was
    np.testing.assert_array_equal(back[[0, 15]], [1, 16])


def test_a_live_method_predicts_the_frame_before_once(lines):
    pictures = Pictures()
    predictions = LivePredictions(first_column, pictures)
    depths = [predictions.predict(line).depth for line in lines]
    np.testing.assert_array_equal(predictions.predict_previous(lines[2]), depths[1])
    assert predictions.predict_previous(lines[0]) is None
    assert pictures.reads == 3
