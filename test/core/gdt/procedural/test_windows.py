import dataclasses

import numpy as np
import pytest
from ssd_depth_core.gdt.procedural import ProceduralConfig
from ssd_depth_core.gdt.procedural.scene import scene_of
from ssd_depth_core.gdt.procedural.windows import lit_windows

PANES = [(22, 26), (31, 35)], [(8, 14), (22, 28), (36, 42)]
"""Rows and columns: 3 to 4 and 4 to 5 m up in a wall 20 m away."""


def house(wall, pane):
    """Paint the wall of the flat street, with panes in it, and a bright sky."""
    picture = np.full((96, 160, 3), 120, np.uint8)
    picture[:57, :60] = wall
    for top, bottom in PANES[0]:
        for left, right in PANES[1]:
            picture[top:bottom, left:right] = pane
    picture[:20] = picture[:48, 60:] = 230
    return picture


@pytest.fixture
def scene_with(request_for):
    def make(wall, pane):
        return scene_of(request_for('night', picture=house(wall, pane)), ProceduralConfig())

    return make


@pytest.fixture
def all_lit(monkeypatch):
    monkeypatch.setattr('ssd_depth_core.gdt.procedural.windows._LIT', (1.0, 1.0))


def shine(scene, seed=0):
    return lit_windows(scene, np.random.default_rng(seed)).max(axis=2)


def test_dark_panes_shine_and_nothing_else(scene_with, all_lit):
    light = shine(scene_with(140, 50))
    for top, bottom in PANES[0]:
        for left, right in PANES[1]:
            assert light[top + 1 : bottom - 1, left + 1 : right - 1].min() > 0.05
    panes = np.zeros(light.shape, bool)
    for top, bottom in PANES[0]:
        for left, right in PANES[1]:
            panes[top:bottom, left:right] = True
    assert light[~panes].max() < 0.02 * light[panes].max()


def test_a_wall_without_panes_stays_dark(scene_with, all_lit):
    # All but a breath along the edge of the bright sky.
    assert shine(scene_with(140, 140)).max() < 0.01


@pytest.mark.parametrize(
    ('wall', 'pane'),
    [((90, 140, 70), (40, 60, 30)), ((150, 90, 40), (70, 30, 10))],
    ids=['summer', 'autumn'],
)
def test_leaves_are_no_windows(scene_with, all_lit, wall, pane):
    assert shine(scene_with(wall, pane)).max() == 0


def test_what_is_low_or_crooked_is_no_window(scene_with, all_lit):
    scene = scene_with(140, 50)
    assert shine(dataclasses.replace(scene, height=scene.height - 4)).max() == 0
    bumps = np.random.default_rng(0).uniform(0.7, 1.4, scene.depth.shape).astype(np.float32)
    crooked = shine(dataclasses.replace(scene, depth=scene.depth * bumps))
    assert crooked.sum() < 0.3 * shine(scene).sum()


def test_rooms_are_lit_one_by_one(scene_with):
    scene = scene_with(140, 50)
    shares = [(shine(scene, seed) > 0.02).mean() for seed in range(40)]
    assert min(shares) == 0
    assert max(shares) == pytest.approx(6 * 4 * 6 / (96 * 160), rel=0.1)  # all six
    assert len(set(shares)) > 5
    np.testing.assert_array_equal(shine(scene, 3), shine(scene, 3))
