"""Stages of training, one file each, and the literal table of them."""

from typing import Any

from gsv2.stages.aligner import AlignerRunConfig, AlignerStage
from gsv2.stages.gpt import GPTRunConfig, GPTStage
from gsv2.stages.joint import JointRunConfig, JointStage
from gsv2.stages.quantizer import QuantizerRunConfig, QuantizerStage
from gsv2.stages.vits2 import VITS2Stage
from gsv2.stages.vits2_config import VITS2RunConfig

STAGES: dict[str, tuple[type, Any]] = {
    "quantizer": (QuantizerRunConfig, QuantizerStage),
    "aligner": (AlignerRunConfig, AlignerStage),
    "gpt": (GPTRunConfig, GPTStage),
    "vits2": (VITS2RunConfig, VITS2Stage),
    "joint": (JointRunConfig, JointStage),
}
"""`stage` of a config file -> schema of the file, class of the stage."""

SCHEMAS = {name: schema for name, (schema, _) in STAGES.items()}
"""`stage` -> schema, as `gsv2.config.load_config` takes it."""
