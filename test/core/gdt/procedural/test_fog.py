import numpy as np
import pytest
from ssd_depth_core.gdt.procedural import ProceduralConfig
from ssd_depth_core.gdt.procedural.air import (
    draw_visibility,
    extinction,
    through_air,
    transmission,
)
from ssd_depth_core.gdt.procedural.linear_light import to_linear


def test_five_percent_of_the_light_comes_through_the_visibility():
    depth = np.array([[0.0, 50.0, 100.0, 200.0]], np.float32)
    through = transmission(depth, extinction(100.0))
    np.testing.assert_allclose(through, [[1, 0.05**0.5, 0.05, 0.0025]], rtol=1e-5)


def test_black_and_white_targets_follow_koschmieder():
    light = np.zeros((1, 2, 3), np.float32)
    light[0, 1] = 1.0
    airlight = np.array([0.4, 0.5, 0.6], np.float32)
    seen = through_air(light, np.full((1, 2), 0.25, np.float32), airlight)
    np.testing.assert_allclose(seen[0, 0], 0.75 * airlight, rtol=1e-6)
    np.testing.assert_allclose(seen[0, 1], 0.25 + 0.75 * airlight, rtol=1e-6)


def test_visibilities_are_even_in_the_logarithm():
    rng = np.random.default_rng(0)
    drawn = np.array([draw_visibility(rng, (50.0, 200.0)) for _ in range(2000)])
    assert drawn.min() >= 50
    assert drawn.max() <= 200
    assert (drawn < 100).mean() == pytest.approx(0.5, abs=0.04)


def test_a_black_wall_in_fog_tells_the_visibility(request_for, translator):
    # Black stays black under clouds, so that what is seen of it is air alone: A (1 - t). The
    # other half of the picture is sky, all air: A.
    inverse_depth = np.full((96, 160), 1 / 30, np.float32)
    inverse_depth[:40, :] = 0
    picture = np.zeros((96, 160, 3), np.uint8)
    (made,) = translator(fog_visibility_m=(60.0, 60.0)).translate(
        [request_for('fog', inverse_depth=inverse_depth, picture=picture)]
    )
    light = to_linear(made.picture)
    share = light[70, 80] / light[5, 80]
    np.testing.assert_allclose(share, 1 - 0.05**0.5, atol=0.02)


def test_thinner_fog_shows_more(request_for, translator):
    contrasts = []
    for visibility in (40.0, 120.0, 400.0):
        made = translator(fog_visibility_m=(visibility, visibility))
        (result,) = made.translate([request_for('fog')])
        contrasts.append(result.picture[25:50, 5:55].std())
    assert contrasts == sorted(contrasts)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'fog_visibility_m': (0.0, 5.0)}, 'fog_visibility_m must be .* got .0.0, 5.0'),
        ({'rain_visibility_m': (9.0, 5.0)}, 'rain_visibility_m must be'),
        ({'snow_visibility_m': (9.0, float('inf'))}, 'snow_visibility_m must be'),
        ({'camera_height_m': 0.0}, 'camera_height_m must be > 0 m and finite, got 0.0'),
        ({'sky_from_m': float('nan')}, 'sky_from_m must be > 0 m and finite, got nan'),
        ({'lens_drops': -1}, 'lens_drops must be >= 0, got -1'),
    ],
)
def test_a_wrong_field_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        ProceduralConfig(**fields)
