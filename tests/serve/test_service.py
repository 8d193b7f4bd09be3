"""Service of all ports: what it refuses, and what it hands its speaker."""

import asyncio

import numpy as np
import pytest

from gsv2.serve.errors import RequestError
from gsv2.serve.limits import ServerLimits
from gsv2.serve.service import Asked, SpeechService
from tests.support.speech_server import ANNA, CARL, RATE, ToneSpeaker


def to_bytes(pieces):
    return (piece.wave.tobytes() for piece in pieces)


def with_service(talk):
    async def run():
        service = SpeechService(ToneSpeaker(), (ANNA, CARL), ServerLimits(max_text_characters=20))
        try:
            return await talk(service)
        finally:
            service.queue.close()

    return asyncio.run(run())


@pytest.mark.parametrize(("voice", "hz"), [("anna", 200), ("carl", 400), ("anna+carl", 300)])
def test_a_text_is_spoken_in_its_voice_and_speed(voice, hz):
    async def talk(service):
        job = service.submit_speech(Asked(text="one two", voice=voice, speed=0.5), to_bytes)
        return b"".join([piece async for piece in job.pieces()])

    wave = np.frombuffer(with_service(talk), dtype=np.float32)
    assert len(wave) == 0.4 * RATE
    assert np.abs(np.fft.rfft(wave)).argmax() * RATE / len(wave) == pytest.approx(hz, abs=4)


@pytest.mark.parametrize(
    ("text", "voice", "message"),
    [
        ("x" * 21, "anna", "at most 20 characters, but has 21"),
        ("x" * 20, "nobody", "'nobody' is not known"),
    ],
)
def test_what_is_refused_takes_no_place(text, voice, message):
    async def talk(service):
        with pytest.raises(RequestError, match=message):
            service.submit_speech(Asked(text=text, voice=voice), to_bytes)
        assert len(service.queue) == 0

    with_service(talk)


def test_a_recording_that_gives_no_voice_is_told():
    async def talk(service):
        found = []
        job = service.submit_enrollment(b"not audio", None, found)
        with pytest.raises(ValueError, match="cannot be read as audio"):
            _ = [piece async for piece in job.pieces()]
        assert found == []

    with_service(talk)
