"""Depth for one camera: ros2 launch ssd_depth_ros depth.launch.py image:=/cam_front/image_rect.

For several in one node: cameras:=cam_front,cam_left image:=image_rect.

The picture must be rectified; image_proc's rectify_node makes image_rect of a driver's image_raw.

This file drives the node's lifecycle (configure, then activate) instead of leaving it to the
node's own autostart: it must know when the node is active, to start a bag then and not before,
and an event that the node sends at its own start may be gone before anybody listens.
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

PACKAGE = 'ssd_depth_ros'
SWITCH = ['true', 'false']
PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
RECORDED = ('depth/image', 'depth/camera_info', 'confidence/image')
SHOWN = ('depth/image', 'depth/camera_info', 'depth/colormap', 'points')


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and what is started.

    Returns:
        For `ros2 launch`.
    """
    arguments = [
        ('cameras', '', 'names of several cameras, as in cam_front,cam_left; empty for one'),
        (
            'image',
            'image',
            'image topic, below the name of each of several cameras; with the suffix /compressed, '
            'that kind alone',
        ),
        ('camera_info', '', 'camera_info topic; empty takes the sibling of the image topic'),
        ('params_file', '', 'YAML of parameters; empty takes the one of this package'),
        ('model', '', '.onnx file; empty keeps what params_file says'),
        ('backend', '', 'engine; empty keeps what params_file says'),
        ('namespace', '', 'namespace of the node'),
        ('name', 'depth_node', 'name of the node'),
        ('use_sim_time', 'auto', 'take time from /clock; auto does where there is a bag'),
        ('log_level', 'info', 'least level that the node logs'),
        ('rviz', 'false', 'show colours, depth and points, of the first camera'),
        ('fixed_frame', 'cam_front', "frame that RViz shows: any of TF, or the image's own"),
        ('bag', '', 'bag to play once the node is active'),
        ('rate', '1.0', 'speed of the bag'),
        ('loop', 'false', 'play the bag again and again'),
        ('start_offset', '0.0', 'seconds of the bag to skip'),
        ('record', '', 'folder of a new bag for depth, confidence, stats and diagnostics'),
        ('shm', 'true', 'large shared memory in Fast DDS, unless a profile is set already'),
    ]
    choices = {
        'backend': ['', 'auto', 'openvino', 'onnxruntime', 'tensorrt', 'tensorrt_rtx'],
        'use_sim_time': ['auto', *SWITCH],
        'log_level': ['debug', 'info', 'warn', 'error', 'fatal'],
        'rviz': SWITCH,
        'loop': SWITCH,
        'shm': SWITCH,
    }
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                name, default_value=default, description=text, choices=choices.get(name)
            )
            for name, default, text in arguments
        ]
        + [OpaqueFunction(function=_start)]
    )


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    values = context.launch_configurations
    share = Path(get_package_share_directory(PACKAGE))
    sim_time = values['use_sim_time']
    uses_sim_time = bool(values['bag']) if sim_time == 'auto' else sim_time == 'true'
    environment = _environment(share) if values['shm'] == 'true' else {}
    image = values['image'].removesuffix('/compressed')
    info = values['camera_info'] or _sibling(image)
    cameras = [name.strip() for name in values['cameras'].split(',') if name.strip()]
    # What is empty here is left to the file.
    overrides: dict[str, str | list[str]] = {
        key: values[key] for key in ('model', 'backend') if values[key]
    }
    if image != values['image']:
        overrides['transport'] = 'compressed'
    if cameras:
        overrides['cameras'] = cameras
    node = LifecycleNode(
        package=PACKAGE,
        executable='depth_node',
        name=values['name'],
        namespace=values['namespace'],
        parameters=[
            values['params_file'] or str(share / 'config' / 'depth_node.yaml'),
            overrides | {'use_sim_time': uses_sim_time, 'autostart': False},
        ],
        remappings=[
            (f'{prefix}{name}', _below(prefix, topic))
            for prefix in _prefixes(cameras)
            for name, topic in (
                ('image', image),
                ('image/compressed', f'{image}/compressed'),
                ('camera_info', info),
            )
        ],
        arguments=['--ros-args', '--log-level', values['log_level']],
        additional_env=environment,
        output='screen',
    )
    private = '/'.join(('', *filter(None, values['namespace'].split('/')), values['name']))
    when_active: list[LaunchDescriptionEntity] = []
    if values['record']:
        when_active.append(_recorder(values, private, cameras, uses_sim_time))
    if values['bag']:
        when_active.append(_player(values, environment))
    return [
        RegisterEventHandler(OnProcessStart(target_action=node, on_start=[_configure(node)])),
        _once(node, 'configuring', 'inactive', [_activate(node)]),
        _once(node, 'activating', 'active', when_active),
        node,
        *(
            [_rviz(values, share, private, cameras, uses_sim_time)]
            if values['rviz'] == 'true'
            else []
        ),
    ]


