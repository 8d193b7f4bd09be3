"""Files that a shell command writes to its output (`pipe:`)."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile

PREFIX = "pipe:"
_NAME = "{}"
_STDERR_TAIL_BYTES = 4096


def fill_in(template: str, name: str) -> str:
    """Return `pipe:COMMAND` with the file's name, quoted for the shell, in place of `{}`.

    Raises:
        ValueError: the command has no place for a name.
    """
    if _NAME not in template:
        raise ValueError(
            f"{template}: the command must have {{}} where the name of a file of the corpus goes, "
            "as in `pipe:aws s3 cp s3://bucket/corpus/{} -`"
        )
    return template.replace(_NAME, shlex.quote(name))


class CommandBody:
    """Output of a command; see `gsv2.storage.body.Body`.

    Args:
        location: `pipe:COMMAND`.
        timeout_sec: silence that is an error; 0 = wait for ever.

    Raises:
        OSError: no shell.
    """

    start = 0
    size: int | None = None
    version: str | None = None
    can_seek = False

    def __init__(self, location: str, timeout_sec: float) -> None:
        self._timeout_ms = timeout_sec * 1000.0 if timeout_sec else None
        self._stderr = tempfile.TemporaryFile()
        bash = shutil.which("bash")  # whose pipelines can fail in any of their parts
        shell = [bash, "-o", "pipefail"] if bash else ["sh"]
        self._process = subprocess.Popen(
            [*shell, "-c", location.removeprefix(PREFIX)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
        )

    def read(self, limit: int) -> bytes:
        """See `Body.read`."""
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(output, select.POLLIN)
        if not poll.poll(self._timeout_ms):
            raise TimeoutError("the command was silent for too long")
        chunk = os.read(output, limit)
        if not chunk and (code := self._process.wait()):
            raise OSError(f"the command failed with code {code}: {self._last_words()}")
        return chunk

    def close(self) -> None:
        """See `Body.close`."""
        self.interrupt()
        assert self._process.stdout is not None
        self._process.wait()
        self._process.stdout.close()
        self._stderr.close()

    def interrupt(self) -> None:
        """See `Body.interrupt`."""
        if self._process.returncode is None:  # else its number may be another's by now
            os.killpg(self._process.pid, signal.SIGKILL)

    def _last_words(self) -> str:
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(
            self._stderr.fileno(), _STDERR_TAIL_BYTES, max(size - _STDERR_TAIL_BYTES, 0)
        )
        lines = tail.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote nothing to stderr"
