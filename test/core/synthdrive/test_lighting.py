from dataclasses import replace
import math

import numpy as np
import pytest
from ssd_depth_core.conditions import RENDERED_CONDITIONS
from ssd_depth_core.surface_classes import SURFACE_CLASSES, UNKNOWN_CLASS
from ssd_depth_core.synthdrive.camera import untile
from ssd_depth_core.synthdrive.lighting import Geometry, Scene
from ssd_depth_core.synthdrive.materials import NoiseBank
from ssd_depth_core.synthdrive.primitives import Material, Shape
from ssd_depth_core.synthdrive.sky import draw_sky, KOSCHMIEDER, Sky
from ssd_depth_core.synthdrive.world import city_style, Lamps
import torch

GREY = (0.5, 0.5, 0.5)
EGO = np.eye(4)
TURNED = np.diag([-1.0, -1.0, 1.0, 1.0])
BLACK = (0.0, 0.0, 0.0)
DAY = Sky(
    to_sun=(0.0, 0.0, 1.0), sun=(1.0, 1.0, 1.0), zenith=GREY, horizon=GREY, clouds=0.0,
    extinction=0.0, wetness=0.0, night=False, head_lamps=0.0,
)  # fmt: skip
NIGHT = replace(DAY, sun=BLACK, zenith=BLACK, horizon=BLACK, night=True)
STYLE = replace(city_style(0), pitch=(400.0, 400.0), lane_marks=0)


@pytest.fixture(scope='module')
def noise():
    return NoiseBank()


def no_lamps():
    return Lamps(np.zeros((0, 3)), np.zeros((0, 3)))


def scene(builder, lamps=None):
    builder.place(0.0, 0.0, 0.0, z=-50.0)
    builder.add(Shape.BOX, (0, 0, 0), (0.1, 0.1, 0.1), GREY)  # never an empty scene
    return Scene(builder.build(), lamps or no_lamps(), STYLE)


def light_of(radiance, geometry):
    """Divide the paint out."""
    return (radiance / untile(geometry.look.albedo, geometry.camera)).mean(-1)


def test_classes_are_known_pixel_by_pixel(builder, camera_at, noise):
    # A car 10 m ahead as high as the camera; 20 m ahead a wall on its left and, on its right, what
    # nobody named. They look alike: a class is what a thing is.
    builder.name('vehicle')
    builder.add(Shape.BOX, (10.05, 0.0, 0.75), (0.05, 1.0, 0.75), GREY)
    builder.name('wall')
    builder.add(Shape.BOX, (20.05, 6.0, 2.5), (0.05, 2.0, 2.5), GREY)
    builder.place(0.0, 0.0, 0.0)
    builder.add(Shape.BOX, (20.05, -6.0, 2.5), (0.05, 2.0, 2.5), GREY)
    geometry = Geometry(scene(builder), camera_at(z=1.5), noise)
    place = SURFACE_CLASSES.index
    expected = torch.full((64, 96), place('sky'), dtype=torch.uint8)
    expected[32:] = place('road')
    expected[18:38, 16:32] = place('wall')
    expected[18:38, 64:80] = UNKNOWN_CLASS
    expected[32:44, 40:56] = place('vehicle')
    assert geometry.classes().dtype == torch.uint8
    assert torch.equal(geometry.classes(), expected)
    assert torch.equal(geometry.depth().isinf(), expected == place('sky'))


def test_sun_lights_by_the_cosine_and_shadows_take_it_away(builder, camera_at, noise):
    builder.place(8.0, 0.0, 0.0)
    builder.add(Shape.BOX, (0, 0, 1.0), (1.0, 1.0, 1.0), GREY)
    camera = camera_at(x=2.0, z=3.0, down=0.35)
    geometry = Geometry(scene(builder), camera, noise)
    third = math.sqrt(1 / 3)
    sky = replace(DAY, to_sun=(-third, third, third), zenith=BLACK, horizon=BLACK)
    light = light_of(geometry.radiance(sky, EGO), geometry)
    index, normal = (untile(v, camera) for v in (geometry.hits.index, geometry.surface.normal))
    position = untile(geometry.surface.position, camera)
    bounce = 0.5 * 0.12 * sky.to_sun[2]  # what the sunlit ground throws back
    for face in ([-1.0, 0, 0], [0, 0, 1.0]):
        on_face = (index == 0) & (normal @ torch.tensor(face) > 0.99)
        assert on_face.sum() > 20
        np.testing.assert_allclose(light[on_face], third + bounce, rtol=1e-4)
    # The shadow falls to the right and behind; in it is only what the ground throws back.
    shadow = (index == -1) & (position[..., 0] > 7.7) & (position[..., 0] < 8.7)
    right = position[..., 1]
    np.testing.assert_allclose(light[shadow & (right < -1.1) & (right > -1.6)], bounce, rtol=1e-4)
    np.testing.assert_allclose(light[shadow & (right > 1.1)], third + bounce, rtol=1e-4)


