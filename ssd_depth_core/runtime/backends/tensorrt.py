"""TensorRT on an NVIDIA GPU: a picture goes there once and comes back as metres.

Two engines, compiled from ONNX on the machine that runs them and kept in the engine cache: one
takes pictures of any size to the network's input, the other is the network with what turns its
output into metres (`tensorrt_graph`). All work is on one stream, between pinned buffers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.config import to_dict
from ssd_depth_core.model_spec import load_spec, ModelSpec
from ssd_depth_core.preprocess import resize_image
from ssd_depth_core.runtime.backends import Progress, Shape
from ssd_depth_core.runtime.backends.tensorrt_build import (
    build_plan,
    BuildOptions,
    Shapes,
)
from ssd_depth_core.runtime.backends.tensorrt_cuda import (
    Cuda,
    Device,
    DeviceMemory,
    first_device,
    open_driver,
    Stream,
)
from ssd_depth_core.runtime.backends.tensorrt_engine import Engine
from ssd_depth_core.runtime.backends.tensorrt_graph import (
    baked_constants,
    metric_graph,
    picture_graph,
    resizing_matrices,
)
from ssd_depth_core.runtime.backends.tensorrt_library import Library, LibraryName, load_library
from ssd_depth_core.runtime.engine_cache import EngineCache, EngineKey
from ssd_depth_core.runtime.postprocess import check_outputs

MAX_PICTURE = (2160, 3840)
"""(H, W) up to which the GPU resizes: its memory is taken for the largest. Larger pictures are
resized on the CPU."""

_USUAL_PICTURE = (1080, 1920)  # for which kernels are chosen; other sizes run as well
_MAX_SIZES = 8  # of pictures whose matrices are kept, 2 MB each: robots have fewer cameras
_EXTERNAL = frozenset({'rows', 'columns', 'image'})


class TensorRtBackend:
    """Run a network with TensorRT."""

    def __init__(
        self,
        spec: ModelSpec,
        stream: Stream,
        network: Engine,
        pictures: Engine,
        *,
        name: LibraryName,
        device: str,
        max_batch: int,
    ) -> None:
        """Join the engines and take pinned memory for what goes in and comes out.

        Args:
            spec: Of the network.
            stream: Of both engines.
            network: Of `metric_graph`.
            pictures: Of `picture_graph`.
            name: Which library runs them.
            device: What they run on, for people to read.
            max_batch: That the network was built for.

        Raises:
            OSError: If there is not enough memory.
        """
        self.name, self.device = name, device
        self.inputs: dict[str, Shape] = {'image': _free_axes(network.inputs['image'])}
        self.outputs: dict[str, Shape] = {
            output: _free_axes(shape)
            for output, shape in network.outputs.items()
            if output in ('inverse_depth', 'confidence')
        }
        self._spec, self._stream, self._network, self._pictures = spec, stream, network, pictures
        self._max_batch = max_batch
        self._size = (spec.input_height, spec.input_width)
        self._image = stream.allocate_pinned((max_batch, 3, *self._size), np.float32)
        self._focal_scale = stream.allocate_pinned((max_batch, 1, 1, 1), np.float32)
        self._focal_scale[:] = 1
        stream.upload(self._focal_scale, network.address('focal_scale'))
        stream.synchronize()
        self._levels = [np.empty(0, np.uint8)] * max_batch
        self._results: dict[str, NDArray[np.float32]] = {}
        self._matrices: dict[tuple[int, int], tuple[DeviceMemory, DeviceMemory]] = {}

    def run(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run the network once, or as often as its largest batch asks for.

        Args:
            image: (B, 3, H, W) float32, normalised.

        Returns:
            Each output by name; pinned memory, which the next call overwrites.
        """
        self._stream.enter()
        for start in range(0, len(image), self._max_batch):
            part = image[start : start + self._max_batch]
            self._image[: len(part)] = part
            self._stream.upload(self._image[: len(part)], self._network.address('image'))
            self._run_network(len(part))
            self._fetch(list(self.outputs), start, len(part), len(image))
        return {name: self._results[name][: len(image)] for name in self.outputs}

    def predict_pictures(
        self, pictures: Sequence[NDArray[np.uint8]], focal_scales: Sequence[float]
    ) -> dict[str, NDArray[np.float32]]:
        """Predict the depth of pictures.

        Args:
            pictures: Each (H, W, 3) uint8 RGB, of any size; at least one.
            focal_scales: For each, the live focal length at the network's input size over the
                canonical one; 1 where there is no live one.

        Returns:
            `depth` (B, 1, h, w) [m], NaN beyond range, and, where the network has it,
            `confidence` (B, 1, h, w) in [0, 1]; pinned memory, which the next call overwrites.

        Raises:
            ValueError: If the network gives what is no inverse depth.
        """
        self._stream.enter()
        wanted = ['depth', *(name for name in self.outputs if name != 'inverse_depth')]
        counts = [f'good_{name}' for name in self.outputs]
        for start in range(0, len(pictures), self._max_batch):
            part = pictures[start : start + self._max_batch]
            for slot, picture in enumerate(part):
                self._enqueue_picture(slot, picture)
            self._focal_scale[: len(part), 0, 0, 0] = focal_scales[start : start + len(part)]
            address = self._network.address('focal_scale')
            self._stream.upload(self._focal_scale[: len(part)], address)
            self._run_network(len(part))
            self._fetch([*wanted, *counts], start, len(part), len(pictures))
            if any(np.any(self._fetched(c, start, len(part)) != self._num_pixels) for c in counts):
                self._fetch(list(self.outputs), start, len(part), len(pictures))
                faulty = {name: self._fetched(name, start, len(part)) for name in self.outputs}
                check_outputs(faulty, self._spec)
        return {name: self._results[name][: len(pictures)] for name in wanted}

    @property
    def _num_pixels(self) -> int:
        return self._size[0] * self._size[1]

    def _enqueue_picture(self, slot: int, picture: NDArray[np.uint8]) -> None:
        """Bring a picture into its place in the network's input."""
        if any(side > most for side, most in zip(picture.shape[:2], MAX_PICTURE, strict=True)):
            picture = resize_image(picture, self._size)
        # A buffer a slot: the device may still be reading the one before.
        if self._levels[slot].size < picture.size:
            self._levels[slot] = self._stream.allocate_pinned((picture.size,), np.uint8)
        levels = self._levels[slot][: picture.size].reshape(picture.shape)
        np.copyto(levels, picture)
        self._stream.upload(levels, self._pictures.address('picture'))
        height, width = picture.shape[:2]
        rows, columns = self._matrices_for((height, width))
        slot_bytes = self._image[0].nbytes
        self._pictures.enqueue(
            {
                'picture': (height, width, 3),
                'rows': (self._size[0], height),
                'columns': (width, self._size[1]),
            },
            {
                'rows': rows.address,
                'columns': columns.address,
                'image': self._network.address('image') + slot * slot_bytes,
            },
        )

    def _matrices_for(self, size: tuple[int, int]) -> tuple[DeviceMemory, DeviceMemory]:
        if size not in self._matrices:
            if len(self._matrices) == _MAX_SIZES:
                self._stream.synchronize()  # they may be in use
                self._matrices.clear()
            rows, columns = map(self._to_device, resizing_matrices(size, self._size))
            self._matrices[size] = (rows, columns)
        return self._matrices[size]

    def _to_device(self, values: NDArray[np.float16]) -> DeviceMemory:
        pinned = self._stream.allocate_pinned(values.shape, values.dtype)
        pinned[:] = values
        memory = self._stream.allocate(values.nbytes)
        self._stream.upload(pinned, memory.address)
        self._stream.synchronize()  # before `pinned` is freed
        return memory

    def _run_network(self, batch: int) -> None:
        self._network.enqueue({'image': (batch, 3, *self._size), 'focal_scale': (batch, 1, 1, 1)})

    def _fetch(self, names: list[str], start: int, batch: int, total: int) -> None:
        """Copy outputs of the network behind those of the batches before it, and wait."""
        for name in names:
            if name not in self._results or len(self._results[name]) < total:
                grown = self._stream.allocate_pinned(
                    (total, *self._network.outputs[name][1:]), np.float32
                )
                self._results[name] = grown
            self._stream.download(self._network.address(name), self._fetched(name, start, batch))
        self._stream.synchronize()

    def _fetched(self, name: str, start: int, batch: int) -> NDArray[np.float32]:
        return self._results[name][start : start + batch]


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
            has the engines.

    Returns:
        The backend, ready to run.

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

    network = cache.obtain(
        _key('network', library, cuda, device, spec, network_shapes(spec, options), options),
        lambda: build_network(library, path, spec, options, progress),
        lambda plan: Engine(library, plan, stream, captures=True),
    )
    pictures = cache.obtain(
        _key('pictures', library, cuda, device, spec, picture_shapes(spec), options),
        lambda: build_pictures(library, spec, options, progress),
        lambda plan: Engine(library, plan, stream, external=_EXTERNAL),
    )
    fixed = network.inputs['image'][0]
    is_free = fixed == -1
    return TensorRtBackend(
        spec,
        stream,
        network,
        pictures,
        name=name,
        device=device.name,
        max_batch=options.max_batch if is_free else fixed,
    )


