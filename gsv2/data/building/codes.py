"""Sidecar corpus with the codes of a corpus's clips; a call that was ended goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gsv2.data.building.sidecar import (
    ClipArray,
    ClipArrayKind,
    ClipArrays,
    Sidecar,
    Workers,
    build_sidecar,
    write_clip_arrays,
)
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.decode import ClipError, encode_codes
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.index_columns import CODES_SCHEMA
from gsv2.data.corpus.manifest import (
    CorpusError,
    Manifest,
    ShardEntry,
    read_manifest,
    totals_by_language,
)
from gsv2.data.stream.reader import MappedReader


class CodesOrigin(NamedTuple):
    """What made the codes of a corpus."""

    quantizer: str
    """Hash of the quantizer."""
    codebook_size: int | None = None
    """Number of codes of a codebook, V; None = not known."""
    rate_hz: float | None = None
    """Code frames a second; None = not known."""
    maker: str | None = None
    """What else decides them, such as a GPT that spoke; an ended call of another begins anew."""
    shift_samples: int = 0
    """Samples that were left out at the start of each clip."""


def write_codes(
    corpus: Path,
    out: Path,
    codes: Iterable[ClipArray] | ClipArrays,
    origin: CodesOrigin,
    *,
    overwrite: bool = False,
    workers: Workers | None = None,
) -> Manifest:
    """Write sidecar tars with the codes of a corpus's clips; `out` appears complete or not at all.

    Args:
        corpus: the corpus whose audio was encoded.
        out: folder of the sidecar corpus.
        codes: (shard name, key, [K, T] codes) shard after shard in the order of the corpus, in
            any order inside a shard; clips that could not be encoded are left out. Or a function
            that yields them without the shards that it is given: then an ended call keeps its
            whole shards, and the next one goes on.
        origin: what made them.
        overwrite: replace a complete sidecar at `out`.
        workers: this process among others that make the same call; None = alone.

    Raises:
        CorpusError: a shard or key that the corpus does not have, shards out of order, different
            numbers of codebooks, no codes at all, or a clip whose JSON cannot be read.
        ValueError: a code that its codebook does not have.
    """
    audio = read_manifest(corpus)
    shift = [origin.shift_samples] * (origin.shift_samples > 0)
    maker = [origin.maker] * (origin.maker is not None)
    shards = [(shard.name, shard.sha256) for shard in audio.shards]
    sources = json.dumps([origin.quantizer, shards, *shift, *maker])

    def finish(shards: Sequence[ShardEntry], widths: Set[int]) -> Manifest:
        _check_widths(out, widths, audio.num_clips)
        return Manifest(
            kind="codes",
            shards=tuple(shards),
            languages=totals_by_language(shards),
            num_speakers=audio.num_speakers,
            build={"corpus": os.path.relpath(corpus.resolve(), out.resolve())},
            quantizer=origin.quantizer,
            num_codebooks=next(iter(widths)),
            codebook_size=origin.codebook_size,
            code_rate_hz=origin.rate_hz,
            shift_samples=origin.shift_samples,
        )

    sidecar = Sidecar(
        out=out,
        shards=audio.shards,
        write_shard=_Shards(corpus, origin.codebook_size).write,
        finish=finish,
        resume=sources if callable(codes) else None,
    )
    arrays = codes if callable(codes) else lambda _: codes
    return build_sidecar(sidecar, arrays, overwrite=overwrite, workers=workers)


def _check_widths(out: Path, widths: Set[int], num_clips: int) -> None:
    """Check that all clips have the same number of codebooks, and that there is one."""
    if not widths:
        raise CorpusError(
            f"codes {out} must have one number of codebooks, but there is no clip to write, "
            f"of {num_clips}"
        )
    if len(widths) != 1:
        raise CorpusError(f"codes {out} must have one number of codebooks, not {set(widths)}")


class _Shards:
    """Writes the shards of a sidecar corpus of codes."""

    def __init__(self, corpus: Path, codebook_size: int | None) -> None:
        self._index = CorpusIndex.open(SourceConfig(path=str(corpus)))
        self._reader = MappedReader(self._index, ())
        self._format = CodeFormat(codebook_size=codebook_size)
        self._kind = ClipArrayKind("codes", CODES_SCHEMA, self._members)

    def write(
        self, building: Path, entry: ShardEntry, codes: dict[str, np.ndarray]
    ) -> tuple[ShardEntry, Set[int]]:
        """Write one shard.

        Args:
            building: staging folder.
            entry: entry of the shard in the corpus.
            codes: key -> [K, T] codes.
        """
        self._format.check_all(codes)
        widths = {len(array) for array in codes.values()}
        return write_clip_arrays(self._index, building, entry, self._kind, codes), widths

    def _members(self, codes: np.ndarray, row: int) -> tuple[dict[str, bytes], dict[str, int]]:
        members = {"codes": encode_codes(codes), "codes_json": self._json(row)}
        return members, {"num_code_frames": codes.shape[1]}

    def _json(self, row: int) -> bytes:
        """Return the JSON of a clip; made of the index where that has its content."""
        if said := self._reader.places.shard(row).transcript(row):
            fields = dict(zip(("text", "language", "speaker"), said, strict=True))
            return json.dumps(fields, ensure_ascii=False).encode()
        try:
            return bytes(self._reader.read(row)["json"])
        except ClipError as error:
            raise CorpusError(f"clip {self._index.key(row)}: {error}") from error
