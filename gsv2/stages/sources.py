"""Corpora of a run, whose codes are those that its stage reads."""

from __future__ import annotations

from collections.abc import Sequence

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.index import CorpusIndex
from gsv2.storage.storage import Storage
from gsv2.training.stage import Stage


class CodesMismatchError(ValueError):
    """Codes of another quantizer than the one a stage was given."""


def open_sources(
    sources: Sequence[SourceConfig], storage: Storage, stage: Stage | None, where: str
) -> CorpusIndex:
    """Open corpora; their codes must be what the stage reads.

    Args:
        sources: corpora of the run, or some of them.
        storage: storage that they lie on.
        stage: stage of the run; None if it could not be built.
        where: key or name of the sources, for messages.

    Raises:
        ValueError: a corpus cannot be read, or holds other codes.
    """
    index = CorpusIndex.open(*sources, storage=storage)
    if stage is None or stage.codes is None:
        return index
    check_codes(index, stage, where)
    codes = stage.codes
    return index.with_codes(CodeFormat(codes.num_codebooks, codes.codebook_size, codes.rate_hz))


def check_codes(index: CorpusIndex, stage: Stage, where: str) -> None:
    """Check that sidecar codes come from the quantizer that the stage uses.

    Raises:
        CodesMismatchError: names both quantizers.
    """
    for name, trainable in stage.trainables.items():
        wanted = trainable.provenance.get("quantizer")
        if index.quantizer is not None and wanted is not None and index.quantizer != wanted:
            raise CodesMismatchError(
                f"{where}: the codes were made by quantizer {index.quantizer}, but {name} is given "
                f"quantizer {wanted}; make the codes again, or name that quantizer in the config"
            )
        aligner = trainable.provenance.get("aligner")
        if aligner is not None and index.aligner != aligner:
            raise CodesMismatchError(
                f"{where}: the codes must be aligned by {aligner}, which {name} is given, but are "
                f"by {index.aligner}; align them: gsv2 align CORPUS --codes CODES --aligner RUN"
            )
