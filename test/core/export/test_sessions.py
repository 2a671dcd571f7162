import numpy as np
import pytest

onnx = pytest.importorskip('onnx')
openvino = pytest.importorskip('openvino')
pytest.importorskip('onnxruntime')

from ssd_depth_core.export import sessions  # noqa: E402
from ssd_depth_core.export.sessions import open_openvino, RUNTIMES  # noqa: E402


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_outputs_come_in_the_order_asked_for_from_file_and_contents(
    three_layers, tmp_path, runtime
):
    network = three_layers(size=(1, 1))
    onnx.save(network, tmp_path / 'a.onnx')
    image = np.array([0.3, 0.9, 0.1, 0.5, 0.2, 1.1], np.float32).reshape(2, 3, 1, 1)
    # By hand: three small matrices.
    c = {k.name: onnx.numpy_helper.to_array(k) for k in network.graph.initializer}
    x = image[..., 0, 0].T
    for name in ('first', 'middle'):
        x = np.maximum(c[f'{name}.weight'][..., 0, 0] @ x + c[f'{name}.bias'][:, None], 0)
    fraction = 1 / (1 + np.exp(-(c['head.weight'][..., 0, 0] @ x + c['head.bias'][:, None])))
    inverse_depth = 1 / 80 * 800 ** fraction[0]
    for model in (tmp_path / 'a.onnx', network.SerializeToString()):
        run = RUNTIMES[runtime](model, ['confidence', 'inverse_depth'])
        got = run(image)
        assert [value.shape for value in got] == [(2, 1, 1, 1)] * 2
        np.testing.assert_allclose(got[0].ravel(), fraction[1], rtol=1e-5)
        np.testing.assert_allclose(got[1].ravel(), inverse_depth, rtol=1e-5)


def test_openvino_is_given_each_batch_size_by_itself(three_layers, monkeypatch):
    sizes = []

    class Core(openvino.Core):
        def compile_model(self, model, *options):
            sizes.append(tuple(model.inputs[0].shape))  # raises where an axis is free
            return super().compile_model(model, *options)

    monkeypatch.setattr(sessions.openvino, 'Core', Core)
    run = open_openvino(three_layers(size=(1, 1)).SerializeToString(), ['inverse_depth'])
    images = np.random.default_rng(0).uniform(0, 1, (5, 3, 1, 1)).astype(np.float32)
    parts = [run(images[:2]), run(images[2:4]), run(images[4:])]
    assert sizes == [(2, 3, 1, 1), (1, 3, 1, 1)]
    got = np.concatenate([part[0] for part in parts])
    np.testing.assert_allclose(got, run(images)[0], rtol=1e-6)
