"""The threads that work on images: read the newest of each camera, predict all in one call.

While the network is busy with a batch, the next one is read, so that decoding costs no time of
its own where there is a core, or a GPU, to spare.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
import os
from threading import Thread
import time

from ssd_depth_core.runtime.predictor import DepthPredictor
from ssd_depth_ros.camera import Camera
from ssd_depth_ros.camera_info import CacheClosed
from ssd_depth_ros.mailbox import Mailbox
from ssd_depth_ros.parameters import Parameters
from ssd_depth_ros.reader import Picture, Received
from ssd_depth_ros.relay import Relay
from ssd_depth_ros.statistics import Report


class Worker:
    """Work on the images of all cameras from activation to deactivation.

    `network_calls` counts those, a batch each.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        predictor: DepthPredictor,
        parameters: Callable[[], Parameters],
    ) -> None:
        """Start the threads.

        Args:
            cameras: Whose images come.
            predictor: The network.
            parameters: Gives the set in force; publishing reads it once a batch.
        """
        self.cameras = {camera.name: camera for camera in cameras}
        self.network_calls = 0
        self._predictor = predictor
        self._parameters = parameters
        self._mailbox: Mailbox[Received] = Mailbox(self.cameras)
        self._relay: Relay[list[Picture]] = Relay()
        self._readers = ThreadPoolExecutor(
            min(len(cameras), os.cpu_count() or 1), thread_name_prefix='depth_decode'
        )
        self._threads = [
            Thread(target=work, name=name, daemon=True)
            for name, work in (('depth_reader', self._read), ('depth_worker', self._predict))
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, received: Received, camera: str = '') -> None:
        """Leave an image, in place of one of the same camera that is not begun.

        Args:
            received: The image.
            camera: Name of its camera.
        """
        self._mailbox.put(received, camera)

    def report(self, camera: str = '') -> Report:
        """Sum up what happened to a camera's images since the start.

        Args:
            camera: Its name.

        Returns:
            The figures of now.
        """
        return self.cameras[camera].statistics.report(self._mailbox.dropped(camera))

    def stop(self) -> None:
        """Finish the batch in the network, leave the others, and end the threads."""
        self._mailbox.close()
        # Before the join: it is the executor's thread that waits here, and nobody else delivers.
        for camera in self.cameras.values():
            camera.reader.close()
        self._relay.close()
        for thread in self._threads:
            thread.join()
        self._readers.shutdown()

    def _read(self) -> None:
        while self._relay.wait_until_due():
            batch = self._mailbox.take(self._parameters().batch_timeout)
            if batch is None:
                return
            started = time.monotonic()
            # OpenCV decodes without the interpreter's lock; one image needs no other thread.
            read_all = map if len(batch) == 1 else self._readers.map
            pictures = [p for p in read_all(self._picture, batch.items()) if p is not None]
            if pictures:
                self._relay.put(pictures, time.monotonic() - started)

    def _picture(self, item: tuple[str, Received]) -> Picture | None:
        """Read one image; a bad one leaves only its own camera out."""
        name, received = item
        camera = self.cameras[name]
        try:
            return camera.reader.read(received, self._parameters())
        except CacheClosed:
            return None
        # Whatever one image brings up must not stop those after it: a dead worker would leave a
        # node that looks alive and is deaf.
        except Exception as error:
            camera.leave_out(error)
            return None

    def _predict(self) -> None:
        while (pictures := self._relay.take()) is not None:
            self._process(pictures, self._parameters())

    def _process(self, pictures: list[Picture], parameters: Parameters) -> None:
        """Take pictures through the network together, and publish each."""
        started = time.monotonic()
        self.network_calls += 1
        try:
            predictions = self._predictor.predict_batch(
                [picture.image for picture in pictures], [picture.K for picture in pictures]
            )
        except Exception as error:
            if len(pictures) > 1 and isinstance(error, ValueError):
                # One of them is to blame. Alone, the others go on.
                for picture in pictures:
                    self._process([picture], parameters)
                return
            for picture in pictures:
                self.cameras[picture.camera].leave_out(error)
            return
        predicted = time.monotonic()
        for picture, prediction in zip(pictures, predictions, strict=True):
            camera = self.cameras[picture.camera]
            begun = time.monotonic()
            try:
                camera.publish(picture, prediction, parameters)
            except Exception as error:
                camera.leave_out(error)
                continue
            published = time.monotonic()
            seconds = picture.seconds | {
                'ready': started - picture.read_s,
                'predict': predicted - started,
                'publish': published - begun,
                'latency': published - picture.received.at_s,
                'age': camera.age_s(picture.received.message.header.stamp),
            }
            camera.statistics.published(seconds)
