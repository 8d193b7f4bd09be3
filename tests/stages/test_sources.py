from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.reader import read_clips
from gsv2.nn.codes import CodeConfig
from gsv2.stages.sources import CodesMismatchError, check_codes, open_sources
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
