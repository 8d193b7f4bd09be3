"""A cache of whole tars that never hands out the wrong one, shared by processes."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gsv2.data.stream import tar_cache as cache_module
from gsv2.data.stream.tar_cache import TarCache, WrongTarError, _locked
from gsv2.storage.config import RemoteConfig
from gsv2.storage.storage import Storage
from tests.support.folder_server import FolderServer, serve_folder

FAST = RemoteConfig(retries=1, backoff_sec=0.001, timeout_sec=5.0)
TARS = {
    f"{lang}/shard-0.tar": np.random.default_rng(n).bytes(200_000 + n)
    for n, lang in enumerate(("en", "zh", "ja"))
}
HASHES = {name: hashlib.sha256(content).hexdigest() for name, content in TARS.items()}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FolderServer]:
    for name, content in TARS.items():
        (tmp_path / "served" / name).parent.mkdir(parents=True)
        (tmp_path / "served" / name).write_bytes(content)
    with serve_folder(tmp_path / "served") as served:
        yield served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def make_cache(folder: Path, cache_gb: float = 1.0) -> TarCache:
    return TarCache(Storage(FAST), folder, cache_gb)


def tars_in(folder: Path) -> int:
    return len(list(folder.glob("*.tar")))


@pytest.mark.parametrize("known", [True, False])
def test_tars_of_equal_basename_do_not_mix(server, folder, known):
    cache = make_cache(folder)
    for _ in range(2):
        for name, content in TARS.items():
            sha256 = HASHES[name] if known else None
            assert cache.path(f"{server.url}/{name}", sha256).read_bytes() == content
    assert set(server.requests.values()) == {1}, "each is fetched once"
    assert make_cache(folder).path(f"{server.url}/en/shard-0.tar", HASHES["en/shard-0.tar"])
    assert server.requests["en/shard-0.tar"] == 1 + (not known), "the next run finds it"


def test_equal_content_of_two_places_is_kept_once(server, folder):
    (server.root / "copy.tar").write_bytes(TARS["en/shard-0.tar"])
    cache = make_cache(folder)
    paths = {
        cache.path(f"{server.url}/{n}", HASHES["en/shard-0.tar"])
        for n in ("en/shard-0.tar", "copy.tar")
    }
    assert len(paths) == 1
    assert server.requests["copy.tar"] == 0


def test_a_tar_that_is_not_what_the_corpus_says_is_an_error_and_not_kept(server, folder):
    cache = make_cache(folder)
    for _ in range(2):
        with pytest.raises(WrongTarError, match=r"must have SHA-256 .* as corpus.json says, but"):
            cache.path(f"{server.url}/en/shard-0.tar", HASHES["zh/shard-0.tar"])
    assert server.requests["en/shard-0.tar"] == 1, "it is not fetched for every clip"
    assert tars_in(folder) == 0
    assert not list(folder.glob("*.part"))


def test_a_missing_tar_is_a_missing_file(server, folder):
    for read in (make_cache(folder).path, make_cache(folder).open):
        with pytest.raises(FileNotFoundError, match=r"none\.tar does not exist"):
            read(f"{server.url}/none.tar")


def test_a_broken_download_goes_on_at_its_byte_also_in_the_next_process(server, folder):
    name = "en/shard-0.tar"
    server.behaviour.cut_at, server.behaviour.cuts = 150_000, 99
    with pytest.raises(OSError, match="cannot be read at byte 150000"):
        make_cache(folder).path(f"{server.url}/{name}", HASHES[name])
    assert tars_in(folder) == 0
    server.behaviour.cuts = 0
    path = make_cache(folder).path(f"{server.url}/{name}", HASHES[name])
    assert path.read_bytes() == TARS[name]
    assert server.served[name] == len(TARS[name])


def test_a_rest_of_another_tar_is_not_gone_on_with(server, folder):
    name = "en/shard-0.tar"
    folder.mkdir()
    (folder / f"sha256-{HASHES[name]}.part").write_bytes(b"rubbish" * 100)
    path = make_cache(folder).path(f"{server.url}/{name}", HASHES[name])
    assert path.read_bytes() == TARS[name]


def test_processes_that_want_the_same_tar_fetch_it_once(server, folder):
    server.behaviour.chunk_delay_sec = 0.005
    url = f"{server.url}/en/shard-0.tar"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_fetch_and_compare, args=(folder, url)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0] * 4
    assert server.requests["en/shard-0.tar"] == 1


def _fetch_and_compare(folder: Path, url: str) -> None:
    with make_cache(folder).open(url, HASHES["en/shard-0.tar"]) as file:
        assert file.read() == TARS["en/shard-0.tar"]


def test_the_tar_unused_for_longest_goes_first(server, folder):
    cache = make_cache(folder, cache_gb=450_000 / 1e9)  # two of three
    paths = {}
    for name in ("en/shard-0.tar", "zh/shard-0.tar", "en/shard-0.tar", "ja/shard-0.tar"):
        paths[name] = cache.path(f"{server.url}/{name}", HASHES[name])
        time.sleep(0.002)
    assert [paths[name].exists() for name in TARS] == [True, False, True]
    assert not paths["zh/shard-0.tar"].with_suffix(".lock").exists()


def test_what_was_just_fetched_stays_even_if_nothing_fits(server, folder):
    cache = make_cache(folder, cache_gb=0.0)
    for name, content in TARS.items():
        with cache.open(f"{server.url}/{name}", HASHES[name]) as file:
            assert file.read() == content
            assert tars_in(folder) == 1


def test_a_tar_in_use_outlives_its_eviction(server, folder):
    cache = make_cache(folder, cache_gb=0.0)
    names = list(TARS)
    with cache.open(f"{server.url}/{names[0]}", HASHES[names[0]]) as file:
        cache.path(f"{server.url}/{names[1]}", HASHES[names[1]])
        assert file.read() == TARS[names[0]]


def test_what_another_process_fetches_is_not_evicted(server, folder):
    folder.mkdir()
    other = folder / "sha256-other.part"
    other.write_bytes(b"x" * 1000)
    os.utime(other, (0, 0))
    cache = make_cache(folder, cache_gb=0.0)
    with _locked(other.with_suffix(".lock")):
        cache.path(f"{server.url}/en/shard-0.tar")
        assert other.exists()
    cache.path(f"{server.url}/zh/shard-0.tar")
    assert not other.exists(), "left by a process that is gone"


def test_a_full_disk_is_an_error_that_names_the_folder(server, folder):
    """A limit on file sizes fails a write as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match=f"cache_dir {folder} has no room for .*en/shard-0.tar"):
            make_cache(folder).path(f"{server.url}/en/shard-0.tar")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(folder.glob("*.part"))
    assert errno.ENOSPC in cache_module._FULL


def test_a_lock_file_that_was_removed_is_no_lock(tmp_path):
    """Who waits for a lock that is removed meanwhile must not share it with a newcomer."""
    lock = tmp_path / "a.lock"
    with _locked(lock) as held:
        assert held
        with _locked(lock, wait=False) as second:
            assert not second
        lock.unlink()
        with _locked(lock, wait=False) as third:
            assert third
