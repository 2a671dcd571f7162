"""The lifecycle node: parameters, messages and timing round `ssd_depth_core.runtime`.

The executor's one thread receives; it leaves images in a mailbox with one slot a camera. The
worker takes the newest of each, decodes, predicts and publishes them. So a slow network makes
frames fewer, not late.
"""

import argparse
from collections.abc import Callable
import functools
import math
import sys
import time
import traceback
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
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
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.utilities import remove_ros_args
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.runtime.backends import Progress
from ssd_depth_core.runtime.predictor import DepthPredictor
from ssd_depth_ros.camera import Camera
from ssd_depth_ros.diagnostics import Health, status_of, summary_of
from ssd_depth_ros.inputs import Inputs
from ssd_depth_ros.loading import Loading
from ssd_depth_ros.memory import keep_large_blocks
from ssd_depth_ros.outputs import Outputs
from ssd_depth_ros.parameters import declare_parameters, parameter_help, Parameters
from ssd_depth_ros.worker import Worker

DIAGNOSTICS_PERIOD_S = 1.0
CANCEL_TIMEOUT_S = 8.0
"""For an engine's build to stop: `ros2 launch` and containers kill a process after ten seconds."""
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
    """Publish depth for one camera or several.

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
        self._outputs: dict[str, Outputs] = {}
        self._inputs: dict[str, Inputs] = {}
        self._worker: Worker | None = None
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
        predictor = self._predictor
        assert predictor is not None
        self._worker = Worker(
            [Camera(self, *item, predictor.spec) for item in self._outputs.items()],
            predictor,
            lambda: self.parameters,
        )
        for name, camera in self._worker.cameras.items():
            self._inputs[name] = Inputs(self, camera, lambda: self.parameters, self._worker.submit)
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
        """Unsubscribe and end the worker's threads, whatever the state."""
        for inputs in self._inputs.values():
            inputs.destroy()
        self._inputs = {}
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def _configure(self) -> None:
        parameters = self.parameters
        started = time.monotonic()
        predictor = self._load(parameters)
        _check_confidence(predictor.spec, parameters)
        self._predictor = predictor
        for name in parameters.cameras:
            has_confidence = predictor.spec.has_confidence
            self._outputs[name] = Outputs(self, parameters, has_confidence, name)
        if parameters.publish.stats:
            self._stats = self.create_lifecycle_publisher(
                DiagnosticArray,
                '~/stats',
                10,
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
        spec = predictor.spec
        self.get_logger().info(
            f'model {spec.name} at {spec.input_width}x{spec.input_height} on '
            f'{predictor.backend_name}, loaded in {time.monotonic() - started:.1f} s'
        )

    def _load(self, parameters: Parameters) -> DepthPredictor:
        """Load the model; the diagnostics go on, though the executor's thread waits here."""
        model = parameters.model or 'the shipped student'
        doing = f'loading {model}'

        def report(phase: str, share: float) -> None:
            nonlocal doing
            doing = f'BUILDING an engine for {model} ({phase}, {share:.0%})'

        def load(progress: Progress) -> DepthPredictor:
            predictor = DepthPredictor.load(
                parameters.model or None,
                parameters.backend,
                parameters.num_threads or None,
                self_check=parameters.self_check,
                max_batch=len(parameters.cameras),
                progress=progress,
            )
            predictor.warm_up(len(parameters.cameras))
            return predictor

        started = time.monotonic()
        loading = Loading(load, report)
        try:
            while not loading.wait(DIAGNOSTICS_PERIOD_S):
                if not self.context.ok():
                    raise RuntimeError('ROS was shut down while the model was being loaded')
                seconds = time.monotonic() - started
                self._loading = f'{doing}, for {seconds:.0f} s'
                self._publish_diagnostics()
        finally:
            self._loading = ''
            # No thread may be left in a library that the interpreter takes down.
            if not loading.cancel(CANCEL_TIMEOUT_S):
                self.get_logger().warning(
                    f'{doing}, did not stop within {CANCEL_TIMEOUT_S:.0f} s; not waited for'
                )
        return loading.result()

    def _release(self) -> None:
        for outputs in self._outputs.values():
            outputs.destroy()
        if self._stats is not None:
            self.destroy_lifecycle_publisher(self._stats)
        self._outputs, self._predictor, self._stats = {}, None, None

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
            for camera in self._worker.cameras.values():
                camera.statistics.reset_window()

    def _on_timer(self) -> None:
        for inputs in self._inputs.values():
            inputs.look_again()
        self._publish_diagnostics()

    def _publish_diagnostics(self) -> None:
        message = DiagnosticArray(status=self._statuses())
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)
        if self._stats is not None:
            self._stats.publish(message)

    def _statuses(self) -> list[DiagnosticStatus]:
        """Judge the only camera; where cameras have names, the whole and then each of them."""
        name, hardware_id = f'{self.get_fully_qualified_name()}: depth', self._hardware_id()
        cameras = self.parameters.cameras
        worker = self._worker
        reports = {camera: worker.report(camera) if worker else None for camera in cameras}
        statuses = {
            camera: status_of(
                f'{name} {camera}'.strip(), hardware_id, self._health(camera), report
            )
            for camera, report in reports.items()
        }
        if cameras == ('',):
            return [statuses['']]
        calls = worker.network_calls if worker else None
        summary = summary_of(name, statuses, reports, self._health(''), calls)
        return [summary, *statuses.values()]

    def _health(self, name: str) -> Health:
        """Tell what is known of a camera, or only of the node where it has no such camera."""
        now = time.monotonic()
        camera = self._worker.cameras.get(name) if self._worker else None
        fault, fault_s = (camera and camera.last_fault) or ('', -math.inf)
        inputs, outputs = self._inputs.get(name), self._outputs.get(name)
        return Health(
            state=self._state,
            refused=self._predictor.num_refused if self._predictor else 0,
            loading=self._loading,
            failure=self.failure,
            fault=fault,
            fault_age_s=now - fault_s,
            silence_s=now - inputs.last_image_s if inputs else 0.0,
            image_topics=inputs.image_topics if inputs else (),
            subscribers=outputs.subscribers() if outputs else {},
            range_m=camera.range_m if camera else None,
        )

    def _hardware_id(self) -> str:
        if self._predictor is None:
            return 'no model'
        return f'{self._predictor.backend_name} on {self._predictor.device}'


def _check_confidence(spec: ModelSpec, parameters: Parameters) -> None:
    points = parameters.points
    is_needed = points.fields == 'xyzi' or points.min_confidence or parameters.min_confidence
    if is_needed and not spec.has_confidence:
        raise ValueError(
            f'model {spec.name} gives no confidence, which points.fields: xyzi and min_confidence '
            'above 0 need; change these or take another model'
        )


def _check_words(words: list[str]) -> None:
    """Answer `--help`, and refuse what ROS would pass over in silence."""
    argparse.ArgumentParser(
        prog='depth_node',
        usage='depth_node [-h] [--ros-args -p NAME:=VALUE ... -r FROM:=TO ...]',
        description='Publish metric depth for one camera or several, from images and camera_info.',
        epilog=f'parameters, each given behind --ros-args as -p NAME:=VALUE:\n{parameter_help()}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(words)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted.

    Args:
        args: Command line, ROS arguments included; None takes the process's own.

    Returns:
        0 after an interrupt, 1 where parameters are wrong.

    Raises:
        SystemExit: If there is `--help`, or a word that is no ROS argument.
    """
    _check_words(remove_ros_args(sys.argv if args is None else ['depth_node', *args])[1:])
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
