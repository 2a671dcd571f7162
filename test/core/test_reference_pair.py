from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.reference_pair import (
    load_reference,
    output_names,
    reference_path_of,
    ReferencePair,
    save_reference,
    TOLERANCES,
)

SHA = '0123456789abcdef' * 4
SPEC = ModelSpec(
    name='tiny',
    onnx_sha256=SHA,
    input_height=1,
    input_width=2,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    canonical_focal_px=10.0,
    training_data='none',
    training_command='none',
    metrics={},
    licence='Apache-2.0',
)
PAIR = ReferencePair(
    onnx_sha256=SHA,
    precision='int8',
    picture=np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8),
    outputs={
        'inverse_depth': np.array([[0.5, 0.25]], np.float16),
        'confidence': np.array([[0.5, 1.0]], np.float16),
    },
)


def outputs(inverse_depth: list[float], confidence: list[float]) -> dict[str, np.ndarray]:
    return {
        'inverse_depth': np.array([[[inverse_depth]]], np.float32),
        'confidence': np.array([[[confidence]]], np.float32),
    }


def test_pair_lies_beside_its_model() -> None:
    assert reference_path_of(Path('a.b/student.onnx')) == Path('a.b/student.check.npz')
    assert reference_path_of(Path('student.int8.onnx')) == Path('student.int8.check.npz')
    with pytest.raises(ValueError, match=r'must be an \.onnx file, got student\.pt'):
        reference_path_of(Path('student.pt'))


def test_written_pair_is_read_back(tmp_path: Path) -> None:
    path = save_reference(PAIR, tmp_path / 'tiny.onnx')
    read = load_reference(tmp_path / 'tiny.onnx', SPEC)
    assert path == tmp_path / 'tiny.check.npz'
    assert read is not None
    assert (read.onnx_sha256, read.precision, read.tolerance) == (SHA, 'int8', TOLERANCES['int8'])
    np.testing.assert_array_equal(read.picture, PAIR.picture)
    assert read.outputs.keys() == PAIR.outputs.keys()
    for name, values in PAIR.outputs.items():
        assert read.outputs[name].dtype == np.float16
        np.testing.assert_array_equal(read.outputs[name], values)


def test_model_without_confidence_needs_none(tmp_path: Path) -> None:
    spec = replace(SPEC, has_confidence=False)
    assert output_names(spec) == ('inverse_depth',)
    depth_alone = {'inverse_depth': PAIR.outputs['inverse_depth']}
    save_reference(replace(PAIR, outputs=depth_alone), tmp_path / 'tiny.onnx')
    read = load_reference(tmp_path / 'tiny.onnx', spec)
    assert read is not None
    assert list(read.outputs) == ['inverse_depth']
    with pytest.raises(ValueError, match='cannot be read .*confidence'):
        load_reference(tmp_path / 'tiny.onnx', SPEC)


def test_older_export_has_none(tmp_path: Path) -> None:
    assert load_reference(tmp_path / 'tiny.onnx', SPEC) is None


def test_depth_differs_by_shares_and_confidence_by_amounts() -> None:
    same = PAIR.differences(outputs([0.5, 0.25], [0.5, 1.0]))
    assert same == {'inverse_depth': 0.0, 'confidence': 0.0}
    # Off by 0.25 / 0.5 and 0.25 / 0.25; by 0.0 and 0.5.
    off = PAIR.differences(outputs([0.75, 0.0], [0.5, 0.5]))
    assert off['inverse_depth'] == pytest.approx(np.sqrt((0.5**2 + 1.0**2) / 2))
    assert off['confidence'] == pytest.approx(np.sqrt(0.5**2 / 2))


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_what_is_not_finite_is_within_no_tolerance(value: float) -> None:
    difference = PAIR.differences(outputs([value, 0.25], [0.5, 1.0]))['inverse_depth']
    assert not difference <= PAIR.tolerance


def test_coarser_numbers_may_differ_more() -> None:
    assert 0 < TOLERANCES['fp32'] < TOLERANCES['fp16'] < TOLERANCES['int8'] < 1


def test_pair_of_another_model_is_refused(tmp_path: Path) -> None:
    save_reference(PAIR, tmp_path / 'tiny.onnx')
    other = replace(SPEC, onnx_sha256='f' * 64)
    with pytest.raises(ValueError, match=r'tiny\.check\.npz is of a model of .* copy both again'):
        load_reference(tmp_path / 'tiny.onnx', other)


def test_damaged_pair_is_named_with_its_remedy(tmp_path: Path) -> None:
    path = save_reference(PAIR, tmp_path / 'tiny.onnx')
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    array = tmp_path / 'array.npy'
    np.save(array, np.zeros(3))
    for content in (b'', b'text', whole[:-30], bytes(flipped), array.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r'tiny\.check\.npz cannot be read .* copy it again'):
            load_reference(tmp_path / 'tiny.onnx', SPEC)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = save_reference(PAIR, tmp_path / 'tiny.onnx')
    np.savez(path, onnx_sha256=np.array({'an': 'object'}, dtype=object))
    with pytest.raises(ValueError, match='Object arrays cannot be loaded'):
        load_reference(tmp_path / 'tiny.onnx', SPEC)


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="one of fp32, fp16, int8, got 'fp8'"):
        replace(PAIR, precision='fp8')  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='picture must be a NumPy array of uint8'):
        replace(PAIR, picture=np.zeros((1, 2, 3)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r'confidence must be \(1, 2\) as the picture, got \(2,'):
        replace(PAIR, outputs={'confidence': np.zeros((2, 1), np.float16)})
