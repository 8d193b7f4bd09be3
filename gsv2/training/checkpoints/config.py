"""Config of checkpoints: the `checkpoint` section."""

from __future__ import annotations

from dataclasses import dataclass, field

ACCEPTABLE = ("dataset", "lanes", "quantizer", "seed")


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When checkpoints are made, which stay, where they go, which one a run starts from."""

    every_steps: int = 1000
    """Steps between checkpoints; the last step always has one."""
    keep_last: int = 3
    """Newest checkpoints to keep."""
    keep_every_steps: int = 0
    """Checkpoints of multiples of so many steps stay for ever; 0 = none does."""
    best: str | None = None
    """Name in `metrics.jsonl`, e.g. `validation/gpt/loss`: the checkpoint with the lowest value
    stays too. Only steps whose record has the value can be the best."""
    resume: str = "auto"
    """`auto` (newest whole checkpoint of the run here or at the target, if any), `none`, or the
    path or URL of a checkpoint or of a run; all but `auto` begin there again at every launch, and
    move checkpoints of the run that it leaves behind to `RUN/earlier`."""
    accept: list[str] = field(default_factory=list)
    """Differences between checkpoint and run that are wanted, of `dataset`, `lanes`, `quantizer`
    and `seed`. With another dataset, seed or lanes the stream goes on at the same micro-batch
    number of the new order: clips may repeat, or wait for the next epoch."""
    target: str | None = None
    """URL of a folder (`s3://bucket/runs`, whatever fsspec writes) that gets a copy of every
    checkpoint under `NAME/checkpoints`; None = the run folder alone. Nothing waits for it but the
    end of the run: a target that is slow gets the newest first, and never those that are gone here
    before their turn comes. A run that is told to leave gives it seconds; the next launch sends the
    checkpoint that it goes on from."""
    keep_going_on_failure: bool = True
    """Whether a run goes on when a checkpoint could not be written (disk full, target out of
    reach): older ones stay, log and metrics say so, the next one is tried when it is due. Without
    it the run ends at the next record or checkpoint. The last step's checkpoint must always
    succeed."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        for name, least in {"every_steps": 1, "keep_last": 1, "keep_every_steps": 0}.items():
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"checkpoint.{name} must be at least {least}, but is {value}")
        if self.keep_every_steps % self.every_steps:
            raise ValueError(
                f"checkpoint.keep_every_steps must be a multiple of checkpoint.every_steps "
                f"({self.every_steps}), but is {self.keep_every_steps}"
            )
        for name in self.accept:
            if name not in ACCEPTABLE:
                raise ValueError(
                    f"checkpoint.accept may hold {', '.join(ACCEPTABLE)}, but has {name!r}"
                )
        if self.target is not None and "://" not in self.target:
            raise ValueError(
                f"checkpoint.target must be a URL such as s3://bucket/runs, but is {self.target!r}"
            )
