"""What goes out for a frame, and from which memory, with a stand-in for the node."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2
from ssd_depth_core.runtime.colormap import colorize
from ssd_depth_core.runtime.predictor import DepthPrediction
from ssd_depth_ros.camera_info import calibration_from
from ssd_depth_ros.outputs import Frame, Outputs
from ssd_depth_ros.parameters import Parameters
from std_msgs.msg import Header

SIZE, GRID = (96, 160), (24, 40)
NAN, INF = np.nan, np.inf


class Publisher:
    """Stand in for a publisher with one subscriber; keeps the last message."""

    def __init__(self, topic):
        self.topic, self.message = topic, None

    def get_subscription_count(self):
        return 1

    def publish(self, message):
        self.message = message


class Node:
    def __init__(self):
        self.publishers = {}

    def create_lifecycle_publisher(self, kind, topic, qos, *, qos_overriding_options):
        self.publishers[topic] = Publisher(topic)
        return self.publishers[topic]


def setup(camera='', **values):
    node = Node()
    parameters = Parameters().replace(values)
    return node.publishers, Outputs(node, parameters, True, camera), parameters


def frame(size=SIZE, grid=GRID):
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 60, grid).astype(np.float32)
    depth[: grid[0] // 3] = NAN
    confidence = rng.uniform(0, 1, grid).astype(np.float32)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    return Frame(
        header=Header(frame_id='cam'),
        image=image,
        calibration=calibration_from((100.0, 100.0, 79.5, 47.5), size),
        prediction=DepthPrediction(depth=depth, confidence=confidence, K=None),
    )


def pixels(publisher, dtype=np.float32):
    message = publisher.message
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


def test_topics_of_a_named_camera_are_below_its_name():
    single, *_ = setup()
    named, *_ = setup('cam_front')
    assert set(named) == {topic.replace('~/', '~/cam_front/') for topic in single}


def test_depth_goes_out_as_predicted():
    publishers, outputs, parameters = setup()
    sent = frame()
    outputs.publish(sent, parameters)
    np.testing.assert_array_equal(pixels(publishers['~/depth/image']), sent.prediction.depth)
    np.testing.assert_array_equal(
        pixels(publishers['~/confidence/image']), sent.prediction.confidence
    )
    cloud: PointCloud2 = publishers['~/points'].message
    assert (cloud.height, cloud.width) == GRID


@pytest.mark.parametrize('output_size', ['network', 'input'])
def test_far_and_doubtful_depth_in_metres_and_millimetres(output_size):
    publishers, outputs, parameters = setup(
        output_size=output_size, far_value='infinite', min_confidence=0.5
    )
    sent = frame()
    outputs.publish(sent, parameters)
    depth, confidence = sent.prediction.depth, sent.prediction.confidence
    expected = np.where(confidence < 0.5, NAN, np.where(np.isnan(depth), INF, depth))
    times = 4 if output_size == 'input' else 1
    expected = expected.repeat(times, axis=0).repeat(times, axis=1)
    np.testing.assert_array_equal(pixels(publishers['~/depth/image']), expected)
    colours = np.frombuffer(publishers['~/depth/colormap'].message.data, np.uint8)
    np.testing.assert_array_equal(
        colours.reshape(*expected.shape, 3)[..., ::-1], colorize(expected)
    )
    # The prediction belongs to its maker.
    assert np.isnan(depth[0]).all()
    outputs.publish(sent, parameters.replace({'depth_encoding': '16UC1'}))
    coded = pixels(publishers['~/depth/image'], np.uint16)
    known = np.isfinite(expected)
    np.testing.assert_array_equal(coded[known], np.rint(expected[known] * np.float32(1000)))
    assert not coded[~known].any()


@pytest.mark.parametrize('output_size', ['network', 'input'])
def test_second_frame_takes_no_memory(output_size):
    _, outputs, parameters = setup(
        output_size=output_size, min_confidence=0.3, **{'publish.colormap': False}
    )
    sent = frame((768, 1280), (384, 640))
    outputs.publish(sent, parameters)
    tracemalloc.start()
    outputs.publish(sent, parameters)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The smallest array of a value a pixel would be 245 kB; NumPy's own buffers are 33 kB.
    assert peak < 80_000


def test_each_topic_keeps_its_message():
    publishers, outputs, parameters = setup()
    outputs.publish(frame(), parameters)
    first = {topic: publisher.message for topic, publisher in publishers.items()}
    outputs.publish(frame(), parameters)
    kept = {topic for topic, p in publishers.items() if p.message is first[topic]}
    assert kept == set(publishers) - {'~/depth/camera_info'}


def test_clouds_come_no_faster_than_asked():
    publishers, outputs, parameters = setup(**{'points.max_rate': 0.001})
    for _ in range(2):  # one by right, one for the time before
        outputs.publish(frame(), parameters)
    publishers['~/points'].message = None
    outputs.publish(frame(), parameters)
    assert publishers['~/points'].message is None
    assert publishers['~/depth/image'].message is not None


def test_output_that_cannot_be_advertised_takes_the_others_along():
    destroyed = []

    def create(kind, topic, qos, *, qos_overriding_options):
        if topic == '~/points':
            raise ValueError('no')
        return topic

    node = SimpleNamespace(
        create_lifecycle_publisher=create, destroy_lifecycle_publisher=destroyed.append
    )
    with pytest.raises(ValueError, match='no'):
        Outputs(node, Parameters(), True)
    assert destroyed == ['~/depth/image', '~/depth/camera_info']
