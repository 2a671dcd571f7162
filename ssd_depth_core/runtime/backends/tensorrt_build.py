"""From an ONNX graph to a plan, by calls that TensorRT 10.3 to 11 and TensorRT-RTX share.

Networks are strongly typed: every layer runs in the type that the ONNX file gives it, float32
(without TF32, so that it means what it says), float16 or int8 in Q/DQ form. Flags that let the
builder choose a precision are gone in TensorRT 11, and what they chose could differ from one build
to the next.
"""

from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import Any

from ssd_depth_core.runtime.backends import Progress
from ssd_depth_core.runtime.backends.tensorrt_library import Library

Shapes = dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""Smallest, preferred and largest shape of each input that has a free axis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """Say how engines are built; all of it is part of their key."""

    max_batch: int = 1
    """Pictures of one network call; fewer take as long, more are done in several."""
    workspace_bytes: int = 1 << 30
    """Scratch memory that a kernel may ask for."""
    optimization_level: int = 3
    """0 to 5: builds faster, or searches longer for faster kernels."""
    compute_capabilities: tuple[str, ...] = ()
    """Of TensorRT-RTX's targets, e.g. `SM89`; empty: the library's own choice."""

    def __post_init__(self) -> None:
        """Validate the ranges.

        Raises:
            ValueError: If a value is out of its range.
        """
        if self.max_batch < 1:
            raise ValueError(f'max_batch must be >= 1, got {self.max_batch}')
        if self.workspace_bytes < 1:
            raise ValueError(f'workspace_bytes must be >= 1, got {self.workspace_bytes}')
        if not 0 <= self.optimization_level <= 5:
            raise ValueError(
                f'optimization_level must be in 0 to 5, got {self.optimization_level}'
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedNetwork:
    """Hold a network, and what must outlive it."""

    network: Any
    """`trt.INetworkDefinition`."""
    builder: Any
    """`trt.Builder`."""
    parser: Any
    """`trt.OnnxParser`: owns the weights."""


def parse_network(library: Library, model: bytes, name: str) -> ParsedNetwork:
    """Read an ONNX graph as a strongly typed network.

    Args:
        library: TensorRT.
        model: Contents of the ONNX file.
        name: What the model is called in messages.

    Returns:
        The network.

    Raises:
        OSError: If TensorRT cannot start.
        ValueError: If it does not know something in the graph.
    """
    trt = library.trt
    builder = library.create('Builder')
    # By name: the flag is bit 1 in TensorRT 10 and bit 0 in 11.
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    network.name = name
    parser = trt.OnnxParser(network, library.logger)
    if not parser.parse(model):
        reasons = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        library.take_errors()  # the same again, in more words
        raise ValueError(
            f'{library.title} {library.version} cannot read {name} ({"; ".join(reasons)}); export '
            'it again, or take another backend'
        )
    return ParsedNetwork(network=network, builder=builder, parser=parser)


def build_plan(
    library: Library,
    model: bytes,
    name: str,
    shapes: Shapes,
    options: BuildOptions,
    progress: Progress | None = None,
) -> bytes:
    """Compile an ONNX graph.

    Args:
        library: TensorRT.
        model: Contents of the ONNX file.
        name: What the model is called in messages.
        shapes: Of every input with a free axis.
        options: How.
        progress: Is told what the builder does; what it raises stops the build and is raised here.

    Returns:
        The plan.

    Raises:
        OSError: If TensorRT cannot start.
        ValueError: If it cannot build the graph.
    """
    trt = library.trt
    parsed = parse_network(library, model, name)
    config = parsed.builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    config.builder_optimization_level = options.optimization_level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # for `trtexec` and the inspector
    config.clear_flag(trt.BuilderFlag.TF32)
    if hasattr(trt.BuilderFlag, 'STRICT_NANS'):  # not in 10.3; faults are found by comparing
        config.set_flag(trt.BuilderFlag.STRICT_NANS)
    if options.compute_capabilities:
        config.num_compute_capabilities = len(options.compute_capabilities)
        for place, target in enumerate(options.compute_capabilities):
            config.set_compute_capability(getattr(trt.ComputeCapability, target), place)
    if shapes:
        profile = parsed.builder.create_optimization_profile()
        for tensor, (smallest, preferred, largest) in shapes.items():
            profile.set_shape(tensor, smallest, preferred, largest)
        config.add_optimization_profile(profile)
    monitor = _monitor(trt, progress or (lambda phase, done: None))
    config.progress_monitor = monitor
    plan = _build(parsed, config, monitor)
    if monitor.error is not None:
        raise monitor.error
    if plan is None:
        raise ValueError(
            f'{library.title} {library.version} cannot build {name} ({library.take_errors()}); '
            'free memory, or take another backend'
        )
    return bytes(plan)


def _build(parsed: ParsedNetwork, config: Any, monitor: Any) -> Any:
    """Build in a thread, where Python delivers no interrupt: TensorRT's callbacks swallow it.

    Whoever is interrupted while waiting has the build stopped at its next step, and waits for
    that: the interpreter must not end under the library. To CUDA the thread is as good as its
    caller: each begins with the first device, which is the one taken.
    """
    plan: Future[Any] = Future()

    def build() -> None:
        try:
            plan.set_result(parsed.builder.build_serialized_network(parsed.network, config))
        except BaseException as error:
            plan.set_exception(error)

    thread = Thread(target=build, name='tensorrt_builder', daemon=True)
    thread.start()
    try:
        return plan.result()
    except BaseException as error:
        monitor.error = error
        thread.join()
        raise


def _monitor(trt: Any, progress: Progress) -> Any:
    """Make TensorRT's nested phases one share of the outermost."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.error: BaseException | None = None
            # Phase -> the one around it, its steps, those done. A thread changes only its own.
            self._phases: dict[str, tuple[str | None, int, int]] = {}
            self._shares: dict[str, float] = {}

        def phase_start(self, name: str, parent: str | None, num_steps: int) -> None:
            self._phases[name] = (parent, num_steps, 0)
            self._tell(name)

        def step_complete(self, name: str, step: int) -> bool:
            parent, num_steps, _ = self._phases[name]
            self._phases[name] = (parent, num_steps, step + 1)
            self._tell(name)
            return self.error is None

        def phase_finish(self, name: str) -> None:
            parent, num_steps, _ = self._phases[name]
            self._phases[name] = (parent, num_steps, num_steps)
            self._tell(name)
            del self._phases[name]

        def _tell(self, name: str) -> None:
            share = 0.0
            while True:
                parent, num_steps, done = self._phases[name]
                share = min((done + share) / max(num_steps, 1), 1.0)
                if parent not in self._phases:
                    break
                name = parent
            # One step may have several phases one after the other: no way back for these.
            self._shares[name] = share = max(share, self._shares.get(name, 0.0))
            if self.error is not None:
                return  # a phase that is stopped finishes, too
            try:
                progress(name, share)
            except BaseException as error:  # must not pass through C++; raised after the build
                self.error = error

    return Monitor()
