"""Depth to PointCloud2, written straight into the message's memory.

`publish` serialises before it returns, so that the memory is free for the next cloud then.
"""

from array import array
import sys

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from ssd_depth_ros.parameters import PointsParameters
from std_msgs.msg import Header

# What follows x, y, z; rgb is three bytes in the place of a float, as PCL and RViz read it.
_FOURTH = {'xyz': (), 'xyzrgb': ('rgb',), 'xyzi': ('intensity',)}
_FLOAT_BYTES = 4
_RGB = np.uint32(0xFFFFFF)


class PointCloudWriter:
    """Turn depth images of one camera into clouds; rays and memory are kept between frames."""

    def __init__(self) -> None:
        """Start without memory; the first write takes it."""
        self._message = PointCloud2()
        self._layout: tuple[object, ...] = ()
        self._points = np.empty((0, 0, 3), np.float32)
        # One array a field, x, y, z first: faster to fill, and to merge, than every fourth value.
        self._fields: list[NDArray[np.float32]] = []
        self._unknown = np.empty((0, 0), np.float32)
        self._mask = np.empty((0, 0), np.bool_)
        self._rays_of: tuple[object, ...] = ()
        self._x_rays = self._y_rays = np.empty(0, np.float32)
        self._colours = np.empty((0, 0, 4), np.uint8)
        self._lookup_of: tuple[object, ...] = ()
        self._lookup: NDArray[np.intp] | None = None

    def write(
        self,
        header: Header,
        depth: NDArray[np.float32],
        K: NDArray[np.float64],
        settings: PointsParameters,
        *,
        confidence: NDArray[np.float32] | None = None,
        image: NDArray[np.uint8] | None = None,
    ) -> PointCloud2:
        """Build the cloud of one depth image.

        Args:
            header: Of the message; the frame is the camera's optical frame.
            depth: (h, w) along the optical axis [m]; NaN or inf where unknown.
            K: (3, 3), pixels of `depth`.
            settings: Stride, masks and fields.
            confidence: (h, w), for `xyzi` and for `min_confidence` above 0.
            image: (H, W, 3) RGB of any size, for `xyzrgb`.

        Returns:
            The message, valid until the next write.
        """
        self._prepare_memory(depth.shape, settings)
        self._prepare_rays(K, depth.shape, settings.stride)
        x, y, z = self._fields[:3]
        strided = np.s_[:: settings.stride, :: settings.stride]
        np.copyto(z, depth[strided])
        with np.errstate(invalid='ignore'):
            # What is farther holds infinite depth too. NaN is neither, and stays.
            self._forget(np.greater(z, settings.max_range, out=self._mask))
            if settings.min_range > 0:
                self._forget(np.less(z, settings.min_range, out=self._mask))
        if settings.min_confidence > 0:
            assert confidence is not None
            self._forget(np.less(confidence[strided], settings.min_confidence, out=self._mask))
        # NaN times a ray is NaN: what is unknown is so in x, y and z.
        np.multiply(z, self._x_rays, out=x)
        np.multiply(z, self._y_rays, out=y)
        if settings.fields == 'xyzi':
            assert confidence is not None
            np.copyto(self._fields[3], confidence[strided])
        elif settings.fields == 'xyzrgb':
            assert image is not None
            self._look_up(image, depth.shape, settings.stride, self._fields[3].view(np.uint32))
        cv2.merge(self._fields, dst=self._points)
        message = self._message
        message.header = header
        unknown = np.isnan(z, out=self._mask)
        if settings.organized:
            message.is_dense = not unknown.any()
        else:
            known = np.logical_not(unknown, out=unknown)
            points = self._points.reshape(-1, self._points.shape[2])
            # Indexing by the mask gives the same, twelve times slower.
            _fill(message, np.compress(known.ravel(), points, axis=0))
        return message

    def _forget(self, mask: NDArray[np.bool_]) -> None:
        # NumPy's own masked copy branches at every point, and takes up to 30 times as long.
        cv2.copyTo(self._unknown, mask.view(np.uint8), self._fields[2])

    def _look_up(
        self,
        image: NDArray[np.uint8],
        size: tuple[int, ...],
        stride: int,
        out: NDArray[np.uint32],
    ) -> None:
        """Give each point the packed colour of the pixel that it lies in."""
        self._prepare_lookup(image.shape[:2], size, stride)
        if self._lookup is None:
            cv2.cvtColor(image, cv2.COLOR_RGB2BGRA, dst=out.view(np.uint8).reshape(*out.shape, 4))
        else:
            packed = cv2.cvtColor(image, cv2.COLOR_RGB2BGRA, dst=self._colours)
            np.take(packed.view(np.uint32).ravel(), self._lookup, out=out, mode='clip')
        # Without opacity: as floats, which they pass for, opaque colours would often be NaN.
        np.bitwise_and(out, _RGB, out=out)

    def _prepare_memory(self, size: tuple[int, ...], settings: PointsParameters) -> None:
        layout = (size, settings.stride, settings.fields, settings.organized)
        if self._layout == layout:
            return
        self._layout = layout
        names = ('x', 'y', 'z', *_FOURTH[settings.fields])
        rows, columns = (-(-side // settings.stride) for side in size)
        step = _FLOAT_BYTES * len(names)
        message = PointCloud2(
            height=rows,
            width=columns,
            point_step=step,
            row_step=step * columns,
            is_bigendian=sys.byteorder == 'big',
        )
        message.fields = [
            PointField(name=name, offset=_FLOAT_BYTES * i, datatype=PointField.FLOAT32, count=1)
            for i, name in enumerate(names)
        ]
        if settings.organized:
            message.data = array('B', bytes(message.row_step * rows))
            # The setter copies, so the view must be of what it kept.
            memory = np.frombuffer(message.data, np.float32)
        else:
            # Not the message's own, for memory with a view cannot change its length.
            memory = np.zeros(rows * columns * len(names), np.float32)
        self._message = message
        self._points = memory.reshape(rows, columns, len(names))
        self._fields = [np.empty((rows, columns), np.float32) for _ in names]
        self._unknown = np.full((rows, columns), np.nan, np.float32)
        self._mask = np.empty((rows, columns), np.bool_)

    def _prepare_rays(self, K: NDArray[np.float64], size: tuple[int, ...], stride: int) -> None:
        wanted = (K.tobytes(), size, stride)
        if self._rays_of != wanted:
            v, u = np.arange(0, size[0], stride), np.arange(0, size[1], stride)
            self._x_rays = ((u - K[0, 2]) / K[0, 0]).astype(np.float32)[None, :]
            self._y_rays = ((v - K[1, 2]) / K[1, 1]).astype(np.float32)[:, None]
            self._rays_of = wanted

    def _prepare_lookup(
        self, image_size: tuple[int, ...], size: tuple[int, ...], stride: int
    ) -> None:
        """Find the pixel of the image that each point lies in; the two may differ in size."""
        wanted = (image_size, size, stride)
        if self._lookup_of != wanted:
            v, u = (
                ((np.arange(0, side, stride) + 0.5) * image_side / side).astype(np.intp)
                for side, image_side in zip(size, image_size, strict=True)
            )
            self._colours = np.empty((*image_size, 4), np.uint8)
            self._lookup = v[:, None] * image_size[1] + u
            if self._lookup.shape == image_size:
                # Pixel by pixel, as with a JPEG decoded at the stride of the points.
                self._lookup = None
            self._lookup_of = wanted


def _fill(message: PointCloud2, points: NDArray[np.float32]) -> None:
    """Put a list of points, (N, floats), all of them known, into a message."""
    message.height, message.width, message.is_dense = 1, len(points), True
    message.row_step = message.point_step * message.width
    del message.data[:]
    message.data.frombytes(points.view(np.uint8))
