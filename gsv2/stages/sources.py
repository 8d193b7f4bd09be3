"""Corpora of a run, whose codes are those that its stage reads."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.decode import AlignClip
from gsv2.data.corpus.index import CorpusIndex
from gsv2.storage.body import public_name
from gsv2.storage.storage import Storage
from gsv2.training.stage import Stage

logger = logging.getLogger(__name__)


@runtime_checkable
class AligningStage(Protocol):
    """A stage that can align codes that nobody has aligned."""

    align_clip: AlignClip | None
    """None where it reads no alignments."""


class CodesMismatchError(ValueError):
    """Codes or text vectors of another network than the one a stage was given."""


def open_sources(
    sources: Sequence[SourceConfig], storage: Storage, stage: Stage | None, where: str
) -> CorpusIndex:
    """Open corpora; their codes must be what the stage reads, or what it can align.

    Args:
        sources: corpora of the run, or some of them.
        storage: storage that they lie on.
        stage: stage of the run; None if it could not be built.
        where: key or name of the sources, for messages.

    Raises:
        ValueError: a corpus cannot be read, or holds other codes.
    """
    index = CorpusIndex.open(*sources, storage=storage)
    if stage is None:
        return index
    check_codes(index, stage, where)
    codes = stage.codes
    if codes is None:
        return index
    made = CodeFormat(codes.num_codebooks, codes.codebook_size, codes.rate_hz)
    index = index.with_codes(made, _align_clip_of(stage))
    for line in describe_unaligned(index, sources):
        logger.info("%s: %s", where, line)
    return index


def describe_unaligned(index: CorpusIndex, sources: Sequence[SourceConfig]) -> Iterator[str]:
    """Yield a line for each source whose clips are aligned as they are read."""
    for number in sorted({shard.source for shard in index.shards if index.aligns(shard)}):
        path, codes = sources[number].path, sources[number].codes
        line = "codes of {} are not aligned: each clip is aligned as it is read"
        if codes is None:
            yield line.format(public_name(path))
        else:
            once = f"`gsv2 align {public_name(path)} --codes {public_name(codes)} --aligner RUN`"
            yield f"{line.format(public_name(codes))}; {once} does it once"


def check_codes(index: CorpusIndex, stage: Stage, where: str) -> None:
    """Check that sidecar codes come from the quantizer that the stage uses, alignments likewise.

    Raises:
        CodesMismatchError: names both quantizers, or both aligners.
    """
    found = {shard.aligner for shard in index.shards}
    foreign = found - {None} if _align_clip_of(stage) is not None else found
    for name, trainable in stage.trainables.items():
        encoder = trainable.provenance.get("text_encoder")
        if encoder is not None and index.text_encoder != encoder:
            raise CodesMismatchError(
                f"{where}: the text vectors must be of text encoder {encoder}, which {name} is "
                f"given, but are of {index.text_encoder or 'none (texts is not set)'}; make them: "
                "gsv2 corpus extract-text --corpus CORPUS --path ENCODER --out TEXTS"
            )
        tokenizer = trainable.provenance.get("tokenizer")
        counted = any(shard.texts is not None and shard.texts.counts_only for shard in index.shards)
        if counted and index.text_encoder != tokenizer:
            raise CodesMismatchError(
                f"{where}: texts must be counted in the subwords that {name} reads (tokenizer "
                f"{tokenizer or 'none: it reads bytes'}), but are in those of {index.text_encoder}"
            )
        wanted = trainable.provenance.get("quantizer")
        if index.quantizer is not None and wanted is not None and index.quantizer != wanted:
            raise CodesMismatchError(
                f"{where}: the codes were made by quantizer {index.quantizer}, but {name} is given "
                f"quantizer {wanted}; make the codes again, or name that quantizer in the config"
            )
        aligner = trainable.provenance.get("aligner")
        if aligner is not None and (others := foreign - {aligner}):
            by = " and ".join(sorted("nobody" if other is None else other for other in others))
            raise CodesMismatchError(
                f"{where}: the codes must be aligned by {aligner}, which {name} is given, but are "
                f"by {by}; align them: gsv2 align CORPUS --codes CODES --aligner RUN"
            )


def _align_clip_of(stage: Stage) -> AlignClip | None:
    return stage.align_clip if isinstance(stage, AligningStage) else None
