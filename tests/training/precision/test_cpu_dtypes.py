"""Whether bf16 is offered on a CPU: by a clock that a test turns on, on any processor."""

from __future__ import annotations

import pytest
import torch

from gsv2.training.precision import cpu_dtypes
from gsv2.training.precision.cpu_dtypes import describe_cpu_dtypes, measure_dtypes, training_work


class Clock:
    """Time passes in pieces of work alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Clock:
    """A processor on which a piece of work takes so many seconds in fp32 and in bf16."""
    made = Clock()

    def takes(seconds: float):
        def run() -> None:
            made.now += seconds

        return run

    fp32, bf16 = request.param
    monkeypatch.setattr(
        cpu_dtypes, "training_work", lambda: {"fp32": takes(fp32), "bf16": takes(bf16)}
    )
    return made


@pytest.mark.parametrize("clock", [(0.03, 0.01)], indirect=True)
def test_bf16_is_offered_where_it_is_faster_and_taken_without_a_word(clock: Clock) -> None:
    told = describe_cpu_dtypes({"gpt": "fp32"}, "gpt", clock)
    assert told is not None
    assert "bf16 is 3.0 times as fast" in told
    assert "30.00 ms in fp32, 10.00 ms in bf16" in told
    assert told.endswith("precision.gpt=bf16")
    assert describe_cpu_dtypes({"gpt": "bf16"}, "gpt", clock) is None


@pytest.mark.parametrize("clock", [(0.01, 0.05)], indirect=True)
def test_where_it_is_slower_nothing_is_offered_and_who_asked_for_it_is_told(clock: Clock) -> None:
    assert describe_cpu_dtypes({"gpt": "fp32"}, "gpt", clock) is None
    told = describe_cpu_dtypes({"gpt": "bf16"}, "gpt", clock)
    assert told is not None
    assert "precision.gpt is bf16, but fp32 is 5.0 times as fast" in told
    for policy in ({}, {"gpt": "fp16"}):
        before = clock.now
        assert describe_cpu_dtypes(policy, "gpt", clock) is None
        assert clock.now == before, "nothing is measured"


@pytest.mark.parametrize("clock", [(0.5, 0.5)], indirect=True)
def test_a_processor_too_slow_to_measure_says_nothing(clock: Clock) -> None:
    assert measure_dtypes(clock) == {}
    assert describe_cpu_dtypes({"gpt": "fp32"}, "gpt", clock) is None


def test_the_piece_of_work_computes_in_both_dtypes_and_draws_nothing() -> None:
    noise = torch.get_rng_state()
    gradients = {dtype: run() for dtype, run in training_work().items()}
    assert torch.equal(torch.get_rng_state(), noise)
    for full, half in zip(gradients["fp32"], gradients["bf16"], strict=True):
        assert full.dtype == half.dtype == torch.float32
        assert not torch.equal(full, half)
        torch.testing.assert_close(half, full, rtol=0.1, atol=0.1 * float(full.abs().max()))
