"""Shelf of voices: names, ids, mixtures, and room for more."""

import pytest

from gsv2.serve.errors import RequestError
from gsv2.serve.voices import VoiceShelf
from tests.support.speech_server import ANNA, CARL


@pytest.fixture
def shelf():
    return VoiceShelf((ANNA, CARL), 2)


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ("anna", [(ANNA, 1)]),
        (" CARL ", [(CARL, 1)]),
        ("anna+carl", [(ANNA, 1), (CARL, 1)]),
        ("Anna(0.75) + carl( .25 )", [(ANNA, 0.75), (CARL, 0.25)]),
        ("anna(1)+carl(0)", [(ANNA, 1), (CARL, 0)]),
    ],
)
def test_a_voice_is_found_by_name_id_or_mixture(shelf, asked, parts):
    assert shelf.find_parts(asked) == parts


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("nobody", "voice 'nobody' is not known; there are: Anna, Carl"),
        ("../../etc/passwd", "is not known"),
        ("anna+nobody", "voice 'nobody' is not known"),
        ("anna(0)+carl(0)", "one voice of a mixture must have a weight above 0"),
        ("anna+" * 9, "at most 8 voices"),
        ("+", "as anna(0.7)+ben(0.3)"),
    ],
)
def test_what_is_no_voice_is_one_clear_message(shelf, asked, message):
    with pytest.raises(RequestError) as caught:
        shelf.find_parts(asked)
    assert (caught.value.status_code, caught.value.param) == (400, "voice")
    assert message in caught.value.detail


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a\0b", "", "x" * 65])
def test_a_name_is_no_path(shelf, name):
    with pytest.raises(RequestError, match="name must be 1 to 64 letters") as caught:
        shelf.add(name, (), "yes")
    assert caught.value.status_code == 400


def test_uploaded_voices_are_counted_and_can_go(shelf):
    eve, _ = shelf.add("Eve", (1.0,), "yes"), shelf.add("x" * 64, (1.0,), "yes")
    with pytest.raises(RequestError, match="2 voices were uploaded") as caught:
        shelf.add("Ben", (), "yes")
    assert caught.value.status_code == 409
    assert shelf.find("eve") is shelf.find(eve.id) is eve
    shelf.remove(eve.id)
    with pytest.raises(RequestError, match="there is a voice 'ANNA' already"):
        shelf.add("ANNA", (), "yes")
    assert shelf.add("Eve", (), "yes").id != eve.id


@pytest.mark.parametrize("voice_id", ["anna", "nobody"])
def test_a_voice_that_was_not_uploaded_stays(shelf, voice_id):
    with pytest.raises(RequestError, match="no uploaded voice") as caught:
        shelf.remove(voice_id)
    assert caught.value.status_code == 404
    assert list(shelf) == [ANNA, CARL]
