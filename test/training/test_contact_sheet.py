import cv2
import numpy as np
import pytest

from training.contact_sheet import contact_sheet, main
from training.render_synthdrive import main as render


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sheet')
    config = folder / 'config.yaml'
    config.write_text(
        'seed: 4\nduration_s: 0.25\nchannels: [CAM_FRONT]\nconditions: [day-clear, night]\n'
        'image_height: 24\nimage_width: 40\nlidar_hz: 0\n'
    )
    assert render(['--config', str(config), '--out', str(folder / 'set'), '--device', 'cpu']) == 0
    return folder / 'set'


def test_sheet_has_a_row_a_condition_and_one_of_depth(root):
    sheet = contact_sheet(root, 'CAM_FRONT', 2)
    assert sheet.shape == (3 * (24 + 14), 2 * 40, 3)
    assert sheet.dtype == np.uint8
    day, night, depth = sheet.reshape(3, 38, 80, 3)[:, 14:].astype(float)
    assert night.mean() < 0.7 * day.mean()
    # Red is near: below; blue far or black sky: above.
    assert depth[-3:, :, 0].mean() > depth[:3, :, 0].mean() + 50
    first, last = (
        cv2.imread(str(path))[..., ::-1]
        for path in (lambda p: (p[0], p[-1]))(sorted(root.rglob('*day-clear*.jpg')))
    )
    np.testing.assert_array_equal(day[:, :40], first)
    np.testing.assert_array_equal(day[:, 40:], last)


def test_pictures_can_be_made_smaller(root):
    whole, half = (
        contact_sheet(root, 'CAM_FRONT', 2),
        contact_sheet(root, 'CAM_FRONT', 2, width=20),
    )
    assert half.shape == (3 * (12 + 14), 2 * 20, 3)
    blocks = whole[14:38].reshape(12, 2, 40, 2, 3).mean((1, 3))
    np.testing.assert_allclose(half[14:26], blocks, atol=0.51)


def test_command_writes_the_sheet(root, tmp_path, capsys):
    path = tmp_path / 'docs' / 'sheet.png'
    assert main([str(root), '--out', str(path), '--columns', '3']) == 0
    assert cv2.imread(str(path)).shape == (114, 120, 3)
    assert f'120 x 114 pixels -> {path}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('--street', 'street-0099'), "no street 'street-0099'; the first scenes are street-0004"),
        (('--channel', 'CAM_BACK'), 'has no camera CAM_BACK'),
        (('--columns', '0'), '--columns must be >= 1, got 0'),
        (('--width', '0'), '--width must be >= 1, got 0'),
    ],
)
def test_what_is_not_there_is_named(root, tmp_path, words, message):
    with pytest.raises(ValueError, match=message):
        main([str(root), '--out', str(tmp_path / 'a.png'), *words])


def test_damaged_picture_and_odd_ending_are_named(root, tmp_path):
    with pytest.raises((OSError, cv2.error)):
        main([str(root), '--out', str(tmp_path / 'sheet.txt')])
    path = next(root.rglob('*night*.jpg'))
    data = path.read_bytes()
    path.write_bytes(b'')
    try:
        with pytest.raises(ValueError, match='picture at .*night.* is empty'):
            main([str(root), '--out', str(tmp_path / 'a.png'), '--columns', '9'])
    finally:
        path.write_bytes(data)
