"""Cleaning of a corpus: doubtful clips, listed with their figures, and left out on request.

Nothing is copied or changed: a source whose `leave_out` names the list leaves its clips out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError
from gsv2.evaluation.cleaning.doubtful import DoubtfulClip, Doubts
from gsv2.evaluation.cleaning.doubtful_texts import doubtful_texts
from gsv2.evaluation.cleaning.doubtful_voices import doubtful_voices
from gsv2.evaluation.cleaning.shard_figures import measure_clips
from gsv2.evaluation.cleaning.text_gains import TextGains
from gsv2.evaluation.judges import SpeakerEncoder
from gsv2.files import write_atomically
from gsv2.inference.clip_batches import ALONE, BatchLimit, SharedWork

LIST_NAME = "doubtful.jsonl"
_FRAMES = 4000
"""Code frames of a batch, padding included."""


@dataclass(frozen=True, kw_only=True)
class CleaningModels:
    """Who judges a corpus; one of the two at least."""

    gpt: Path | None = None
    """Run, checkpoint, bundle or file of a trained GPT, which judges texts."""
    aligner: Path | None = None
    """The same of its aligner, if it reads by a pointer."""
    encoder: SpeakerEncoder | None = None
    """Encoder that judges voices."""

    def __post_init__(self) -> None:
        """Check that there is one."""
        if self.gpt is None and self.encoder is None:
            raise ValueError("nobody judges: name a GPT (--gpt), a speaker encoder or both")


@dataclass(frozen=True, kw_only=True)
class CleaningResult:
    """What was found."""

    clips: tuple[DoubtfulClip, ...]
    """Doubtful texts first, then doubtful voices, the worst of each kind first."""
    notes: tuple[str, ...]
    """How well the models tell right from wrong, and what they could not judge."""


def clean_corpus(
    source: SourceConfig,
    models: CleaningModels,
    out: Path,
    device: torch.device,
    work: SharedWork = ALONE,
) -> CleaningResult:
    """List the doubtful clips of a corpus in `OUT/doubtful.jsonl`. Collective.

    The figures of all clips stay in `OUT/LANGUAGE/SHARD.texts.parquet` and `.voices.parquet`: a
    call that was ended goes on after the shards that it has measured, and shards of which nothing
    has changed are not measured again.

    Args:
        source: local corpus, with its codes if a GPT judges.
        models: who judges.
        out: folder of the list and the figures.
        device: device of the GPT.
        work: ranks that share the shards, and who is told how far this one is.

    Raises:
        ValueError: a corpus or component that is missing, damaged or of other codes.
    """
    index = CorpusIndex.open(source)
    found: list[Doubts] = []
    if models.gpt is not None:
        gains = TextGains(models.gpt, models.aligner, device)
        _check_codes(source, index, gains)
        found.append(doubtful_texts(measure_clips(_TextFigures(gains), index, out, work)))
    if models.encoder is not None:
        voices = measure_clips(_VoiceFigures(models.encoder), index, out, work)
        found.append(doubtful_voices(voices))
    result = CleaningResult(
        clips=tuple(clip for doubts in found for clip in doubts.clips),
        notes=tuple(note for doubts in found for note in doubts.notes),
    )
    write = partial(_write_list, out / LIST_NAME, result)
    write() if work.ranks is None else work.ranks.on_main(write)
    return result


def _check_codes(source: SourceConfig, index: CorpusIndex, gains: TextGains) -> None:
    if source.codes is None and index.quantizer is None:
        raise CorpusError(f"a GPT judges {source.path} by its codes: name them by --codes")
    if index.quantizer is not None and index.quantizer != gains.quantizer:
        raise CorpusError(
            f"the GPT was trained on codes of quantizer {gains.quantizer}, but those of "
            f"{source.codes} are of {index.quantizer}"
        )
    if "text_vectors" in gains.members and source.texts is None:
        raise CorpusError(f"the GPT reads text vectors: name those of {source.path} by --texts")


def _write_list(file: Path, result: CleaningResult) -> None:
    lines = [json.dumps(asdict(clip), ensure_ascii=False) + "\n" for clip in result.clips]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, "".join(lines))


class _TextFigures:
    """Losses of the GPT with the text of a clip and with others."""

    name = "texts"
    limit = BatchLimit("num_code_frames", _FRAMES)

    def __init__(self, gains: TextGains) -> None:
        self._gains = gains
        self.identity = gains.identity
        self.members = gains.members
        self.fields = [
            pa.field("frames", pa.int32()),
            pa.field("nats", pa.float32()),
            pa.field("other_nats", pa.list_(pa.float32())),
        ]

    def measure(self, clips: list[Clip]) -> list[Mapping[str, Any] | None]:
        """See `ClipFigures`."""
        return [of and of._asdict() for of in self._gains.measure(clips)]


class _VoiceFigures:
    """Vectors of voices."""

    name = "voices"
    limit = BatchLimit("num_samples", 1)
    members = ("audio",)

    def __init__(self, encoder: SpeakerEncoder) -> None:
        self._embed: Callable[[np.ndarray], np.ndarray] = encoder.embed
        self.identity = encoder.identity
        self.fields = [pa.field("voice", pa.list_(pa.float32()))]

    def measure(self, clips: list[Clip]) -> list[Mapping[str, Any] | None]:
        """See `ClipFigures`."""
        return [{"voice": vector} for vector in self._vectors(clips)]

    def _vectors(self, clips: list[Clip]) -> Iterator[np.ndarray]:
        for clip in clips:
            assert clip.wave is not None
            yield self._embed(clip.wave).astype(np.float32)
