"""Grouped residual codebooks: k-means start, nearest entries, moving averages, revival.

Residual vector quantization is 2107.03312 (section III-C), groups of it 2305.02765. The only
importer of vector_quantize_pytorch, which holds the codebooks and finds the nearest entries,
always in eval mode. Its own training mode moves the codebooks inside the forward pass with
collectives at every level; ours collects statistics that are applied once per optimizer step
(nn/codebook_ema.py), so that a pass has no side effect and no rank waits inside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gsv2.nn.codebook_ema import (
    CodebookStatistics,
    collect_statistics,
    dead_entries,
    revive_entries,
)
from gsv2.nn.codes import CodeConfig
from gsv2.nn.kmeans import Progress, kmeans, nearest_entries


@dataclass(frozen=True, kw_only=True)
class CodebookConfig:
    """Start and upkeep of the codebooks."""

    kmeans_iterations: int = 50
    """Number of iterations of k-means, at each level."""
    reservoir_per_entry: int = 64
    """Code frames per entry that k-means starts from, if the corpus holds as many."""
    decay: float = 0.99
    """Decay of the moving averages, per optimizer step."""
    dead_share: float = 0.1
    """An entry used less than this share of the mean is revived; 0 = never."""
    revival_candidates: int = 64
    """Frames of a micro-batch that entries may be revived from."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 < self.decay < 1:
            raise ValueError(f"codebooks.decay must lie between 0 and 1, but is {self.decay}")
        if not 0 <= self.dead_share < 1:
            raise ValueError(f"codebooks.dead_share must lie in [0, 1), but is {self.dead_share}")


_SETTLED_SHARE = 1e-3
"""Share of frames that still change their entry when k-means has settled."""


class Quantized(NamedTuple):
    """Codes of latents, and what the codebooks leave of them."""

    codes: Tensor
    """[B, K, T] int64, -1 at padding."""
    residuals: Tensor
    """[groups, levels + 1, B, T, dim / groups] what is left before the first and after each
    level; differentiable in the latents, constant in the codebooks."""


