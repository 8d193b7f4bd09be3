"""Rejected codes of a corpus: what a GPT says worst of each text, for the stage of preferences.

A clip is spoken several times after another clip of its speaker; of these, the codes that the
aligner reads with most errors are kept, if they are worse than the recording by enough. Clips that
are spoken well have none, and the stage makes rejected codes of their own.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gsv2.data.building.codes import CodesOrigin, write_codes
from gsv2.data.building.sidecar import ClipArray
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import Manifest
from gsv2.data.stream.batch import BadClip
from gsv2.data.stream.reader import MappedReader, read_clip
from gsv2.inference.alignment import load_aligner
from gsv2.inference.clip_batches import ALONE, SharedWork
from gsv2.inference.generate import generate
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.utterance import Prompt, Utterance
from gsv2.models.aligner.model import Aligner
from gsv2.models.aligner.reading_errors import count_errors
from gsv2.models.component import load_component
from gsv2.models.gpt.model import SemanticGPT
from gsv2.text.encoders.make import attach_text_encoder
from gsv2.text.normalize import normalize_text
from gsv2.training.checkpoints.checkpoint import find_component

logger = logging.getLogger(__name__)

_BATCH = 8
"""Clips that are spoken together."""


class RejectionLimits(NamedTuple):
    """How often a clip is spoken, and what is bad enough."""

    candidates: int = 4
    """Times that each clip is spoken."""
    min_errors: float = 0.1
    """Character errors, as a share of the text, that it must have more than the recording."""
    seed: int = 0
    """Seed of the drawn codes."""


class _Speakers(NamedTuple):
    """Who speaks, and who judges."""

    gpt: SemanticGPT
    aligner: Aligner
    device: torch.device
    limits: RejectionLimits


class SpeakerAndJudge(NamedTuple):
    """Run folders, checkpoints, bundles or files of the networks."""

    gpt: Path
    aligner: Path


def reject_codes(
    source: SourceConfig,
    parts: SpeakerAndJudge,
    out: Path,
    device: torch.device,
    work: SharedWork = ALONE,
    limits: RejectionLimits | None = None,
) -> Manifest:
    """Write the rejected codes of a corpus as a sidecar; `out` appears complete or not at all.

    A call that was ended keeps its whole shards, and the same one goes on after them.

    Args:
        source: corpus and codes; aligned, for a GPT that reads by a pointer.
        parts: who speaks, and who judges.
        out: folder of the sidecar corpus; nothing is replaced.
        work: who shares the shards.
        limits: how often a clip is spoken, and what is bad enough.

    Raises:
        ValueError: parts that are missing or of other codes, or no clip was spoken badly.
    """
    limits = limits or RejectionLimits()
    file = find_component(parts.gpt, "gpt")
    component = load_component(file, "gpt")
    model = SemanticGPT.from_component(component).to(device)
    config = model.config
    attach_text_encoder(model.text_encoder, config.text_vectors, config.tokenizer, None, device)
    quantizer = component.provenance["quantizer"]
    index = CorpusIndex.open(source)
    if index.quantizer != quantizer:
        raise ValueError(
            f"the codes {source.codes} must be of quantizer {quantizer}, as {file} reads them, but "
            f"are of {index.quantizer}"
        )
    with file.open("rb") as content:
        maker = f"{hashlib.file_digest(content, 'sha256').hexdigest()} {limits}"
    codes = config.codes
    return write_codes(
        Path(source.path),
        out,
        partial(
            _rejected,
            _Speakers(model, load_aligner(parts.aligner, device), device, limits),
            index,
            work,
        ),
        CodesOrigin(quantizer, codes.codebook_size, codes.rate_hz, maker),
        workers=work.ranks,
    )


def _rejected(
    speakers: _Speakers, index: CorpusIndex, work: SharedWork, skip: frozenset[str]
) -> Iterator[ClipArray]:
    """Yield (shard, key, [K, T] codes), shard after shard, without those to skip."""
    members = ("codes", "align") if speakers.gpt.has_pointer else ("codes",)
    reader = MappedReader(index, members)
    done = sum(shard.num_clips for shard in index.shards if shard.name in skip)
    for shard in (shard for shard in index.shards if shard.name not in skip):
        clips = [
            clip
            for clip in (read_clip(reader, row) for row in range(shard.start, shard.stop))
            if not isinstance(clip, BadClip)
        ]
        pairs = _with_prompts(clips)
        for start in range(0, len(pairs), _BATCH):
            batch = pairs[start : start + _BATCH]
            for (clip, _), worst in zip(batch, speak_worst(speakers, batch), strict=True):
                if worst is not None:
                    yield shard.name, clip.key, worst
            if work.progress:
                work.progress(done + min(start + _BATCH, len(pairs)), index.num_clips)
        done += shard.num_clips


def speak_worst(speakers: _Speakers, pairs: Sequence[tuple[Clip, Clip]]) -> list[np.ndarray | None]:
    """Return of each (clip, prompt) the worst codes [K, T]; None where none is bad enough."""
    gpt, aligner, device, limits = speakers
    clips = [clip for clip, _ in pairs]
    texts = [normalize_text(clip.text) for clip in clips]
    worst: list[Tensor | None] = [None] * len(pairs)
    recorded = [
        _errors(aligner, t, _tensor(c.codes), device) for t, c in zip(texts, clips, strict=True)
    ]
    most = [errors + limits.min_errors for errors in recorded]
    utterances = [Utterance(text=clip.text, prompts=(_prompt(other),)) for clip, other in pairs]
    for candidate in range(limits.candidates):
        sampling = SamplingConfig(seed=limits.seed * limits.candidates + candidate)
        made = generate(gpt, utterances, sampling)
        for place, (of_clip, length) in enumerate(
            zip(made.codes.cpu(), made.lengths.tolist(), strict=True)
        ):
            if not length:
                continue
            errors = _errors(aligner, texts[place], of_clip[:, :length], device)
            if errors >= most[place]:
                worst[place], most[place] = of_clip[:, :length], errors
    return [None if codes is None else codes.numpy() for codes in worst]


def _errors(aligner: Aligner, text: str, codes: Tensor, device: torch.device) -> float:
    """Return the character errors of codes [K, T], as a share of the text."""
    lengths = torch.tensor([codes.shape[1]], device=device)
    return count_errors([text], aligner.read(codes[None].to(device), lengths)) / max(1, len(text))


def _with_prompts(clips: Sequence[Clip]) -> list[tuple[Clip, Clip]]:
    """Return each clip with the one before it of its speaker; none of speakers with one alone."""
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_speaker[clip.speaker].append(clip)
    return [
        (clip, group[place - 1])
        for group in by_speaker.values()
        if len(group) > 1
        for place, clip in enumerate(group)
    ]


def _prompt(clip: Clip) -> Prompt:
    places = None if clip.alignment is None else _tensor(clip.alignment)
    return Prompt(clip.text, _tensor(clip.codes), places)


def _tensor(values: np.ndarray | None) -> Tensor:
    assert values is not None, "it was read"
    return torch.from_numpy(values.astype(np.int64))
