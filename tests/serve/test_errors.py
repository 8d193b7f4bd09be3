"""Errors as clients of OpenAI's interface read them."""

import json

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from gsv2.serve.errors import RequestError, error_response, install_handlers
from gsv2.serve.speech_request import SpeechRequest


@pytest.mark.parametrize(
    ("status", "kind", "header"),
    [
        (400, "invalid_request_error", None),
        (401, "authentication_error", ("www-authenticate", "Bearer")),
        (413, "invalid_request_error", None),
        (429, "rate_limit_error", ("retry-after", "5")),
        (503, "server_error", ("retry-after", "5")),
    ],
)
def test_a_status_says_its_kind(status, kind, header):
    answer = error_response(RequestError(status, "why", "voice", "word"))
    assert answer.status_code == status
    described = {"message": "why", "type": kind, "param": "voice", "code": "word"}
    assert json.loads(answer.body) == {"error": described}
    found = {
        n: answer.headers[n] for n in ("www-authenticate", "retry-after") if n in answer.headers
    }
    assert found == dict([header] if header else [])


def test_every_error_of_an_app_has_one_form():
    app = FastAPI()
    install_handlers(app)

    @app.post("/speech")
    async def speak(asked: SpeechRequest) -> None:
        raise RequestError(409, f"{asked.input} is there")

    client = TestClient(app)
    asked = {"model": "m", "voice": "anna", "input": "it"}
    cases = [
        (client.get("/nowhere"), 404, "Not Found", None),
        (client.post("/speech", json=asked), 409, "it is there", None),
        (client.post("/speech", json=asked | {"speed": 9}), 400, "speed: ", "speed"),
    ]
    for answer, status, message, param in cases:
        assert answer.status_code == status
        error = answer.json()["error"]
        assert error["message"].startswith(message)
        assert error["type"] == "invalid_request_error"
        assert error["param"] == param
