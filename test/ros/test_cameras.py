"""Several cameras through one node, over real DDS."""

from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

pytestmark = pytest.mark.ros

NAMES = ('front', 'left')
SIZE = (96, 160)
OK, ERROR = DiagnosticStatus.OK, DiagnosticStatus.ERROR


class Rig:
    """Hold the cameras' side and the consumer's: front sends raw images, left JPEG."""

    def __init__(self, peer, messages):
        self.peer, self.messages = peer, messages
        kinds = {'front': (Image, 'image'), 'left': (CompressedImage, 'image/compressed')}
        node = peer.node
        self.images = {
            name: node.create_publisher(kind, f'{name}/{topic}', 5)
            for name, (kind, topic) in kinds.items()
        }
        self.infos = {
            name: node.create_publisher(CameraInfo, f'{name}/camera_info', 5) for name in NAMES
        }
        for name in NAMES:
            for kind, topic in ((Image, 'image'), (CameraInfo, 'camera_info')):
                path = f'depth_node/{name}/depth/{topic}'
                node.create_subscription(kind, path, self.keep(path), 50)
        peer.listen('/diagnostics')
        inputs = (*self.images.values(), *self.infos.values())
        self.wait_statuses(
            lambda statuses: (
                all(' 0' not in messages.value_of(s, 'subscribers', ' 0') for s in statuses[1:])
                and all(publisher.get_subscription_count() for publisher in inputs)
            )
        )

    def keep(self, topic):
        return lambda message: self.peer._on(topic, message)

    def send(self, name, *, focal=100.0, info=True, **of_picture):
        header = self.peer.header(f'{name}_optical')
        if info:
            self.infos[name].publish(self.messages.camera_info(header, SIZE, focal))
        picture = self.messages.picture(*SIZE, **of_picture)
        make = self.messages.image if name == 'front' else self.messages.jpeg
        self.images[name].publish(make(header, picture))
        return header

    def answer(self, name, topic, header):
        path = f'depth_node/{name}/depth/{topic}'

        def found():
            return [m for m in self.peer.received[path] if m.header == header]

        return self.peer.wait(found, f'{path} of {header.stamp}')[0]

    def depth(self, name, header):
        """Give the depth on the right of a picture, where it is the same everywhere [m]."""
        message = self.answer(name, 'image', header)
        metres = np.frombuffer(message.data, np.float32).reshape(message.height, message.width)
        return metres[:, 24:]

    def wait_statuses(self, condition):
        """Wait for the statuses of a message that comes from now on and fulfils a condition."""
        start = len(self.peer.received['/diagnostics'])

        def found():
            arrays = [m.status for m in self.peer.received['/diagnostics'][start:]]
            return next((s for s in arrays if len(s) == 1 + len(NAMES) and condition(s)), None)

        return self.peer.wait(found, 'the statuses')


@pytest.fixture
def rig(start_node, messages):
    _, peer = start_node(
        cameras='[front, left]',
        batch_timeout=10.0,
        camera_info_timeout=0.01,
        publish__points=False,
        publish__confidence=False,
        publish__colormap=False,
    )
    return Rig(peer, messages)


def test_cameras_share_the_network_and_nothing_else(rig, messages):
    # Both in one call: neither is answered before the other has come.
    sent = {'front': rig.send('front', red=51), 'left': rig.send('left', focal=200.0, red=102)}
    np.testing.assert_allclose(rig.depth('front', sent['front']), 0.5 * 255 / 51, rtol=0.01)
    # Twice the focal length, twice the depth of the same canonical depth.
    np.testing.assert_allclose(rig.depth('left', sent['left']), 1.0 * 255 / 102, rtol=0.05)
    assert rig.answer('front', 'camera_info', sent['front']).k[0] == 25
    assert rig.answer('left', 'camera_info', sent['left']).k[0] == 50
    whole, *each = rig.wait_statuses(lambda s: messages.value_of(s[0], 'frames_out') == '2')
    assert messages.value_of(whole, 'network_calls') == '1'
    assert [whole.name, *(s.name for s in each)] == [
        '/depth_node: depth',
        '/depth_node: depth front',
        '/depth_node: depth left',
    ]
    assert [messages.value_of(s, 'frames_out') for s in each] == ['1', '1']
    assert [messages.value_of(s, 'range_m') for s in each] == ['38.8', '77.6']

    # An image that cannot be used leaves its own camera out, and the other goes on.
    rig.send('left', info=False, red=102)  # by the newest camera_info: it can be used
    header = rig.send('front', focal=0.0)
    whole, front, left = rig.wait_statuses(lambda s: messages.value_of(s[0], 'faulty') == '1')
    assert (whole.level, front.level, left.level) == (ERROR, ERROR, OK)
    assert whole.message.startswith('front: /front/camera_info has zero focal length')
    assert not [m for m in rig.peer.received['depth_node/front/depth/image'] if m.header == header]
    assert messages.value_of(left, 'frames_out') == '2'

    # A silent camera holds the others up by the time-out, and that can be changed.
    assert rig.peer.set_parameter('batch_timeout', 0.0).successful
    rig.depth('front', rig.send('front'))
