"""JSON that describes one clip."""

import json

import pytest

from gsv2.data.building.offered import LeftOutError
from gsv2.data.building.readers.json_fields import described
from gsv2.data.indexing.clip import lookup


def test_fields_have_any_of_their_names_and_numbers_are_labels() -> None:
    given = {"Sentence": "Hi.", "LANG": "en", "spk": 7, "license": "CC0", "path": "x", "text": None}
    assert described(json.dumps(given).encode(), {}) == {
        "text": "Hi.", "language": "en", "speaker": "7", "source": "", "licence": "CC0",
    }  # fmt: skip


def test_the_user_names_a_field_by_its_path_or_leaves_it_out() -> None:
    given = {"text": "no", "meta": {"said": "yes", "who": True}, "a.b": 1, "a": {"b": 2}}
    columns = {"text": "meta.said", "speaker": "meta.who", "source": ""}
    found = described(json.dumps({**given, "source": "x"}).encode(), columns)
    assert (found["text"], found["speaker"], found["source"]) == ("yes", "", "")
    assert lookup(given, "a.b") == 1
    assert lookup(given, "meta.none") is None
    assert lookup(given, "text.none") is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"text": ', "JSON cannot be read"),
        (b"\xff", "JSON cannot be read"),
        (b"[1]", "JSON is no object"),
        (b"null", "JSON is no object"),
    ],
)
def test_what_is_no_object_is_left_out(content: bytes, reason: str) -> None:
    with pytest.raises(LeftOutError) as error:
        described(content, {})
    assert error.value.reason == reason
