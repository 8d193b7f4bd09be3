from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gsv2.training import threads
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.folder import RunFolder
from gsv2.training.threads import (
    ThreadChoice,
    candidates,
    choose_threads,
    fastest,
    measure_threads,
    run_threads,
    training_work,
)


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Four cores, and nobody who chose the number of threads."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "num_cores", lambda: 4)
    usual = torch.get_num_threads()
    yield
    torch.set_num_threads(usual)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Numbers of threads that were measured, of which 2 are the fastest."""
    asked: list[list[int]] = []

    def measure(numbers: list[int], work: object, max_sec: float) -> dict[int, float]:
        asked.append(numbers)
        return {number: 0.01 + abs(number - 2) for number in numbers}

    monkeypatch.setattr(threads, "measure_threads", measure)
    return asked


def test_the_environment_wins_over_measuring_always(
    monkeypatch: pytest.MonkeyPatch, unasked: None, measured: list[list[int]]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(3)  # as torch does when it is imported
    for last, ranks in ((None, None), (2, None), (None, 2)):
        choice = choose_threads(last, local_ranks=ranks)
        assert choice == ThreadChoice(threads=3, reason="OMP_NUM_THREADS says so")
    assert not measured


@pytest.mark.parametrize(("ranks", "share"), [(1, 4), (2, 2), (3, 1), (8, 1)])
def test_ranks_share_the_cores(
    unasked: None, measured: list[list[int]], ranks: int, share: int
) -> None:
    assert choose_threads(3, local_ranks=ranks).threads == share
    assert not measured


def test_a_run_goes_on_with_the_threads_that_it_had(
    unasked: None, measured: list[list[int]]
) -> None:
    assert choose_threads(4).threads == 4
    assert not measured
    assert choose_threads(5).threads == 2, "there are not as many cores any more"


def test_one_process_measures_up_to_its_cores_or_a_limit(
    unasked: None, measured: list[list[int]]
) -> None:
    assert choose_threads(None).threads == 2
    assert choose_threads(None, limit=2).threads == 2
    assert choose_threads(None, limit=1).threads == 1
    assert measured == [[1, 2, 4], [1, 2]], "one core leaves nothing to choose"


@pytest.mark.parametrize(
    ("cores", "tried"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_candidates_double_up_to_all_cores(cores: int, tried: list[int]) -> None:
    assert candidates(cores) == tried


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({1: 1.0, 2: 0.6, 4: 0.4}, 4),
        ({1: 1.0, 2: 0.95, 4: 0.92}, 1),  # not worth the cores
        ({1: 0.06, 2: 0.35}, 1),
        ({1: 1.0, 2: 0.55, 4: 0.52}, 2),
        ({}, 1),
    ],
)
def test_more_threads_are_taken_only_where_they_pay(times: dict[int, float], chosen: int) -> None:
    choice = fastest(times)
    assert choice.threads == chosen
    assert all(
        f"{1e3 * seconds:.1f} ms on {number}" in choice.reason for number, seconds in times.items()
    )


def test_numbers_are_measured_in_turn_and_the_first_round_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual, now, used = torch.get_num_threads(), [0.0], []

    def work() -> None:
        number = torch.get_num_threads()
        now[0] += 5.0 if len(used) < 2 else 1.0 / number
        used.append(number)

    monkeypatch.setattr(threads.time, "perf_counter", lambda: now[0])
    assert measure_threads([1, 2], work, 20.0) == pytest.approx({1: 1.0, 2: 0.5})
    assert used[:6] == [1, 2, 1, 2, 1, 2]
    assert now[0] <= 20.0 + 1.0, "one piece of work longer than was allowed, at most"
    assert torch.get_num_threads() == usual


def test_cores_that_are_too_busy_give_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def work() -> None:
        now[0] += 4.0

    monkeypatch.setattr(threads.time, "perf_counter", lambda: now[0])
    assert measure_threads([1, 2], work, 1.5) == {}
    assert now[0] == 4.0


def test_the_work_is_real_and_leaves_the_random_numbers_of_the_run_alone() -> None:
    state = torch.get_rng_state()
    work = training_work()
    assert measure_threads([1], work, 0.5)[1] > 0
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_computes_by_its_choice_says_why_and_gives_the_threads_back(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    unasked: None,
    measured: list[list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second launch takes what the first one had; one from step 0 looks again."""
    monkeypatch.setenv("GOMP_SPINCOUNT", "77")
    caplog.set_level(logging.INFO)
    folder, distributed = RunFolder(tmp_path / "run"), Distributed()
    usual = torch.get_num_threads()
    for resumes, count in ((True, 1), (True, 1), (False, 2)):
        with run_threads(folder, distributed, resumes=resumes):
            assert torch.get_num_threads() == 2
            (tmp_path / "run").mkdir(exist_ok=True)
            (folder.path / "environment.json").write_text(
                '{"ranks": 1, "device": "cpu", "threads": 2}'
            )
        assert torch.get_num_threads() == usual
        assert len(measured) == count
    said = [record.getMessage() for record in caplog.records]
    assert "computing on 2 threads: a piece of training takes" in said[0]
    assert "10.0 ms on 2" in said[0]
    assert said[0].endswith("spinning for at most 77 rounds")
    assert "as in the launch before" in said[1]


def test_a_run_on_a_gpu_measures_nothing(
    tmp_path: Path, unasked: None, measured: list[list[int]]
) -> None:
    distributed = Distributed()
    distributed.device = torch.device("cuda")
    with run_threads(RunFolder(tmp_path), distributed, resumes=True):
        pass
    assert not measured
