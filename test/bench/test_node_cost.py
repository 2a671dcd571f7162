import threading
import time

import pytest

for name in ('rclpy', 'psutil'):
    pytest.importorskip(name)

import node_cost  # noqa: E402


def burn(seconds):
    while time.thread_time() < seconds:
        pass


def test_what_an_engine_does_after_its_answer_is_the_networks_cost(monkeypatch):
    class Engine:
        def run(self, image):
            threading.Thread(target=burn, args=(0.02,)).start()

    monkeypatch.setattr(node_cost, 'load_backend', lambda *_: Engine())
    assert 15 < node_cost.network_ms(rate_hz=4, frames=3) < 60
