"""Config of every run: the sections `run` and `trainer`, and the file that holds all sections."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from gsv2.data.config import DataConfig
from gsv2.training.checkpoints.config import CheckpointConfig
from gsv2.training.engines.compile import check_compile
from gsv2.training.engines.engine import EngineConfig
from gsv2.training.guard import WINDOW_UPDATES, LeftOutLimits
from gsv2.training.telemetry.tracking import TrackingConfig


@dataclass(frozen=True, kw_only=True)
class RunSection:
    """Folder of a run: `dir/name`."""

    dir: str = "runs"
    """Folder of all runs."""
    name: str
    """Name of the run's folder below `dir`."""

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

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.dir) / self.name


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How long and how carefully a run trains: the `trainer` section."""

    max_steps: int = 0
    """Optimizer steps of the whole run; 0 = as many as `max_minutes` allows."""
    max_minutes: float = 0.0
    """Wall time of the whole run, over all its launches, with its validations and checkpoints;
    0 = none. Schedules follow the larger share, of `max_steps` or of this."""
    log_every_steps: int = 10
    """Steps between objects in metrics.jsonl; the first and the last step always have one."""
    validate_every_steps: int = 0
    """0 = only after the last step."""
    left_out_window_steps: int = 1000
    """Last steps in which `max_skipped_steps` and `max_spikes` count: what three weeks leave out
    here and there ends no run."""
    max_skipped_steps: int = 50
    """The run stops when more updates than this were skipped for a non-finite loss, of the last
    `left_out_window_steps`."""
    spike_factor: float = 0.0
    """Updates whose gradient norm or loss is above so many times its median of the last 128
    updates are left out; 0 = none."""
    spike_warmup_steps: int = 100
    """Updates of a network before its spikes are left out, at most 128."""
    max_spikes: int = 50
    """The run stops when more updates than this were left out as spikes, of the last
    `left_out_window_steps`."""
    rank_timeout_sec: float = 900.0
    """How long a rank may keep the others waiting before they end the run: longer than the
    slowest retry of a remote corpus and the longest compilation."""
    activation_checkpointing: list[str] = field(default_factory=list)
    """Trainables that run their blocks again in the backward pass: less memory, a third more
    time, the same gradients."""
    compile: dict[str, str] = field(default_factory=dict)
    """Trainable -> mode of torch.compile: `off`, `default` or `max-autotune-no-cudagraphs`."""
    compile_backend: str = "inductor"
    """Backend of torch.compile; `inductor` needs a compiler, `aot_eager` none and gains nothing."""
    dry_run: bool = False
    """Run the largest micro-batches that the budget allows on trial, before the first step."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        check_compile(self.compile)
        if not 0 <= self.max_minutes < math.inf:
            raise ValueError(
                f"trainer.max_minutes must be 0 or a number above 0, but is {self.max_minutes}"
            )
        least = {
            "max_steps": 0 if self.max_minutes else 1,
            "log_every_steps": 1,
            "validate_every_steps": 0,
        }
        limits = {"left_out_window_steps": 1, "max_skipped_steps": 0, "max_spikes": 0}
        for name, minimum in {**least, **limits}.items():
            if not getattr(self, name) >= minimum:  # nor NaN
                raise ValueError(
                    f"trainer.{name} must be at least {minimum}, but is {getattr(self, name)}"
                )
        if not (self.spike_factor == 0 or 1 < self.spike_factor < math.inf):
            raise ValueError(
                f"trainer.spike_factor must be 0 or a number above 1, but is {self.spike_factor}"
            )
        if not 1 <= self.spike_warmup_steps <= WINDOW_UPDATES:
            raise ValueError(
                f"trainer.spike_warmup_steps must lie in 1..{WINDOW_UPDATES}, "
                f"but is {self.spike_warmup_steps}"
            )
        if not 0 < self.rank_timeout_sec < math.inf:
            raise ValueError(
                f"trainer.rank_timeout_sec must be a number above 0, but is {self.rank_timeout_sec}"
            )
        if not self.compile_backend:
            raise ValueError("trainer.compile_backend must be a name, but is empty")

    @property
    def left_out_limits(self) -> LeftOutLimits:
        """How many updates may be left out."""
        return LeftOutLimits(
            window_steps=self.left_out_window_steps,
            max_skipped=self.max_skipped_steps,
            max_spikes=self.max_spikes,
            spike_factor=self.spike_factor,
        )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One YAML file. Each stage's config adds `model` and `optim`."""

    stage: str
    """Name in `gsv2.stages.STAGES`."""
    seed: int = 0
    """Seed of weights, data order, dropout and noise."""
    run: RunSection
    """Run folder."""
    data: DataConfig
    """What is read, and how it is batched."""
    precision: dict[str, str] = field(default_factory=dict)
    """Module name -> `fp32`, `bf16`, `fp16`; unnamed modules compute in fp32."""
    engines: dict[str, EngineConfig] = field(default_factory=dict)
    """Trainable name -> what runs it on the ranks; unnamed = `auto`."""
    trainer: TrainerConfig
    """How long and how carefully it trains."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    """What is saved, and what it starts from."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """Who is told about the run."""
