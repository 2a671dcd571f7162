import numpy as np
import pytest
from ssd_depth_core.gdt.structure_scores import structure_maps

SIZE = (192, 320)
NEAR, FAR = 0.2, 2.5


def scene(*posts, light=1.0):
    """A picture of posts before a far, finely textured wall, and its log depth."""
    log_depth = np.full(SIZE, FAR, np.float32)
    picture = np.random.default_rng(0).normal(120, 3, SIZE)
    for left in posts:
        log_depth[40:170, left : left + 6] = NEAR
        picture[40:170, left : left + 6] -= 70
    picture = (picture * light).clip(0, 255).astype(np.uint8)
    return log_depth, np.repeat(picture[..., None], 3, 2)


def test_a_picture_lost_nothing_of_itself():
    log_depth, source = scene(60, 160, 250)
    for losses in structure_maps(log_depth, source, source).values():
        assert losses.max() == 0.0


def test_half_the_light_loses_next_to_nothing():
    log_depth, source = scene(60, 160, 250)
    losses = structure_maps(log_depth, source, scene(60, 160, 250, light=0.5)[1])
    assert losses['lost_outlines'].max() < 0.05


@pytest.mark.parametrize('gone', [60, 160, 250])
def test_a_post_that_is_gone_is_found_where_it_stood(gone):
    log_depth, source = scene(60, 160, 250)
    others = {60, 160, 250} - {gone}
    losses = structure_maps(log_depth, source, scene(*others)[1])['lost_outlines']
    row, column = np.unravel_index(losses.argmax(), losses.shape)
    assert losses.max() > 0.3
    assert abs(column - gone - 3) <= 32
    assert 40 <= row <= 170


def test_what_is_far_may_fade():
    log_depth, source = scene(60, 160, 250)
    log_depth[:, 240:] = FAR
    log_depth[40:170, 250:256] = FAR - 0.1  # more than ten times as far as what is near
    losses = structure_maps(log_depth, source, scene(60, 160)[1])
    assert losses['lost_outlines'].max() < 0.05


def test_one_loss_all_over_is_light_not_a_thing():
    log_depth, source = scene(60, 160, 250)
    blank = np.full_like(source, 90)
    assert structure_maps(log_depth, source, blank)['lost_outlines'].max() < 0.1


def test_texture_of_what_stands_near_by_counts():
    log_depth = np.repeat(np.linspace(2.5, 0.0, SIZE[0], dtype=np.float32)[:, None], SIZE[1], 1)
    log_depth[20:180, 40:280] = 1.0  # a house
    grey = np.full(SIZE, 120, np.uint8)
    grey[20:180, 40:280] = 60
    for left in range(52, 270, 24):
        grey[30:170, left : left + 8] = 200  # its windows
    source = np.repeat(grey[..., None], 3, 2)
    without = source.copy()
    without[30:170, 50:110] = 60
    losses = structure_maps(log_depth, source, without)
    assert losses['lost_texture'].max() > 0.3
    assert losses['lost_outlines'].max() < 0.05


def test_pictures_of_any_size_are_judged_on_one_grid():
    log_depth, source = scene(60, 160, 250)
    large = np.repeat(np.repeat(source, 2, 0), 2, 1)
    losses = structure_maps(log_depth, large, large)
    assert losses['lost_outlines'].shape == SIZE
    assert losses['lost_outlines'].max() == 0.0
