"""Standard output of the command line, which ends as other tools do when its reader has left.

`gsv2 runs | head` closes the pipe before all is written. Python ignores SIGPIPE, so that a write
to a socket fails as an error; what is printed then would end in the line `Broken pipe`.
"""

from __future__ import annotations

import io
import os
import signal
import stat
import sys
from typing import Any

_STDOUT = 1
EXIT_CODE = 128 + signal.SIGPIPE
"""What a shell reports of a tool that SIGPIPE has ended."""


class _Pipe(io.FileIO):
    """A pipe; whoever writes into one that nobody reads ends the program, without a word."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())  # for what is flushed at the end
            raise SystemExit(EXIT_CODE) from None


def end_with_reader() -> None:
    """Let the program end in silence once nobody reads what it prints into a pipe."""
    if not stat.S_ISFIFO(os.fstat(_STDOUT).st_mode):
        return
    sys.stdout.flush()
    pipe = io.BufferedWriter(_Pipe(_STDOUT, "w", closefd=False))
    sys.stdout = io.TextIOWrapper(pipe, encoding=sys.stdout.encoding, errors=sys.stdout.errors)
