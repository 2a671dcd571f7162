import json
import shutil

import numpy as np
import pytest
from ssd_depth_core.gdt.depth_prior import DepthPriorConfig, TransformersDepth
from ssd_depth_core.gdt.patches import estimate_in_patches
import torch

K = np.eye(3)
NAMES = ('dpt', 'depth_anything', 'depth_anything_metric')


@pytest.fixture(scope='module')
def networks(tiny_depth_models):
    return {
        name: TransformersDepth(DepthPriorConfig(model=str(folder)), 'cpu')
        for name, folder in tiny_depth_models.items()
    }


def drawn(count, size=(48, 80)):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]


def estimate(network, pictures):
    return network.estimate(pictures, [K] * len(pictures))


def copy_of(folder, path, **changes):
    """Copy a model, with other values in its config."""
    shutil.copytree(folder, path)
    config = json.loads((path / 'config.json').read_text())
    (path / 'config.json').write_text(json.dumps(config | changes))
    return DepthPriorConfig(model=str(path))


@pytest.mark.parametrize('name', NAMES)
def test_a_map_has_the_size_of_its_picture(networks, name):
    for size in ((48, 80), (33, 47)):
        (estimated,) = estimate(networks[name], drawn(1, size))
        assert estimated.inverse_depth.shape == size
        assert estimated.inverse_depth.dtype == np.float32
        assert estimated.inverse_depth.min() >= 0
        assert np.ptp(estimated.inverse_depth) > 0


@pytest.mark.parametrize('name', NAMES)
def test_the_config_tells_metric_networks_from_relative_ones(networks, tiny_depth_models, name):
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    (picture,) = drawn(1)
    folder = tiny_depth_models[name]
    processor = AutoImageProcessor.from_pretrained(folder)
    with torch.inference_mode():
        output = AutoModelForDepthEstimation.from_pretrained(folder)(
            **processor(picture, return_tensors='pt')
        )
    (expected,) = processor.post_process_depth_estimation(output, [picture.shape[:2]])
    expected = expected['predicted_depth'].numpy()
    (estimated,) = estimate(networks[name], [picture])
    assert estimated.metric == (name == 'depth_anything_metric')
    expected = 1 / expected.clip(min=0.1) if estimated.metric else expected.clip(min=0)
    np.testing.assert_allclose(estimated.inverse_depth, expected, rtol=1e-4, atol=1e-3)


