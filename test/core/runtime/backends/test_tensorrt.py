import fcntl
import gc
import re
import sys

import numpy as np
import pytest
from ssd_depth_core.canonical_depth import metric_depth_of
from ssd_depth_core.model_spec import load_spec
from ssd_depth_core.preprocess import resize_image
from ssd_depth_core.reference_pair import ReferencePair, save_reference
from ssd_depth_core.runtime import build_engine
from ssd_depth_core.runtime import predictor as predictor_module
from ssd_depth_core.runtime.backends import load_backend, tensorrt_backend
from ssd_depth_core.runtime.backends.pictures import PictureBackend
from ssd_depth_core.runtime.backends.tensorrt import open_backend
from ssd_depth_core.runtime.backends.tensorrt_backend import TensorRtBackend
from ssd_depth_core.runtime.backends.tensorrt_build import BuildOptions
from ssd_depth_core.runtime.engine_cache import EngineCache
from ssd_depth_core.runtime.predictor import DepthPredictor

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

H, W = 6, 8  # of the tiny network, whose inverse depth is the image's red and confidence its green


def picture(seed, size=(H, W)):
    return np.random.default_rng(seed).integers(1, 256, (*size, 3), np.uint8)


def expected_depth(image, scale=1.0):
    red = resize_image(image, (H, W))[..., 0].astype(np.float32) / 255
    return metric_depth_of(red, focal_px=scale, canonical_focal_px=1.0, max_depth_m=80.0)


def images(count):
    return np.random.default_rng(count).uniform(0.1, 1, (count, 3, H, W)).astype(np.float32)


def test_ports_are_those_of_the_network_alone(trt, make_model):
    backend = load_backend('tensorrt', make_model(), None)
    assert backend.name == 'tensorrt'
    assert backend.inputs == {'image': (None, 3, H, W)}
    assert backend.outputs == {'inverse_depth': (None, 1, H, W), 'confidence': (None, 1, H, W)}
    assert isinstance(backend, PictureBackend)


def test_a_network_without_confidence_is_followed(trt, make_model):
    path = make_model(outputs=('inverse_depth',), has_confidence=False)
    backend = load_backend('tensorrt', path, None)
    assert set(backend.predict_pictures([picture(0)], [1.0])) == {'depth'}


@pytest.mark.parametrize('count', [1, 2, 3, 5])
def test_run_does_any_batch_in_calls_of_the_largest(trt, make_model, count):
    backend = open_backend('tensorrt', make_model(), BuildOptions(max_batch=2))
    image = images(count)
    outputs = backend.run(image)
    np.testing.assert_array_equal(outputs['inverse_depth'], image[:, :1])
    np.testing.assert_array_equal(outputs['confidence'], image[:, 1:2])


# More sizes than are kept, each met twice.
SIZES = [(H, W), (12, 16), (9, 31), (3, 4), (20, 8), (7, 7), (40, 30), (11, 13), (1, 1), (15, 25)]


def test_pictures_of_any_size_become_metres(trt, make_model):
    # Three at a time: the ninth size, from which on others are forgotten, is not the first one.
    backend = open_backend('tensorrt', make_model(), BuildOptions(max_batch=3))
    pictures = [picture(i, size) for i, size in enumerate(SIZES * 2)]
    scales = [1 + i / 10 for i in range(len(pictures))]
    outputs = backend.predict_pictures(pictures, scales)
    for depth, image, scale in zip(outputs['depth'], pictures, scales, strict=True):
        # The CPU rounds averages to whole levels of 255, here not.
        expected = 1 / expected_depth(image, scale)
        np.testing.assert_allclose(1 / depth[0], expected, atol=0.8 / 255 / scale)


def test_larger_pictures_than_the_engine_takes_are_resized_first(trt, make_model, monkeypatch):
    monkeypatch.setattr(tensorrt_backend, 'MAX_PICTURE', (30, 30))
    backend = open_backend('tensorrt', make_model())
    (depth,) = backend.predict_pictures([picture(0, (40, 20))], [1.0])['depth']
    np.testing.assert_allclose(depth[0], expected_depth(picture(0, (40, 20))), rtol=1e-3)


def test_views_that_are_not_contiguous_are_taken_as_they_look(trt, make_model):
    backend = open_backend('tensorrt', make_model())
    wide = picture(0, (H, 2 * W))
    (depth,) = backend.predict_pictures([wide[:, ::2]], [1.0])['depth']
    np.testing.assert_allclose(depth[0], expected_depth(wide[:, ::2].copy()), rtol=1e-3)


