"""Stages of training, the files of each under its name, and the literal table of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gsv2.data.corpus.decode import AlignClip
from gsv2.inference.clip_aligner import ClipAligner
from gsv2.stages.aligner import AlignerRunConfig, AlignerStage
from gsv2.stages.dpo import DPORunConfig, DPOStage
from gsv2.stages.gpt import GPTStage
from gsv2.stages.gpt_config import GPTRunConfig, gpt_members
from gsv2.stages.joint import JointRunConfig, JointStage, joint_members
from gsv2.stages.quantizer import QuantizerRunConfig, QuantizerStage
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import VITS2RunConfig
from gsv2.stages.vits2_network import vits2_members
from gsv2.training.config import RunConfig
from gsv2.training.stage import Stage


class StageEntry(NamedTuple):
    """A stage by name: its config and how it is built."""

    schema: type[RunConfig]
    """Dataclass of the whole config file."""
    build: Callable[[Any, torch.device], Stage]
    """Makes the stage from an instance of `schema`, on a device."""
    members: tuple[str, ...]
    """Members that it reads of a clip beside its text, any of `audio` and `codes`."""


STAGES: dict[str, StageEntry] = {
    "quantizer": StageEntry(QuantizerRunConfig, QuantizerStage, QuantizerStage.members),
    "aligner": StageEntry(AlignerRunConfig, AlignerStage, AlignerStage.members),
    "gpt": StageEntry(GPTRunConfig, GPTStage, GPTStage.members),
    "dpo": StageEntry(DPORunConfig, DPOStage, DPOStage.members),
    "vits2": StageEntry(VITS2RunConfig, VITS2Stage, VITS2Stage.members),
    "joint": StageEntry(JointRunConfig, JointStage, JointStage.members),
}
"""`stage` of a config file -> its entry."""


def members_of(config: RunConfig) -> tuple[str, ...]:
    """Return what the stage of a run reads of a clip beside its text, `align` among it."""
    members = STAGES[config.stage].members
    if isinstance(config, JointRunConfig):
        return joint_members(config.model)
    if isinstance(config, VITS2RunConfig):
        return vits2_members(config.model)
    return gpt_members(members, config.model) if isinstance(config, GPTRunConfig) else members


def align_clip_of(config: RunConfig) -> AlignClip | None:
    """Return what aligns codes that nobody has aligned as the stage of a run reads them.

    None if it reads no alignments.
    """
    if "align" not in members_of(config) or not isinstance(config, GPTRunConfig):
        return None
    return None if config.model.aligner is None else ClipAligner(Path(config.model.aligner))


SCHEMAS = {name: entry.schema for name, entry in STAGES.items()}
"""`stage` -> schema, as `gsv2.config.load_config` takes it."""
