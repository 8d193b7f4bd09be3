from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.choose import choose_engines
from gsv2.training.engines.engine import EngineConfig, EngineError
from gsv2.training.engines.plain import PlainEngine
from gsv2.training.prepare import attach_engines
from gsv2.training.stage import Trainable
from tests.support.toy_stage import ToyStage, toy_config

PLAIN = EngineConfig(kind="ddp")
ZERO1 = EngineConfig(kind="deepspeed", zero_stage=1)


@pytest.fixture
def trainables(tmp_path: Path) -> dict[str, Trainable]:
    return ToyStage(toy_config(tmp_path), torch.device("cpu")).trainables


def choose(
    trainables: dict[str, Trainable], configs: dict[str, EngineConfig]
) -> dict[str, EngineConfig]:
    reasons = {name: trainable.plain_because for name, trainable in trainables.items()}
    return choose_engines(reasons, configs)


def test_what_is_not_named_is_plain(trainables: dict[str, Trainable]) -> None:
    chosen = choose(trainables, {"generator": ZERO1})
    assert chosen == {"generator": ZERO1, "discriminator": PLAIN}


def test_under_a_deepspeed_launch_what_is_not_named_is_deepspeeds_if_it_may(
    trainables: dict[str, Trainable], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "1")
    trainables["discriminator"].plain_because = "it is shy"
    assert choose(trainables, {}) == {"generator": ZERO1, "discriminator": PLAIN}
    assert choose(trainables, {"generator": PLAIN})["generator"] == PLAIN


def test_an_engine_of_no_trainable_is_an_error(trainables: dict[str, Trainable]) -> None:
    with pytest.raises(EngineError, match=r"engines\.gpt: no such trainable; this stage has gen"):
        choose(trainables, {"gpt": PLAIN})


def test_deepspeed_is_refused_with_the_reason(trainables: dict[str, Trainable]) -> None:
    trainables["generator"].plain_because = "codebooks stay in fp32"
    message = r"engines\.generator\.kind must be ddp, but is deepspeed: codebooks stay in fp32"
    with pytest.raises(EngineError, match=message):
        choose(trainables, {"generator": ZERO1})


def test_one_process_without_a_choice_runs_the_bare_networks(
    trainables: dict[str, Trainable], distributed: Distributed
) -> None:
    attach_engines(trainables, {}, distributed)
    assert all(isinstance(t.engine, PlainEngine) for t in trainables.values())


def test_engines_stand_in_the_config_file(tmp_path: Path) -> None:
    engines = {"generator": {"kind": "deepspeed", "zero_stage": 1}}
    assert toy_config(tmp_path, engines=engines).engines == {"generator": ZERO1}
    with pytest.raises(ValueError, match=r"zero_stage must lie in 0\.\.3, but is 4"):
        toy_config(tmp_path, engines={"generator": {"zero_stage": 4}})
    with pytest.raises(ValueError, match="zero_stge"):
        toy_config(tmp_path, engines=json.loads('{"generator": {"zero_stge": 1}}'))


def test_what_a_launcher_asks_for_in_vain_is_said_once(
    trainables: dict[str, Trainable],
    distributed: Distributed,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE", "cpu")
    attach_engines(trainables, dict.fromkeys(trainables, PLAIN), distributed)
    (record,) = [r for r in caplog.records if r.name == "gsv2.training.prepare"]
    assert "gsv2 IGNORES the ZeRO stage (2), --offload_param_device; it takes" in record.message
