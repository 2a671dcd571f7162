"""The launch file, against the real launch where it is installed, and a stand-in everywhere."""

import importlib.util
from pathlib import Path
import sys
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / 'launch' / 'depth.launch.py'
ARGUMENTS = {
    'cameras',
    'image',
    'camera_info',
    'params_file',
    'model',
    'backend',
    'namespace',
    'name',
    'use_sim_time',
    'log_level',
    'rviz',
    'fixed_frame',
    'bag',
    'rate',
    'loop',
    'start_offset',
    'record',
    'shm',
}
RECORDED = ('depth/image', 'depth/camera_info', 'confidence/image')
PROFILE = 'FASTRTPS_DEFAULT_PROFILES_FILE'


class Stub:
    """Stand in for any action, event or handler: remembers what it was made of."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


STUBS = {
    'ament_index_python.packages': (),
    'launch': ('LaunchContext', 'LaunchDescription', 'LaunchDescriptionEntity'),
    'launch.actions': (
        'DeclareLaunchArgument',
        'EmitEvent',
        'ExecuteProcess',
        'OpaqueFunction',
        'RegisterEventHandler',
    ),
    'launch.event_handlers': ('OnProcessStart',),
    'launch.events': (),
    'launch_ros': (),
    'launch_ros.actions': ('LifecycleNode', 'Node'),
    'launch_ros.event_handlers': ('OnStateTransition',),
    'launch_ros.events': (),
    'launch_ros.events.lifecycle': ('ChangeState',),
}


def load():
    spec = importlib.util.spec_from_file_location('depth_launch', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def launch_file(monkeypatch):
    for name, classes in STUBS.items():
        module = ModuleType(name)
        for kind in classes:
            setattr(module, kind, type(kind, (Stub,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    share = sys.modules['ament_index_python.packages']
    share.get_package_share_directory = lambda package: f'/share/{package}'
    sys.modules['launch.events'].matches_action = lambda action: action
    for variable in (PROFILE, 'FASTDDS_DEFAULT_PROFILES_FILE'):
        monkeypatch.delenv(variable, raising=False)
    return load()


@pytest.fixture
def start(launch_file):
    """Build what is started under some arguments, sorted by the name of its class."""

    def build(**arguments):
        *declared, starter = launch_file.generate_launch_description().args[0]
        values = {item.args[0]: item.kwargs['default_value'] for item in declared}
        assert set(arguments) <= set(values)
        context = Stub()
        context.launch_configurations = values | arguments
        kinds = {}
        for action in starter.kwargs['function'](context):
            kinds.setdefault(type(action).__name__, []).append(action)
        return kinds

    return build


def node_of(kinds):
    (node,) = kinds['LifecycleNode']
    return node.kwargs


def started_when_active(kinds):
    """Give the commands that wait for the node, and check what they wait for."""
    handlers = [item.args[0].kwargs for item in kinds['RegisterEventHandler']]
    (active,) = (item for item in handlers if item.get('goal_state') == 'active')
    assert active['start_state'] == 'activating'
    assert active['handle_once']
    assert active['target_lifecycle_node'] is kinds['LifecycleNode'][0]
    assert 'ExecuteProcess' not in kinds
    return [' '.join(item.kwargs['cmd']) for item in active['entities']]


def test_declares_every_documented_argument(launch_file):
    *declared, _ = launch_file.generate_launch_description().args[0]
    assert {item.args[0] for item in declared} == ARGUMENTS
    for item in declared:
        assert item.kwargs['description']
        choices = item.kwargs['choices']
        assert choices is None or item.kwargs['default_value'] in choices


def test_real_launch_accepts_the_description():
    launch = pytest.importorskip('launch.actions')
    description = load().generate_launch_description()
    declared = [e for e in description.entities if isinstance(e, launch.DeclareLaunchArgument)]
    assert {item.name for item in declared} == ARGUMENTS


@pytest.mark.parametrize(
    ('arguments', 'image', 'camera_info'),
    [
        ({}, 'image', 'camera_info'),
        ({'image': '/cam_front/image_raw'}, '/cam_front/image_raw', '/cam_front/camera_info'),
        ({'image': 'cam/image_raw/compressed'}, 'cam/image_raw', 'cam/camera_info'),
        ({'image': '/image_raw'}, '/image_raw', '/camera_info'),
        ({'image': '/a/b', 'camera_info': '/c'}, '/a/b', '/c'),
    ],
)
def test_camera_info_is_the_sibling_of_the_image(start, arguments, image, camera_info):
    assert node_of(start(**arguments))['remappings'] == [
        ('image', image),
        ('image/compressed', f'{image}/compressed'),
        ('camera_info', camera_info),
    ]


def test_topics_of_several_cameras_are_below_their_names(start):
    node = node_of(start(cameras='cam_front, cam_left', image='image_rect_color/compressed'))
    assert node['remappings'] == [
        ('cam_front/image', 'cam_front/image_rect_color'),
        ('cam_front/image/compressed', 'cam_front/image_rect_color/compressed'),
        ('cam_front/camera_info', 'cam_front/camera_info'),
        ('cam_left/image', 'cam_left/image_rect_color'),
        ('cam_left/image/compressed', 'cam_left/image_rect_color/compressed'),
        ('cam_left/camera_info', 'cam_left/camera_info'),
    ]
    overrides = node['parameters'][1]
    assert overrides['cameras'] == ['cam_front', 'cam_left']
    assert overrides['transport'] == 'compressed'


def test_absolute_topic_cannot_be_below_a_camera(start):
    with pytest.raises(RuntimeError, match='must be relative where cameras are given, got /image'):
        start(cameras='a,b', image='/image')


def test_example_of_six_cameras_fits_the_converter_and_the_page(start):
    import yaml

    root = FILE.parents[1]
    page = (root / 'docs' / 'robot.md').read_text().replace('\\\n', '')
    (line,) = (line for line in page.splitlines() if 'params_file:=config/ros/' in line)
    arguments = dict(word.split(':=') for word in line.split() if ':=' in word)
    file = yaml.safe_load((root / arguments['params_file']).read_text())
    values = file['/**']['ros__parameters']
    node = node_of(start(**arguments))
    assert node['parameters'][1]['cameras'] == values['cameras']
    topics = {topic for _, topic in node['remappings']}
    converter = (root / 'ssd_depth_core' / 'bags' / 'nuscenes_to_bag.py').read_text()
    for name in ('image_rect_color/compressed', 'camera_info'):
        assert f'/cam_front/{name} ' in converter
        assert {f'{camera}/{name}' for camera in values['cameras']} <= topics


def test_arguments_override_the_file_only_where_given(start):
    file, overrides = node_of(start())['parameters']
    assert file == '/share/ssd_depth_ros/config/depth_node.yaml'
    assert overrides == {'use_sim_time': False, 'autostart': False}
    file, overrides = node_of(start(params_file='/my.yaml', model='/m.onnx'))['parameters']
    assert file == '/my.yaml'
    assert overrides == {'use_sim_time': False, 'autostart': False, 'model': '/m.onnx'}


def test_suffix_of_the_image_topic_chooses_the_transport(start):
    _, overrides = node_of(start(image='/cam/image_rect/compressed'))['parameters']
    assert overrides['transport'] == 'compressed'
    _, overrides = node_of(start(image='/cam/image_rect'))['parameters']
    assert 'transport' not in overrides


def test_lifecycle_goes_through_configure_to_activate(start):
    from lifecycle_msgs.msg import Transition

    kinds = start()
    on_start, inactive, _ = (item.args[0].kwargs for item in kinds['RegisterEventHandler'])
    transitions = [
        event.kwargs['event'].kwargs['transition_id']
        for event in (*on_start['on_start'], *inactive['entities'])
    ]
    assert transitions == [Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE]
    assert (inactive['start_state'], inactive['goal_state']) == ('configuring', 'inactive')


def test_bag_plays_in_its_own_time_once_the_node_is_active(start):
    kinds = start(bag='/b', rate='2.0', start_offset='3', loop='true')
    assert started_when_active(kinds) == [
        'ros2 bag play /b --clock --rate 2.0 --start-offset 3 --loop'
    ]
    assert node_of(kinds)['parameters'][1]['use_sim_time'] is True
    wall = start(bag='/b', use_sim_time='false')
    assert node_of(wall)['parameters'][1]['use_sim_time'] is False


def test_record_names_the_topics_of_this_node(start):
    (command,) = started_when_active(start(record='/out', namespace='robot', name='front'))
    assert '--output /out --storage mcap' in command
    assert '--use-sim-time' not in command
    assert command.endswith(
        '--topics /robot/front/depth/image /robot/front/depth/camera_info '
        '/robot/front/confidence/image /robot/front/stats /diagnostics'
    )


def test_record_names_the_topics_of_every_camera(start):
    (command,) = started_when_active(start(record='/out', cameras='a,b'))
    topics = command.partition('--topics ')[2].split()
    assert topics == [
        *(f'/depth_node/{c}/{t}' for c in 'ab' for t in RECORDED),
        '/depth_node/stats',
        '/diagnostics',
    ]


def test_recorder_is_ready_before_the_bag_plays(start):
    record, play = started_when_active(start(record='/out', bag='/b'))
    assert record.startswith('ros2 bag record')
    assert '--use-sim-time' in record
    assert play.startswith('ros2 bag play')


def test_shared_memory_profile_is_set_unless_the_user_has_one(start, monkeypatch):
    profile = '/share/ssd_depth_ros/config/dds/fastdds_shm.xml'
    assert node_of(start())['additional_env'] == {PROFILE: profile}
    assert node_of(start(shm='false'))['additional_env'] == {}
    monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', '/mine.xml')
    assert node_of(start())['additional_env'] == {}


def test_rviz_shows_this_node(start):
    assert 'Node' not in start()
    (rviz,) = start(rviz='true', namespace='/robot/', name='front', bag='/b')['Node']
    assert ('/depth_node/points', '/robot/front/points') in rviz.kwargs['remappings']
    assert rviz.kwargs['arguments'][:2] == ['-d', '/share/ssd_depth_ros/rviz/depth.rviz']
    assert rviz.kwargs['parameters'] == [{'use_sim_time': True}]


def test_rviz_shows_the_first_of_several_cameras(start):
    (rviz,) = start(rviz='true', cameras='a,b')['Node']
    assert ('/depth_node/points', '/depth_node/a/points') in rviz.kwargs['remappings']


def test_display_file_shows_topics_that_exist(launch_file):
    import yaml

    text = (FILE.parents[1] / 'rviz' / 'depth.rviz').read_text()
    displays = yaml.safe_load(text)['Visualization Manager']['Displays']
    topics = {item['Topic']['Value'] for item in displays if 'Topic' in item}
    assert topics <= {f'/depth_node/{topic}' for topic in launch_file.SHOWN}
