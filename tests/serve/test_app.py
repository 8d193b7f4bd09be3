"""The server as the real `openai` client uses it, on loopback."""

import base64
import io
import json

import numpy as np
import pytest
import soundfile

from gsv2.audio.encoding import FORMATS, MEDIA_TYPES
from gsv2.audio.marking import MARK, read_mark
from tests.audio.test_encoding import decoded
from tests.support.speech_server import ANNA, CARL, RATE, ToneSpeaker, serving


@pytest.fixture(scope="module")
def server():
    with serving(voices=(ANNA, CARL)) as server:
        yield server


@pytest.fixture(scope="module")
def http(server):
    with server.client() as http:
        yield http


@pytest.fixture(scope="module")
def client(server):
    from openai import OpenAI

    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def recording(seconds: float = 1.0) -> bytes:
    file = io.BytesIO()
    tone = 0.1 * np.sin(np.arange(round(seconds * 16_000)) * 0.05)
    soundfile.write(file, tone, 16_000, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("audio_format", FORMATS)
def test_the_client_gets_speech_in_every_format(client, audio_format, tmp_path):
    answer = client.audio.speech.create(
        model="tts-1", voice="anna", input="one two three four", response_format=audio_format
    )
    assert answer.response.headers["content-type"] == MEDIA_TYPES[audio_format]
    wave, rate = decoded(answer.content, audio_format)
    assert len(wave) / rate == pytest.approx(0.4, abs=0.09)
    assert answer.response.headers["x-synthetic-speech"] == MARK
    if audio_format not in ("pcm", "aac"):
        (tmp_path / "answer").write_bytes(answer.content)
        assert read_mark(tmp_path / "answer") == MARK


def test_the_default_is_mp3_and_speed_is_followed(client):
    answer = client.audio.speech.create(
        model="any", voice={"id": "anna"}, input="one two three four", speed=2.0
    )
    wave, rate = decoded(answer.content, "mp3")
    assert len(wave) / rate == pytest.approx(0.2, abs=0.09)


def test_a_wav_knows_its_length_unless_it_is_streamed(client):
    def speak(**more):
        return client.audio.speech.create(
            model="any", voice="Anna", input="one two", response_format="wav", **more
        ).content

    assert soundfile.info(io.BytesIO(speak())).frames == 0.2 * RATE
    streamed = speak(stream_format="audio")
    assert streamed.partition(b"data")[2][:4] == b"\xff" * 4


def test_bytes_come_before_the_speech_has_ended():
    from openai import OpenAI

    speaker = ToneSpeaker()
    with serving(speaker) as server, OpenAI(base_url=f"{server.url}/v1", api_key="-") as client:
        asked = {"model": "any", "voice": "anna", "input": "hold one", "response_format": "pcm"}
        with client.audio.speech.with_streaming_response.create(**asked) as answer:
            pieces = answer.iter_bytes()
            first = next(pieces)
            assert len(first) > 0  # while the speaker waits
            speaker.go.set()
            assert len(first) + sum(map(len, pieces)) == pytest.approx(0.2 * 24_000 * 2, abs=8)


def test_events_carry_the_same_bytes_and_end_with_done(client):
    asked = {"model": "any", "voice": "anna", "input": "one two", "response_format": "pcm"}
    plain = client.audio.speech.create(**asked).content
    with client.audio.speech.with_streaming_response.create(**asked, stream_format="sse") as answer:
        lines = [line for line in answer.iter_lines() if line]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert [event["type"] for event in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    assert events[-1]["type"] == "speech.audio.done"
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == plain


def test_a_voice_is_uploaded_spoken_with_and_deleted(http, client):
    from openai import APIStatusError

    sample = ("voice.wav", recording())
    made = client.audio.voices.create(
        name="Ben", audio_sample=sample, consent="Ben, by letter", extra_body={"text": "hello"}
    )
    listed = http.get("/v1/audio/voices").json()
    assert [voice["name"] for voice in listed["data"]] == ["Anna", "Carl", "Ben"]
    for asked in ("ben", {"id": made.id}):
        client.audio.speech.create(model="any", voice=asked, input="hello")
    with pytest.raises(APIStatusError, match="there is a voice 'BEN' already"):
        client.audio.voices.create(name="BEN", audio_sample=sample, consent="yes")
    assert client.audio.voices.delete(made.id).deleted
    with pytest.raises(APIStatusError, match="no uploaded voice") as caught:
        client.audio.voices.delete(made.id)
    assert caught.value.status_code == 404
    with pytest.raises(APIStatusError, match="no uploaded voice"):
        client.audio.voices.delete("anna")


def test_voices_are_mixed_by_weight(client):
    def pitch(asked: str) -> float:
        content = client.audio.speech.create(
            model="any", voice=asked, input="one two three", response_format="pcm"
        ).content
        wave, rate = decoded(content, "pcm")
        return np.abs(np.fft.rfft(wave)).argmax() * rate / len(wave)

    assert pitch("anna") == pytest.approx(200, abs=4)
    assert pitch("anna+carl") == pytest.approx(300, abs=4)
    assert pitch("Anna(0.75) + carl(0.25)") == pytest.approx(250, abs=4)
    assert pitch("anna(1)+carl(0)") == pytest.approx(200, abs=4)


def test_models_are_listed_and_health_is_told(http, client):
    assert [model.id for model in client.models.list()] == ["gsv2"]
    assert http.get("/health").json() == {"status": "ok", "requests": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"voice": "nobody"}, "voice 'nobody' is not known; there are: Anna, Carl"),
        ({"input": "x" * 4097}, "at most 4096 characters, but has 4097"),
        ({"input": "?!"}, "at least one letter or digit"),
        ({"input": None}, "input: "),
        ({"speed": 9}, "speed: "),
        ({"speed": "NaN"}, "speed: "),
        ({"instructions": "angrily"}, "instructions are followed by no model"),
        ({"colour": "red"}, "colour: "),
    ],
)
def test_what_cannot_be_spoken_is_one_clear_4xx(http, change, message):
    asked = {"model": "any", "voice": "anna", "input": "hello", **change}
    answer = http.post("/v1/audio/speech", json=asked)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"


def test_a_token_is_asked_for_when_there_is_one():
    from openai import AuthenticationError, OpenAI

    with serving(token="secret") as server, server.client() as http:
        asked = {"model": "any", "voice": "anna", "input": "hello"}
        with OpenAI(base_url=f"{server.url}/v1", api_key="secret") as client:
            assert client.audio.speech.create(**asked).content
        with (
            OpenAI(base_url=f"{server.url}/v1", api_key="sekret") as client,
            pytest.raises(AuthenticationError, match="Bearer TOKEN"),
        ):
            client.audio.speech.create(**asked)
        assert http.get("/v1/audio/voices").status_code == 401
        assert http.get("/health").status_code == 200
