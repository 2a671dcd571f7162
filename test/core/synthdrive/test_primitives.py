import math

import numpy as np
import pytest
from ssd_depth_core.surface_classes import SURFACE_CLASSES, UNKNOWN_CLASS
from ssd_depth_core.synthdrive.primitives import (
    Builder,
    concatenate,
    Material,
    Shape,
    yaw_matrices,
)
import torch

RED = (0.8, 0.1, 0.1)


def test_solid_is_placed_in_the_frame_it_was_built_in(builder):
    builder.place(10.0, 20.0, math.pi / 2, z=0.5)
    builder.add(Shape.BOX, (2.0, 1.0, 0.25), (1.0, 2.0, 3.0), RED, yaw=math.pi / 2)
    solids = builder.build()
    # The frame's x points to the world's y, its y to the world's -x.
    np.testing.assert_allclose(solids.center[0], (9.0, 22.0, 0.75), atol=1e-6)
    np.testing.assert_allclose(solids.rotation[0], np.diag([-1.0, -1.0, 1.0]), atol=1e-6)
    np.testing.assert_allclose(solids.half_size[0], (1.0, 2.0, 3.0))
    assert solids.actor[0] == -1
    assert solids.shape[0] == Shape.BOX


def test_wheel_on_its_side_turns_about_the_axle(builder):
    builder.place(0.0, 0.0, math.pi / 2)
    builder.add(Shape.CYLINDER, (0, 0, 0), (0.3, 0.3, 0.1), RED, on_its_side=True)
    rotation = builder.build().rotation[0]
    # The axle (the solid's z) lies across the frame's x, which points to the world's y.
    np.testing.assert_allclose(rotation[:, 2].abs(), (1.0, 0.0, 0.0), atol=1e-6)
    assert torch.linalg.det(rotation).item() == pytest.approx(1.0)


def test_fields_land_in_their_columns(builder):
    builder.place(0.0, 0.0, 0.0, actor=3)
    builder.add(
        Shape.ELLIPSOID, (0, 0, 0), (1, 1, 1), (0.1, 0.2, 0.3), material=Material.SIGN,
        second_albedo=(0.4, 0.5, 0.6), emission=(1.0, 2.0, 3.0), pattern=(0.7, 0.8, 0.9),
        taper=0.5,
    )  # fmt: skip
    solids = builder.build()
    assert (solids.shape[0], solids.material[0], solids.actor[0]) == (2, Material.SIGN, 3)
    np.testing.assert_allclose(solids.albedo[0], (0.1, 0.2, 0.3))
    np.testing.assert_allclose(solids.second_albedo[0], (0.4, 0.5, 0.6))
    np.testing.assert_allclose(solids.emission[0], (1.0, 2.0, 3.0))
    np.testing.assert_allclose(solids.pattern[0, :3], (0.7, 0.8, 0.9))
    assert 0 <= solids.pattern[0, 3] < 1
    assert solids.taper[0] == 0.5


def test_a_name_holds_until_the_next_frame(builder):
    def add():
        builder.add(Shape.BOX, (0, 0, 0), (1, 1, 1), RED, material=Material.CAR_BODY)

    add()
    builder.name('pole')
    add()
    add()
    builder.name('road')
    add()
    builder.place(1.0, 0.0, 0.0)
    add()
    pole, road = SURFACE_CLASSES.index('pole'), SURFACE_CLASSES.index('road')
    expected = [UNKNOWN_CLASS, pole, pole, road, UNKNOWN_CLASS]
    assert builder.build().surface_class.tolist() == expected


def test_nothing_built_is_no_solids(builder):
    assert len(builder.build()) == 0


def test_pattern_offsets_follow_the_seed():
    def offset(seed):
        builder = Builder(np.random.default_rng(seed))
        builder.add(Shape.BOX, (0, 0, 0), (1, 1, 1), RED)
        return builder.build().pattern[0, 3]

    assert offset(1) == offset(1)
    assert offset(1) != offset(2)


def test_actors_turn_about_their_own_origin_and_the_rest_stands(builder):
    builder.add(Shape.BOX, (5.0, 5.0, 5.0), (1, 1, 1), RED)
    builder.place(0.0, 0.0, 0.0, actor=1)
    builder.add(Shape.BOX, (2.0, 0.0, 1.0), (1, 1, 1), RED)
    solids = builder.build()
    position = torch.tensor([[-1.0, -1.0, -1.0], [100.0, 200.0, 0.1]])
    moved = solids.moved(position, torch.tensor([0.0, math.pi / 2]))
    np.testing.assert_allclose(moved.center, [(5, 5, 5), (100, 202, 1.1)], atol=1e-5)
    np.testing.assert_allclose(moved.rotation[0], np.eye(3))
    np.testing.assert_allclose(moved.rotation[1, :, 0], (0, 1, 0), atol=1e-6)
    np.testing.assert_allclose(solids.center[1], (2, 0, 1))  # the original is left alone


def test_without_actors_nothing_is_copied(builder):
    builder.add(Shape.BOX, (5.0, 5.0, 5.0), (1, 1, 1), RED)
    solids = builder.build()
    assert solids.moved(torch.zeros(0, 3), torch.zeros(0)) is solids


def test_select_and_concatenate_keep_order(builder):
    for x in range(4):
        builder.add(Shape.BOX, (x, 0, 0), (1, 1, 1), RED)
    solids = builder.build()
    assert solids.select(torch.tensor([2, 0])).center[:, 0].tolist() == [2, 0]
    assert solids.select(solids.center[:, 0] > 1).center[:, 0].tolist() == [2, 3]
    joined = concatenate([solids.select(torch.tensor([3])), solids])
    assert joined.center[:, 0].tolist() == [3, 0, 1, 2, 3]
    assert len(joined) == 5
    assert len(solids.to(torch.device('cpu'))) == 4


def test_yaw_is_counter_clockwise_from_above():
    turn = yaw_matrices(torch.tensor([math.pi / 2]))
    np.testing.assert_allclose(turn[0] @ torch.tensor([1.0, 0, 0]), (0, 1, 0), atol=1e-6)


def test_pitched_solid_leans_forward():
    builder = Builder(np.random.default_rng(0))
    builder.place(0.0, 0.0, np.pi / 2)
    builder.add(Shape.CYLINDER, (0, 0, 1), (0.1, 0.1, 1), (0.5, 0.5, 0.5), pitch=np.pi / 6)
    rotation = builder.build().rotation[0].numpy()
    # Its x axis points to the world's y, its z axis up and 30 degrees towards it.
    np.testing.assert_allclose(rotation[:, 2], [0.0, 0.5, np.sqrt(0.75)], atol=1e-6)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1.0, abs=1e-6)
