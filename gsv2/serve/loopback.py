"""Server of one voice on loopback, in a thread of this process: for who measures or tries it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from gsv2.inference.enrollment import EnrolledReference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer
from gsv2.serve.app import make_app
from gsv2.serve.bundle_speaker import BundleSpeaker
from gsv2.serve.limits import ServerLimits
from gsv2.serve.server import server_config
from gsv2.serve.service import SpeechService
from gsv2.serve.voices import ServedVoice

_HOST = "127.0.0.1"
_POLL_SEC = 0.01


@contextmanager
def serve_on_loopback(
    synthesizer: Synthesizer, voice: str, references: Sequence[EnrolledReference]
) -> Iterator[int]:
    """Serve a voice until the end of the block; gives the port.

    Raises:
        OSError: the server does not start.
    """
    limits = ServerLimits()
    speaker = BundleSpeaker(synthesizer, SamplingConfig(candidates=1))
    served = ServedVoice(id=voice, name=voice, references=references)
    app = make_app(SpeechService(speaker, [served], limits), None, None)
    server = uvicorn.Server(server_config(app, _HOST, 0, limits.stop_sec))
    log = logging.getLogger("uvicorn.error")  # of faults too, in spite of its name
    level = log.level
    log.setLevel(logging.WARNING)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise OSError(f"no server on {_HOST}")
            time.sleep(_POLL_SEC)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        log.setLevel(level)
