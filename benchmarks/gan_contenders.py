"""Ways of taking a step of the waveform GAN, for row 7: a plain one, its levers, and gsv2's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsv2.audio.mel import MelSpectrogram
from gsv2.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss
from gsv2.losses.kl import kl_divergence
from gsv2.losses.reconstruction import mel_distance
from gsv2.models.vits2.decoded import Decoded, TrainedSegments
from gsv2.models.vits2.discriminators import MultiDiscriminator, PeriodDiscriminator
from gsv2.models.vits2.model import VITS2
from gsv2.stages.vits2_adversarial import discriminator_update, judged_terms
from gsv2.stages.vits2_discriminators import DiscriminatorSection
from gsv2.training.optim import OptimConfig
from gsv2.training.stage import Trainable, make_trainable

_SLOPE = 0.1
OPTIM = OptimConfig(lr=2e-4, betas=(0.8, 0.99), eps=1e-2, weight_decay=0.0)
"""With this eps a first update is near proportional to the gradient, whose rounding is small."""


@dataclass(frozen=True, kw_only=True)
class Levers:
    """What a step does otherwise than the plain one."""

    folded: bool = False
    """Periods are folded into the batch: convolutions have one dimension."""
    channels_last: bool = False
    """Convolutions of two dimensions have their channels last in memory."""
    no_graph_of_real: bool = False
    """The generator's turn takes features of recordings without a graph."""
    frozen: bool = False
    """The generator's turn has no gradients of the discriminators' weights."""
    one_pass: bool = False
    """Recordings and generated waves pass the discriminators together in their own turn."""


class PlanePeriod(nn.Module):
    """A period discriminator as HiFi-GAN has it, with kernels [k, 1]; same weights."""

    def __init__(self, folded: PeriodDiscriminator, *, channels_last: bool) -> None:
        super().__init__()
        self.period, self.stack = folded.period, folded.stack
        self.channels_last = channels_last

    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits and features [B, C, T / period, period]."""
        padded = functional.pad(wave, (0, -wave.shape[-1] % self.period), mode="reflect")
        x = padded.view(len(wave), 1, -1, self.period)
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        features = []
        for layer in self.stack.layers:
            x = functional.leaky_relu(self._convolve(layer, x), _SLOPE)
            features.append(x)
        logits = self._convolve(self.stack.output, x)
        return logits, [*features, logits]

    def _convolve(self, layer: nn.Module, x: Tensor) -> Tensor:
        weight = layer.weight.unsqueeze(-1)
        if self.channels_last:
            weight = weight.contiguous(memory_format=torch.channels_last)
        stride, padding = (*layer.stride, 1), (*layer.padding, 0)
        return functional.conv2d(x, weight, layer.bias, stride, padding)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A micro-batch."""

    codes: Tensor
    magnitude: Tensor
    mel: Tensor
    lengths: Tensor
    real: Tensor
    """[B, 1, N] segments of the recordings."""
    segments: TrainedSegments


