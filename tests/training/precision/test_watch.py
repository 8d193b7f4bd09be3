from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import nn

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.precision.policy import PrecisionError
from gsv2.training.precision.watch import PROBED_STEPS, PrecisionWatch
from tests.support.thread_ranks import run_ranks
from tests.training.precision.test_probes import Net, ProbedStage

BF16 = {"gpt": "bf16"}


class Notes(list[tuple[str, Any]]):
    """What was written into environment.json, in turn."""

    def __call__(self, key: str, value: Any) -> None:
        self.append((key, value))

    @property
    def modules(self) -> list[dict[str, tuple[str, str]]]:
        """Module -> dtypes that it computes in and returns, of each note."""
        assert {key for key, _ in self} <= {"precision"}
        return [
            {row["module"]: (row["computes_in"], row["returns"]) for row in rows}
            for _, rows in self
        ]


def watch_of(stage: ProbedStage, distributed: Distributed, note: Notes) -> PrecisionWatch:
    return PrecisionWatch(stage.precision, stage.modules, distributed, note)


def take_step(
    stage: ProbedStage, watch: PrecisionWatch, loss_dtype: torch.dtype = torch.float32
) -> None:
    watch.see({"the loss of gpt": stage.run().to(loss_dtype)})
    watch.end_step()


def num_hooks(stage: ProbedStage) -> int:
    networks = [stage.trainables["gpt"].module, *stage.precision.frozen.values()]
    return sum(len(m._forward_hooks) for network in networks for m in network.modules())


PLANNED = {"gpt": ("bf16", ""), "ssl": ("fp32", ""), "losses": ("fp32", "")}
SEEN = {"gpt": ("bf16", "bf16+fp32"), "ssl": ("fp32", "fp32"), "losses": ("fp32", "")}


def test_the_plan_is_written_down_first_and_what_was_seen_after_the_probed_steps(
    distributed: Distributed, caplog: pytest.LogCaptureFixture
) -> None:
    notes, stage = Notes(), ProbedStage(Net(), BF16)
    with caplog.at_level(logging.INFO):
        watch = watch_of(stage, distributed, notes)
        assert notes.modules == [PLANNED]
        for step in range(PROBED_STEPS):
            assert num_hooks(stage) > 0, step
            take_step(stage, watch)
    assert notes.modules == [PLANNED, SEEN]
    lines = [record.getMessage() for record in caplog.records]
    assert "precision of gpt: parameters fp32, computes in bf16" in lines
    assert "precision of gpt: parameters fp32, computed in bf16, returned bf16+fp32" in lines


def test_after_the_probed_steps_nothing_is_left_that_costs_or_is_collective(
    distributed: Distributed, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes, stage = Notes(), ProbedStage(Net(), BF16)
    watch = watch_of(stage, distributed, notes)
    for _ in range(PROBED_STEPS):
        take_step(stage, watch)
    assert num_hooks(stage) == 0
    monkeypatch.setattr(distributed, "on_all", None)
    monkeypatch.setattr(distributed, "on_main", None)
    take_step(stage, watch, torch.bfloat16)
    watch.end_step(is_last=True)
    assert len(notes) == 2


@pytest.mark.parametrize("step", range(PROBED_STEPS))
def test_a_module_in_another_dtype_in_any_probed_step_stops_the_run(
    distributed: Distributed, step: int
) -> None:
    """By its name, the dtype that it should compute in, and the one that it did."""
    notes, stage = Notes(), ProbedStage(Net(), BF16)
    watch = watch_of(stage, distributed, notes)
    for _ in range(step):
        take_step(stage, watch)
    stage.trainables["gpt"].module.is_island = True
    message = r"^precision\.gpt is bf16, but gpt\.conv computed in fp32; the policy does not reach"
    with pytest.raises(PrecisionError, match=message):
        take_step(stage, watch)
    assert num_hooks(stage) == 0
    assert notes.modules == [PLANNED], "what was seen in half is no table"
    watch.end_step()  # whoever ends the run is not stopped again


def test_a_frozen_network_and_a_loss_are_watched_too(distributed: Distributed) -> None:
    stage = ProbedStage(Net(), BF16)
    watch = watch_of(stage, distributed, Notes())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        stage.precision.frozen["ssl"](torch.ones(1, 3, 4))
    with pytest.raises(PrecisionError, match=r"precision\.ssl is fp32, but ssl computed in bf16"):
        take_step(stage, watch)
    stage = ProbedStage(Net(), BF16)
    watch = watch_of(stage, distributed, Notes())
    message = r"precision\.losses is fp32, but the loss of gpt computed in bf16"
    with pytest.raises(PrecisionError, match=message):
        take_step(stage, watch, torch.bfloat16)


def test_a_trial_may_be_all_that_is_looked_at(distributed: Distributed) -> None:
    notes, stage = Notes(), ProbedStage(Net(), BF16)
    watch = watch_of(stage, distributed, notes)
    watch.see({"the loss of gpt": stage.run()})
    watch.end_step(is_last=True)
    assert notes.modules == [PLANNED, SEEN]
    assert num_hooks(stage) == 0


def speaking(rank: Any) -> Any:
    """Give a thread the methods of `Distributed` that are made of `gather`."""
    rank.broadcast = lambda value, source=0: rank.gather(value)[source]
    rank.on_main = lambda action: Distributed.on_main(rank, action)
    rank.on_all = lambda action: Distributed.on_all(rank, action)
    return rank


def test_one_rank_in_another_dtype_stops_all_ranks_and_the_main_rank_alone_writes() -> None:
    stages = [ProbedStage(Net(is_island=rank == 1), BF16) for rank in range(2)]
    notes = [Notes(), Notes()]

    def run(rank: Any) -> None:
        watch = watch_of(stages[rank.rank], speaking(rank), notes[rank.rank])
        take_step(stages[rank.rank], watch)

    first, second = run_ranks(2, run)
    assert isinstance(first, PrecisionError)
    assert isinstance(second, PrecisionError)
    assert str(first) == str(second)
    assert "gpt.conv computed in fp32" in str(first)
    assert notes[0].modules == [PLANNED]
    assert notes[1] == []
    assert [num_hooks(stage) for stage in stages] == [0, 0]


def test_a_network_without_a_name_in_the_policy_is_not_looked_at(distributed: Distributed) -> None:
    stage = ProbedStage(Net(), BF16)
    other = nn.Linear(4, 4)
    stage.precision.frozen["text_encoder"] = other
    watch_of(stage, distributed, Notes())
    assert not other._forward_hooks
