import numpy as np
import pytest
from ssd_depth_core.gdt.evidence import evidence, SMALL_PX, STRIDE_PX, TALL_PX

SIZE = (192, 320)
NEAR, FAR = 0.2, 2.3
POSTS = (60, 160, 250)


def scene(*posts, light=1.0):
    """A picture of posts before a far, finely textured wall, and its log depth."""
    log_depth = np.full(SIZE, FAR, np.float32)
    grey = np.random.default_rng(0).normal(120, 3, SIZE)
    for left in posts:
        log_depth[40:170, left : left + 6] = NEAR
        grey[40:170, left : left + 6] -= 70
    return log_depth, picture_of((grey * light).clip(0, 255))


def picture_of(grey):
    return np.repeat(grey.astype(np.uint8)[..., None], 3, 2)


def facts(log_depth, source, picture, estimate=None):
    return evidence(log_depth, log_depth if estimate is None else estimate, source, picture)


def at(column, row=100):
    return row // STRIDE_PX, column // STRIDE_PX


def test_every_fact_has_one_value_a_place():
    found = facts(*scene(*POSTS), scene(*POSTS)[1])
    assert list(found) == sorted(found)
    assert {values.shape for values in found.values()} == {(24, 40)}
    assert {values.dtype for values in found.values()} == {np.dtype(np.float32)}


def test_a_picture_lost_nothing_of_itself_and_has_nothing_new():
    log_depth, source = scene(*POSTS)
    for name, values in facts(log_depth, source, source).items():
        if name.startswith(('farther', 'nearer', 'new')):
            assert not values.any(), name
        if 'picture' in name or 'place' in name:
            assert not values.any(), name


def test_half_the_light_loses_next_to_nothing():
    log_depth, source = scene(*POSTS)
    found = facts(log_depth, source, scene(*POSTS, light=0.5)[1])
    assert found['near, picture, tall'].max() < 0.1
    bright = facts(log_depth, source, source)
    assert (found['light, all'] < bright['light, all'] - 0.5).all()


@pytest.mark.parametrize('gone', POSTS)
def test_a_post_that_is_gone_is_found_where_it_stood(gone):
    log_depth, source = scene(*POSTS)
    others = {*POSTS} - {gone}
    found = facts(log_depth, source, scene(*others)[1])['near, picture, tall, excess']
    _, column = np.unravel_index(found.argmax(), found.shape)
    assert found.max() > 0.3
    assert abs(column * STRIDE_PX + STRIDE_PX // 2 - gone - 3) <= TALL_PX[0] / 2
    assert found[at(next(iter(others)))] < 0.0


def test_what_is_far_may_fade():
    log_depth, source = scene(*POSTS)
    log_depth[:, 240:] = FAR
    log_depth[40:170, 250:256] = FAR - 0.3  # seven times as far as what is near
    found = facts(log_depth, source, scene(60, 160)[1])
    assert not found['near, picture, tall'].any()
    assert found['middle, picture, small'].max() > 0.3


def test_what_all_of_the_picture_lost_is_no_excess():
    log_depth, source = scene(*POSTS)
    found = facts(log_depth, source, np.full_like(source, 90))
    assert found['near, picture, tall'].max() > 0.4
    assert found['near, picture, tall, excess'].max() < 0.1
    assert (found['near, picture, all'] > 0.8).all()


def test_depth_is_missed_in_its_window():
    log_depth, source = scene(*POSTS)
    log_depth[80:120, 200:232] = NEAR
    estimate = log_depth.copy()
    estimate[80:120, 200:232] = FAR
    found = facts(log_depth, source, source, estimate)
    assert found['farther, small'][at(216)] == pytest.approx(1.0)  # all of the window, cut at 1
    assert not found['farther, small'][at(160)]
    share = 32 * 40 / (SIZE[0] * SIZE[1])
    np.testing.assert_allclose(found['farther, all'], share, rtol=1e-4)


def test_what_is_new_on_the_road_is_found():
    log_depth = np.repeat(np.linspace(2.5, 0.0, SIZE[0], dtype=np.float32)[:, None], SIZE[1], 1)
    grey = np.random.default_rng(0).normal(120, 3, SIZE)
    source = picture_of(grey)
    grey[120:150, 100:130] = 30  # a car
    found = facts(log_depth, source, picture_of(grey))
    row, column = np.unravel_index(found['new, small'].argmax(), (24, 40))
    assert 100 - SMALL_PX[0] / 2 <= column * STRIDE_PX <= 130 + SMALL_PX[0] / 2
    assert 120 - SMALL_PX[1] / 2 <= row * STRIDE_PX <= 150 + SMALL_PX[1] / 2
    assert found['new, small'].max() > 10 * np.median(found['new, small'])


def test_texture_counts_on_what_stands_and_not_on_the_road():
    log_depth = np.repeat(np.linspace(2.5, 0.0, SIZE[0], dtype=np.float32)[:, None], SIZE[1], 1)
    log_depth[20:100, 40:280] = 1.0  # a house
    grey = np.full(SIZE, 90)
    grey[::6] = 160
    source = picture_of(grey)
    number = facts(log_depth, source, source)['upright, number, small']
    assert number[at(160, 60)] > 0.5
    assert number[at(160, 170)] == 0.0


def test_pictures_of_any_size_are_looked_at_on_one_grid():
    log_depth, source = scene(*POSTS)
    large = np.repeat(np.repeat(source, 2, 0), 2, 1)
    for name, values in facts(log_depth, large, large).items():
        np.testing.assert_array_equal(values, facts(log_depth, source, source)[name])
