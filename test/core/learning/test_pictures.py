import numpy as np
import pytest

cv2 = pytest.importorskip('cv2')

from ssd_depth_core.learning.pictures import (  # noqa: E402
    draw_depth,
    FARTHEST_M,
    NEAREST_M,
    write_pictures,
)


def test_a_drawing_tells_near_from_far_and_both_from_unknown():
    image = np.full((1, 4, 3), 99, np.uint8)
    depth = np.array([[NEAREST_M, FARTHEST_M, np.inf, np.nan]], np.float32)
    drawn = draw_depth(image, depth, depth[:, ::-1])
    assert drawn.shape == (3, 4, 3)
    assert drawn.dtype == np.uint8
    assert (drawn[0] == 99).all()
    near, far, beyond, unknown = drawn[1].astype(int)
    assert near.sum() > 300  # viridis is yellow at its bright end, and dark blue at the other
    assert far.sum() < 200
    assert (beyond == far).all()
    assert (unknown == 0).all()
    assert (drawn[2, ::-1] == drawn[1]).all()


def test_pictures_are_files_that_sort_by_step(tmp_path):
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    for step in (900, 1000):
        write_pictures(tmp_path / 'new', {'night': picture}, step)
    names = sorted(path.name for path in (tmp_path / 'new').iterdir())
    assert names == ['night-0000900.png', 'night-0001000.png']
    assert (cv2.imread(str(tmp_path / 'new' / names[0]))[..., ::-1] == picture).all()
