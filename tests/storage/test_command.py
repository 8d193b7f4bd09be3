"""Commands as files: their output, their failures, and that none is left behind."""

import shlex
import time
from pathlib import Path

import numpy as np
import pytest

from gsv2.storage.command import fill_in
from gsv2.storage.config import RemoteConfig
from gsv2.storage.storage import Storage
from gsv2.storage.stream import RemoteStream

CONTENT = np.random.default_rng(0).bytes(3_000_001)
FAST = RemoteConfig(retries=2, backoff_sec=0.001, timeout_sec=5.0)


def read_to_the_end(stream: RemoteStream) -> bytes:
    with stream:
        return b"".join(iter(lambda: stream.read(77_777), b""))


def pipe(command: str, offset: int = 0, config: RemoteConfig = FAST) -> RemoteStream:
    return Storage(config, allow_pipe=True).open(f"pipe:{command}", offset)


def test_a_command_is_read_like_a_file(tmp_path):
    path = tmp_path / "with space.tar"
    path.write_bytes(CONTENT)
    command = f"cat {shlex.quote(str(path))}"
    assert read_to_the_end(pipe(command)) == CONTENT
    with pipe(command, 2_000_000) as stream:
        assert stream.read(10) == CONTENT[2_000_000:2_000_010]
        stream.skip(900_000)
        assert stream.read(10) == CONTENT[2_900_010:2_900_020]


def test_a_command_that_fails_halfway_is_run_again_and_goes_on(tmp_path):
    path = tmp_path / "file.tar"
    path.write_bytes(CONTENT)
    tried = tmp_path / "tried"
    command = (
        f"if [ -e {tried} ]; then cat {path}; else touch {tried}; head -c 99999 {path}; exit 3; fi"
    )
    assert read_to_the_end(pipe(command)) == CONTENT


@pytest.mark.parametrize("command", ["echo no; echo such bucket >&2; exit 7", "no-such-command"])
def test_the_last_words_of_a_failing_command_are_reported(command):
    with pytest.raises(OSError, match=r"failed with code .*(such bucket|not found)"):
        pipe(command).read(1000)


def test_a_failing_part_of_a_pipeline_is_a_failure():
    with pytest.raises(OSError, match="failed with code"):
        pipe("(echo abc; exit 3) | cat").read(1000)


def test_a_silent_command_is_ended_with_all_its_children(tmp_path):
    witness = tmp_path / "pid"
    config = RemoteConfig(retries=0, timeout_sec=0.2)
    stream = pipe(f"sleep 60 & echo $! > {witness}; wait", config=config)
    with pytest.raises(OSError, match="silent"):
        stream.read(1)
    child = int(witness.read_text())
    for _ in range(100):
        stat = Path(f"/proc/{child}/stat")
        if not stat.exists() or stat.read_text().split()[2] == "Z":
            break
        time.sleep(0.01)
    else:
        pytest.fail("the command's child still runs")


def test_a_stream_of_a_command_closed_early_leaves_no_process():
    stream = pipe("yes")
    assert stream.read(2) == b"y\n"
    process = stream._body._process
    stream.close()
    assert process.returncode is not None


def test_the_name_is_filled_in_so_that_no_shell_can_read_it_otherwise():
    assert fill_in("pipe:cat {}", "a; rm -rf $HOME") == "pipe:cat 'a; rm -rf $HOME'"
    assert fill_in("pipe:cat {} | tee {}", "a") == "pipe:cat a | tee a"
