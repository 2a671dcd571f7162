import dataclasses
from pathlib import Path
from typing import get_args

import pytest
import rclpy
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from ssd_depth_core.runtime.backends import BackendName
from ssd_depth_ros.parameters import (
    declare_parameters,
    default_values,
    parameter_help,
    Parameters,
)
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def make_node():
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def make(**overrides):
        values = [
            rclpy.Parameter(name.replace('__', '.'), value=v) for name, v in overrides.items()
        ]
        node = rclpy.create_node(f'n{len(nodes)}', context=context, parameter_overrides=values)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def flat(values, prefix=''):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', tuple(value) if isinstance(value, list) else value


def test_yaml_holds_every_parameter_at_its_default():
    document = yaml.safe_load((ROOT / 'config/ros/depth_node.yaml').read_text())
    assert list(document) == ['/**']
    in_file = dict(flat(document['/**']['ros__parameters']))
    assert in_file == default_values()
    assert {n: type(v) for n, v in in_file.items()} == {
        n: type(v) for n, v in default_values().items()
    }


@pytest.mark.parametrize('name', ['depth_node', 'nuscenes'])
def test_yaml_is_accepted_by_ros(name):
    context = rclpy.Context()
    file = ROOT / f'config/ros/{name}.yaml'
    rclpy.init(context=context, args=['--ros-args', '--params-file', str(file)])
    node = rclpy.create_node('anything', context=context)
    values = dict(flat(yaml.safe_load(file.read_text())['/**']['ros__parameters']))
    assert set(values) <= set(default_values())
    assert declare_parameters(node) == Parameters().replace(values)
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_every_parameter_is_described(make_node):
    node = make_node()
    declare_parameters(node)
    for name, value in default_values().items():
        descriptor = node.describe_parameter(name)
        assert len(descriptor.description) > 10, name
        if type(value) is int:
            assert descriptor.integer_range, name
        if type(value) is float:
            assert descriptor.floating_point_range, name


def test_what_needs_a_restart_is_read_only(make_node):
    node = make_node()
    declare_parameters(node)
    read_only = {n for n in default_values() if node.describe_parameter(n).read_only}
    assert read_only == {
        'model',
        'backend',
        'num_threads',
        'self_check',
        'cameras',
        'autostart',
        'input_qos',
        'transport',
        *(f'publish.{n}' for n in ('depth', 'points', 'confidence', 'colormap', 'stats')),
    }


def test_overrides_win(make_node):
    node = make_node(points__stride=3, intrinsics=[1.0, 2.0, 3.0, 4.0], publish__points=False)
    parameters = declare_parameters(node)
    assert parameters.points.stride == 3
    assert parameters.intrinsics == (1.0, 2.0, 3.0, 4.0)
    assert not parameters.publish.points
    assert parameters.points.fields == Parameters().points.fields


def test_empty_list_of_cameras_means_the_one_without_a_name():
    context = rclpy.Context()
    rclpy.init(context=context, args=['--ros-args', '-p', 'cameras:=[]'])
    node = rclpy.create_node('anything', context=context)
    assert declare_parameters(node).cameras == ('',)
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_every_engine_may_be_asked_for():
    (engines,) = (
        field.type for field in dataclasses.fields(Parameters) if field.name == 'backend'
    )
    assert get_args(engines) == get_args(BackendName)


def test_cameras_are_a_list_of_names(make_node):
    assert declare_parameters(make_node(cameras=['left', 'right'])).cameras == ('left', 'right')


@pytest.mark.parametrize('overrides', [{'points__stride': 0}, {'min_confidence': 1.5}])
def test_value_out_of_range_is_refused(make_node, overrides):
    with pytest.raises(InvalidParameterValueException):
        declare_parameters(make_node(**overrides))


def test_wrong_type_is_refused(make_node):
    with pytest.raises(InvalidParameterTypeException):
        declare_parameters(make_node(points__stride='2'))


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (
            {'backend': 'torch'},
            'backend must be one of auto, openvino, onnxruntime, tensorrt',
        ),
        ({'points.fields': 'xyzrgba'}, 'points.fields must be one of xyz, xyzrgb, xyzi'),
        ({'points.min_range': 5.0, 'points.max_range': 5.0}, 'min_range must be below'),
        ({'intrinsics': (1.0, 2.0)}, 'got 2 numbers'),
        ({'cameras': ['front', 'front']}, 'cameras must be different names'),
        ({'cameras': ['front', '']}, 'cameras must be different names'),
        ({'cameras': ['0front']}, 'begin with no digit'),
        ({'cameras': ['a', 'b'], 'frame_id': 'x'}, 'the same for every camera'),
        ({'cameras': ['a', 'b'], 'intrinsics': (1.0, 1.0, 0.0, 0.0)}, 'the same for every camera'),
        ({'intrinsics': (0.0, 100.0, 5.0, 5.0)}, 'fx, fy > 0 or be all 0'),
    ],
)
def test_contradictions_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Parameters().replace(values)


def test_replace_leaves_the_old_set_alone():
    old = Parameters()
    new = old.replace({'points.stride': 4, 'use_sim_time': True})
    assert (old.points.stride, new.points.stride) == (1, 4)
    assert dataclasses.replace(new, points=old.points) == old


def test_help_tells_name_default_meaning_and_choices():
    text = parameter_help()
    for name, value in default_values().items():
        default = list(value) if isinstance(value, tuple) else value
        assert f'\n  {name} (default: {default!r})\n' in f'\n{text}'
    assert 'One of xyz, xyzrgb, xyzi.' in text
    assert max(map(len, text.splitlines())) <= 80