class Codebooks(nn.Module):
    """K = groups * levels codebooks without parameters; group-major."""

    revived: Tensor

    def __init__(self, codes: CodeConfig, config: CodebookConfig) -> None:
        super().__init__()
        self.codes = codes
        self.config = config
        # Imports torch's compiler and sympy: a third of the start of whatever makes no codebooks.
        from vector_quantize_pytorch import GroupedResidualVQ

        self.vq = GroupedResidualVQ(
            dim=codes.dim,
            groups=codes.groups,
            num_quantizers=codes.levels,
            codebook_size=codes.codebook_size,
            kmeans_init=True,
            kmeans_iters=config.kmeans_iterations,
            sync_codebook=False,
            rotation_trick=False,
        ).eval()
        self.register_buffer("revived", torch.zeros(codes.num_codebooks))

    def train(self, mode: bool = True) -> Codebooks:
        """Stay in eval: the library must never train."""
        return super().train(False)

    @property
    def initialised(self) -> bool:
        """Whether k-means (or a checkpoint) has set the entries."""
        return all(bool(codebook.initted) for codebook in self._libraries())

    @property
    def entries(self) -> Tensor:
        """[K, V, dim / groups]."""
        return torch.stack([codebook.embed[0] for codebook in self._libraries()])

    @property
    def cluster_sizes(self) -> Tensor:
        """[K, V] moving average of how often a step uses each entry."""
        return torch.stack([codebook.cluster_size[0] for codebook in self._libraries()])

    @torch.no_grad()
    def initialise(
        self, latents: Tensor, frames_per_step: float, progress: Progress | None = None
    ) -> None:
        """Start the entries by k-means, level by level.

        Args:
            latents: [N, dim].
            frames_per_step: code frames of an optimizer step, the scale of the averages.
            progress: called with (iterations done, iterations of all codebooks at most).

        Raises:
            ValueError: N < V, or latents that are not finite.
        """
        if num_bad := int((~latents.isfinite().all(dim=1)).sum()):
            raise ValueError(
                f"k-means needs finite code frames, but {num_bad} of {len(latents)} hold NaN or "
                "infinite values: audio or weights that are not finite"
            )
        if len(latents) < self.codes.codebook_size:
            raise ValueError(
                f"k-means needs at least codebook_size ({self.codes.codebook_size}) code "
                f"frames, but the data holds {len(latents)}"
            )
        most, scale = self.config.kmeans_iterations, frames_per_step / len(latents)
        left = list(latents.chunk(self.codes.groups, dim=-1))
        for k, codebook in enumerate(self._libraries()):
            group, done = k // self.codes.levels, k * most
            found = kmeans(
                left[group],
                self.codes.codebook_size,
                most,
                settled_share=_SETTLED_SHARE,
                progress=_from(progress, done, most * self.codes.num_codebooks),
            )
            codebook.cluster_size[0] = found.counts
            codebook.embed_avg[0] = found.means * found.counts[:, None]
            codebook.update_ema()
            entries = codebook.embed[0]
            left[group] = left[group] - entries[nearest_entries(left[group], entries)]
            codebook.cluster_size.mul_(scale)
            codebook.embed_avg.mul_(scale)
            codebook.initted.fill_(True)

    def forward(self, latents: Tensor, mask: Tensor) -> Quantized:
        """Find the nearest entries; changes nothing.

        Args:
            latents: [B, T, dim] float32.
            mask: [B, T] bool.

        Raises:
            ValueError: not initialised.
        """
        if not self.initialised:  # the library would start k-means from this very batch
            raise ValueError("codebooks must be initialised or loaded before they are used")
        B, T = mask.shape
        with torch.no_grad():
            # Neither mask nor return_all_codes: there the library calls einx, which solves its
            # shapes with sympy anew for every B and T (tens of milliseconds).
            _, indices, _ = self.vq(latents.detach())  # [groups, B, T, levels]
            codes = indices.transpose(2, 3).transpose(0, 1).reshape(B, -1, T)  # [B, K, T]
            book = torch.arange(codes.shape[1], device=codes.device)[:, None, None]
            taken = self.entries[book, codes.transpose(0, 1)]  # [K, B, T, dim / groups]
            taken = taken.unflatten(0, (self.codes.groups, self.codes.levels)).cumsum(dim=1)
        split = torch.stack(latents.chunk(self.codes.groups, dim=-1)).unsqueeze(1)
        residuals = torch.cat([split, split - taken], dim=1)
        return Quantized(codes.masked_fill(~mask[:, None], -1), residuals)

    def statistics(self, quantized: Quantized, mask: Tensor) -> CodebookStatistics:
        """Collect for `update` what one micro-batch says; mask [B, T]."""
        K = self.codes.num_codebooks
        inputs = quantized.residuals[:, :-1].detach()
        return collect_statistics(
            inputs.reshape(K, mask.numel(), inputs.shape[-1]),
            quantized.codes.transpose(0, 1).reshape(K, mask.numel()),
            mask.reshape(-1),
            self.codes.codebook_size,
            self.config.revival_candidates,
        )

    @torch.no_grad()
    def update(self, statistics: CodebookStatistics) -> None:
        """Move the entries towards what a step's micro-batches, of all ranks, said.

        Args:
            statistics: merged over the step; ignored if they are not finite.
        """
        if not statistics.sums.isfinite().all():
            return
        weight = 1 - self.config.decay
        candidates = statistics.candidates[statistics.is_candidate]  # [P, K, d]
        for k, codebook in enumerate(self._libraries()):
            codebook.cluster_size[0].lerp_(statistics.counts[k], weight)
            codebook.embed_avg[0].lerp_(statistics.sums[k], weight)
            codebook.update_ema()
            size = codebook.cluster_size[0]
            dead = dead_entries(size, self.config.dead_share)
            entries, size, revived = revive_entries(codebook.embed[0], size, candidates[:, k], dead)
            codebook.embed[0], codebook.cluster_size[0] = entries, size
            codebook.embed_avg[0, revived] = entries[revived] * size[revived, None]
            self.revived[k] += revived.sum()

    def _libraries(self) -> list[Any]:
        """Return the library's codebook modules, group-major; K of them."""
        return [layer._codebook for rvq in self.vq.rvqs for layer in rvq.layers]


def _from(progress: Progress | None, done: int, total: int) -> Progress | None:
    """Return what tells of one codebook's iterations among those of all."""
    return None if progress is None else lambda iteration, _: progress(done + iteration, total)
