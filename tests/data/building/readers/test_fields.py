"""Fields of a row: segments, keys, and what is missing."""

from pathlib import Path

import pytest

from gsv2.data.building.offered import LeftOutError, Recording
from gsv2.data.building.readers.fields import recording_of, segment_name, segment_of
from gsv2.data.building.readers.reader import ReadingOptions

ROW = {"text": " Hi. ", "language": "EN"}


def made(fields: dict[str, object], language: str | None = None) -> Recording:
    options = ReadingOptions(language=language)
    return recording_of({**ROW, **fields}, Path("x/a.wav"), "a.wav", "t:1", options, source="t")


def test_a_row_becomes_a_recording() -> None:
    found = made({"speaker": 7, "start": "1.5", "end": 2.25, "licence": "CC0"})
    assert (found.text, found.language, found.speaker) == ("Hi.", "en", "7")
    assert (found.start_sec, found.duration_sec, found.key) == (1.5, 0.75, "a-00001500-00002250")
    assert (found.source, found.licence) == ("t", "CC0")
    assert made({"key": "mine"}).key == "mine"
    assert made({"speaker": 0}).speaker == "0"
    assert made({"language": ""}, language="de").language == "de"


def test_speakers_of_rows_that_name_their_source_are_apart() -> None:
    first, second = (made({"speaker": "1", "source": name}) for name in ("libri", "vctk"))
    assert (first.speaker, second.speaker) == ("libri/1", "vctk/1")
    assert made({"source": "libri"}).speaker == ""


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({}, (None, None)),
        ({"start": 2.0}, (2.0, None)),
        ({"start": 2.0, "duration": 0.5}, (2.0, 0.5)),
        ({"end": 3.0}, (0.0, 3.0)),
        ({"start": 1.0, "end": 3.0, "duration": 2.005}, (1.0, 2.0)),
    ],
)
def test_a_segment_is_told_by_any_two_of_its_times(
    times: dict[str, float], expected: tuple[float | None, float | None]
) -> None:
    assert segment_of(times) == expected


@pytest.mark.parametrize(
    ("fields", "reason", "value"),
    [
        ({"start": 2, "end": 2}, "segment has no duration", "must be after the start (2.0 s)"),
        ({"end": 3, "duration": 2.5}, "times of the segment differ", "but is 2.5"),
        ({"start": -1}, "times of the segment cannot be read", "start must be .*but is -1"),
        ({"duration": 0}, "times of the segment cannot be read", "but is 0"),
        ({"end": "nan"}, "times of the segment cannot be read", "'nan'"),
        ({"start": "soon"}, "times of the segment cannot be read", "'soon'"),
        ({"text": " "}, "no transcript", "empty"),
        ({"language": ""}, "language is missing", "--language"),
    ],
)
def test_what_cannot_be_used_has_a_reason_and_its_value(
    fields: dict[str, object], reason: str, value: str
) -> None:
    with pytest.raises(LeftOutError) as error:
        made(fields)
    assert error.value.reason == reason
    for part in value.split(".*"):
        assert part in error.value.value


def test_segments_of_one_recording_have_names_and_keys_of_their_own() -> None:
    assert segment_name("a/b.flac", None, None) == ("a/b.flac", "a/b")
    names = [segment_name("b.flac", start, 1.0) for start in (0.0, 1.0, 1.001)]
    assert len({name for name, _ in names}) == len({key for _, key in names}) == 3
