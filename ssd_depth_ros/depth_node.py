"""The lifecycle node: parameters, messages and timing round `ssd_depth_core.runtime`.

The executor's one thread receives; it leaves images in a one-slot mailbox. One worker thread takes
the newest, and decodes, predicts and publishes it. So a slow network makes frames fewer, not late.
"""

from collections.abc import Callable
import functools
import math
import platform
import sys
import time
import traceback
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
import rclpy
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import (
    LifecycleNode,
    LifecyclePublisher,
    LifecycleState,
    TransitionCallbackReturn,
)
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.runtime.predictor import DepthPredictor
from ssd_depth_ros.camera_info import CameraInfoCache
from ssd_depth_ros.diagnostics import Health, status_of
from ssd_depth_ros.loading import Loading
from ssd_depth_ros.memory import keep_large_blocks
from ssd_depth_ros.outputs import Outputs
from ssd_depth_ros.parameters import declare_parameters, Parameters
from ssd_depth_ros.pipeline import Pipeline, Received
from ssd_depth_ros.worker import Worker

DIAGNOSTICS_PERIOD_S = 1.0
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
OVERRIDABLE = QoSOverridingOptions.with_default_policies
USER_ERRORS = (ImportError, OSError, RuntimeError, ValueError)
"""What a wrong model, parameter or QoS override raises in a transition; others are bugs."""
Transition = Callable[['DepthNode', LifecycleState], TransitionCallbackReturn]


