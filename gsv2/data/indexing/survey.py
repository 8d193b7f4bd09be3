"""Survey of scanned tars: the totals of corpus.json, and whether keys are unique."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gsv2.data.corpus.manifest import CorpusError, Manifest, ShardEntry
from gsv2.data.indexing.key_set import KeySet, hash_keys
from gsv2.data.indexing.scan import TarScan, read_scan
from gsv2.files import atomic_file, named_errors

REJECTED_NAME = "rejected.jsonl"
"""File that names every clip and tar left out."""

MIXED_LANGUAGES = "mul"
"""ISO 639-3 code of a tar with clips in several languages."""
_COLUMNS = ("key", "speaker", "language", "duration_sec")


class Survey:
    """Totals that are gathered tar by tar, in bounded memory: 8 bytes a key, and the speakers.

    Args:
        folder: folder that `rejected.jsonl` goes to.
        allow_damaged: whether damaged tars count with the clips before the damage.
    """

    def __init__(self, folder: Path, *, allow_damaged: bool) -> None:
        self._folder = folder
        self._allow_damaged = allow_damaged
        self._entries: list[ShardEntry] = []
        self._indexes: list[Path] = []  # one an entry
        self._left_out: list[str] = []  # tars without a usable clip
        self._left_alone: list[str] = []  # tars below the corpus that are not read
        self._damaged: list[str] = []
        self._reasons: Counter[str] = Counter()
        self._clips: Counter[str] = Counter()  # by language
        self._seconds: Counter[str] = Counter()  # by language
        self._speakers: set[str] = set()
        self._keys = KeySet()
        self._path = folder / REJECTED_NAME
        self._files = ExitStack()
        self._rejected: TextIO | None = None

    def __enter__(self) -> Survey:
        return self

    def __exit__(self, *_: object) -> None:
        """Put `rejected.jsonl` in place, if anything was rejected."""
        if self._rejected is None:
            self._path.unlink(missing_ok=True)
        self._files.close()

    def add(self, name: str, tar: Path, index: Path) -> None:
        """Add one tar.

        Args:
            name: name of the shard.
            tar: tar that was scanned.
            index: index that the scan wrote.

        Raises:
            CorpusError: a key of it was in another tar, or the index is gone.
        """
        scan = read_scan(index)
        if scan is None:
            raise CorpusError(f"index {index} is gone; was it changed while this ran?")
        self._reject(name, tar, scan)
        table = _read(index, _COLUMNS)
        if table.num_rows == 0:
            self._left_out.append(name)
            if not scan.rejected and not scan.damage:
                self._reasons["tar holds no clip"] += 1
                self._write({"shard": name, "key": "", "reason": "tar holds no clip"})
            return
        keys = table["key"].to_pylist()
        for place in self._keys.add(hash_keys(keys)).tolist():
            self._check_new(keys[place], name)
        self._indexes.append(index)
        self._speakers |= set(pc.unique(table["speaker"]).to_pylist()) - {""}
        groups = table.group_by("language").aggregate([("duration_sec", "sum"), ("key", "count")])
        languages = groups["language"].to_pylist()
        language = languages[0] if len(languages) == 1 else MIXED_LANGUAGES
        self._entries.append(replace(scan.entry(name, table.num_rows), language=language))
        for group in groups.to_pylist():
            self._clips[group["language"]] += group["key_count"]
            self._seconds[group["language"]] += group["duration_sec_sum"]

    def manifest(self, build: Mapping[str, Any]) -> Manifest:
        """Return the content of corpus.json.

        Args:
            build: arguments that it was made with.

        Raises:
            CorpusError: tars are damaged, and that is not allowed; or there is no usable clip.
        """
        if self._damaged and not self._allow_damaged:
            others = f" ({len(self._damaged)} tars are damaged)" if self._damaged[1:] else ""
            raise CorpusError(
                f"{self._damaged[0]}{others}; fetch it again, or index what lies before the "
                f"damage with --allow-damaged; all are named in {self._path}"
            )
        if not self._entries:
            raise CorpusError(f"{self._folder}: no usable clip; rejected: {dict(self._reasons)}")
        return Manifest(
            shards=tuple(self._entries),
            languages={
                language: {"clips": count, "hours": self._seconds[language] / 3600.0}
                for language, count in sorted(self._clips.items())
            },
            num_speakers=len(self._speakers),
            build={**build, "left_out": self._left_out, "left_alone": self._left_alone},
            rejected=dict(sorted(self._reasons.items())),
        )

    def _reject(self, name: str, tar: Path, scan: TarScan) -> None:
        lines = [{"shard": name, "key": key, "reason": reason} for key, reason in scan.rejected]
        self._reasons.update(_phrase(line["reason"]) for line in lines)
        if scan.damage:
            lines.append({"shard": name, "key": "", "reason": f"tar {scan.damage}"})
            self._reasons["tar is damaged"] += 1
            self._damaged.append(f"tar {tar} {scan.damage}")
        for line in lines:
            self._write(line)

    def leave_alone(self, path: str, reason: str, *, is_tar: bool) -> None:
        """Name a file of the corpus that is not read; of tars corpus.json tells too.

        Recordings beside tars can be as many as clips, which a manifest does not list.
        """
        if is_tar:
            self._left_alone.append(path)
        self._reasons[_phrase(reason)] += 1
        self._write({"shard": "", "key": "", "file": path, "reason": reason})

    def _write(self, line: Mapping[str, str]) -> None:
        if self._rejected is None:
            aside = self._files.enter_context(atomic_file(self._path))
            self._rejected = self._files.enter_context(aside.open("w", encoding="utf-8"))
        with named_errors(self._path):
            self._rejected.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _check_new(self, key: str, name: str) -> None:
        """Look up whether a key whose hash was there before was there itself."""
        for entry, index in zip(self._entries, self._indexes, strict=True):
            keys = _read(index, ("key",))["key"]
            if pc.any(pc.equal(keys, key)).as_py():
                raise CorpusError(
                    f"key {key} is in {entry.name}.tar and in {name}.tar; if keys count inside a "
                    "tar only, use --prefix-keys"
                )


def _read(index: Path, names: Sequence[str]) -> pa.Table:
    """Return columns of an index.

    Raises:
        CorpusError: it cannot be read; names it.
    """
    try:
        return pq.read_table(index, columns=list(names))
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise CorpusError(f"index {index} cannot be read: {reason}; remove it") from error


def _phrase(reason: str) -> str:
    """Return a reason without its values, which stand behind a colon or semicolon."""
    return reason.partition(":")[0].partition(";")[0]
