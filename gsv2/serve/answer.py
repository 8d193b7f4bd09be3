"""Answer to a request for speech: bytes of a file, or events, as they are made."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from gsv2.audio.encoding import EncodedFormat, StreamEncoder, encode_whole
from gsv2.audio.marking import MARK
from gsv2.serve.speaker import SpokenPiece
from gsv2.serve.speaking_queue import SpeakingJob, SpeakingQueue, StoppedError

MARK_HEADERS = {"X-Synthetic-Speech": MARK}
"""Headers of every answer; PCM and AAC have no other place to say it."""

logger = logging.getLogger(__name__)


class AnswerFormat(NamedTuple):
    """What a speech is sent as."""

    audio_format: EncodedFormat
    sample_rate: int
    """Sample rate of the waves, in Hz."""
    tags: Mapping[str, str]
    """Texts that the file holds about itself."""


def encode_pieces(
    pieces: Iterator[SpokenPiece], of: AnswerFormat, *, is_streamed: bool
) -> Iterator[bytes]:
    """Yield the file of a speech that comes in pieces.

    Args:
        is_streamed: yield bytes as they come; else all at once, with a header that knows how many.
    """
    if not is_streamed:
        wave = np.concatenate([piece.wave for piece in pieces])
        yield encode_whole(wave, of.sample_rate, of.audio_format, of.tags)
        return
    encoder = StreamEncoder(of.audio_format, of.sample_rate, of.tags)
    for piece in pieces:
        yield encoder.encode(piece.wave)
    yield encoder.finish()


def encode_events(
    pieces: Iterator[SpokenPiece], of: AnswerFormat, num_text: int, *, with_words: bool
) -> Iterator[bytes]:
    """Yield a speech as the server-sent events of OpenAI's interface.

    Args:
        num_text: length of the text, which the last event tells.
        with_words: whether `speech.audio.words` come between, which are ours.
    """
    encoder = StreamEncoder(of.audio_format, of.sample_rate, of.tags)
    count = 0
    for piece in pieces:
        if audio := encoder.encode(piece.wave):
            count += 1
            yield _delta(audio)
        if with_words and (piece.words or piece.warnings):
            words = [word._asdict() for word in piece.words]
            yield _event({"type": "speech.audio.words", "words": words, "warnings": piece.warnings})
    if audio := encoder.finish():
        count += 1
        yield _delta(audio)
    usage = {"input_tokens": num_text, "output_tokens": count, "total_tokens": num_text + count}
    yield _event({"type": "speech.audio.done", "usage": usage})


class SpeechResponse(StreamingResponse):
    """Answer whose job leaves the queue when the last byte is sent, or the client has left.

    Args:
        content: bytes of the answer.
        job: what makes them.
        queue: queue that the job is in.
        media_type: media type of the answer.
    """

    def __init__(
        self, content: AsyncIterator[bytes], job: SpeakingJob, queue: SpeakingQueue, media_type: str
    ) -> None:
        super().__init__(content, media_type=media_type, headers=MARK_HEADERS)
        self._job = job
        self._queue = queue

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the answer; one that cannot be ended is cut, so that nobody takes it for whole."""
        try:
            async with self._job.time_limit():
                await super().__call__(scope, receive, send)
        except ClientDisconnect:
            logger.info("a client left before its answer had ended")
        except (StoppedError, TimeoutError, ValueError) as error:
            logger.warning("an answer was cut: %s", error or "the time for this request is over")
        finally:
            self._queue.release(self._job)


def _delta(audio: bytes) -> bytes:
    return _event({"type": "speech.audio.delta", "audio": base64.b64encode(audio).decode()})


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()
