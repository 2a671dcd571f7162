import hashlib

import numpy as np
import pytest
from ssd_depth_core.checks import check_file, check_image, check_intrinsics, sha256_of


def intrinsics(**changes):
    values = {'fx': 1266.0, 'fy': 1260.0, 'cx': 816.0, 'cy': 491.0} | changes
    return np.array(
        [[values['fx'], 0, values['cx']], [0, values['fy'], values['cy']], [0, 0, 1]], float
    )


def test_check_image_accepts_the_smallest_picture():
    check_image(np.zeros((1, 1, 3), np.uint8))


@pytest.mark.parametrize('image', [np.zeros((4, 4, 3), np.float32), [[[0, 0, 0]]], None])
def test_check_image_names_a_wrong_type(image):
    with pytest.raises(TypeError, match=r'left must be a NumPy array of uint8, got \w+; convert'):
        check_image(image, 'left')


@pytest.mark.parametrize(
    'shape', [(4, 4), (4, 4, 4), (4, 4, 1), (0, 4, 3), (4, 0, 3), (1, 4, 4, 3)]
)
def test_check_image_names_a_wrong_shape(shape):
    with pytest.raises(ValueError, match=r'image must be \(H, W, 3\) RGB .* got \(') as error:
        check_image(np.zeros(shape, np.uint8))
    assert str(shape) in str(error.value)


def test_check_intrinsics_accepts_a_camera():
    check_intrinsics(intrinsics())
    check_intrinsics(intrinsics().astype(np.float32))


@pytest.mark.parametrize(
    ('K', 'message'),
    [
        (np.eye(4), r'K must be \(3, 3\), got \(4, 4\)'),
        (np.zeros(9), r'K must be \(3, 3\), got \(9,\)'),
        (intrinsics(cx=np.nan), 'K must be finite'),
        (intrinsics(fx=np.inf), 'K must be finite'),
        (np.zeros((3, 3)), r'focal lengths > 0 px, got fx=0, fy=0; is the camera calibrated\?'),
        (intrinsics(fy=-5.0), 'focal lengths > 0 px, got fx=1266, fy=-5'),
        (np.diag([500.0, 500.0, 2.0]), r'K must end in the row \(0, 0, 1\)'),
    ],
)
def test_check_intrinsics_names_the_fault(K, message):
    with pytest.raises(ValueError, match=message):
        check_intrinsics(K)


def test_check_file_tells_missing_from_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'model not found at .*absent.onnx; train one'):
        check_file(tmp_path / 'absent.onnx', 'model', 'train one')
    with pytest.raises(FileNotFoundError, match='model not found'):
        check_file(tmp_path, 'model', 'train one')
    empty = tmp_path / 'empty.onnx'
    empty.touch()
    with pytest.raises(ValueError, match=r'model at .*empty.onnx is empty; train one'):
        check_file(empty, 'model', 'train one')
    empty.write_bytes(b'x')
    check_file(empty, 'model', 'train one')


@pytest.mark.parametrize('size', [0, 3, (1 << 20) + 1])
def test_sha256_of_hashes_across_its_chunks(tmp_path, size):
    content = bytes(i % 251 for i in range(size))
    (tmp_path / 'file').write_bytes(content)
    assert sha256_of(tmp_path / 'file') == hashlib.sha256(content).hexdigest()


def test_sha256_of_matches_the_published_vector(tmp_path):
    (tmp_path / 'file').write_bytes(b'abc')
    assert sha256_of(tmp_path / 'file') == (
        'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    )