def network_shapes(spec: ModelSpec, options: BuildOptions) -> Shapes:
    """Give the shapes that the network is built for.

    Args:
        spec: Of the network.
        options: Give the largest batch.

    Returns:
        From one picture to the largest batch, which is preferred: a rig's cameras come together.
    """
    image, focal_scale = (3, spec.input_height, spec.input_width), (1, 1, 1)
    most = options.max_batch
    return {
        'image': ((1, *image), (most, *image), (most, *image)),
        'focal_scale': ((1, *focal_scale), (most, *focal_scale), (most, *focal_scale)),
    }


def picture_shapes(spec: ModelSpec) -> Shapes:
    """Give the shapes that resizing is built for.

    Args:
        spec: Of the network.

    Returns:
        From one pixel to `MAX_PICTURE`.
    """
    height, width = spec.input_height, spec.input_width
    sizes = ((1, 1), _USUAL_PICTURE, MAX_PICTURE)
    smallest, usual, largest = (
        {'picture': (h, w, 3), 'rows': (height, h), 'columns': (w, width)} for h, w in sizes
    )
    return {name: (smallest[name], usual[name], largest[name]) for name in smallest}


def build_network(
    library: Library,
    path: Path,
    spec: ModelSpec,
    options: BuildOptions,
    progress: Progress | None = None,
) -> bytes:
    """Build the plan of a network and its way to metres.

    Args:
        library: TensorRT.
        path: The ONNX file.
        spec: Of it.
        options: How.
        progress: Is told what the builder does.

    Returns:
        The plan.

    Raises:
        ImportError: If `onnx` is not installed.
        OSError: If TensorRT cannot start.
        ValueError: If TensorRT cannot build it.
    """
    onnx = _import_onnx()
    network = onnx.load(path)
    (batch, *_) = network.graph.input[0].type.tensor_type.shape.dim
    is_free = not batch.HasField('dim_value')
    shapes = network_shapes(spec, options) if is_free else {}
    model = metric_graph(network, spec).SerializeToString()
    return build_plan(library, model, path.name, shapes, options, progress)


