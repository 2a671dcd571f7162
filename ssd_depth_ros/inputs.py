"""What the node hears of one camera: its images, in the kind that comes, and its camera_info."""

from collections.abc import Callable
import time

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from ssd_depth_ros.camera import Camera
from ssd_depth_ros.parameters import Parameters
from ssd_depth_ros.reader import Received

IMAGE_QUEUE = 5
"""Images the middleware holds. The executor empties it at once into the mailbox, where old images
are dropped and counted; in a queue of one the middleware would drop some that nobody counts."""
SILENCE_S = 5.0
"""Without an image, until both kinds are listened to again: longer than a camera's hiccup."""
TRANSPORTS = {'raw': (Image, 'image'), 'compressed': (CompressedImage, 'image/compressed')}
# Reliable, because a best-effort reader is not sent what was said before.
LATCHED_QOS = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


class Inputs:
    """Subscribe to one camera, and pass its images on."""

    def __init__(
        self,
        node: LifecycleNode,
        camera: Camera,
        parameters: Callable[[], Parameters],
        submit: Callable[[Received, str], None],
    ) -> None:
        """Subscribe.

        Args:
            node: Who listens.
            camera: To whom; what comes is counted there.
            parameters: Gives the set in force.
            submit: Takes each image, with the camera's name.
        """
        self.last_image_s = time.monotonic()
        """When the last image came, or the subscription began."""
        self._node = node
        self._camera = camera
        self._parameters = parameters
        self._submit = submit
        self._info_topics: list[Subscription] = []
        self._image_topics: dict[type, Subscription] = {}
        try:
            self._listen_for_images()
            self._listen_for_infos(
                QoSProfile(depth=2 * IMAGE_QUEUE, reliability=self._reliability()),
                QoSOverridingOptions.with_default_policies(),
            )
        except Exception:
            self.destroy()  # the caller never gets this object, and could not
            raise
        self._ask_for_latched_camera_info()

    @property
    def image_topics(self) -> tuple[str, ...]:
        """Resolved names of where images are expected."""
        return tuple(topic.topic_name for topic in self._image_topics.values())

    def look_again(self) -> None:
        """Find what has appeared since; to be called about once a second."""
        # Publishers may be found, or started, at any time after us.
        self._ask_for_latched_camera_info()
        # The camera may have been started anew with its other kind of image.
        if time.monotonic() - self.last_image_s > SILENCE_S:
            self._listen_for_images()

    def destroy(self) -> None:
        """Unsubscribe."""
        for subscription in (*self._info_topics, *self._image_topics.values()):
            self._node.destroy_subscription(subscription)
        self._info_topics, self._image_topics = [], {}

    def _listen_for_images(self) -> None:
        """Subscribe to each kind of image that is wanted and not yet subscribed to."""
        for name, (kind, topic) in TRANSPORTS.items():
            if self._parameters().transport in ('auto', name) and kind not in self._image_topics:
                self._image_topics[kind] = self._node.create_subscription(
                    kind,
                    f'{self._camera.prefix}{topic}',
                    self._on_image,
                    QoSProfile(depth=IMAGE_QUEUE, reliability=self._reliability()),
                    qos_overriding_options=QoSOverridingOptions.with_default_policies(),
                )

    def _listen_for_infos(
        self, qos: QoSProfile, overridable: QoSOverridingOptions | None = None
    ) -> None:
        self._info_topics.append(
            self._node.create_subscription(
                CameraInfo,
                f'{self._camera.prefix}camera_info',
                self._camera.infos.add,
                qos,
                qos_overriding_options=overridable,
            )
        )

    def _reliability(self) -> ReliabilityPolicy:
        reliable = self._parameters().input_qos == 'reliable'
        return ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT

    def _ask_for_latched_camera_info(self) -> None:
        """Ask once, and only where a publisher latches, for what it said before we subscribed.

        Asked of an ordinary camera, the question does not match and both sides log a warning.
        """
        if len(self._info_topics) > 1 or not self._camera.infos.is_empty:
            return
        topic = self._node.resolve_topic_name(f'{self._camera.prefix}camera_info')
        publishers = self._node.get_publishers_info_by_topic(topic)
        if any(_latches(info.qos_profile) for info in publishers):
            self._listen_for_infos(LATCHED_QOS)

    def _on_image(self, message: Image | CompressedImage) -> None:
        self.last_image_s = time.monotonic()
        if len(self._image_topics) > 1:
            self._keep_only(type(message))
        camera = self._camera
        camera.statistics.received()
        if self._parameters().lazy and not any(camera.outputs.subscribers().values()):
            camera.statistics.skipped()
            return
        age_s = camera.age_s(message.header.stamp)
        self._submit(Received(message=message, at_s=self.last_image_s, age_s=age_s), camera.name)

    def _keep_only(self, kind: type) -> None:
        """Leave the kind of image that did not come first, or every picture would come twice."""
        for other in [other for other in self._image_topics if other is not kind]:
            self._node.destroy_subscription(self._image_topics.pop(other))
        self._camera.logger.info(
            f'images come on {self._image_topics[kind].topic_name} as sensor_msgs/{kind.__name__}'
        )


def _latches(qos: QoSProfile) -> bool:
    return (qos.durability, qos.reliability) == (LATCHED_QOS.durability, LATCHED_QOS.reliability)