def _guarded(step: Transition) -> Transition:
    """Log and keep why a transition fails: rclpy would drop the exception unread."""

    @functools.wraps(step)
    def transition(node: 'DepthNode', state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return step(node, state)
        except Exception as error:
            is_bug = not isinstance(error, USER_ERRORS)
            reason = repr(error) if is_bug else str(error)
            node.failure = f'{step.__name__.removeprefix("on_")} failed: {reason}'
            details = f'\n{traceback.format_exc()}' if is_bug else ''
            node.get_logger().error(f'{node.failure}{details}')
            return TransitionCallbackReturn.ERROR

    return transition


class DepthNode(LifecycleNode):
    """Publish depth for a camera.

    `configure` loads the model and advertises, `activate` subscribes and starts the worker,
    `deactivate` and `cleanup` undo that. Where one of them fails, the node undoes all and is
    unconfigured. Parameters are those of `parameters.Parameters`.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Declare parameters and start the diagnostics, which run in every state.

        Args:
            **kwargs: As of `rclpy.node.Node`.
        """
        super().__init__('depth_node', **kwargs)
        self.parameters = declare_parameters(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self._state = 'unconfigured'
        self.failure = ''
        """Which transition failed last, and why; empty once the node has been configured since."""
        self._loading = ''
        self._predictor: DepthPredictor | None = None
        self._outputs: Outputs | None = None
        self._worker: Worker | None = None
        self._cameras = CameraInfoCache()
        self._camera_topics: list[Subscription] = []
        self._image_topics: dict[type, Subscription] = {}
        self._last_image_s = math.inf
        self._stats: LifecyclePublisher | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # The period is of wall time: a paused bag must not look like a dead node.
        self.create_timer(
            DIAGNOSTICS_PERIOD_S,
            self._on_timer,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        # Kept, because the handle's end is the callback's end. A looped bag sends the clock back.
        self._jumps = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1)),
            post_callback=self._on_clock_jump,
        )

    @_guarded
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and advertise.

        Args:
            state: The previous one.

        Returns:
            SUCCESS; ERROR where it fails, as do all the others.
        """
        self._state = 'configuring'
        self._configure()
        self.failure = ''
        self._state = 'inactive'
        return super().on_configure(state)

    @_guarded
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker.

        Args:
            state: The previous one.

        Returns:
            SUCCESS.
        """
        # The publishers first: what comes in from here on may go out at once.
        result = super().on_activate(state)
        assert self._predictor is not None
        assert self._outputs is not None
        self._cameras = CameraInfoCache()
        self._worker = Worker(
            Pipeline(
                self._predictor,
                self._cameras,
                self._outputs,
                self.get_logger(),
                self.resolve_topic_name('camera_info'),
            ),
            lambda: self.parameters,
            self,
        )
        self._last_image_s = time.monotonic()
        self._subscribe()
        self._state = 'active'
        return result

    @_guarded
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and stop the worker.

        Args:
            state: The previous one.

        Returns:
            SUCCESS.
        """
        self.stop()
        self._state = 'inactive'
        return super().on_deactivate(state)

    @_guarded
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the model and stop advertising.

        Args:
            state: The previous one.

        Returns:
            SUCCESS.
        """
        self._release()
        self._state = 'unconfigured'
        return super().on_cleanup(state)

    @_guarded
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything.

        Args:
            state: The previous one.

        Returns:
            SUCCESS.
        """
        self.stop()
        self._release()
        self._state = 'finalized'
        return super().on_shutdown(state)

    @_guarded
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo what a failed transition has left.

        Args:
            state: The one before that transition.

        Returns:
            SUCCESS: the node is unconfigured, and may be configured again.
        """
        self.stop()
        self._release()
        self._state = 'unconfigured'
        return super().on_error(state)

    def autostart(self) -> None:
        """Configure and activate, as a lifecycle manager would; the node lives on without."""
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                name = self.get_fully_qualified_name()
                self.get_logger().error(
                    f'autostart ended; once the cause is mended: ros2 lifecycle set {name} '
                    'configure, then the same with activate'
                )
                return

    def stop(self) -> None:
        """Unsubscribe and end the worker thread, whatever the state."""
        for subscription in (*self._camera_topics, *self._image_topics.values()):
            self.destroy_subscription(subscription)
        self._camera_topics, self._image_topics = [], {}
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def _configure(self) -> None:
        parameters = self.parameters
        started = time.monotonic()
        predictor = self._load(parameters)
        _check_confidence(predictor.spec, parameters)
        self._predictor = predictor
        self._outputs = Outputs(self, parameters, predictor.spec.has_confidence)
        if parameters.publish.stats:
            self._stats = self.create_lifecycle_publisher(
                DiagnosticArray, '~/stats', 10, qos_overriding_options=OVERRIDABLE()
            )
        spec = predictor.spec
        self.get_logger().info(
            f'model {spec.name} at {spec.input_width}x{spec.input_height} on '
            f'{predictor.backend_name}, loaded in {time.monotonic() - started:.1f} s'
        )

    def _load(self, parameters: Parameters) -> DepthPredictor:
        """Load the model; the diagnostics go on, though the executor's thread waits here."""

        def load() -> DepthPredictor:
            predictor = DepthPredictor.load(
                parameters.model or None, parameters.backend, parameters.num_threads or None
            )
            predictor.warm_up()
            return predictor

        started = time.monotonic()
        loading = Loading(load)
        try:
            while not loading.wait(DIAGNOSTICS_PERIOD_S):
                if not self.context.ok():
                    raise RuntimeError('ROS was shut down while the model was being loaded')
                seconds = time.monotonic() - started
                model = parameters.model or 'the shipped student'
                self._loading = f'BUILDING or loading {model}, for {seconds:.0f} s'
                self._publish_diagnostics()
        finally:
            self._loading = ''
        return loading.result()

    def _release(self) -> None:
        if self._outputs is not None:
            self._outputs.destroy()
        if self._stats is not None:
            self.destroy_lifecycle_publisher(self._stats)
        self._predictor = self._outputs = self._stats = None

    def _subscribe(self) -> None:
        self._listen_for_images()
        self._camera_topics.append(
            self.create_subscription(
                CameraInfo,
                'camera_info',
                self._cameras.add,
                QoSProfile(depth=2 * IMAGE_QUEUE, reliability=self._reliability()),
                qos_overriding_options=OVERRIDABLE(),
            )
        )
        self._ask_for_latched_camera_info()

    def _listen_for_images(self) -> None:
        """Subscribe to each kind of image that is wanted and not yet subscribed to."""
        for name, (kind, topic) in TRANSPORTS.items():
            if self.parameters.transport in ('auto', name) and kind not in self._image_topics:
                self._image_topics[kind] = self.create_subscription(
                    kind,
                    topic,
                    self._on_image,
                    QoSProfile(depth=IMAGE_QUEUE, reliability=self._reliability()),
                    qos_overriding_options=OVERRIDABLE(),
                )

    def _reliability(self) -> ReliabilityPolicy:
        reliable = self.parameters.input_qos == 'reliable'
        return ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT

    def _ask_for_latched_camera_info(self) -> None:
        """Ask once, and only where a publisher latches, for what it said before we subscribed.

        Asked of an ordinary camera, the question does not match and both sides log a warning.
        """
        if len(self._camera_topics) > 1 or not self._cameras.is_empty:
            return
        topic = self.resolve_topic_name('camera_info')
        if any(_latches(info.qos_profile) for info in self.get_publishers_info_by_topic(topic)):
            self._camera_topics.append(
                self.create_subscription(CameraInfo, 'camera_info', self._cameras.add, LATCHED_QOS)
            )

    def _on_image(self, message: Image | CompressedImage) -> None:
        assert self._worker is not None  # there are no subscriptions unless active
        assert self._outputs is not None
        self._last_image_s = time.monotonic()
        if len(self._image_topics) > 1:
            self._keep_only(type(message))
        self._worker.statistics.received()
        if self.parameters.lazy and not any(self._outputs.subscribers().values()):
            self._worker.statistics.skipped()
            return
        self._worker.submit(Received(message=message, at_s=self._last_image_s))

    def _keep_only(self, kind: type) -> None:
        """Leave the kind of image that did not come first, or every picture would come twice."""
        for other in [other for other in self._image_topics if other is not kind]:
            self.destroy_subscription(self._image_topics.pop(other))
        self.get_logger().info(
            f'images come on {self._image_topics[kind].topic_name} as sensor_msgs/{kind.__name__}'
        )

    def _check_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        try:
            wanted = self.parameters.replace({item.name: item.value for item in changed})
            if self._predictor is not None:
                _check_confidence(self._predictor.spec, wanted)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_parameters(self, changed: list[Parameter]) -> None:
        # One assignment: the worker sees the old set or the new one, never a mixture.
        self.parameters = self.parameters.replace({item.name: item.value for item in changed})

    def _on_clock_jump(self, _: Any) -> None:
        if self._worker is not None:
            self._worker.statistics.reset_window()

    def _on_timer(self) -> None:
        if self._worker is not None:
            # Publishers may be found, or started, at any time after us.
            self._ask_for_latched_camera_info()
            # The camera may have been started anew with its other kind of image.
            if time.monotonic() - self._last_image_s > SILENCE_S:
                self._listen_for_images()
        self._publish_diagnostics()

    def _publish_diagnostics(self) -> None:
        now = time.monotonic()
        worker = self._worker
        fault, fault_s = (worker and worker.last_fault) or ('', -math.inf)
        health = Health(
            state=self._state,
            loading=self._loading,
            failure=self.failure,
            fault=fault,
            fault_age_s=now - fault_s,
            silence_s=now - self._last_image_s,
            image_topics=tuple(topic.topic_name for topic in self._image_topics.values()),
            subscribers=self._outputs.subscribers() if self._outputs else {},
            range_m=worker.range_m if worker else None,
        )
        status = status_of(
            f'{self.get_fully_qualified_name()}: depth',
            self._hardware_id(),
            health,
            worker.report() if worker else None,
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)
        if self._stats is not None:
            self._stats.publish(message)

    def _hardware_id(self) -> str:
        backend = self._predictor.backend_name if self._predictor else 'no model'
        return f'{backend} on {platform.machine()} CPU'


def _latches(qos: QoSProfile) -> bool:
    return (qos.durability, qos.reliability) == (LATCHED_QOS.durability, LATCHED_QOS.reliability)


def _check_confidence(spec: ModelSpec, parameters: Parameters) -> None:
    points = parameters.points
    is_needed = points.fields == 'xyzi' or points.min_confidence or parameters.min_confidence
    if is_needed and not spec.has_confidence:
        raise ValueError(
            f'model {spec.name} gives no confidence, which points.fields: xyzi and min_confidence '
            'above 0 need; change these or take another model'
        )


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted.

    Args:
        args: Command line, ROS arguments included; None takes the process's own.

    Returns:
        0 after an interrupt, 1 where parameters are wrong.
    """
    keep_large_blocks()
    rclpy.init(args=args)
    try:
        node = DepthNode()
    except (ParameterException, ValueError) as error:
        rclpy.logging.get_logger('depth_node').fatal(f'parameters: {error}')
        rclpy.try_shutdown()
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if node.parameters.autostart:
            node.autostart()
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RuntimeError:
        # SIGTERM ends ROS at once, also under a callback that is about to publish.
        if rclpy.ok():
            raise
    finally:
        node.stop()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
