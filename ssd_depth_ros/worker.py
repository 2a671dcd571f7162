"""The thread that works on images: the newest from the mailbox, through the pipeline, counted."""

from collections.abc import Callable
from threading import Thread
import time
import traceback

from builtin_interfaces.msg import Time
from rclpy.node import Node
from ssd_depth_ros.camera_info import CacheClosed
from ssd_depth_ros.mailbox import Mailbox
from ssd_depth_ros.parameters import Parameters
from ssd_depth_ros.pipeline import Pipeline, Received
from ssd_depth_ros.statistics import Report, Statistics

LOG_PERIOD_S = 5.0
"""Between two lines about unusable images; the diagnostics count every one."""


class Worker:
    """Work on images from activation to deactivation.

    `last_fault` holds why the last unusable image was unusable, and when by `time.monotonic`.
    """

    def __init__(
        self, pipeline: Pipeline, parameters: Callable[[], Parameters], node: Node
    ) -> None:
        """Start the thread.

        Args:
            pipeline: What is done with an image.
            parameters: Gives the set in force; read once an image.
            node: Whose clock, logger and context these are.
        """
        self.statistics = Statistics()
        self.last_fault: tuple[str, float] | None = None
        self._mailbox: Mailbox[Received] = Mailbox()
        self._pipeline = pipeline
        self._parameters = parameters
        self._node = node
        self._thread = Thread(target=self._run, name='depth_worker', daemon=True)
        self._thread.start()

    def submit(self, received: Received) -> None:
        """Leave an image for the worker, in place of one it has not begun.

        Args:
            received: The image.
        """
        self._mailbox.put(received)

    def report(self) -> Report:
        """Sum up what happened since the start."""
        return self.statistics.report(self._mailbox.dropped)

    @property
    def range_m(self) -> float | None:
        """How far depth reaches with the camera of the last image [m]; None before the first."""
        return self._pipeline.range_m

    def stop(self) -> None:
        """Finish the image in work, unless it waits for its camera_info, and end the thread."""
        self._mailbox.close()
        # Before the join: it is the executor's thread that waits here, and nobody else delivers.
        self._pipeline.close()
        self._thread.join()

    def _run(self) -> None:
        while (received := self._mailbox.take()) is not None:
            try:
                seconds = self._pipeline.process(received, self._parameters())
            except CacheClosed:
                return
            # Whatever one image brings up, from the engine too, must not stop those after it: a
            # dead worker would leave a node that looks alive and is deaf.
            except Exception as error:
                if not self._node.context.ok():
                    return  # a signal has ended ROS under the image in work
                self._record(error)
            else:
                seconds['age'] = self._age_s(received.message.header.stamp)
                self.statistics.published(seconds)

    def _record(self, error: Exception) -> None:
        """Count, keep and log why an image was left out."""
        self.statistics.faulty()
        logger = self._node.get_logger()
        if isinstance(error, ValueError):
            reason = str(error)
            logger.error(f'image left out: {reason}', throttle_duration_sec=LOG_PERIOD_S)
        else:
            # Not an image's fault, so the line of code is what helps. Two calls, because rclpy
            # throttles by call: bad images must not hide a bug.
            reason = f'bug: {error!r}; the log has the traceback'
            trace = ''.join(traceback.format_exception(error))
            logger.error(f'image left out by a bug\n{trace}', throttle_duration_sec=LOG_PERIOD_S)
        self.last_fault = (reason, time.monotonic())

    def _age_s(self, stamp: Time) -> float:
        now_ns = self._node.get_clock().now().nanoseconds
        return (now_ns - stamp.nanosec) * 1e-9 - stamp.sec
