"""A fault in the input costs its row alone, and is named by place, reason and value."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from gsv2.data.building.encode import Rejected
from gsv2.data.building.readers.choice import choose_reader
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.building.recordings import checked_recordings, load_recordings
from gsv2.data.corpus.manifest import CorpusError
from tests.support.layouts import LAYOUTS, SAID, audio_bytes, emilia_fields, put, put_tar


def offered(source: Path, name: str, **options: object) -> list:
    """Return the clips of an input that a build would be offered."""
    reader = choose_reader(source, name).reader
    listing = partial(reader.recordings, source, ReadingOptions(**options))
    return list(load_recordings(checked_recordings(listing)))


def append(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes().rstrip(b"\n") + b"\n" + content + b"\n")


class Fault(NamedTuple):
    """What is added to an input, and what is to be said of it."""

    row: bytes
    reason: str
    value: str


LINES: dict[str, tuple[str, list[Fault]]] = {
    "gpt-sovits": (
        "asr/sliced.list",
        [
            Fault(b"a.wav|anna|EN", "wrong number of columns", "3 columns"),
            Fault(b"sliced/0001.wav|anna|EN|a|b", "wrong number of columns", "5 columns"),
            Fault(b"sliced/none.wav|anna|EN|Hi.", "audio file does not exist", "none.wav"),
            Fault(b"sliced/0002.wav|anna|EN|", "no transcript", "empty"),
            Fault(b"sliced/0002.wav|anna|EN|\xc3\x28", "line is not UTF-8", r"\xc3("),
            Fault(b"sliced/0002.wav|anna|anna|Hi.", "language is no BCP 47 tag", "'anna'"),
            Fault(b"sliced/0001.wav|anna|EN|Hi.", "same recording or key twice", "sliced.list:1"),
        ],
    ),
    "ljspeech": (
        "metadata.csv",
        [
            Fault(b"alone", "wrong number of columns", "1 columns"),
            Fault(b"none|Hi.|Hi.", "audio file does not exist", "none"),
            Fault(b"0002||", "no transcript", "empty"),
            Fault(b"0002|\xe9", "line is not UTF-8", r"\xe9"),
            Fault(b"0001|Hi.", "same recording or key twice", "metadata.csv:1"),
        ],
    ),
    "common-voice": (
        "validated.tsv",
        [
            Fault(b"c\tcv_0001.mp3", "wrong number of columns", "2 columns, not 5"),
            Fault(b"c\tnone.mp3\tHi.\t2\ten", "audio file does not exist", "none.mp3"),
            Fault(b"c\t\tHi.\t2\ten", "row names no audio", "path"),
            Fault(b"c\tcv_0001.mp3\t \t2\ten", "no transcript", "empty"),
            Fault(b"c\tcv_0001.mp3\t\xff\t2\ten", "line is not UTF-8", r"\xff"),
            Fault(b"c\tcv_0001.mp3\tHi.\t2\txxxx1", "language is no BCP 47 tag", "xxxx1"),
            Fault(b"c\tcv_0001.mp3\tHi.\t2\ten", "same recording or key twice", "validated.tsv:2"),
        ],
    ),
    "aishell3": (
        "train/content.txt",
        [
            Fault("SSB00010003.wav 广 guang3".encode(), "wrong number of columns", "a tab"),
            Fault("SSB00019999.wav\t广 guang3".encode(), "audio file does not exist", "9999"),
            Fault(b"SSB00010003.wav\t", "no transcript", "empty"),
            Fault(b"SSB00010003.wav\t\xb9\xe3 guang3", "line is not UTF-8", r"\xb9"),
            Fault(
                "SSB00010003.wav\t广 州 guang3".encode(),
                "characters and pinyin do not alternate",
                "广 州",
            ),
            Fault("SSB00000001.wav\t广 guang3".encode(), "same recording or key twice", ":2"),
        ],
    ),
    "table": (
        "mine.csv",
        [
            Fault(b"audio/0001.ogg,Hi.,anna,en", "wrong number of columns", "4 columns, not 5"),
            Fault(b"audio/none.ogg,Hi.,anna,en,1", "audio file does not exist", "none.ogg"),
            Fault(b",Hi.,anna,en,1", "row names no audio", "Path"),
            Fault(b"audio/0002.ogg,,anna,en,1", "no transcript", "empty"),
            Fault(b"audio/0002.ogg,\xff,anna,en,1", "line is not UTF-8", r"\xff"),
            Fault(b"audio/0002.ogg,Hi.,anna,,1", "language is missing", "--language"),
            Fault(b'audio/0002.ogg,"Hi,anna,en,1', "quote is not closed or not doubled", '"Hi'),
            Fault(b"audio/0001.ogg,Hi.,anna,en,1", "same recording or key twice", "mine.csv:2"),
        ],
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_a_row_that_is_no_recording_costs_itself_alone(name, tmp_path):
    layout = LAYOUTS[name]
    layout.write(tmp_path)
    table, faults = LINES[name]
    good = len((tmp_path / table).read_text("utf-8-sig").strip().splitlines())
    for fault in faults:
        append(tmp_path / table, fault.row)
    clips = offered(tmp_path / table, name, language=layout.language)
    named = [clip for clip in clips if isinstance(clip, Rejected)]
    assert len(clips) - len(named) == len(SAID)
    assert [clip.reason for clip in named] == [fault.reason for fault in faults]
    for number, (clip, fault) in enumerate(zip(named, faults, strict=True), start=good + 1):
        assert clip.file == f"{tmp_path / table}:{number}"
        assert fault.value in clip.value
        assert "\n" not in clip.value


def emilia_line(**changes: object) -> bytes:
    return json.dumps({**emilia_fields(SAID[0]), **changes}).encode()


def test_faults_of_json_beside_audio_are_named(tmp_path):
    LAYOUTS["emilia"].write(tmp_path)
    folder = tmp_path / "EN" / "EN_B0"
    for stem, content in {
        "cut": b'{"text": ',
        "list": b"[1]",
        "mute": emilia_line(text=" "),
        "latin": b'{"text": "\xe9"}',
        "tongue": emilia_line(language="anna"),
    }.items():
        put(folder / f"{stem}.json", content)
        put(folder / f"{stem}.mp3", audio_bytes(SAID[0], "MP3", 32_000))
    put(folder / "alone.json", emilia_line())
    put(folder / "silent.mp3", audio_bytes(SAID[0], "MP3", 32_000))
    put(tmp_path / "x.tar.gz", b"")
    named = {
        Path(clip.file).name: clip.reason
        for clip in offered(tmp_path, "emilia")
        if isinstance(clip, Rejected)
    }
    assert named == {
        "cut.json": "JSON cannot be read",
        "list.json": "JSON is no object",
        "mute.json": "no transcript",
        "latin.json": "JSON cannot be read",
        "tongue.json": "language is no BCP 47 tag",
        "alone.json": "left alone: no recording of this name",
        "silent.mp3": "left alone: no row names it",
        "x.tar.gz": "left alone: compressed tars cannot be read by offset: gunzip them",
    }


def test_json_lines_of_emilia_name_audio_below_their_folder(tmp_path):
    put(tmp_path / "EN" / "x" / "EN_0001.mp3", audio_bytes(SAID[0], "MP3", 32_000))
    lines = [emilia_line(), emilia_line(wav=None), emilia_line(wav="x/none.mp3"), b"{"]
    put(tmp_path / "EN" / "EN_B0.jsonl", b"\n".join(lines))
    clips = offered(tmp_path, "emilia")
    assert [getattr(clip, "reason", clip.key) for clip in clips] == [
        "EN_0001", "row names no audio", "audio file does not exist", "JSON cannot be read"
    ]  # fmt: skip
    assert choose_reader(tmp_path).reader.name == "emilia"


def test_faults_of_tars_are_named_and_what_lies_before_them_is_read(tmp_path):
    def members(name: str, fields: bytes | None, audio: bytes | None) -> list[tuple[str, bytes]]:
        parts = [(f"{name}.json", fields), (f"{name}.wav", audio)]
        return [(name, content) for name, content in parts if content is not None]

    wave = audio_bytes(SAID[0])
    said = b'{"text": "Hi.", "language": "en"}'
    parts = [
        *members("good", said, wave),
        *members("no_audio", said, None),
        *members("no_text", None, wave),
        *members("broken", b"{", wave),
        *members("mute", b'{"text": "", "language": "en"}', wave),
        ("latin.wav", wave),
        ("latin.txt", b"\xe9"),
        *members("twice", said, wave),
    ]
    put_tar(tmp_path / "a.tar", parts)
    put_tar(tmp_path / "b.tar", [*members("other", said, wave), *members("cut", said, wave)])
    with (tmp_path / "b.tar").open("r+b") as tar:
        tar.truncate(2 * 512 + 2 * 512 + len(wave) + 3000)
    put(tmp_path / "README", "")
    clips = offered(tmp_path, "webdataset")
    assert [clip.key for clip in clips if not isinstance(clip, Rejected)] == [
        "good", "twice", "other"
    ]  # fmt: skip
    named = [(Path(c.file).name, c.reason) for c in clips if isinstance(c, Rejected)]
    assert sorted(named) == [
        ("README", "left alone: no tar"),
        ("a.tar:broken", "JSON cannot be read"),
        ("a.tar:latin", "transcript is not UTF-8"),
        ("a.tar:mute", "no transcript"),
        ("a.tar:no_audio", "no audio"),
        ("a.tar:no_text", "no transcript"),
        ("b.tar", "tar is damaged"),
        ("b.tar:cut", "no audio"),
    ]


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


def test_libritts_and_vctk_name_what_they_do_not_read(tmp_path):
    LAYOUTS["libritts"].write(tmp_path / "l")
    chapter = tmp_path / "l" / "train-clean" / "103" / "7"
    put(chapter / "103_7.trans.tsv", "")
    put(chapter / "103_7_none_000000.normalized.txt", "Hi.")
    put(chapter / "103_7_0009_000000.wav", audio_bytes(SAID[0]))
    named = {
        Path(c.file).name: c for c in offered(tmp_path / "l", "libritts") if isinstance(c, Rejected)
    }
    assert named.pop("103_7_0009_000000.wav").value == "no file 103_7_0009_000000.normalized.txt"
    assert named["103_7.trans.tsv"].reason == "left alone: no suffix of an audio file"
    assert named["103_7_none_000000.normalized.txt"].reason.endswith("no recording of this name")
    assert sum("normalized text is read" in clip.reason for clip in named.values()) == len(SAID)
    original = offered(tmp_path / "l", "libritts", columns={"text": "original"})
    assert {c.text for c in original if not isinstance(c, Rejected)} == {"Other."}

    LAYOUTS["vctk"].write(tmp_path / "v")
    put(tmp_path / "v" / "txt" / "anna" / "anna_0009.txt", "Hi.")
    put(tmp_path / "v" / "wav48_silence_trimmed" / "anna" / "anna_0008_mic2.flac", b"")
    named = {
        Path(c.file).name: c.reason
        for c in offered(tmp_path / "v", "vctk")
        if isinstance(c, Rejected)
    }
    assert named.pop("anna_0009.txt") == "left alone: no recording of this name"
    assert named.pop("anna_0008_mic2.flac") == "no transcript"
    assert set(named.values()) == {"left alone: the other microphone is read"}
    other = choose_reader(tmp_path / "v", "vctk").reader.recordings(
        tmp_path / "v", ReadingOptions(columns={"audio": "mic2"})
    )
    assert sum(str(r.audio).endswith("mic2.flac") for r in other if hasattr(r, "audio")) == 5


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
