"""Runs that tests of faults share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.launch import finish, start_deepspeed_ranks
from tests.integration.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Forks runs."""
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="session")
def unbroken(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process trains that nothing befalls."""
    folder = tmp_path_factory.mktemp("unbroken")
    assert nursery.run(folder) == [0]
    return folder


@pytest.fixture(scope="session")
def deepspeed_ranks(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Any) -> Path:
    """What two ranks under DeepSpeed have left: folders `gallery`, `optim` and `mixed`."""
    folder = tmp_path_factory.mktemp("deepspeed")
    arguments = (str(folder), str(tiny_corpus.path))
    finish(start_deepspeed_ranks(2, "tests.integration.deepspeed_ranks", *arguments))
    return folder
