from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import is_complete, read_manifest
from gsv2.data.plan.table import ClipTable
from gsv2.files import write_atomically
from gsv2.fit.corpus import (
    CODES_UNALIGNED,
    build_if_needed,
    choose_corpora,
    codes_folder,
    keep_codes,
    longest_clip_sec,
    num_held_out,
)
from tests.support.tiny_corpus import synthetic_clips


@pytest.mark.parametrize(
    ("clips", "wanted"), [(2, 1), (30, 3), (120, 12), (900, 18), (5_000, 100), (1_000_000, 400)]
)
def test_a_few_clips_are_held_out_of_any_corpus(clips: int, wanted: int) -> None:
    assert num_held_out(clips) == wanted


def test_a_corpus_alone_is_divided(tiny_corpus: Any) -> None:
    corpora = choose_corpora(tiny_corpus.path, None)
    assert (corpora.train.part, corpora.held_out.part) == ("train", "heldout")
    assert corpora.paths == (str(tiny_corpus.path),)
    assert corpora.with_codes(Path("out")).held_out.codes == str(codes_folder(Path("out"), 0))


def test_a_corpus_beside_it_is_held_out_and_one_that_is_named_first_of_all(
    tmp_path: Path, make_corpus: Callable[..., Path]
) -> None:
    for name in ("train", "heldout", "other"):
        make_corpus(tmp_path / name, num_clips=3)
    beside = choose_corpora(tmp_path / "train", None)
    assert beside.paths == (str(tmp_path / "train"), str(tmp_path / "heldout"))
    assert beside.held_out.part == "all"
    named = choose_corpora(tmp_path / "train", tmp_path / "other").with_codes(tmp_path)
    assert named.held_out.path == str(tmp_path / "other")
    assert named.held_out.codes == str(codes_folder(tmp_path, 1))
    with pytest.raises(ValueError, match="no such folder"):
        choose_corpora(tmp_path / "train", tmp_path / "absent")


def test_a_corpus_that_was_split_trains_and_validates_on_its_parts(
    tmp_path: Path, make_corpus: Callable[..., Path]
) -> None:
    for name in ("train", "validation", "test"):
        make_corpus(tmp_path / name, num_clips=3)
    corpus = build_if_needed(tmp_path, tmp_path / "other", None)
    found = choose_corpora(corpus, None)
    assert found.paths == (str(tmp_path / "train"), str(tmp_path / "validation"))


def test_recordings_are_built_into_a_corpus_once(tmp_path: Path) -> None:
    for clip in synthetic_clips(4):
        folder = tmp_path / "recordings" / clip.language / clip.speaker
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{clip.key}.wav", clip.wave, 32_000)
        (folder / f"{clip.key}.txt").write_text(clip.text)
    out = tmp_path / "out" / "corpus"
    assert build_if_needed(tmp_path / "recordings", out, None) == out
    assert is_complete(out)
    assert read_manifest(out).num_clips == 4
    made = (out / "corpus.json").stat().st_mtime_ns
    assert build_if_needed(tmp_path / "recordings", out, None) == out
    assert (out / "corpus.json").stat().st_mtime_ns == made
    assert build_if_needed(out, tmp_path / "unused", None) == out


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent does not exist; name a corpus, or recordings"):
        build_if_needed(tmp_path / "absent", tmp_path / "out", None)


def test_the_longest_clip_is_known_from_the_index(tiny_corpus: Any) -> None:
    corpora = choose_corpora(tiny_corpus.path, None)
    index = CorpusIndex.open(SourceConfig(path=str(tiny_corpus.path)))
    seconds = np.concatenate(
        [index.read_numbers(shard, ["duration_sec"])["duration_sec"] for shard in index.shards]
    )
    assert longest_clip_sec(corpora) == seconds.max()


def test_kept_codes_stay_when_others_take_their_place(tmp_path: Path) -> None:
    codes = tmp_path / "codes" / "train"
    codes.mkdir(parents=True)
    (codes / "a.tar").write_text("before")
    keep_codes(tmp_path)
    write_atomically(codes / "a.tar", "aligned")
    keep_codes(tmp_path)  # again after an end: as they were
    kept = codes_folder(tmp_path, 0, CODES_UNALIGNED)
    assert (kept / "a.tar").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_clips_of_a_list_are_neither_trained_on_nor_judged(
    tmp_path: Path, make_corpus: Callable[..., Path]
) -> None:
    corpus = make_corpus(tmp_path / "corpus", num_clips=12)
    index = CorpusIndex.open(SourceConfig(path=str(corpus)))
    keys = index.strings("key").to_pylist()
    listed = tmp_path / "doubtful.jsonl"
    listed.write_text("".join(json.dumps({"key": key}) + "\n" for key in keys[:5]))
    found = choose_corpora(corpus, None, listed)
    read = []
    for source in (found.train, found.held_out):
        source_index = CorpusIndex.open(source)
        table = ClipTable(source_index, DataConfig(sources=[], max_frames=9_000), ("audio",))
        for shard in source_index.shards:
            read += [source_index.key(row) for row in table.shard(shard.number).rows]
    assert sorted(read) == sorted(keys[5:])
    with pytest.raises(ValueError, match=r"list of clips .*absent.jsonl cannot be read"):
        choose_corpora(corpus, None, tmp_path / "absent.jsonl")
