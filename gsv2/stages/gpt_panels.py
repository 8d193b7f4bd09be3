"""Panels of the GPT stage: the codes of a clip, and what the network made of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gsv2.models.gpt.model import GPTOutput
from gsv2.training.stage import Panel


def code_panels(keys: Sequence[str], code_lengths: Tensor, output: GPTOutput) -> list[Panel]:
    """Return a panel of three pictures [K, T] a clip: codes over time, codebook 0 at the bottom.

    `codes` are the right ones, `likeliest` those that the network would have chosen after the
    right ones before, `log_probability` what it gave to the right ones, in nats.

    Args:
        keys: keys of C clips.
        code_lengths: [C] int64.
        output: predictions of all of them.
    """
    frames = code_lengths.tolist()
    rows: dict[str, list[list[Tensor]]] = {}
    for k, (logits, targets) in enumerate(zip(output.logits, output.targets, strict=True)):
        found = {
            "codes": targets,
            "likeliest": logits.argmax(dim=1),
            "log_probability": logits.float().log_softmax(dim=1).gather(1, targets[:, None])[:, 0],
        }
        steps = [count + (k == 0) for count in frames]  # codebook 0 has the end as well
        for title, values in found.items():
            parts = [part[:T] for part, T in zip(values.split(steps), frames, strict=True)]
            rows.setdefault(title, []).append(parts)
    panels = []
    for c, key in enumerate(keys):
        images = {title: torch.stack([of_k[c] for of_k in of]) for title, of in rows.items()}
        panels.append(Panel(name=key, images=images))
    return panels
