"""Figures of clips, a file a shard."""

from __future__ import annotations

import pyarrow as pa

from gsv2.data.corpus.index import CorpusIndex
from gsv2.evaluation.cleaning.shard_figures import measure_clips
from gsv2.inference.clip_batches import BatchLimit, SharedWork


class Lengths:
    """Measures the length of a text; of one clip it cannot."""

    name = "lengths"
    members = ("audio",)
    limit = BatchLimit("num_samples", 60_000)
    fields = (pa.field("length", pa.int32()),)

    def __init__(self, identity: str = "lengths 1") -> None:
        self.identity = identity
        self.asked: list[str] = []

    def measure(self, clips):
        self.asked += [clip.key for clip in clips]
        return [None if clip.key == "clip0003" else {"length": len(clip.text)} for clip in clips]


def test_every_clip_with_figures_has_a_row_and_progress_ends_with_all(tiny_corpus, tmp_path):
    seen = []
    index = CorpusIndex.open(tiny_corpus.source)
    work = SharedWork(progress=lambda done, total: seen.append((done, total)))
    rows = measure_clips(Lengths(), index, tmp_path, work).to_pylist()
    assert {row["key"] for row in rows} == {f"clip{n:04d}" for n in range(12)} - {"clip0003"}
    assert all(row["length"] == len(row["text"]) for row in rows)
    assert seen[-1] == (12, 12)
    assert seen == sorted(seen)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet"))
    assert names == ["en/clips-000000.lengths.parquet", "zh/clips-000000.lengths.parquet"]


def test_a_shard_is_measured_again_if_what_measures_it_has_changed(tiny_corpus, tmp_path):
    index = CorpusIndex.open(tiny_corpus.source)
    first, same, other = Lengths(), Lengths(), Lengths("lengths 2")
    for figures in (first, same, other):
        measure_clips(figures, index, tmp_path, SharedWork())
    assert [len(figures.asked) for figures in (first, same, other)] == [12, 0, 12]
    (tmp_path / "en/clips-000000.lengths.parquet").unlink()
    measure_clips(other, index, tmp_path, SharedWork())
    assert 12 < len(other.asked) < 24
