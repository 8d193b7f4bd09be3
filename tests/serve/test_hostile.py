"""What a server meets on an open port: it answers with 4xx, and stays up and small."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from gsv2.serve.limits import ServerLimits
from tests.serve.test_app import recording
from tests.support.speech_server import ToneSpeaker, serving

LIMITS = ServerLimits(max_upload_bytes=200_000, max_text_bytes=100_000, max_voices=2, stop_sec=5)
ASKED = {"model": "any", "voice": "anna", "input": "one two", "response_format": "pcm"}


@pytest.fixture(scope="module")
def server():
    with serving(limits=LIMITS) as server:
        yield server


@pytest.fixture(scope="module")
def http(server):
    with server.client() as http:
        yield http


@pytest.fixture(autouse=True)
def still_up(http):
    yield
    assert http.get("/health").json() == {"status": "ok", "requests": 0}
    assert http.post("/v1/audio/speech", json=ASKED).status_code == 200


def upload(http, content: bytes, **fields: str) -> httpx.Response:
    asked = {"name": "Eve", "consent": "yes", **fields}
    files = {"audio_sample": (asked.pop("filename", "a.wav"), content)}
    return http.post("/v1/audio/voices", data=asked, files=files)


def message(answer: httpx.Response) -> str:
    return answer.json()["error"]["message"]


def test_a_huge_upload_is_refused(http):
    answer = upload(http, b"\0" * 600_000)
    assert answer.status_code == 413
    assert "too large" in message(answer)


def test_a_huge_upload_of_unknown_length_is_refused(http):
    border = {"Content-Type": "multipart/form-data; boundary=x"}
    head = b'--x\r\nContent-Disposition: form-data; name="audio_sample"; filename="a"\r\n\r\n'
    parts = (head if part == 0 else b"\0" * 10_000 for part in range(60))
    answer = http.post("/v1/audio/voices", content=parts, headers=border)
    assert answer.status_code == 413


def test_a_huge_text_is_refused(http):
    asked = {**ASKED, "input": "x" * 10_000}
    answer = http.post("/v1/audio/speech", json=asked)
    assert answer.status_code == 400
    assert "at most 4096 characters, but has 10000" in message(answer)
    asked = {**ASKED, "input": "x" * 150_000}
    assert http.post("/v1/audio/speech", json=asked).status_code == 413


@pytest.mark.parametrize("content", [b"", b"not audio", b"RIFF\0\0\0\0WAVE", b"\xff" * 50_000])
def test_what_is_no_audio_is_refused(http, content):
    answer = upload(http, content)
    assert answer.status_code == 400
    assert "cannot be read as audio" in message(answer)


def test_a_recording_that_is_too_long_is_refused_before_it_is_decoded(http):
    import io

    import numpy as np
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.zeros(8_000 * 600, dtype=np.int16), 8_000, format="FLAC")
    answer = upload(http, file.getvalue())
    assert answer.status_code == 400
    assert "too long: 600.00 s, at most 60.00 s can be read" in message(answer)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\0b", ""])
def test_a_name_is_no_path(http, name):
    answer = upload(http, recording(), name=name)
    assert answer.status_code == 400
    assert "name" in message(answer)


def test_the_name_of_an_uploaded_file_says_nothing(http):
    answer = upload(http, recording(), filename="../../../etc/cron.d/evil", name="Eve")
    assert answer.status_code == 200
    voice = answer.json()["id"]
    assert http.delete(f"/v1/audio/voices/{voice}").status_code == 200


@pytest.mark.parametrize("path", ["..%2f..%2fetc%2fpasswd", "%2e%2e", "anna%00"])
def test_a_path_of_a_voice_names_no_file(http, path):
    assert http.delete(f"/v1/audio/voices/{path}").status_code in (404, 405)
    assert http.get(f"/{path}").status_code == 404


def test_uploaded_voices_are_counted(http):
    made = [upload(http, recording(), name=f"v{i}") for i in range(3)]
    assert [answer.status_code for answer in made] == [200, 200, 409]
    for answer in made[:2]:
        http.delete(f"/v1/audio/voices/{answer.json()['id']}")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'"x"', b"[" * 50_000, b"\xff\xfe\0"])
def test_what_is_no_json_is_refused(http, content):
    headers = {"Content-Type": "application/json"}
    answer = http.post("/v1/audio/speech", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_a_lone_surrogate_and_control_characters_are_no_error(http):
    headers = {"Content-Type": "application/json"}
    body = '{"model": "m", "voice": "anna", "input": "a \\ud800 \\u0000 b"}'
    answer = http.post("/v1/audio/speech", content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.content


def test_fifty_at_once_are_spoken_or_told_to_come_again():
    speaker = ToneSpeaker()
    limits = ServerLimits(max_waiting=7, stop_sec=5)
    with (
        serving(speaker, limits=limits) as server,
        server.client() as http,
        ThreadPoolExecutor(50) as pool,
    ):
        asked = {**ASKED, "input": "hold on"}
        answers = [pool.submit(http.post, "/v1/audio/speech", json=asked) for _ in range(50)]
        turned_away = threading.Semaphore(0)
        for answer in answers:
            answer.add_done_callback(lambda _: turned_away.release())
        for _ in range(42):
            assert turned_away.acquire(timeout=60)
        speaker.go.set()
        results = [answer.result() for answer in answers]
    statuses = [result.status_code for result in results]
    assert statuses.count(200) == 8
    assert statuses.count(429) == 42
    refused = next(result for result in results if result.status_code == 429)
    assert refused.headers["retry-after"] == "5"
    assert "8 requests are being answered or wait" in message(refused)


@pytest.mark.parametrize("text", ["endless", "endless words"])
@pytest.mark.parametrize("more", [{}, {"stream_format": "sse", "word_times": True}])
def test_a_client_that_leaves_in_mid_stream_stops_the_speaker(text, more):
    speaker = ToneSpeaker()
    with serving(speaker) as server, server.client() as http:
        asked = {**ASKED, "input": text, **more}
        with http.stream("POST", "/v1/audio/speech", json=asked) as answer:
            next(answer.iter_raw())
        assert speaker.stopped.wait(60)
        assert http.post("/v1/audio/speech", json=ASKED).status_code == 200


def test_a_client_that_leaves_before_the_first_byte_stops_the_speaker():
    speaker = ToneSpeaker()
    with serving(speaker) as server, server.client() as http:
        asked = {**ASKED, "input": "endless", "response_format": "wav"}
        with pytest.raises(httpx.ReadTimeout):
            http.post("/v1/audio/speech", json=asked, timeout=0.5)
        assert speaker.stopped.wait(60)


def test_a_request_has_an_end():
    speaker = ToneSpeaker()
    limits = ServerLimits(max_request_sec=1, stop_sec=5)
    with serving(speaker, limits=limits) as server, server.client() as http:
        asked = {**ASKED, "input": "endless", "response_format": "wav"}
        answer = http.post("/v1/audio/speech", json=asked)
        assert answer.status_code == 503
        assert "time" in message(answer)
        with (
            pytest.raises(httpx.RemoteProtocolError),  # cut, so that nobody takes it for whole
            http.stream(
                "POST", "/v1/audio/speech", json=asked | {"response_format": "pcm"}
            ) as answer,
        ):
            answer.read()


def test_a_request_that_trickles_in_is_ended():
    limits = ServerLimits(max_upload_sec=1, stop_sec=5)
    with serving(limits=limits) as server:
        address = server.url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=60) as connection:
            connection.sendall(
                b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_a_stopping_server_ends_what_it_has_begun():
    speaker = ToneSpeaker()
    with (
        serving(speaker) as server,
        server.client() as http,
        ThreadPoolExecutor(1) as pool,
    ):
        asked = {**ASKED, "input": "hold on please"}
        answer = pool.submit(http.post, "/v1/audio/speech", json=asked)
        assert speaker.began.wait(60)
        server.stop()
        speaker.go.set()
        result = answer.result()
        assert result.status_code == 200
        assert len(result.content) == pytest.approx(0.3 * 24_000 * 2, abs=8)
        server.thread.join()
        with pytest.raises(httpx.ConnectError):
            http.get("/health")


def test_memory_stays_flat_over_500_requests(http):
    process = psutil.Process()

    def ask(count: int) -> int:
        for number in range(count):
            audio_format = "pcm" if number % 10 else "mp3"
            asked = ASKED | {"input": "one", "response_format": audio_format}
            if number % 3 == 0:
                asked |= {"stream_format": "sse", "word_times": True}
            assert http.post("/v1/audio/speech", json=asked).status_code == 200
        return process.memory_info().rss

    before = ask(100)
    assert ask(400) - before < 8 << 20