def _sibling(image: str) -> str:
    """Name the camera_info of an image topic as image_transport does."""
    parent, slash, _ = image.rpartition('/')
    return f'{parent}{slash}camera_info'


def _prefixes(cameras: list[str]) -> list[str]:
    """Tell what the topics of each camera begin with."""
    return [f'{camera}/' for camera in cameras] or ['']


def _below(prefix: str, topic: str) -> str:
    if prefix and topic.startswith('/'):
        raise RuntimeError(
            f'image and camera_info must be relative where cameras are given, got {topic}; '
            f'the topics are then {prefix}... and so on'
        )
    return f'{prefix}{topic}'


def _environment(share: Path) -> dict[str, str]:
    if any(variable in os.environ for variable in PROFILE_VARIABLES):
        return {}
    return {PROFILE_VARIABLES[0]: str(share / 'config' / 'dds' / 'fastdds_shm.xml')}


def _change_state(node: LifecycleNode, transition: int) -> EmitEvent:
    return EmitEvent(
        event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
    )


def _configure(node: LifecycleNode) -> EmitEvent:
    return _change_state(node, Transition.TRANSITION_CONFIGURE)


def _activate(node: LifecycleNode) -> EmitEvent:
    return _change_state(node, Transition.TRANSITION_ACTIVATE)


def _once(
    node: LifecycleNode, start: str, goal: str, entities: list[LaunchDescriptionEntity]
) -> RegisterEventHandler:
    """Act on the first such transition only; later ones are those of a user, by hand."""
    return RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=node,
            start_state=start,
            goal_state=goal,
            entities=entities,
            handle_once=True,
        )
    )


def _player(values: dict[str, str], environment: dict[str, str]) -> ExecuteProcess:
    return ExecuteProcess(
        cmd=[
            *('ros2', 'bag', 'play', values['bag'], '--clock'),
            *('--rate', values['rate'], '--start-offset', values['start_offset']),
            *(['--loop'] if values['loop'] == 'true' else []),
        ],
        additional_env=environment,
        output='screen',
    )


def _recorder(
    values: dict[str, str], private: str, cameras: list[str], uses_sim_time: bool
) -> ExecuteProcess:
    topics = [f'{prefix}{topic}' for prefix in _prefixes(cameras) for topic in RECORDED]
    return ExecuteProcess(
        cmd=[
            *('ros2', 'bag', 'record', '--output', values['record'], '--storage', 'mcap'),
            *('--storage-preset-profile', 'zstd_fast'),
            *(['--use-sim-time'] if uses_sim_time else []),
            *('--topics', *(f'{private}/{topic}' for topic in (*topics, 'stats')), '/diagnostics'),
        ],
        output='screen',
    )


def _rviz(
    values: dict[str, str], share: Path, private: str, cameras: list[str], uses_sim_time: bool
) -> Node:
    first = _prefixes(cameras)[0]
    return Node(
        package='rviz2',
        executable='rviz2',
        arguments=[
            *('-d', str(share / 'rviz' / 'depth.rviz')),
            *('-f', values['fixed_frame']),
        ],
        parameters=[{'use_sim_time': uses_sim_time}],
        # The display file names the topics of a node with the default name and one camera.
        remappings=[(f'/depth_node/{topic}', f'{private}/{first}{topic}') for topic in SHOWN],
    )
