"""Pieces of an answer, its events, and what becomes of its job."""

import asyncio
import base64
import io
import json

import numpy as np
import soundfile

from gsv2.audio.marking import MARK
from gsv2.serve.answer import SpeechResponse, encode_pieces, to_events
from gsv2.serve.speaking_queue import SpeakingQueue

RATE = 24_000
WAVES = [np.full(count, 0.25, dtype=np.float32) for count in (2400, 1200)]


def test_a_file_comes_at_once_or_with_each_wave():
    [whole] = encode_pieces(iter(WAVES), RATE, "wav", is_streamed=False)
    assert soundfile.info(io.BytesIO(whole)).frames == 3600
    left = iter(WAVES)
    pieces = encode_pieces(left, RATE, "pcm", is_streamed=True)
    first = next(pieces)
    assert first
    assert next(left) is WAVES[1]  # the second wave was not yet asked for
    [pcm] = encode_pieces(iter(WAVES), RATE, "pcm", is_streamed=False)
    assert b"".join(encode_pieces(iter(WAVES), RATE, "pcm", is_streamed=True)) == pcm


async def pieces_of(*pieces: bytes):
    for piece in pieces:
        yield piece


def test_events_carry_the_pieces_in_order_and_end_with_the_usage():
    async def collect() -> list[bytes]:
        return [event async for event in to_events(pieces_of(b"\0a", b"\n\n"), 7)]

    lines = asyncio.run(collect())
    assert all(line.startswith(b"data: ") and line.endswith(b"\n\n") for line in lines)
    *deltas, done = [json.loads(line.removeprefix(b"data: ")) for line in lines]
    assert [delta["type"] for delta in deltas] == ["speech.audio.delta"] * 2
    assert [base64.b64decode(delta["audio"]) for delta in deltas] == [b"\0a", b"\n\n"]
    usage = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
    assert done == {"type": "speech.audio.done", "usage": usage}


def respond(make) -> tuple[list[dict], int]:
    """Return what a response sends, and the number of requests in the queue after it."""

    async def talk() -> tuple[list[dict], int]:
        queue = SpeakingQueue(0, 60)
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            await asyncio.Event().wait()

        job = queue.submit(make)
        scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
        await SpeechResponse(job.pieces(), job, queue, "audio/x")(scope, receive, send)
        left = len(queue)
        queue.close()
        return sent, left

    return asyncio.run(talk())


def test_a_whole_answer_is_marked_and_frees_its_place():
    sent, left = respond(lambda check: iter([b"ab", b"cd"]))
    assert (b"x-synthetic-speech", MARK.encode()) in sent[0]["headers"]
    assert b"".join(message["body"] for message in sent[1:]) == b"abcd"
    assert not sent[-1]["more_body"]
    assert left == 0


def test_an_answer_that_fails_is_cut_and_frees_its_place():
    def make(check):
        yield b"ab"
        raise ValueError("the rest cannot be spoken")

    sent, left = respond(make)
    assert sent[-1]["body"] == b"ab"
    assert sent[-1]["more_body"]  # no last message: the client sees that it is not whole
    assert left == 0
