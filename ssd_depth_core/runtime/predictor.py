"""The one way to run a depth network: on a robot, over a bag, on a folder of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_image, check_intrinsics
from ssd_depth_core.model_spec import load_spec, ModelSpec
from ssd_depth_core.preprocess import focal_of, resize_intrinsics
from ssd_depth_core.reference_pair import output_names
from ssd_depth_core.runtime.backends import (
    Backend,
    BackendName,
    choose_backend,
    load_backend,
    Progress,
)
from ssd_depth_core.runtime.backends.pictures import PictureBackend
from ssd_depth_core.runtime.network_input import NetworkInput
from ssd_depth_core.runtime.postprocess import check_outputs, metric_depth
from ssd_depth_core.runtime.self_check import check_backend

SHIPPED_MODEL = Path(__file__).parents[1] / 'weights' / 'student.onnx'
"""The shipped student in float; in int8 it is `student.int8.onnx` beside it."""
INT8_BACKENDS = ('openvino',)
"""Which the shipped student is faster on in int8: of one core of a server, OpenVINO took 7.0 ms
instead of 11.3, ONNX Runtime 18.4 instead of 10.9."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthPrediction:
    """Hold what the network says about one picture, on the network's own grid (h, w)."""

    depth: NDArray[np.float32]
    """(h, w) along the optical axis [m]; NaN beyond range (sky)."""
    confidence: NDArray[np.float32] | None
    """(h, w), probability that depth is within a factor of 1.25 of the truth: predicted, not
    calibrated against measured errors. None if the model gives none."""
    K: NDArray[np.float64] | None
    """(3, 3), pixels of the (h, w) grid; None if none was given: depth then assumes the model's
    canonical camera."""


