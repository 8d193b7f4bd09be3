"""Config of the data, the `data` section of a run: corpora, batches, lanes and reading."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from gsv2.storage.config import RemoteConfig


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """One corpus to read."""

    path: str
    """Where the corpus lies (tars, their indexes, corpus.json): a folder, a URL (`https://...`,
    `s3://...`, whatever fsspec knows), or `pipe:COMMAND` with `{}` for a file's name."""
    codes: str | None = None
    """The same for sidecar tars with the codes of the same clips; None if the corpus holds them."""
    texts: str | None = None
    """The same for sidecar tars with the text vectors of the same clips; None = there are none."""
    weight: float | None = None
    """Share of the audio read that comes from here, relative to the weights of the other sources;
    None = as much as it holds. All sources have a weight or none has."""
    leave_out: str | None = None
    """List of clips that are not read, JSON lines with a `key` each, as `gsv2 corpus clean` writes
    `doubtful.jsonl`: a file or URL; None = all are."""
    part: Literal["all", "train", "heldout"] = "all"
    """Which of its clips are read: all, those that are not held out, or those that are."""
    held_out_share: float = 0.0
    """Share of its clips that are held out, by a hash of their keys, where `part` is not `all`."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        is_right = self.held_out_share == 0 if self.part == "all" else 0 < self.held_out_share < 1
        if not is_right:
            rule = (
                "0 for part: all" if self.part == "all" else f"above 0 and below 1 for {self.part}"
            )
            raise ValueError(
                f"held_out_share of source {self.path} must be {rule}, but is {self.held_out_share}"
            )
        if self.weight is not None and not 0 < self.weight < math.inf:
            raise ValueError(f"weight of source {self.path} must be positive, but is {self.weight}")


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
    batching: Literal["bucket", "pack"] = "bucket"
    """`bucket`: sequences of about equal length, padded to the longest. `pack`: sequences end to
    end in rows of `row_tokens`, so that shapes never change (the GPT)."""
    max_frames: int | None = None
    """Budget of one micro-batch in padded 50 Hz frames (waveform stages); excludes max_tokens."""
    max_tokens: int | None = None
    """Budget of one micro-batch in padded sequence tokens (the GPT); excludes max_frames."""
    row_tokens: int | None = None
    """Length of a row of `pack`; a micro-batch is `max_tokens // row_tokens` rows."""
    bucket_boundaries: list[int] = field(default_factory=list)
    """Lengths, ascending, in frames or tokens; a bucket never holds sequences from both sides of
    one. Empty = cut by the budget alone."""
    code_rate_hz: float = 25.0
    """Code frames a second, where the index does not know the exact number."""
    steps_per_frame: int = 1
    """Tokens of a code frame: K for the pattern `flatten`, else 1."""
    tokens_per_text_byte: int = 1
    """Tokens of a byte of text: 0 for `model.gpt.reading: pointer`, whose sequences hold none."""
    clip_overhead_tokens: int = 4
    """Tokens that a clip costs beside its text and codes (starts, end, pattern delay)."""
    max_clips: int = 4
    """Largest number of clips in a same-speaker sequence."""
    max_seconds: float = 30.0
    """Longest audio of a sequence, in seconds."""
    max_length_ratio: float = 1.05
    """Under `max_frames`: about how much longer than its shortest clip the longest of a sequence
    may be, since they are padded to each other. Larger = more clips with company, more padding."""
    prompt_dropout: float = 0.0
    """Probability that the clips of a sequence are told apart, each without a prompt."""
    language_temperature: float = 1.0
    """T of the share of a language, hours ** (1 / T): 1 = as much as there is, large = all
    languages alike."""
    min_clip_sec: float = 0.4
    """Shorter clips are left out, and counted."""
    max_clip_sec: float = 30.0
    """Longer clips are left out, and counted."""
    excerpt_sec: float | None = None
    """Longer clips are read as an excerpt of so many seconds, from another place in each epoch, by
    stages that read no texts: steps of one size, and long clips serve too. None = whole clips."""
    window_mb: float = 512.0
    """Clips from which a lane forms micro-batches at a time, in MiB undecoded; larger = less
    padding. Only a remote source without a cache holds them in memory."""
    window_clips: int = 8192
    """Largest number of clips of a window, which bounds it where clips are small (codes)."""
    workers: int = 0
    """DataLoader processes of a rank; 0 reads in the training process."""
    prefetch: int = 2
    """Micro-batches that every worker holds ready."""
    max_bad_fraction: float = 0.01
    """The run stops when a larger share of the clips read was unreadable."""
    allow_pipe: bool = False
    """Whether sources may be shell commands (`pipe:`)."""
    remote: RemoteConfig = field(default_factory=RemoteConfig)
    """How sources that are no local folders are read."""

    @property
    def longest_sec(self) -> float:
        """Longest audio that is read of a clip, in seconds."""
        return min(self.max_clip_sec, self.excerpt_sec or math.inf)

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if (self.max_frames is None) == (self.max_tokens is None):
            raise ValueError(
                "data: set exactly one of max_frames (waveform stages) and max_tokens (GPT), "
                f"but they are {self.max_frames} and {self.max_tokens}"
            )
        for name in (
            "lanes",
            "micro_batches_per_step",
            "max_clips",
            "prefetch",
            "steps_per_frame",
            "window_clips",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"data.{name} must be at least 1, but is {getattr(self, name)}")
        _check_amounts(self)
        for name in ("prompt_dropout", "max_bad_fraction"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"data.{name} must be 0 to 1, but is {getattr(self, name)}")
        if not 1.0 <= self.language_temperature < math.inf:
            raise ValueError(
                f"data.language_temperature must be at least 1, but is {self.language_temperature}"
            )
        if self.bucket_boundaries != sorted(set(self.bucket_boundaries)):
            raise ValueError(f"data.bucket_boundaries must ascend: {self.bucket_boundaries}")
        if (self.batching == "pack") != (self.row_tokens is not None):
            raise ValueError("data.row_tokens must be set for data.batching=pack, and only for it")
        if self.row_tokens is not None and not 1 <= self.row_tokens <= (self.max_tokens or 0):
            raise ValueError(
                f"data.row_tokens must be 1 to data.max_tokens ({self.max_tokens}), "
                f"but is {self.row_tokens}"
            )
        if self.batching == "pack" and self.bucket_boundaries:
            raise ValueError("data.bucket_boundaries have no meaning for data.batching=pack")
        if len({source.weight is None for source in self.sources}) > 1:
            raise ValueError("data.sources: all sources must have a weight, or none")


def _check_amounts(config: DataConfig) -> None:
    """Check budgets, rates and lengths, which must be numbers.

    Raises:
        ValueError: names the key.
    """
    positive = ("code_rate_hz", "max_seconds", "max_clip_sec", "window_mb")
    budgets = [name for name in ("max_frames", "max_tokens") if getattr(config, name) is not None]
    for name in (*positive, *budgets):
        if not 0 < getattr(config, name) < math.inf:
            raise ValueError(
                f"data.{name} must be a number above 0, but is {getattr(config, name)}"
            )
    for name in ("workers", "clip_overhead_tokens", "tokens_per_text_byte"):
        if getattr(config, name) < 0:
            raise ValueError(f"data.{name} must be at least 0, but is {getattr(config, name)}")
    if not 1 <= config.max_length_ratio < math.inf:
        raise ValueError(
            f"data.max_length_ratio must be a number of at least 1, but is "
            f"{config.max_length_ratio}"
        )
    excerpt_sec = config.excerpt_sec
    if excerpt_sec is not None and not config.min_clip_sec <= excerpt_sec < math.inf:
        raise ValueError(
            f"data.excerpt_sec must be at least data.min_clip_sec ({config.min_clip_sec}), "
            f"but is {excerpt_sec}"
        )
    if excerpt_sec is not None and config.max_frames is None:
        raise ValueError(
            "data.excerpt_sec must be left out for data.max_tokens, which counts texts too: an "
            f"excerpt has none, but it is {excerpt_sec}"
        )
    if not 0 <= config.min_clip_sec <= config.max_clip_sec:
        raise ValueError(
            f"data.min_clip_sec must lie in 0..data.max_clip_sec ({config.max_clip_sec}), "
            f"but is {config.min_clip_sec}"
        )
