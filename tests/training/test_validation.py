from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.validation import validate
from tests.support.toy_stage import ToyStage, toy_batch, toy_config


def test_validation_is_a_mean_over_clips_without_stand_ins_gradients_or_dropout(
    tmp_path: Path, distributed: Distributed
) -> None:
    class Counting(ToyStage):
        def validate(self, batch: Batch) -> dict[str, torch.Tensor]:
            assert not torch.is_grad_enabled()
            assert not self.trainables["generator"].module.training
            return {"generator/k": torch.tensor(float(batch.micro_batch))}

    stage = Counting(toy_config(tmp_path), torch.device("cpu"))
    batches = [
        toy_batch(1, num_clips=1),
        toy_batch(2, num_clips=3),
        replace(toy_batch(9), weight=0.0),
    ]
    found = validate(stage, batches, distributed, seed=0)
    assert found == {"validation/generator/k": pytest.approx(7 / 4)}
    assert stage.trainables["generator"].module.training


def test_every_pass_uses_the_same_noise(tmp_path: Path, distributed: Distributed) -> None:
    class Noisy(ToyStage):
        def validate(self, batch: Batch) -> dict[str, torch.Tensor]:
            return {"generator/noise": torch.rand(())}

    stage = Noisy(toy_config(tmp_path), torch.device("cpu"))
    batches = [toy_batch(k) for k in range(3)]
    first = validate(stage, batches, distributed, seed=0)
    torch.manual_seed(5)
    assert validate(stage, batches, distributed, seed=0) == first
