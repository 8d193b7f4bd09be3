"""Columns of tables by the names that people give them."""

from pathlib import Path

import pytest

from gsv2.data.building.readers.columns import NAMES, find_columns, names_columns
from gsv2.data.corpus.manifest import CorpusError

PLACE = Path("a.csv")


def test_no_name_means_two_things() -> None:
    names = [name for field in NAMES.values() for name in field]
    assert len(set(names)) == len(names)


def test_columns_are_found_whatever_their_case_and_the_usual_name_wins() -> None:
    header = ["Transcript", "File_Name", "TEXT", "spk", "age"]
    found = find_columns(header, ("audio", "text"), {}, PLACE)
    assert found == {"audio": "File_Name", "text": "TEXT", "speaker": "spk"}


def test_the_user_decides_by_name_by_number_or_against_a_column() -> None:
    header = ["wav", "text", "spk", "raw"]
    given = {"text": "raw", "audio": "1", "speaker": ""}
    assert find_columns(header, ("audio",), given, PLACE) == {"audio": "wav", "text": "raw"}
    for name in ("row", "5", "0"):
        with pytest.raises(CorpusError, match=rf"a.csv has no column {name} \(text\), only wav"):
            find_columns(header, (), {"text": name}, PLACE)


def test_what_is_needed_or_stands_twice_is_named() -> None:
    with pytest.raises(CorpusError, match=r"no column of the text, only wav; .*--column text=NAME"):
        find_columns(["wav"], ("audio", "text"), {}, PLACE)
    with pytest.raises(CorpusError, match="column text twice"):
        find_columns(["text", "wav", "text"], (), {}, PLACE)


def test_a_header_has_two_names_that_are_known() -> None:
    assert names_columns(["Path ", "Sentence"])
    assert not names_columns(["text", "hello there"])
    assert not names_columns(["a.wav", "text", "text"])
