"""The words of the data plane: what a clip, a source and a data section are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SAMPLE_RATE = 32_000
"""Sample rate of corpus audio, in Hz."""
HOP_LENGTH = 640
"""Samples of one frame: 50 frames a second at `SAMPLE_RATE`. A clip has `num_samples // 640`."""
FRAME_RATE_HZ = SAMPLE_RATE // HOP_LENGTH
FORMAT_VERSION = 1
"""Version of the shard, index and corpus.json formats (DESIGN.md section 3.1)."""


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """One corpus to read."""

    path: str
    """Corpus folder: tars, their indexes and corpus.json."""
    codes: str | None = None
    """Folder of sidecar tars with the codes of the same clips; None if the corpus holds them."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The `data` section of a run."""

    sources: list[SourceConfig]
    """Corpora to train on."""
    validation: list[SourceConfig] = field(default_factory=list)
    """Corpora to validate on; empty = no validation."""
    lanes: int = 8
    """Logical lanes of the stream; `lanes % (ranks * max(workers, 1))` must be 0."""
    micro_batches_per_step: int = 1
    """Micro-batches of one optimizer update over all ranks; a multiple of the ranks."""
    batching: Literal["bucket"] = "bucket"
    """How sequences become micro-batches."""
    max_frames: int | None = None
    """Budget of one micro-batch in padded 50 Hz frames (waveform stages); excludes max_tokens."""
    max_tokens: int | None = None
    """Budget of one micro-batch in padded sequence tokens (the GPT); excludes max_frames."""
    code_rate_hz: float = 25.0
    """Code frames a second, where the index does not know the exact number."""
    clip_overhead_tokens: int = 4
    """Tokens that a clip costs beside its text and codes (starts, end, pattern delay)."""
    max_clips: int = 4
    """Most clips of one speaker in a sequence."""
    max_seconds: float = 30.0
    """Most audio in a sequence, in seconds."""
    min_clip_sec: float = 0.4
    """Shorter clips are left out, and counted."""
    max_clip_sec: float = 30.0
    """Longer clips are left out, and counted."""
    window_mb: float = 64.0
    """Undecoded bytes that a lane may hold back to form batches, in MiB."""
    workers: int = 0
    """DataLoader processes of a rank; 0 reads in the training process."""
    max_bad_fraction: float = 0.01
    """The run stops when a larger share of the clips read was unreadable."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if (self.max_frames is None) == (self.max_tokens is None):
            raise ValueError(
                "data: set exactly one of max_frames (waveform stages) and max_tokens (GPT), "
                f"but they are {self.max_frames} and {self.max_tokens}"
            )
        for name in ("lanes", "micro_batches_per_step", "max_clips"):
            if getattr(self, name) < 1:
                raise ValueError(f"data.{name} must be at least 1, but is {getattr(self, name)}")
