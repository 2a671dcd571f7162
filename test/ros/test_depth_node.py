"""The node as a process, over real DDS."""

from pathlib import Path
import re
import signal
from threading import Event
import time

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from ssd_depth_core.runtime.predictor import DepthPredictor

pytestmark = pytest.mark.ros

SIZE = (96, 160)
DEPTH = 'depth_node/depth/image'
INFO = 'depth_node/depth/camera_info'
POINTS = 'depth_node/points'
CONFIDENCE = 'depth_node/confidence/image'
COLORMAP = 'depth_node/depth/colormap'
OUTPUTS = (DEPTH, INFO, POINTS, CONFIDENCE, COLORMAP)


def pixels(message, dtype=np.float32):
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width, -1).squeeze()


@pytest.fixture
def camera(messages):
    """Publish pictures with their camera_info, and wait for what comes of them."""

    class Camera:
        def __init__(self, peer):
            self.peer = peer

        def send(self, kind=Image, *, info=True, header=None, **of_picture):
            header = header or self.peer.header('cam_front')
            if info:
                self.peer.camera_info.publish(messages.camera_info(header, SIZE))
            picture = messages.picture(*SIZE, **of_picture)
            if kind is Image:
                self.peer.image.publish(messages.image(header, picture))
            else:
                self.peer.compressed.publish(messages.jpeg(header, picture))
            return header

        def answer(self, topic, header):
            def found():
                return [m for m in self.peer.received[topic] if m.header.stamp == header.stamp]

            return self.peer.wait(found, f'{topic} of {header.stamp}')[0]

        def depth(self, **of_picture):
            return self.answer(DEPTH, self.send(**of_picture))

    return Camera


@pytest.fixture
def started(start_node, camera):
    """Start a node, wait until it hears and is heard."""

    def start(**parameters):
        node, peer = start_node(**parameters)
        peer.listen()
        peer.wait_matched()
        return node, peer, camera(peer)

    return start


def error_of(peer):
    """Wait for the next status that reports a fault, and return its message."""
    return peer.wait_status(lambda status: status.level == DiagnosticStatus.ERROR).message


@pytest.mark.parametrize('kind', [Image, CompressedImage])
def test_picture_gives_every_output_with_its_stamp_and_frame(started, kind):
    node, _, camera = started()
    header = camera.send(kind)
    depth, info, points, confidence, colormap = (camera.answer(t, header) for t in OUTPUTS)
    assert all(m.header == header for m in (depth, info, points, confidence, colormap))
    assert {(m.height, m.width) for m in (depth, info, points, confidence, colormap)} == {(24, 40)}
    assert (depth.encoding, confidence.encoding, colormap.encoding) == ('32FC1', '32FC1', 'bgr8')
    # The focal length of 100 px becomes 25 px at a quarter of the size: half the canonical 50 px.
    # JPEG blurs the edge between sky and street, so the columns beside it are not compared.
    metres = pixels(depth)
    exact = kind is Image
    np.testing.assert_allclose(metres[:, 24:], 0.5 * 255 / 51, rtol=1e-6 if exact else 0.05)
    assert np.isnan(metres[:, :16]).all()
    np.testing.assert_allclose(info.k, [25, 0, 19.5, 0, 25, 11.5, 0, 0, 1])
    np.testing.assert_allclose(info.p, [25, 0, 19.5, 0, 0, 25, 11.5, 0, 0, 0, 1, 0])
    np.testing.assert_allclose(pixels(confidence), 204 / 255, atol=1e-6 if exact else 0.02)
    assert not pixels(colormap, np.uint8)[:, :16].any()
    assert pixels(colormap, np.uint8)[:, 24:].any(axis=2).all()
    assert f'as sensor_msgs/{kind.__name__}' in node.text()


