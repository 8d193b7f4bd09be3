"""Application of the server: `/v1/audio/speech` and `/v1/audio/voices`, as OpenAI's clients use it.

No path of a request ever names a file: voices are kept in memory, by names and ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.responses import Response

from gsv2.audio.encoding import MEDIA_TYPES
from gsv2.serve.answer import SpeechResponse, encode_pieces, to_events
from gsv2.serve.errors import RequestError, install_handlers
from gsv2.serve.guard import RequestGuard
from gsv2.serve.limits import ServerLimits
from gsv2.serve.speaker import Speaker
from gsv2.serve.speaking_queue import CheckStop, SpeakingJob, SpeakingQueue, StoppedError
from gsv2.serve.speech_request import SpeechRequest
from gsv2.serve.voices import ServedVoice, VoiceShelf
from gsv2.version import __version__

MODEL = "gsv2"
"""Name of the model that a server lists."""


def make_app(
    speaker: Speaker,
    voices: Sequence[ServedVoice] = (),
    limits: ServerLimits | None = None,
    token: str | None = None,
) -> FastAPI:
    """Return the application that speaks.

    Args:
        speaker: what speaks.
        voices: voices that it begins with.
        limits: None = the defaults.
        token: what clients must send as their key; None = anybody may ask.
    """
    limits = limits or ServerLimits()
    doors = _Doors(speaker, VoiceShelf(voices, limits.max_voices), limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(doors.queue.close)

    app = FastAPI(title="gsv2", version=__version__, lifespan=lifespan)
    app.add_middleware(RequestGuard, limits=limits, token=token)
    install_handlers(app)
    app.add_api_route("/health", doors.health, methods=["GET"])
    app.add_api_route("/v1/models", doors.list_models, methods=["GET"])
    app.add_api_route("/v1/audio/voices", doors.list_voices, methods=["GET"])
    app.add_api_route("/v1/audio/voices", doors.add_voice, methods=["POST"])
    app.add_api_route("/v1/audio/voices/{voice_id}", doors.remove_voice, methods=["DELETE"])
    app.add_api_route("/v1/audio/speech", doors.speak, methods=["POST"], response_class=Response)
    return app


class _Doors:
    """The endpoints, and what they share."""

    def __init__(self, speaker: Speaker, shelf: VoiceShelf, limits: ServerLimits) -> None:
        self._speaker = speaker
        self._shelf = shelf
        self._limits = limits
        self.queue = SpeakingQueue(limits.max_waiting, limits.max_request_sec)

    async def health(self) -> dict[str, Any]:
        """Tell that the server is up, and how many requests it is answering."""
        return {"status": "ok", "requests": len(self.queue)}

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
        if len(content) > self._limits.max_upload_bytes:
            most = self._limits.max_upload_bytes
            raise RequestError(413, f"audio_sample may have at most {most} bytes", "audio_sample")
        found: list[Sequence[Any]] = []

        def enroll(check: CheckStop) -> Iterator[bytes]:
            check()
            found.append(self._speaker.enroll(content, "audio_sample", text or None))
            yield b""

        job = self.queue.submit(enroll)
        try:
            await self._first(job.pieces(), request)
        finally:
            self.queue.release(job)
        return self._shelf.add(name, found[0], consent).described()

    async def remove_voice(self, voice_id: str) -> dict[str, Any]:
        """Forget an uploaded voice."""
        self._shelf.remove(voice_id)
        return {"id": voice_id, "object": "audio.voice.deleted", "deleted": True}

    async def speak(self, asked: SpeechRequest, request: Request) -> Response:
        """Speak a text; what cannot be spoken is told before the first byte."""
        self._check(asked)
        parts = self._shelf.find_parts(asked.asked_voice)

        def make(check: CheckStop) -> Iterator[bytes]:
            references = parts[0][0].references
            if len(parts) > 1:
                references = self._speaker.mix([(v.references, weight) for v, weight in parts])
            waves = self._speaker.stream(
                asked.input, references, speed=asked.speed, seed=asked.seed, check=check
            )
            return encode_pieces(
                waves,
                self._speaker.sample_rate,
                asked.response_format,
                is_streamed=asked.is_streamed,
            )

        job = self.queue.submit(make)
        try:
            pieces = job.pieces()
            first = await self._first(pieces, request)
        except BaseException:
            self.queue.release(job)
            raise
        return self._respond(asked, job, _chain(first, pieces))

    def _respond(
        self, asked: SpeechRequest, job: SpeakingJob, content: AsyncIterator[bytes]
    ) -> SpeechResponse:
        if asked.stream_format == "sse":
            events = to_events(content, len(asked.input))
            return SpeechResponse(events, job, self.queue, "text/event-stream")
        return SpeechResponse(content, job, self.queue, MEDIA_TYPES[asked.response_format])

    def _check(self, asked: SpeechRequest) -> None:
        """Check what can be told without a model."""
        most = self._limits.max_text_characters
        if len(asked.input) > most:
            raise RequestError(
                400,
                f"input may have at most {most} characters, but has {len(asked.input)}",
                "input",
            )
        if asked.instructions.strip():
            raise RequestError(
                400,
                "instructions are followed by no model of this server; leave them out",
                "instructions",
            )

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
