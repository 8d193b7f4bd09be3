"""Training runs of a fit: which config each stage takes, and what is set in it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gsv2.config import load_config
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.format import FRAME_RATE_HZ
from gsv2.data.corpus.manifest import read_manifest
from gsv2.fit.corpus import CODES, CODES_UNALIGNED, FitCorpora, with_shifted_codes
from gsv2.shipped import shipped_folder
from gsv2.stages import SCHEMAS
from gsv2.training.checkpoints.checkpoint import checkpoint_folder, list_steps
from gsv2.training.checkpoints.restore import read_record

STAGES = ("quantizer", "aligner", "gpt", "vits2")
"""Stages in the order of their training, each with a run folder of its name."""
SIZES = ("debug", "small")
"""Sizes of the shipped configs that a fit can start from."""
MAX_CLIP_SEC = 20.0
"""Longer clips are left out of training, and counted."""
_FRAMES_PER_ENTRY = 60
"""Code frames that an entry of a codebook needs."""
_CODEBOOK_SIZES = (1024, 512, 256)
_LEAST_SEC = 1.0
"""A stage that has no time left takes one step."""


@dataclass(frozen=True, kw_only=True)
class FitRuns:
    """What all runs of a fit share."""

    out: Path
    """Folder of the runs."""
    corpora: FitCorpora
    """Clips to train on, and to validate on."""
    seed: int
    """Seed of all training."""
    size: str = "debug"
    """Size of the shipped configs, in `SIZES`."""
    overrides: Sequence[str] = ()
    """`STAGE.section.key=value` of the user, the last words."""
    longest_sec: float = MAX_CLIP_SEC
    """Longest clip of the corpora."""

    def __post_init__(self) -> None:
        """Check size and overrides of the user.

        Raises:
            ValueError: no such size, or an override names no stage.
        """
        if self.size not in SIZES:
            raise ValueError(f"the size must be {' or '.join(SIZES)}, but is {self.size!r}")
        for override in self.overrides:
            stage, _, rest = override.partition(".")
            if stage not in STAGES or "=" not in rest:
                raise ValueError(
                    f"overrides must be STAGE.section.key=value with a stage of "
                    f"{', '.join(STAGES)}, but one is {override!r}"
                )

    def folder(self, stage: str) -> Path:
        """Return the run folder of a stage."""
        return self.out / stage

    def config_file(self, stage: str) -> Path:
        """Return the config that a stage starts from."""
        return shipped_folder("configs") / stage / f"{self.size}.yaml"

    def stage_overrides(self, stage: str, seconds: float) -> list[str]:
        """Return what is set in the config of a stage.

        Args:
            stage: name of the stage.
            seconds: time of the run, over all its launches.

        Raises:
            ValueError: the config with these overrides is none.
        """
        corpora = self.corpora
        if stage != "quantizer":
            kept = stage == "vits2" and (self.out / CODES_UNALIGNED).exists()
            corpora = corpora.with_codes(self.out, CODES_UNALIGNED if kept else CODES)
        sources = [corpora.train]
        if stage == "gpt":
            sources = with_shifted_codes(corpora.train, self.out)
        values = {
            "seed": self.seed,
            "run.dir": str(self.out),
            "run.name": stage,
            "data.sources": [_plain(source) for source in sources],
            "data.validation": [_plain(corpora.held_out)],
            "data.max_clip_sec": MAX_CLIP_SEC,
            "data.micro_batches_per_step": 1,  # of one process: many small steps learn most
            "trainer.max_steps": 0,
            "trainer.max_minutes": max(seconds, _LEAST_SEC) / 60,
            **dict(self._values_of(stage)),
        }
        made = [f"{key}={json.dumps(value)}" for key, value in values.items()]
        prefix = f"{stage}."
        own = [o.removeprefix(prefix) for o in self.overrides if o.startswith(prefix)]
        load_config(self.config_file(stage), [*made, *own], SCHEMAS)
        return [*made, *own]

    def used_sec(self, stage: str) -> float:
        """Return the seconds that the newest checkpoint of a stage has behind it; 0 without one.

        Raises:
            ValueError: the checkpoint is damaged.
        """
        steps = list_steps(self.folder(stage))
        if not steps:
            return 0.0
        return float(
            read_record(checkpoint_folder(self.folder(stage), steps[-1]))["run"]["time_sec"]
        )

    def _values_of(self, stage: str) -> Iterator[tuple[str, object]]:
        config = load_config(self.config_file(stage), (), SCHEMAS)
        longest = min(self.longest_sec, MAX_CLIP_SEC)
        if config.data.excerpt_sec is not None:
            yield "data.max_clip_sec", max(self.longest_sec, MAX_CLIP_SEC)
            longest = min(longest, config.data.excerpt_sec)
        if config.data.max_frames is not None:
            yield "data.max_frames", max(config.data.max_frames, math.ceil(longest * FRAME_RATE_HZ))
        if stage == "quantizer":
            yield "model.codes.codebook_size", self._codebook_size()
        else:
            yield "model.quantizer", str(self.folder("quantizer"))
        if stage == "gpt":
            yield "model.aligner", str(self.folder("aligner"))

    def _codebook_size(self) -> int:
        """Return as many entries as the corpus has frames for."""
        frames = read_manifest(self.corpora.train.path).hours * 3600 * FRAME_RATE_HZ / 2
        fitting = [size for size in _CODEBOOK_SIZES if frames >= size * _FRAMES_PER_ENTRY]
        return fitting[0] if fitting else _CODEBOOK_SIZES[-1]


def _plain(source: SourceConfig) -> dict[str, object]:
    return {name: value for name, value in asdict(source).items() if value is not None}
