from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
import pytest
from ssd_depth_core.checks import sha256_of
from ssd_depth_core.model_spec import ModelSpec, save_spec

H, W = 6, 8
SPEC = ModelSpec(
    name='tiny',
    onnx_sha256='0' * 64,
    input_height=H,
    input_width=W,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    canonical_focal_px=10.0,
    training_data='none',
    training_command='none',
    metrics={},
    licence='Apache-2.0',
)
MakeModel = Callable[..., Path]


def tiny_onnx(
    batch: int | str, size: tuple[int, int], outputs: tuple[str, ...]
) -> onnx.ModelProto:
    """inverse_depth is the input's first channel, confidence its second."""
    ports = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, channels, *size])
        for name, channels in (('image', 3), ('inverse_depth', 1), ('confidence', 1))
    }
    constants = {
        name: numpy_helper.from_array(np.array([value], np.int64), name)
        for name, value in (('zero', 0), ('one', 1), ('two', 2))
    }
    graph = helper.make_graph(
        [
            helper.make_node('Slice', ['image', 'zero', 'one', 'one'], ['inverse_depth']),
            helper.make_node('Slice', ['image', 'one', 'two', 'one'], ['confidence']),
        ],
        'tiny',
        [ports['image']],
        [ports[name] for name in outputs],
        list(constants.values()),
    )
    opset = [helper.make_opsetid('', 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10)


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Write a tiny network and its spec, and give the path of the `.onnx`."""

    def make(
        *,
        batch: int | str = 'batch',
        size: tuple[int, int] = (H, W),
        outputs: tuple[str, ...] = ('inverse_depth', 'confidence'),
        **fields: object,
    ) -> Path:
        path = tmp_path / 'tiny.onnx'
        onnx.save(tiny_onnx(batch, size, outputs), path)
        save_spec(replace(SPEC, **({'onnx_sha256': sha256_of(path)} | fields)), path)
        return path

    return make
