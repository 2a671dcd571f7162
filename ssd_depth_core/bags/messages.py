"""ROS 2 messages of `rosbags` <-> NumPy, with neither ROS nor cv_bridge installed."""

from collections.abc import Sequence
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys import get_typestore, Stores
from ssd_depth_core.checks import check_intrinsics
from ssd_depth_core.exact_depth import MESSAGE_FORMAT
from ssd_depth_core.geometry.quaternion import quaternion_of
from ssd_depth_core.runtime.calibration import Calibration, read_calibration, Region
from ssd_depth_core.runtime.image_encodings import decode_raw
from ssd_depth_core.runtime.images import decode_image

# Messages are classes that rosbags makes at run time from their definitions.
Message = Any

TYPESTORE = get_typestore(Stores.ROS2_JAZZY)
"""What is written; the definitions used here are the same in Humble."""

_NS_PER_S = 1_000_000_000
_FLOAT32 = 7  # sensor_msgs/PointField

# CDR begins with 4 bytes of encapsulation, the second of which is 1 for little endian; in a
# stamped message std_msgs/Header and therefore its stamp (int32 s, uint32 ns) come first.
_CDR_STAMP = (struct.Struct('>iI'), struct.Struct('<iI'))

_DEPTH_ENCODINGS = {np.dtype(np.float32): '32FC1', np.dtype(np.uint16): '16UC1'}


def header(stamp_ns: int, frame_id: str) -> Message:
    """Make a header.

    Args:
        stamp_ns: Since the epoch, nanoseconds.
        frame_id: Of the sensor.

    Returns:
        `std_msgs/Header`.
    """
    sec, nanosec = divmod(stamp_ns, _NS_PER_S)
    return _make(
        'std_msgs/msg/Header',
        stamp=_make('builtin_interfaces/msg/Time', sec=sec, nanosec=nanosec),
        frame_id=frame_id,
    )


def stamp_ns(message: Message) -> int:
    """Read a message's stamp.

    Args:
        message: With a header.

    Returns:
        Since the epoch, nanoseconds.
    """
    stamp = message.header.stamp
    return int(stamp.sec) * _NS_PER_S + int(stamp.nanosec)


def cdr_stamp_ns(cdr: bytes) -> int:
    """Read the stamp of a serialized message without deserializing the rest.

    Args:
        cdr: With its encapsulation; of a message whose first field is `std_msgs/Header`.

    Returns:
        Since the epoch, nanoseconds.
    """
    sec, nanosec = _CDR_STAMP[cdr[1] & 1].unpack_from(cdr, 4)
    return int(sec) * _NS_PER_S + int(nanosec)


def transforms(
    stamp_ns: int, parent: str, children: Sequence[tuple[str, NDArray[np.float64]]]
) -> Message:
    """Make the message of `/tf` and `/tf_static`.

    Args:
        stamp_ns: Since the epoch, nanoseconds.
        parent: Frame that the points are mapped into.
        children: Frames and their `T_parent_child`, (4, 4).

    Returns:
        `tf2_msgs/TFMessage`.
    """
    stamped = []
    for child, T in children:
        w, x, y, z = quaternion_of(T)
        transform = _make(
            'geometry_msgs/msg/Transform',
            translation=_make('geometry_msgs/msg/Vector3', x=T[0, 3], y=T[1, 3], z=T[2, 3]),
            rotation=_make('geometry_msgs/msg/Quaternion', x=x, y=y, z=z, w=w),
        )
        stamped.append(
            _make(
                'geometry_msgs/msg/TransformStamped',
                header=header(stamp_ns, parent),
                child_frame_id=child,
                transform=transform,
            )
        )
    return _make('tf2_msgs/msg/TFMessage', transforms=stamped)


