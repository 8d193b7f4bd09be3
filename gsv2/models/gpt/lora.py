"""Low-rank adapters of the backbone (LoRA, arXiv 2106.09685), by peft.

A layer's weight W stays as it is, and alpha / rank * B A is added to it, of which A and B train.
Adapters live in training and its checkpoints; whoever loads a GPT to speak, and every bundle, has
one matrix, W + alpha / rank * B A, and needs no peft.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor, nn

from gsv2.models.component import Component, ComponentError

_BASE, _A, _B = ".base_layer.", ".lora_A.default.weight", ".lora_B.default.weight"
"""What peft makes of the names in a layer that it adapts."""
_KEY = "lora"
"""Key of the adapters in the config of a GPT."""


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Low-rank adapters (`pip install 'gsv2[lora]'`)."""

    rank: int = 0
    """Rank of what is added to each weight; 0 = no adapters, the backbone itself trains."""
    alpha: float = 16.0
    """What is added is multiplied by alpha / rank."""
    dropout: float = 0.0
    """Probability of dropping a value of an adapter's input."""
    modules: tuple[str, ...] = (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    )  # fmt: skip
    """Layers of the backbone that are adapted, by the ends of their names."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if self.rank < 0:
            raise ValueError(f"lora.rank must be at least 0, but is {self.rank}")
        if not 0 < self.alpha < math.inf:
            raise ValueError(f"lora.alpha must be above 0, but is {self.alpha}")
        if not self.modules:
            raise ValueError("lora.modules must name layers, but is empty")

    @property
    def scale(self) -> float:
        """Factor on what is added."""
        return self.alpha / self.rank


def add_adapters(backbone: nn.Module, config: LoraConfig) -> None:
    """Give layers of a backbone adapters, and freeze all else in it.

    Raises:
        ValueError: peft is not installed, or no layer has such a name.
    """
    try:
        import peft
    except ImportError as error:
        raise ValueError(
            "model.gpt.lora needs peft, which is not installed: pip install 'gsv2[lora]'"
        ) from error
    ends = {name.rpartition(".")[2] for name, _ in backbone.named_modules()}
    for name in config.modules:
        if name not in ends:
            raise ValueError(f"lora.modules must name layers of the backbone, but has {name!r}")
    wanted = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.modules),
    )
    peft.inject_adapter_in_model(wanted, backbone)


def merge_adapters(component: Component) -> Component:
    """Return a GPT's component with its adapters added to the weights; itself if it has none.

    Raises:
        ComponentError: an adapter is not whole, or does not fit its weight.
    """
    values = component.config.get(_KEY, {})
    if not isinstance(values, Mapping) or not values.get("rank", 0):
        return component
    try:
        scale = LoraConfig(rank=int(values["rank"]), alpha=float(values["alpha"])).scale
    except (KeyError, TypeError, ValueError) as error:
        raise ComponentError(f"{component.name}: config.{_KEY} is damaged: {error}") from error
    tensors: dict[str, Tensor] = {}
    for name, tensor in component.tensors.items():
        if name.endswith((_A, _B)):
            continue
        adapted = name.replace(_BASE, ".")
        tensors[adapted] = tensor
        if adapted != name and name.endswith(".weight"):
            layer = name.removesuffix(f"{_BASE}weight")
            tensors[adapted] = tensor + scale * _product(component, layer, tensor)
    config: dict[str, Any] = {**component.config, _KEY: asdict(LoraConfig())}
    return replace(component, tensors=tensors, config=config)


def _product(component: Component, layer: str, weight: Tensor) -> Tensor:
    """Return B A of a layer, in the shape of its weight."""
    try:
        down, up = (component.tensors[f"{layer}{end}"] for end in (_A, _B))
        product = up @ down
    except (KeyError, RuntimeError) as error:
        raise ComponentError(f"{component.name}: the adapter of {layer} is damaged") from error
    if product.shape != weight.shape:
        raise ComponentError(
            f"{component.name}: the adapter of {layer} must have the shape {[*weight.shape]}, "
            f"but has {[*product.shape]}"
        )
    return product
