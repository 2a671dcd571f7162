"""A GPU that is not there: a driver as late as a real one may be, a TensorRT on ONNX Runtime."""

import ctypes
from enum import Enum, IntEnum
import json
import sys
import types

import numpy as np
import pytest


class FakeDriver:
    """`libcuda` over host memory; work is done when the stream is waited for, and not before."""

    def __init__(self):
        self.names = ['Orin']
        self.failing = {}  # function -> code
        self.memory = {}  # address -> buffer; what was freed is gone
        self.queue, self.recording, self.graphs = [], None, []
        self.num_launches = 0

    def __getattr__(self, name):
        if not name.startswith('cu'):
            raise AttributeError(name)
        return lambda *arguments: self.failing.get(name) or getattr(self, f'_{name}')(*arguments)

    def do(self, work):
        (self.queue if self.recording is None else self.recording).append(work)

    def block(self, address, num_bytes):
        for start, buffer in self.memory.items():
            if start <= address and address + num_bytes <= start + len(buffer):
                return address
        raise AssertionError(
            f'{num_bytes} bytes at {address:x} were never allocated, or are freed'
        )

    def _allocate(self, pointer, size):
        buffer = ctypes.create_string_buffer(b'\xaa' * size.value, size.value)
        self.memory[ctypes.addressof(buffer)] = buffer
        pointer._obj.value = ctypes.addressof(buffer)
        return 0

    def _copy(self, target, source, size, stream):
        def work(target=target.value, source=source.value, size=size.value):
            ctypes.memmove(self.block(target, size), self.block(source, size), size)

        self.do(work)
        return 0

    def _free(self, address):
        del self.memory[address.value]
        return 0

    def _ignore(self, *arguments):
        return 0

    def _handle(self, pointer, *arguments):
        pointer._obj.value = 7
        return 0

    _cuInit = _cuCtxSetCurrent = _cuStreamDestroy_v2 = _cuGraphDestroy = _ignore
    _cuGraphExecDestroy = _ignore
    _cuDevicePrimaryCtxRetain = _cuStreamCreate = _handle
    _cuMemcpyHtoDAsync_v2 = _cuMemcpyDtoHAsync_v2 = _copy
    _cuMemAlloc_v2, _cuMemFree_v2, _cuMemFreeHost = _allocate, _free, _free

    def _cuMemHostAlloc(self, pointer, size, flags):
        return self._allocate(pointer, size)

    def _cuGetErrorString(self, code, pointer):
        pointer._obj.value = {100: b'no CUDA-capable device is detected', 2: b'out of memory'}.get(
            code.value
        )
        return 0

    def _cuDriverGetVersion(self, pointer):
        pointer._obj.value = 12060
        return 0

    def _cuDeviceGetCount(self, pointer):
        pointer._obj.value = len(self.names)
        return 0

    def _cuDeviceGet(self, pointer, index):
        pointer._obj.value = index.value
        return 0

    def _cuDeviceGetName(self, buffer, size, device):
        buffer.value = self.names[device.value].encode()
        return 0

    def _cuDeviceTotalMem_v2(self, pointer, device):
        pointer._obj.value = 61 << 30
        return 0

    def _cuDeviceGetAttribute(self, pointer, attribute, device):
        pointer._obj.value = {75: 8, 76: 7}[attribute.value]
        return 0

    def _cuStreamSynchronize(self, stream):
        assert self.recording is None  # the real driver ends the recording with an error
        while self.queue:
            self.queue.pop(0)()
        return 0

    def _cuStreamBeginCapture_v2(self, stream, mode):
        self.recording = []
        return 0

    def _cuStreamEndCapture(self, stream, pointer):
        self.graphs.append(self.recording)
        self.recording = None
        pointer._obj.value = len(self.graphs)
        return 0

    def _cuGraphInstantiateWithFlags(self, pointer, graph, flags):
        pointer._obj.value = graph.value
        return 0

    def _cuGraphLaunch(self, executable, stream):
        self.num_launches += 1
        self.queue.extend(self.graphs[executable.value - 1])
        return 0


