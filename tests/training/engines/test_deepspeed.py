"""One process; several ranks and all engines together: tests/integration/test_engines.py."""

from __future__ import annotations

import logging
import math
import os
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from gsv2.training.engines.deepspeed import DeepSpeedEngine, _import_deepspeed, _open_group_of_one
from gsv2.training.engines.engine import EngineError
from tests.support.tiny_network import (
    MAX_NORM,
    STAGES,
    loss_of,
    make_deepspeed,
    make_net,
    train_engine,
    train_plain,
)

pytestmark = pytest.mark.usefixtures("alone")
X = torch.ones(2, 3)
every_stage = pytest.mark.parametrize("stage", STAGES)


def trained_tensors(engine: DeepSpeedEngine) -> dict[str, Tensor]:
    """Return weights and moments; not the buffer, which every pass moves."""
    state = engine.capture()
    return {n: t for n, t in {**state.weights, **state.optimizer}.items() if n != "count"}


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def assert_same(ours: object, theirs: object, tolerance: float = 0.0) -> None:
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@every_stage
@pytest.mark.parametrize("loss_scale", [1.0, 1024.0])
def test_it_trains_as_plain_torch_does(stage: int, loss_scale: float) -> None:
    """Forward passes before all backward ones, clipping, a scale that is a power of two."""
    module, optimizer = make_net(0)
    expected = train_plain(module, optimizer, range(5))
    assert max(expected) > MAX_NORM > min(expected), "clipping makes no difference"
    engine, _ = make_deepspeed(stage)
    engine.loss_scale = loss_scale
    assert train_engine(engine, range(5)) == pytest.approx(expected, rel=1e-5)
    assert_same(dict(engine.capture().weights), module.state_dict(), 1e-6)


@every_stage
def test_an_update_that_is_left_out_leaves_no_trace(stage: int) -> None:
    """Finite or not; its gradients do not reach the next one either."""
    module, optimizer = make_net(0)
    engine, _ = make_deepspeed(stage)
    train_engine(engine, range(2))
    before = trained_tensors(engine)
    for factor in (1.0, torch.nan, torch.inf):
        engine.backward(loss_of(engine(X)) * factor, is_last=True)
        norm = float(engine.grad_norm())
        assert math.isfinite(norm) == (factor == 1.0)
        engine.skip()
        assert_same(trained_tensors(engine), before)
    train_engine(engine, range(2, 4))
    train_plain(module, optimizer, range(4))
    ours = trained_tensors(engine)
    assert_same({n: ours[n] for n in weights_of(module)}, weights_of(module), 1e-6)


@every_stage
def test_it_computes_with_swapped_weights_and_trains_its_own(stage: int) -> None:
    other, _ = make_net(1)
    module, optimizer = make_net(0)
    engine, _ = make_deepspeed(stage)
    train_engine(engine, range(2))
    before = trained_tensors(engine)
    parts = {name: engine.to_local(name, whole) for name, whole in weights_of(other).items()}
    for name, whole in weights_of(other).items():
        assert_same(engine.to_whole(name, parts[name]), whole)
    with torch.no_grad(), engine.swapped_weights(parts):
        assert_same(engine(X), other(X))
    with pytest.raises(KeyboardInterrupt), engine.swapped_weights(parts):
        raise KeyboardInterrupt
    assert_same(trained_tensors(engine), before)
    train_engine(engine, range(2, 4))
    train_plain(module, optimizer, range(4))
    ours = trained_tensors(engine)
    assert_same({n: ours[n] for n in weights_of(module)}, weights_of(module), 1e-6)


@every_stage
def test_the_callers_autocast_decides_and_no_parameter_is_cast(stage: int) -> None:
    engine, module = make_deepspeed(stage)
    seen = []
    module.head.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    for is_enabled in (True, False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_enabled):
            loss = loss_of(engine(X).float())
        engine.backward(loss, is_last=True)
        engine.grad_norm()
        engine.step(MAX_NORM)
    assert seen == [torch.bfloat16, torch.float32, torch.bfloat16]
    assert {t.dtype for t in trained_tensors(engine).values()} == {torch.float32}


