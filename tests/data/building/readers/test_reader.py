"""An input that is not of its layout is one error; files that no row names are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gsv2.data.building.encode import Rejected
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.corpus.manifest import CorpusError
from tests.support.layouts import LAYOUTS
from tests.support.offered_clips import offered
from tests.support.said import SAID, audio_bytes, put


def test_files_that_a_table_does_not_name_are_named(tmp_path):
    for name in ("ljspeech", "common-voice", "table", "aishell3"):
        root = tmp_path / name
        LAYOUTS[name].write(root)
        put(root / "wavs" / "extra.wav", audio_bytes(SAID[0]))
        put(root / "README.md", "")
        clips = offered(root, name, language="en")
        named = {Path(c.file).name: c.reason for c in clips if isinstance(c, Rejected)}
        assert named.pop("other.tsv", "") in ("", "left alone: no suffix of an audio file")
        assert named == {
            "extra.wav": "left alone: no row names it",
            "README.md": "left alone: no suffix of an audio file",
        }


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("ljspeech", lambda root: LAYOUTS["ljspeech"].write(root), "name no language.*--language"),
        ("table", lambda root: put(root / "a.csv", "x,y\n1,2\n"), "one table with audio and text"),
        ("pairs", lambda root: LAYOUTS["pairs"].write(root), "--language"),
        ("gpt-sovits", lambda root: put(root / "a.list", "x"), "AUDIO.SPEAKER.LANGUAGE.TEXT"),
        ("common-voice", lambda root: put(root / "a.tsv", "x"), "client_id, path, sentence"),
        ("aishell3", lambda root: put(root / "a.txt", "x"), "no content.txt"),
        ("lhotse", lambda root: put(root / "a.jsonl", "{}"), "lhotse cut simple"),
        ("vctk", lambda root: put(root / "a.txt", "x"), "no folder wav48"),
    ],
)  # fmt: skip
def test_an_input_that_is_not_of_the_layout_is_one_error(
    name: str, make: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    make(tmp_path)
    with pytest.raises(CorpusError, match=message):
        offered(tmp_path, name)


def test_columns_and_encodings_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="column must be one of audio, text"):
        ReadingOptions(columns={"txet": "a"})
    with pytest.raises(ValueError, match="encoding 'klingon' is not known"):
        ReadingOptions(encoding="klingon")
    with pytest.raises(ValueError, match="'anna'"):
        ReadingOptions(language="anna")