def test_other_kind_of_image_is_taken_after_a_silence(started):
    node, peer, camera = started()
    camera.depth()
    # The other kind is let go at the first image, and asked for again some seconds after the last.
    peer.wait(lambda: not peer.compressed.get_subscription_count(), 'the choice of raw')
    peer.wait(peer.compressed.get_subscription_count, 'both kinds to be asked for')
    camera.answer(DEPTH, camera.send(CompressedImage))
    peer.wait(lambda: not peer.image.get_subscription_count(), 'the choice of compressed')
    assert 'as sensor_msgs/CompressedImage' in node.text()


def test_transport_by_parameter_leaves_the_other_kind_alone(start_node, camera):
    _, peer = start_node(transport='compressed')
    peer.listen()
    peer.wait(peer.compressed.get_subscription_count, 'compressed to match')
    peer.wait(peer.camera_info.get_subscription_count, 'camera_info to match')
    status = peer.wait_status(lambda status: status.level == DiagnosticStatus.WARN)
    assert status.message.startswith('no image on /image/compressed for ')
    assert not peer.image.get_subscription_count()
    camera(peer).answer(DEPTH, camera(peer).send(CompressedImage))


def test_cloud_projects_back_onto_the_depth_image(started):
    _, _, camera = started()
    header = camera.send()
    depth, info, cloud = (camera.answer(t, header) for t in (DEPTH, INFO, POINTS))
    xyz = np.frombuffer(cloud.data, np.float32).reshape(24, 40, 4)[..., :3]
    np.testing.assert_array_equal(xyz[..., 2], pixels(depth))
    uvw = xyz @ info.k.reshape(3, 3).T
    v, u = np.mgrid[:24, 20:40]
    np.testing.assert_allclose(uvw[:, 20:, 0] / uvw[:, 20:, 2], u, atol=1e-4)
    np.testing.assert_allclose(uvw[:, 20:, 1] / uvw[:, 20:, 2], v, atol=1e-4)


def test_best_effort_input_works_with_a_reliable_camera(started):
    _, peer, camera = started(input_qos='sensor')
    # A best-effort reader may miss what is sent before it has matched: send until one arrives.
    for _ in range(100):
        camera.send()
        with peer.changed:
            if peer.changed.wait_for(lambda: peer.received[DEPTH], 0.2):
                return
    raise AssertionError('no depth from a hundred pictures')


def test_names_can_be_remapped_and_outputs_switched_off(start_node):
    _, peer = start_node(
        'image:=cam/image_raw', '__node:=other', '__ns:=/robot', publish__points=False
    )
    status = peer_status(peer)
    assert status.name == '/robot/other: depth'
    topics = dict(peer.node.get_topic_names_and_types())
    assert {'/robot/cam/image_raw', '/robot/camera_info', '/robot/image/compressed'} <= set(topics)
    assert '/robot/other/depth/image' in topics
    assert '/robot/other/points' not in topics


def peer_status(peer):
    peer.listen('/diagnostics')
    return peer.wait_status(lambda status: dict_of(status).get('state') == 'active')


def dict_of(status):
    return {item.key: item.value for item in status.values}


def test_16uc1_at_the_size_of_the_input(started):
    _, _, camera = started(depth_encoding='16UC1', output_size='input')
    header = camera.send()
    depth, info = camera.answer(DEPTH, header), camera.answer(INFO, header)
    assert (depth.encoding, depth.height, depth.width) == ('16UC1', *SIZE)
    millimetres = pixels(depth, np.uint16)
    assert (millimetres[:, 80:] == 2500).all()
    assert not millimetres[:, :80].any()
    np.testing.assert_allclose(info.k, [100, 0, 79.5, 0, 100, 47.5, 0, 0, 1])


def test_parameters_change_at_the_next_picture(started):
    _, peer, camera = started()
    assert camera.depth().encoding == '32FC1'
    assert peer.set_parameter('depth_encoding', '16UC1').successful
    assert camera.depth().encoding == '16UC1'
    assert peer.set_parameter('depth_encoding', '32FC1').successful
    assert peer.set_parameter('far_value', 'infinite').successful
    assert np.isposinf(pixels(camera.depth())[:, :20]).all()
    assert peer.set_parameter('min_confidence', 0.9).successful
    assert np.isnan(pixels(camera.depth())).all()
    assert peer.set_parameter('frame_id', 'elsewhere').successful
    assert camera.depth().header.frame_id == 'elsewhere'


