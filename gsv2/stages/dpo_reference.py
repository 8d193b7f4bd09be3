"""Reference of the dpo stage: the frozen GPT that a run begins as, and is kept near to."""

from __future__ import annotations

from pathlib import Path

from gsv2.models.component import load_component
from gsv2.models.gpt.model import GPTConfig, SemanticGPT
from gsv2.stages.gpt import GPTStage

_SHARED = (
    "backbone",
    "text_encoder",
    "reading",
    "pointer",
    "audio_input",
    "pattern",
    "depth",
    "codes",
)
"""Fields in which a GPT and its reference agree."""


def load_reference(file: Path, gpt: GPTStage) -> SemanticGPT:
    """Return the frozen GPT of a file, which must be of the same kind as the one that trains.

    Raises:
        ValueError: it has other sizes, or other codes; names the field.
    """
    component = load_component(file, "gpt")
    there, here = component.read_config(GPTConfig), gpt.model.config
    for name in _SHARED:
        if getattr(there, name) != getattr(here, name):
            raise ValueError(
                f"model.gpt.{name} must be that of init.gpt {file} ({getattr(there, name)}), "
                f"but is {getattr(here, name)}"
            )
    if component.provenance.get("quantizer") != gpt.quantizer_hash:
        raise ValueError(
            f"init.gpt {file} must be trained on the codes of model.quantizer "
            f"({gpt.quantizer_hash}), but was on {component.provenance.get('quantizer')}"
        )
    return SemanticGPT.from_component(component).requires_grad_(False)
