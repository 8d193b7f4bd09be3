"""Application of the server: `/v1/audio/speech` and `/v1/audio/voices`, as OpenAI's clients use it.

No path of a request ever names a file: voices are kept in memory, by names and ids.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.responses import Response

from gsv2.audio.encoding import MEDIA_TYPES
from gsv2.audio.marking import MARK
from gsv2.serve.answer import AnswerFormat, SpeechResponse, encode_events, encode_pieces
from gsv2.serve.errors import RequestError, install_handlers
from gsv2.serve.guard import RequestGuard
from gsv2.serve.page import add_page
from gsv2.serve.service import Asked, SpeechService
from gsv2.serve.speaker import SpokenPiece
from gsv2.serve.speaking_queue import StoppedError
from gsv2.serve.speech_request import SpeechRequest
from gsv2.version import __version__

logger = logging.getLogger(__name__)

MODEL = "gsv2"
"""Name of the model that a server lists."""


@dataclass(frozen=True, kw_only=True)
class WyomingAddress:
    """Where Wyoming clients are listened to."""

    host: str
    port: int
    languages: tuple[str, ...] = ("en",)
    """Language tags that clients are told."""


def make_app(
    service: SpeechService, token: str | None = None, wyoming: WyomingAddress | None = None
) -> FastAPI:
    """Return the application that speaks.

    Args:
        service: what speaks; it is closed with the application.
        token: what clients must send as their key; None = anybody may ask.
        wyoming: where Wyoming clients are listened to beside; None = nowhere.
    """
    endpoints = _Endpoints(service)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(service.queue.close)
            if wyoming is not None:
                from gsv2.serve.wyoming_server import WyomingServer

                listener = WyomingServer(service, wyoming.languages)
                address = listener.listening(wyoming.host, wyoming.port)
                host, port = await stack.enter_async_context(address)
                logger.info("Wyoming clients are listened to at tcp://%s:%d", host, port)
            yield

    # The pages of FastAPI's own that show the interface fetch scripts from elsewhere.
    hidden: dict[str, Any] = {"docs_url": None, "redoc_url": None}
    app = FastAPI(title="gsv2", version=__version__, lifespan=lifespan, **hidden)
    app.add_middleware(RequestGuard, limits=service.limits, token=token)
    install_handlers(app)
    add_page(app)
    app.add_api_route("/health", endpoints.health, methods=["GET"])
    app.add_api_route("/v1/models", endpoints.list_models, methods=["GET"])
    app.add_api_route("/v1/audio/voices", endpoints.list_voices, methods=["GET"])
    app.add_api_route("/v1/audio/voices", endpoints.add_voice, methods=["POST"])
    app.add_api_route("/v1/audio/voices/{voice_id}", endpoints.remove_voice, methods=["DELETE"])
    app.add_api_route(
        "/v1/audio/speech", endpoints.speak, methods=["POST"], response_class=Response
    )
    return app


class _Endpoints:
    """The endpoints, and what they share."""

    def __init__(self, service: SpeechService) -> None:
        self._service = service
        self._shelf = service.shelf
        self._queue = service.queue

    async def health(self) -> dict[str, Any]:
        """Tell that the server is up, and how many requests it is answering."""
        return {"status": "ok", "requests": len(self._queue)}

    async def list_models(self) -> dict[str, Any]:
        """List the one model."""
        model = {"id": MODEL, "object": "model", "created": 0, "owned_by": MODEL}
        return {"object": "list", "data": [model]}

    async def list_voices(self) -> dict[str, Any]:
        """List the voices that can be asked for."""
        described = [voice.described() for voice in self._shelf]
        return {"object": "list", "data": described, "voices": described}

    async def add_voice(
        self,
        request: Request,
        audio_sample: Annotated[UploadFile, File(description="recording, 0.5 to 30 s")],
        name: Annotated[str, Form()],
        consent: Annotated[
            str, Form(min_length=1, max_length=500, description="who has agreed, and where it says")
        ],
        text: Annotated[
            str | None, Form(max_length=1000, description="what the recording says")
        ] = None,
        kind: Annotated[str, Form(alias="type", pattern="^audio_sample$")] = "audio_sample",
    ) -> dict[str, Any]:
        """Add a voice by a recording; it is kept in memory until the server stops."""
        self._shelf.check_new(name)
        content = await audio_sample.read()
        if len(content) > self._service.limits.max_upload_bytes:
            most = self._service.limits.max_upload_bytes
            raise RequestError(413, f"audio_sample may have at most {most} bytes", "audio_sample")
        found: list[Sequence[Any]] = []
        job = self._service.submit_enrollment(content, text or None, found)
        try:
            await self._first(job.pieces(), request)
        finally:
            self._queue.release(job)
        return self._shelf.add(name, found[0], consent).described()

    async def remove_voice(self, voice_id: str) -> dict[str, Any]:
        """Forget an uploaded voice."""
        self._shelf.remove(voice_id)
        return {"id": voice_id, "object": "audio.voice.deleted", "deleted": True}

    async def speak(self, asked: SpeechRequest, request: Request) -> Response:
        """Speak a text; what cannot be spoken is told before the first byte."""
        if asked.instructions.strip():
            message = "instructions are followed by no model of this server; leave them out"
            raise RequestError(400, message, "instructions")

        spoken = Asked(
            text=asked.input, voice=asked.asked_voice, speed=asked.speed, seed=asked.seed
        )
        job = self._service.submit_speech(spoken, lambda pieces: self._encode(asked, pieces))
        try:
            pieces = job.pieces()
            first = await self._first(pieces, request)
        except BaseException:
            self._queue.release(job)
            raise
        is_events = asked.stream_format == "sse"
        kind = "text/event-stream" if is_events else MEDIA_TYPES[asked.response_format]
        return SpeechResponse(_chain(first, pieces), job, self._queue, kind)

    def _encode(self, asked: SpeechRequest, pieces: Iterator[SpokenPiece]) -> Iterator[bytes]:
        of = AnswerFormat(asked.response_format, self._service.sample_rate, {"comment": MARK})
        if asked.stream_format == "sse":
            return encode_events(pieces, of, len(asked.input), with_words=asked.word_times)
        return encode_pieces(pieces, of, is_streamed=asked.is_streamed)

    async def _first(self, pieces: AsyncIterator[bytes], request: Request) -> bytes:
        """Return the first piece; give up waiting for it when the client has left.

        Raises:
            RequestError: 400 with what the speaker says of the request, 503 if time is over.
        """
        first = asyncio.ensure_future(_next(pieces))
        left = asyncio.ensure_future(_wait_until_left(request))
        try:
            await asyncio.wait({first, left}, return_when=asyncio.FIRST_COMPLETED)
            if not first.done():
                raise RequestError(499, "the client has left")
            return first.result()
        except StoppedError as error:
            raise RequestError(503, str(error)) from error
        except ValueError as error:
            raise RequestError(400, str(error)) from error
        finally:
            first.cancel()
            left.cancel()


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    return await anext(pieces, b"")


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _wait_until_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