class DepthPredictor:
    """Turn pictures into depth with one loaded network.

    The whole picture is resized to the network's input, whatever its aspect ratio: a stretch of a
    few per cent does no harm, since depth follows the geometric mean of both focal lengths; crop
    a picture first whose aspect ratio is another altogether.

    Calls from several threads are safe and run one after the other.

    Example:
        >>> predictor = DepthPredictor.load()
        >>> prediction = predictor.predict(image, K)
        >>> prediction.depth.shape
        (192, 320)
    """

    def __init__(self, spec: ModelSpec, backend: Backend) -> None:
        """Join a network and its description; `load` reads both from files.

        Args:
            spec: Of the network.
            backend: With the network loaded.

        Raises:
            ValueError: If the network's inputs or outputs are not those that the spec promises.
        """
        self.spec = spec
        self._size = (spec.input_height, spec.input_width)
        self._backend = backend
        self._max_batch = _check_ports(spec, backend)
        self._lock = Lock()
        self._input = NetworkInput(spec)
        self._num_refused = 0
        self._blob = np.empty((1, 3, *self._size), np.float32)

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        backend: BackendName = 'auto',
        num_threads: int | None = None,
        self_check: bool = True,
        max_batch: int = 1,
        progress: Progress | None = None,
    ) -> 'DepthPredictor':
        """Load a network.

        Args:
            model: The `.onnx` file, its ModelSpec `.json` beside it; None for the shipped student,
                in int8 where the engine is faster with it.
            backend: The engine; 'auto' takes OpenVINO where it is installed, else ONNX Runtime.
            num_threads: CPU threads of the engine; None leaves the number to the engine.
            self_check: Whether the engine must reproduce what is stored beside the model.
            max_batch: Pictures of one network call, where engines are compiled for a number of
                them; others take as many as come.
            progress: Is told where an engine is compiled, which takes seconds to minutes.

        Returns:
            A predictor, ready to use.

        Raises:
            FileNotFoundError: If the model or its spec is missing.
            ImportError: If the engine is not installed.
            OSError: If there is no driver or GPU, or compiled engines cannot be trusted.
            ValueError: If a file cannot be read, the model and its spec do not fit each other, or
                the engine computes something else than what is stored beside the model.
        """
        name = choose_backend(backend)
        path = shipped_model(name) if model is None else Path(model)
        spec = load_spec(path)
        engine = load_backend(name, path, num_threads, max_batch, progress)
        try:
            predictor = cls(spec, engine)
        except ValueError as error:
            raise ValueError(f'model {path}: {error}') from error
        if self_check:
            check_backend(path, spec, engine)
        return predictor

    @property
    def backend_name(self) -> str:
        """Which engine runs the network."""
        return self._backend.name

    @property
    def device(self) -> str:
        """What the engine runs on, for people to read."""
        return self._backend.device

    @property
    def num_refused(self) -> int:
        """How many pictures got an error, each alone, because the network gave NaN or no depth.

        A batch with such a picture is an error as a whole and is not counted: who asks for its
        pictures one by one, as the node does, learns which of them is to blame.
        """
        return self._num_refused

    def warm_up(self, num_pictures: int = 1) -> None:
        """Run the network once on zeros, so that the first call is as fast as the others.

        Args:
            num_pictures: Of the calls to come.
        """
        with self._lock:
            count = self._max_batch or num_pictures
            self._backend.run(np.zeros((count, *self._blob.shape[1:]), np.float32))

    def predict(
        self, image: NDArray[np.uint8], K: NDArray[np.floating] | None = None
    ) -> DepthPrediction:
        """Predict the depth of one picture.

        Args:
            image: (H, W, 3) uint8 RGB, any size.
            K: (3, 3), pixels of `image` as passed; None assumes the model's canonical camera.

        Returns:
            Depth on the network's grid; the arrays belong to the caller.

        Raises:
            TypeError: If the image is not uint8.
            ValueError: If the image is empty or not (H, W, 3), K is not a pinhole matrix, or the
                network gives what is no inverse depth.
        """
        (prediction,) = self.predict_batch([image], [K])
        return prediction

    def predict_batch(
        self,
        images: Sequence[NDArray[np.uint8]],
        Ks: Sequence[NDArray[np.floating] | None] | None = None,
    ) -> list[DepthPrediction]:
        """Predict the depth of several pictures.

        One network call where the model's batch axis is free; one call a picture where it is 1.

        Args:
            images: Each (H, W, 3) uint8 RGB, of any size.
            Ks: One (3, 3) or None for each image, pixels of that image; None for all None.

        Returns:
            One prediction a picture, in order; the arrays belong to the caller.

        Raises:
            TypeError: If an image is not uint8.
            ValueError: If an image is empty or not (H, W, 3), a K is not a pinhole matrix, there
                are not as many Ks as images, or the network gives what is no inverse depth.
        """
        Ks = [None] * len(images) if Ks is None else Ks
        if len(Ks) != len(images):
            raise ValueError(
                f'Ks must hold one K an image, got {len(Ks)} for {len(images)} images'
            )
        for image, K in zip(images, Ks, strict=True):
            check_image(image)
            if K is not None:
                check_intrinsics(K)
        step = self._max_batch or max(len(images), 1)
        predictions = []
        with self._lock:
            for start in range(0, len(images), step):
                part = slice(start, start + step)
                predictions += self._predict_checked(images[part], Ks[part])
        return predictions

    def _predict_checked(
        self,
        images: Sequence[NDArray[np.uint8]],
        Ks: Sequence[NDArray[np.floating] | None],
    ) -> list[DepthPrediction]:
        grid_Ks = [
            None if K is None else resize_intrinsics(K, image.shape[:2], self._size)
            for image, K in zip(images, Ks, strict=True)
        ]
        try:
            if isinstance(self._backend, PictureBackend):
                return self._predict_on_device(self._backend, images, grid_Ks)
            return self._predict_here(images, grid_Ks)
        except ValueError:
            if len(images) == 1:
                self._num_refused += 1
            raise

    def _predict_on_device(
        self,
        backend: PictureBackend,
        images: Sequence[NDArray[np.uint8]],
        grid_Ks: Sequence[NDArray[np.float64] | None],
    ) -> list[DepthPrediction]:
        """Have the backend do all of it."""
        canonical_px = self.spec.canonical_focal_px
        outputs = backend.predict_pictures(
            images, [1.0 if K is None else focal_of(K) / canonical_px for K in grid_Ks]
        )
        return [
            DepthPrediction(
                depth=outputs['depth'][index, 0].copy(),
                confidence=self._confidence(outputs, index),
                K=K,
            )
            for index, K in enumerate(grid_Ks)
        ]

    def _predict_here(
        self,
        images: Sequence[NDArray[np.uint8]],
        grid_Ks: Sequence[NDArray[np.float64] | None],
    ) -> list[DepthPrediction]:
        """Have the backend run the network, and prepare and interpret on the CPU."""
        if len(self._blob) < len(images):
            self._blob = np.empty((len(images), 3, *self._size), np.float32)
        blob = self._blob[: len(images)]
        for image, row in zip(images, blob, strict=True):
            self._input.fill(image, row)
        outputs = self._backend.run(blob)
        check_outputs(outputs, self.spec)
        return [
            DepthPrediction(
                depth=metric_depth(
                    outputs['inverse_depth'][index, 0],
                    self.spec,
                    None if K is None else focal_of(K),
                ),
                confidence=self._confidence(outputs, index),
                K=K,
            )
            for index, K in enumerate(grid_Ks)
        ]

    def _confidence(
        self, outputs: dict[str, NDArray[np.float32]], index: int
    ) -> NDArray[np.float32] | None:
        """Copy one picture's: the engine writes its next answer into the same memory."""
        return outputs['confidence'][index, 0].copy() if self.spec.has_confidence else None


def shipped_model(backend: str) -> Path:
    """Tell which file `model=None` means.

    Args:
        backend: The engine, by name.

    Returns:
        The shipped student in int8 where the engine is faster with it and it is there, else in
        float.
    """
    int8 = SHIPPED_MODEL.with_suffix('.int8.onnx')
    return int8 if backend in INT8_BACKENDS and int8.is_file() else SHIPPED_MODEL


def _check_ports(spec: ModelSpec, backend: Backend) -> int | None:
    """Hold the network to its spec; return its fixed batch size, or None where it is free."""
    size = (spec.input_height, spec.input_width)
    ports = [('input', 'image', 3, backend.inputs)]
    ports += [('output', name, 1, backend.outputs) for name in output_names(spec)]
    if len(backend.inputs) != 1:
        raise ValueError(
            f'the network must have the one input image, got {sorted(backend.inputs)}'
        )
    for kind, name, channels, shapes in ports:
        if name not in shapes:
            raise ValueError(
                f'the network must have an {kind} {name} as its spec says, got {sorted(shapes)}; '
                'export it again'
            )
        expected = (channels, *size)
        shape = shapes[name]
        fits = len(shape) == 4 and all(
            axis in (None, want) for axis, want in zip(shape[1:], expected, strict=True)
        )
        if not fits or shape[0] not in (None, 1):
            raise ValueError(
                f'{kind} {name} must be (B, {channels}, {size[0]}, {size[1]}) with B free or 1 as '
                f'its spec says, got {shape}; export it again'
            )
    return backend.inputs['image'][0]
