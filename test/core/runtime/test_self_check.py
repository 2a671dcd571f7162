from collections.abc import Callable
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ssd_depth_core.model_spec import load_spec
from ssd_depth_core.reference_pair import (
    Precision,
    reference_path_of,
    ReferencePair,
    save_reference,
)
from ssd_depth_core.runtime import predictor as predictor_module
from ssd_depth_core.runtime.predictor import DepthPredictor

MakeModel = Callable[..., Path]


def with_pair(model: Path, precision: Precision = 'fp32') -> Path:
    """Store what the network of conftest gives: red and green over 255."""
    spec = load_spec(model)
    size = (spec.input_height, spec.input_width, 3)
    picture = np.random.default_rng(0).integers(1, 256, size, np.uint8)
    pair = ReferencePair(
        onnx_sha256=spec.onnx_sha256,
        precision=precision,
        picture=picture,
        outputs={
            'inverse_depth': (picture[..., 0] / 255).astype(np.float16),
            'confidence': (picture[..., 1] / 255).astype(np.float16),
        },
    )
    save_reference(pair, model)
    return model


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let every engine compute something else in one of its outputs."""

    def spoil(name: str, change: Callable[[Any], Any]) -> None:
        load = predictor_module.load_backend

        def load_wrong(*arguments: Any) -> Any:
            engine = load(*arguments)
            run = engine.run
            engine.run = lambda image: run(image) | {name: change(run(image)[name])}
            return engine

        monkeypatch.setattr(predictor_module, 'load_backend', load_wrong)

    return spoil


def spoilt_corner(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[..., 0, 0] *= 2
    return values


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_engine_that_agrees_is_loaded_without_a_word(
    make_model: MakeModel, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = DepthPredictor.load(with_pair(make_model()), backend)
    assert predictor.predict(np.full((6, 8, 3), 51, np.uint8)).depth[0, 0] == pytest.approx(5.0)
    assert not caplog.records


@pytest.mark.parametrize(
    ('name', 'change'),
    [
        ('inverse_depth', lambda values: 1.006 * values),
        ('inverse_depth', lambda values: values[..., ::-1]),
        ('inverse_depth', lambda values: values * np.nan),
        ('inverse_depth', spoilt_corner),
        ('confidence', lambda values: values + 0.006),
        ('confidence', lambda values: 1 - values),
    ],
)
def test_engine_that_disagrees_is_refused(
    make_model: MakeModel, spoil: Callable[..., None], name: str, change: Callable[..., Any]
) -> None:
    model = with_pair(make_model())
    spoil(name, change)
    with pytest.raises(ValueError, match=f'{name} differs by .* tolerance 0.005 of fp32'):
        DepthPredictor.load(model, 'onnxruntime')


def test_refusal_says_who_how_much_and_what_to_do(
    make_model: MakeModel, spoil: Callable[..., None]
) -> None:
    model = with_pair(make_model())
    spoil('inverse_depth', lambda values: 1.5 * values)
    with pytest.raises(ValueError, match='is computed wrongly') as caught:
        DepthPredictor.load(model, 'openvino')
    message = str(caught.value)
    assert message.startswith(f'model {model} is computed wrongly by openvino on ')
    assert 'CPU: inverse_depth differs by 0.5 (relative, root mean square)' in message
    assert 'more than the tolerance 0.005 of fp32; take another backend' in message
    assert message.endswith('(the node: self_check:=false) to use it all the same')


def test_refused_engine_is_loaded_where_it_is_asked_for(
    make_model: MakeModel, spoil: Callable[..., None]
) -> None:
    model = with_pair(make_model())
    spoil('inverse_depth', lambda values: 2 * values)
    predictor = DepthPredictor.load(model, 'onnxruntime', self_check=False)
    depth = predictor.predict(np.full((6, 8, 3), 51, np.uint8)).depth
    np.testing.assert_allclose(depth, 2.5, rtol=1e-6)


@pytest.mark.parametrize(
    ('precision', 'factor'), [('fp32', 1.004), ('fp16', 1.015), ('int8', 1.09)]
)
def test_coarser_precision_allows_more(
    make_model: MakeModel, spoil: Callable[..., None], precision: Precision, factor: float
) -> None:
    model = with_pair(make_model(), precision)
    spoil('inverse_depth', lambda values: factor * values)
    assert DepthPredictor.load(model, 'onnxruntime').spec.name == 'tiny'
    spoil('inverse_depth', lambda values: 1.03 * values)  # on top of the other
    with pytest.raises(ValueError, match=f'more than the tolerance .* of {precision}'):
        DepthPredictor.load(model, 'onnxruntime')


def test_older_model_is_loaded_with_a_warning(
    make_model: MakeModel, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model()
    with caplog.at_level(logging.WARNING):
        DepthPredictor.load(model, 'onnxruntime')
    (record,) = caplog.records
    assert record.getMessage().startswith(
        f'{reference_path_of(model)} is missing, so onnxruntime is not checked on '
    )


def test_pair_of_another_model_is_refused(make_model: MakeModel) -> None:
    model = with_pair(make_model())
    make_model(batch=1)  # written over the first, which leaves the pair
    with pytest.raises(ValueError, match=r'tiny\.check\.npz is of a model of sha256'):
        DepthPredictor.load(model)
    assert DepthPredictor.load(model, self_check=False).spec.name == 'tiny'


def test_colour_order_and_range_are_those_of_the_model(make_model: MakeModel) -> None:
    model = with_pair(make_model())
    DepthPredictor.load(model)
    # Of the same network, but it says that its first channel is blue.
    make_model(colour_order='bgr')
    with pytest.raises(ValueError, match='inverse_depth differs by'):
        DepthPredictor.load(model)


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_the_shipped_student_proves_itself(backend, caplog):
    predictor = DepthPredictor.load(None, backend)
    assert predictor.spec.name == {'onnxruntime': 'student', 'openvino': 'student_int8'}[backend]
    assert not caplog.records  # nothing to check it with would be a warning