def test_fog_fades_the_far_into_the_horizon_by_koschmieders_law(builder, camera_at, noise):
    """A board half black, half white, 30 m ahead; at 60 m of visibility, sqrt(0.02) is left."""
    for y, paint in ((50.0, 0.9), (-50.0, 0.0)):
        builder.place(30.0, y, 0.0)
        builder.add(Shape.BOX, (1.0, 0, 0), (1.0, 50.0, 90.0), (paint,) * 3)
    geometry = Geometry(scene(builder), camera_at(), noise)
    fog = replace(DAY, extinction=KOSCHMIEDER / 60.0, airlight=1.0)
    clear, foggy = (geometry.radiance(sky, EGO) for sky in (DAY, fog))
    # 30 m away straight ahead, farther in the corners: fog counts the way that light goes.
    v, u = torch.meshgrid(torch.arange(64) - 31.5, torch.arange(96) - 47.5, indexing='ij')
    away = 30.0 * torch.sqrt(1 + (u / 80.0) ** 2 + (v / 80.0) ** 2)
    through = torch.exp(-away * KOSCHMIEDER / 60.0)[..., None]
    assert through.max() == pytest.approx(0.02**0.5, rel=1e-2)
    wall = untile(geometry.hits.index, geometry.camera) >= 0
    expected = clear * through + 0.5 * (1 - through)
    np.testing.assert_allclose(foggy[wall], expected[wall], rtol=1e-4)
    # Of the contrast between the halves as much is left.
    left, right = foggy[31, 40], foggy[31, 55]
    contrast = (clear[31, 40] - clear[31, 55]) * through[31, 40]
    np.testing.assert_allclose(left - right, contrast, rtol=0.02)


def test_fog_leaves_no_edge_between_the_farthest_and_the_sky(builder, camera_at, noise):
    builder.place(390.0, 60.0, 0.0)
    builder.add(Shape.BOX, (0, 0, 0), (1.0, 50.0, 90.0), (0.0, 0.0, 0.0))
    geometry = Geometry(scene(builder), camera_at(), noise)
    foggy = geometry.radiance(draw_sky('fog', 3), EGO)
    assert untile(geometry.hits.index, geometry.camera)[25, 40] == 0
    np.testing.assert_allclose(foggy[25, 40], foggy[25, 70], rtol=0.03)


def test_only_lamps_light_the_night(builder, camera_at, noise):
    geometry = Geometry(scene(builder), camera_at(down=0.2), noise)
    assert geometry.radiance(NIGHT, EGO).max() == 0
    lamps = Lamps(np.array([[12.0, 0.0, 6.0]]), np.array([[30.0, 20.0, 10.0]]))
    geometry = Geometry(scene(builder, lamps), camera_at(down=0.2), noise)
    light = light_of(geometry.radiance(NIGHT, EGO), geometry)
    position = untile(geometry.surface.position, geometry.camera)
    ground = untile(geometry.hits.index, geometry.camera) == -1
    away = (position - torch.tensor([12.0, 0.0, 0.0])).norm(dim=-1)
    # Lambert, a hood and 1 / (r^2 + 1): cos^2 of the angle below the lamp.
    square = away**2 + 36.0
    expected = 20.0 * 36.0 / square / (square + 1.0)
    np.testing.assert_allclose(light[ground], expected[ground], rtol=1e-3)


def test_head_lamps_shine_ahead_of_the_car(builder, camera_at, noise):
    geometry = Geometry(scene(builder), camera_at(down=0.2), noise)
    ahead = geometry.radiance(replace(NIGHT, head_lamps=1.0), EGO)
    stronger = geometry.radiance(replace(NIGHT, head_lamps=2.0), EGO)
    behind = geometry.radiance(replace(NIGHT, head_lamps=1.0), TURNED)
    assert ahead[40:, 40:56].mean() > 0.01
    np.testing.assert_allclose(stronger, 2 * ahead, rtol=1e-5)
    assert behind.max() < 1e-6
    assert torch.allclose(ahead, ahead.flip(1), rtol=0.8, atol=0.05)  # one lamp on either side


def test_other_cars_lamps_shine_where_they_point(builder, camera_at, noise):
    def ground_light(emission, yaw):
        builder.__init__(np.random.default_rng(0))
        builder.place(12.0, 0.0, yaw)
        lens = (0.03, 0.14, 0.07)
        builder.add(Shape.BOX, (0, 0, 0.7), lens, GREY, material=Material.LIGHT, emission=emission)
        geometry = Geometry(scene(builder), camera_at(down=0.2), noise)
        radiance = geometry.radiance(NIGHT, EGO)
        x = untile(geometry.surface.position, geometry.camera)[..., 0]
        ground = untile(geometry.hits.index, geometry.camera) == -1
        return radiance[ground & (x < 11.0)].mean(), radiance[ground & (x > 13.0)].mean()

    white, red = (9.0, 8.6, 7.6), (2.6, 0.12, 0.08)
    for emission, yaw in ((white, math.pi), (red, 0.0)):  # head lamps ahead, tail lamps behind
        near, far = ground_light(emission, yaw)
        assert near > 1e-4
        assert far < 1e-6


