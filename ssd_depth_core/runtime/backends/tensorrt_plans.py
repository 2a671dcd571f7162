"""The two plans of a model: what they are built for, from what, and under which keys they lie.

One takes pictures of any size to the network's input and depends on nothing else of the model, so
models alike in that share it. The other is the network with what turns its output into metres.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ssd_depth_core.config import to_dict
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.runtime.backends import Progress
from ssd_depth_core.runtime.backends.tensorrt_build import (
    build_plan,
    BuildOptions,
    Shapes,
)
from ssd_depth_core.runtime.backends.tensorrt_cuda import Device
from ssd_depth_core.runtime.backends.tensorrt_graph import (
    metric_constants,
    metric_graph,
    picture_constants,
    picture_graph,
)
from ssd_depth_core.runtime.backends.tensorrt_library import Library
from ssd_depth_core.runtime.engine_cache import EngineKey

MAX_PICTURE = (2160, 3840)
"""(H, W) up to which the GPU resizes: its memory is taken for the largest. Larger pictures are
resized on the CPU."""

_USUAL_PICTURE = (1080, 1920)  # for which kernels are chosen; other sizes run as well


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Say what plans are built with and for."""

    library: Library
    """TensorRT."""
    device: Device
    """The GPU."""
    cuda: str
    """Version that its driver speaks."""

    def key(
        self, engine: str, onnx_sha256: str | None, shapes: Shapes, options: dict[str, Any]
    ) -> EngineKey:
        """Name a plan.

        Args:
            engine: Which of a model's.
            onnx_sha256: Of the model; None where the plan depends on none.
            shapes: That it is built for.
            options: All else that it depends on, for JSON.

        Returns:
            Its key.
        """
        return EngineKey(
            engine=engine,
            onnx_sha256=onnx_sha256,
            library=f'{self.library.name} {self.library.version}',
            gpu=self.device.name,
            compute_capability=self.device.compute_capability,
            cuda=self.cuda,
            shapes={name: [list(shape) for shape in three] for name, three in shapes.items()},
            options=options,
        )


def network_key(target: Target, spec: ModelSpec, options: BuildOptions) -> EngineKey:
    """Name the plan of a network.

    Args:
        target: What it is built with and for.
        spec: Of the network.
        options: How it is built.

    Returns:
        Its key.
    """
    shapes = network_shapes(spec, options)
    depends_on = to_dict(options) | metric_constants(spec)
    return target.key('network', spec.onnx_sha256, shapes, depends_on)


def pictures_key(target: Target, spec: ModelSpec, options: BuildOptions) -> EngineKey:
    """Name the plan of the way from pictures to a network's input.

    Args:
        target: What it is built with and for.
        spec: Of the network.
        options: How it is built.

    Returns:
        Its key, the same for all models that take pictures alike, and for any batch.
    """
    one_by_one = replace(options, max_batch=1)
    depends_on = to_dict(one_by_one) | picture_constants(spec)
    return target.key('pictures', None, picture_shapes(spec), depends_on)


def network_shapes(spec: ModelSpec, options: BuildOptions) -> Shapes:
    """Give the shapes that a network is built for.

    Args:
        spec: Of the network.
        options: Give the batch.

    Returns:
        The largest batch alone: smaller ones are filled up to it.
    """
    image, focal_scale = (3, spec.input_height, spec.input_width), (1, 1, 1)
    batch = options.max_batch
    return {
        'image': ((batch, *image),) * 3,
        'focal_scale': ((batch, *focal_scale),) * 3,
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


def _import_onnx() -> Any:
    try:
        import onnx  # here: a robot with built engines does without it
    except ImportError as error:
        raise ImportError(
            f'building an engine needs onnx, which cannot be imported ({error}); '
            '`pip install onnx` brings it'
        ) from error
    return onnx
