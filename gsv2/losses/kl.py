"""KL divergence of the posterior from the flow's prior (VITS, arXiv 2106.06103, equation 4)."""

from __future__ import annotations

import torch
from torch import Tensor


def kl_divergence(z_p: Tensor, logs_q: Tensor, m_p: Tensor, logs_p: Tensor, mask: Tensor) -> Tensor:
    """Return the divergence in nats a frame: the mean over a clip's frames, then over clips.

    The posterior's entropy is exact, the prior's log-likelihood is that of the sample.

    Args:
        z_p: [B, C, T] posterior sample, mapped to the prior's space by a volume-preserving flow.
        logs_q: [B, C, T] log-std of the posterior.
        m_p: [B, C, T] mean of the prior.
        logs_p: [B, C, T] log-std of the prior.
        mask: [B, T]; a clip without a valid frame gives 0.

    Returns:
        [] float32.
    """
    with torch.autocast(z_p.device.type, enabled=False):
        z_p, logs_q, m_p, logs_p = (x.float() for x in (z_p, logs_q, m_p, logs_p))
        nats = logs_p - logs_q - 0.5 + 0.5 * (z_p - m_p).square() * torch.exp(-2 * logs_p)
        frames = (nats.sum(dim=1) * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)  # [B]
        return frames.mean()