def test_values_that_are_no_inverse_depth_are_refused(trt, make_model):
    backend = open_backend('tensorrt', make_model(), BuildOptions(max_batch=2))
    faulty = picture(0)
    faulty[2, 3, 0] = 0
    with pytest.raises(ValueError, match='inverse_depth must be finite and > 0, got 1 of 48'):
        backend.predict_pictures([picture(1), picture(2), faulty], [1.0] * 3)
    assert np.isfinite(backend.predict_pictures([picture(1)], [1.0])['depth']).all()


def test_any_batch_is_one_cuda_graph_from_the_first_picture_on(trt, driver, make_model):
    backend = open_backend('tensorrt', make_model(), BuildOptions(max_batch=2))
    assert len(driver.graphs) == 1
    for count in (1, 2, 3, 1):
        image, before = images(count), driver.num_launches
        np.testing.assert_array_equal(backend.run(image)['inverse_depth'], image[:, :1])
        assert driver.num_launches - before == (count + 1) // 2
    frame = [picture(0), picture(1, (12, 16)), picture(2)]
    for count in (3, 1, 2):
        before = driver.num_launches
        depths = backend.predict_pictures(frame[:count], [1.0] * count)['depth']
        assert driver.num_launches - before == (count + 1) // 2
        for depth, image in zip(depths, frame, strict=False):
            expected = 1 / expected_depth(image)  # the CPU rounds averages to whole levels
            np.testing.assert_allclose(1 / depth[0], expected, atol=0.8 / 255)
    assert len(driver.graphs) == 1


def test_what_is_left_in_unused_slots_is_nobodys_fault(trt, make_model):
    backend = open_backend('tensorrt', make_model(), BuildOptions(max_batch=2))
    black = np.zeros((H, W, 3), np.uint8)  # of inverse depth 0, which is none
    with pytest.raises(ValueError, match='inverse_depth must be finite and > 0'):
        backend.predict_pictures([picture(0), black], [1.0] * 2)
    depth = backend.predict_pictures([picture(1)], [2.0])['depth']
    assert depth.shape == (1, 1, H, W)
    np.testing.assert_allclose(depth[0, 0], expected_depth(picture(1), 2.0), rtol=1e-5)


def test_work_that_cannot_be_recorded_is_launched_piece_by_piece(trt, driver, make_model, caplog):
    driver.failing['cuGraphInstantiateWithFlags'] = 801
    backend = open_backend('tensorrt', make_model())
    for _ in range(3):
        image = images(1)
        np.testing.assert_array_equal(backend.run(image)['inverse_depth'], image[:, :1])
    assert caplog.text.count('no CUDA graph') == 1
    assert driver.num_launches == 0


def test_memory_is_given_back(trt, driver, make_model):
    backend = open_backend('tensorrt', make_model())
    backend.predict_pictures([picture(i, (10 + i, 10)) for i in range(20)], [1.0] * 20)
    backend.run(images(3))
    assert len(driver.memory) > 10
    del backend
    gc.collect()
    assert driver.memory == {}


def test_no_memory_is_taken_for_a_frame_like_the_last(trt, driver, make_model):
    backend = open_backend('tensorrt', make_model(), BuildOptions(max_batch=2))
    frame = [picture(0, (12, 16)), picture(1)]
    backend.predict_pictures(frame, [1.0] * 2)
    before = set(driver.memory)
    for _ in range(4):
        backend.predict_pictures(frame, [1.0] * 2)
    assert set(driver.memory) == before


def test_the_predictor_leaves_all_but_the_intrinsics_to_it(trt, make_model, monkeypatch):
    path = make_model()
    # The CPU's part of the way is not gone.
    monkeypatch.setattr(predictor_module, 'metric_depth', None)
    predictor = DepthPredictor.load(path, 'tensorrt', max_batch=2)
    assert (predictor.backend_name, predictor.device) == ('tensorrt', 'Orin')
    predictor.warm_up(3)
    K = np.array([[20.0, 0.0, 7.5], [0.0, 20.0, 5.5], [0.0, 0.0, 1.0]])
    frame = [picture(seed, (H, W)) for seed in range(3)]
    first, second, third = predictor.predict_batch(frame, [None, K, K @ np.diag((2.0, 2.0, 1.0))])
    # 20 px are twice the canonical ones, at the network's own size.
    for prediction, image, scale in zip((first, second, third), frame, (1, 2, 4), strict=True):
        expected = expected_depth(image, scale)
        np.testing.assert_allclose(prediction.depth, expected, rtol=1e-5)
        np.testing.assert_allclose(prediction.confidence, image[..., 1] / np.float32(255))
    np.testing.assert_array_equal(second.K, K)
    kept = first.depth.copy()
    predictor.predict(picture(9))
    np.testing.assert_array_equal(first.depth, kept)  # the caller's own


