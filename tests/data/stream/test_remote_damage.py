"""Damaged tars behind a server: the bad clips are those of local tars, and no others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.folder_server import FolderServer, serve_folder
from tests.support.served_corpora import (
    assert_same,
    batches_of_epochs,
    cached_in,
    plan_of,
    source_at,
)


@pytest.fixture
def damaged(files: Path, tmp_path: Path) -> Iterator[FolderServer]:
    shutil.copytree(files, tmp_path / "served")
    with serve_folder(tmp_path / "served") as served:
        yield served


def _cut(tar: Path) -> None:
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])


def _flip(tar: Path) -> None:
    content = bytearray(tar.read_bytes())
    content[len(content) // 2] ^= 1
    tar.write_bytes(content)


def _empty(tar: Path) -> None:
    tar.write_bytes(b"")


@pytest.mark.parametrize("damage", [_cut, _flip, _empty, Path.unlink])
def test_damaged_tars_give_the_same_bad_clips_as_local_ones(damaged, damage):
    tar = sorted((damaged.root / "corpus").rglob("*.tar"))[0]
    damage(tar)
    expected = batches_of_epochs(plan_of(source_at(damaged.root)), 1)
    ours = batches_of_epochs(plan_of(source_at(damaged.url)), 1)
    bad = [clip for batch in ours for clip in batch.bad]
    assert bad
    assert {clip.shard for clip in bad} == {f"{damaged.url}/corpus/{tar.parent.name}/{tar.name}"}
    if damage is _empty:  # there is nothing to map, but something to stream
        bad_keys = {clip.key for batch in expected for clip in batch.bad}
        assert {clip.key for clip in bad} == bad_keys
    else:
        assert_same(ours, expected)


@pytest.mark.parametrize("damage", [_cut, _flip, Path.unlink])
def test_a_tar_that_is_not_the_corpus_s_never_enters_the_cache(damaged, tmp_path, damage):
    tar = sorted((damaged.root / "corpus").rglob("*.tar"))[0]
    damage(tar)
    plan = plan_of(source_at(damaged.url), config=cached_in(tmp_path / "cache"))
    bad = [clip for batch in batches_of_epochs(plan, 1) for clip in batch.bad]
    shard = next(
        shard
        for shard in plan.index.shards
        if shard.tar.endswith(tar.name) and shard.language == tar.parent.name
    )
    assert len(bad) == shard.num_clips
    gone = damage == Path.unlink
    reason = "tar cannot be opened" if gone else "tar differs from its checksum"
    assert {clip.reason for clip in bad} == {reason}
