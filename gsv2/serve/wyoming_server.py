"""Wyoming server: the protocol by which Home Assistant asks for speech.

Each connection sends events (a JSON line, perhaps followed by bytes); `describe` is answered with
the voices, `synthesize` with `audio-start`, `audio-chunk` and `audio-stop`, as it is spoken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.tts import Synthesize

from gsv2.audio.encoding import to_pcm16
from gsv2.audio.marking import MARK
from gsv2.serve.errors import RequestError
from gsv2.serve.service import Asked, SpeechService
from gsv2.serve.speaker import SpokenPiece
from gsv2.serve.speaking_queue import StoppedError
from gsv2.version import __version__

logger = logging.getLogger(__name__)

_SAMPLE_BYTES = 2
_MAX_CONNECTIONS = 64
_IDLE_SEC = 600.0
"""Time after which a connection that asks nothing is closed."""
_SOURCE = Attribution(name="gsv2", url="")


class WyomingServer:
    """Answers Wyoming clients.

    Args:
        service: what speaks; its first voice is that of requests which name none.
        languages: language tags that clients are told; the model itself takes none.
    """

    def __init__(self, service: SpeechService, languages: Sequence[str]) -> None:
        self._service = service
        self._languages = list(languages)
        self._connections: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
        """Listen until the end of the block; gives the address.

        Raises:
            OSError: the address cannot be listened at.
        """
        server = await asyncio.start_server(self._serve, host, port, limit=1 << 16)
        try:
            yield server.sockets[0].getsockname()[:2]
        finally:
            server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the events of a connection until it ends, or says what is none."""
        task = asyncio.current_task()
        assert task is not None, "a server runs its connections as tasks"
        bounded = _BoundedReader(reader, self._service.limits.max_text_bytes)
        self._connections.add(task)
        try:
            while len(self._connections) <= _MAX_CONNECTIONS:
                event = await asyncio.wait_for(_read(bounded), _IDLE_SEC)
                if event is None:
                    return
                await self._answer(event, writer)
        except (TimeoutError, ConnectionError):
            logger.info("a Wyoming client left or was silent")
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer(self, event: Event, writer: asyncio.StreamWriter) -> None:
        if Describe.is_type(event.type):
            await async_write_event(self._info().event(), writer)
        elif Synthesize.is_type(event.type):
            try:
                await self._speak(event, writer)
            except (RequestError, StoppedError, ValueError) as error:
                text = str(getattr(error, "detail", error))
                await async_write_event(Error(text=text, code="refused").event(), writer)

    async def _speak(self, event: Event, writer: asyncio.StreamWriter) -> None:
        """Send the speech of a text.

        Raises:
            RequestError: it cannot be spoken, or too many wait.
            ValueError: no text, or what the speaker says of it.
            StoppedError: its time is over.
        """
        text, voice = event.data.get("text"), event.data.get("voice") or {}
        name = voice.get("name") if isinstance(voice, dict) else None
        if not isinstance(text, str) or not isinstance(name, str | None):
            raise RequestError(400, "synthesize must have a text, and a voice with a name or none")
        asked = Asked(text=text, voice=name or self._first_voice())
        rate = self._service.sample_rate
        shape = {"rate": rate, "width": _SAMPLE_BYTES, "channels": 1}
        job = self._service.submit_speech(asked, _to_samples)
        try:
            begun = False
            async for piece in job.pieces():
                if not begun:
                    await async_write_event(AudioStart(**shape).event(), writer)
                    begun = True
                await async_write_event(AudioChunk(audio=piece, **shape).event(), writer)
            if not begun:
                await async_write_event(AudioStart(**shape).event(), writer)
            await async_write_event(AudioStop().event(), writer)
        finally:
            self._service.queue.release(job)

    def _first_voice(self) -> str:
        for voice in self._service.shelf:
            return str(voice.id)
        raise RequestError(400, "this server has no voice")

    def _info(self) -> Info:
        about = {"attribution": _SOURCE, "installed": True, "version": __version__}
        voices = [
            TtsVoice(name=v.id, description=v.name, languages=self._languages, **about)
            for v in self._service.shelf
        ]
        return Info(tts=[TtsProgram(name="gsv2", description=MARK, voices=voices, **about)])


class _BoundedReader:
    """A stream of which no event may take more than so many bytes."""

    def __init__(self, reader: asyncio.StreamReader, most: int) -> None:
        self._reader = reader
        self._most = most

    async def readline(self) -> bytes:
        return await self._reader.readline()

    async def readexactly(self, count: Any) -> bytes:
        if not isinstance(count, int) or count > self._most:
            raise ConnectionError(f"an event may have at most {self._most} bytes")
        return await self._reader.readexactly(count)


async def _read(reader: Any) -> Event | None:
    """Return the next event; None at the end, and for what is no event."""
    try:
        return await async_read_event(reader)
    except (KeyError, TypeError, AttributeError, RecursionError, asyncio.IncompleteReadError):
        return None


def _to_samples(pieces: Iterator[SpokenPiece]) -> Iterator[bytes]:
    for piece in pieces:
        yield to_pcm16(piece.wave)