def test_windows_and_lamps_shine_by_night_only(builder, camera_at, noise):
    builder.place(10.0, 0.0, 0.0)
    glow = (3.0, 2.0, 1.0)
    builder.add(
        Shape.BOX, (0, 0, 1.5), (0.1, 1.0, 1.0), GREY, material=Material.LIGHT, emission=glow
    )
    geometry = Geometry(scene(builder), camera_at(), noise)
    lamp = untile(geometry.hits.index, geometry.camera) == 0
    night = geometry.radiance(NIGHT, EGO)[lamp]
    # The brighter, the more it dazzles: times 1 + half its strongest colour.
    np.testing.assert_allclose(night, 2.5 * torch.tensor(glow).expand_as(night), rtol=1e-5)
    assert geometry.radiance(DAY, EGO)[lamp].max() < 1.0


def test_wet_ground_mirrors_what_stands_on_it(builder, camera_at, noise):
    builder.place(14.0, 0.0, 0.0)
    builder.add(Shape.BOX, (0, 1.0, 1.5), (0.5, 1.0, 1.5), (0.9, 0.05, 0.05))
    geometry = Geometry(scene(builder), camera_at(z=1.2, down=0.1), noise)
    dry = geometry.radiance(DAY, EGO)
    wet = geometry.radiance(replace(DAY, wetness=1.0), EGO)
    index = untile(geometry.hits.index, geometry.camera)
    position = untile(geometry.surface.position, geometry.camera)
    ground = index == -1
    strip = ground & (position[..., 0] > 7.0) & (position[..., 0] < 13.0)
    y_at_box = position[..., 1] / position[..., 0] * 14.0
    before_box = strip & (y_at_box > 0.3) & (y_at_box < 1.7)
    beside = strip & (y_at_box < -0.3) & (y_at_box > -1.7)

    def redness(picture, mask):
        return (picture[mask][:, 0].mean() / picture[mask][:, 2].mean()).item()

    assert redness(dry, before_box) == pytest.approx(redness(dry, beside), rel=0.05)
    assert redness(wet, before_box) > 1.1 * redness(wet, beside)


def test_wet_asphalt_is_darker_where_it_mirrors_little(builder, camera_at, noise):
    geometry = Geometry(scene(builder), camera_at(z=3.0, down=1.4), noise)
    dry = geometry.radiance(DAY, EGO)
    assert geometry.radiance(replace(DAY, wetness=1.0), EGO).mean() < 0.8 * dry.mean()


def test_lamps_draw_streaks_on_the_wet_road_by_night(builder, camera_at, noise):
    builder.place(20.0, 0.0, 0.0)
    builder.add(
        Shape.BOX, (0, 0, 1.5), (0.1, 0.2, 0.2), GREY, material=Material.LIGHT,
        emission=(0.4, 0.4, 0.4),
    )  # fmt: skip
    geometry = Geometry(scene(builder), camera_at(z=1.5), noise)
    dry, wet = (geometry.radiance(replace(NIGHT, wetness=w), EGO) for w in (0.0, 1.0))
    added = (wet - dry)[..., 1]
    lit = (added > 1e-3).nonzero()
    rows, columns = lit[:, 0], lit[:, 1]
    assert added.max() > 0.05
    # The image of the lamp is about 2 x 2 pixels, 12 below the middle of the picture.
    assert rows.max() - rows.min() >= 8
    assert columns.max() - columns.min() <= 4
    assert rows.float().mean() == pytest.approx(31.5 + 80.0 * 3.0 / 20.0, abs=3)


def test_snow_makes_the_street_bright_and_light_from_below(builder, camera_at, noise):
    builder.place(12.0, 0.0, 0.0)
    builder.add(Shape.BOX, (0, 0, 1.0), (0.5, 2.0, 1.0), GREY)
    geometry = Geometry(scene(builder), camera_at(z=2.5, down=0.2), noise)
    bare, snowy = (geometry.radiance(replace(DAY, snow=s), EGO) for s in (0.0, 1.0))
    index, normal = (
        untile(v, geometry.camera) for v in (geometry.hits.index, geometry.look.normal)
    )
    assert snowy[index == -1].mean() > 2 * bare[index == -1].mean()
    wall = (index == 0) & (normal[..., 2].abs() < 0.1)
    assert bare[wall].mean() < snowy[wall].mean() < 3 * bare[wall].mean()


def test_lighting_leaves_depth_alone(builder, camera_at, noise):
    builder.place(14.0, 0.0, 0.0)
    builder.add(Shape.ELLIPSOID, (0, 1.0, 1.5), (0.5, 1.0, 1.5), GREY)
    geometry = Geometry(scene(builder), camera_at(), noise)
    before = geometry.depth().clone()
    for condition in RENDERED_CONDITIONS:
        radiance = geometry.radiance(draw_sky(condition, 1), EGO)
        assert radiance.isfinite().all()
        assert radiance.min() >= 0
        assert torch.equal(geometry.depth(), before)
