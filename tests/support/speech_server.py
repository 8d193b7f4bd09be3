"""A speech server on loopback, in a thread, and a speaker of tones that needs no model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import uvicorn

from gsv2.inference.references import read_reference
from gsv2.serve.app import WyomingAddress, make_app
from gsv2.serve.limits import ServerLimits
from gsv2.serve.server import server_config
from gsv2.serve.service import SpeechService
from gsv2.serve.speaker import SpokenPiece, SpokenWord
from gsv2.serve.voices import ServedVoice

RATE = 32_000
ANNA = ServedVoice(id="anna", name="Anna", references=(200.0,))
CARL = ServedVoice(id="carl", name="Carl", references=(400.0,))


class ToneSpeaker:
    """Speaks each word as a tone of 0.1 s, in the pitch of its references.

    A text with the word `hold` waits after its first word until `go` is set; one with `endless`
    never ends by itself.
    """

    sample_rate = RATE

    def __init__(self) -> None:
        self.go = threading.Event()
        self.began = threading.Event()
        self.stopped = threading.Event()
        """Set when a speech was ended by its check."""

    def enroll(self, content: bytes, name: str, text: str | None) -> Sequence[Any]:
        read_reference(content, name, text)
        return (150.0,)

    def mix(self, parts: Sequence[tuple[Sequence[Any], float]]) -> Sequence[Any]:
        total = sum(weight for _, weight in parts)
        return (sum(references[0] * weight / total for references, weight in parts),)

    def stream(
        self,
        text: str,
        references: Sequence[Any],
        *,
        speed: float,
        seed: int,
        check: Callable[[], None],
    ) -> Iterator[SpokenPiece]:
        if not any(character.isalnum() for character in text):
            raise ValueError("text must hold at least one letter or digit")
        words = text.split()
        try:
            for place, word in enumerate(words):
                seconds = 0.1 / speed
                times = (SpokenWord(word, place * seconds, (place + 1) * seconds),)
                warnings = ("a warning",) if word == "warn" else ()
                yield SpokenPiece(self._tone(references[0], round(RATE * seconds)), times, warnings)
                self.began.set()
                while "endless" in words or ("hold" in words and not self.go.wait(0.01)):
                    check()
        except RuntimeError:
            self.stopped.set()
            raise

    def _tone(self, hz: float, count: int) -> np.ndarray:
        return (0.2 * np.sin(2 * np.pi * hz * np.arange(count) / RATE)).astype(np.float32)


class RunningServer(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, app: Any, stop_sec: float) -> None:
        super().__init__(server_config(app, "127.0.0.1", 0, stop_sec))
        self.url = ""
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.run)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.ready.set()

    def client(self) -> httpx.Client:
        """Return a client that waits, on a busy machine too; without TLS, whose set-up is slow."""
        return httpx.Client(base_url=self.url, timeout=60, verify=False)

    def stop(self) -> None:
        """Tell it to stop as SIGTERM does."""
        self.should_exit = True


@contextmanager
def serving(
    speaker: Any = None,
    voices: Sequence[ServedVoice] = (ANNA,),
    limits: ServerLimits | None = None,
    token: str | None = None,
    wyoming: WyomingAddress | None = None,
) -> Iterator[RunningServer]:
    """Serve until the end of the block."""
    limits = limits or ServerLimits(stop_sec=5)
    service = SpeechService(speaker or ToneSpeaker(), voices, limits)
    app = make_app(service, token, wyoming)
    server = RunningServer(app, limits.stop_sec)
    server.thread.start()
    try:
        assert server.ready.wait(60)
        yield server
    finally:
        server.stop()
        server.thread.join()