def test_the_predictor_tells_of_builds_and_counts_what_is_refused(trt, make_model):
    told = []
    path = make_model()
    predictor = DepthPredictor.load(path, 'tensorrt', progress=lambda *what: told.append(what))
    assert told[0] == ('Building engine', 0.0)
    black = np.zeros((H, W, 3), np.uint8)  # of inverse depth 0, which is none
    with pytest.raises(ValueError, match='inverse_depth must be finite and > 0'):
        predictor.predict(black)
    assert predictor.num_refused == 1


def test_the_second_start_builds_nothing(trt, make_model):
    told = []
    path = make_model()
    open_backend('tensorrt', path, progress=lambda *what: told.append(what))
    assert trt.num_builds == 2
    assert told == [('Building engine', done) for done in (0.0, 0.5, 1.0)] * 2
    told.clear()
    open_backend('tensorrt', path, progress=lambda *what: told.append(what))
    assert (trt.num_builds, told) == (2, [])


def test_who_waits_for_another_builder_is_told_and_can_give_up(trt, make_model, tmp_path):
    path = make_model()
    cache = EngineCache(tmp_path / 'cache')
    told = []

    def give_up(phase, done):
        told.append(phase)
        if len(told) == 2:
            raise InterruptedByUser

    class InterruptedByUser(Exception):
        pass

    cache.folder.mkdir()
    with (cache.folder / 'lock').open('w') as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InterruptedByUser):
            open_backend('tensorrt', path, cache=cache, progress=give_up)
    assert told == ['another process is building'] * 2
    assert trt.num_builds == 0
    open_backend('tensorrt', path, cache=cache)
    assert trt.num_builds == 2


def test_a_start_with_engines_needs_no_onnx(trt, make_model, monkeypatch):
    path = make_model()
    open_backend('tensorrt', path)
    monkeypatch.setitem(sys.modules, 'onnx', None)
    monkeypatch.setattr(trt, 'OnnxParser', None)
    image = images(1)
    outputs = open_backend('tensorrt', path).run(image)
    np.testing.assert_array_equal(outputs['inverse_depth'], image[:, :1])


