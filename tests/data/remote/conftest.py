"""A small corpus behind a server, for every test that reads one over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.data.remote.served import write_files
from tests.data.remote.server import FolderServer, serve_folder


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
