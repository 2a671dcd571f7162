"""Real builds by TensorRT-RTX, which needs no GPU for them."""

import ctypes
from dataclasses import replace
import hashlib
import signal
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest
from ssd_depth_core.canonical_depth import BEYOND_RANGE_SHARE
from ssd_depth_core.checks import sha256_of
from ssd_depth_core.model_spec import load_spec, save_spec
from ssd_depth_core.runtime.backends import load_backend
from ssd_depth_core.runtime.backends.tensorrt import open_backend
from ssd_depth_core.runtime.backends.tensorrt_build import build_plan, BuildOptions, parse_network
from ssd_depth_core.runtime.backends.tensorrt_cuda import first_device, open_driver, Stream
from ssd_depth_core.runtime.backends.tensorrt_engine import Engine
from ssd_depth_core.runtime.backends.tensorrt_graph import metric_graph
from ssd_depth_core.runtime.backends.tensorrt_library import load_library
from ssd_depth_core.runtime.backends.tensorrt_plans import (
    build_network,
    build_pictures,
    network_shapes,
)
from ssd_depth_core.runtime.engine_cache import EngineCache
from ssd_depth_core.runtime.predictor import DepthPredictor, SHIPPED_MODEL

onnx = pytest.importorskip('onnx')
trt = pytest.importorskip('tensorrt_rtx')

SPEC = load_spec(SHIPPED_MODEL)
H, W = SPEC.input_height, SPEC.input_width
SIX = BuildOptions(max_batch=6)


@pytest.fixture(scope='module')
def library():
    return load_library('tensorrt_rtx')


def make(precision):
    from ssd_depth_core.export.float16 import to_float16
    from ssd_depth_core.export.quantize import quantize_network

    network = onnx.load(SHIPPED_MODEL)
    if precision == 'int8':
        pytest.importorskip('nncf')
        images = np.random.default_rng(0).normal(size=(8, 3, H, W)).astype(np.float32)
        return quantize_network(network, list(images))
    return to_float16(network) if precision == 'fp16' else network


@pytest.fixture(scope='module')
def students():
    """Give the shipped student by precision, made when first asked for."""
    made = {}

    def give(precision):
        if precision not in made:
            made[precision] = make(precision)
        return made[precision]

    return give


def layers_of(network, kind):
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    return [layer for layer in layers if layer.type == kind]


PRECISIONS = {'fp32': trt.DataType.FLOAT, 'fp16': trt.DataType.HALF, 'int8': trt.DataType.FLOAT}


