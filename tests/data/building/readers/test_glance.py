"""A first look is bounded, however large the input is."""

from __future__ import annotations

import os

import pytest

from gsv2.data.building.readers.choice import choose_reader
from gsv2.data.building.readers.glance import Glance, first_lines
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.corpus.manifest import CorpusError
from tests.support.said import SAID, audio_bytes, put


def test_a_large_folder_is_not_listed_whole_and_its_table_is_seen(tmp_path, monkeypatch):
    for number in range(1500):
        put(tmp_path / f"{number}.wav", b"")
    put(tmp_path / "zz.csv", "path,text\n1.wav,Hi.\n")
    look = Glance(tmp_path)
    assert len(look.audio()) == 100
    assert [path.name for path in look.tables(".csv")] == ["zz.csv"]
    opened = []
    plain = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: opened.append(path) or plain(path))
    for number in range(500):
        (tmp_path / "deep" / str(number) / "x").mkdir(parents=True)
    assert choose_reader(tmp_path).reader.name == "table"
    assert len(opened) <= 400


def test_first_lines_end_with_whole_ones(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfone\r\n\n" + b"x" * 40_000 + b"\n" + b"y" * 40_000)
    assert first_lines(tmp_path / "a") == ["one", "x" * 40_000]


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(CorpusError, match=r"input .*none does not exist"):
        Glance(tmp_path / "none")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_table_in_utf_16_is_known_by_sight_and_read_when_its_encoding_is_said(tmp_path, encoding):
    put(tmp_path / "1.wav", audio_bytes(SAID[0]))
    mark = "" if encoding == "utf-16" else "\ufeff"
    text = f"{mark}path\ttext\n1.wav\tHi there.\n"
    (tmp_path / "meta.tsv").write_bytes(text.encode(encoding))
    reader = choose_reader(tmp_path).reader
    assert reader.name == "table"
    with pytest.raises(CorpusError, match=r"meta.tsv is UTF-16, not utf-8; say --encoding utf-16"):
        list(reader.recordings(tmp_path, ReadingOptions(language="en")))
    options = ReadingOptions(language="en", encoding="utf-16")
    assert [found.text for found in reader.recordings(tmp_path, options)] == ["Hi there."]
