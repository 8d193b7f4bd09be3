"""Pieces of an answer, its events, and what becomes of its job."""

import asyncio
import base64
import io
import json

import numpy as np
import soundfile

from gsv2.audio.marking import MARK
from gsv2.serve.answer import AnswerFormat, SpeechResponse, encode_events, encode_pieces
from gsv2.serve.speaker import SpokenPiece, SpokenWord
from gsv2.serve.speaking_queue import SpeakingQueue

RATE = 24_000
PCM, WAV = AnswerFormat("pcm", RATE, {}), AnswerFormat("wav", RATE, {})
WAVES = [np.full(count, 0.25, dtype=np.float32) for count in (2400, 1200)]


def pieces_of(waves):
    return (SpokenPiece(wave) for wave in waves)


def test_a_file_comes_at_once_or_with_each_wave():
    [whole] = encode_pieces(pieces_of(WAVES), WAV, is_streamed=False)
    assert soundfile.info(io.BytesIO(whole)).frames == 3600
    left = iter(WAVES)
    pieces = encode_pieces(pieces_of(left), PCM, is_streamed=True)
    first = next(pieces)
    assert first
    assert next(left) is WAVES[1]  # the second wave was not yet asked for
    [pcm] = encode_pieces(pieces_of(WAVES), PCM, is_streamed=False)
    assert b"".join(encode_pieces(pieces_of(WAVES), PCM, is_streamed=True)) == pcm


def parsed(lines):
    assert all(line.startswith(b"data: ") and line.endswith(b"\n\n") for line in lines)
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def test_events_carry_the_pieces_in_order_and_end_with_the_usage():
    events = parsed([*encode_events(pieces_of(WAVES), PCM, 7, with_words=True)])
    *deltas, done = events
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    [pcm] = encode_pieces(pieces_of(WAVES), PCM, is_streamed=False)
    assert b"".join(base64.b64decode(delta["audio"]) for delta in deltas) == pcm
    usage = {"input_tokens": 7, "output_tokens": len(deltas), "total_tokens": 7 + len(deltas)}
    assert done == {"type": "speech.audio.done", "usage": usage}


def test_words_come_after_their_sound_to_those_who_ask():
    spoken = SpokenPiece(WAVES[0], (SpokenWord("one", 0.0, 0.1),), ("was cut",))
    told = parsed([*encode_events(iter([spoken]), PCM, 3, with_words=True)])
    assert [event["type"] for event in told][:2] == ["speech.audio.delta", "speech.audio.words"]
    assert told[1]["words"] == [{"word": "one", "start": 0.0, "end": 0.1}]
    assert told[1]["warnings"] == ["was cut"]
    plain = parsed([*encode_events(iter([spoken]), PCM, 3, with_words=False)])
    assert plain == [event for event in told if event["type"] != "speech.audio.words"]


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
