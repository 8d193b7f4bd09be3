"""Sidecar corpus with the codes of a corpus's clips; a call that was ended goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import numpy as np

from gsv2.data.building.staging import staged_corpus
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
    write_manifest,
)
from gsv2.data.corpus.shard_writer import ShardWriter
from gsv2.data.stream.reader import MappedReader

ClipCodes = tuple[str, str, np.ndarray]
"""Shard, key and [K, T] codes of a clip."""

_FINISHED_FILE = ".finished.jsonl"


def write_codes(
    corpus: Path,
    out: Path,
    codes: Iterable[ClipCodes] | Callable[[frozenset[str]], Iterable[ClipCodes]],
    quantizer: str,
    *,
    codebook_size: int | None = None,
    code_rate_hz: float | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write sidecar tars with the codes of a corpus's clips; `out` appears complete or not at all.

    Args:
        corpus: the corpus whose audio was encoded.
        out: folder of the sidecar corpus.
        codes: (shard name, key, [K, T] codes) shard after shard in the order of the corpus, in
            any order inside a shard; clips that could not be encoded are left out. Codes of one
            shard are held in memory. Or a function that yields them without the shards that it
            is given: then an ended call keeps its whole shards, and the next one goes on.
        quantizer: hash of the quantizer.
        codebook_size: codes of a codebook, V; None = not known.
        code_rate_hz: code frames a second; None = not known.
        overwrite: replace a complete sidecar at `out`.

    Raises:
        CorpusError: a shard or key that the corpus does not have, shards out of order, different
            numbers of codebooks, no codes at all, or a clip whose JSON cannot be read.
        ValueError: a code that is not below `codebook_size`.
    """
    audio = read_manifest(corpus)
    reader = _JsonReader(corpus)
    code_format = CodeFormat(codebook_size=codebook_size)
    num_codebooks: set[int] = set()
    shards = []
    sources = json.dumps([quantizer, [(shard.name, shard.sha256) for shard in audio.shards]])
    resume = sources if callable(codes) else None
    with staged_corpus(out, overwrite=overwrite, resume=resume) as building:
        done = FinishedShards(building)
        left = codes(done.names) if callable(codes) else codes
        for entry, of_shard in _by_shard(audio.shards, left):
            if entry.name not in done.names:
                code_format.check_all(of_shard)
                widths = {len(array) for array in of_shard.values()}
                done.add(_write_codes_shard(reader, building, entry, of_shard), widths)
            shards.append(done.entry(entry.name))
            num_codebooks |= done.widths(entry.name)
        done.remove()
        if len(num_codebooks) != 1:
            raise CorpusError(f"codes {out} must have one number of codebooks, not {num_codebooks}")
        manifest = Manifest(
            kind="codes",
            shards=tuple(shards),
            languages=totals_by_language(shards),
            num_speakers=audio.num_speakers,
            build={"corpus": os.path.relpath(corpus.resolve(), out.resolve())},
            quantizer=quantizer,
            num_codebooks=num_codebooks.pop(),
            codebook_size=codebook_size,
            code_rate_hz=code_rate_hz,
        )
        write_manifest(manifest, building)
    return manifest


def _by_shard(
    shards: Sequence[ShardEntry], codes: Iterable[tuple[str, str, np.ndarray]]
) -> Iterator[tuple[ShardEntry, dict[str, np.ndarray]]]:
    """Yield every shard with its codes by key; none for a shard that is skipped."""
    groups = groupby(codes, key=lambda item: item[0])
    pending = next(groups, None)
    for entry in shards:
        of_shard: dict[str, np.ndarray] = {}
        if pending is not None and pending[0] == entry.name:
            of_shard = {key: array for _, key, array in pending[1]}
            pending = next(groups, None)
        yield entry, of_shard
    if pending is not None:
        raise CorpusError(f"codes of shard {pending[0]}: not a shard of the corpus, or too late")


class _JsonReader:
    """The clips of a corpus with the bytes of their JSON."""

    def __init__(self, corpus: Path) -> None:
        self._index = CorpusIndex.open(SourceConfig(path=str(corpus)))
        self._reader = MappedReader(self._index, ())

    def shard(self, name: str) -> Iterator[tuple[str, float, int]]:
        """Yield key, seconds and row of the clips of one shard."""
        shard = next(shard for shard in self._index.shards if shard.name == name)
        seconds = self._index.numbers("duration_sec")
        for row in range(shard.start, shard.stop):
            yield self._index.key(row), float(seconds[row]), row

    def json(self, row: int) -> bytes:
        """Return the JSON of a clip; made of the index where that has its content."""
        if said := self._reader.places.shard(row).transcript(row):
            fields = dict(zip(("text", "language", "speaker"), said, strict=True))
            return json.dumps(fields, ensure_ascii=False).encode()
        try:
            return bytes(self._reader.read(row)["json"])
        except ClipError as error:
            raise CorpusError(f"clip {self._index.key(row)}: {error}") from error


def _write_codes_shard(
    reader: _JsonReader, root: Path, entry: ShardEntry, codes: dict[str, np.ndarray]
) -> ShardEntry:
    left = set(codes)
    total_sec = 0.0
    with ShardWriter(root, entry.name, CODES_SCHEMA) as shard:
        for key, seconds, row in reader.shard(entry.name):
            if key in codes:
                members = {"codes": encode_codes(codes[key]), "codes_json": reader.json(row)}
                shard.add(key, members, num_code_frames=codes[key].shape[1])
                total_sec += seconds
                left.discard(key)
        if left:
            raise CorpusError(f"codes of {sorted(left)[0]}: no such clip in {entry.name}")
        return shard.finish(total_sec, source_sha256=entry.sha256)


class FinishedShards:
    """Entries of the shards that are whole; one line each, written after the shard."""

    def __init__(self, building: Path) -> None:
        self._file = building / _FINISHED_FILE
        self._entries: dict[str, tuple[ShardEntry, set[int]]] = {}
        for line in self._file.read_text("utf-8").split("\n") if self._file.is_file() else ():
            try:
                values, widths = json.loads(line)
            except ValueError:  # what a kill has left of a line
                continue
            self._entries[values["name"]] = (ShardEntry(**values), set(widths))
        self.names = frozenset(self._entries)
        """Shards that were whole at the start."""

    def add(self, entry: ShardEntry, widths: Set[int]) -> None:
        """Note a shard that is whole, with the numbers of codebooks of its clips."""
        self._entries[entry.name] = (entry, set(widths))
        with self._file.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps([asdict(entry), sorted(widths)]))

    def entry(self, name: str) -> ShardEntry:
        """Return the entry of a whole shard."""
        return self._entries[name][0]

    def widths(self, name: str) -> set[int]:
        """Return the numbers of codebooks of its clips."""
        return self._entries[name][1]

    def remove(self) -> None:
        """Remove the file."""
        self._file.unlink(missing_ok=True)
