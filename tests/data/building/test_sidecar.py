"""Sidecars built shard by shard, by one process or several, with or without an end between."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path

import numpy as np
import pytest

from gsv2.data.building.sidecar import FinishedShards, OneWorker, Sidecar, build_sidecar
from gsv2.data.corpus.manifest import CorpusError, Manifest, ShardEntry, is_complete
from tests.support.thread_ranks import run_ranks

SHARDS = [
    ShardEntry(name=f"en/t-{i:06d}", num_clips=2, seconds=1.0, num_bytes=3, sha256="0" * 64)
    for i in range(4)
]


class Ended(Exception):
    """The process was told to leave."""


class Builder:
    """Writes a file a shard; its arrays are the number of the shard."""

    def __init__(self, end_before: str | None = None) -> None:
        self.written: list[str] = []
        self.end_before = end_before

    def arrays(self, skipped: frozenset[str]) -> Iterator[tuple[str, str, np.ndarray]]:
        for number, entry in enumerate(SHARDS):
            if entry.name not in skipped:
                yield entry.name, f"k{number}", np.array([number])

    def write(
        self, building: Path, entry: ShardEntry, arrays: dict[str, np.ndarray]
    ) -> tuple[ShardEntry, Set[int]]:
        if entry.name == self.end_before:
            raise Ended
        self.written.append(entry.name)
        path = building / f"{entry.name}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str({key: array.tolist() for key, array in arrays.items()}))
        return entry, {len(arrays)}

    def build(self, out: Path, resume: str | None = "x", workers=None) -> Manifest:
        def finish(entries, widths: Set[int]) -> Manifest:
            assert widths == {1}
            return Manifest(kind="codes", shards=tuple(entries))

        sidecar = Sidecar(
            out=out, shards=SHARDS, write_shard=self.write, finish=finish, resume=resume
        )
        return build_sidecar(sidecar, self.arrays, overwrite=False, workers=workers)


def files(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_it_is_complete_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(Ended):
        Builder(end_before=SHARDS[2].name).build(tmp_path / "out")
    assert not is_complete(tmp_path / "out")
    assert [e.name for e in Builder().build(tmp_path / "out").shards] == [e.name for e in SHARDS]
    assert is_complete(tmp_path / "out")
    assert not list((tmp_path / "out").glob(".finished*"))


@pytest.mark.parametrize(("resume", "left"), [("x", 2), ("y", 4), (None, 4)])
def test_whole_shards_of_an_ended_call_stay_if_their_content_is_the_same(
    tmp_path: Path, resume: str | None, left: int
) -> None:
    with pytest.raises(Ended):
        Builder(end_before=SHARDS[2].name).build(tmp_path / "out")
    again = Builder()
    again.build(tmp_path / "out", resume)
    assert again.written == [entry.name for entry in SHARDS[-left:]]


def test_three_processes_make_the_files_of_one(tmp_path: Path) -> None:
    Builder().build(tmp_path / "one", workers=OneWorker())
    builders = [Builder() for _ in range(3)]
    run_ranks(3, lambda ranks: builders[ranks.rank].build(tmp_path / "three", workers=ranks))
    assert files(tmp_path / "three") == files(tmp_path / "one")
    assert [len(builder.written) for builder in builders] == [2, 1, 1]


def test_arrays_of_no_shard_are_an_error(tmp_path: Path) -> None:
    builder = Builder()
    builder.arrays = lambda skipped: iter([("en/other", "k", np.zeros(1))])
    with pytest.raises(CorpusError, match="en/other is no shard of the corpus"):
        builder.build(tmp_path / "out")


def test_a_line_that_a_kill_has_cut_is_no_finished_shard(tmp_path: Path) -> None:
    FinishedShards(tmp_path).add(SHARDS[0], {2})
    whole = (tmp_path / ".finished-0.jsonl").read_text()
    FinishedShards(tmp_path).add(SHARDS[1], {2})
    cut = (tmp_path / ".finished-0.jsonl").read_text()[:-5]
    (tmp_path / ".finished-0.jsonl").write_text(cut)
    finished = FinishedShards(tmp_path)
    assert finished.names == {SHARDS[0].name}
    assert (finished.entry(SHARDS[0].name), finished.widths(SHARDS[0].name)) == (SHARDS[0], {2})
    assert whole in cut
