"""Run the depth node as a process of its own, as a robot would, and see how it fares."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.node import Node

POLL_S = 0.1
# One answer of an idle node; it loads its model elsewhere than in the service's callback.
ANSWER_S = 1.0
STOP_S = 10.0
LOG_LINES = 12


class NodeProcess:
    """Start a node on entering the context, stop it on leaving."""

    def __init__(
        self, name: str, ros_args: list[str], env: dict[str, str], log_path: Path
    ) -> None:
        """Prepare.

        Args:
            name: The module in `ssd_depth_ros`, which is the node's name as well.
            ros_args: What follows `--ros-args`.
            env: Added to this process's environment.
            log_path: File for its output; replaced where it exists.
        """
        self._name = name
        self._command = [sys.executable, '-m', f'ssd_depth_ros.{name}', '--ros-args', *ros_args]
        self._env = os.environ | env
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> 'NodeProcess':
        """Start.

        Returns:
            This process.
        """
        with self._log_path.open('wb') as log:
            self._process = subprocess.Popen(
                self._command, env=self._env, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Interrupt the node as Ctrl-C does, and kill it where that is not enough.

        Args:
            kind: Ignored.
            error: Ignored.
            traceback: Ignored.
        """
        process = self._running()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def check_alive(self) -> None:
        """Require that the node runs.

        Raises:
            ChildProcessError: If it has ended; with its exit status and the end of its log.
        """
        status = self._running().poll()
        if status is not None:
            raise ChildProcessError(f'{self._name} ended with status {status}; {self._log()}')

    def wait_until_active(self, node: Node, timeout_s: float) -> None:
        """Ask the node for its lifecycle state until it is active.

        Args:
            node: Asks; spun by another thread.
            timeout_s: How long to ask.

        Raises:
            ChildProcessError: If the node ends or could not be configured.
            TimeoutError: If it is not active in time.
        """
        client = node.create_client(GetState, f'/{self._name}/get_state')
        state = 'not there'
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.check_alive()
            if client.wait_for_service(POLL_S):
                answered = threading.Event()
                future = client.call_async(GetState.Request())
                future.add_done_callback(lambda _, answered=answered: answered.set())
                if answered.wait(ANSWER_S):
                    current = future.result().current_state
                    if current.id == State.PRIMARY_STATE_ACTIVE:
                        node.destroy_client(client)
                        return
                    # The node starts itself before it answers, so it has tried and failed.
                    if current.id == State.PRIMARY_STATE_UNCONFIGURED:
                        raise ChildProcessError(
                            f'{self._name} could not be configured; {self._log()}'
                        )
                    state = current.label
            time.sleep(POLL_S)
        raise TimeoutError(
            f'{self._name} is {state} after {timeout_s:g} s, not active; {self._log()}'
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._running().pid

    def peak_rss_mb(self) -> float:
        """Read the most memory that the running node has held.

        Returns:
            Peak resident set [MB of 10^6 bytes].
        """
        status = Path(f'/proc/{self.pid}/status').read_text()
        (line,) = (line for line in status.splitlines() if line.startswith('VmHWM:'))
        return int(line.split()[1]) * 1024 / 1e6

    def _running(self) -> 'subprocess.Popen[bytes]':
        assert self._process is not None, 'enter the context first'
        return self._process

    def _log(self) -> str:
        lines = self._log_path.read_text(errors='replace').splitlines()[-LOG_LINES:]
        return '\n  '.join((f'the end of {self._log_path}:', *lines))
