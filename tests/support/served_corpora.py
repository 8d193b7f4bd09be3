"""Corpora that a server offers, the plans that read them, and windows made by hand.

A conftest imports the fixtures `files` and `server`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path

import numpy as np
import pytest
import torch

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan
from gsv2.data.plan.window import LanePosition, PartPosition, Window
from gsv2.data.stream.batch import Batch
from gsv2.data.stream.loader import make_loader
from gsv2.storage.config import RemoteConfig
from gsv2.storage.storage import Storage
from tests.support.folder_server import FolderServer, serve_folder

BOTH = ("audio", "codes")
REMOTE = RemoteConfig(retries=4, backoff_sec=0.001, timeout_sec=1.0)
CONFIG = DataConfig(sources=[], lanes=2, max_frames=120, window_mb=0.2, remote=REMOTE)


def write_files(root: Path, make_corpus: Callable, make_codes: Callable) -> Path:
    """Write 24 clips in several tars, with sidecar codes."""
    make_corpus(root / "corpus", 24, seconds=(0.5, 0.9), shard_mb=0.15)
    make_codes(root / "corpus", root / "codes")
    return root


@pytest.fixture(scope="session")
def files(
    tmp_path_factory: pytest.TempPathFactory, make_corpus: Callable, make_codes: Callable
) -> Path:
    """A corpus with sidecar codes that all tests share; do not write to it."""
    return write_files(tmp_path_factory.mktemp("files"), make_corpus, make_codes)


@pytest.fixture
def server(files: Path) -> Iterator[FolderServer]:
    """A server of `files`, of this test alone."""
    with serve_folder(files) as served:
        yield served


def source_at(root: str | Path) -> SourceConfig:
    return SourceConfig(path=f"{root}/corpus", codes=f"{root}/codes")


def plan_of(*sources: SourceConfig, members=BOTH, config=CONFIG) -> Plan:
    config = replace(config, sources=list(sources))
    storage = Storage(config.remote, allow_pipe=config.allow_pipe)
    return Plan(CorpusIndex.open(*sources, storage=storage), config, 0, members)


def cached_in(folder: Path | None) -> DataConfig:
    """Return `CONFIG` with a cache in a folder; None = no cache."""
    return replace(CONFIG, remote=replace(REMOTE, cache_dir=str(folder) if folder else None))


def batches_of_epochs(plan: Plan, epochs: int, **options: int) -> list[Batch]:
    """Return the batches up to the first lane's end of these epochs."""
    count = sum(1 for _ in takewhile(lambda planned: planned.epoch < epochs, plan.iterate()))
    return list(islice(iter(make_loader(plan, **options)), count))


def assert_same(ours: list[Batch], theirs: list[Batch]) -> None:
    """Batches are equal; of bad clips only the folder may differ."""
    assert len(ours) == len(theirs) > 4
    for a, b in zip(ours, theirs, strict=True):
        for name in a.__dataclass_fields__:
            x, y = getattr(a, name), getattr(b, name)
            if isinstance(x, torch.Tensor):
                assert torch.equal(x, y), name
            elif name == "bad":
                assert [replace(clip, shard="") for clip in x] == [
                    replace(clip, shard="") for clip in y
                ]
            else:
                assert x == y, name


def chain(windows_of_rows: Sequence[Sequence[int]], lane: int = 0) -> list[Window]:
    """Return windows of these rows, each followed by the next and the last by itself."""
    windows: list[Window] = []
    for number, rows in reversed(list(enumerate(windows_of_rows))):
        position = LanePosition(lane, number, number, (PartPosition(0, 0, number, 0.0),))
        after = windows[-1] if windows else None
        window = Window(position, np.array(rows, dtype=np.int64), tuple, lambda _, a=after: a)
        windows.append(window)
    end = Window(
        LanePosition(lane, 9, len(windows_of_rows), windows[0].position.parts),
        np.array([], int),
        tuple,
        lambda _: end,
    )
    windows[0].__dict__["following"] = end
    return windows[::-1]


def open_index(root: str | Path) -> CorpusIndex:
    return CorpusIndex.open(source_at(root), storage=Storage(REMOTE))


def contents(members: dict[str, memoryview | bytes]) -> dict[str, bytes]:
    return {member: bytes(content) for member, content in members.items()}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
