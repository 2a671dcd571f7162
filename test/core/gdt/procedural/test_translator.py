import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.gdt.procedural import ProceduralConfig, ProceduralTranslator

TRANSLATED = [condition for condition in CONDITIONS if condition != 'day-clear']


@pytest.mark.parametrize('condition', TRANSLATED)
def test_a_seed_gives_the_same_bytes_whatever_stands_beside_it(condition, request_for, translator):
    one, other = request_for(condition, seed=3), request_for(condition, seed=4)
    first, beside = translator().translate([one, other])
    (again,) = translator().translate([one])
    assert first.picture.tobytes() == again.picture.tobytes()
    assert first.picture.tobytes() != beside.picture.tobytes()
    assert first.picture.shape == one.picture.shape
    assert first.picture.dtype == np.uint8
    assert first.prompt is first.image_prompt is None


@pytest.mark.parametrize('condition', TRANSLATED)
def test_strength_0_returns_the_frame(condition, request_for, translator):
    request = request_for(condition)
    (made,) = translator(0.0).translate([request])
    np.testing.assert_array_equal(made.picture, request.picture)
    assert made.picture is not request.picture


@pytest.mark.parametrize('condition', TRANSLATED)
def test_more_strength_changes_more(condition, request_for, translator):
    request = request_for(condition)
    clear = request.picture.astype(float)
    changes = [0.0]
    for strength in (0.0001, 0.1, 0.3, 0.6, 1.0):
        (made,) = translator(strength).translate([request])
        changes.append(np.abs(made.picture - clear).mean())
    assert changes == sorted(changes)
    assert changes[1] < 2.5
    assert changes[-1] > 10


@pytest.mark.parametrize('condition', TRANSLATED)
def test_the_request_is_left_as_it_is(condition, request_for, translator):
    request = request_for(condition)
    picture, inverse_depth = request.picture.copy(), request.depth.inverse_depth.copy()
    translator().translate([request])
    np.testing.assert_array_equal(request.picture, picture)
    np.testing.assert_array_equal(request.depth.inverse_depth, inverse_depth)


def test_a_clear_day_cannot_be_asked_for(request_for, translator):
    with pytest.raises(ValueError, match="condition 'day-clear' has no recipe; there are night"):
        translator().translate([request_for('day-clear')])
    with pytest.raises(ValueError, match="condition must be one of night, .* got 'day-clear'"):
        ProceduralTranslator(ProceduralConfig(), {'day-clear': SimpleNamespace(strength=1.0)})


@pytest.mark.parametrize('strength', [-0.1, 1.1, float('nan')])
def test_a_strength_out_of_range_is_named(strength):
    with pytest.raises(ValueError, match=r'strength of fog must be in \[0, 1\], got'):
        ProceduralTranslator(ProceduralConfig(), {'fog': SimpleNamespace(strength=strength)})


@pytest.mark.parametrize('bad', [np.nan, np.inf, -0.1])
def test_depth_must_be_finite_and_not_negative(bad, request_for, translator):
    inverse_depth = np.full((96, 160), 0.1, np.float32)
    inverse_depth[3, 4] = bad
    with pytest.raises(ValueError, match='inverse_depth must be finite and >= 0'):
        translator().translate([request_for('fog', inverse_depth=inverse_depth)])


def test_depth_of_another_size_is_named(request_for, translator):
    inverse_depth = np.ones((48, 80), np.float32)
    with pytest.raises(ValueError, match=r'shape of the picture, \(96, 160\), got \(48, 80\)'):
        translator().translate([request_for('fog', inverse_depth=inverse_depth)])


def test_a_picture_of_floats_and_a_bad_K_are_named(request_for, translator):
    request = request_for('fog')
    picture = request.picture.astype(np.float32)
    with pytest.raises(TypeError, match='picture must be a NumPy array of uint8'):
        translator().translate([dataclasses.replace(request, picture=picture)])
    with pytest.raises(ValueError, match=r'K must be \(3, 3\)'):
        translator().translate([dataclasses.replace(request, K=np.eye(2))])


def test_relative_depth_without_a_road_gives_the_reason(request_for, translator):
    wall = np.full((96, 160), 0.3, np.float32)
    (reason,) = translator().translate([request_for('fog', inverse_depth=wall, metric=False)])
    assert reason.startswith('no road is seen')


def test_metric_depth_without_a_road_takes_a_level_one(request_for, translator):
    wall = np.full((96, 160), 0.3, np.float32)
    (made,) = translator().translate([request_for('day-rain', inverse_depth=wall)])
    assert made.picture.shape == (96, 160, 3)


def test_it_loads_no_network(translator):
    made = translator()
    assert (made.name, made.models) == ('procedural', {})
