"""Quantizer: speech features <-> codes, an autoencoder around grouped residual VQ.

Features are normalised by stored statistics, brought to the code rate by a strided convolution,
quantized, and reconstructed; the codes of a clip never depend on its batch. Always fp32: half
precision flips codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gsv2.audio.speech_encoders.interface import SpeechFeatures
from gsv2.models.component import Component
from gsv2.models.quantizer.codebooks import Codebooks
from gsv2.models.quantizer.config import QuantizerConfig as QuantizerConfig
from gsv2.models.quantizer.feature_statistics import FeatureStatistics
from gsv2.models.quantizer.fingerprint import codebook_hash, hash_of
from gsv2.models.trained_module import build_trained
from gsv2.nn.codebook_ema import CodebookStatistics
from gsv2.nn.codes import CodeVectors
from gsv2.nn.framerate import FrameCodecConfig, FrameDecoder, FrameEncoder
from gsv2.nn.kmeans import Progress

HASH_KEY = "quantizer"
"""Key of a quantizer's own hash in the provenance of its file."""

_STD_FLOOR = 1e-3
"""Smallest standard deviation that a feature is divided by."""
_ENERGY_FLOOR = 1e-12


class QuantizerOutput(NamedTuple):
    """One training pass. Features are normalised: mean 0 and variance 1 over the reservoir."""

    target: Tensor
    """[B, T, D] normalised features."""
    reconstruction: Tensor
    """[B, T, D]; meaningless at padding."""
    vectors: Tensor
    """[B, T', dim] code vectors, whose gradients pass straight to the encoder."""
    codes: Tensor
    """[B, K, T'] int64, -1 at padding."""
    commitment: Tensor
    """[] mean squared distance between what each codebook is given and its entries."""
    residual_energy: Tensor
    """[levels] share of the latents' energy left after each level."""
    statistics: CodebookStatistics
    """Statistics for `Quantizer.update_codebooks`."""


