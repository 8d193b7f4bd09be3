"""The whole data plane over a real server: the batches are those of local files, whatever fails."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.plan.plan import Plan, validation_plan
from gsv2.data.stream.batch import Batch
from gsv2.data.stream.loader import StreamStart, make_loader, make_validation_loader
from tests.support.folder_server import serve_folder
from tests.support.served_corpora import (
    BOTH,
    CONFIG,
    REMOTE,
    assert_same,
    batches_of_epochs,
    cached_in,
    plan_of,
    source_at,
)

FAULTS = {
    "nothing": {},
    "no ranges, cut": {"ranges": False, "cut_at": 30_000, "cut_step": 25_000, "cuts": 8},
    "503 then 200": {"failures": 3},
    "cut in mid-body": {"cut_at": 30_000, "cut_step": 25_000, "cuts": 8},
    "429": {"failures": 2, "failure_status": 429, "retry_after": "0.05"},
    "stall": {"stall_at": 60_000, "stalls": 1},
    "slow": {"chunk_delay_sec": 0.002},
}


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_batches_over_http_are_those_of_local_files(server, files, tmp_path, fault, cached):
    plan = plan_of(source_at(files))
    expected = batches_of_epochs(plan, 1)
    config = cached_in(tmp_path / "cache" if cached else None)
    over_http = plan_of(source_at(server.url), config=config)
    for name, value in FAULTS[fault].items():
        setattr(server.behaviour, name, value)
    assert_same(batches_of_epochs(over_http, 1), expected)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_read_over_connections_of_their_own(server, files, tmp_path, workers, cached):
    """The parent has read the index over HTTP before it forks."""
    expected = batches_of_epochs(plan_of(source_at(files)), 2)
    plan = plan_of(source_at(server.url), config=cached_in(tmp_path / "cache" if cached else None))
    server.behaviour.only = ".tar"
    server.behaviour.cut_at, server.behaviour.cuts = 80_000, 3
    assert_same(batches_of_epochs(plan, 2, workers=workers), expected)


@pytest.mark.parametrize("members", [("audio",), ("codes",), BOTH])
def test_an_epoch_reads_every_tar_it_needs_once_and_no_other(server, files, members):
    folders = {("audio",): ["corpus"], ("codes",): ["codes"], BOTH: ["corpus", "codes"]}[members]
    plan = plan_of(source_at(server.url), members=members)
    (loaded,) = _single_pass(plan_of(source_at(server.url), members=members))
    assert sum(batch.num_clips for batch in loaded) == plan.num_clips
    tars = sum(path.stat().st_size for name in folders for path in (files / name).rglob("*.tar"))
    assert server.served_of(".tar") <= 1.05 * tars
    assert server.served_of(".tar") >= 0.9 * tars
    assert not [n for n in server.served if n.endswith(".tar") and n.split("/")[0] not in folders]


def _single_pass(plan: Plan, times: int = 1) -> Iterator[list[Batch]]:
    single = validation_plan(plan.index, plan.config, 0, plan.members)
    loader = make_validation_loader(single)
    for _ in range(times):
        yield list(loader)


def test_an_endless_run_reads_each_epoch_once(server, files):
    """Beside what is read ahead when the run ends."""
    plan = plan_of(source_at(server.url))
    epochs = 4
    batches_of_epochs(plan, epochs)
    tars = sum(path.stat().st_size for path in files.rglob("*.tar"))
    ahead = 2 * CONFIG.lanes * CONFIG.window_mb * (1 << 20)
    assert server.served_of(".tar") <= 1.05 * epochs * tars + ahead


def test_a_validation_over_http_can_be_repeated(server, files):
    expected = list(_single_pass(plan_of(source_at(files)), 2))
    for ours, theirs in zip(_single_pass(plan_of(source_at(server.url)), 2), expected, strict=True):
        assert_same(ours, theirs)


def test_the_second_epoch_comes_from_the_cache(server, tmp_path):
    config = cached_in(tmp_path / "cache")
    tars = sum(path.stat().st_size for path in server.root.rglob("*.tar"))
    for _ in range(2):  # the second run finds all of it
        batches_of_epochs(plan_of(source_at(server.url), config=config), 2)
        assert server.served_of(".tar") == tars


def test_corpora_with_equal_basenames_do_not_mix_in_the_cache(tmp_path, make_corpus, make_codes):
    for seed, name in enumerate(("a", "b")):
        make_corpus(tmp_path / name / "corpus", 12, seed=seed)
        make_codes(tmp_path / name / "corpus", tmp_path / name / "codes", seed=seed)
    with serve_folder(tmp_path) as server:
        config = cached_in(tmp_path / "cache")
        local = plan_of(*(source_at(tmp_path / name) for name in "ab"))
        plan = plan_of(*(source_at(f"{server.url}/{name}") for name in "ab"), config=config)
        assert_same(batches_of_epochs(plan, 2), batches_of_epochs(local, 2))


def test_a_mixture_of_local_and_remote_sources_reads_both(server, files):
    weights = (2.0, 1.0)
    mixed, local = (
        plan_of(*(replace(source_at(r), weight=w) for r, w in zip(roots, weights, strict=True)))
        for roots in ((files, server.url), (files, files))
    )
    ours, theirs = (list(islice(iter(make_loader(plan)), 40)) for plan in (mixed, local))
    assert_same(ours, theirs)


def test_local_audio_with_remote_codes_is_one_corpus(server, files):
    source = SourceConfig(path=f"{files}/corpus", codes=f"{server.url}/codes")
    assert_same(
        batches_of_epochs(plan_of(source), 1), batches_of_epochs(plan_of(source_at(files)), 1)
    )


def test_a_resumed_run_over_http_goes_on_like_an_unbroken_one(server, files):
    expected = batches_of_epochs(plan_of(source_at(files)), 2)
    for start in (1, 5, len(expected) - 5):
        positions = {batch.lane: batch.position for batch in expected[: start + CONFIG.lanes]}
        plan = plan_of(source_at(server.url))
        ours = list(islice(iter(make_loader(plan, start=StreamStart(start))), 5))
        assert_same(ours, expected[start : start + 5])
        place = StreamStart(start, _before(positions, start))
        with_positions = make_loader(plan, start=place)
        assert_same(list(islice(iter(with_positions), 5)), expected[start : start + 5])


def _before(positions: dict, start: int) -> dict:
    """Return the positions that lie at or before a micro-batch."""
    return {
        lane: position
        for lane, position in positions.items()
        if position.place * CONFIG.lanes + lane <= start
    }


def test_commands_are_a_corpus_only_when_allowed(files):
    source = SourceConfig(
        path=f"pipe:cat {files}/corpus/{{}}", codes=f"pipe:cat {files}/codes/{{}}"
    )
    with pytest.raises(ValueError, match=r"only with data\.allow_pipe=true"):
        plan_of(source)
    allowed = plan_of(source, config=replace(CONFIG, allow_pipe=True))
    assert_same(batches_of_epochs(allowed, 1), batches_of_epochs(plan_of(source_at(files)), 1))


def test_a_signed_url_keeps_its_query_behind_every_name(server, files):
    source = SourceConfig(
        path=f"{server.url}/corpus?sig=a%2Fb", codes=f"{server.url}/codes?sig=a%2Fb"
    )
    assert_same(
        batches_of_epochs(plan_of(source), 1), batches_of_epochs(plan_of(source_at(files)), 1)
    )
    assert set(server.queries) == {"sig=a%2Fb"}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("cached", [False, True])
def test_a_dead_server_stops_the_run_with_one_error(server, tmp_path, workers, cached, monkeypatch):
    # After any error in a worker, DataLoader waits as long for the worker to end.
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.2)
    remote = replace(REMOTE, retries=1, cache_dir=str(tmp_path / "cache") if cached else None)
    plan = plan_of(source_at(server.url), config=replace(CONFIG, remote=remote))
    server.behaviour.only, server.behaviour.failures = ".tar", 10**6
    with pytest.raises(OSError, match=r"\.tar cannot be read at byte .* said 503"):
        next(iter(make_loader(plan, workers=workers)))
    gc.collect()


def test_a_corpus_that_is_not_there_is_one_error(server):
    with pytest.raises(CorpusError, match="never finished"):
        plan_of(source_at(f"{server.url}/elsewhere"))
    server.behaviour.failures, server.behaviour.failure_status = 99, 403
    with pytest.raises(CorpusError, match="check credentials"):
        plan_of(source_at(server.url))
