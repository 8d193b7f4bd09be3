from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import read_manifest, write_manifest
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.reader import read_clips
from gsv2.nn.codes import CodeConfig
from gsv2.stages.sources import CodesMismatchError, check_codes, describe_unaligned, open_sources
from gsv2.storage.storage import Storage


def test_codes_of_another_quantizer_are_refused_by_both_names(tiny_corpus: Any) -> None:
    index = CorpusIndex.open(tiny_corpus.source_with_codes)

    def stage(quantizer: str) -> Any:
        provenance = {"quantizer": quantizer}
        return SimpleNamespace(trainables={"gpt": SimpleNamespace(provenance=provenance)})

    check_codes(index, stage("0" * 64), "data.sources")
    with pytest.raises(CodesMismatchError, match=r"data\.sources: .*0000.* gpt .*abc"):
        check_codes(index, stage("abc"), "data.sources")


def test_the_stage_says_which_codes_its_corpora_may_hold(tiny_corpus: Any) -> None:
    """Its K, V and rate bound what is read, though corpus.json knows no V."""
    codes = CodeConfig(codebook_size=512)
    stage: Any = SimpleNamespace(trainables={}, codes=codes)
    index = open_sources([tiny_corpus.source_with_codes], Storage(), stage, "data.sources")
    assert index.code_format == (2, 512, 25.0)
    bad = [clip for clip in read_clips(index, ["codes"]) if isinstance(clip, BadClip)]
    assert bad
    assert all("not 0..511" in clip.reason for clip in bad)


def test_a_line_says_which_sources_are_aligned_as_they_are_read(
    tiny_corpus: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two, one is aligned; a stage that reads no alignments says nothing."""
    other = shutil.copytree(tiny_corpus.codes, tmp_path / "codes")
    write_manifest(replace(read_manifest(other), aligner="abc"), other)
    sources = [
        SourceConfig(path=str(tiny_corpus.path), codes=str(codes))
        for codes in (other, tiny_corpus.codes)
    ]
    stage: Any = SimpleNamespace(trainables={}, codes=CodeConfig(), align_clip=None)
    with caplog.at_level(logging.INFO, logger="gsv2.stages.sources"):
        open_sources(sources, Storage(), stage, "data.sources")
        assert caplog.messages == []
        stage.align_clip = print
        open_sources(sources, Storage(), stage, "data.sources")
    assert caplog.messages == [
        f"data.sources: codes of {tiny_corpus.codes} are not aligned: each clip is aligned as it "
        f"is read; `gsv2 align {tiny_corpus.path} --codes {tiny_corpus.codes} --aligner RUN` does "
        "it once"
    ]


def test_codes_in_the_tars_of_their_clips_are_never_aligned(tiny_corpus: Any) -> None:
    sources = [SourceConfig(path=str(tiny_corpus.path))]
    index = CorpusIndex.open(*sources).with_codes(CodeFormat(), lambda clip: clip.codes[0])
    assert list(describe_unaligned(index, sources)) == [
        f"codes of {tiny_corpus.path} are not aligned: each clip is aligned as it is read"
    ]
