from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, Manifest, read_manifest
from gsv2.data.plan.plan import Plan
from gsv2.data.stream.loader import make_loader
from gsv2.data.stream.reader import read_clips
from gsv2.data.verify.corpus import verify_corpus
from gsv2.inference.clip_batches import SharedWork
from gsv2.inference.text_extraction import count_subwords, extract_text_vectors
from gsv2.text.encoders.config import TextVectorsConfig
from gsv2.text.encoders.xlm_roberta import XlmRoberta
from gsv2.training.distributed.patient_ranks import PatientRanks
from gsv2.training.distributed.ranks import Distributed
from tests.support.thread_ranks import run_ranks
from tests.support.tiny_language_model import save_language_model
from tests.support.tiny_text_encoder import DIM, save_text_encoder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextVectorsConfig:
    return TextVectorsConfig(path=str(save_text_encoder(tmp_path_factory.mktemp("encoder"))))


def files(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_stream_reads_the_vectors_that_each_text_has_alone(
    tiny_corpus, encoder, tmp_path
) -> None:
    made = extract_text_vectors(tiny_corpus.path, encoder, tmp_path / "texts", CPU)
    assert (made.kind, made.num_clips, made.text_dim) == ("texts", 12, DIM)
    assert made.build["source"] == encoder.path
    source = SourceConfig(
        path=str(tiny_corpus.path), codes=str(tiny_corpus.codes), texts=str(tmp_path / "texts")
    )
    index = CorpusIndex.open(source)
    assert index.text_encoder == made.text_encoder
    network = XlmRoberta(Path(encoder.path))
    alone = {}
    for clip in read_clips(index, ["text_vectors"]):
        expected = network.encode([clip.text])[0].numpy()
        np.testing.assert_allclose(clip.text_vectors, expected, rtol=2e-3, atol=2e-3)
        alone[clip.key] = clip.text_vectors
    assert len(alone) == 12
    config = DataConfig(sources=[source], max_tokens=400, lanes=1)
    plan = Plan(index, config, 0, ("codes", "text_vectors"))
    batch = next(iter(make_loader(plan)))
    assert batch.codes is not None
    assert batch.text_vectors.dtype == torch.float16
    for key, vectors, length in zip(
        batch.keys, batch.text_vectors, batch.text_vector_lengths.tolist(), strict=True
    ):
        assert np.array_equal(vectors[:length].numpy(), alone[key])
        assert not vectors[length:].any()


def test_the_plan_counts_subwords_in_place_of_bytes(tiny_corpus, encoder, tmp_path) -> None:
    extract_text_vectors(tiny_corpus.path, encoder, tmp_path / "texts", CPU)
    source = SourceConfig(
        path=str(tiny_corpus.path), codes=str(tiny_corpus.codes), texts=str(tmp_path / "texts")
    )
    index = CorpusIndex.open(source)
    config = DataConfig(sources=[source], max_tokens=4000, lanes=1, clip_overhead_tokens=3)
    subwords = {
        clip.row: len(clip.text_vectors) + clip.codes.shape[1] + 3
        for clip in read_clips(index, ["codes", "text_vectors"])
    }
    table = Plan(index, config, 0, ("codes", "text_vectors")).table
    lengths = {}
    for shard in index.shards:
        columns = table.shard(shard.number)
        lengths |= dict(zip(columns.rows.tolist(), columns.lengths.tolist(), strict=True))
    assert lengths == subwords


def test_the_plan_counts_the_subwords_that_a_gpt_reads(tiny_corpus, tmp_path) -> None:
    """Counted by the tokenizer itself, in an index whose tars hold nothing."""
    folder = save_language_model(tmp_path / "lm")
    made = count_subwords(tiny_corpus.path, folder, tmp_path / "texts")
    assert (made.kind, made.num_clips, made.text_dim) == ("texts", 12, None)
    assert count_subwords(tiny_corpus.path, folder, tmp_path / "texts") == made
    source = SourceConfig(
        path=str(tiny_corpus.path), codes=str(tiny_corpus.codes), texts=str(tmp_path / "texts")
    )
    index = CorpusIndex.open(source)
    config = DataConfig(sources=[source], max_tokens=4000, lanes=1, clip_overhead_tokens=3)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = {clip.row: clip for clip in read_clips(index, ["codes"])}
    expected = {
        row: len(tokenizer.encode(clip.text).ids) + clip.codes.shape[1] + 3
        for row, clip in texts.items()
    }
    table = Plan(index, config, 0, ("codes",)).table
    shards = [table.shard(shard.number) for shard in index.shards]
    lengths = {row: n for c in shards for row, n in zip(c.rows.tolist(), c.lengths, strict=True)}
    assert lengths == expected
    by_bytes = {row: len(c.text.encode()) + c.codes.shape[1] + 3 for row, c in texts.items()}
    assert sum(lengths.values()) < sum(by_bytes.values())


def test_ranks_and_ended_calls_write_what_one_writes(make_corpus, encoder, tmp_path) -> None:
    corpus = make_corpus(tmp_path / "corpus", 8, num_speakers=8, seconds=(0.3, 0.5), shard_mb=0.05)
    extract_text_vectors(corpus, encoder, tmp_path / "a" / "texts", CPU)

    class EndedError(Exception):
        pass

    def end(done: int, total: int) -> None:
        if done == total:
            raise EndedError

    out = tmp_path / "b" / "texts"
    with pytest.raises(EndedError):
        extract_text_vectors(corpus, encoder, out, CPU, SharedWork(progress=end))
    assert not out.exists()

    def extract(ranks: Distributed) -> Manifest:
        work = SharedWork(ranks=PatientRanks(ranks))
        return extract_text_vectors(corpus, encoder, out, CPU, work)

    first, second = run_ranks(2, extract)
    assert first == second == read_manifest(tmp_path / "a" / "texts")
    assert len(first.shards) > 2
    assert files(out) == files(tmp_path / "a" / "texts")


def test_a_current_sidecar_is_left_and_one_of_another_encoder_replaced(
    tiny_corpus, encoder, tmp_path
) -> None:
    out = tmp_path / "texts"
    made = extract_text_vectors(tiny_corpus.path, encoder, out, CPU)
    stamp = (out / "corpus.json").stat().st_mtime_ns
    assert extract_text_vectors(tiny_corpus.path, encoder, out, CPU) == made
    assert (out / "corpus.json").stat().st_mtime_ns == stamp
    other = TextVectorsConfig(path=str(save_text_encoder(tmp_path / "other", seed=1)))
    assert extract_text_vectors(tiny_corpus.path, other, out, CPU).text_encoder != made.text_encoder


def test_vectors_of_other_tars_are_refused(tiny_corpus, make_corpus, encoder, tmp_path) -> None:
    extract_text_vectors(tiny_corpus.path, encoder, tmp_path / "texts", CPU)
    other = make_corpus(tmp_path / "corpus", 12, seed=1)
    with pytest.raises(CorpusError, match=r"text vectors .* were made from another tar"):
        CorpusIndex.open(SourceConfig(path=str(other), texts=str(tmp_path / "texts")))
    with pytest.raises(CorpusError, match="must hold audio, but holds texts"):
        CorpusIndex.open(SourceConfig(path=str(tmp_path / "texts")))
    with pytest.raises(CorpusError, match="but holds text vectors"):
        verify_corpus(tmp_path / "texts")
