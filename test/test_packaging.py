"""What a ROS user and a pip user get, built from the tracked files alone."""

import email
import os
from pathlib import Path
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree
import zipfile

import pytest
import ssd_depth_core
from ssd_depth_core.checks import sha256_of
from ssd_depth_core.model_spec import ModelSpec, save_spec

ROOT = Path(__file__).parents[1]
PACKAGE = 'ssd_depth_ros'
# Two cores that do other work at the same time need a while to start Python and ROS.
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 15


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    """Copy the tracked files, with a model of our own in place of the shipped one."""
    copy = tmp_path_factory.mktemp('tree')
    names = subprocess.run(
        ['git', '-C', ROOT, 'ls-files', '-z'], capture_output=True, text=True, check=True
    ).stdout.split('\0')
    for name in filter(None, names):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    weights = copy / 'ssd_depth_core' / 'weights'
    for shipped in weights.glob('student.*'):  # the int8 one would run, and the pair not fit
        shipped.unlink()
    write_model(weights / 'student.onnx')
    return copy


def write_model(path):
    """Write a network whose inverse depth is the mean over the channels, called `planted`."""
    onnx = pytest.importorskip('onnx')
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('ReduceMean', ['image', 'axes'], ['inverse_depth'], keepdims=1)],
        'planted',
        [onnx.helper.make_tensor_value_info('image', onnx.TensorProto.FLOAT, ['b', 3, 16, 32])],
        [
            onnx.helper.make_tensor_value_info(
                'inverse_depth', onnx.TensorProto.FLOAT, ['b', 1, 16, 32]
            )
        ],
        [onnx.helper.make_tensor('axes', onnx.TensorProto.INT64, [1], [1])],
    )
    opset = onnx.helper.make_opsetid('', 18)
    path.parent.mkdir(exist_ok=True)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    spec = ModelSpec(
        name='planted',
        onnx_sha256=sha256_of(path),
        input_height=16,
        input_width=32,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        has_confidence=False,
        canonical_focal_px=30.0,
        training_data='none',
        training_command='none',
        metrics={},
        licence='Apache-2.0',
    )
    save_spec(spec, path)


@pytest.fixture(scope='module')
def wheel(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    # Without isolation nothing is downloaded.
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation']
    run([*command, '--wheel-dir', folder, tree], cwd=folder)
    (path,) = folder.glob('*.whl')
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope='module')
def colcon(tree, tmp_path_factory):
    """Give a function that runs colcon on the tree with all it writes elsewhere."""
    pytest.importorskip('colcon_core')
    scratch = tmp_path_factory.mktemp('colcon')

    def call(verb, *arguments):
        logs = ['--log-base', scratch / 'log']
        command = [sys.executable, '-m', 'colcon', *logs, verb, '--base-paths', tree]
        return run([*command, *arguments], cwd=scratch, COLCON_HOME=str(scratch / 'home'))

    return call


@pytest.fixture(scope='module')
def install(colcon, tmp_path_factory):
    base = tmp_path_factory.mktemp('workspace')
    colcon('build', '--build-base', base / 'build', '--install-base', base / 'install')
    return base / 'install'


def run(command, cwd, **env):
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=os.environ | env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_colcon_takes_the_package_for_a_ros_one(colcon):
    # It falls back to plain `python`, without a word, where package.xml is not valid.
    name, _, kind = colcon('list').split()
    assert (name, kind) == (PACKAGE, '(ros.ament_python)')


def test_colcon_installs_where_ros_looks(install):
    prefix = install / PACKAGE
    share = prefix / 'share' / PACKAGE
    marker = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages' / PACKAGE
    assert marker.is_file()
    assert (share / 'package.xml').is_file()
    installed = {path.name for path in (prefix / 'lib' / PACKAGE).iterdir()}
    assert installed == entry_points((ROOT / 'setup.py').read_text())
    for folder, pattern, target in (
        ('launch', '*.launch.py', 'launch'),
        ('config/ros', '*.yaml', 'config'),
        ('config/dds', '*', 'config/dds'),
        ('rviz', '*', 'rviz'),
    ):
        sources = {path.name for path in (ROOT / folder).glob(pattern)}
        assert sources
        assert sources <= {path.name for path in (share / target).iterdir()}


def test_every_pattern_of_setup_finds_files():
    patterns = re.findall(r"glob\('(.+?)'\)", (ROOT / 'setup.py').read_text())
    assert patterns
    assert [pattern for pattern in patterns if not list(ROOT.glob(pattern))] == []


def entry_points(text):
    return set(re.findall(r"'(depth_\w+) = ", text))


def test_colcon_leaves_the_scripts_of_the_repository_out(install):
    top = {path.name for path in (install / PACKAGE).rglob('site-packages/*')}
    assert {'ssd_depth_core', 'ssd_depth_ros'} <= top
    assert not top & {'training', 'bench', 'test', 'conftest.py'}