@pytest.fixture
def one_thread():
    """As translation computes: several threads part a batch and its pictures differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize('name', NAMES)
def test_a_map_does_not_depend_on_the_other_pictures(networks, name, one_thread):
    pictures = drawn(3)
    together = estimate(networks[name], pictures)
    for picture, estimated in zip(pictures, together, strict=True):
        (alone,) = estimate(networks[name], [picture])
        np.testing.assert_allclose(
            alone.inverse_depth, estimated.inverse_depth, rtol=2e-3, atol=1e-3
        )


def test_pictures_go_through_the_network_in_batches(tiny_depth_model, monkeypatch):
    network = TransformersDepth(DepthPriorConfig(model=str(tiny_depth_model), batch_size=2), 'cpu')
    sizes = watch(network, monkeypatch)
    assert len(estimate(network, drawn(5))) == 5
    assert sizes == [2, 2, 1]


def test_batches_are_halved_where_memory_ends(tiny_depth_model, monkeypatch, caplog):
    network = TransformersDepth(DepthPriorConfig(model=str(tiny_depth_model), batch_size=4), 'cpu')
    pictures = drawn(5)
    expected = estimate(network, pictures)
    sizes = watch(network, monkeypatch, room_for=2)
    estimated = estimate(network, pictures)
    assert sizes == [4, 2, 2, 1]
    assert 'set depth.batch_size to that' in caplog.text
    for one, other in zip(estimated, expected, strict=True):
        np.testing.assert_allclose(one.inverse_depth, other.inverse_depth, rtol=1e-4, atol=1e-3)


def test_memory_too_small_for_one_picture_is_named(tiny_depth_model, monkeypatch):
    network = TransformersDepth(DepthPriorConfig(model=str(tiny_depth_model), batch_size=2), 'cpu')
    sizes = watch(network, monkeypatch, room_for=0)
    with pytest.raises(MemoryError, match='one picture: full Make depth.process_size smaller'):
        estimate(network, drawn(2))
    assert sizes == [2, 1]


def watch(network, monkeypatch, room_for=100):
    """Note the sizes of batches, and run out of memory above some."""
    sizes = []
    forward = network._network.forward

    def watched(pixel_values):
        sizes.append(len(pixel_values))
        if len(pixel_values) > room_for:
            raise torch.OutOfMemoryError('full\nmore')
        return forward(pixel_values)

    monkeypatch.setattr(network._network, 'forward', watched)
    return sizes


def test_a_process_size_reaches_the_network(tiny_depth_model, monkeypatch):
    config = DepthPriorConfig(model=str(tiny_depth_model), process_size=(28, 70))
    network = TransformersDepth(config, 'cpu')
    shapes = []
    forward = network._network.forward
    monkeypatch.setattr(
        network._network, 'forward', lambda x: (shapes.append(tuple(x.shape)), forward(x))[1]
    )
    (estimated,) = estimate(network, drawn(1, (40, 100)))
    assert shapes == [(1, 3, 28, 70)]
    assert estimated.inverse_depth.shape == (40, 100)


def test_a_network_sees_patches(networks):
    (picture,) = drawn(1, (64, 96))
    network = networks['depth_anything']
    (estimated,) = estimate_in_patches(network.estimate, [picture], [K], 'p16')
    (coarse,) = estimate(network, [picture])
    assert estimated.inverse_depth.shape == (64, 96)
    assert np.isfinite(estimated.inverse_depth).all()
    assert estimated.metric == coarse.metric


@pytest.mark.parametrize('name', ['dpt', 'depth_anything_metric'])
@pytest.mark.parametrize('value', [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_stays_so_and_harms_no_other_picture(
    networks, monkeypatch, name, value
):
    network = networks[name]
    pictures = drawn(2)
    whole, _ = estimate(network, pictures)
    forward = network._network.forward

    def broken(pixel_values):
        outputs = forward(pixel_values)
        outputs.predicted_depth[-1] = value
        return outputs

    monkeypatch.setattr(network._network, 'forward', broken)
    first, last = estimate(network, pictures)
    np.testing.assert_array_equal(first.inverse_depth, whole.inverse_depth)
    assert np.isnan(last.inverse_depth).all()


def test_pictures_of_two_sizes_are_refused(networks):
    with pytest.raises(ValueError, match='one size, got'):
        estimate(networks['dpt'], [*drawn(1), *drawn(1, (32, 32))])


def test_the_model_is_named_for_the_manifest(networks, tiny_depth_models):
    assert networks['dpt'].models == {'depth': str(tiny_depth_models['dpt'])}


@pytest.mark.parametrize(
    ('model', 'remedy'),
    [
        ('Intel/dpt-large', '`hf download Intel/dpt-large '),
        ('/nowhere/dpt', 'Name a whole folder'),
    ],
)
def test_absent_weights_are_named_with_what_to_do(model, remedy):
    with pytest.raises(FileNotFoundError, match=f'depth network {model} is not on .*{remedy}'):
        TransformersDepth(DepthPriorConfig(model=model), 'cpu')


@pytest.mark.parametrize('change', ['gone', 'damaged'])
def test_broken_weights_are_named(tiny_depth_model, tmp_path, change):
    config = copy_of(tiny_depth_model, tmp_path / 'copy')
    weights = tmp_path / 'copy' / 'model.safetensors'
    if change == 'gone':
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(FileNotFoundError, match='copy is not on this machine, or not whole'):
        TransformersDepth(config, 'cpu')


def test_missing_weights_are_refused_but_those_that_midas_never_had(tiny_depth_models, tmp_path):
    from safetensors.torch import load_file, save_file

    config = copy_of(tiny_depth_models['dpt'], tmp_path / 'copy')
    weights = tmp_path / 'copy' / 'model.safetensors'
    tensors = load_file(weights)
    unused = [key for key in tensors if 'fusion_stage.layers.0.residual_layer1' in key]
    assert unused
    tensors = {key: value for key, value in tensors.items() if key not in unused}
    save_file(tensors, weights, {'format': 'pt'})
    TransformersDepth(config, 'cpu')
    del tensors['head.head.0.weight']
    save_file(tensors, weights, {'format': 'pt'})
    with pytest.raises(ValueError, match='lacks 1 weights, such as head.head.0.weight'):
        TransformersDepth(config, 'cpu')


def test_networks_of_unknown_output_are_refused(tiny_depth_models, tmp_path):
    projected = copy_of(tiny_depth_models['dpt'], tmp_path / 'projected', add_projection=True)
    other = copy_of(tiny_depth_models['dpt'], tmp_path / 'other')
    (tmp_path / 'other' / 'config.json').write_text('{"model_type": "glpn"}')
    for config, kind in ((projected, 'dpt'), (other, 'glpn')):
        with pytest.raises(ValueError, match=f'is a {kind} of which it is not known'):
            TransformersDepth(config, 'cpu')


def test_a_dpt_that_needs_a_square_says_so(tiny_depth_models):
    config = DepthPriorConfig(model=str(tiny_depth_models['dpt']), process_size=(32, 64))
    with pytest.raises(ValueError, match='must be square, got 32x64; set depth.process_size'):
        TransformersDepth(config, 'cpu')


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({}, 'model must be a hub id or a folder'),
        ({'kind': 'exact', 'model': 'a'}, 'exact depth takes no model, tiling or process_size'),
        ({'kind': 'exact', 'tiling': 'p49'}, 'exact depth takes no'),
        ({'kind': 'exact', 'process_size': (8, 8)}, 'exact depth takes no'),
        ({'model': 'a', 'process_size': (0, 8)}, 'process_size must be positive'),
        ({'model': 'a', 'batch_size': 0}, 'batch_size must be at least 1'),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        DepthPriorConfig(**values)
