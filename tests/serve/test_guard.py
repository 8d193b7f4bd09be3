"""Guard before an app, by ASGI messages."""

import asyncio
import json

import pytest

from gsv2.serve.errors import RequestError
from gsv2.serve.guard import RequestGuard
from gsv2.serve.limits import ServerLimits

LIMITS = ServerLimits(max_text_bytes=100, max_upload_bytes=1000, max_upload_sec=1)
MULTIPART = {"content-type": "multipart/form-data; boundary=x"}
MULTIPART_MOST = 1000 + (64 << 10)


def ask(bodies=(b"",), headers=None, token=None, path="/v1/audio/speech"):
    """Return the status, the message or the body, and whether the app was reached."""
    reached = []

    async def app(scope, receive, send):
        reached.append(True)
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": body})

    async def talk():
        left = list(bodies)
        sent = []

        async def receive():
            if not left:
                await asyncio.Event().wait()
            body = left.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(left) or body is SLOW}

        async def send(message):
            sent.append(message)

        raw = [(k.encode(), v.encode()) for k, v in (headers or {}).items()]
        scope = {"type": "http", "method": "POST", "path": path, "headers": raw}
        try:
            await RequestGuard(app, LIMITS, token)(scope, receive, send)
        except RequestError as error:  # raised inside the app, whose handlers answer
            return error.status_code, error.detail, bool(reached)
        body = sent[1]["body"]
        status = sent[0]["status"]
        text = body if status == 200 else json.loads(body)["error"]["message"]
        return status, text, bool(reached)

    return asyncio.run(talk())


SLOW = b"{ and never more"


@pytest.mark.parametrize(("headers", "most"), [({}, 100), (MULTIPART, MULTIPART_MOST)])
def test_a_body_may_be_as_large_as_its_limit(headers, most):
    told = {**headers, "content-length": str(most)}
    body = b"x" * most
    assert ask([body], told) == (200, body, True)
    told["content-length"] = str(most + 1)
    status, message, is_reached = ask([body + b"x"], told)
    assert (status, is_reached) == (413, False)
    assert f"at most {most} bytes" in message


def test_a_body_of_unknown_length_is_counted_as_it_comes():
    assert ask([b"x" * 60, b"x" * 40])[0] == 200
    for rest in ([b"x" * 41], [b"x" * 41, b"x"]):  # nothing comes after the last message
        status, message, _ = ask([b"x" * 60, *rest])
        assert status == 413
        assert "at most 100 bytes" in message


def test_a_body_that_trickles_in_is_ended():
    status, message, _ = ask([SLOW])
    assert status == 408
    assert "too long to arrive" in message


@pytest.mark.parametrize("said", [None, "Bearer sekret", "secret", "Bearer ", "Bearer secret "])
def test_a_wrong_token_is_turned_away_before_the_app(said):
    headers = {} if said is None else {"authorization": said}
    status, message, is_reached = ask(headers=headers, token="secret")
    assert (status, is_reached) == (401, False)
    assert "Bearer TOKEN" in message


def test_the_token_and_the_open_path_are_let_through():
    assert ask(headers={"authorization": "Bearer secret"}, token="secret")[0] == 200
    assert ask(token="secret", path="/health")[0] == 200
    assert ask()[0] == 200


def test_the_page_of_another_site_reaches_nothing():
    status, said, is_reached = ask(headers={"sec-fetch-site": "cross-site"})
    assert (status, is_reached) == (403, False)
    assert "another site" in said
    assert ask(headers={"sec-fetch-site": "same-origin"})[0] == 200
