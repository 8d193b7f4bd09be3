"""Lines with their places, in any encoding; what cannot be decoded is named."""

from __future__ import annotations

import gzip

import pytest

from gsv2.data.building.offered import RejectedFile
from gsv2.data.building.readers.lines import text_lines
from gsv2.data.corpus.manifest import CorpusError

TEXT = "\ufeffone\r\n\r\n二 \u2028 lines\n  \nthree"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_blank_lines_are_counted_and_line_separators_of_unicode_are_none(tmp_path, pack):
    path = tmp_path / ("a.gz" if pack is gzip.compress else "a")
    path.write_bytes(pack(TEXT.encode()))
    lines = list(text_lines(path))
    assert [line.text for line in lines] == ["one", "二 \u2028 lines", "three"]
    assert [line.place for line in lines] == [f"{path}:{number}" for number in (1, 3, 5)]


@pytest.mark.parametrize("encoding", ["gb18030", "shift_jis", "utf-16"])
def test_other_encodings_are_read_when_they_are_said(tmp_path, encoding):
    (tmp_path / "a").write_bytes("一二\n三".encode(encoding))
    assert [line.text for line in text_lines(tmp_path / "a", encoding)] == ["一二", "三"]


def test_what_is_not_in_the_encoding_is_named_by_line_or_as_a_whole(tmp_path):
    (tmp_path / "a").write_bytes(b"good\nb\xe9d\ngood")
    first, bad, last = text_lines(tmp_path / "a")
    assert isinstance(bad, RejectedFile)
    assert (bad.file, bad.reason, bad.value) == (
        f"{tmp_path / 'a'}:2",
        "line is not UTF-8",
        r"b\xe9d",
    )
    assert first.text == last.text == "good"
    (tmp_path / "b").write_bytes("x".encode("utf-16"))
    with pytest.raises(CorpusError, match="UTF-16, not utf-8; say --encoding utf-16"):
        list(text_lines(tmp_path / "b"))
    (tmp_path / "c.gz").write_bytes(gzip.compress(b"x\n" * 99_999)[:-9])
    with pytest.raises(CorpusError, match="cannot be read to its end"):
        list(text_lines(tmp_path / "c.gz"))
    with pytest.raises(CorpusError, match="cannot be read"):
        list(text_lines(tmp_path / "none"))
