"""A plan that is loaded, and the memory that its tensors live in."""

import logging
from math import prod
from typing import Any

import numpy as np
from ssd_depth_core.runtime.backends.tensorrt_cuda import DeviceMemory, Graph, Stream
from ssd_depth_core.runtime.backends.tensorrt_library import Library

_log = logging.getLogger(__name__)


class Engine:
    """Put one engine's work on a stream, as a single CUDA graph where it has been recorded."""

    def __init__(
        self,
        library: Library,
        plan: bytes,
        stream: Stream,
        *,
        external: frozenset[str] = frozenset(),
        is_recorded: bool = False,
    ) -> None:
        """Load a plan and take memory for its tensors at their largest, which it is set to.

        Args:
            library: That built the plan.
            plan: Trusted: loading it runs it.
            stream: For all work and memory.
            external: Tensors whose addresses come with each call.
            is_recorded: Whether `record` will be called; only without `external`.

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
        self._records_itself = is_recorded and hasattr(trt, 'CudaGraphStrategy')
        self._context = self._create_context(trt)
        self._graph: Graph | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self.inputs: dict[str, tuple[int, ...]] = {}
        """Shapes as built, -1 where an axis is free."""
        self.outputs: dict[str, tuple[int, ...]] = {}
        """Likewise."""
        for name in names:
            is_input = self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            ports = self.inputs if is_input else self.outputs
            ports[name] = tuple(self._engine.get_tensor_shape(name))
        self.largest = {name: self._largest(name) for name in self.inputs}
        """Shapes of the inputs at their largest."""
        self._reshape(self.largest)
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
        self,
        shapes: dict[str, tuple[int, ...]] | None = None,
        addresses: dict[str, int] | None = None,
    ) -> None:
        """Put the work on the stream.

        Args:
            shapes: Of every input; None for those of the last call, the largest in the first.
            addresses: Of the external tensors, on the device.

        Raises:
            OSError: If the work cannot be started.
            ValueError: If the engine was not built for the shapes.
        """
        if shapes is not None and shapes != self._shapes:
            self._reshape(shapes)
        for name, address in (addresses or {}).items():
            self._context.set_tensor_address(name, address)
        if self._graph is not None:
            self._graph.launch()
        else:
            self._execute()

    def record(self) -> None:
        """Do the work once, and record it as the CUDA graph that is launched from then on.

        The first call finishes what TensorRT leaves to it, which takes long and cannot be
        recorded. Where the rest cannot be either, kernels go on being launched one by one.

        Raises:
            OSError: If the work cannot be started.
        """
        self._execute()
        self._stream.synchronize()
        if self._records_itself:
            return
        try:
            with self._stream.capture() as graph:
                self._execute()
        except OSError as error:
            _log.warning('no CUDA graph (%s); kernels are launched one by one', error)
        else:
            self._graph = graph

    def _create_context(self, trt: Any) -> Any:
        if self._records_itself:
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
        self._graph = None  # a recording is void once its context changes
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise ValueError(
                    f'input {name} of the engine must be {self.inputs[name]} up to '
                    f'{self.largest[name]}, got {shape}; resize larger pictures first'
                )
        self._shapes = shapes

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._stream.handle):
            raise OSError(f'{self._library.title} cannot run: {self._library.take_errors()}')
