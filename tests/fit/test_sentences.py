"""Sentences that a fit is judged on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.shards import ClipRecord, write_corpus
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.part import in_part
from gsv2.fit.sentences import HeldOutSentences
from tests.support.tiny_corpus import synthetic_clips


def write(folder: Path, clips: list[ClipRecord]) -> SourceConfig:
    write_corpus(iter(clips), folder, ShardConfig(name="t"))
    return SourceConfig(path=str(folder))


@pytest.fixture(scope="module")
def bilingual(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    """Two voices that speak two languages, three clips each."""
    made = []
    for number, clip in enumerate(synthetic_clips(12, num_speakers=2, seconds=(1.2, 1.6))):
        voice, language = f"v{number % 2}", ("en", "ko")[number // 2 % 2]
        made.append(replace(clip, key=f"c{number:02d}", speaker=voice, language=language))
    return write(tmp_path_factory.mktemp("bilingual") / "corpus", made)


def test_voices_and_their_languages_take_turns(bilingual: SourceConfig) -> None:
    first = HeldOutSentences(bilingual, 4)[:]
    assert len({(s.speaker, s.language) for s in first}) == 4
    assert len(HeldOutSentences(bilingual, 99)) == 12


def test_a_prompt_is_another_clip_of_the_voice_in_its_language(bilingual: SourceConfig) -> None:
    index = CorpusIndex.open(bilingual)
    names = ("speaker", "language")
    of_key = {
        index.key(row): tuple(index.strings(n)[row].as_py() for n in names) for row in range(12)
    }
    by_sound = {s.recording.tobytes(): s.key for s in HeldOutSentences(bilingual, 12)}
    for sentence in HeldOutSentences(bilingual, 12):
        (prompt,) = sentence.prompts
        key = by_sound[prompt.wave.tobytes()]
        assert key != sentence.key
        assert of_key[key] == (sentence.speaker, sentence.language)


def test_further_recordings_are_none_of_the_sentence_and_as_many_as_there_are(
    bilingual: SourceConfig,
) -> None:
    by_sound = {s.recording.tobytes(): s for s in HeldOutSentences(bilingual, 12)}
    for sentence in HeldOutSentences(bilingual, 12):
        (further,) = (by_sound[wave.tobytes()] for wave in sentence.further)  # of three clips
        prompt = by_sound[sentence.prompts[0].wave.tobytes()]
        assert len({sentence.key, prompt.key, further.key}) == 3
        assert (further.speaker, further.language) == (sentence.speaker, sentence.language)


def test_only_the_held_out_part_is_said_and_all_of_it_may_prompt(tiny_corpus: Any) -> None:
    source = SourceConfig(path=str(tiny_corpus.path), part="heldout", held_out_share=0.25)
    index = CorpusIndex.open(SourceConfig(path=str(tiny_corpus.path)))
    keys = index.strings("key") if hasattr(index, "strings") else None
    held = {
        k for k, own in zip(keys.to_pylist(), in_part(keys, "heldout", 0.25), strict=True) if own
    }
    said = {sentence.key for sentence in HeldOutSentences(source, 99)}
    assert said
    assert said <= held


def test_a_corpus_of_single_clips_is_refused(tmp_path: Path) -> None:
    clips = list(synthetic_clips(3, num_speakers=3, seconds=(1.2, 1.6)))
    with pytest.raises(ValueError, match="no held-out clip has another one of its speaker"):
        HeldOutSentences(write(tmp_path / "corpus", clips), 9)


def test_clips_that_are_left_out_are_neither_said_nor_prompts(
    bilingual: SourceConfig, tmp_path: Path
) -> None:
    listed = tmp_path / "doubtful.jsonl"
    listed.write_text('{"key": "c00"}\n')
    by_sound = {s.recording.tobytes(): s.key for s in HeldOutSentences(bilingual, 12)}
    left = HeldOutSentences(replace(bilingual, leave_out=str(listed)), 12)[:]
    assert len(left) == 11
    heard = {by_sound[wave.tobytes()] for s in left for wave in (s.prompts[0].wave, *s.further)}
    assert "c00" not in heard | {s.key for s in left}