class Quantizer(nn.Module):
    """Features [B, T, D] at 50 Hz <-> codes [B, K, T'] at `codes.rate_hz`."""

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, config: QuantizerConfig) -> None:
        super().__init__()
        self.config = config
        frames = FrameCodecConfig(
            input_dim=config.speech_encoder.dim,
            width=config.width,
            output_dim=config.codes.dim,
            stride=config.stride,
            num_blocks=config.num_blocks,
            kernel_size=config.kernel_size,
        )
        self.encoder = FrameEncoder(frames)
        self.codebooks = Codebooks(config.codes, config.codebooks)
        self.decoder = FrameDecoder(frames)
        self.register_buffer("feature_mean", torch.zeros(frames.input_dim))
        self.register_buffer("feature_std", torch.ones(frames.input_dim))
        self.frozen = False
        self._is_known_by_codebooks = False

    @staticmethod
    def from_component(component: Component) -> Quantizer:
        """Return the trained quantizer of a component file, frozen.

        One whose file knows it by the hash of its codebooks alone, as older files do, keeps it.

        Raises:
            ComponentError: the file's config or weights are damaged.
        """
        quantizer = build_trained(component, QuantizerConfig, Quantizer).freeze()
        known_as = component.provenance.get(HASH_KEY)
        quantizer._is_known_by_codebooks = known_as == codebook_hash(quantizer.codebooks.entries)
        return quantizer

    def freeze(self) -> Quantizer:
        """Make the quantizer constant for good: no gradients, no updates, always eval."""
        self.eval()
        self.requires_grad_(False)
        self.frozen = True
        return self

    def thaw(self) -> Quantizer:
        """Undo `freeze`, for a quantizer that was frozen on trial alone."""
        self.frozen = False
        self.requires_grad_(True)
        return self.train()

    def train(self, mode: bool = True) -> Quantizer:
        """Switch the mode, except that of a frozen quantizer."""
        return super().train(mode and not self.frozen)

    @torch.no_grad()
    def initialise(
        self,
        reservoir: Sequence[SpeechFeatures],
        frames_per_step: float,
        progress: Progress | None = None,
        statistics: FeatureStatistics | None = None,
    ) -> None:
        """Set the normalisation and, by k-means, the codebooks; once.

        Args:
            reservoir: batches of features.
            frames_per_step: code frames of an optimizer step.
            progress: called with (iterations of k-means done, iterations at most).
            statistics: statistics of the features, to normalise by; None = those of the reservoir.

        Raises:
            ValueError: initialised before, or fewer code frames than codebook entries.
        """
        if self.codebooks.initialised:
            raise ValueError("a quantizer is initialised once, but this one was already")
        if statistics is None:
            frames = torch.cat([features[mask] for features, mask in reservoir]).float()
            mean, std = frames.mean(dim=0), frames.std(dim=0)
        else:
            mean, std = statistics.mean, statistics.std
        self.feature_mean.copy_(mean)
        self.feature_std.copy_(std.clamp(min=_STD_FLOOR))
        latents = [self._latents(features, mask) for features, mask in reservoir]
        valid = torch.cat([latent[slow_mask] for latent, slow_mask in latents])
        self.codebooks.initialise(valid, frames_per_step, progress)

    def forward(self, features: Tensor, mask: Tensor) -> QuantizerOutput:
        """Quantize and reconstruct, with gradients; changes nothing.

        Args:
            features: [B, T, D] as the speech encoder makes them.
            mask: [B, T] bool, True = valid.
        """
        with torch.autocast(features.device.type, enabled=False):
            target = self._normalise(features, mask)
            latents, slow_mask = self.encoder(target, mask)
            quantized = self.codebooks(latents, slow_mask)
            left = torch.cat(self._left(quantized.residuals).unbind(dim=0), dim=-1)  # [B, T', dim]
            straight_through = latents - left.detach()
            reconstruction = self.decoder(straight_through, slow_mask)[:, : features.shape[1]]
            energy = quantized.residuals.square().mean(dim=(0, -1)) * slow_mask
            energy = energy.sum(dim=(1, 2)) / slow_mask.sum().clamp(min=1)  # [levels + 1]
            return QuantizerOutput(
                target=target,
                reconstruction=reconstruction,
                vectors=straight_through,
                codes=quantized.codes,
                commitment=energy[1:].mean(),
                residual_energy=(energy[1:] / energy[0].clamp(min=_ENERGY_FLOOR)).detach(),
                statistics=self.codebooks.statistics(quantized, slow_mask),
            )

    @torch.no_grad()
    def encode(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the codes of features.

        Args:
            features: [B, T, D].
            mask: [B, T] bool.

        Returns:
            [B, K, T'] int64 with T' = ceil(T / stride), -1 at padding.
        """
        with torch.autocast(features.device.type, enabled=False):
            return self.codebooks(*self._latents(features, mask)).codes

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Return the features that codes stand for.

        Args:
            codes: [B, K, T'] int64, negative at padding.

        Returns:
            [B, T' * stride, D] in the units of the speech encoder; meaningless at padding.
        """
        with torch.autocast(codes.device.type, enabled=False):
            normalised = self.decoder(self.code_vectors()(codes), codes[:, 0] >= 0)
            return normalised * self.feature_std + self.feature_mean

    @torch.no_grad()
    def code_vectors(self) -> CodeVectors:
        """Return the lookup of the codebooks as they are now."""
        vectors = CodeVectors(self.config.codes).to(self.feature_mean.device)
        vectors.set_codebooks(self.codebooks.entries)
        return vectors

    def fingerprint(self) -> str:
        """Return the hash of all that decides codes, by which codes know their quantizer."""
        if self._is_known_by_codebooks:
            return codebook_hash(self.codebooks.entries)
        config, parts = self.config, {"mean": self.feature_mean, "std": self.feature_std}
        settings = {"speech_encoder": config.speech_encoder.identity, "rate": config.codes.rate_hz}
        parts |= {"codebooks": self.codebooks.entries, **self.encoder.state_dict()}
        return hash_of(settings, parts)

    def update_codebooks(self, statistics: CodebookStatistics) -> None:
        """Apply what a step's micro-batches, of all ranks, say of the codebooks.

        Raises:
            ValueError: the quantizer is frozen.
        """
        if self.frozen:
            raise ValueError("the codebooks of a frozen quantizer must not be updated")
        self.codebooks.update(statistics)

    def _left(self, residuals: Tensor) -> Tensor:
        """Return what the levels that are decoded leave of the latents, [groups, B, T', d].

        Args:
            residuals: [groups, levels + 1, B, T', d].
        """
        probability, levels = self.config.level_dropout, self.config.codes.levels
        if not self.training or probability == 0:
            return residuals[:, -1]
        B, device = residuals.shape[2], residuals.device
        fewer = torch.randint(1, levels, (B,), device=device)
        count = torch.where(torch.rand(B, device=device) < probability, fewer, levels)
        return residuals[:, count, torch.arange(B, device=device)]

    def _normalise(self, features: Tensor, mask: Tensor) -> Tensor:
        normalised = (features.float() - self.feature_mean) / self.feature_std
        return normalised * mask.unsqueeze(-1)

    def _latents(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return [B, T', dim] and [B, T'] bool."""
        return self.encoder(self._normalise(features, mask), mask)
