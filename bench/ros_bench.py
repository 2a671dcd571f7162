"""What benches of the node share: their corner of DDS, waiting, and the cost of a process."""

from collections.abc import Callable
import os
from pathlib import Path
import time

import psutil

PROFILE = {
    'FASTRTPS_DEFAULT_PROFILES_FILE': str(
        Path(__file__).parents[1] / 'config' / 'dds' / 'fastdds_shm.xml'
    )
}
DISCOVERY_S = 20.0
START_S = 60.0
"""For a node to become active, on a busy machine too."""


def keep_apart() -> None:
    """Keep DDS to this machine and, likely, to this run of the bench and its children."""
    os.environ |= {
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_DOMAIN_ID': str(1 + os.getpid() % 100),
    }


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds.

    Args:
        condition: Asked again and again.
        what: Whose connection it is, for the message.

    Raises:
        TimeoutError: If it does not hold in time.
    """
    deadline = time.monotonic() + DISCOVERY_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f'{what} did not connect within {DISCOVERY_S:g} s')
        time.sleep(0.05)


def cpu_s(pid: int) -> float:
    """Tell what processor time a process has used.

    Args:
        pid: Its number.

    Returns:
        Seconds, of all threads, in the kernel too.
    """
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
