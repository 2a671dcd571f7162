import numpy as np
from ssd_depth_core.synthdrive.pooling import grow, shrink
import torch


def test_cells_are_means_and_border_cells_smaller():
    picture = torch.arange(12.0).view(1, 1, 3, 4)
    small = shrink(picture, (2, 3))
    np.testing.assert_allclose(small[0, 0], [[3.0, 5.0], [9.0, 11.0]])


def test_a_ramp_comes_back_in_place_where_cells_do_not_divide_the_picture():
    ramp = torch.arange(50.0).expand(1, 1, 31, 50)
    again = grow(shrink(ramp, (4, 7)), (4, 7), 31, 50)
    assert again.shape == ramp.shape
    # Between the middles of the first and the last whole cell.
    np.testing.assert_allclose(again[..., 3:46], ramp[..., 3:46], atol=1e-4)
