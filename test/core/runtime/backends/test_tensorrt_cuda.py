import ctypes
import gc

import numpy as np
import pytest
from ssd_depth_core.runtime.backends.tensorrt_cuda import first_device, open_driver, Stream


@pytest.fixture
def stream(driver):
    cuda = open_driver()
    return Stream(cuda, first_device(cuda))


def test_devices_are_listed(driver):
    driver.names = ['Orin', 'NVIDIA RTX 4090']
    cuda = open_driver()
    assert cuda.version == '12.6'
    assert [device.name for device in cuda.devices()] == driver.names
    device = cuda.devices()[1]
    assert (device.index, device.compute_capability, device.num_bytes) == (1, '8.7', 61 << 30)
    assert first_device(cuda).name == 'Orin'


def test_a_machine_without_a_driver_is_told_what_to_do(monkeypatch):
    def refuse(name, *rest):
        raise OSError('libcuda.so.1: cannot open shared object file')

    monkeypatch.setattr(ctypes, 'CDLL', refuse)
    with pytest.raises(OSError, match=r'no NVIDIA driver \(libcuda.so.1: .*`--gpus all`'):
        open_driver()


def test_a_driver_without_a_device_is_told(driver):
    driver.failing['cuInit'] = 100
    with pytest.raises(OSError, match=r'cuInit failed with 100 \(no CUDA-capable device'):
        open_driver()


def test_an_error_that_the_driver_does_not_know_has_its_number(driver):
    driver.failing['cuInit'] = 4711
    with pytest.raises(OSError, match=r'failed with 4711 \(unknown error\)'):
        open_driver()


def test_values_go_there_and_back(stream):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    source, target = (stream.allocate_pinned((3, 4), np.float32) for _ in range(2))
    source[:] = values
    memory = stream.allocate(values.nbytes)
    stream.upload(source, memory.address)
    stream.download(memory.address, target)
    stream.synchronize()
    np.testing.assert_array_equal(target, values)


def test_pinned_memory_lives_as_long_as_its_last_view(stream, driver):
    view = stream.allocate_pinned((3, 4), np.float32)[1:, ::2]
    gc.collect()
    assert len(driver.memory) == 1
    del view
    gc.collect()
    assert driver.memory == {}


def test_recorded_work_is_done_at_each_launch_and_not_before(stream, driver):
    source, target = (stream.allocate_pinned((1,), np.float32) for _ in range(2))
    memory = stream.allocate(4)
    target[:] = source[:] = 1
    with stream.capture() as graph:
        stream.upload(source, memory.address)
        stream.download(memory.address, target)
    for value in (2, 3):
        source[:] = value
        stream.synchronize()
        assert target == value - 1
        graph.launch()
        stream.synchronize()
        assert target == value


def test_a_recording_that_fails_leaves_the_stream_usable(stream, driver):
    with pytest.raises(ZeroDivisionError), stream.capture():
        raise ZeroDivisionError
    assert driver.recording is None
