"""The few calls of the CUDA driver that running an engine takes, through ctypes.

The driver's own library, libcuda, is there wherever a GPU works: on a Jetson, on a PC, in a
container, whatever CUDA toolkit is installed or not, and its functions keep their meaning for
ever. So a robot needs neither the toolkit nor a wheel that must fit it. Work goes to the device's
primary context, which is the one that TensorRT uses as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager
import ctypes
from dataclasses import dataclass
from math import prod
from typing import Any
import weakref

import numpy as np
from numpy.typing import DTypeLike, NDArray

_SUCCESS = 0
# From cuda.h.
_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76
_STREAM_NON_BLOCKING = 1
_CAPTURE_MODE_THREAD_LOCAL = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """Describe a GPU."""

    index: int
    """Among those that the driver shows to this process."""
    name: str
    """E.g. `Orin`."""
    compute_capability: str
    """E.g. `8.7`."""
    num_bytes: int
    """Of its memory; on a Jetson it is the board's."""


class Cuda:
    """Call the driver; every failure is an OSError that names the call."""

    def __init__(self, library: Any) -> None:
        """Start the driver.

        Args:
            library: `libcuda`, as ctypes loads it.

        Raises:
            OSError: If the driver cannot start, e.g. because there is no GPU.
        """
        self._library = library
        self._context = ctypes.c_void_p()
        self.call('cuInit', ctypes.c_uint(0))

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver.

        Args:
            name: Of the function.
            *arguments: As ctypes objects, which say their widths.

        Raises:
            OSError: If it fails.
        """
        code = getattr(self._library, name)(*arguments)
        if code != _SUCCESS:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(ctypes.c_int(code), ctypes.byref(text))
            reason = text.value.decode() if text.value else 'unknown error'
            raise OSError(f'CUDA: {name} failed with {code} ({reason}); see `sudo dmesg`')

    def take(self, device: Device) -> None:
        """Take a device for all that follows.

        Args:
            device: The one.

        Raises:
            OSError: If it cannot be used.
        """
        context, index = ctypes.byref(self._context), ctypes.c_int(device.index)
        self.call('cuDevicePrimaryCtxRetain', context, index)
        self.enter()

    def enter(self) -> None:
        """Make the device taken this thread's; calls may come from any thread."""
        self.call('cuCtxSetCurrent', self._context)

    def free_with(self, owner: object, name: str, handle: Any) -> None:
        """Free something when its owner goes, in whichever thread that happens.

        Args:
            owner: In Python.
            name: Of the function that frees.
            handle: Of what is freed.
        """

        def free() -> None:
            self.enter()
            self.call(name, handle)

        # Not at the process's end, when the driver may be gone already.
        weakref.finalize(owner, free).atexit = False

    @property
    def version(self) -> str:
        """Give the CUDA version that the driver speaks, e.g. `12.6`."""
        number = ctypes.c_int()
        self.call('cuDriverGetVersion', ctypes.byref(number))
        return f'{number.value // 1000}.{number.value % 1000 // 10}'

    def devices(self) -> list[Device]:
        """List the GPUs.

        Returns:
            Each, in the driver's order.

        Raises:
            OSError: If the driver fails.
        """
        count = ctypes.c_int()
        self.call('cuDeviceGetCount', ctypes.byref(count))
        return [self._device(index) for index in range(count.value)]

    def _device(self, index: int) -> Device:
        handle, name, num_bytes = ctypes.c_int(), ctypes.create_string_buffer(256), _size()
        self.call('cuDeviceGet', ctypes.byref(handle), ctypes.c_int(index))
        self.call('cuDeviceGetName', name, ctypes.c_int(len(name)), handle)
        self.call('cuDeviceTotalMem_v2', ctypes.byref(num_bytes), handle)
        capability = []
        for attribute in (_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR):
            value = ctypes.c_int()
            self.call('cuDeviceGetAttribute', ctypes.byref(value), ctypes.c_int(attribute), handle)
            capability.append(value.value)
        return Device(
            index=index,
            name=name.value.decode(),
            compute_capability='{}.{}'.format(*capability),
            num_bytes=num_bytes.value,
        )


