"""Request for speech: its bounds, and what it refuses by name."""

import pytest
from pydantic import ValidationError

from gsv2.audio.encoding import FORMATS
from gsv2.serve.speech_request import SpeechRequest

ASKED = {"model": "any", "voice": "anna", "input": "hello"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input", None),
        ("speed", 0.24),
        ("speed", 4.01),
        ("speed", "NaN"),
        ("response_format", "exe"),
        ("stream_format", "tape"),
        ("colour", "red"),
        ("seed", 2**63),
        ("seed", -(2**63) - 1),
        ("model", "m" * 201),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(name, value):
    with pytest.raises(ValidationError) as caught:
        SpeechRequest.model_validate({**ASKED, name: value})
    assert [error["loc"] for error in caught.value.errors()] == [(name,)]


def test_bounds_are_taken():
    for change in ({"speed": 0.25}, {"speed": 4}, {"seed": 2**63 - 1}, {"seed": -(2**63)}):
        SpeechRequest.model_validate(ASKED | change)


def test_a_voice_is_a_name_or_an_id():
    assert SpeechRequest.model_validate(ASKED).asked_voice == "anna"
    assert SpeechRequest.model_validate(ASKED | {"voice": {"id": "v"}}).asked_voice == "v"


@pytest.mark.parametrize("audio_format", FORMATS)
def test_only_a_header_with_a_length_waits_for_the_end(audio_format):
    asked = ASKED | {"response_format": audio_format}
    assert SpeechRequest.model_validate(asked).is_streamed == (audio_format not in ("wav", "flac"))
    for stream_format in ("audio", "sse"):
        streamed = SpeechRequest.model_validate(asked | {"stream_format": stream_format})
        assert streamed.is_streamed


def test_word_times_need_events():
    asked = {"model": "m", "input": "one", "voice": "anna", "word_times": True}
    with pytest.raises(ValidationError, match="needs stream_format sse"):
        SpeechRequest(**asked)
    assert SpeechRequest(**asked, stream_format="sse").word_times
