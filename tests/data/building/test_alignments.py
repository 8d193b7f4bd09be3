import os
import shutil
import signal
from functools import partial
from itertools import islice
from multiprocessing import get_context

import numpy as np
import pytest

from gsv2.data.building.alignments import write_alignments
from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, read_manifest
from gsv2.data.plan.plan import Plan
from gsv2.data.stream.loader import make_loader
from gsv2.data.stream.reader import read_clips
from gsv2.data.verify.corpus import verify_corpus

MEMBERS = ("codes", "align")


def open_both(corpus, codes):
    return CorpusIndex.open(SourceConfig(path=str(corpus), codes=str(codes)))


def spread(clip):
    """Return [T] uint16 from the first to the last character."""
    return np.linspace(0, len(clip.text) - 1, clip.codes.shape[1]).round().astype(np.uint16)


def alignments_of(corpus, codes, done, skip=(), kill_at=None, seen=None):
    """Yield alignments of all shards but those that are done; end this process in a shard."""
    shards = []
    for clip in read_clips(open_both(corpus, codes), ["codes"]):
        if clip.shard in done or clip.key in skip:
            continue
        if clip.shard not in shards:
            shards.append(clip.shard)
            if seen is not None:
                seen.append(clip.shard)
            if kill_at is not None and len(shards) > kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        yield clip.shard, clip.key, spread(clip)


def write(corpus, codes, aligner="aligner", **options):
    return write_alignments(
        corpus, codes, partial(alignments_of, corpus, codes, **options), aligner
    )


@pytest.fixture
def corpora(tiny_corpus, tmp_path):
    """The tiny corpus and a copy of its codes."""
    shutil.copytree(tiny_corpus.codes, tmp_path / "codes")
    return tiny_corpus.path, tmp_path / "codes"


def test_alignments_are_read_beside_the_codes_which_stay_as_they_were(corpora):
    corpus, codes = corpora
    before = {clip.key: clip for clip in read_clips(open_both(corpus, codes), ["codes"])}
    made = write(corpus, codes)
    assert made == read_manifest(codes)
    assert (made.aligner, made.num_clips) == ("aligner", 12)
    assert {shard.aligner for shard in open_both(corpus, codes).shards} == {"aligner"}
    for clip in read_clips(open_both(corpus, codes), MEMBERS):
        assert np.array_equal(clip.codes, before[clip.key].codes)
        assert clip.text == before[clip.key].text
        assert np.array_equal(clip.alignment, spread(clip))
    assert verify_corpus(codes, audio=corpus, decode=True).problems == []


def test_a_batch_pads_alignments_as_it_pads_codes(corpora):
    corpus, codes = corpora
    write(corpus, codes)
    config = DataConfig(sources=[], lanes=1, max_tokens=400)
    plan = Plan(open_both(corpus, codes), config, 0, MEMBERS)
    for batch in islice(make_loader(plan), 3):
        assert batch.alignments.shape == batch.codes[:, 0].shape
        assert ((batch.alignments < 0) == (batch.codes[:, 0] < 0)).all()
        for i, text in enumerate(batch.texts):
            assert batch.alignments[i, int(batch.code_lengths[i]) - 1] == len(text) - 1


def test_clips_without_alignment_are_left_out_and_counted_by_those_who_need_it(corpora):
    corpus, codes = corpora
    write(corpus, codes, skip=("clip0003", "clip0004"))
    config = DataConfig(sources=[], lanes=1, max_tokens=400)
    plan = Plan(open_both(corpus, codes), config, 0, MEMBERS)
    assert plan.left_out == {"no align in the corpus": 2}
    assert Plan(open_both(corpus, codes), config, 0, ("codes",)).num_clips == 12


def test_codes_that_nobody_aligned_are_read_as_before(tiny_corpus):
    index = CorpusIndex.open(tiny_corpus.source_with_codes)
    assert {shard.aligner for shard in index.shards} == {None}
    assert all(clip.alignment is None for clip in read_clips(index, ["codes"]))
    with pytest.raises(CorpusError, match="no align in the corpus"):
        Plan(index, DataConfig(sources=[], lanes=1, max_tokens=400), 0, MEMBERS)


def test_an_alignment_of_another_text_is_refused(corpora):
    corpus, codes = corpora

    def other(done):
        for shard, key, characters in alignments_of(corpus, codes, done):
            yield shard, key, characters + (key == "clip0005")

    write_alignments(corpus, codes, other, "aligner")
    bad = [c for c in read_clips(open_both(corpus, codes), MEMBERS) if hasattr(c, "reason")]
    assert [clip.key for clip in bad] == ["clip0005"]
    assert "alignment is not of this text" in bad[0].reason


def test_a_killed_call_goes_on_after_its_whole_shards(tmp_path, make_corpus, make_codes):
    corpus = make_corpus(tmp_path / "corpus", 16, seconds=(0.3, 0.5), shard_mb=0.05)
    codes = make_codes(corpus, tmp_path / "codes")
    whole = shutil.copytree(codes, tmp_path / "whole")
    write(corpus, whole)
    process = get_context("fork").Process(target=write, args=(corpus, codes), kwargs={"kill_at": 2})
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert read_manifest(codes).aligner is None  # the old one stands until the new one is whole
    shards = [shard.name for shard in read_manifest(codes).shards]
    seen = []
    write(corpus, codes, seen=seen)
    assert 0 < len(seen) < len(shards)
    files = [
        {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for folder in (codes, whole)
    ]
    assert files[0] == files[1]


def test_an_alignment_without_codes_is_an_error(corpora):
    corpus, codes = corpora
    shard = read_manifest(codes).shards[0].name
    with pytest.raises(CorpusError, match="alignment of nobody: no codes of it"):
        write_alignments(
            corpus, codes, lambda _: [(shard, "nobody", np.zeros(3, np.uint16))], "aligner"
        )
    assert read_manifest(codes).aligner is None
