"""Lists of clips by their keys."""

from __future__ import annotations

import pytest

from gsv2.data.corpus.key_list import read_key_list
from gsv2.data.corpus.manifest import CorpusError
from gsv2.storage.storage import Storage


def test_keys_are_read_from_a_file_and_from_afar(tmp_path):
    path = tmp_path / "list.jsonl"
    path.write_text('{"key": "a", "reason": "x"}\n\n{"key": "ü"}\n', encoding="utf-8")
    assert read_key_list(str(path), Storage()).to_pylist() == ["a", "ü"]
    assert read_key_list(f"file://{path}", Storage()).to_pylist() == ["a", "ü"]
    path.write_text("")
    assert len(read_key_list(str(path), Storage())) == 0


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", ":2 is no JSON"),
        ('{"reason": "x"}', ":2 must be an object with the key of a clip"),
        ('"a"', ":2 must be an object with the key of a clip"),
    ],
)
def test_a_line_without_a_key_is_named(tmp_path, content, fault):
    path = tmp_path / "list.jsonl"
    path.write_text(f'{{"key": "a"}}\n{content}\n')
    with pytest.raises(CorpusError, match=rf"list\.jsonl{fault}"):
        read_key_list(str(path), Storage())


def test_a_list_that_is_missing_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"nowhere\.jsonl cannot be read"):
        read_key_list(str(tmp_path / "nowhere.jsonl"), Storage())
