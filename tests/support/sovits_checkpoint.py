"""Small checkpoints with the names, shapes and settings of GPT-SoVITS v2's."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

FEATURES, WIDTH, ENTRIES = 16, 8, 16
"""Features of a HuBERT frame, dimension of a code vector, codebook size."""
LATENT, CHANNELS, STYLE = 6, 16, 5
RATES, KERNELS, STAGES, SIZES = (4, 2), (8, 4), (8, 4), (3, 7)
DILATIONS = (1, 3, 5)
PERIODS = (2, 3, 5, 7, 11)


class HParams:
    """Settings as they are pickled there: attributes, some of which are settings again."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def generator_tensors(seed: int = 0) -> dict[str, Tensor]:
    """Return the tensors of a waveform model, some of which nobody takes."""
    g = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}

    def plain(name: str, *shape: int, bias: int = 0) -> None:
        found[f"{name}.weight"] = torch.randn(*shape, generator=g) / 4
        if bias:
            found[f"{name}.bias"] = torch.randn(bias, generator=g) / 4

    def normed(name: str, *shape: int, bias: int) -> None:
        found[f"{name}.bias"] = torch.randn(bias, generator=g) / 4
        found[f"{name}.weight_g"] = torch.rand(shape[0], 1, 1, generator=g)
        found[f"{name}.weight_v"] = torch.randn(*shape, generator=g)

    plain("ssl_proj", WIDTH, FEATURES, 2, bias=WIDTH)
    codebook = "quantizer.vq.layers.0._codebook"
    found[f"{codebook}.inited"] = torch.ones(1)
    found[f"{codebook}.cluster_size"] = torch.rand(ENTRIES, generator=g) + 1
    found[f"{codebook}.embed"] = torch.randn(ENTRIES, WIDTH, generator=g) * 2
    found[f"{codebook}.embed_avg"] = torch.randn(ENTRIES, WIDTH, generator=g)
    plain("dec.conv_pre", CHANNELS, LATENT, 7, bias=CHANNELS)
    plain("dec.cond", CHANNELS, STYLE, 1, bias=CHANNELS)
    width = CHANNELS
    for stage, (narrow, kernel) in enumerate(zip(STAGES, KERNELS, strict=True)):
        normed(f"dec.ups.{stage}", width, narrow, kernel, bias=narrow)
        for place, size in enumerate(SIZES):
            block = f"dec.resblocks.{stage * len(SIZES) + place}"
            for layer in range(len(DILATIONS)):
                for kind in ("convs1", "convs2"):
                    normed(f"{block}.{kind}.{layer}", narrow, narrow, size, bias=narrow)
        width = narrow
    plain("dec.conv_post", 1, width, 7)
    plain("enc_p.text_embedding", 732, 4)
    plain("flow.flows.0.pre", 4, 3, 1, bias=4)
    plain("ref_enc.fc.fc", 5, 4, bias=5)
    return found


def discriminator_tensors(seed: int = 1) -> dict[str, Tensor]:
    """Return the tensors of the discriminators."""
    g = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}

    def normed(name: str, *shape: int) -> None:
        found[f"{name}.bias"] = torch.randn(shape[0], generator=g) / 4
        found[f"{name}.weight_g"] = torch.rand(shape[0], *[1] * (len(shape) - 1), generator=g) + 0.5
        found[f"{name}.weight_v"] = torch.randn(*shape, generator=g)

    scale = "discriminators.0"
    for layer, shape in enumerate([(4, 1, 15), (8, 2, 41), (8, 2, 41), (8, 8, 5)]):
        normed(f"{scale}.convs.{layer}", *shape)
    normed(f"{scale}.conv_post", 1, 8, 3)
    for number in range(1, 1 + len(PERIODS)):
        for layer, (wide, narrow) in enumerate([(4, 1), (8, 4), (8, 8)]):
            normed(f"discriminators.{number}.convs.{layer}", wide, narrow, 5, 1)
        normed(f"discriminators.{number}.conv_post", 1, 8, 3, 1)
    return found


def save_checkpoint(path: Path, tensors: dict[str, Tensor], *, half: bool = True) -> Path:
    """Write a file as a fine-tuning there does: halves, and settings of a class of theirs."""
    model = HParams(upsample_rates=list(RATES), resblock="1")
    settings = HParams(model=model, version="v2")
    module = ModuleType("utils")
    vars(module)["HParams"] = HParams
    before, known_as = sys.modules.get("utils"), (HParams.__module__, HParams.__qualname__)
    sys.modules["utils"] = module
    HParams.__module__, HParams.__qualname__ = "utils", "HParams"
    try:
        kept = {name: value.half() if half else value for name, value in tensors.items()}
        torch.save({"weight": kept, "config": settings, "info": "1epoch_2iteration"}, path)
    finally:
        HParams.__module__, HParams.__qualname__ = known_as
        sys.modules.pop("utils")
        if before is not None:
            sys.modules["utils"] = before
    return path