class Contender:
    """One way of taking a step, of networks that it may share with others.

    Args:
        networks: the generator and the discriminators.
        optimizers: those of the two.
        mel: spectrogram whose distance is a loss.
        levers: what it does otherwise than the plain one.
    """

    def __init__(
        self,
        networks: tuple[VITS2, MultiDiscriminator],
        optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
        mel: MelSpectrogram,
        levers: Levers,
    ) -> None:
        self.generator, self.judges = networks
        self.optimizers, self.mel, self.levers = optimizers, mel, levers
        self.parts = [
            PlanePeriod(part, channels_last=levers.channels_last)
            if isinstance(part, PeriodDiscriminator) and not levers.folded
            else part
            for part in self.judges.discriminators
        ]

    def judge(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Return logits and features of all discriminators."""
        pairs = [part(wave) for part in self.parts]
        return [logits for logits, _ in pairs], [features for _, features in pairs]

    def step(self, inputs: Inputs) -> tuple[float, float]:
        """Take a step; return the losses of discriminators and generator."""
        of_generator, of_judges = self.optimizers
        decoded = decode(self.generator, inputs)
        fake, levers = decoded.wave, self.levers
        if levers.one_pass:
            logits, _ = self.judge(torch.cat([inputs.real, fake.detach()]))
            real_logits, fake_logits = zip(*(both.chunk(2) for both in logits), strict=True)
        else:
            real_logits, _ = self.judge(inputs.real)
            fake_logits, _ = self.judge(fake.detach())
        judges_loss = discriminator_loss(real_logits, fake_logits)
        of_judges.zero_grad()
        judges_loss.backward()
        read_norms(self.judges)
        of_judges.step()
        self.judges.requires_grad_(not levers.frozen)
        with torch.set_grad_enabled(not levers.no_graph_of_real):
            _, real_features = self.judge(inputs.real)
        fake_logits, fake_features = self.judge(fake)
        loss = generator_loss(fake_logits)
        loss = loss + 2.0 * feature_matching_loss(real_features, fake_features)
        loss = loss + other_losses(decoded, inputs, self.mel)
        of_generator.zero_grad()
        loss.backward()
        read_norms(self.generator)
        of_generator.step()
        self.judges.requires_grad_(True)
        return judges_loss.item(), loss.item()


class StageContender:
    """The same by the functions of the waveform stage, with optimizers of its own."""

    def __init__(self, networks: tuple[VITS2, MultiDiscriminator], mel: MelSpectrogram) -> None:
        self.mel, self.section = mel, DiscriminatorSection()
        kinds = zip(("vits2", "discriminator"), networks, strict=True)
        self.trainables = [
            make_trainable(kind, network, network.config, OPTIM, 1000, {})
            for kind, network in kinds
        ]

    def step(self, inputs: Inputs) -> tuple[float, float]:
        """Take a step; return the losses of discriminators and generator."""
        generator, judges = self.trainables
        decoded = decode(generator, inputs)
        update = discriminator_update(judges, inputs.real, decoded.wave.detach(), self.section, 0.0)
        update.loss.backward()
        apply(judges)
        terms = judged_terms(judges, inputs.real, decoded.wave, self.section.loss)
        loss = terms["adversarial"] + 2.0 * terms["feature_matching"]
        loss = loss + other_losses(decoded, inputs, self.mel)
        loss.backward()
        apply(generator)
        return update.loss.item(), loss.item()


def plain_optimizers(
    networks: tuple[VITS2, MultiDiscriminator],
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Return AdamW as torch has it by default."""
    options = {"lr": OPTIM.lr, "betas": OPTIM.betas, "eps": OPTIM.eps, "weight_decay": 0.0}
    generator, judges = (torch.optim.AdamW(net.parameters(), **options) for net in networks)
    return generator, judges


def decode(network: Callable[..., Decoded], inputs: Inputs) -> Decoded:
    """Return what the generator makes of a micro-batch."""
    torch.manual_seed(0)
    size = inputs.lengths
    return network(inputs.codes, inputs.magnitude, size, inputs.mel, size, inputs.segments)


def other_losses(decoded: Decoded, inputs: Inputs, mel: MelSpectrogram) -> Tensor:
    """Return the losses that no discriminator has a part in."""
    divergence = kl_divergence(
        decoded.z_p, decoded.logs_q, decoded.m_p, decoded.logs_p, decoded.mask
    )
    return 45.0 * mel_distance(mel(decoded.wave), mel(inputs.real)) + divergence


def read_norms(network: nn.Module) -> None:
    """Read the norm of each gradient, as `clip_grad_value_` of VITS does."""
    sum(p.grad.norm(2).item() ** 2 for p in network.parameters() if p.grad is not None)


def apply(trainable: Trainable) -> None:
    """Take an optimizer step as the engine of one process does."""
    torch.nn.utils.clip_grad_norm_(trainable.module.parameters(), float("inf"), foreach=True)
    trainable.optimizer.step()
    trainable.optimizer.zero_grad(set_to_none=True)