def camera_info(header: Message, K: NDArray[np.floating], size: tuple[int, int]) -> Message:
    """Make the calibration of a picture that is free of distortion.

    Args:
        header: Of the picture.
        K: (3, 3), pixels.
        size: (H, W) of the picture, pixels.

    Returns:
        `sensor_msgs/CameraInfo`: plumb_bob with D = 0, R = I, P = [K 0].
    """
    K = np.asarray(K, np.float64)
    roi = _make(
        'sensor_msgs/msg/RegionOfInterest',
        x_offset=0,
        y_offset=0,
        height=0,
        width=0,
        do_rectify=False,
    )
    return _make(
        'sensor_msgs/msg/CameraInfo',
        header=header,
        height=size[0],
        width=size[1],
        distortion_model='plumb_bob',
        d=np.zeros(5),
        k=K.ravel(),
        r=np.eye(3).ravel(),
        p=np.column_stack((K, np.zeros(3))).ravel(),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def calibration(info: Message) -> Calibration:
    """Read what a camera_info says of the picture that it came with.

    Args:
        info: `sensor_msgs/CameraInfo`.

    Returns:
        The calibration, region of interest and binning worked in.
    """
    roi = info.roi
    return read_calibration(
        size=(info.height, info.width),
        K=info.k,
        P=info.p,
        D=info.d,
        region=Region(
            x_offset=roi.x_offset, y_offset=roi.y_offset, height=roi.height, width=roi.width
        ),
        binning=(info.binning_y, info.binning_x),
    )


def intrinsics(info: Message, size: tuple[int, int]) -> NDArray[np.float64]:
    """Read the intrinsics of a rectified picture.

    Args:
        info: `sensor_msgs/CameraInfo`.
        size: (H, W) of the picture that the info came with, pixels.

    Returns:
        (3, 3), pixels; from P, or from K where P is left zero.

    Raises:
        ValueError: If the info is of another picture size, or holds no pinhole camera.
    """
    camera = calibration(info)
    if camera.size != size:
        raise ValueError(
            f'camera_info is for {camera.size[1]}x{camera.size[0]} pixels, but the picture has '
            f'{size[1]}x{size[0]}; record the camera_info of this image topic'
        )
    check_intrinsics(camera.intrinsics, 'camera_info')
    return camera.intrinsics


def compressed_image(header: Message, format: str, data: bytes) -> Message:
    """Wrap a picture file.

    Args:
        header: Of the picture.
        format: As image_transport words it, e.g. `jpeg`.
        data: The file's bytes.

    Returns:
        `sensor_msgs/CompressedImage`.
    """
    return _make(
        'sensor_msgs/msg/CompressedImage',
        header=header,
        format=format,
        data=np.frombuffer(data, np.uint8),
    )


def depth_image(header: Message, depth: NDArray[np.float32] | NDArray[np.uint16]) -> Message:
    """Make a depth image (or another image of one channel of the same types).

    Args:
        header: Of the picture that the depth belongs to.
        depth: (H, W), float32 or uint16.

    Returns:
        `sensor_msgs/Image`, 32FC1 or 16UC1, little-endian.
    """
    data = np.ascontiguousarray(depth, depth.dtype.newbyteorder('<'))
    return _make(
        'sensor_msgs/msg/Image',
        header=header,
        height=depth.shape[0],
        width=depth.shape[1],
        encoding=_DEPTH_ENCODINGS[depth.dtype],
        is_bigendian=0,
        step=data.strides[0],
        data=data.view(np.uint8).ravel(),
    )


def is_depth(message: Message) -> bool:
    """Tell depth from colour by a message's encoding.

    Args:
        message: `sensor_msgs/Image` or `sensor_msgs/CompressedImage`.

    Returns:
        Whether it is REP 118's depth, raw or compressed, or exact depth.
    """
    is_raw = message.__msgtype__ == 'sensor_msgs/msg/Image'
    encoding = message.encoding if is_raw else message.format
    return bool(encoding.startswith(('16UC1', '32FC1', MESSAGE_FORMAT)))


def rgb_image(message: Message) -> NDArray[np.uint8]:
    """Decode a colour or grey picture.

    Args:
        message: `sensor_msgs/Image` or `sensor_msgs/CompressedImage`.

    Returns:
        (H, W, 3) RGB; of a raw image in RGB, the message's own memory.

    Raises:
        ValueError: If the encoding is unknown, the image is empty, or data are missing.
    """
    if message.__msgtype__ == 'sensor_msgs/msg/Image':
        return decode_raw(
            message.data,
            encoding=message.encoding,
            height=message.height,
            width=message.width,
            step=message.step,
            is_bigendian=bool(message.is_bigendian),
        )
    return decode_image(message.data.tobytes())  # what the bytes are; format strings vary


def point_cloud(header: Message, points: NDArray[np.float32]) -> Message:
    """Make the cloud of a LiDAR sweep.

    Args:
        header: Of the sweep.
        points: (N, 5): x, y, z [m], intensity, ring.

    Returns:
        `sensor_msgs/PointCloud2` of N float32 points x, y, z, intensity, ring.
    """
    names = ('x', 'y', 'z', 'intensity', 'ring')
    data = np.ascontiguousarray(points, '<f4')
    return _make(
        'sensor_msgs/msg/PointCloud2',
        header=header,
        height=1,
        width=len(data),
        fields=[
            _make(
                'sensor_msgs/msg/PointField', name=name, offset=4 * i, datatype=_FLOAT32, count=1
            )
            for i, name in enumerate(names)
        ],
        is_bigendian=False,
        point_step=4 * len(names),
        row_step=4 * len(names) * len(data),
        data=data.view(np.uint8).ravel(),
        is_dense=bool(np.isfinite(data).all()),
    )


def _make(typename: str, **fields: Any) -> Message:
    return TYPESTORE.types[typename](**fields)