def test_wrong_parameters_are_refused_with_the_reason(started):
    _, peer, camera = started()
    for name, value, reason in (
        ('points.stride', 0, 'range'),
        ('min_confidence', 1.5, 'range'),
        ('model', 'other.onnx', 'read-only'),
        ('depth_encoding', '64FC1', 'depth_encoding must be one of 32FC1, 16UC1'),
        ('points.min_range', 1000.0, 'points.min_range must be below points.max_range'),
        ('intrinsics', [1.0], 'fx, fy, cx, cy'),
    ):
        result = peer.set_parameter(name, value)
        assert not result.successful, name
        assert reason in result.reason
    assert camera.depth().encoding == '32FC1'


def test_confidence_cannot_be_asked_of_a_model_without(started, messages, tmp_path):
    model = messages.write_model(tmp_path / 'plain.onnx', confidence=False)
    _, peer, camera = started(model=model)
    result = peer.set_parameter('points.fields', 'xyzi')
    assert not result.successful
    assert 'gives no confidence' in result.reason
    assert not peer.node.count_publishers('/depth_node/confidence/image')
    assert camera.depth()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'points__stride': 0}, 'points.stride'),
        (
            {'backend': 'torch'},
            'backend must be one of auto, openvino, onnxruntime, tensorrt',
        ),
    ],
)
def test_wrong_parameters_at_the_start_end_the_node(start_node, arguments, message):
    node, _ = start_node(**arguments)
    assert node.process.wait(60) == 1
    assert message in node.text()
    assert 'Traceback' not in node.text()


def test_missing_model_fails_configure_and_the_node_lives(start_node, tmp_path):
    missing = tmp_path / 'missing.onnx'
    node, peer = start_node(model=missing)
    peer.listen('/diagnostics')
    assert f'configure failed: model not found at {missing}' in error_of(peer)
    assert peer.state() == 'unconfigured'
    assert not peer.change_state(Transition.TRANSITION_CONFIGURE)
    assert peer.state() == 'unconfigured'
    assert 'python -m training.export' in node.text()
    assert node.process.poll() is None


def test_model_repaired_later_can_be_configured(start_node, camera, messages, tmp_path):
    path = messages.write_model(tmp_path / 'torn.onnx')
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    _, peer = start_node(model=path)
    peer.listen()
    assert 'has sha256' in error_of(peer)
    path.write_bytes(whole)
    assert peer.change_state(Transition.TRANSITION_CONFIGURE)
    assert peer.change_state(Transition.TRANSITION_ACTIVATE)
    peer.wait_matched()
    assert camera(peer).depth()
    assert peer.wait_status(lambda status: status.message == 'running')


NONSENSE = 'failed: Unexpected QoS override for policy `reliability`: `nonsense`'


def test_failed_activate_is_named_and_undone(start_node):
    node, peer = start_node(**{'qos_overrides./camera_info.subscription.reliability': 'nonsense'})
    peer.listen('/diagnostics')
    for _ in range(2):
        assert f'activate {NONSENSE}' in error_of(peer)
        assert peer.state() == 'unconfigured'
        assert not peer.node.count_publishers('/depth_node/depth/image')
        assert not peer.image.get_subscription_count()
        assert peer.change_state(Transition.TRANSITION_CONFIGURE)
        assert peer.wait_status(lambda status: status.message == 'inactive')
        assert not peer.change_state(Transition.TRANSITION_ACTIVATE)
    assert 'ros2 lifecycle set /depth_node configure' in node.text()


def test_output_that_cannot_be_advertised_takes_the_others_along(start_node):
    _, peer = start_node(**{'qos_overrides./depth_node/points.publisher.reliability': 'nonsense'})
    peer.listen('/diagnostics')
    assert f'configure {NONSENSE}' in error_of(peer)
    assert not peer.node.count_publishers('/depth_node/depth/image')
    assert not peer.change_state(Transition.TRANSITION_CONFIGURE)
    assert peer.state() == 'unconfigured'


