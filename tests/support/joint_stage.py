"""A small GPT and the toy GAN in one stage, and the same training in plain torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from gsv2.data.stream.batch import Batch
from gsv2.losses.code_prediction import code_prediction_loss
from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.model import GPTConfig, GPTInputs, SemanticGPT
from gsv2.nn.codes import CodeConfig
from gsv2.seeds import derive_seed
from gsv2.training.optim import OptimConfig, make_optimizer
from gsv2.training.schedule import make_scheduler
from gsv2.training.stage import Trainable, Update
from tests.support.toy_stage import ToyStage, toy_batch, toy_config

SEED = 3
TINY = BackboneConfig(dim=12, num_layers=1, num_heads=2, num_kv_heads=1, ffn_dim=15)
CODES = CodeConfig(codebook_size=7, dim=6)
OPTIM = OptimConfig(lr=1e-2, warmup_steps=1, max_grad_norm=0.5, eps=1e-4)
"""Its eps hides the rounding noise of gradients that are 0: those of key biases."""


class JointStage(ToyStage):
    """Yields the GPT's update, the discriminator's, the generator's."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(SEED)
        super().__init__(toy_config(folder), torch.device("cpu"))
        gpt = SemanticGPT(GPTConfig(backbone=TINY, depth=TINY, dropout=0.1, codes=CODES))
        gpt.set_codebooks(torch.randn(2, 7, 6))
        optimizer = make_optimizer(gpt, OPTIM)
        scheduler = make_scheduler(optimizer, OPTIM, 10)
        self.trainables["gpt"] = Trainable(
            kind="gpt",
            module=gpt,
            config={},
            optimizer=optimizer,
            scheduler=scheduler,
            max_grad_norm=OPTIM.max_grad_norm,
        )

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        return {
            **super().num_targets(batch),
            "gpt": int(gpt_inputs(self, batch).code_lengths.sum()),
        }

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        yield Update("gpt", gpt_loss(self, self.trainables["gpt"], batch), {})
        yield from super().updates(batch, step)


class CarelessStage(JointStage):
    """Sends the generator's gradients through the discriminator's engine."""

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        real = batch.wave[:, 0]
        fake = self.trainables["generator"](real)
        yield Update("generator", self.trainables["discriminator"](fake).mean(), {})


def gpt_inputs(stage: ToyStage, batch: Batch) -> GPTInputs:
    """Return what the GPT takes; the codes depend on the micro-batch alone."""
    rng = torch.Generator().manual_seed(batch.micro_batch)
    lengths = torch.randint(1, 6, (batch.num_clips,), generator=rng)
    codes = torch.randint(7, (batch.num_clips, 2, int(lengths.max())), generator=rng)
    codes[torch.arange(codes.shape[-1]).expand_as(codes) >= lengths[:, None, None]] = -1
    tokens = stage.trainables["gpt"].module.text_encoder.tokenize(batch.texts)
    return GPTInputs(*tokens, codes, lengths, batch.sequence)


def gpt_loss(stage: ToyStage, gpt: Any, batch: Batch) -> Tensor:
    """Return the loss, which is not finite if the batch's waves are not."""
    output = gpt(gpt_inputs(stage, batch))
    loss = code_prediction_loss(output.logits, output.targets, [1.0, 1.0], CODES.codebook_size).loss
    return loss + 0.0 * batch.wave.sum()


def nan_batch(k: int) -> Batch:
    batch = toy_batch(k)
    return replace(batch, wave=batch.wave * float("nan"))


def train_in_plain_torch(stage: JointStage, steps: Sequence[Sequence[Batch]]) -> None:
    """Train on all micro-batches of each step in one process, without anything of ours."""
    nets = {name: t.module for name, t in stage.trainables.items()}
    for batches in steps:
        total = sum(batch.num_clips for batch in batches)
        frames = sum(int(gpt_inputs(stage, batch).code_lengths.sum()) for batch in batches)
        for batch in batches:
            seed(batch, 0)
            share = int(gpt_inputs(stage, batch).code_lengths.sum()) / frames
            (gpt_loss(stage, nets["gpt"], batch) * share).backward()
        take_step(stage, "gpt")
        kept = []
        for batch in batches:
            seed(batch, 1)
            real = batch.wave[:, 0]
            fake = nets["generator"](real + torch.randn_like(real))
            loss = (nets["discriminator"](real) - 1).square().mean()
            loss = loss + nets["discriminator"](fake.detach()).square().mean()
            (loss * batch.num_clips / total).backward()
            kept.append((batch, real, fake))
        take_step(stage, "discriminator")
        for batch, real, fake in kept:
            seed(batch, 2)
            loss = (nets["discriminator"](fake) - 1).square().mean() + (fake - real).abs().mean()
            (loss * batch.num_clips / total).backward()
        take_step(stage, "generator")
        nets["discriminator"].zero_grad()


def take_step(stage: JointStage, name: str) -> None:
    trainable = stage.trainables[name]
    clip_grad_norm_(trainable.module.parameters(), trainable.max_grad_norm)
    trainable.optimizer.step()
    trainable.scheduler.step()
    trainable.module.zero_grad()


def seed(batch: Batch, phase: int) -> None:
    torch.manual_seed(derive_seed(SEED, batch.micro_batch, phase))
