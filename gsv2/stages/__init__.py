"""What is trained: one file a stage, and the literal table of them."""

from typing import Any

from gsv2.stages.aligner import AlignerRunConfig, AlignerStage
from gsv2.stages.gpt import GPTStage
from gsv2.stages.gpt_config import GPTRunConfig, gpt_members
from gsv2.stages.joint import JointRunConfig, JointStage
from gsv2.stages.quantizer import QuantizerRunConfig, QuantizerStage
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import VITS2RunConfig
from gsv2.training.run import RunConfig

STAGES: dict[str, tuple[type, Any]] = {
    "quantizer": (QuantizerRunConfig, QuantizerStage),
    "aligner": (AlignerRunConfig, AlignerStage),
    "gpt": (GPTRunConfig, GPTStage),
    "vits2": (VITS2RunConfig, VITS2Stage),
    "joint": (JointRunConfig, JointStage),
}
"""`stage` of a config file -> schema of the file, class of the stage."""


def members_of(config: RunConfig) -> tuple[str, ...]:
    """Return what the stage of a run reads of a clip beside its text."""
    members: tuple[str, ...] = STAGES[config.stage][1].members
    return gpt_members(members, config.model) if isinstance(config, GPTRunConfig) else members


SCHEMAS = {name: schema for name, (schema, _) in STAGES.items()}
"""`stage` -> schema, as `gsv2.config.load_config` takes it."""
