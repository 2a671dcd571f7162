from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from ssd_depth_core.runtime import predict

MakeModel = Callable[..., Path]


def write_picture(path: Path) -> Path:
    """51 / 255 = 0.2 1/m in red: 5 m for the tiny network of conftest."""
    cv2.imwrite(str(path), np.full((12, 16, 3), (0, 0, 51), np.uint8))
    return path


def run(model: Path, *arguments: object) -> int:
    options = ['--model', str(model), '--out', str(model.parent / 'out')]
    return predict.main([*map(str, arguments), *options])


def test_depth_and_view_are_written(
    make_model: MakeModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(make_model(), write_picture(tmp_path / 'a.b.png')) == 0
    depth = np.load(tmp_path / 'out' / 'a.b.npy')
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, np.full((6, 8), 5.0), rtol=1e-6)
    assert cv2.imread(str(tmp_path / 'out' / 'a.b.png')).shape == (480, 1350, 3)
    captured = capsys.readouterr()
    assert '[1/1]' in captured.out
    # 8 px of input at a focal length of 10 px: 2 atan(0.4) = 43.6 degrees.
    assert captured.err == (
        'no --fx given: the scale of depth assumes a camera that sees 44 degrees from left to '
        'right\n'
    )


def test_intrinsics_set_the_scale(
    make_model: MakeModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(make_model(), write_picture(tmp_path / 'a.png'), '--fx', 40) == 0
    np.testing.assert_allclose(np.load(tmp_path / 'out' / 'a.npy'), 10.0, rtol=1e-6)
    assert capsys.readouterr().err == ''


def test_bad_picture_is_named_and_the_others_are_done(
    make_model: MakeModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'bad.jpg').write_text('no picture')
    good = write_picture(tmp_path / 'good.png')
    assert run(make_model(), tmp_path / 'bad.jpg', tmp_path / 'none.jpg', good) == 1
    assert (tmp_path / 'out' / 'good.npy').exists()
    errors = capsys.readouterr().err
    assert 'bad.jpg: 10 bytes are no picture' in errors
    assert f'picture not found at {tmp_path / "none.jpg"}' in errors
    assert '2 of 3 pictures failed' in errors


def test_zero_focal_length_is_an_error(
    make_model: MakeModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(make_model(), write_picture(tmp_path / 'a.png'), '--fx', 0) == 1
    assert 'focal lengths > 0 px, got fx=0' in capsys.readouterr().err


def test_fault_of_opencv_names_the_picture(
    make_model: MakeModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise cv2.error('no memory')

    monkeypatch.setattr(predict, 'side_by_side', fail)
    path = write_picture(tmp_path / 'a.png')
    assert run(make_model(), path) == 1
    assert f'[1/1] error: {path}: no memory' in capsys.readouterr().err


def test_two_pictures_of_one_name_are_refused(
    make_model: MakeModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(make_model(), tmp_path / 'left' / '0.png', tmp_path / 'right' / '0.png') == 2
    assert 'written as 0.npy' in capsys.readouterr().err


def test_model_that_cannot_be_loaded_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / 'none.onnx', write_picture(tmp_path / 'a.png')) == 2
    assert capsys.readouterr().err.startswith('error: model not found at')


def test_principal_point_without_focal_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match='2'):
        predict.main(['a.png', '--out', str(tmp_path), '--cx', '3'])
