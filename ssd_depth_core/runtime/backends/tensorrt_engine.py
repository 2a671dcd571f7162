"""A plan that is loaded, and the memory that its tensors live in."""

import logging
from math import prod
from typing import Any

import numpy as np
from ssd_depth_core.runtime.backends.tensorrt_cuda import DeviceMemory, Graph, Stream
from ssd_depth_core.runtime.backends.tensorrt_library import Library

_log = logging.getLogger(__name__)

# TensorRT finishes in the first call what a change of shapes left to do, and that cannot be
# recorded; one call more, and a shape that was met by chance is not worth a recording.
_CALLS_BEFORE_CAPTURE = 2


class Engine:
    """Put one engine's work on a stream, as a single CUDA graph where shapes stay the same."""

    def __init__(
        self,
        library: Library,
        plan: bytes,
        stream: Stream,
        *,
        external: frozenset[str] = frozenset(),
        captures: bool = False,
    ) -> None:
        """Load a plan and take memory for its tensors at their largest.

        Args:
            library: That built the plan.
            plan: Trusted: loading it runs it.
            stream: For all work and memory.
            external: Tensors whose addresses come with each call.
            captures: Whether to record work whose shapes stay the same; only without `external`.

        Raises:
            OSError: If the device has not enough memory.
            ValueError: If the library refuses the plan.
        """
        trt = library.trt
        library.errors.clear()
        stream.enter()
        self._library, self._stream = library, stream
        self._runtime = library.create('Runtime')
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise ValueError(
                f'{library.title} {library.version} refuses the plan ({library.take_errors()})'
            )
        # TensorRT-RTX compiles kernels for new shapes while it runs, and so captures by itself.
        native = captures and hasattr(trt, 'CudaGraphStrategy')
        self._context = self._create_context(trt, native)
        self._captures = captures and not native
        self._graph: Graph | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._num_calls = 0
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self.inputs: dict[str, tuple[int, ...]] = {}
        """Shapes as built, -1 where an axis is free."""
        self.outputs: dict[str, tuple[int, ...]] = {}
        """Likewise."""
        for name in names:
            is_input = self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            ports = self.inputs if is_input else self.outputs
            ports[name] = tuple(self._engine.get_tensor_shape(name))
        self._reshape({name: self._largest(name) for name in self.inputs})
        self._memory: dict[str, DeviceMemory] = {}
        for name in names:
            if name not in external:
                shape = tuple(self._context.get_tensor_shape(name))
                dtype = np.dtype(trt.nptype(self._engine.get_tensor_dtype(name)))
                self._memory[name] = stream.allocate(prod(shape) * dtype.itemsize)
                self._context.set_tensor_address(name, self._memory[name].address)

    def address(self, name: str) -> int:
        """Tell where a tensor lies.

        Args:
            name: Of a tensor that is not external.

        Returns:
            Device address; the first picture's of a batch.
        """
        return self._memory[name].address

    def enqueue(
        self, shapes: dict[str, tuple[int, ...]], addresses: dict[str, int] | None = None
    ) -> None:
        """Put the work on the stream.

        Args:
            shapes: Of every input.
            addresses: Of the external tensors, on the device.

        Raises:
            OSError: If the work cannot be started.
        """
        if shapes != self._shapes:
            # A recording is void once its context changes.
            self._graph, self._num_calls = None, 0
            self._reshape(shapes)
        for name, address in (addresses or {}).items():
            self._context.set_tensor_address(name, address)
        if self._captures and self._graph is None and self._num_calls == _CALLS_BEFORE_CAPTURE:
            self._capture()
        if self._graph is not None:
            self._graph.launch()
        else:
            self._num_calls += 1
            self._execute()

    def _create_context(self, trt: Any, captures_natively: bool) -> Any:
        if captures_natively:
            config = self._engine.create_runtime_config()
            config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            context = self._engine.create_execution_context(config)
        else:
            context = self._engine.create_execution_context()
        if context is None:
            raise OSError(
                f'{self._library.title} cannot make an execution context '
                f'({self._library.take_errors()}); free memory of the GPU'
            )
        return context

    def _largest(self, name: str) -> tuple[int, ...]:
        if -1 in self.inputs[name]:
            return tuple(self._engine.get_tensor_profile_shape(name, 0)[2])
        return self.inputs[name]

    def _reshape(self, shapes: dict[str, tuple[int, ...]]) -> None:
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise ValueError(
                    f'input {name} of the engine must be {self.inputs[name]} up to '
                    f'{self._largest(name)}, got {shape}; build it for a larger batch'
                )
        self._shapes = shapes

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._stream.handle):
            raise OSError(f'{self._library.title} cannot run: {self._library.take_errors()}')

    def _capture(self) -> None:
        try:
            with self._stream.capture() as graph:
                self._execute()
        except OSError as error:
            _log.warning('no CUDA graph (%s); kernels are launched one by one', error)
            self._captures = False
        else:
            self._graph = graph
