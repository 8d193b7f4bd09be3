"""The Wyoming server as the real `wyoming` package's client uses it, on loopback."""

import asyncio
import socket
from contextlib import contextmanager

import numpy as np
import pytest
from wyoming.client import AsyncTcpClient
from wyoming.info import Describe
from wyoming.tts import Synthesize, SynthesizeVoice

from gsv2.serve.app import WyomingAddress
from gsv2.serve.limits import ServerLimits
from tests.support.processes import free_port
from tests.support.speech_server import ANNA, CARL, RATE, ToneSpeaker, serving


@contextmanager
def listening(speaker=None, voices=(ANNA, CARL), limits=None):
    address = WyomingAddress(host="127.0.0.1", port=free_port(), languages=("en", "de"))
    with serving(speaker, voices, limits, wyoming=address):
        yield address.port


@pytest.fixture(scope="module")
def port():
    with listening() as port:
        yield port


def ask(port: int, *events, until: str = "audio-stop") -> list:
    """Send events, and return what comes up to an event of a type, or an error."""

    async def talk() -> list:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            for event in events:
                await client.write_event(event.event())
            found = []
            while event := await asyncio.wait_for(client.read_event(), 60):
                found.append(event)
                if event.type in (until, "error"):
                    break
            return found

    return asyncio.run(talk())


def test_home_assistant_is_told_the_voices(port):
    [info] = ask(port, Describe(), until="info")
    [program] = info.data["tts"]
    assert [voice["name"] for voice in program["voices"]] == ["anna", "carl"]
    assert program["voices"][0]["languages"] == ["en", "de"]
    assert "Synthetic speech" in program["description"]


@pytest.mark.parametrize(("voice", "hz"), [(None, 200), ("Carl", 400), ("anna+carl", 300)])
def test_a_text_is_spoken_in_chunks(port, voice, hz):
    named = None if voice is None else SynthesizeVoice(name=voice)
    start, *chunks, stop = ask(port, Synthesize(text="one two three", voice=named))
    assert start.type == "audio-start"
    assert (start.data["rate"], start.data["width"], start.data["channels"]) == (RATE, 2, 1)
    assert stop.type == "audio-stop"
    assert len(chunks) == 3
    wave = np.frombuffer(b"".join(chunk.payload for chunk in chunks), dtype="<i2")
    assert len(wave) == 0.3 * RATE
    assert np.abs(np.fft.rfft(wave)).argmax() * RATE / len(wave) == pytest.approx(hz, abs=4)


@pytest.mark.parametrize(
    ("text", "voice", "message"),
    [
        ("?!", "anna", "at least one letter or digit"),
        ("one", "nobody", "'nobody' is not known"),
        ("x" * 5000, "anna", "at most 4096 characters"),
    ],
)
def test_what_cannot_be_spoken_is_an_error_event(port, text, voice, message):
    [error] = ask(port, Synthesize(text=text, voice=SynthesizeVoice(name=voice)))
    assert error.type == "error"
    assert message in error.data["text"]


@pytest.mark.parametrize(
    "content",
    [
        b"noise\n",
        b"[]\n",
        b"{}\n",
        b'{"type": "synthesize", "payload_length": 99999999999}\n',
        b'{"type": "synthesize", "data_length": "x"}\n',
        b"x" * 200_000,
    ],
)
def test_what_is_no_event_closes_the_connection(port, content):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""
    assert ask(port, Synthesize(text="still there"))[-1].type == "audio-stop"


def test_a_client_that_leaves_stops_the_speaker():
    speaker = ToneSpeaker()
    with listening(speaker, limits=ServerLimits(max_request_sec=5, stop_sec=5)) as port:
        ask(port, Synthesize(text="endless"), until="audio-chunk")
        assert speaker.stopped.wait(60)
