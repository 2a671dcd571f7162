import io

import pytest
from ssd_depth_ros.progress import LOG_PERIOD_S, Progress, TERMINAL_PERIOD_S


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr('ssd_depth_ros.progress.time.monotonic', lambda: now[0])
    return now


def test_terminal_line_is_rewritten_and_ended_before_the_next_line(clock: list[float]) -> None:
    progress = Progress(stream := Terminal())
    for number in range(3):
        progress.update(f'{number} done')
        clock[0] += TERMINAL_PERIOD_S
    progress.say('end')
    assert stream.getvalue() == '\r0 done\r1 done\r2 done\nend\n'


def test_log_gets_few_lines(clock: list[float]) -> None:
    progress = Progress(stream := io.StringIO())
    for number in range(21):
        progress.update(f'{number}')
        clock[0] += LOG_PERIOD_S / 10
    progress.say('end')
    assert stream.getvalue() == '0\n10\n20\nend\n'
