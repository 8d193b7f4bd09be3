"""Memory of a step, estimated without computing it, against what a measured step takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import torch
from torch import Tensor

from gsv2.data.config import DataConfig
from gsv2.heap import give_back_memory
from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.stages.gpt import GPTStage
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.dry_run import dry_run
from gsv2.training.memory_estimate import GIB, MemoryEstimate, estimate_memory
from gsv2.training.prepare import attach_engines, recompute_activations
from gsv2.training.stage import Stage
from gsv2.training.validation import set_training
from tests.support import tiny_gpt, tiny_vits2

FACTOR = 1.5
"""Between the estimate and a measured step."""
SIZES = BackboneConfig(dim=128, num_layers=2, num_heads=4, num_kv_heads=2, ffn_dim=352)
"""Two of the four layers of configs/gpt/debug.yaml."""
SMALL = replace(SIZES, num_layers=1)
"""One layer of it, where nothing is measured."""
PACKED = DataConfig(sources=[], batching="pack", row_tokens=2048, max_tokens=4096, max_clips=1)
"""Large enough for tensors that go back to the system when nobody holds them."""


def make_gpt(folder: Path, precision: str = "fp32", sizes: BackboneConfig = SMALL) -> GPTStage:
    quantizer = tiny_gpt.save_quantizer(folder / "quantizer.safetensors")
    config = tiny_gpt.make_config(quantizer)
    gpt = replace(config.model.gpt, backbone=sizes, depth=replace(sizes, num_layers=1))
    model = replace(config.model, gpt=gpt)
    return GPTStage(replace(config, model=model, precision={"gpt": precision}), torch.device("cpu"))


def measured_bytes(stage: Stage, data: DataConfig) -> float:
    """Return what a step takes beside what the process has, by the peaks of a dry run."""
    attach_engines(stage.trainables, {}, Distributed())
    set_training(stage, True)
    dry_run(replace(data, max_tokens=data.row_tokens), stage, Distributed(), 0)  # first uses
    give_back_memory()  # what tests before and the first uses have left free
    before = psutil.Process().memory_info().rss
    return max(dry_run(data, stage, Distributed(), 0).values()) * GIB - before


def kept_bytes(estimate: MemoryEstimate) -> int:
    """Return what is beside the weights, which are there before a step."""
    return estimate.moments + estimate.passes


@pytest.mark.long
def test_a_debug_step_takes_what_was_estimated(tmp_path: Path) -> None:
    stage = make_gpt(tmp_path, sizes=SIZES)
    estimate = estimate_memory(PACKED, stage, num_local=1)
    measured = measured_bytes(stage, PACKED)
    assert 1 / FACTOR < kept_bytes(estimate) / measured < FACTOR


class Estimated(NamedTuple):
    """A stage in single precision, and its estimate."""

    stage: GPTStage
    before: dict[str, Tensor]
    """State of the network before it was made."""
    noise: Tensor
    """State of the random numbers."""
    noise_after: Tensor
    estimate: MemoryEstimate


@pytest.fixture(scope="module")
def estimated(tmp_path_factory: pytest.TempPathFactory) -> Estimated:
    stage = make_gpt(tmp_path_factory.mktemp("estimated"))
    stage.trainables["gpt"].ema_decay = 0.9
    before = {name: value.clone() for name, value in stage.model.state_dict().items()}
    noise = torch.get_rng_state()
    estimate = estimate_memory(PACKED, stage, num_local=1)
    return Estimated(stage, before, noise, torch.get_rng_state(), estimate)


def test_weights_moments_and_gradients_are_those_of_the_parameters_which_stay(
    estimated: Estimated,
) -> None:
    stage, before, noise, noise_after, estimate = estimated
    torch.testing.assert_close(dict(stage.model.state_dict()), before, rtol=0, atol=0)
    assert torch.equal(noise_after, noise)
    assert all(parameter.grad is None for parameter in stage.model.parameters())
    parameters = 4 * sum(p.numel() for p in stage.model.parameters())
    buffers = sum(b.numel() * b.element_size() for b in stage.model.buffers())
    assert estimate.gradients == parameters
    assert estimate.moments == 2 * parameters
    assert estimate.weights == 2 * parameters + buffers
    assert estimate.total == estimate.weights + estimate.moments + estimate.passes
    assert f"{estimate.total / GIB:.3g} GiB at the peak, with " in str(estimate)


def activations(stage: Stage, data: DataConfig = PACKED, num_local: int = 1) -> int:
    estimate = estimate_memory(data, stage, num_local)
    return estimate.passes - estimate.gradients


@pytest.mark.long
def test_half_precision_and_recomputation_need_less(tmp_path: Path, estimated: Estimated) -> None:
    usual = estimated.estimate.passes - estimated.estimate.gradients
    assert 0.4 < activations(make_gpt(tmp_path, "bf16")) / usual < 0.8
    stage = make_gpt(tmp_path)
    recompute_activations(stage.trainables, ["gpt"])
    assert activations(stage) < 0.9 * usual, "of one layer the head's activations are most"


@pytest.mark.slow
def test_further_micro_batches_of_a_gpt_need_no_more_and_half_the_tokens_half(
    tmp_path: Path,
) -> None:
    alone, many = (activations(make_gpt(tmp_path), num_local=count) for count in (1, 8))
    assert many < 1.1 * alone
    assert 0.45 < activations(make_gpt(tmp_path), replace(PACKED, max_tokens=2048)) / alone < 0.6


@pytest.mark.slow
def test_a_gan_holds_the_passes_of_all_its_micro_batches(tmp_path: Path) -> None:
    """The discriminator's update waits for all of them, and so does what the generator keeps."""
    stage = tiny_vits2.make_stage(tmp_path)
    data = DataConfig(sources=[], max_frames=100)
    alone, two = (estimate_memory(data, stage, count).passes for count in (1, 2))
    assert two > 1.2 * alone


@pytest.mark.slow
def test_a_large_model_is_estimated_without_its_memory(tmp_path: Path) -> None:
    """Rows of base, 16 at a time, take gigabytes, none of which are there."""
    sizes = BackboneConfig(dim=512, num_layers=2, num_heads=8, num_kv_heads=4, ffn_dim=1408)
    stage = make_gpt(tmp_path, sizes=sizes)
    give_back_memory()  # what tests before and the first uses have left free
    before = psutil.Process().memory_info().rss
    estimate = estimate_memory(replace(PACKED, row_tokens=4096, max_tokens=65536), stage, 1)
    assert estimate.total > 4 * GIB
    assert psutil.Process().memory_info().rss - before < GIB
