"""A tiny aligner stage."""

from __future__ import annotations

from pathlib import Path

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.models.aligner.model import AlignerConfig
from gsv2.stages.aligner import AlignerModelSection, AlignerRunConfig
from gsv2.training.config import RunSection, TrainerConfig
from gsv2.training.optim import OptimConfig


def make_config(quantizer_file: Path) -> AlignerRunConfig:
    """Return the config of a tiny run without dropout."""
    aligner = AlignerConfig(vocabulary_size=32, dim=32, num_blocks=2, kernel_size=3, dropout=0.0)
    return AlignerRunConfig(
        stage="aligner",
        run=RunSection(name="test"),
        data=DataConfig(sources=[SourceConfig(path="nowhere")], max_frames=100),
        trainer=TrainerConfig(max_steps=10),
        model=AlignerModelSection(quantizer=str(quantizer_file), aligner=aligner),
        optim={"aligner": OptimConfig(lr=1e-2)},
    )