@pytest.mark.ros
def test_installed_node_starts_with_the_installed_model_and_ends_clean(install, tmp_path):
    pytest.importorskip('rclpy')
    executable = install / PACKAGE / 'lib' / PACKAGE / 'depth_node'
    process = subprocess.Popen(
        ['bash', '-c', f'. {install}/setup.bash && exec {executable} --ros-args'],
        cwd=tmp_path,
        env=os.environ | {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF', 'ROS_LOG_DIR': str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        # That name is only in the copy's weights, so nothing came from the source tree.
        log = read_until(process.stdout, b'model planted', START_TIMEOUT_S)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=STOP_TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, (log + rest).decode()
    assert b'Traceback' not in rest


def read_until(stream, word, timeout_s):
    """Read a process's output until a word appears in it."""
    deadline = time.monotonic() + timeout_s
    seen = b''
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while word not in seen:
            assert selector.select(deadline - time.monotonic()), f'no {word!r} in time in {seen!r}'
            chunk = os.read(stream.fileno(), 65536)
            assert chunk, f'ended without {word!r}: {seen.decode()}'
            seen += chunk
    return seen


def test_wheel_holds_both_packages_and_nothing_else(wheel):
    top = {name.split('/')[0] for name in wheel.namelist()}
    assert {name for name in top if not re.search(r'-[\d.]+\.(data|dist-info)$', name)} == {
        'ssd_depth_core',
        'ssd_depth_ros',
    }


def test_wheel_holds_every_module_and_the_weights(wheel, tree):
    sources = {
        path.relative_to(tree).as_posix()
        for package in ('ssd_depth_core', 'ssd_depth_ros')
        for path in (tree / package).rglob('*')
        if path.suffix in {'.py', '.onnx', '.json', '.yaml'}
    }
    assert 'ssd_depth_core/weights/student.onnx' in sources
    assert 'ssd_depth_core/synthdrive/rigs/nuscenes.yaml' in sources
    assert sources <= set(wheel.namelist())


def test_every_entry_point_has_its_module(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith('entry_points.txt'))
    targets = re.findall(r'= ([\w.]+):main', wheel.read(name).decode())
    assert len(targets) == len(entry_points((ROOT / 'setup.py').read_text())) > 0
    for target in targets:
        source = wheel.read(target.replace('.', '/') + '.py').decode()
        assert re.search(r'^def main\(', source, re.MULTILINE), f'{target} has no main()'


def metadata(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith('dist-info/METADATA'))
    return email.message_from_bytes(wheel.read(name))


def test_one_version_everywhere(wheel):
    declared = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    assert declared == metadata(wheel)['Version'] == ssd_depth_core.__version__


def pins():
    lines = (ROOT / 'requirements' / 'constraints.txt').read_text().splitlines()
    found = {}
    for line in lines:
        if not line.startswith('#'):
            requirement, _, marker = line.partition('; ')
            name, version = requirement.split('==')
            found.setdefault(name, {})[marker] = version
    return found


def test_extras_and_the_tested_versions_agree(wheel):
    required = metadata(wheel).get_all('Requires-Dist')
    exact = [re.match(r'([\w-]+)(?:\[\w+\])? ?==([\w.]+)', line) for line in required]
    exact = [match.groups() for match in exact if match]
    assert len(exact) >= 7
    for name, version in exact:
        assert set(pins()[name].values()) == {version}


@pytest.mark.parametrize('name', ['demo.txt', 'test.txt'])
def test_everything_installed_is_pinned(name):
    lines = (ROOT / 'requirements' / name).read_text().splitlines()
    wanted = [re.split(r'[[;]', line)[0] for line in lines if line and line[0] not in '#-']
    assert wanted
    assert set(wanted) <= set(pins())


def test_the_demo_needs_no_torch():
    assert not {'torch', 'torchvision', 'timm'} & set(
        (ROOT / 'requirements' / 'demo.txt').read_text().splitlines()
    )


def test_package_xml_names_every_ros_package_that_is_imported():
    declared = {
        element.text for element in ElementTree.parse(ROOT / 'package.xml').iter('exec_depend')
    }
    text = '\n'.join(
        path.read_text()
        for path in [*(ROOT / PACKAGE).rglob('*.py'), *(ROOT / 'launch').glob('*.py')]
    )
    imported = set(re.findall(r'^\s*(?:from|import) (\w+)', text, re.MULTILINE))
    ros = {
        name
        for name in imported
        if name.endswith(('_msgs', '_srvs', '_interfaces', '_msgs_py'))
        or name in {'ament_index_python', 'cv_bridge', 'launch', 'launch_ros', 'rclpy'}
    }
    assert {'rclpy', 'sensor_msgs'} <= ros
    assert ros <= declared
