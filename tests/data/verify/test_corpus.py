import json
import shutil
from dataclasses import asdict

import numpy as np
import pyarrow.parquet as pq
import pytest

from gsv2.data.building.codes import CodesOrigin, write_codes
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, read_manifest
from gsv2.data.indexing.corpus import index_corpus
from gsv2.data.indexing.format import ArchiveFormat
from gsv2.data.process_pool import ShardPool
from gsv2.data.verify.corpus import verify_corpus
from tests.support.archives import said, write_tar


@pytest.fixture
def corpora(tiny_corpus, tmp_path):
    """Copies of the tiny corpus and its codes."""
    shutil.copytree(tiny_corpus.path, tmp_path / "c")
    shutil.copytree(tiny_corpus.codes, tmp_path / "codes")
    return tmp_path / "c", tmp_path / "codes"


def edit(corpus, **changes):
    path = corpus / "corpus.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def found(corpus, **options):
    return {p.kind: p for p in verify_corpus(corpus, **options).problems}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_whole_corpus_has_no_problem(tiny_corpus, workers):
    ticks = []
    result = verify_corpus(
        tiny_corpus.path,
        decode=True,
        pool=ShardPool(workers=workers, progress=lambda *n: ticks.append(n)),
    )
    assert result.problems == []
    assert (result.num_shards, result.num_clips) == (2, 12)
    assert result.num_bytes == sum(t.stat().st_size for t in tiny_corpus.path.rglob("*.tar"))
    assert ticks == [(1, 2), (2, 2)]
    codes = verify_corpus(
        tiny_corpus.codes, audio=tiny_corpus.path, decode=True, pool=ShardPool(workers=workers)
    )
    assert codes.problems == []


def test_an_indexed_corpus_with_rejected_clips_and_tars_has_no_problem(tmp_path):
    write_tar(tmp_path / "a.tar", said("k1"), said("bad", "?"))
    write_tar(tmp_path / "sub/b.tar", said("bad2", "?"))
    index_corpus(tmp_path, ArchiveFormat(language="en"))
    assert verify_corpus(tmp_path, decode=True).problems == []


def test_wrong_totals_of_corpus_json(corpora):
    languages = {
        "en": {"clips": 1, "hours": 2.0},
        "zh": read_manifest(corpora[0]).languages["zh"],
    }
    edit(corpora[0], num_clips=1, hours=1.0, num_bytes=1, num_speakers=9, languages=languages)
    assert set(found(corpora[0])) == {
        "num_clips of corpus.json is no sum",
        "hours of corpus.json is no sum",
        "num_bytes of corpus.json is no sum",
        "speakers differ from corpus.json",
        "clips of en differ from corpus.json",
        "hours of en differ from corpus.json",
    }
    edit(corpora[0], languages={"fr": {"clips": 12, "hours": 1.0}})
    assert "languages differ from corpus.json" in found(corpora[0])


def test_unknown_and_missing_tars(corpora):
    shutil.copy(corpora[0] / "en/clips-000000.tar", corpora[0] / "en/more.tar")
    (corpora[0] / "zh/clips-000000.tar").unlink()
    problems = found(corpora[0])
    assert problems["tar is not in corpus.json"].examples == ("en/more.tar",)
    assert problems["tar is missing"].shard == "zh/clips-000000"


def test_a_key_in_two_shards_names_both(corpora):
    index = corpora[0] / "zh/clips-000000.parquet"
    table = pq.read_table(index)
    other = pq.read_table(corpora[0] / "en/clips-000000.parquet")["key"][2].as_py()
    keys = [other, *table["key"].to_pylist()[1:]]
    pq.write_table(table.set_column(0, table.schema.field("key"), [keys]), index)
    problem = found(corpora[0])["key in two shards"]
    assert problem.examples == (f"{other}, first in en/clips-000000",)


def test_a_shard_twice_in_corpus_json(corpora):
    shards = [asdict(entry) for entry in read_manifest(corpora[0]).shards]
    edit(corpora[0], shards=[*shards, shards[0]])
    problems = found(corpora[0])
    assert problems["shard twice in corpus.json"].examples == ("en/clips-000000",)
    assert problems["key in two shards"].count == shards[0]["num_clips"]


def test_codes_without_a_quantizer(corpora):
    edit(corpora[1], quantizer=None, num_codebooks=None)
    assert set(found(corpora[1], audio=corpora[0])) == {
        "hash of the quantizer is missing",
        "number of codebooks is missing",
    }


def test_codes_of_other_audio(corpora):
    shards = [asdict(entry) for entry in read_manifest(corpora[1]).shards]
    shards[0]["source_sha256"] = "f"
    shards[1]["name"] = "zh/other"
    edit(corpora[1], shards=shards)
    problems = found(corpora[1], audio=corpora[0])
    assert problems["codes were made from another tar"].examples == ("en/clips-000000",)
    assert problems["codes lack a shard of the audio"].examples == ("zh/clips-000000",)
    assert problems["codes of a shard that the audio lacks"].examples == ("zh/other",)


def test_codes_of_other_clips(corpora):
    index = corpora[1] / "en/clips-000000.parquet"
    table = pq.read_table(index)
    keys = table["key"].to_pylist()
    keys[0], keys[1], keys[2] = keys[1], keys[0], "stranger"
    pq.write_table(table.set_column(0, table.schema.field("key"), [keys]), index)
    problems = found(corpora[1], audio=corpora[0])
    assert "stranger" in problems["codes of a clip that the audio lacks"].examples[0]
    assert "codes in another order than the audio" in problems
    assert problems["member has another name"].count == 6


def test_what_is_no_corpus_is_an_error(corpora, tmp_path):
    with pytest.raises(CorpusError, match="no such folder"):
        verify_corpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="must hold audio"):
        verify_corpus(corpora[1], audio=corpora[1])


def test_codes_half_or_twice_as_long_as_their_audio_are_named_by_key(tiny_corpus, tmp_path):
    source = CorpusIndex.open(tiny_corpus.source_with_codes)
    keys, frames = source.strings("key").to_pylist(), source.numbers("num_code_frames")
    factors = {2: 2.0, 3: 0.5}

    lengths = [round(frames[row] * factors.get(row, 1.0)) for row in range(len(keys))]
    codes = (
        (source.shard_of(row).name, keys[row], np.zeros((2, length), int))
        for row, length in enumerate(lengths)
    )
    write_codes(tiny_corpus.path, tmp_path / "codes", codes, CodesOrigin("q", rate_hz=25.0))
    problems = verify_corpus(tmp_path / "codes", audio=tiny_corpus.path).problems
    named = [e for p in problems if p.kind == "codes are not as long as their audio"
             for e in p.examples]  # fmt: skip
    assert [example.partition(":")[0] for example in named] == [keys[2], keys[3]]