@pytest.mark.parametrize('precision', PRECISIONS)
def test_layers_have_the_types_that_the_file_gives_them(library, students, precision):
    model = students(precision)
    parsed = parse_network(library, model.SerializeToString(), precision)
    assert parsed.network.get_flag(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    convolutions = layers_of(parsed.network, trt.LayerType.CONVOLUTION)
    assert len(convolutions) == sum(node.op_type == 'Conv' for node in model.graph.node)
    types = [layer.get_output(0).dtype for layer in convolutions]
    assert set(types[:-1]) == {PRECISIONS[precision]}
    assert types[-1] == trt.DataType.FLOAT  # what it gives becomes depth
    quantized = [
        layer.get_output(0).dtype for layer in layers_of(parsed.network, trt.LayerType.QUANTIZE)
    ]
    assert set(quantized) == ({trt.DataType.INT8} if precision == 'int8' else set())


@pytest.mark.parametrize('precision', PRECISIONS)
def test_inputs_and_outputs_are_float32_of_the_promised_shapes(library, students, precision):
    model = metric_graph(students(precision), SPEC).SerializeToString()
    network = parse_network(library, model, precision).network
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    assert {port.name: tuple(port.shape) for port in inputs} == {
        'image': (-1, 3, H, W),
        'focal_scale': (-1, 1, 1, 1),
    }
    assert {port.name: tuple(port.shape) for port in outputs} == {
        'inverse_depth': (-1, 1, H, W),
        'confidence': (-1, 1, H, W),
        'depth': (-1, 1, H, W),
        'good_inverse_depth': (-1, 1, 1, 1),
        'good_confidence': (-1, 1, 1, 1),
    }
    assert {port.dtype for port in (*inputs, *outputs)} == {trt.DataType.FLOAT}


# Megabytes of the weights alone; what a plan has beyond are kernels for every kind of GPU.
@pytest.mark.parametrize(('precision', 'weights'), [('fp32', 5.8), ('fp16', 2.9), ('int8', 1.5)])
def test_the_shipped_student_builds(library, students, precision, weights):
    told = []
    plan = build_plan(
        library,
        metric_graph(students(precision), SPEC).SerializeToString(),
        precision,
        network_shapes(SPEC, SIX),
        SIX,
        lambda phase, done: told.append(done),
    )
    assert weights < len(plan) / 1e6 < weights + 12
    assert (told[0], told[-1]) == (0, 1)
    assert told == sorted(told)


def test_the_way_from_pictures_builds(library):
    assert len(build_pictures(library, SPEC, BuildOptions())) > 1000


def test_a_build_names_its_target(library):
    for target in ('SM89', 'SM120'):
        options = BuildOptions(compute_capabilities=(target,))
        assert len(build_network(library, SHIPPED_MODEL, SPEC, options)) > 5.8e6


BUILD = """
import hashlib, sys
sys.path[:0] = sys.argv[1:]
from ssd_depth_core.runtime.backends.tensorrt_plans import build_network
from ssd_depth_core.runtime.backends.tensorrt_build import BuildOptions
from ssd_depth_core.runtime.backends.tensorrt_library import load_library
from ssd_depth_core.runtime.predictor import SHIPPED_MODEL
from ssd_depth_core.model_spec import load_spec
library = load_library('tensorrt_rtx')
plan = build_network(library, SHIPPED_MODEL, load_spec(SHIPPED_MODEL), BuildOptions(max_batch=6))
print(hashlib.sha256(plan).hexdigest())
"""
ADDRESSES_NOT_RANDOM = 0x0040000  # from linux/personality.h


def fix_addresses():
    # The library numbers its intermediate tensors in the order of their addresses.
    if ctypes.CDLL(None).personality(ADDRESSES_NOT_RANDOM) == -1:
        raise PermissionError


def test_two_builds_are_byte_identical():
    try:
        subprocess.run(['true'], preexec_fn=fix_addresses)
    except subprocess.SubprocessError:  # as some containers have it
        pytest.skip('this machine lets no process fix its addresses')
    command = [sys.executable, '-c', BUILD, *sys.path]
    # Now and then, on a busy machine, threads of a process take their memory in another order.
    seen = set()
    for _ in range(4):
        built = subprocess.run(command, capture_output=True, check=True, preexec_fn=fix_addresses)
        if built.stdout in seen:
            break
        seen.add(built.stdout)
    else:
        pytest.fail(f'four builds gave four plans: {seen}')
    assert len(built.stdout.strip()) == len(hashlib.sha256().hexdigest())


def test_what_the_library_does_not_know_is_told_in_one_line(library):
    port, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [node('Resize', ['x', '', 'scales'], ['y'], mode='linear', antialias=1)],
        'antialiased',
        [port('x', onnx.TensorProto.FLOAT, [1, 3, 8, 8])],
        [port('y', onnx.TensorProto.FLOAT, [1, 3, 4, 4])],
        [onnx.numpy_helper.from_array(np.float32([1, 1, 0.5, 0.5]), 'scales')],
    )
    opset = [onnx.helper.make_opsetid('', 18)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    message = 'TensorRT-RTX .* cannot read a.onnx .*ntialias.*; export it again'
    with pytest.raises(ValueError, match=message) as caught:
        build_plan(library, model.SerializeToString(), 'a.onnx', {}, BuildOptions())
    assert '\n' not in str(caught.value)


def test_a_file_that_is_no_onnx_is_told(library):
    with pytest.raises(ValueError, match='cannot read b.onnx'):
        build_plan(library, b'junk', 'b.onnx', {}, BuildOptions())


def test_whoever_is_told_the_progress_can_stop_the_build(library):
    def stop(phase, done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_network(library, SHIPPED_MODEL, SPEC, SIX, stop)


def test_ctrl_c_stops_the_build(library):
    # A signal of the system's, on its way while TensorRT works.
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    told = []

    def tell(phase, done):
        if not told:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
        told.append(done)

    try:
        with pytest.raises(KeyboardInterrupt):
            build_network(library, SHIPPED_MODEL, SPEC, SIX, tell)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert told[-1] < 1
    assert 'tensorrt_builder' not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ('field', 'value'),
    [('max_batch', 0), ('workspace_bytes', 0), ('optimization_level', 6)],
)
def test_options_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=f'{field} must be .*, got {value}'):
        BuildOptions(**{field: value})


