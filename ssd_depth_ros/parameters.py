"""Every parameter of the node: its default, its meaning, its bounds. Written once, here.

`config/ros/depth_node.yaml` repeats the defaults for users to edit; a test holds the two equal.
"""

from collections.abc import Iterator
import dataclasses
from dataclasses import dataclass, field
import re
import textwrap
from typing import Any, cast, get_args, get_origin, get_type_hints, Literal

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

# What may stand between the slashes of a topic.
_CAMERA = re.compile(r'[A-Za-z_]\w*', re.ASCII)


def _parameter(
    default: Any,
    description: str,
    *,
    bounds: tuple[float, float] | None = None,
    read_only: bool = False,
) -> Any:
    """Make a field that carries what ROS wants to know of it; bounds are inclusive."""
    metadata = {'description': description, 'bounds': bounds, 'read_only': read_only}
    return field(default=default, metadata=metadata)


def _output(what: str) -> Any:
    return _parameter(True, f'Whether to advertise {what}.', read_only=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishParameters:
    """Choose the outputs; one that is off is not advertised."""

    depth: bool = _output('~/depth/image and ~/depth/camera_info')
    points: bool = _output('~/points')
    confidence: bool = _output('~/confidence/image')
    colormap: bool = _output('~/depth/colormap')
    stats: bool = _output('~/stats')


@dataclass(frozen=True, kw_only=True, slots=True)
class PointsParameters:
    """Shape the point cloud."""

    fields: Literal['xyz', 'xyzrgb', 'xyzi'] = _parameter(
        'xyzrgb', 'What each point holds; i is the confidence, as field intensity.'
    )
    stride: int = _parameter(
        1, 'Take every n-th row and column of the published depth.', bounds=(1, 64)
    )
    organized: bool = _parameter(
        True, 'Keep the rows and columns, with NaN where unknown; else list the known points only.'
    )
    max_rate: float = _parameter(
        0.0, 'Publish at most so many clouds a second [Hz]; 0 for one a frame.', bounds=(0, 1000)
    )
    min_range: float = _parameter(
        0.0, 'Leave out points nearer than this along the optical axis [m].', bounds=(0, 1000)
    )
    max_range: float = _parameter(
        1000.0, 'Leave out points farther than this along the optical axis [m].', bounds=(0, 1000)
    )
    min_confidence: float = _parameter(
        0.0, 'Leave out points of less confidence than this.', bounds=(0, 1)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters:
    """Hold one consistent set of values; the node swaps the whole set, never a part of it."""

    model: str = _parameter(
        '',
        'Path of the .onnx file, its ModelSpec .json beside it; empty for the shipped student.',
        read_only=True,
    )
    backend: Literal['auto', 'openvino', 'onnxruntime', 'tensorrt', 'tensorrt_rtx'] = _parameter(
        'auto',
        'The engine; auto takes OpenVINO where it is installed, else ONNX Runtime. The others are '
        'for an NVIDIA GPU.',
        read_only=True,
    )
    num_threads: int = _parameter(
        0,
        'CPU threads of the engine; 0 leaves the number to the engine.',
        bounds=(0, 256),
        read_only=True,
    )
    self_check: bool = _parameter(
        True,
        'Refuse an engine that does not reproduce what is stored beside the model.',
        read_only=True,
    )
    cameras: tuple[str, ...] = _parameter(
        ('',),
        'Names of the cameras that the network sees together; topics of each are below its name. '
        'One empty name for a single camera, whose topics need none.',
        read_only=True,
    )
    batch_timeout: float = _parameter(
        0.05,
        'How long the first image of several cameras waits for those of the others [s]. One that '
        'missed a batch is not waited for until it sends again.',
        bounds=(0, 10),
    )
    autostart: bool = _parameter(
        True, 'Configure and activate at the start, without a lifecycle manager.', read_only=True
    )
    input_qos: Literal['sensor', 'reliable'] = _parameter(
        'sensor',
        'Reliability asked of the camera: sensor (best effort) matches every publisher, reliable '
        'loses no large image, but does not match a best-effort publisher.',
        read_only=True,
    )
    transport: Literal['auto', 'raw', 'compressed'] = _parameter(
        'auto',
        'Which images to take: raw, compressed, or (auto) the kind that comes first, chosen again '
        'after some seconds without an image.',
        read_only=True,
    )
    lazy: bool = _parameter(True, 'Leave the network idle while nobody subscribes to an output.')
    depth_encoding: Literal['32FC1', '16UC1'] = _parameter(
        '32FC1',
        '32FC1: metres, NaN where unknown. 16UC1: millimetres, 0 where unknown or over 65.535 m.',
    )
    output_size: Literal['network', 'input'] = _parameter(
        'network', "Size of the depth outputs: the network's own, or that of the camera's image."
    )
    # Not nan and inf: ROS would read those words as numbers, in YAML and on the command line.
    far_value: Literal['unknown', 'infinite'] = _parameter(
        'unknown',
        'What depth (32FC1) says beyond the range of the network, as in the sky: NaN or +Inf.',
    )
    min_confidence: float = _parameter(
        0.0, 'Depth of less confidence than this becomes unknown.', bounds=(0, 1)
    )
    frame_id: str = _parameter(
        '', "Frame of every output; empty keeps the image's own, which is nearly always right."
    )
    intrinsics: tuple[float, ...] = _parameter(
        (0.0, 0.0, 0.0, 0.0),
        'fx, fy, cx, cy [px] of the image as it arrives, used only where there is no calibrated '
        'camera_info; all 0 for none (ROS cannot tell the type of an empty list).',
    )
    camera_info_timeout: float = _parameter(
        0.1,
        'How long an image waits for the camera_info of its own stamp, while they come in pairs '
        '[s]; then the newest one serves.',
        bounds=(0, 10),
    )
    publish: PublishParameters = field(default_factory=PublishParameters)
    points: PointsParameters = field(default_factory=PointsParameters)

    def __post_init__(self) -> None:
        """Check what a range on a single value cannot say.

        Raises:
            ValueError: If a choice is unknown or values contradict each other.
        """
        for name, (hint, value, _) in _leaves(self):
            choices = _choices(hint)
            if choices and value not in choices:
                raise ValueError(f'{name} must be one of {", ".join(choices)}, got {value!r}')
        if self.points.min_range >= self.points.max_range:
            raise ValueError(
                'points.min_range must be below points.max_range, '
                f'got {self.points.min_range:g} and {self.points.max_range:g}'
            )
        if len(self.intrinsics) != 4:
            raise ValueError(
                f'intrinsics must be fx, fy, cx, cy, got {len(self.intrinsics)} numbers'
            )
        if len(set(self.cameras)) != len(self.cameras) or not all(
            _CAMERA.fullmatch(name) for name in self.cameras if self.cameras != ('',)
        ):
            raise ValueError(
                'cameras must be different names of letters, digits and _ that begin with no '
                f'digit, got {list(self.cameras)}'
            )
        if len(self.cameras) > 1 and (self.frame_id or any(self.intrinsics)):
            raise ValueError(
                'frame_id and intrinsics would be the same for every camera; with several cameras '
                'each image brings its own frame and camera_info'
            )
        if any(self.intrinsics) and min(self.intrinsics[:2]) <= 0:
            raise ValueError(
                f'intrinsics must have fx, fy > 0 or be all 0, got {list(self.intrinsics)}'
            )

    def replace(self, values: dict[str, Any]) -> 'Parameters':
        """Make another set.

        Args:
            values: By ROS name, e.g. `{'points.stride': 2}`; names of other owners are ignored.

        Returns:
            This set with the values replaced.

        Raises:
            ValueError: If the values contradict each other.
        """
        return cast(Parameters, _replaced(self, values))


def declare_parameters(node: Node) -> Parameters:
    """Declare every parameter on a node.

    Args:
        node: Whose overrides (command line, YAML) win over the defaults.

    Returns:
        The values in force.

    Raises:
        ValueError: If overrides contradict each other or name no known choice.
        rclpy.exceptions.ParameterException: If an override has the wrong type or is out of range.
    """
    values = {
        name: node.declare_parameter(name, value, _descriptor(hint, metadata)).value
        for name, (hint, value, metadata) in _leaves(Parameters())
    }
    # ROS gives no value at all for an empty list, whose type it cannot tell.
    return Parameters().replace({n: value for n, value in values.items() if value is not None})


def default_values() -> dict[str, Any]:
    """Give every parameter's default.

    Returns:
        Defaults by ROS name, in the order of declaration.
    """
    return {name: value for name, (_, value, _) in _leaves(Parameters())}


def parameter_help() -> str:
    """Describe every parameter, for the command line.

    Returns:
        Its name, default, meaning and choices, in the order of declaration.
    """
    lines = []
    for name, (hint, value, metadata) in _leaves(Parameters()):
        default = list(value) if isinstance(value, tuple) else value
        choices = f' One of {", ".join(_choices(hint))}.' if _choices(hint) else ''
        words = f'{metadata["description"]}{choices}'
        lines.append(f'  {name} (default: {default!r})')
        lines += textwrap.wrap(words, initial_indent='      ', subsequent_indent='      ')
    return '\n'.join(lines)


def _leaves(group: Any, prefix: str = '') -> Iterator[tuple[str, tuple[Any, Any, Any]]]:
    """Walk over ROS name -> (type, value, metadata)."""
    hints = get_type_hints(type(group))
    for item in dataclasses.fields(group):
        value = getattr(group, item.name)
        if dataclasses.is_dataclass(value):
            yield from _leaves(value, f'{item.name}.')
        else:
            yield f'{prefix}{item.name}', (hints[item.name], value, item.metadata)


def _replaced(group: Any, values: dict[str, Any], prefix: str = '') -> Any:
    changed: dict[str, Any] = {}
    for item in dataclasses.fields(group):
        old, name = getattr(group, item.name), f'{prefix}{item.name}'
        if dataclasses.is_dataclass(old):
            changed[item.name] = _replaced(old, values, f'{name}.')
        elif name in values:
            # ROS gives lists as arrays.
            new = values[name]
            changed[item.name] = tuple(new) if isinstance(old, tuple) else new
    return dataclasses.replace(group, **changed)


def _choices(hint: Any) -> tuple[str, ...]:
    return cast(tuple[str, ...], get_args(hint)) if get_origin(hint) is Literal else ()


def _descriptor(hint: Any, metadata: Any) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=metadata['description'], read_only=metadata['read_only']
    )
    if choices := _choices(hint):
        descriptor.additional_constraints = f'One of {", ".join(choices)}.'
    if metadata['bounds']:
        low, high = metadata['bounds']
        if hint is int:
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        else:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high))
            ]
    return descriptor
