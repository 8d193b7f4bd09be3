"""Locations of every kind, and connections that survive forks by not being shared."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.asyn import AsyncFileSystem
from torch.utils.data import DataLoader, Dataset

from gsv2.storage import storage as storage_module
from gsv2.storage.config import RemoteConfig
from gsv2.storage.storage import Storage
from tests.support.folder_server import FolderServer, serve_folder

FAST = RemoteConfig(retries=2, backoff_sec=0.001, timeout_sec=5.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FolderServer]:
    (tmp_path / "corpus" / "en").mkdir(parents=True)
    (tmp_path / "corpus" / "en" / "a#b 1.parquet").write_bytes(b"parquet")
    (tmp_path / "corpus" / "corpus.json").write_bytes(b"{}")
    with serve_folder(tmp_path) as served:
        yield served


@pytest.mark.parametrize(
    ("root", "name", "joined"),
    [
        ("/data/corpus/", "en/a.tar", "/data/corpus/en/a.tar"),
        ("corpus", "en/a.tar", "corpus/en/a.tar"),
        ("file:///data/corpus", "en/a.tar", "/data/corpus/en/a.tar"),
        ("s3://bucket/corpus?", "en/a.tar", "s3://bucket/corpus?/en/a.tar"),
        ("https://h/corpus/?sig=x%2F", "en/a.tar", "https://h/corpus/en/a.tar?sig=x%2F"),
        ("http://h", "中/a b#1.tar", "http://h/%E4%B8%AD/a%20b%231.tar"),
        ("pipe:cat /c/{}", "en/a b;rm.tar", "pipe:cat /c/'en/a b;rm.tar'"),
        ("pipe:aws s3 cp s3://b/{} -", "en/a.tar", "pipe:aws s3 cp s3://b/en/a.tar -"),
    ],
)
def test_names_are_joined_as_each_kind_of_location_wants(root, name, joined):
    storage = Storage()
    assert storage.join(root, name) == joined
    assert storage.is_local(joined) == (root[0] in "/c" or root.startswith("file:"))


def test_a_command_needs_a_place_for_the_name():
    with pytest.raises(ValueError, match=r"must have \{\} where the name"):
        Storage(allow_pipe=True).join("pipe:cat /c/", "a.tar")


def test_commands_run_only_when_allowed(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    location = Storage().join(f"pipe:cat {tmp_path}/{{}}", "a.json")
    with pytest.raises(ValueError, match=r"only with data\.allow_pipe=true"):
        Storage().read(location)
    with pytest.raises(ValueError, match=r"only with data\.allow_pipe=true"):
        Storage().open(location)
    assert Storage(allow_pipe=True).read(location) == b"{}"


def test_small_files_of_all_kinds_are_read_whole(server, tmp_path):
    storage = Storage(FAST)
    fsspec.filesystem("memory").pipe_file("/corpus/corpus.json", b"{}")
    for root in (tmp_path / "corpus", "memory://corpus", f"{server.url}/corpus?token=1"):
        assert storage.read(storage.join(str(root), "corpus.json")) == b"{}"
    name = storage.join(f"{server.url}/corpus", "en/a#b 1.parquet")
    assert storage.read(name) == b"parquet"
    assert "token=1" in server.queries


@pytest.mark.parametrize("kind", ["local", "http", "memory"])
def test_a_missing_file_is_a_missing_file_wherever_it_lies(server, tmp_path, kind):
    roots = {"local": str(tmp_path), "http": server.url, "memory": "memory://nowhere"}
    with pytest.raises(FileNotFoundError, match="none"):
        Storage(FAST).read(Storage().join(roots[kind], "none.json"))


def test_a_dead_remote_is_an_error_that_names_location_and_reason(server):
    server.behaviour.failures = 99
    with pytest.raises(OSError, match=r"corpus\.json cannot be read .* the server said 503"):
        Storage(FAST).read(f"{server.url}/corpus/corpus.json")


def test_a_remote_file_is_fetched_once_while_it_is_among_the_recent(server, monkeypatch):
    monkeypatch.setattr(storage_module, "_RECENT_BYTES", 8)
    storage = Storage(FAST)
    first, second = (f"{server.url}/corpus/{n}" for n in ("corpus.json", "en/a%23b%201.parquet"))
    for _ in range(3):
        storage.read(first)
    assert server.requests["corpus/corpus.json"] == 1
    storage.read(second)  # 7 bytes push out the first 2
    storage.read(first)
    assert server.requests["corpus/corpus.json"] == 2


def test_unknown_kinds_of_urls_are_one_line_that_helps():
    with pytest.raises(ValueError, match="nonsense:// is no kind of URL"):
        Storage().read("nonsense://x/corpus.json")
    if not _has("s3fs"):
        with pytest.raises(ValueError, match="needs a package that is missing; `pip install s3fs`"):
            Storage().read("s3://bucket/corpus.json")


def _has(package: str) -> bool:
    return subprocess.run([sys.executable, "-c", f"import {package}"], stderr=-3).returncode == 0


class _Reads(Dataset[bytes]):
    """Item i is the i-th of some files, read by whichever process is asked."""

    def __init__(self, storage: Storage, locations: list[str]) -> None:
        self.storage = storage
        self.locations = locations

    def __len__(self) -> int:
        return len(self.locations)

    def __getitem__(self, item: int) -> bytes:
        return self.storage.read(self.locations[item])


def test_forked_workers_read_with_connections_of_their_own(server):
    storage = Storage(FAST)
    fsspec.filesystem("memory").pipe_file("/fork/corpus.json", b"{}")
    kinds = [f"{server.url}/corpus/corpus.json", "memory://fork/corpus.json"]
    locations = [kind for kind in kinds for _ in range(4)]
    for location in kinds:
        storage.read(location)  # the parent has connections before it forks
    loader = DataLoader(_Reads(storage, locations), batch_size=None, num_workers=2)
    assert list(loader) == [b"{}"] * 8
    assert server.requests["corpus/corpus.json"] == 3, "once a process"


def test_a_child_and_its_parent_read_at_once(server):
    """A socket in use by both would mix their answers."""
    content = bytes(range(256)) * 20_000
    storage = Storage(FAST)
    root = f"{server.url}/corpus"
    (server.root / "corpus" / "big").write_bytes(content)
    with storage.open(f"{root}/big") as stream:
        assert stream.read(100_000) == content[:100_000]
        status = _in_child(lambda: _read_all(storage, f"{root}/big") == content)
        assert stream.read(len(content)) == content[100_000:]
    assert status == 0


def test_an_asynchronous_filesystem_of_the_parent_does_not_hang_a_child():
    """The loop thread of fsspec does not exist in a child; the child must start its own."""

    class Remote(AsyncFileSystem):
        protocol = "looped"

        async def _info(self, path: str, **_: object) -> dict[str, object]:
            await asyncio.sleep(0.001)
            return {"name": path, "size": 2}

        async def _cat_file(self, path: str, start: int, end: int, **_: object) -> bytes:
            await asyncio.sleep(0.001)
            return b"{}"[start:end]

    fsspec.register_implementation("looped", Remote, clobber=True)
    storage = Storage(FAST)
    assert storage.read("looped://corpus.json") == b"{}"
    assert _in_child(lambda: storage.read("looped://corpus.json") == b"{}") == 0
    assert _in_child(lambda: storage.read("looped://other.json") == b"{}") == 0


def test_a_storage_travels_to_spawned_workers(server):
    storage = Storage(FAST, allow_pipe=True)
    storage.read(f"{server.url}/corpus/corpus.json")
    copy = pickle.loads(pickle.dumps(storage))
    assert (copy.config, copy.allow_pipe) == (FAST, True)
    assert copy.read(f"{server.url}/corpus/corpus.json") == b"{}"


def _read_all(storage: Storage, location: str) -> bytes:
    with storage.open(location) as stream:
        return b"".join(iter(lambda: stream.read(1 << 20), b""))


def _in_child(check: Callable[[], bool]) -> int:
    """Return 0 if `check` holds in a forked child, which has ten seconds."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        os._exit(0 if check() else 1)
    return os.waitpid(pid, 0)[1]
