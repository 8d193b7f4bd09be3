"""Whatever fsspec reads, by blocks."""

import fsspec
import numpy as np
import pytest

from gsv2.storage.config import RemoteConfig
from gsv2.storage.storage import Storage
from gsv2.storage.stream import RemoteStream

CONTENT = np.random.default_rng(0).bytes(3_000_001)
FAST = RemoteConfig(retries=2, backoff_sec=0.001, timeout_sec=5.0)


def read_to_the_end(stream: RemoteStream) -> bytes:
    with stream:
        return b"".join(iter(lambda: stream.read(77_777), b""))


def test_an_fsspec_url_is_read_like_a_file(monkeypatch):
    fsspec.filesystem("memory").pipe_file("/remote/file.tar", CONTENT)
    monkeypatch.setattr("gsv2.storage.object_store._BLOCK_BYTES", 100_000)
    storage = Storage(FAST)
    assert read_to_the_end(storage.open("memory://remote/file.tar")) == CONTENT
    with storage.open("memory://remote/file.tar", 2_000_000) as stream:
        assert stream.read(10) == CONTENT[2_000_000:2_000_010]
        stream.skip(1_000_000)
        assert stream.read(10) == b""
    with pytest.raises(FileNotFoundError, match=r"memory://remote/none\.tar does not exist"):
        storage.open("memory://remote/none.tar").read(1)


def test_whatever_a_backend_raises_is_retried(monkeypatch, caplog):
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/remote/flaky.tar", CONTENT)
    failures = iter([RuntimeError("credentials expired"), KeyError("x")])
    whole = type(memory).cat_file

    def flaky(self, path, start=None, end=None, **options):
        if failing := next(failures, None):
            raise failing
        return whole(self, path, start=start, end=end, **options)

    monkeypatch.setattr(type(memory), "cat_file", flaky)
    assert read_to_the_end(Storage(FAST).open("memory://remote/flaky.tar")) == CONTENT
    assert "RuntimeError: credentials expired" in caplog.text
