from collections.abc import Callable
from pathlib import Path
import sys

import numpy as np
import pytest
from ssd_depth_core.runtime import backends
from ssd_depth_core.runtime.backends import load_backend, openvino

MakeModel = Callable[..., Path]


@pytest.mark.parametrize('name', ['onnxruntime', 'openvino'])
def test_ports_are_told_with_free_axes_as_none(make_model: MakeModel, name: str) -> None:
    backend = load_backend(name, make_model(), 1)
    assert backend.name == name
    assert backend.inputs == {'image': (None, 3, 6, 8)}
    assert backend.outputs == {'inverse_depth': (None, 1, 6, 8), 'confidence': (None, 1, 6, 8)}


@pytest.mark.parametrize('name', ['onnxruntime', 'openvino'])
def test_run_gives_every_output(make_model: MakeModel, name: str) -> None:
    image = np.random.default_rng(0).random((2, 3, 6, 8), np.float32)
    outputs = load_backend(name, make_model(), 1).run(image)
    np.testing.assert_allclose(outputs['inverse_depth'], image[:, :1], rtol=1e-6)
    np.testing.assert_allclose(outputs['confidence'], image[:, 1:2], rtol=1e-6)


@pytest.mark.parametrize('name', ['onnxruntime', 'openvino'])
@pytest.mark.parametrize('batch', [1, 2])
def test_later_runs_write_into_the_same_memory(
    make_model: MakeModel, name: str, batch: int
) -> None:
    backend = load_backend(name, make_model(), 1)
    image = np.zeros((batch, 3, 6, 8), np.float32)
    first = backend.run(image)
    image = np.ones((batch, 3, 6, 8), np.float32)  # not the memory of the first call
    second = backend.run(image)
    for output, values in second.items():
        assert np.shares_memory(values, first[output])
        assert (values == 1).all()


@pytest.mark.parametrize('name', ['onnxruntime', 'openvino'])
def test_any_layout_of_the_input_in_memory_will_do(make_model: MakeModel, name: str) -> None:
    backend = load_backend(name, make_model(), 1)
    image = np.random.default_rng(0).random((1, 6, 8, 3), np.float32).transpose(0, 3, 1, 2)
    for _ in range(2):
        np.testing.assert_array_equal(backend.run(image)['confidence'], image[:, 1:2])


def test_openvino_keeps_the_last_batch_sizes(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, 'MAX_SIZES', 3)
    backend = load_backend('openvino', make_model(), 1)
    compiled = []
    compile_for = backend._compile
    monkeypatch.setattr(backend, '_compile', lambda n: compiled.append(n) or compile_for(n))
    for batch in (1, 2, 3, 3, 1, 2, 4, 3, 1):
        image = np.full((batch, 3, 6, 8), batch, np.float32)
        np.testing.assert_array_equal(backend.run(image)['inverse_depth'], image[:, :1])
    assert compiled == [2, 3, 4, 1]


def test_auto_falls_back_to_onnxruntime(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, 'find_spec', lambda name: None if name == 'openvino' else name)
    assert load_backend('auto', make_model(), 1).name == 'onnxruntime'


def test_auto_without_any_engine_says_what_to_install(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match='pip install onnxruntime'):
        load_backend('auto', make_model(), 1)


def test_engine_that_is_not_installed_is_named_with_its_pip_command(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'openvino', None)  # what makes `import openvino` fail
    monkeypatch.delitem(sys.modules, 'ssd_depth_core.runtime.backends.openvino', raising=False)
    with pytest.raises(ImportError, match='backend openvino .*`pip install openvino`'):
        load_backend('openvino', make_model(), 1)


def test_unknown_engine_is_refused(make_model: MakeModel) -> None:
    with pytest.raises(ValueError, match="one of auto, .*, tensorrt_rtx, got 'tflite'"):
        load_backend('tflite', make_model(), 1)  # type: ignore[arg-type]


def test_thread_count_below_one_is_refused(make_model: MakeModel) -> None:
    with pytest.raises(ValueError, match='num_threads must be >= 1, .*, got 0'):
        load_backend('onnxruntime', make_model(), 0)
