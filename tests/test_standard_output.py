"""What a command does when the reader of its output leaves, as `head` does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gsv2.standard_output import EXIT_CODE

BROKEN_IN_A_COMMAND = (
    "import sys, gsv2.__main__ as m, gsv2.cli as c; "
    "c.app.command('talk')(lambda: [print('a line') for _ in range(100_000)]); "
    "sys.argv = ['gsv2', 'talk']; m.main()"
)
PRINTED_AT_THE_END = (
    "import sys, gsv2.__main__ as m; sys.argv = ['gsv2', 'configs', 'list']; m.main()"
)
HELP = "import sys, gsv2.__main__ as m; sys.argv = ['gsv2', '--help']; m.main()"


@pytest.mark.parametrize("script", [BROKEN_IN_A_COMMAND, PRINTED_AT_THE_END, HELP])
def test_a_reader_that_leaves_ends_a_command_without_a_word(script: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert ended.stderr.decode() == ""
    assert ended.returncode in (1, EXIT_CODE)


def test_a_broken_pipe_that_is_not_the_output_is_an_error() -> None:
    script = (
        "import sys, gsv2.__main__ as m, gsv2.cli as c\n"
        "def talk(): raise BrokenPipeError(32, 'of a server')\n"
        "c.app.command('talk')(talk); sys.argv = ['gsv2', 'talk']; m.main()"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert ended.returncode == 1
    assert b"gsv2: error: [Errno 32] of a server" in ended.stderr
