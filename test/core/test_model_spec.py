from dataclasses import replace
import json
from pathlib import Path

import pytest
from ssd_depth_core.checks import sha256_of
from ssd_depth_core.model_spec import load_spec, ModelSpec, save_spec, spec_path_of


@pytest.fixture
def spec(onnx):
    return ModelSpec(
        name='tiny',
        onnx_sha256=sha256_of(onnx),
        input_height=192,
        input_width=320,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        canonical_focal_px=256.0,
        training_data='SynthDrive (synthetic)',
        training_command='python -m training.train_student --seed 1',
        metrics={'night': {'abs_rel': 0.12, 'n': 200.0}},
        licence='Apache-2.0',
    )


@pytest.fixture
def onnx(tmp_path):
    path = tmp_path / 'tiny.onnx'
    path.write_bytes(b'stands for a network')
    return path


def test_spec_survives_the_round_trip(spec, onnx):
    assert save_spec(spec, onnx) == onnx.with_name('tiny.json')
    assert load_spec(onnx) == spec


def test_spec_path_replaces_only_the_last_suffix():
    assert spec_path_of(Path('a.b/student.int8.onnx')) == Path('a.b/student.int8.json')


@pytest.mark.parametrize('name', ['student.json', 'student.engine', 'student'])
def test_a_model_that_is_no_onnx_file_is_refused(name):
    with pytest.raises(ValueError, match=f'model must be an .onnx file, got {name}'):
        spec_path_of(Path(name))


def test_another_file_under_the_same_name_is_refused(spec, onnx):
    save_spec(spec, onnx)
    onnx.write_bytes(b'another network')
    with pytest.raises(ValueError, match='has sha256 .* but .*tiny.json says .* copy both again'):
        load_spec(onnx)


@pytest.mark.parametrize('missing', ['tiny.onnx', 'tiny.json'])
def test_a_missing_half_is_named_with_its_remedy(spec, onnx, missing):
    save_spec(spec, onnx)
    onnx.with_name(missing).unlink()
    with pytest.raises(FileNotFoundError, match=f'not found at .*{missing}; export one with'):
        load_spec(onnx)


@pytest.mark.parametrize('empty', ['tiny.onnx', 'tiny.json'])
def test_an_empty_half_is_named(spec, onnx, empty):
    save_spec(spec, onnx)
    onnx.with_name(empty).write_bytes(b'')
    with pytest.raises(ValueError, match=f'at .*{empty} is empty'):
        load_spec(onnx)


@pytest.mark.parametrize('content', [b'{"name": ', b'\xff\xfe\x00', b'not json'])
def test_json_that_cannot_be_read_is_named(spec, onnx, content):
    spec_path_of(onnx).write_bytes(content)
    with pytest.raises(ValueError, match=r'ModelSpec .*tiny.json is no JSON'):
        load_spec(onnx)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'colour': 'rgb'}, r'tiny.json: unknown field\(s\) colour for ModelSpec'),
        ({'mean': [0.5, 0.5]}, 'mean must have 3 items, got 2'),
        ({'input_height': '192'}, "input_height must be int, got '192'"),
        ({'colour_order': 'yuv'}, "colour_order must be one of rgb, bgr, got 'yuv'"),
        ({'output_kind': 'depth'}, 'output_kind must be one of inverse_depth'),
        ({'schema_version': 2}, 'tiny.json: schema_version must be 1, got 2; .* export it again'),
    ],
)
def test_strict_reading_names_the_field(spec, onnx, change, message):
    path = save_spec(spec, onnx)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        load_spec(onnx)


def test_a_missing_field_is_named(spec, onnx):
    path = save_spec(spec, onnx)
    values = json.loads(path.read_text())
    del values['canonical_focal_px']
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r'missing field\(s\) canonical_focal_px of ModelSpec'):
        load_spec(onnx)


@pytest.mark.parametrize('content', ['[]', '3', 'null'])
def test_json_that_is_no_object_is_refused(onnx, content):
    spec_path_of(onnx).write_text(content)
    with pytest.raises(ValueError, match='expected fields of ModelSpec'):
        load_spec(onnx)


NAN, INF = float('nan'), float('inf')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'onnx_sha256': 'ab'}, "onnx_sha256 must be 64 hex digits, got 'ab'"),
        ({'onnx_sha256': 'g' * 64}, 'onnx_sha256 must be 64 hex digits'),
        ({'onnx_sha256': 'A' * 64}, 'onnx_sha256 must be 64 hex digits'),
        ({'input_height': 0}, 'input size must be positive, got 0x320'),
        ({'input_width': -1}, 'input size must be positive, got 192x-1'),
        ({'min_depth_m': 0.0}, 'depth range must be 0 < min_depth_m < max_depth_m'),
        ({'min_depth_m': 90.0}, 'got 90.0 and 80.0'),
        ({'max_depth_m': INF}, 'depth range must be'),
        ({'max_depth_m': NAN}, 'depth range must be'),
        ({'canonical_focal_px': 0.0}, 'canonical_focal_px must be > 0, got 0.0'),
        ({'canonical_focal_px': NAN}, 'canonical_focal_px must be > 0, got nan'),
        ({'mean': (0.5, NAN, 0.5)}, 'mean must be finite in every channel'),
        ({'std': (0.5, 0.0, 0.5)}, 'std must be > 0 and finite in every channel'),
        ({'std': (NAN, 0.5, 0.5)}, 'std must be > 0 and finite in every channel'),
        ({'std': (INF, 0.5, 0.5)}, 'std must be > 0 and finite in every channel'),
    ],
)
def test_values_out_of_range_are_refused(spec, change, message):
    with pytest.raises(ValueError, match=message):
        replace(spec, **change)