def build_pictures(
    library: Library, spec: ModelSpec, options: BuildOptions, progress: Progress | None = None
) -> bytes:
    """Build the plan of the way from pictures to the network's input.

    Args:
        library: TensorRT.
        spec: Of the network.
        options: How.
        progress: Is told what the builder does.

    Returns:
        The plan.

    Raises:
        ImportError: If `onnx` is not installed.
        OSError: If TensorRT cannot start.
        ValueError: If TensorRT cannot build it.
    """
    _import_onnx()
    model = picture_graph(spec).SerializeToString()
    return build_plan(library, model, 'pictures', picture_shapes(spec), options, progress)


def _key(
    engine: str,
    library: Library,
    cuda: Cuda,
    device: Device,
    spec: ModelSpec,
    shapes: Shapes,
    options: BuildOptions,
) -> EngineKey:
    return EngineKey(
        engine=engine,
        onnx_sha256=spec.onnx_sha256,
        library=f'{library.name} {library.version}',
        gpu=device.name,
        compute_capability=device.compute_capability,
        cuda=cuda.version,
        shapes={name: [list(shape) for shape in three] for name, three in shapes.items()},
        options=to_dict(options) | baked_constants(spec),
    )


def _import_onnx() -> Any:
    try:
        import onnx  # here: a robot with built engines does without it
    except ImportError as error:
        raise ImportError(
            f'building an engine needs onnx, which cannot be imported ({error}); '
            '`pip install onnx` brings it'
        ) from error
    return onnx


def _free_axes(shape: tuple[int, ...]) -> Shape:
    return tuple(None if axis == -1 else axis for axis in shape)
