"""Starting points of a GPT: the weights of another GPT, or of a text language model.

They are weights alone. Step, schedule, moments and place in the data are those of a fresh run, and
a run that resumes takes nothing: its checkpoint has it all.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from gsv2.models.component import load_component
from gsv2.models.gpt.language_model import EMBEDDING, find_language_model, load_language_model
from gsv2.models.gpt.lora import merge_adapters
from gsv2.models.gpt.model import GPTConfig, SemanticGPT
from gsv2.models.initial_weights import take_weights
from gsv2.training.checkpoints.checkpoint import find_component

NONE = "none"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GPTInitConfig:
    """What a fresh run of the GPT starts from; a resumed one goes on from its checkpoint alone."""

    gpt: str = NONE
    """Run folder, checkpoint, bundle or file of a GPT, whose weights are taken where names and
    shapes are those of this one; `none` = random weights. What was taken and what was not is
    logged, and nothing at all is an error."""
    backbone: str = NONE
    """Folder or hub id of a text LM of the Qwen2 family (`config.json`, safetensors), whose layers
    start the backbone, and whose word embeddings the subwords of `model.gpt.text_encoder=qwen2`;
    `model.gpt.backbone` must have its sizes, and may have fewer layers."""

    def __post_init__(self) -> None:
        """Check that there is one starting point at most."""
        for name in ("gpt", "backbone"):
            if not getattr(self, name):
                raise ValueError(f"init.{name} must be none or name a folder, but is empty")
        if NONE not in (self.gpt, self.backbone):
            raise ValueError(
                f"init.backbone must be none where init.gpt ({self.gpt}) has a backbone, "
                f"but is {self.backbone}"
            )


def start_gpt(model: SemanticGPT, init: GPTInitConfig, quantizer: str) -> None:
    """Give a GPT the weights that its run starts from, and log the name of every tensor.

    Args:
        model: bare network with whole parameters.
        init: the section `init`.
        quantizer: hash of the quantizer whose codes it reads.

    Raises:
        ValueError: there are no such weights, they are damaged, or none of them fits.
    """
    if init.gpt != NONE:
        _start_from_gpt(model, init.gpt, quantizer)
    if init.backbone != NONE:
        where = f"init.backbone {init.backbone}"
        folder = find_language_model(init.backbone, "init.backbone")
        tensors = load_language_model(folder, model.config.backbone, where)
        for line in take_weights(model, tensors, where=where, slices=(EMBEDDING,)).lines():
            logger.info("%s: %s", where, line)


def _start_from_gpt(model: SemanticGPT, source: str, quantizer: str) -> None:
    where = f"init.gpt {source}"
    component = load_component(find_component(Path(source), "gpt"), "gpt")
    component.read_config(GPTConfig)
    component = merge_adapters(component)
    known = component.provenance.get("quantizer")
    if known != quantizer:
        logger.warning(
            "%s learnt the codes of quantizer %s, and this run reads those of %s: what it knows "
            "of codes is of no use",
            where,
            known,
            quantizer,
        )
    for line in take_weights(model, component.tensors, where=where).lines():
        logger.info("%s: %s", where, line)