def test_the_command_builds_what_the_node_then_finds(trt, make_model, capsys):
    path = make_model()
    assert build_engine.main([str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[:2] == [
        'TensorRT 10.3.0',
        'GPU 0: Orin, compute capability 8.7, 61.0 GiB, CUDA 12.6 (taken)',
    ]
    assert '2 engines' in printed.out
    assert 'model any           tensorrt 10.3.0  Orin (8.7)  CUDA 12.6  batch 1 ' in printed.out
    load_backend('tensorrt', path, None)
    assert trt.num_builds == 2


def test_the_command_holds_what_it_built_to_the_stored_pair(trt, make_model, capsys, monkeypatch):
    path = with_pair(make_model())
    assert build_engine.main([str(path)]) == 0
    # Stored in half precision, which rounds by 0.0002.
    told = r'checked on Orin, .*: confidence 0\.000\d+, depth 0\.000\d+, inverse_depth 0\.000\d+\n'
    assert re.search(told, capsys.readouterr().out)
    whole = TensorRtBackend.run

    def spoilt(backend, image):
        outputs = whole(backend, image)
        return outputs | {'inverse_depth': 1.1 * outputs['inverse_depth']}

    monkeypatch.setattr(TensorRtBackend, 'run', spoilt)
    assert build_engine.main([str(path)]) == 2
    assert 'wrongly by tensorrt on Orin: inverse_depth differs' in capsys.readouterr().err


def test_the_command_says_that_a_model_has_nothing_stored(trt, make_model, capsys, caplog):
    assert build_engine.main([str(make_model())]) == 0
    assert 'is not checked on Orin' in caplog.text
    assert 'checked on' not in capsys.readouterr().out


@pytest.mark.parametrize('change', ['library', 'device', 'workspace'])
def test_another_library_device_or_way_of_building_builds_anew(trt, driver, make_model, change):
    open_backend('tensorrt', make_model())
    options = BuildOptions()
    if change == 'library':
        trt.__version__ = '10.3.1'
    elif change == 'device':
        driver.names = ['Thor']
    else:
        options = BuildOptions(workspace_bytes=1 << 20)
    open_backend('tensorrt', make_model(), options)
    assert trt.num_builds == 4


# Of the two engines, by what one of them alone depends on.
@pytest.mark.parametrize(
    ('fields', 'max_batch', 'engine'),
    [
        ({'mean': (0.1, 0.1, 0.1)}, 1, 'pictures'),
        ({'colour_order': 'bgr'}, 1, 'pictures'),
        ({'max_depth_m': 100.0}, 1, 'network'),
        ({'outputs': ('inverse_depth',), 'has_confidence': False}, 1, 'network'),
        ({}, 2, 'network'),
    ],
)
def test_models_share_the_engine_that_does_not_tell_them_apart(
    trt, make_model, fields, max_batch, engine
):
    open_backend('tensorrt', make_model())
    shared = {entry.plan for entry in EngineCache().entries()}
    open_backend('tensorrt', make_model(**fields), BuildOptions(max_batch=max_batch))
    (built,) = [entry for entry in EngineCache().entries() if entry.plan not in shared]
    assert built.key['engine'] == engine
    assert trt.num_builds == 3


def test_a_plan_that_the_library_refuses_is_built_again(trt, make_model, caplog):
    path = make_model()
    open_backend('tensorrt', path)
    trt.build_number = 2
    backend = open_backend('tensorrt', path)
    np.testing.assert_array_equal(backend.run(images(1))['inverse_depth'], images(1)[:, :1])
    assert caplog.text.count('refuses the plan (another library built this plan)') == 2


def test_a_fixed_batch_axis_is_one_call_a_picture(trt, driver, make_model):
    backend = open_backend('tensorrt', make_model(batch=1), BuildOptions(max_batch=2))
    assert backend.inputs == {'image': (None, 3, H, W)}  # what it takes, in three calls
    frame, before = [picture(0), picture(1), picture(2)], driver.num_launches
    for depth, image in zip(
        backend.predict_pictures(frame, [1.0] * 3)['depth'], frame, strict=True
    ):
        np.testing.assert_allclose(depth[0], expected_depth(image), rtol=1e-5)
    assert driver.num_launches - before == 3


def with_pair(path):
    spec, shown = load_spec(path), picture(5, (H, W))
    outputs = {
        name: (shown[..., channel] / 255).astype(np.float16)
        for channel, name in enumerate(('inverse_depth', 'confidence'))
    }
    pair = ReferencePair(
        onnx_sha256=spec.onnx_sha256, precision='fp32', picture=shown, outputs=outputs
    )
    save_reference(pair, path)
    return path


def test_an_engine_proves_the_way_of_pictures_too(trt, make_model, monkeypatch):
    path = with_pair(make_model())
    DepthPredictor.load(path, 'tensorrt')
    whole = TensorRtBackend.predict_pictures

    for factor in (1.1, np.nan):

        def spoilt(backend, pictures, focal_scales, factor=factor):
            outputs = whole(backend, pictures, focal_scales)
            return outputs | {'depth': factor * outputs['depth']}

        monkeypatch.setattr(TensorRtBackend, 'predict_pictures', spoilt)
        with pytest.raises(ValueError, match='wrongly by tensorrt on Orin: depth differs'):
            DepthPredictor.load(path, 'tensorrt')
    DepthPredictor.load(path, 'tensorrt', self_check=False)


def test_building_without_onnx_says_what_to_install(trt, make_model, monkeypatch):
    path = make_model()
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(ImportError, match='building an engine needs onnx, .*`pip install onnx`'):
        open_backend('tensorrt', path)


def test_without_a_library_the_remedy_is_told(driver, make_model, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    with pytest.raises(ImportError, match='TensorRT cannot be imported .*nvidia-jetpack'):
        load_backend('tensorrt', make_model(), None)
    monkeypatch.setitem(sys.modules, 'tensorrt_rtx', None)
    with pytest.raises(ImportError, match='TensorRT-RTX .*`pip install tensorrt-rtx`'):
        load_backend('tensorrt_rtx', make_model(), None)


def test_without_a_driver_or_a_gpu_the_remedy_is_told(trt, driver, make_model):
    driver.names = []
    with pytest.raises(OSError, match='no NVIDIA GPU is visible; check `nvidia-smi`'):
        load_backend('tensorrt', make_model(), None)


def test_memory_that_is_not_there_is_named(trt, driver, make_model):
    driver.failing['cuMemAlloc_v2'] = 2
    with pytest.raises(OSError, match=r'CUDA: cuMemAlloc_v2 failed with 2 \(out of memory\)'):
        load_backend('tensorrt', make_model(), None)
