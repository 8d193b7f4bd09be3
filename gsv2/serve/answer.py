"""Answer to a request for speech: bytes of a file, or events, as they are made."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import numpy as np
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from gsv2.audio.encoding import EncodedFormat, StreamEncoder, encode_whole
from gsv2.audio.marking import MARK
from gsv2.serve.speaking_queue import SpeakingJob, SpeakingQueue, StoppedError

MARK_HEADERS = {"X-Synthetic-Speech": MARK}
"""Headers of every answer; PCM and AAC have no other place to say it."""

logger = logging.getLogger(__name__)


def encode_pieces(
    waves: Iterator[np.ndarray],
    sample_rate: int,
    audio_format: EncodedFormat,
    tags: Mapping[str, str] | None = None,
    *,
    is_streamed: bool,
) -> Iterator[bytes]:
    """Yield the file of a speech [N] float32 that comes in pieces.

    Args:
        waves: the pieces.
        sample_rate: rate of `waves` in Hz.
        tags: texts that the file holds about itself.
        is_streamed: yield bytes as they come; else all at once, with a header that knows how many.
    """
    if not is_streamed:
        yield encode_whole(np.concatenate(list(waves)), sample_rate, audio_format, tags)
        return
    encoder = StreamEncoder(audio_format, sample_rate, tags)
    for wave in waves:
        yield encoder.encode(wave)
    yield encoder.finish()


async def to_events(pieces: AsyncIterator[bytes], num_text: int) -> AsyncIterator[bytes]:
    """Yield pieces of a file as the server-sent events of OpenAI's interface.

    Args:
        num_text: length of the text, which the last event tells.
    """
    count = 0
    async for piece in pieces:
        count += 1
        audio = base64.b64encode(piece).decode()
        yield _event({"type": "speech.audio.delta", "audio": audio})
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


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()