def fake_tensorrt(driver):
    """A `tensorrt` whose plans are the ONNX file with a heading, and whose kernels are slow."""
    import onnx
    import onnxruntime

    trt = types.ModuleType('tensorrt')
    trt.__version__ = '10.3.0'
    trt.num_builds = 0
    trt.build_number = 1  # of the library: two of one version may differ

    class ILogger:
        class Severity(Enum):
            INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def fail(logger, message):
        logger.log(ILogger.Severity.ERROR, message)

    class Flag(IntEnum):
        STRONGLY_TYPED = 1

    class TensorIOMode(Enum):
        INPUT, OUTPUT = 0, 1

    class Parser:
        def __init__(self, network, logger):
            self._network = network
            self.num_errors = 0

        def parse(self, model):
            self._network.model = model
            return True

    class Profile(dict):
        def set_shape(self, name, *shapes):
            self[name] = shapes

    class Config(types.SimpleNamespace):
        def set_memory_pool_limit(self, pool, size):
            pass

        def clear_flag(self, flag):
            assert flag == 'TF32'

        def add_optimization_profile(self, profile):
            self.profile = profile

    class Builder:
        def __init__(self, logger):
            pass

        def create_network(self, flags):
            assert flags == 2  # strongly typed in TensorRT 10
            return types.SimpleNamespace()

        def create_builder_config(self):
            return Config(profile={})

        def create_optimization_profile(self):
            return Profile()

        def build_serialized_network(self, network, config):
            trt.num_builds += 1
            config.progress_monitor.phase_start('Building engine', None, 2)
            config.progress_monitor.step_complete('Building engine', 0)
            config.progress_monitor.phase_finish('Building engine')
            heading = json.dumps({'by': trt.build_number, 'profile': config.profile})
            return heading.encode() + b'\n' + network.model

    class Runtime:
        def __init__(self, logger):
            self._logger = logger

        def deserialize_cuda_engine(self, plan):
            heading, _, model = plan.partition(b'\n')
            heading = json.loads(heading)
            if heading['by'] != trt.build_number:
                return fail(self._logger, 'another library\nbuilt this plan')
            return Engine(model, heading['profile'])

    class Engine:
        def __init__(self, model, profile):
            graph = onnx.load_from_string(model).graph
            self.profile = profile
            self.ports = {port.name: port for port in (*graph.input, *graph.output)}
            self.input_names = [port.name for port in graph.input]
            self.num_io_tensors = len(self.ports)
            self.session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])

        def get_tensor_name(self, index):
            return list(self.ports)[index]

        def get_tensor_mode(self, name):
            return TensorIOMode.INPUT if name in self.input_names else TensorIOMode.OUTPUT

        def get_tensor_shape(self, name):
            axes = self.ports[name].type.tensor_type.shape.dim
            return tuple(axis.dim_value if axis.HasField('dim_value') else -1 for axis in axes)

        def get_tensor_dtype(self, name):
            return self.ports[name].type.tensor_type.elem_type

        def get_tensor_profile_shape(self, name, profile):
            return [tuple(shape) for shape in self.profile[name]]

        def create_execution_context(self):
            return Context(self)

    class Context:
        def __init__(self, engine):
            self.engine, self.shapes, self.addresses = engine, {}, {}

        def set_input_shape(self, name, shape):
            smallest, _, largest = self.engine.profile.get(name, [shape] * 3)
            self.shapes[name] = shape
            return all(a <= b <= c for a, b, c in zip(smallest, shape, largest, strict=True))

        def get_tensor_shape(self, name):
            shape = self.engine.get_tensor_shape(name)
            return self.shapes[name] if name in self.shapes else (self.batch, *shape[1:])

        @property
        def batch(self):
            return self.shapes['image'][0]

        def set_tensor_address(self, name, address):
            self.addresses[name] = address

        def execute_async_v3(self, stream):
            driver.do(lambda s=dict(self.shapes), a=dict(self.addresses): self.work(s, a))
            return stream == 7

        def view(self, name, shape, addresses):
            dtype = np.dtype(trt.nptype(self.engine.get_tensor_dtype(name)))
            num_bytes = int(np.prod(shape)) * dtype.itemsize
            address = driver.block(addresses[name], num_bytes)
            block = (ctypes.c_uint8 * num_bytes).from_address(address)
            return np.frombuffer(block, dtype).reshape(shape)

        def work(self, shapes, addresses):
            inputs = {name: self.view(name, shape, addresses) for name, shape in shapes.items()}
            names = [name for name in self.engine.ports if name not in inputs]
            results = self.engine.session.run(names, inputs)
            for name, values in zip(names, results, strict=True):
                self.view(name, values.shape, addresses)[:] = values

    trt.ILogger, trt.IProgressMonitor = ILogger, object
    trt.Builder, trt.Runtime, trt.OnnxParser = Builder, Runtime, Parser
    trt.NetworkDefinitionCreationFlag, trt.TensorIOMode = Flag, TensorIOMode
    trt.MemoryPoolType = types.SimpleNamespace(WORKSPACE='WORKSPACE')
    trt.ProfilingVerbosity = types.SimpleNamespace(DETAILED='DETAILED')
    trt.BuilderFlag = types.SimpleNamespace(TF32='TF32')
    trt.nptype = onnx.helper.tensor_dtype_to_np_dtype
    return trt


@pytest.fixture
def driver(monkeypatch):
    """Put the fake driver where ctypes finds libcuda."""
    fake, load = FakeDriver(), ctypes.CDLL
    monkeypatch.setattr(
        ctypes, 'CDLL', lambda name, *rest: fake if name == 'libcuda.so.1' else load(name, *rest)
    )
    return fake


@pytest.fixture
def trt(driver, monkeypatch, tmp_path):
    """Put the fake TensorRT where it is imported from, and the engine cache where it is empty."""
    fake = fake_tensorrt(driver)
    monkeypatch.setitem(sys.modules, 'tensorrt', fake)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return fake