@every_stage
def test_zero_3_alone_holds_pieces_and_together_they_are_the_whole(stage: int) -> None:
    expected, _ = make_net(0)
    engine, module = make_deepspeed(stage)
    held = engine.local_weights()
    assert all((held[name] is p) == (stage < 3) for name, p in module.named_parameters())
    assert_same(
        {name: engine.to_whole(name, part) for name, part in held.items()}, weights_of(expected)
    )
    for mode in (False, True):
        engine.train(mode)
        assert {m.training for m in module.modules()} == {mode}


@every_stage
def test_the_moments_of_the_first_step_are_foretold(stage: int) -> None:
    engine, _ = make_deepspeed(stage)
    foretold = engine.pending_moment_bytes()
    engine.backward(loss_of(engine(X)), is_last=True)
    engine.grad_norm()
    engine.skip()
    assert engine.pending_moment_bytes() == foretold
    train_engine(engine, range(1))
    base = engine._optimizer.optimizer if stage else engine._optimizer
    moments = [state[key] for state in base.state.values() for key in ("exp_avg", "exp_avg_sq")]
    assert foretold == sum(moment.nbytes for moment in moments) > 0
    assert engine.pending_moment_bytes() == 0


def test_the_bare_network_cannot_be_updated() -> None:
    engine, module = make_deepspeed(1)
    with pytest.raises(EngineError, match="net is updated, but did not run through its engine"):
        engine.backward(loss_of(module(X)), is_last=True)


@pytest.mark.parametrize(
    ("stage", "message"),
    [(0, "Direct calls to tensor.backward"), (1, "another network sends gradients through net's")],
)
def test_another_networks_update_cannot_pass_through_it(stage: int, message: str) -> None:
    """DeepSpeed itself sees it under ZeRO-0; under ZeRO-1 it would train on it."""
    engine, _ = make_deepspeed(stage)
    with pytest.raises((EngineError, RuntimeError), match=message):
        loss_of(engine(X)).backward()


def test_nothing_is_compiled_and_its_log_is_quiet() -> None:
    """DeepSpeed would build its shared-memory collectives with a C++ compiler, for minutes."""
    _import_deepspeed()
    from deepspeed.ops import __compatible_ops__

    assert __compatible_ops__["deepspeed_shm_comm"] is False
    assert logging.getLogger("DeepSpeed").level == logging.ERROR


def test_a_process_without_a_launcher_is_a_group_of_one_which_is_opened_once(
    alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_RANK")
    _open_group_of_one(on_gpu=False)
    assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "gloo")
    group = dist.group.WORLD
    _open_group_of_one(on_gpu=False)
    assert dist.group.WORLD is group
    assert os.environ["LOCAL_RANK"] == "0"


def test_groups_that_deepspeed_opens_wait_as_long_as_that_of_all_ranks(
    alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new group has torch's own timeout, which is 10 minutes over NCCL."""
    _open_group_of_one(on_gpu=False)
    own = timedelta(seconds=77)
    kept = _timeout(dist.group.WORLD)
    _set_timeout(own)
    opened = dist.new_group([0])
    assert _timeout(opened) != own
    make_deepspeed(1)
    assert _timeout(opened) == _timeout(dist.group.WORLD) == own
    _set_timeout(kept)
    dist.destroy_process_group(opened)


def _set_timeout(timeout: timedelta) -> None:
    set_timeout = getattr(dist, "set_timeout", None) or dist.distributed_c10d._set_pg_timeout
    set_timeout(timeout, dist.group.WORLD)


def _timeout(group: dist.ProcessGroup) -> timedelta:
    return group._get_backend(torch.device("cpu")).options._timeout


def test_a_rank_that_a_launcher_gave_is_kept(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    _open_group_of_one(on_gpu=False)
    assert os.environ["LOCAL_RANK"] == "3"
