"""TensorRT on an NVIDIA GPU: engines from the user's cache, or built for it on this machine."""

from pathlib import Path

from ssd_depth_core.model_spec import load_spec
from ssd_depth_core.runtime.backends import Progress
from ssd_depth_core.runtime.backends.tensorrt_backend import TensorRtBackend
from ssd_depth_core.runtime.backends.tensorrt_build import BuildOptions
from ssd_depth_core.runtime.backends.tensorrt_cuda import first_device, open_driver, Stream
from ssd_depth_core.runtime.backends.tensorrt_engine import Engine
from ssd_depth_core.runtime.backends.tensorrt_library import LibraryName, load_library
from ssd_depth_core.runtime.backends.tensorrt_plans import (
    build_network,
    build_pictures,
    network_key,
    pictures_key,
    Target,
)
from ssd_depth_core.runtime.engine_cache import EngineCache

_EXTERNAL = frozenset({'rows', 'columns', 'image'})  # of the pictures' engine


def load(
    path: Path, *, num_threads: int | None, max_batch: int, progress: Progress | None
) -> TensorRtBackend:
    """Load an ONNX file with TensorRT, its engines in the user's cache.

    Args:
        path: The file, its ModelSpec beside it.
        num_threads: Without meaning on a GPU.
        max_batch: Pictures of one network call; more are done in several.
        progress: Is told of a build.

    Returns:
        The backend, ready to run.

    Raises:
        ImportError: If TensorRT is not installed, or too old.
        OSError: If there is no driver or GPU, or the engine cache cannot be trusted.
        ValueError: If TensorRT cannot build the file.
    """
    return open_backend('tensorrt', path, BuildOptions(max_batch=max_batch), progress=progress)


def open_backend(
    name: LibraryName,
    path: Path,
    options: BuildOptions | None = None,
    cache: EngineCache | None = None,
    progress: Progress | None = None,
) -> TensorRtBackend:
    """Load an ONNX file; its engines are built unless the cache has them.

    Args:
        name: Which library.
        path: The file, its ModelSpec beside it.
        options: How engines are built; None for the defaults.
        cache: Where engines are kept; None for the user's own.
        progress: Is told of a build, which takes seconds to minutes; never called where the cache
            has the engines. What it raises stops the build and is raised here.

    Returns:
        The backend, warm: only the first picture of a size waits, for its matrices: Full HD's
        take 10 ms on one core of a server.

    Raises:
        FileNotFoundError: If the model or its spec is missing.
        ImportError: If the library is not installed, or too old.
        OSError: If there is no driver or GPU, or the engine cache cannot be trusted.
        ValueError: If the library cannot build the file.
    """
    options = options or BuildOptions()
    cache = cache or EngineCache()
    library = load_library(name)
    cuda = open_driver()
    device = first_device(cuda)
    spec = load_spec(path)
    stream = Stream(cuda, device)

    def waiting() -> None:
        if progress is not None:
            progress('another process is building', 0.0)

    target = Target(library=library, device=device, cuda=cuda.version)
    network = cache.obtain(
        network_key(target, spec, options),
        lambda: build_network(library, path, spec, options, progress),
        lambda plan: Engine(library, plan, stream, is_recorded=True),
        waiting,
    )
    pictures = cache.obtain(
        pictures_key(target, spec, options),
        lambda: build_pictures(library, spec, options, progress),
        lambda plan: Engine(library, plan, stream, external=_EXTERNAL),
        waiting,
    )
    return TensorRtBackend(spec, stream, network, pictures, name=name, device=device.name)