@pytest.fixture
def node_here(model):
    """A configured and active node in this process, where its methods can be made to fail."""
    import rclpy
    from ssd_depth_ros.depth_node import DepthNode

    context = rclpy.Context()
    rclpy.init(context=context)
    values = {'model': str(model), 'backend': 'onnxruntime', 'num_threads': 1}
    overrides = [rclpy.Parameter(name, value=value) for name, value in values.items()]
    node = DepthNode(context=context, parameter_overrides=overrides)
    node.autostart()
    yield node
    node.stop()
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def node_to_configure(model, monkeypatch):
    """A node in this process, unconfigured, that tells its diagnostics often."""
    import rclpy
    from ssd_depth_ros import depth_node

    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setattr(depth_node, 'DIAGNOSTICS_PERIOD_S', 0.02)
    context = rclpy.Context()
    rclpy.init(context=context)
    overrides = [
        rclpy.Parameter(name, value=value)
        for name, value in (('model', str(model)), ('backend', 'onnxruntime'))
    ]
    node = depth_node.DepthNode(context=context, parameter_overrides=overrides)
    yield node
    node.stop()
    node.destroy_node()
    context.try_shutdown()


def test_diagnostics_go_on_while_the_model_is_loaded(node_to_configure, model, monkeypatch):
    from rclpy.lifecycle import TransitionCallbackReturn

    told, load = [], DepthPredictor.load
    first, enough = Event(), Event()

    def publish(message):
        told.append(message.status[0])
        first.set()
        if len(told) == 3:
            enough.set()

    def load_slowly(*arguments, progress, **options):
        assert first.wait(20)
        progress('Timing kernels', 0.25)
        assert enough.wait(20)
        return load(*arguments, **options)

    monkeypatch.setattr(node_to_configure._diagnostics, 'publish', publish)
    monkeypatch.setattr(DepthPredictor, 'load', load_slowly)
    assert node_to_configure.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert all(dict_of(status)['state'] == 'configuring' for status in told)
    assert all(status.level == DiagnosticStatus.OK for status in told)
    assert told[0].message == f'loading {model}, for 0 s'
    building = f'BUILDING an engine for {model} (Timing kernels, 25%), for '
    assert told[2].message.startswith(building)


def test_end_of_ros_stops_the_building_of_an_engine(node_to_configure, monkeypatch):
    ended = Event()

    def build_for_ever(*_, progress, **__):
        try:
            node_to_configure.context.shutdown()
            while True:
                progress('Timing kernels', 0.25)
                time.sleep(0.01)
        finally:
            ended.set()

    monkeypatch.setattr(DepthPredictor, 'load', build_for_ever)
    # rclpy cannot tell the new state to anybody any more; `main` ends without a word on it.
    with pytest.raises(RuntimeError):
        node_to_configure.trigger_configure()
    assert ended.is_set()
    assert 'ROS was shut down' in node_to_configure.failure


def test_end_of_ros_does_not_wait_for_what_never_ends(node_to_configure, monkeypatch, capfd):
    from ssd_depth_ros import depth_node

    go_on = Event()

    def load_for_ever(*_, **__):
        node_to_configure.context.shutdown()
        go_on.wait(60)

    monkeypatch.setattr(DepthPredictor, 'load', load_for_ever)
    monkeypatch.setattr(depth_node, 'CANCEL_TIMEOUT_S', 0.1)
    with pytest.raises(RuntimeError):
        node_to_configure.trigger_configure()
    assert 'did not stop within 0 s' in capfd.readouterr().err
    go_on.set()


