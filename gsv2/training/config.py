"""The configuration that every run shares, and the run folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath

from gsv2.data.config import DataConfig
from gsv2.training.checkpoints.config import CheckpointConfig
from gsv2.training.engines.engine import EngineConfig
from gsv2.training.telemetry.tracking import TrackingConfig
from gsv2.training.trainer import TrainerConfig


@dataclass(frozen=True, kw_only=True)
class RunSection:
    """Where a run lives: the folder `dir/name`."""

    dir: str = "runs"
    name: str

    def __post_init__(self) -> None:
        """Check that the folder is one below `dir`."""
        path = PurePath(self.name)
        if (
            not path.parts
            or path.is_absolute()
            or ".." in path.parts
            or not self.name.isprintable()
        ):
            raise ValueError(
                f"run.name must name a folder below run.dir ({self.dir}), but is {self.name!r}"
            )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One YAML file. Each stage's config adds `model` and `optim`."""

    stage: str
    """Name in `gsv2.stages.STAGES`."""
    seed: int = 0
    run: RunSection
    data: DataConfig
    precision: dict[str, str] = field(default_factory=dict)
    """Module name -> `fp32`, `bf16`, `fp16`; unnamed modules compute in fp32."""
    engines: dict[str, EngineConfig] = field(default_factory=dict)
    """Trainable name -> what runs it on the ranks; unnamed = `auto`."""
    trainer: TrainerConfig
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
