import os
import signal
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest

from gsv2.data.building.codes import CodesOrigin, write_codes
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.format import HOP_LENGTH
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, read_manifest


def codes_of(corpus, done_shards, kill_at=None, seen=None):
    """Yield codes of all shards but those that are done; end this process in a shard."""
    index = CorpusIndex.open(SourceConfig(path=str(corpus)))
    frames = index.numbers("num_samples") // HOP_LENGTH
    for number, shard in enumerate(s for s in index.shards if s.name not in done_shards):
        if seen is not None:
            seen.append(shard.name)
        for row in range(shard.start, shard.stop):
            if number == kill_at and row > shard.start:
                os.kill(os.getpid(), signal.SIGKILL)
            rng = np.random.default_rng(row)
            yield shard.name, index.key(row), rng.integers(0, 64, (2, frames[row]))


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def write(corpus, out, **options):
    return write_codes(corpus, out, partial(codes_of, corpus, **options), CodesOrigin("quantizer"))


def killed(corpus, out, kill_at):
    process = get_context("fork").Process(target=write, args=(corpus, out), kwargs=kill_at)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not out.exists()


def test_a_killed_call_goes_on_after_its_whole_shards(tmp_path, make_corpus):
    corpus = tmp_path / "corpus"
    make_corpus(corpus, 16, seconds=(0.3, 0.5), shard_mb=0.05)
    shards = [shard.name for shard in CorpusIndex.open(SourceConfig(path=str(corpus))).shards]
    assert len(shards) >= 3
    write(corpus, tmp_path / "a" / "codes")
    out = tmp_path / "b" / "codes"
    killed(corpus, out, {"kill_at": 1})
    killed(corpus, out, {"kill_at": 0})  # before another shard is whole
    killed(corpus, out, {"kill_at": 1})
    seen = []
    write(corpus, out, seen=seen)
    assert seen == shards[2:]
    assert files(out) == files(tmp_path / "a" / "codes")
    assert {path.name for path in out.parent.iterdir()} - {".codes.lock"} == {"codes"}


def test_another_quantizer_begins_anew(tmp_path, make_corpus):
    corpus = tmp_path / "corpus"
    make_corpus(corpus, 12, seconds=(0.3, 0.5), shard_mb=0.05)
    killed(corpus, tmp_path / "codes", {"kill_at": 1})
    seen = []
    codes = partial(codes_of, corpus, seen=seen)
    made = write_codes(corpus, tmp_path / "codes", codes, CodesOrigin("another quantizer"))
    assert seen == [shard.name for shard in made.shards]


def test_codes_of_unknown_clips_or_shards_are_errors(tiny_corpus, tmp_path):
    shard = read_manifest(tiny_corpus.path).shards[0].name
    codes = np.zeros((2, 3), dtype=np.int64)
    for items, message in (
        ([(shard, "nobody", codes)], "nobody"),
        ([("en/other-000000", "clip0000", codes)], "is no shard of the corpus"),
        ([], "number of codebooks"),
    ):
        with pytest.raises(CorpusError, match=message):
            write_codes(tiny_corpus.path, tmp_path / "codes", items, CodesOrigin("hash"))
    assert list(tmp_path.iterdir()) == []