@pytest.mark.parametrize('error', [OSError('no such device'), KeyError('gone')])
@pytest.mark.parametrize(
    ('before', 'transition', 'method'),
    [((), 'deactivate', 'stop'), (('deactivate',), 'cleanup', '_release')],
)
def test_failed_way_down_is_named_and_finished(
    node_here, monkeypatch, capfd, before, transition, method, error
):
    from rclpy.lifecycle import TransitionCallbackReturn

    def fail_once():
        monkeypatch.undo()
        raise error

    for name in before:
        getattr(node_here, f'trigger_{name}')()
    monkeypatch.setattr(node_here, method, fail_once)
    result = getattr(node_here, f'trigger_{transition}')()
    assert result == TransitionCallbackReturn.ERROR
    assert f'{transition} failed: ' in node_here.failure
    assert str(error) in node_here.failure
    assert ('Traceback' in capfd.readouterr().err) == isinstance(error, KeyError)
    assert node_here.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert not node_here.failure


def broken_images(messages):
    def cut_off(header):
        message = messages.image(header, messages.picture(*SIZE))
        message.data = message.data[:-100]
        return message

    def unknown_encoding(header):
        return messages.image(header, messages.picture(*SIZE), encoding='telepathy8')

    def empty(header):
        return Image(header=header, encoding='rgb8')

    def other_size(header):
        return messages.image(header, messages.picture(48, 80))

    return [
        (cut_off, 'image is cut off: 480 x 96 bytes expected, got 45980'),
        (unknown_encoding, "'telepathy8' is not one of rgb8"),
        (empty, 'image is empty: 0x0'),
        (other_size, '/camera_info is for 160x96 pixels, the image has 80x48'),
    ]


def test_broken_pictures_are_left_out_and_named(started, messages):
    node, peer, camera = started()
    camera.depth()
    for count, (make, message) in enumerate(broken_images(messages), start=1):
        header = peer.header()
        peer.camera_info.publish(messages.camera_info(header, SIZE))
        peer.image.publish(make(header))
        status = peer.wait_status(lambda s, count=count: dict_of(s)['faulty'] == f'{count}')
        assert status.level == DiagnosticStatus.ERROR
        assert message in status.message
        assert camera.depth()
    assert 'image left out: image is cut off' in node.text()


def test_fault_of_the_network_is_no_free_space(started, messages, tmp_path):
    model = messages.write_model(tmp_path / 'faulty.onnx', floor=0.0)
    _, peer, camera = started(model=model, far_value='infinite')
    camera.send()  # its left half is black
    assert 'model tiny: inverse_depth must be finite and > 0, got ' in error_of(peer)
    assert not peer.received[DEPTH]


