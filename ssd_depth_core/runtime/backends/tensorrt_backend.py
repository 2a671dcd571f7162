"""The work on the GPU: a picture goes there once and comes back as metres.

All of it is on one stream, between pinned buffers. The network has one shape, that of its largest
batch, and is one CUDA graph. TensorRT binds a recording to its context, which a change of shapes
makes void: a graph a batch size would take a context each, with memory of its own or shared by
hand. So smaller batches are filled up with what the slots held before. They cost as much as a
whole one, which the GPU must have time for anyhow where the cameras of a rig come together.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.preprocess import resize_image
from ssd_depth_core.runtime.backends import Shape
from ssd_depth_core.runtime.backends.tensorrt_cuda import DeviceMemory, Stream
from ssd_depth_core.runtime.backends.tensorrt_engine import Engine
from ssd_depth_core.runtime.backends.tensorrt_graph import resizing_matrices
from ssd_depth_core.runtime.backends.tensorrt_library import LibraryName
from ssd_depth_core.runtime.backends.tensorrt_plans import MAX_PICTURE
from ssd_depth_core.runtime.postprocess import check_outputs

_MAX_SIZES = 8  # of pictures whose matrices are kept, 2 MB each: robots have fewer cameras


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
    ) -> None:
        """Join the engines, take pinned memory for what goes in and comes out, and warm up.

        Args:
            spec: Of the network.
            stream: Of both engines.
            network: Of `metric_graph`.
            pictures: Of `picture_graph`.
            name: Which library runs them.
            device: What they run on, for people to read.

        Raises:
            OSError: If there is not enough memory, or the engines do not run.
        """
        self.name: str = name
        self.device = device
        self.inputs: dict[str, Shape] = {'image': _any_batch(network.inputs['image'])}
        self.outputs: dict[str, Shape] = {
            output: _any_batch(shape)
            for output, shape in network.outputs.items()
            if output in ('inverse_depth', 'confidence')
        }
        self._spec, self._stream, self._network, self._pictures = spec, stream, network, pictures
        self._max_batch = network.largest['image'][0]
        self._size = (spec.input_height, spec.input_width)
        self._image = stream.allocate_pinned(network.largest['image'], np.float32)
        self._focal_scale = stream.allocate_pinned(network.largest['focal_scale'], np.float32)
        self._levels = [np.empty(0, np.uint8)] * self._max_batch
        self._results: dict[str, NDArray[np.float32]] = {
            output: stream.allocate_pinned((self._max_batch, *shape[1:]), np.float32)
            for output, shape in network.outputs.items()
        }
        self._matrices: dict[tuple[int, int], tuple[DeviceMemory, DeviceMemory]] = {}
        self._warm_up()

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
            self._network.enqueue()
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
            self._network.enqueue()
            self._fetch([*wanted, *counts], start, len(part), len(pictures))
            if any(np.any(self._fetched(c, start, len(part)) != self._num_pixels) for c in counts):
                self._fetch(list(self.outputs), start, len(part), len(pictures))
                faulty = {name: self._fetched(name, start, len(part)) for name in self.outputs}
                check_outputs(faulty, self._spec)
        return {name: self._results[name][: len(pictures)] for name in wanted}

    def _warm_up(self) -> None:
        """Do what only first calls do, but for the matrices of each size of picture."""
        self._image[:], self._focal_scale[:] = 0, 1  # also what is in slots not yet filled
        self._stream.upload(self._image, self._network.address('image'))
        self._stream.upload(self._focal_scale, self._network.address('focal_scale'))
        self._enqueue_picture(0, np.zeros((*self._size, 3), np.uint8))
        self._network.record()

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

    def _fetch(self, names: list[str], start: int, batch: int, total: int) -> None:
        """Copy outputs of the network behind those of the batches before it, and wait."""
        for name in names:
            if len(self._results[name]) < total:
                grown = self._stream.allocate_pinned(
                    (total, *self._network.outputs[name][1:]), np.float32
                )
                self._results[name] = grown
            self._stream.download(self._network.address(name), self._fetched(name, start, batch))
        self._stream.synchronize()

    def _fetched(self, name: str, start: int, batch: int) -> NDArray[np.float32]:
        return self._results[name][start : start + batch]


def _any_batch(shape: tuple[int, ...]) -> Shape:
    return (None, *shape[1:])