class Stream:
    """Do work on one device, in order; allocates what that work reads and writes."""

    def __init__(self, cuda: Cuda, device: Device) -> None:
        """Open a stream.

        Args:
            cuda: The driver.
            device: To work on.

        Raises:
            OSError: If the device cannot be used.
        """
        self._cuda, self._stream = cuda, ctypes.c_void_p()
        cuda.take(device)
        flags = ctypes.c_uint(_STREAM_NON_BLOCKING)
        cuda.call('cuStreamCreate', ctypes.byref(self._stream), flags)
        self.handle: int = self._stream.value or 0
        """For TensorRT."""
        cuda.free_with(self, 'cuStreamDestroy_v2', self._stream)

    def enter(self) -> None:
        """Make the stream's device this thread's; calls may come from any thread."""
        self._cuda.enter()

    def allocate(self, num_bytes: int) -> 'DeviceMemory':
        """Take memory of the device.

        Args:
            num_bytes: At least 1.

        Returns:
            The memory; freed with the object.

        Raises:
            OSError: If there is not enough.
        """
        return DeviceMemory(self._cuda, num_bytes)

    def allocate_pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Take memory of the host that the device copies from and to without the CPU.

        Args:
            shape: Of the array.
            dtype: Of the array.

        Returns:
            The array, of any values; freed with its last view.

        Raises:
            OSError: If there is not enough.
        """
        address, num_bytes = ctypes.c_void_p(), prod(shape) * np.dtype(dtype).itemsize
        self._cuda.call(
            'cuMemHostAlloc', ctypes.byref(address), _size(num_bytes), ctypes.c_uint(0)
        )
        block = (ctypes.c_uint8 * num_bytes).from_address(address.value or 0)
        self._cuda.free_with(block, 'cuMemFreeHost', address)
        return np.ndarray(shape, dtype, memoryview(block))

    def upload(self, source: NDArray[Any], target: int) -> None:
        """Copy to the device, some time after the call returns.

        Args:
            source: Pinned and contiguous.
            target: Device address.
        """
        host, device = ctypes.c_void_p(source.ctypes.data), ctypes.c_uint64(target)
        self._cuda.call('cuMemcpyHtoDAsync_v2', device, host, _size(source.nbytes), self._stream)

    def download(self, source: int, target: NDArray[Any]) -> None:
        """Copy from the device, some time after the call returns.

        Args:
            source: Device address.
            target: Pinned and contiguous.
        """
        host, device = ctypes.c_void_p(target.ctypes.data), ctypes.c_uint64(source)
        self._cuda.call('cuMemcpyDtoHAsync_v2', host, device, _size(target.nbytes), self._stream)

    def synchronize(self) -> None:
        """Wait until all work is done."""
        self._cuda.call('cuStreamSynchronize', self._stream)

    @contextmanager
    def capture(self) -> Iterator['Graph']:
        """Record work instead of doing it.

        Yields:
            The graph; may be launched once the block is left.

        Raises:
            OSError: If what was asked for cannot be recorded.
        """
        graph = Graph(self._cuda, self._stream)
        # Thread-local: another thread's allocations must not spoil the recording.
        self._cuda.call(
            'cuStreamBeginCapture_v2', self._stream, ctypes.c_int(_CAPTURE_MODE_THREAD_LOCAL)
        )
        recorded = ctypes.c_void_p()
        try:
            yield graph
        finally:  # a stream that is left capturing is of no use any more
            self._cuda.call('cuStreamEndCapture', self._stream, ctypes.byref(recorded))
        graph.instantiate(recorded)


class DeviceMemory:
    """Own memory of the device."""

    def __init__(self, cuda: Cuda, num_bytes: int) -> None:
        """Take it.

        Args:
            cuda: The driver.
            num_bytes: At least 1.

        Raises:
            OSError: If there is not enough.
        """
        address = ctypes.c_uint64()
        cuda.call('cuMemAlloc_v2', ctypes.byref(address), _size(num_bytes))
        self.address: int = address.value
        self.num_bytes = num_bytes
        cuda.free_with(self, 'cuMemFree_v2', address)


class Graph:
    """Work that is launched with a single call."""

    def __init__(self, cuda: Cuda, stream: ctypes.c_void_p) -> None:
        """Begin without any work.

        Args:
            cuda: The driver.
            stream: That it will run on.
        """
        self._cuda = cuda
        self._stream = stream
        self._executable = ctypes.c_void_p()

    def instantiate(self, recorded: ctypes.c_void_p) -> None:
        """Make recorded work ready to run.

        Args:
            recorded: What the capture gave; destroyed.

        Raises:
            OSError: If it cannot run.
        """
        try:
            executable, no_flags = ctypes.byref(self._executable), ctypes.c_uint64(0)
            self._cuda.call('cuGraphInstantiateWithFlags', executable, recorded, no_flags)
        finally:
            self._cuda.call('cuGraphDestroy', recorded)
        self._cuda.free_with(self, 'cuGraphExecDestroy', self._executable)

    def launch(self) -> None:
        """Put the work on its stream.

        Raises:
            OSError: If it fails.
        """
        self._cuda.call('cuGraphLaunch', self._executable, self._stream)


def open_driver() -> Cuda:
    """Load and start the NVIDIA driver.

    Returns:
        The driver.

    Raises:
        OSError: If there is none, or it cannot start.
    """
    try:
        library = ctypes.CDLL('libcuda.so.1')
    except OSError as error:
        raise OSError(
            f'no NVIDIA driver ({error}); install one, or on a Jetson flash JetPack; in a '
            'container, start it with `--gpus all` or `--runtime nvidia`'
        ) from None
    return Cuda(library)


def first_device(cuda: Cuda) -> Device:
    """Choose the GPU to work on.

    Args:
        cuda: The driver.

    Returns:
        The first that `CUDA_VISIBLE_DEVICES` leaves.

    Raises:
        OSError: If there is none.
    """
    devices = cuda.devices()
    if not devices:
        raise OSError('no NVIDIA GPU is visible; check `nvidia-smi` and CUDA_VISIBLE_DEVICES')
    return devices[0]


def _size(value: int = 0) -> ctypes.c_size_t:
    return ctypes.c_size_t(value)