def test_torn_jpeg_is_left_out_and_named(started, messages):
    _, peer, camera = started()
    good = camera.send(CompressedImage)
    camera.answer(DEPTH, good)
    torn = messages.jpeg(peer.header(), messages.picture(*SIZE))
    torn.data = torn.data[: len(torn.data) // 2]
    peer.compressed.publish(torn)
    assert 'cut short' in error_of(peer)
    camera.answer(DEPTH, camera.send(CompressedImage))


def test_missing_camera_info_is_named_until_it_comes(started):
    _, peer, camera = started(camera_info_timeout=0.01)
    camera.send(info=False)
    message = error_of(peer)
    assert 'no camera_info on /camera_info; publish it there, remap camera_info' in message
    assert not peer.received[DEPTH]
    assert camera.depth()


def test_zero_focal_length_is_named(started, messages):
    _, peer, camera = started()
    header = peer.header()
    peer.camera_info.publish(messages.camera_info(header, SIZE, focal=0.0))
    camera.send(info=False, header=header)
    assert '/camera_info has zero focal length; calibrate the camera' in error_of(peer)
    assert camera.depth()


def test_newest_camera_info_serves_every_stamp_with_one_warning(started):
    node, peer, camera = started(camera_info_timeout=0.01)
    camera.depth()
    for _ in range(3):
        assert camera.answer(INFO, camera.send(info=False)).k[0] == 25
    peer.wait_status(lambda status: dict_of(status)['frames_out'] == '4')
    assert node.text().count("no message of the image's stamp") == 1


def test_latched_camera_info_from_before_the_start_is_heard(start_node, camera, messages):
    def latch(peer):
        peer.node.destroy_publisher(peer.camera_info)
        qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        peer.camera_info = peer.node.create_publisher(CameraInfo, 'camera_info', qos)
        peer.camera_info.publish(messages.camera_info(peer.header(), SIZE))

    node, peer = start_node(before=latch, camera_info_timeout=0.01)
    peer.listen()
    peer.wait_matched()
    peer.wait(lambda: peer.camera_info.get_subscription_count() == 2, 'the question')
    # The answer is on its way; the first pictures may overtake it.
    for _ in range(100):
        camera(peer).send(info=False)
        with peer.changed:
            if peer.changed.wait_for(lambda: peer.received[INFO], 0.2):
                break
    assert peer.received[INFO][0].k[0] == 25
    assert 'incompatible' not in node.text().lower()


def test_ordinary_camera_is_not_asked_for_latched_messages(started):
    node, peer, camera = started()
    for _ in range(3):
        peer.wait_status(lambda status: dict_of(status)['frames_in'] == '0')
    assert peer.camera_info.get_subscription_count() == 1
    assert camera.depth()
    assert 'incompatible' not in node.text().lower()


def test_intrinsics_serve_where_the_camera_is_not_calibrated(started, messages):
    node, peer, camera = started(camera_info_timeout=0.01, intrinsics='[200.0, 200.0, 79.5, 47.5]')
    header = camera.send(info=False)
    assert camera.answer(INFO, header).k[0] == 50
    np.testing.assert_allclose(pixels(camera.answer(DEPTH, header))[:, 20:], 5.0, rtol=1e-6)
    header = peer.header()
    peer.camera_info.publish(messages.camera_info(header, SIZE, focal=0.0))
    camera.send(info=False, header=header)
    assert camera.answer(INFO, header).k[0] == 50
    assert node.text().count('the parameter intrinsics is used') == 1
    assert camera.answer(INFO, camera.send()).k[0] == 25


def test_nobody_listening_leaves_the_network_idle(start_node, camera):
    _, peer = start_node()
    peer.listen('/diagnostics')
    peer.wait_status(lambda status: 'depth 0' in dict_of(status).get('subscribers', ''))
    peer.wait(peer.camera_info.get_subscription_count, 'camera_info to match')
    peer.wait(peer.image.get_subscription_count, 'image to match')
    camera(peer).send()
    status = peer.wait_status(lambda status: dict_of(status).get('skipped') == '1')
    assert dict_of(status)['frames_out'] == '0'
    assert peer.set_parameter('lazy', False).successful
    camera(peer).send()
    peer.wait_status(lambda status: dict_of(status)['frames_out'] == '1')


def test_overload_drops_old_pictures_and_counts_every_one(started, messages, tmp_path):
    model = messages.write_model(tmp_path / 'busy.onnx', work_channels=256)
    _, peer, camera = started(model=model)
    for sent in (5, 10, 15):
        last = [camera.send() for _ in range(5)][-1]
        peer.wait_status(lambda s, sent=sent: dict_of(s)['frames_in'] == str(sent))
        camera.answer(DEPTH, last)

    def settled(status):
        values = {k: int(v) for k, v in dict_of(status).items() if re.fullmatch(r'\d+', v)}
        return values['frames_in'] == values['frames_out'] + values['dropped'] and values

    status = peer.wait_status(settled)
    counts = dict_of(status)
    assert int(counts['dropped']) > 0
    assert int(counts['frames_out']) == len(peer.received[DEPTH])
    assert counts['faulty'] == counts['skipped'] == '0'
    assert status.level == DiagnosticStatus.WARN
    assert 'images dropped lately' in status.message


def test_stats_and_diagnostics_carry_the_figures(started):
    _, peer, camera = started()
    now = peer.node.get_clock().now().to_msg()
    header = peer.header()
    header.stamp = now
    camera.answer(DEPTH, camera.send(header=header))
    status = peer.wait_status(lambda s: dict_of(s).get('frames_out') == '1')
    values = dict_of(status)
    # 0.97 of 80 m, at 25 px of the canonical 50 px.
    assert values['range_m'] == '38.8'
    assert 0 < float(values['age_ms_p50']) < 10_000
    for name in ('wait', 'decode', 'join', 'predict', 'publish', 'latency'):
        assert 0 <= float(values[f'{name}_ms_p50']) <= float(values['latency_ms_p99'])
    assert status.hardware_id.startswith('onnxruntime on ')
    stats = peer.wait(
        lambda: [m for m in peer.received['depth_node/stats'] if dict_of(m.status[0]) == values],
        'the same figures on ~/stats',
    )
    assert stats[0].header.stamp.sec >= now.sec


def test_clock_that_jumps_back_forgets_the_times(started):
    from rosgraph_msgs.msg import Clock

    _, peer, camera = started(use_sim_time=True)
    clock = peer.node.create_publisher(Clock, '/clock', 10)
    peer.wait(clock.get_subscription_count, '/clock to match')
    clock.publish(Clock(clock=Time(sec=1_700_000_100)))
    peer.wait_status(lambda s: True)
    header = camera.send()
    camera.answer(DEPTH, header)
    status = peer.wait_status(lambda s: dict_of(s).get('frames_out') == '1')
    assert float(dict_of(status)['age_ms_p50']) == pytest.approx(100_000, abs=1)
    clock.publish(Clock(clock=Time(sec=1_600_000_000)))
    status = peer.wait_status(lambda s: 'age_ms_p50' not in dict_of(s))
    assert dict_of(status)['frames_out'] == '1'
    camera.depth()
    status = peer.wait_status(lambda s: dict_of(s)['frames_out'] == '2')
    assert 'latency_ms_p50' in dict_of(status)
    assert 'age_ms_p50' not in dict_of(status)


def test_shared_memory_profile_is_valid(start_node, monkeypatch):
    profile = Path(__file__).parents[2] / 'config' / 'dds' / 'fastdds_shm.xml'
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', str(profile))
    node, peer = start_node()
    peer_status(peer)
    lines = Path(f'/proc/{node.process.pid}/maps').read_text().splitlines()
    shared = [line.split()[0].split('-') for line in lines if '/dev/shm/fastrtps' in line]
    assert max(int(end, 16) - int(start, 16) for start, end in shared) >= 64 << 20


def test_ten_lifecycle_cycles_leak_nothing(started):
    import psutil

    node, peer, camera = started()
    process = psutil.Process(node.process.pid)
    camera.depth()
    counts = []
    for _ in range(10):
        for transition in (
            Transition.TRANSITION_DEACTIVATE,
            Transition.TRANSITION_CLEANUP,
            Transition.TRANSITION_CONFIGURE,
            Transition.TRANSITION_ACTIVATE,
        ):
            assert peer.change_state(transition)
        peer.wait_matched()
        assert camera.depth()
        counts.append((process.num_threads(), process.num_fds(), process.memory_info().rss))
    (threads, files, rss), (threads_end, files_end, rss_end) = counts[1], counts[-1]
    assert threads_end == threads
    assert files_end <= files + 2
    assert rss_end - rss < 20e6
    assert peer.change_state(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert peer.state() == 'finalized'
    assert 'Traceback' not in node.text()


def test_without_autostart_the_node_waits(start_node):
    _, peer = start_node(autostart=False)
    assert peer.state() == 'unconfigured'
    assert peer.change_state(Transition.TRANSITION_CONFIGURE)
    assert peer.state() == 'inactive'


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_with_zero_and_without_a_traceback(started, how):
    node, _, camera = started()
    camera.depth()
    assert node.interrupt(how) == 0
    assert 'Traceback' not in node.text()
    assert 'Exception' not in node.text()


def test_command_line_is_explained_and_what_ros_would_pass_over_is_refused(capsys):
    from ssd_depth_ros.depth_node import main

    with pytest.raises(SystemExit) as asked:
        main(['--help'])
    out = capsys.readouterr().out
    assert asked.value.code == 0
    assert out.startswith('usage: depth_node ')
    assert '  points.stride (default: 1)' in out
    with pytest.raises(SystemExit) as wrong:
        main(['-p', 'backend:=openvino'])
    assert wrong.value.code == 2
    assert 'unrecognized arguments: -p' in capsys.readouterr().err
