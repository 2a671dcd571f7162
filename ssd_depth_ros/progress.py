"""Tell a person how far things are: one line, rewritten on a terminal, repeated in a log."""

import time
from typing import TextIO

# Rewriting a line costs nothing, but a log file wants few lines.
TERMINAL_PERIOD_S, LOG_PERIOD_S = 0.2, 5.0


class Progress:
    """Write to a stream."""

    def __init__(self, stream: TextIO) -> None:
        """Find out what the stream is.

        Args:
            stream: Standard output, say.
        """
        self._stream = stream
        self._rewrites = stream.isatty()
        self._period_s = TERMINAL_PERIOD_S if self._rewrites else LOG_PERIOD_S
        self._next_s = 0.0
        self._open_line = False

    def say(self, line: str) -> None:
        """Write a line that stays.

        Args:
            line: Without its end.
        """
        self._stream.write(f'\n{line}\n' if self._open_line else f'{line}\n')
        self._stream.flush()
        self._open_line = False

    def update(self, line: str) -> None:
        """Write a line that the next update replaces; too soon after the last one, do nothing.

        Args:
            line: Without its end; each about as long as the last.
        """
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + self._period_s
        self._stream.write(f'\r{line}' if self._rewrites else f'{line}\n')
        self._stream.flush()
        self._open_line = self._rewrites
