"""Every layout is known by sight, and comes through whole."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import soundfile

from gsv2.data.building.build import build_corpus
from gsv2.data.building.build_run import BuildRun
from gsv2.data.building.readers.choice import READERS, choose_reader
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError
from tests.support.layouts import LAYOUTS
from tests.support.said import SAID, SECONDS, put, tone_of


def clips_of(corpus: Path) -> list[dict]:
    """Return speaker, text, language, seconds and tone of each clip."""
    index = CorpusIndex.open(SourceConfig(path=str(corpus)))
    found = []
    for shard in index.shards:
        content = Path(shard.tar).read_bytes()
        columns = ["audio_offset", "audio_length", "json_offset", "json_length"]
        rows = index.read_numbers(shard, columns)
        for start, length, at, size in zip(*(rows[name].tolist() for name in columns), strict=True):
            wave, rate = soundfile.read(io.BytesIO(content[start : start + length]))
            fields = json.loads(content[at : at + size])
            found.append({**fields, "tone": tone_of(wave, rate), "seconds": len(wave) / rate})
    return sorted(found, key=lambda clip: clip["tone"])


@pytest.mark.parametrize("name", LAYOUTS)
def test_recordings_in_a_layout_come_through_with_text_speaker_language_and_sound(name, tmp_path):
    layout = LAYOUTS[name]
    source = layout.write(tmp_path / "in")
    reading = ReadingOptions(language=layout.language, columns=layout.columns)
    said: list[str] = []
    manifest = build_corpus(
        source, tmp_path / "out", reading=reading, run=BuildRun(say=said.append)
    )
    clips = clips_of(tmp_path / "out")
    assert f"read as {layout.reader}: " in said[0]
    assert len(said) == 1, "nothing else could be meant"
    assert len(clips) == len(SAID)
    assert manifest.build["format"] == layout.reader
    assert manifest.build["offered"] == len(clips) + sum(manifest.rejected.values())
    assert all(reason.startswith("left alone") for reason in manifest.rejected)
    for clip, wanted in zip(clips, SAID, strict=True):
        assert clip["tone"] == pytest.approx(wanted.tone_hz, abs=4)
        assert clip["seconds"] == pytest.approx(SECONDS, abs=0.05)
        if layout.same_texts:
            assert clip["text"].replace("and", "|") == wanted.text
        if layout.same_speakers:
            assert clip["speaker"] == wanted.speaker
        else:
            assert clip["speaker"]
    assert len({clip["speaker"] for clip in clips}) == 2


def test_what_two_readers_know_is_told_with_the_flag_that_decides(tmp_path):
    source = LAYOUTS["subtitles"].write(tmp_path)
    put(source / "talk.txt", "All of it.")
    choice = choose_reader(source)
    assert choice.reader.name == "subtitles"
    assert choice.lines() == [
        "read as subtitles: talk.flac beside its subtitles",
        "could be pairs too (talk.flac beside talk.txt): --format pairs",
    ]
    assert choose_reader(source, "pairs").reader.name == "pairs"


def test_what_no_reader_knows_is_one_error_that_names_files_and_readers(tmp_path):
    put(tmp_path / "a" / "x.wav", b"")
    with pytest.raises(CorpusError, match=r"audio without transcripts; it holds a/x.wav") as error:
        choose_reader(tmp_path)
    assert all(reader.name in str(error.value) for reader in READERS)
    LAYOUTS["common-voice"].write(tmp_path / "cv" / "en")
    with pytest.raises(CorpusError, match=r"take .*/cv/en for the input, or name its layout"):
        choose_reader(tmp_path / "cv")
    with pytest.raises(CorpusError, match="does not exist"):
        choose_reader(tmp_path / "none")
    with pytest.raises(CorpusError, match="format must be auto or one of"):
        choose_reader(tmp_path, "wavs")


def test_every_reader_has_a_name_and_a_line_of_its_own():
    names = [reader.name for reader in READERS]
    assert len(set(names)) == len({reader.layout for reader in READERS}) == len(names)
    assert {general for reader in READERS for general in reader.precedes} <= set(names)
    assert {layout.reader for layout in LAYOUTS.values()} == set(names)


@pytest.mark.parametrize("name", ["table", "common-voice", "nemo", "gpt-sovits", "ljspeech"])
def test_a_table_is_known_as_a_file_as_it_is_in_its_folder(name, tmp_path):
    source = LAYOUTS[name].write(tmp_path)
    folder = source.parent if source.is_file() else source
    tables = [path for path in folder.iterdir() if path.is_file() and path.name != "other.tsv"]
    table = next(path for path in tables if path.suffix in (".csv", ".tsv", ".json", ".list"))
    assert choose_reader(table).reader.name == LAYOUTS[name].reader
    assert choose_reader(folder).reader.name == LAYOUTS[name].reader
