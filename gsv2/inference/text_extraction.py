"""Text vectors of a whole corpus, as a sidecar corpus that the GPT stage reads beside the codes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from gsv2.data.building.sidecar import ClipArray, find_sidecar
from gsv2.data.building.text_vectors import TextVectorsOrigin, write_text_vectors
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import Manifest, is_complete
from gsv2.data.stream.batch import BadClip
from gsv2.inference.clip_batches import ALONE, BatchLimit, Progress, SharedWork, clip_batches
from gsv2.text.encoders.config import BGE_M3, QWEN2, TextVectorsConfig, TokenizerConfig
from gsv2.text.encoders.make import make_text_encoder, resolve_text_vectors, resolve_tokenizer
from gsv2.text.encoders.subword_encoder import read_tokenizer
from gsv2.text.encoders.xlm_roberta import XlmRoberta

logger = logging.getLogger(__name__)

_LIMIT = BatchLimit("text_bytes", 32_768)
"""Most text of a batch."""


def extract_text_vectors(
    corpus: Path,
    encoder: TextVectorsConfig,
    out: Path,
    device: torch.device,
    work: SharedWork = ALONE,
    dtype: torch.dtype = torch.float32,
) -> Manifest:
    """Write the text vectors of every clip of a corpus; `out` appears complete or not at all.

    A call that was ended keeps its whole shards, and the same one goes on after them.
    A sidecar that is complete, of the same encoder and of the same tars, is left as it is.
    Clips whose text cannot be read or has no subword are left out, with a warning each.

    Args:
        corpus: folder of the corpus.
        encoder: the text encoder.
        out: folder of the sidecar corpus; one that is out of date is replaced.
        device: device to compute on.
        dtype: dtype that the encoder computes in, under autocast.

    Raises:
        ValueError: a corpus or encoder that is missing or damaged, or no clip with a text.
    """
    config = resolve_text_vectors(encoder)
    assert config.sha256 is not None, "the folder says it"
    made = find_sidecar(corpus, out)
    if made is not None and made.kind == "texts" and made.text_encoder == config.sha256:
        return made
    network = make_text_encoder(config).to(device)
    index = CorpusIndex.open(SourceConfig(path=str(corpus)))
    return write_text_vectors(
        corpus,
        out,
        partial(_vectors, network, index, _precision(device, dtype), work.progress),
        TextVectorsOrigin(config.sha256, {"encoder": BGE_M3, "source": config.weights.source}),
        overwrite=is_complete(out),
        workers=work.ranks,
    )


def count_subwords(corpus: Path, tokenizer: Path, out: Path, work: SharedWork = ALONE) -> Manifest:
    """Write how many subwords every text of a corpus has, for the plan of a GPT that reads them.

    As `extract_text_vectors`: `out` appears complete or not at all, and an ended call goes on.

    Args:
        corpus: folder of the corpus.
        tokenizer: folder with `tokenizer.json`, or the file.
        out: folder of the sidecar corpus; one that is out of date is replaced.

    Raises:
        ValueError: a corpus or tokenizer that is missing or damaged, or no clip with a text.
    """
    config = resolve_tokenizer(TokenizerConfig(path=str(tokenizer)))
    assert config.sha256 is not None, "the file says it"
    made = find_sidecar(corpus, out)
    if made is not None and made.kind == "texts" and made.text_encoder == config.sha256:
        return made
    reader = read_tokenizer(config.find())
    index = CorpusIndex.open(SourceConfig(path=str(corpus)))

    def counts(skip: frozenset[str]) -> Iterator[ClipArray]:
        for clips in _clips_with_text(index, skip, work.progress):
            found = reader.encode_batch([clip.text for clip in clips], add_special_tokens=False)
            for clip, subwords in zip(clips, found, strict=True):
                yield clip.shard, clip.key, np.array(len(subwords.ids))

    origin = TextVectorsOrigin(config.sha256, {"encoder": QWEN2, "source": str(tokenizer)})
    overwrite = is_complete(out)
    return write_text_vectors(corpus, out, counts, origin, overwrite=overwrite, workers=work.ranks)


def _clips_with_text(
    index: CorpusIndex, skip: frozenset[str], progress: Progress | None
) -> Iterator[list[Clip]]:
    """Yield clips that can be read, batch by batch; the others are named in warnings."""
    for batch in clip_batches(index, (), _LIMIT, skip=skip, progress=progress):
        clips = []
        for clip in batch:
            if isinstance(clip, BadClip):
                logger.warning("no text of %s in %s: %s", clip.key, clip.shard, clip.reason)
            else:
                clips.append(clip)
        if clips:
            yield clips


def _precision(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the context that the encoder computes in."""
    if dtype == torch.float32:
        return torch.autocast(device.type, enabled=False)
    return torch.autocast(device.type, dtype=dtype)


def _vectors(
    network: XlmRoberta,
    index: CorpusIndex,
    autocast: torch.autocast,
    progress: Progress | None,
    skip: frozenset[str],
) -> Iterator[ClipArray]:
    """Yield (shard, key, [S, D] vectors), shard after shard, without those to skip."""
    for clips in _clips_with_text(index, skip, progress):
        with autocast:
            found = network.encode([clip.text for clip in clips])
        for clip, vectors in zip(clips, found, strict=True):
            if len(vectors):
                yield clip.shard, clip.key, vectors.cpu().numpy()
            else:
                logger.warning("no text vectors of %s in %s: no subword", clip.key, clip.shard)
