"""Depth to PointCloud2, written straight into the message's memory."""

from array import array
import sys

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from ssd_depth_core.preprocess import resize_image
from ssd_depth_ros.parameters import PointsParameters
from std_msgs.msg import Header

# What follows x, y, z; rgb is three bytes in the place of a float, as PCL and RViz read it.
_FOURTH = {'xyz': (), 'xyzrgb': ('rgb',), 'xyzi': ('intensity',)}
_FLOAT_BYTES = 4


class PointCloudWriter:
    """Turn depth images of one camera into clouds; rays and memory are kept between frames."""

    def __init__(self) -> None:
        """Start without memory; the first write takes it."""
        self._message = PointCloud2()
        self._points = np.empty((0, 0, 3), np.float32)
        self._rays_of: tuple[bytes, tuple[int, ...], int] | None = None
        self._x_rays = self._y_rays = np.empty(0, np.float32)

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
        stride = settings.stride
        z = depth[::stride, ::stride]
        with np.errstate(invalid='ignore'):
            known = np.isfinite(z) & (z >= settings.min_range) & (z <= settings.max_range)
        if settings.min_confidence > 0:
            assert confidence is not None
            known &= confidence[::stride, ::stride] >= settings.min_confidence
        self._allocate(z.shape, settings.fields)
        self._prepare_rays(K, depth.shape, stride)
        points = self._points
        np.multiply(z, self._x_rays, out=points[..., 0])
        np.multiply(z, self._y_rays, out=points[..., 1])
        points[..., 2] = z
        if settings.fields == 'xyzi':
            assert confidence is not None
            points[..., 3] = confidence[::stride, ::stride]
        elif settings.fields == 'xyzrgb':
            assert image is not None
            small = resize_image(image, depth.shape)
            colour = points.view(np.uint8)[..., 12:16]
            colour[..., :3] = small[::stride, ::stride, ::-1]
            colour[..., 3] = 0
        if settings.organized:
            points[~known, :3] = np.nan
            message = self._message
            message.is_dense = bool(known.all())
        else:
            message = _list_of(points[known], self._message.fields)
        message.header = header
        return message

    def _allocate(self, shape: tuple[int, ...], kind: str) -> None:
        names = ('x', 'y', 'z', *_FOURTH[kind])
        wanted = (*shape, len(names))
        fields = [
            PointField(name=name, offset=_FLOAT_BYTES * i, datatype=PointField.FLOAT32, count=1)
            for i, name in enumerate(names)
        ]
        if self._points.shape != wanted:
            self._message = _empty_cloud(shape[0], shape[1], len(names))
            self._message.data = array('B', bytes(self._message.row_step * shape[0]))
            # The setter copies, so the view must be of what it kept.
            self._points = np.frombuffer(self._message.data, np.float32).reshape(wanted)
        self._message.fields = fields

    def _prepare_rays(self, K: NDArray[np.float64], shape: tuple[int, ...], stride: int) -> None:
        wanted = (K.tobytes(), shape, stride)
        if self._rays_of != wanted:
            v, u = np.arange(0, shape[0], stride), np.arange(0, shape[1], stride)
            self._x_rays = ((u - K[0, 2]) / K[0, 0]).astype(np.float32)[None, :]
            self._y_rays = ((v - K[1, 2]) / K[1, 1]).astype(np.float32)[:, None]
            self._rays_of = wanted


def _empty_cloud(height: int, width: int, floats: int) -> PointCloud2:
    step = _FLOAT_BYTES * floats
    return PointCloud2(
        height=height,
        width=width,
        point_step=step,
        row_step=step * width,
        is_bigendian=sys.byteorder == 'big',
    )


def _list_of(points: NDArray[np.float32], fields: list[PointField]) -> PointCloud2:
    """Make an unorganised cloud, (N, floats), of known points only."""
    message = _empty_cloud(1, len(points), points.shape[1])
    message.fields, message.is_dense = fields, True
    message.data.frombytes(points.tobytes())
    return message
