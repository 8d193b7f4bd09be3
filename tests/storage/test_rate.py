import json
import time
from dataclasses import replace

import pytest

from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError
from gsv2.storage import storage as storage_module
from gsv2.storage.config import RemoteConfig
from gsv2.storage.rate import RateMeter, SlowError
from gsv2.storage.storage import Storage
from tests.support.folder_server import serve_folder
from tests.support.served_corpora import source_at

SLOW = RemoteConfig(
    retries=1, backoff_sec=0.001, timeout_sec=5.0, min_bytes_per_sec=1000.0, rate_window_sec=0.15
)


def test_a_window_below_the_rate_is_an_error_with_both():
    meter = RateMeter(100.0, 2.0)
    meter.add(1, 1.9)
    with pytest.raises(SlowError, match=r"gave 2 bytes in 2\.1 s.*min_bytes_per_sec \(100\)"):
        meter.add(1, 0.2)
    with pytest.raises(SlowError):
        meter.add(1, 2.0)
    assert meter.num_slow == 2
    meter.add(1000, 2.0)
    assert meter.num_slow == 0


def test_a_rate_of_0_is_any_rate():
    RateMeter(0.0, 0.0).add(0, 1e9)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_drips_is_an_error_that_names_the_url(tmp_path, ranges):
    (tmp_path / "a.tar").write_bytes(bytes(100_000))
    with serve_folder(tmp_path) as server:
        server.behaviour.chunk_bytes, server.behaviour.chunk_delay_sec = 1, 0.02
        server.behaviour.ranges = ranges
        start = time.monotonic()
        with Storage(SLOW).open(f"{server.url}/a.tar") as stream:
            with pytest.raises(OSError, match=r"a\.tar .*2 attempts.*the server gave"):
                stream.read(100_000)
        assert time.monotonic() - start < 3.0
        assert server.requests["a.tar"] == 2


def test_a_reader_that_takes_its_time_is_no_slow_server(tmp_path):
    content = bytes(range(256)) * 2000
    (tmp_path / "a.tar").write_bytes(content)
    with serve_folder(tmp_path) as server:
        config = replace(SLOW, rate_window_sec=0.05, retries=0)
        with Storage(config).open(f"{server.url}/a.tar") as stream:
            parts = []
            while part := stream.read(100_000):
                parts.append(part)
                time.sleep(0.02)
        assert b"".join(parts) == content


def test_a_server_that_never_ends_is_read_up_to_a_limit(tmp_path):
    (tmp_path / "corpus.json").write_bytes(b"[" * 50_000)
    with serve_folder(tmp_path) as server:
        server.behaviour.endless, server.behaviour.content_length = True, False
        with pytest.raises(OSError, match=r"corpus\.json must have at most 200000 bytes"):
            Storage(SLOW).read(f"{server.url}/corpus.json", 200_000)


@pytest.mark.parametrize("name", ["corpus/corpus.json", "en/clips-000000.parquet"])
def test_files_of_a_corpus_that_never_end_are_named(files, monkeypatch, name):
    """Limits: one stated for corpus.json, one by the tar's size for its index."""
    monkeypatch.setattr("gsv2.data.corpus.manifest.MAX_MANIFEST_BYTES", 100_000)
    monkeypatch.setattr("gsv2.data.corpus.shard._SPARE_BYTES", 1000)
    with serve_folder(files) as server:
        server.behaviour.only, server.behaviour.endless = name, True
        server.behaviour.content_length = False
        with pytest.raises(CorpusError, match=rf"{name}.*at most \d+ bytes"):
            CorpusIndex.open(source_at(server.url), storage=Storage(SLOW)).numbers("num_samples")


def test_a_corpus_json_of_normal_size_is_far_below_the_limit(files):
    sizes = [path.stat().st_size for path in files.rglob("corpus.json")]
    assert max(sizes) * 1000 < storage_module.MAX_FILE_BYTES
    assert json.loads((files / "corpus/corpus.json").read_text())["shards"]