def test_a_plan_that_cannot_be_loaded_is_told_why(library, driver):
    cuda = open_driver()  # a fake one, which TensorRT-RTX sees through
    with pytest.raises(ValueError, match='TensorRT-RTX .* refuses the plan .*[Cc]uda'):
        Engine(library, b'\0' * 4096, Stream(cuda, first_device(cuda)))


def has_gpu(name):
    try:
        load_library(name).create('Runtime')
        first_device(open_driver())
    except (ImportError, OSError):
        return False
    return True


def save_student(students, precision, folder):
    path = folder / 'student.onnx'
    onnx.save(students(precision), path)
    save_spec(replace(SPEC, onnx_sha256=sha256_of(path)), path)
    return path


def bounded_inverse(depth):
    """Compare what is just within range with what is just beyond it."""
    return np.where(np.isnan(depth), 1 / (BEYOND_RANGE_SHARE * SPEC.max_depth_m), 1 / depth)


@pytest.mark.gpu
@pytest.mark.parametrize('name', ['tensorrt', 'tensorrt_rtx'])
@pytest.mark.parametrize(('precision', 'tolerance'), [('fp32', 1e-3), ('fp16', 2e-2)])
def test_a_gpu_gives_what_the_cpu_gives(tmp_path, students, name, precision, tolerance):
    if not has_gpu(name):
        pytest.skip(f'no {name} on a GPU')
    path = save_student(students, precision, tmp_path)
    backend = open_backend(name, path, BuildOptions(max_batch=2), EngineCache(tmp_path / 'cache'))
    images = np.random.default_rng(0).normal(size=(3, 3, H, W)).astype(np.float32)
    expected = load_backend('onnxruntime', SHIPPED_MODEL, None).run(images)
    for _ in range(2):
        outputs = backend.run(images)
        for output, values in expected.items():
            np.testing.assert_allclose(outputs[output], values, rtol=tolerance, atol=tolerance)


@pytest.mark.gpu
@pytest.mark.parametrize('name', ['tensorrt', 'tensorrt_rtx'])
def test_a_gpu_takes_pictures_to_metres_as_the_cpu_does(tmp_path, students, name):
    if not has_gpu(name):
        pytest.skip(f'no {name} on a GPU')
    path = save_student(students, 'fp32', tmp_path)
    backend = open_backend(name, path, BuildOptions(max_batch=2), EngineCache(tmp_path / 'cache'))
    coarse = np.random.default_rng(0).integers(0, 256, (3, 9, 16, 3), np.uint8)
    pictures = [cv2.resize(picture, (1600, 900)) for picture in coarse]
    outputs = backend.predict_pictures(pictures, [1.0] * 3)
    expected = DepthPredictor.load(None, 'onnxruntime').predict_batch(pictures)
    for depth, confidence, want in zip(*outputs.values(), expected, strict=True):
        # The CPU rounds averages to whole levels, the GPU does not.
        relative = bounded_inverse(depth[0]) / bounded_inverse(want.depth) - 1
        assert np.median(np.abs(relative)) < 5e-3
        assert np.median(np.abs(confidence[0] - want.confidence)) < 5e-3
