"""A server process: where it listens, and how it ends."""

import signal
import socket
import subprocess
import sys

import pytest

from gsv2.serve.server import run_server
from tests.support.processes import environment, free_port

PROGRAM = """
import sys
from gsv2.serve.server import run_server

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        print("ready", flush=True)
        await receive()
        print("stopped", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})

run_server(app, "127.0.0.1", int(sys.argv[1]), 5)
print("end", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_server_which_ends_with_success(number):
    command = [sys.executable, "-c", PROGRAM, str(free_port())]
    with subprocess.Popen(
        command, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert output == "stopped\nend\n"


def test_a_port_that_is_taken_is_an_error():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port} cannot be listened at"):
            run_server(app, "127.0.0.1", port, 1)
